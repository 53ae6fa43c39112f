"""MGSSL's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="mgssl",
    title="MGSSL: motif-based self-supervised learning of molecules",
    paper=Paper(
        title="Motif-based Graph Self-Supervised Learning for Molecular Property Prediction",
        year=2021,
        venue="NeurIPS",
        link="arXiv:2110.00987",
        headline="mean ROC AUC 73.7 over eight classification sets of MoleculeNet after pre-training on 250,000 molecules, "
        "66.9 without pre-training (means as remembered, no table was at hand)",
    ),
    purpose="A library of molecules without labels, and few labelled ones: the network learns from all structures first, then "
    "from the labels. Also cuts molecules into motifs, and gives other methods an encoder that knows molecules.",
    task="pre-training, classification",
    verbs=(Verb.PREDICT, Verb.EMBED, Verb.FRAGMENT, Verb.EXPLAIN),
    inputs=(
        Column(
            name="smiles",
            kind="smiles",
            about="molecules, one SMILES a row; of salts the largest part is taken",
        ),
        Column(
            name="target",
            kind="label",
            about="properties to learn after pre-training: 1, 0, or empty where unknown. Without any the network is "
            "pre-trained only",
            required=False,
            many=True,
        ),
    ),
    outputs=(
        Column(
            name="prediction",
            kind="number",
            about="probability of the (first) target being 1, 0 to 1; with several targets also one column "
            "prediction_<target> each",
        ),
    ),
    components=(
        Component(
            name="motifs: BRICS bonds, ring rule, branching rule, rings and bonds where few are cut",
            place="motifs.py",
            origin="official code",
        ),
        Component(name="vocabulary of motifs of the training molecules", place="motifs.py", origin="paper"),
        Component(
            name="graph isomorphism encoder over atoms and bonds",
            place="graphs/encoder.py",
            origin="official code",
        ),
        Component(
            name="tree-GRU generator of motifs and topology, depth first",
            place="generation.py",
            origin="official code",
        ),
        Component(
            name="the same level by level, with a stop class; a grown child speaks to its parent before its own children "
            "are known",
            place="generation.py",
            origin="inferred",
        ),
        Component(name="hidden atoms and bonds", place="network.py", origin="paper"),
        Component(
            name="weights of the three losses by Frank-Wolfe in every step",
            place="weighting.py",
            origin="paper",
        ),
        Component(
            name="fine-tuning: mean pooling, linear classifier, cross-entropy over known labels",
            place="finetuning.py",
            origin="official code",
        ),
    ),
    licences=(
        "ZINC subset of icml18-jtnn (benchmark only): MIT",
        "BACE, SIDER, Tox21 (MoleculeNet, through deepchem): MIT",
    ),
    status=Status.MECHANISM,
    figures=(
        Figure(
            metric="share of motifs named, depth first",
            value=0.575,
            data="1,000 molecules of ZINC that were not learned from, two epochs on 5,000, mean of three seeds",
            baseline="the most frequent motif: 0.330",
            result="mgssl.json:figures.generation.mean.dfs.motif",
        ),
        Figure(
            metric="share of motifs named, level by level",
            value=0.501,
            data="the same",
            baseline="the most frequent motif: 0.330",
            result="mgssl.json:figures.generation.mean.bfs.motif",
        ),
        Figure(
            metric="distinct motifs",
            value=552.0,
            data="2,000 molecules of ZINC, both rules, texts as cut; the vocabulary reads each motif again, so that it has one "
            "text, and holds 487",
            baseline="an independent count: 537",
            result="mgssl.json:figures.fragmentation.both.plain.distinct",
        ),
        Figure(
            metric="mean ROC AUC in percent",
            value=55.6,
            data="BACE, SIDER, Tox21, 200 labelled molecules, held-out scaffolds, pre-trained on 2,000 molecules of ZINC for "
            "three epochs, mean of three seeds",
            baseline="the same network from scratch 53.9, pre-trained on hidden atoms and bonds alone 55.2, random forest on "
            "Morgan fingerprints 67.0",
            result="mgssl.json:figures.transfer.auroc_percent.mgssl_dfs.mean",
        ),
        Figure(
            metric="points of mean ROC AUC gained by pre-training",
            value=1.7,
            data="the same; 1.2, 3.2 and 0.7 by seed",
            baseline="no pre-training",
            result="mgssl.json:figures.transfer.gains.mgssl_dfs_over_scratch.points",
        ),
    ),
    limits=(
        "With 200 labels a random forest on Morgan fingerprints is better by eleven points of ROC AUC in the mean of BACE, "
        "SIDER and Tox21; "
        "at this scale the network is little above chance, its gain over no pre-training (lost on SIDER) is no more than three "
        "seeds can tell from noise, and that over hidden atoms alone is within it.",
        "Frank-Wolfe on gradients as they are favours the smallest: the loss of motifs, the largest, soon has little weight. "
        "`weighting='unit-frank-wolfe'` weighs gradients of length one.",
        "The encoder sees the whole molecule while its motifs are asked for: that motifs are named well proves little by itself.",
        "Pre-training on a few thousand molecules is far below the paper's 250,000; an independent re-evaluation found "
        "smaller gains than the paper's.",
        "The number of neighbours of a motif is not capped (the authors' code stops at eight).",
        "A salt is its largest part, in training as in prediction.",
    ),
)
