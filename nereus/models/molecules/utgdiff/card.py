"""UTGDiff's card."""

from nereus.models.card import Card, Column, Component, Paper, Status, Verb

CARD = Card(
    name="utgdiff",
    title="UTGDiff: unified text-graph diffusion",
    paper=Paper(
        title="Instruction-Based Molecular Graph Generation with Unified Text-Graph Diffusion Model",
        year=2025,
        venue="ECAI",
        link="arXiv:2408.09896",
        headline="on ChEBI-20 similarity to the described molecule 0.867 (MACCS), 0.763 (RDK), 0.695 (Morgan), 0.227 exact, "
        "0.856 valid, without pre-training on molecules",
    ),
    purpose="Hypotheses of structures: molecules that fit a description, or that come from a given molecule by an instruction, "
    "to be filtered by what can be computed or measured of them.",
    task="generation, editing",
    verbs=(Verb.GENERATE,),
    inputs=(
        Column(
            name="text",
            kind="text",
            about="instructions: what the molecule is, or how the source is to be changed; without any, molecules like those "
            "learned from",
            required=False,
        ),
        Column(
            name="smiles",
            kind="smiles",
            about="molecules to learn to make, one SMILES a row; of salts the largest part is taken",
            learned=True,
        ),
        Column(
            name="source",
            kind="smiles",
            about="molecules to edit; empty where there is none",
            required=False,
        ),
    ),
    outputs=(
        Column(
            name="smiles",
            kind="smiles",
            about="the molecule, without stereo; missing where the graph is none",
        ),
        Column(name="reason", kind="text", about="why the graph is no molecule"),
        Column(
            name="note",
            kind="text",
            about="what was done unasked: hydrogen set, parts left out, instruction cut",
        ),
        Column(name="mended", kind="label", about="whether it is a molecule only since a hydrogen was set"),
        Column(
            name="graph", kind="text", about="the raw graph: tokens of the atoms, bonds as begin-end:class"
        ),
    ),
    components=(
        Component(
            name="atoms as tokens of element and charge, bonds as classes of pairs",
            place="graphs.py",
            origin="official code",
        ),
        Component(
            name="absorbing noise on atoms and bonds alike, after t of T steps a share of t / T; both triangles of the bonds "
            "together",
            place="diffusion.py",
            origin="paper",
        ),
        Component(
            name="one transformer over words and atoms, bonds as biases of attention that every layer renews from its scores",
            place="network.py",
            origin="official code",
        ),
        Component(
            name="shuffled positions of atoms, so that order tells nothing",
            place="network.py",
            origin="official code",
        ),
        Component(
            name="prediction of the clean graph, divergence of one step and a small cross-entropy",
            place="denoising.py",
            origin="official code",
        ),
        Component(
            name="drawing in jumps, with temperature and the likeliest classes",
            place="sampling.py",
            origin="official code",
        ),
        Component(
            name="hydrogens on aromatic nitrogen where a ring needs one",
            place="graphs.py",
            origin="official code",
        ),
        Component(
            name="editing: the source as a graph without noise before the target",
            place="network.py",
            origin="official code",
        ),
        Component(
            name="slots after the end are learned as empty; vectors that tell source from target; instructions withheld from a "
            "share of the molecules",
            place="denoising.py",
            origin="inferred",
        ),
        Component(name="tokenizer from the instructions", place="text.py", origin="inferred"),
        Component(name="a RoBERTa from a local folder", place="pretrained.py", origin="paper"),
    ),
    licences=(
        "ChEBI-20 (MolT5 repository, benchmark only): BSD-3",
        "QM8 (chemprop repository, benchmark only): MIT",
    ),
    status=Status.MECHANISM,
    limits=(
        "No weights are shipped: it knows what your table teaches it, and free descriptions need tens of thousands of pairs.",
        "The graph has no stereo and no isotopes, and a salt is its largest part.",
        "Only atoms of the molecules learned from are drawn, and no molecule is larger than the largest of them.",
    ),
)
