"""BSM's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="bsm",
    title="BSM: a mixed-modal language model of genes and proteins",
    paper=Paper(
        title="BSM: Small but Powerful Biological Sequence Model for Genes and Proteins",
        year=2024,
        venue="arXiv",
        link="arXiv:2410.11499",
        headline="Spearman 0.423 on protein fitness without labels with 110 million weights that learned from genes and proteins "
        "together, 0.379 from as many tokens of them apart",
    ),
    purpose="Sequences of DNA, RNA and proteins, best with what belongs together (an annotated genome): likelihoods of sequences "
    "and variants, how well a gene and a protein fit each other, vectors for other models, and properties from labels.",
    task="language model, pairs, transfer",
    verbs=(Verb.PREDICT, Verb.SCORE, Verb.EMBED, Verb.GENERATE, Verb.EXPLAIN),
    inputs=(
        Column(
            name="sequence", kind="sequence", about="letters of DNA, RNA or a protein, one sequence a row"
        ),
        Column(
            name="modality",
            kind="object",
            about="what the sequence is: dna, rna or protein; told from the letters where empty",
            required=False,
        ),
        Column(
            name="partner",
            kind="sequence",
            about="a second sequence that comes before it, as letters: the gene of a protein, the RNA that it binds",
            required=False,
        ),
        Column(
            name="partner_modality",
            kind="object",
            about="what the second sequence is, likewise",
            required=False,
        ),
        Column(
            name="gene",
            kind="group",
            about="rows of an equal value are DNA, RNA and protein of one gene",
            required=False,
        ),
        Column(
            name="related",
            kind="group",
            about="rows of an equal value are of genes that are linked, such as one symbol in several genomes",
            required=False,
        ),
        Column(
            name="document",
            kind="group",
            about="rows of an equal value come from one text, or from one neighbourhood of a genome, in order",
            required=False,
        ),
        Column(
            name="wild_type",
            kind="sequence",
            about="the sequence, as letters, that the row is a variant of; only when scoring",
            required=False,
        ),
        Column(
            name="target",
            kind="number",
            about="property to learn after the sequences: 1 and 0, other classes, or a value; empty where unknown",
            required=False,
        ),
    ),
    outputs=(
        Column(
            name="prediction",
            kind="number",
            about="probability of the second of two classes (of 1), the likeliest of several with a column "
            "prediction_<class> each, or the value",
        ),
    ),
    components=(
        Component(
            name="one token a letter, other tokens for each kind of sequence",
            place="tokenizer.py",
            origin="inferred",
        ),
        Component(
            name="tags that tell the kind, <sep> between sequences", place="tokenizer.py", origin="inferred"
        ),
        Component(
            name="decoder with rotary positions (base 100,000) and gated layers of four widths",
            place="network.py",
            origin="inferred",
        ),
        Component(name="sequences alone, DNA of both strands", place="corpus.py", origin="paper"),
        Component(
            name="DNA, RNA and protein of a gene, any of them in shuffled order",
            place="corpus.py",
            origin="paper",
        ),
        Component(
            name="sequences of linked genes: one symbol in several records",
            place="corpus.py",
            origin="inferred",
        ),
        Component(
            name="documents with at least three sequences: of a text, or of neighbouring genes",
            place="corpus.py",
            origin="inferred",
        ),
        Component(name="gene and protein cut at the same codons", place="corpus.py", origin="inferred"),
        Component(
            name="rows packed with documents that do not see each other",
            place="packing.py",
            origin="inferred",
        ),
        Component(name="rounds with their own mix and falling step size", place="rounds.py", origin="paper"),
        Component(name="choice of a mix by short annealing", place="rounds.py", origin="paper"),
        Component(
            name="fine-tuning of one document of both sequences", place="finetuning.py", origin="paper"
        ),
        Component(name="head on the last token", place="network.py", origin="inferred"),
        Component(
            name="fitness by log-likelihood, alone or together with the gene",
            place="scoring.py",
            origin="paper",
        ),
        Component(name="pairs judged in context, after demonstrations", place="scoring.py", origin="paper"),
    ),
    licences=(
        "genome of C. diphtheriae NCTC 11397 and chloroplast NC_000932 (NCBI RefSeq records): public domain",
    ),
    status=Status.MECHANISM,
    figures=(
        Figure(
            metric="nats a residue of a protein after its own gene",
            value=1.635,
            data="all windows of five codons of genes of C. diphtheriae, families that were not learned from (some 22,000), "
            "560,000 tokens, mean of three seeds",
            baseline="as many tokens of genes and proteins apart 2.86, residue frequencies 2.85, "
            "first-order Markov 2.85; translating by the genetic code 0",
            result="bsm.json:figures.pairs.mean.mixed.own_gene",
        ),
        Figure(
            metric="nats a residue by which another gene's window is worse, worst seed",
            value=2.10,
            data="the same, two other genes each",
            baseline="learned apart: at most 0.04 either way",
            result="bsm.json:figures.pairs.worst_mixed_gap",
        ),
        Figure(
            metric="ROC AUC of true proteins against two edits of each",
            value=0.934,
            data="three windows a gene; two of five residues exchanged for others as frequent",
            baseline="learned apart 0.497; translating by the genetic code 1",
            result="bsm.json:figures.pairs.mean.mixed.auroc",
        ),
        Figure(
            metric="the same after one demonstration",
            value=0.619,
            data="the first 150 windows",
            baseline="without demonstrations 0.935",
            result="bsm.json:figures.pairs.mean.mixed.auroc_1_shown",
        ),
        Figure(
            metric="validation loss of the mix that annealing chose, nats a token",
            value=1.974,
            data="twenty batches on half sequences alone, half pairs",
            baseline="sequences alone 2.402, pairs alone 1.987",
            result="bsm.json:figures.annealing.candidates.1.validation",
        ),
        Figure(
            metric="share of RNA-protein pairs told right (RPI1807)",
            value=0.915,
            data="649 pairs of entries of the PDB that were not learned from, 2,594 learned, the first 100 letters of each, two "
            "layers of width 128, one seed",
            baseline="logistic regression on 3-mers and 2-mers 0.965; the same on vectors of a network that was never trained "
            "0.897; all of one class 0.556",
            result="bsm_tasks.json:figures.rna_pairs.accuracy.bsm",
        ),
    ),
    limits=(
        "What it learns of genes and proteins here is the genetic code, in windows of five codons, which a table of codons "
        "knows without learning; of a protein alone it knows no more than residue frequencies.",
        "The control that learned apart has never seen sequences joined. In two seeds of three it passes over the gene (2.88 "
        "nats, 2.86 without) and the gap is -0.002 and 0.002, standard errors over genes below 0.001. In the third any gene "
        "disturbs it (5.17), its own more: -0.039, standard error 0.005, above the 0.02 nats that were allowed and no noise. "
        "Three windows a gene and one other gene had given -0.060, -0.011 and 0.001 for the same networks.",
        "Demonstrations make pairs harder to judge for a model that was trained on single pairs: train on documents of several "
        "(``related``, ``document``) before relying on them, and tune the threshold on pairs of your own.",
        "On RNA-protein pairs it is below logistic regression on counts of words, and hardly above what vectors of a network "
        "that was never trained give. Tried on 519 pairs of other entries of the training part (seed 100): counts in the same "
        "100 letters gave 0.963, in whole sequences 0.960, so the cut is not why. Fine-tuning gave 0.896, 0.927 and 0.927 after "
        "one, two and three epochs; a head on the mean of all tokens 0.844, 0.879 and 0.892, and was not kept. Both orders of a "
        "pair, other step sizes and longer pre-training were not tried.",
        "Fitness of TEM-1's variants without labels: Spearman 0.10, where BLOSUM62 gives 0.34. Localisation and stability were "
        "not measured, nor the paper's sizes.",
        "No weights are published, and the paper's training of 272 billion tokens cannot be repeated here: its benchmarks are "
        "not reproduced. Train on sequences close to what you ask about.",
        "Linked genes are those of one symbol, documents those of neighbours on a genome or of your texts: the paper's web pages "
        "and gene links are not at hand.",
        "Of a pair that the context does not hold, gene and protein are scored in windows of equal codons; other pairs are cut: "
        "``note`` tells, and an effect beyond the cut is missing.",
        "Where no column tells the kind, a peptide of A, C, G and T alone is read as DNA, and DNA with ambiguous letters other "
        "than N as a protein.",
        "The figures of genes and pairs are of networks with eight heads, a context of 104 tokens and a rotary base of 10,000, "
        "in place of the defaults, 4, 256 and 100,000.",
        "Words as targets (classes by name) are judged outside: fit with held_out=0.",
    ),
)
