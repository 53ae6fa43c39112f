"""UniMatch's card."""

from nereus.models.card import Card, Column, Component, Paper, Status, Verb

CARD = Card(
    name="unimatch",
    title="UniMatch: universal matching from atom to task",
    paper=Paper(
        title="UniMatch: Universal Matching from Atom to Task for Few-Shot Drug Discovery",
        year=2025,
        venue="ICLR",
        link="arXiv:2502.12453",
        headline="2.87 % higher mean AUROC than the best earlier method on five few-shot sets of MoleculeNet, 6.52 % higher "
        "delta AUPRC on FS-Mol",
    ),
    purpose="A new assay with two to a few hundred labels: ten actives and ten inactives are enough to rank a library. "
    "Better the more related assays there are to learn from.",
    task="few-shot classification",
    verbs=(Verb.PREDICT, Verb.EMBED),
    inputs=(
        Column(name="smiles", kind="smiles", about="molecules, one SMILES a row"),
        Column(
            name="target",
            kind="label",
            about="activity in the new assay: 1, 0, or empty where it was not measured",
        ),
        Column(
            name="related",
            kind="label",
            about="activities in related assays (1, 0, empty): what meta-training learns from. Without any, properties that "
            "are computed from the structures stand in",
            required=False,
            many=True,
        ),
    ),
    outputs=(Column(name="prediction", kind="number", about="probability of being active, 0 to 1"),),
    components=(
        Component(
            name="graph isomorphism encoder over atoms and bonds",
            place="graphs/encoder.py",
            origin="official code",
        ),
        Component(
            name="pooling after every layer (atom, substructure, molecule)",
            place="network.py",
            origin="paper",
        ),
        Component(name="matching of query and support at every level", place="network.py", origin="paper"),
        Component(name="fusion of the levels' answers", place="network.py", origin="paper"),
        Component(
            name="task-level matching: inner loop on the support, outer loop on the query",
            place="episodes.py",
            origin="paper",
        ),
        Component(
            name="relation of tasks that shapes the inner loop's start", place="network.py", origin="inferred"
        ),
        Component(name="leave-one-out loss on the support", place="episodes.py", origin="inferred"),
    ),
    licences=("Tox21, SIDER (MoleculeNet, through deepchem): MIT",),
    status=Status.MECHANISM,
    limits=(
        "The authors published no code; encoder and defaults follow PAR, whose setting the paper takes over.",
        "Molecules of Tox21 and SIDER carry labels of several tasks, which helps every meta-learner.",
        "Without related assays it rarely beats fingerprints with logistic regression.",
    ),
)
