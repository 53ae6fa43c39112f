"""UTGDiff's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="utgdiff",
    title="UTGDiff: unified text-graph diffusion",
    paper=Paper(
        title="Instruction-Based Molecular Graph Generation with Unified Text-Graph Diffusion Model",
        year=2025,
        venue="ECAI",
        link="arXiv:2408.09896",
        headline="on ChEBI-20 similarity to the described molecule 0.867 (MACCS), 0.763 (RDK), 0.695 (Morgan), 0.227 exact, "
        "0.856 valid, without pre-training on molecules (as a later paper tells)",
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
        Component(
            name="longer steps of the narrow bond layers, and larger weights at the start of narrow transformers",
            place="network.py",
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
    figures=(
        Figure(
            metric="share of valid molecules, the largest part of a graph in several counted",
            value=0.661,
            data="120 molecules of QM8 that were not learned from, facts of 10,000 as instructions, three epochs, three seeds, "
            "25 jumps at temperature 0.7",
            baseline="0.70 was asked for; under instructions of other rows 0.661; without hydrogens that were set 0.656",
            result="utgdiff.json:figures.facts.arms.utgdiff.valid",
        ),
        Figure(
            metric="share of valid molecules that are one part as drawn, without hydrogens that were set",
            value=0.475,
            data="the same, one seed",
            baseline="under instructions of other rows 0.475",
            result="utgdiff.json:figures.facts.arms.utgdiff.valid_in_one_part",
        ),
        Figure(
            metric="MACCS similarity to the described molecule, of the valid",
            value=0.347,
            data="the same, three seeds; 86 % of the instructions were learned with other molecules",
            baseline="the molecule of the nearest instruction 0.611, a random molecule 0.197",
            result="utgdiff.json:figures.facts.arms.utgdiff.maccs",
        ),
        Figure(
            metric="MACCS similarity gained by the right instruction",
            value=0.158,
            data="the same",
            baseline="the instruction of another row",
            result="utgdiff.json:figures.facts.maccs_gain_over.utgdiff, shuffled.mean",
        ),
        Figure(
            metric="share of different molecules among the valid",
            value=0.996,
            data="the same",
            baseline="without any instruction 0.959",
            result="utgdiff.json:figures.facts.arms.utgdiff.unique",
        ),
        Figure(
            metric="share of valid molecules with uniform noise (control)",
            value=0.517,
            data="the same, one seed",
            baseline="absorbing noise 0.683 with this seed; one part as drawn 0.292",
            result="utgdiff.json:figures.uniform.arms.utgdiff.valid",
        ),
        Figure(
            metric="MACCS similarity of an edited molecule to the right one, of the valid",
            value=0.345,
            data="100 edits of QM8 whose sources and targets were not learned from, 6,000 learned, four epochs, one seed, "
            "temperature 0.7",
            baseline="the source left as it is 0.708, what the most alike source became 0.687, another instruction 0.287, "
            "another source 0.274",
            result="utgdiff.json:figures.edits.arms.utgdiff.maccs",
        ),
    ),
    limits=(
        "After these few minutes of training the molecule of the nearest instruction of the table is far more alike than what is "
        "made (0.61 against 0.35 on MACCS keys), no molecule is met exactly, a third of the graphs are no molecules and a "
        "fifth are several, of which the largest is given (``note`` tells): take what it makes for ideas to be filtered.",
        "Editing does not work after so little training: a source left alone is closer to the target, and another instruction or "
        "source costs little. A source often leads to a molecule in several parts.",
        "Uniform noise and editing were measured with one seed. Figures hold for temperature 0.7 and 25 jumps; the defaults, as "
        "in the paper, are 1 and 50. A lower temperature makes more molecules: at what other instructions chose (0.3 to 0.7) "
        "three of four graphs are valid instead of two of three, and they follow the instruction as well; these networks learned "
        "for four epochs instead of three, which is a part of it.",
        "Descriptions of ChEBI-20 are not followed after minutes of a processor (one seed, molecules of 20 atoms at most): "
        "what is made is less alike than a molecule drawn from the table (0.14 against 0.21 on MACCS keys).",
        "Training tells its loss alone: nothing is generated for held-out rows, so judge what it makes on molecules of your own.",
        "The training file of ChEBI-20 is not at hand: its benchmark learns from the validation file, judged on the test file.",
        "No weights are shipped: it knows what your table teaches it, and free descriptions need tens of thousands of pairs.",
        "The graph has no stereo and no isotopes, and a salt is its largest part.",
        "Only atoms of the molecules learned from are drawn, and no molecule is larger than the largest of them.",
    ),
)
