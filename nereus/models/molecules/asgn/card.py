"""ASGN's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="asgn",
    title="ASGN: active semi-supervised graph network",
    paper=Paper(
        title="ASGN: An Active Semi-supervised Graph Neural Network for Molecular Property Prediction",
        year=2020,
        venue="KDD",
        link="arXiv:2007.03196",
        headline="mean absolute error of HOMO 0.119 eV with 5,000 labelled molecules of QM9, 0.163 eV supervised; labels needed "
        "for one error two to three times fewer than with random choice",
    ),
    purpose="Few measured and many unmeasured molecules: predicts properties from both, and says which molecules to measure "
    "next, those that lie farthest from all that is known.",
    task="active semi-supervised regression",
    verbs=(Verb.PREDICT, Verb.SELECT, Verb.EMBED, Verb.EXPLAIN),
    inputs=(
        Column(
            name="smiles",
            kind="smiles",
            about="molecules, one SMILES a row; conformers are made for them; of salts the largest part",
        ),
        Column(
            name="target",
            kind="number",
            about="properties to learn: numbers, empty where not measured. Without any it learns from structures, and selects",
            required=False,
            many=True,
        ),
        Column(
            name="structure",
            kind="object",
            about="mol blocks with coordinates in Angstrom, used in place of made conformers; may be empty in some rows",
            required=False,
        ),
    ),
    outputs=(
        Column(
            name="prediction",
            kind="number",
            about="the (first) target in its unit; with several targets also one column prediction_<target> each",
        ),
    ),
    components=(
        Component(
            name="continuous-filter network over all pairs of atoms, radial basis every 0.1 Angstrom",
            place="network.py",
            origin="official code",
        ),
        Component(
            name="teacher: labels, and what the student says of others", place="teaching.py", origin="paper"
        ),
        Component(
            name="elements told from atoms, bins of distance from pairs", place="network.py", origin="paper"
        ),
        Component(
            name="clusters by balanced optimal transport (Sinkhorn), told from molecules",
            place="transport.py",
            origin="paper",
        ),
        Component(
            name="student: the teacher's weights, fine-tuned on labels, then labels for the teacher",
            place="rounds.py",
            origin="paper",
        ),
        Component(name="k-centre choice in the teacher's space", place="selection.py", origin="paper"),
        Component(name="rounds with a labelling oracle", place="rounds.py", origin="paper"),
        Component(
            name="a share of labelled molecules that ends the student's training; labelled molecules drawn more often by the "
            "teacher",
            place="rounds.py",
            origin="inferred",
        ),
        Component(
            name="targets relative to a regression on composition; distances along bonds (options)",
            place="scaling.py",
            origin="inferred",
        ),
    ),
    licences=(
        "QM8 (through chemprop): MIT; QM9 by scaffold of Meta-MolNet, benchmark only: no licence file",
    ),
    status=Status.MECHANISM,
    figures=(
        Figure(
            metric="mean absolute error of HOMO, eV",
            value=0.259,
            data="QM9, 500 molecules of which 150 labelled, then 300; 400 others to judge; three splits",
            baseline="the same network on 300 random labels, equally many molecules read in training: 0.186; "
            "the network alone with k-centre 0.206; teacher alone 0.364; chosen at random 0.265; "
            "ridge on Morgan fingerprints 0.230; kernel ridge on Coulomb matrices 0.338",
            result="asgn.json:figures.mae_ev.asgn.300.mean",
        ),
        Figure(
            metric="mean absolute error of atomisation energies, kcal/mol",
            value=7.60,
            data="991 molecules of GDB, 500 labelled at random, 491 others to judge, which it knows as structures; one seed",
            baseline="ridge on composition 16.4, the same network on labels alone, in one round, 8.61",
            result="asgn_pool.json:figures.smoke.asgn",
        ),
    ),
    limits=(
        "On QM9 the same network trained on labels alone was better, when both read equally many molecules in "
        "training, and so was ridge regression on fingerprints. A part of ASGN's goes into rounds whose student is replaced. "
        "Longer trainings and the paper's size were not run. Compare with `parts='student'` on your own molecules.",
        "Choosing covers the molecules much better than drawing them, but did not reliably lower the error.",
        "Clusters are equally large in the transport's plan; the largest entries, which are learned, are less so at first: the "
        "entropy of their usage is 0.88 of its largest value before the teacher has learned anything, 0.9997 from the third "
        "epoch on (100 clusters of 2,800 molecules).",
        "The three losses are summed as means with weights of one, as the paper says; the authors' code leaves the clusters "
        "out and weights labels ten thousand times.",
        "A chosen molecule lies far from what is known: it is often unusual, and may be hard to make or to measure.",
        "The optimiser of teacher and student starts anew in every round; their weights do not.",
    ),
)
