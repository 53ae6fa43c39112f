"""The methods text: sentences made from the steps that were really run, with the papers behind them.

Numbers in it are references to the parameters of those steps, so the text cannot say anything else than what was
done. A tool without a sentence here is described by its own one-line summary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nereus.agents.reporter.sources import Sources, path
from nereus.memory.records import CallStatus

PAPERS = {
    "limma": "Ritchie ME et al. limma powers differential expression analyses. Nucleic Acids Res 2015; 43: e47.",
    "smyth": "Smyth GK. Linear models and empirical Bayes methods for assessing differential expression in microarray "
    "experiments. Stat Appl Genet Mol Biol 2004; 3: 3.",
    "robust": "Phipson B et al. Robust hyperparameter estimation protects against hypervariable genes and improves "
    "power to detect differential expression. Ann Appl Stat 2016; 10: 946.",
    "treat": "McCarthy DJ, Smyth GK. Testing significance relative to a fold-change threshold is a TREAT. "
    "Bioinformatics 2009; 25: 765.",
    "blocks": "Smyth GK, Michaud J, Scott HS. Use of within-array replicate spots for assessing differential "
    "expression in microarray experiments. Bioinformatics 2005; 21: 2067.",
    "bh": "Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995; 57: 289.",
    "families": "Benjamini Y, Bogomolov M. Selective inference on multiple families of hypotheses. "
    "J R Stat Soc B 2014; 76: 297.",
    "simes": "Simes RJ. An improved Bonferroni procedure for multiple tests of significance. Biometrika 1986; 73: 751.",
    "permutation": "Phipson B, Smyth GK. Permutation P-values should never be zero. "
    "Stat Appl Genet Mol Biol 2010; 9: 39.",
    "stability": "Meinshausen N, Bühlmann P. Stability selection. J R Stat Soc B 2010; 72: 417.",
    "gsea": "Subramanian A et al. Gene set enrichment analysis. Proc Natl Acad Sci USA 2005; 102: 15545.",
    "maxlfq": "Cox J et al. Accurate proteome-wide label-free quantification by delayed normalization and maximal "
    "peptide ratio extraction, termed MaxLFQ. Mol Cell Proteomics 2014; 13: 2513.",
    "quantile": "Bolstad BM et al. A comparison of normalization methods for high density oligonucleotide array data. "
    "Bioinformatics 2003; 19: 185.",
    "perseus": "Tyanova S et al. The Perseus computational platform for comprehensive analysis of (prote)omics data. "
    "Nat Methods 2016; 13: 731.",
    "vsn": "Huber W et al. Variance stabilization applied to microarray data calibration and to the quantification of "
    "differential expression. Bioinformatics 2002; 18 Suppl 1: S96.",
    "lazar": "Lazar C et al. Accounting for the multiple natures of missing values in label-free quantitative proteomics "
    "data sets. J Proteome Res 2016; 15: 1116.",
    "dropout": "Ahlmann-Eltze C, Anders S. proDA: probabilistic dropout analysis for identifying differentially abundant "
    "proteins in label-free mass spectrometry. bioRxiv 2020; 661496.",
    "irs": "Plubell DL et al. Extended multiplexing of tandem mass tags (TMT) labeling. Mol Cell Proteomics 2017; 16: 873.",
    "ksea": "Casado P et al. Kinase-substrate enrichment analysis provides insights into the heterogeneity of signaling "
    "pathway activation in leukemia cells. Sci Signal 2013; 6: rs6.",
    "decoupler": "Badia-i-Mompel P et al. decoupleR: ensemble of computational methods to infer biological activities from "
    "omics data. Bioinform Adv 2022; 2: vbac016.",
    "progeny": "Schubert M et al. Perturbation-response genes reveal signaling footprints in cancer gene expression. "
    "Nat Commun 2018; 9: 20.",
    "hyperlopit": "Christoforou A et al. A draft map of the mouse pluripotent stem cell spatial proteome. "
    "Nat Commun 2016; 7: 9992.",
    "combat": "Johnson WE, Li C, Rabinovic A. Adjusting batch effects in microarray expression data using empirical Bayes "
    "methods. Biostatistics 2007; 8: 118.",
    "knn": "Troyanskaya O et al. Missing value estimation methods for DNA microarrays. "
    "Bioinformatics 2001; 17: 520.",
    "proteus": "Ding N et al. Automating exploratory proteomics research via language models. arXiv 2411.03743, 2024.",
    "anndata": "Virshup I et al. anndata: access and store annotated data matrices. J Open Source Softw 2024; 9: 4371.",
    "scipy": "Virtanen P et al. SciPy: fundamental algorithms for scientific computing in Python. "
    "Nat Methods 2020; 17: 261.",
    "crate": "Soiland-Reyes S et al. Packaging research artefacts with RO-Crate. Data Science 2022; 5: 97.",
}


@dataclass(frozen=True)
class Sentence:
    """One sentence of the methods text."""

    template: str
    """With references in place of numbers."""
    papers: tuple[str, ...]
    """Keys of `PAPERS`."""
    steps: tuple[str, ...]
    """Ids of the steps that it describes."""


@dataclass(frozen=True)
class _Step:
    id: str
    params: dict[str, Any]

    def ref(self, name: str, spec: str = "") -> str:
        """Reference to a parameter of this step."""
        return f"{{{{{path('param', self.id, name)}|{spec}}}}}" if name in self.params else "the default"

    def is_on(self, name: str) -> bool:
        return self.params.get(name) not in (None, False, 0, 0.0, "none", "", [], {})


Describe = Callable[[_Step], tuple[str, tuple[str, ...]]]


def _load(step: _Step) -> tuple[str, tuple[str, ...]]:
    dropped = [
        word
        for key, word in (
            ("contaminant", "contaminants"),
            ("reverse", "reversed sequences"),
            ("only_by_site", "groups identified only by a modified peptide"),
        )
        if step.params.get("drop", {}).get(key)
    ]
    removed = f" Rows flagged as {_and(dropped)} were removed." if dropped else ""
    return (
        "The table was read by content, not by name, and brought to a log2 scale; missing values were left missing."
        + removed,
        ("anndata",),
    )


def _summarise(step: _Step) -> tuple[str, tuple[str, ...]]:
    if step.params.get("method") == "maxlfq":
        return "Peptides were rolled up to proteins by maximal peptide ratios (MaxLFQ).", ("maxlfq",)
    return "Peptides were rolled up to proteins by median polish.", ()


def _filter(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        f"Features with fewer than {step.ref('min_present_per_group')} values in every group were left out.",
        (),
    )


def _normalise(step: _Step) -> tuple[str, tuple[str, ...]]:
    method = step.params.get("method")
    if method == "none":
        return "Samples were not normalised further.", ()
    if method == "quantile":
        return "Samples were normalised to common quantiles.", ("quantile",)
    if method == "stable_subset":
        return (
            "Samples were shifted to agree on the features of smallest spread "
            f"({step.ref('stable_share', '.0%')} of the well-detected ones), found iteratively.",
            (),
        )
    if method == "vsn":
        return "Variances were stabilised by a generalised logarithm fitted to each sample.", ("vsn",)
    if method == "cyclic_loess":
        return "Samples were bent onto their mean by smooth curves over abundance.", ("quantile",)
    return "Samples were shifted to equal medians of their differences to the feature means.", ()


def _impute(step: _Step) -> tuple[str, tuple[str, ...]]:
    method = step.params.get("method")
    if method == "down_shift":
        return "Missing values were drawn from the low end of each sample's distribution.", ("perseus",)
    if method in ("min_prob", "qrilc"):
        return "Missing values were drawn from the low end of each sample's distribution.", ("lazar",)
    if method == "mixed":
        return (
            "Why values are missing was decided feature by feature from a detection model of the whole table; weak and "
            "absent ones were drawn under it, random ones filled from the nearest features.",
            ("dropout", "knn"),
        )
    if method == "knn":
        return f"Missing values were filled from the {step.ref('n_neighbors')} nearest features.", ("knn",)
    if method == "mean":
        return "For display, missing values were replaced by the feature's mean.", ()
    return "No value was imputed.", ()


def _reference_scaling(step: _Step) -> tuple[str, tuple[str, ...]]:
    by = (
        "plex means"
        if step.params.get("method") == "plex_mean"
        else "reference channels, or plex means without them"
    )
    return f"Plexes were put on one scale, protein by protein, by {by} (internal reference scaling).", (
        "irs",
    )


def _correct_batch(step: _Step) -> tuple[str, tuple[str, ...]]:
    if step.params.get("method") == "centre":
        return "Batch means were subtracted, with the compared columns protected.", ()
    return "Batch effects were taken out by ComBat, with the compared columns protected.", ("combat",)


def _aggregate(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        f"Rows of one subject (column {_code(step.params.get('by'))}) were averaged by their "
        f"{step.params.get('method', 'mean')}, so that the subject is the unit of analysis and no technical replicate "
        "counts as evidence of its own.",
        (),
    )


def _differential(step: _Step) -> tuple[str, tuple[str, ...]]:
    papers = ["smyth", "limma", "bh"]
    text = (
        "Differences in abundance were tested with a linear model for each feature on the observed values and "
        "t statistics moderated by empirical Bayes"
        if step.params.get("method", "moderated_t") == "moderated_t"
        else "Differences in abundance were tested with a linear model for each feature on the observed values"
    )
    extras = []
    if step.is_on("trend"):
        extras.append("a prior variance that follows the mean abundance")
    if step.is_on("robust"):
        extras.append("robust moderation of hypervariable features")
        papers.append("robust")
    if step.is_on("lfc_min"):
        extras.append(f"a least absolute log2 fold change of {step.ref('lfc_min', '.3g')} (TREAT)")
        papers.append("treat")
    if extras:
        text += ", with " + _and(extras)
    text += ". "
    if step.is_on("centre"):
        text += "Effects were centred on the background that does not change, against shifts in composition. "
    contrast = step.params.get("contrast") or {}
    if contrast.get("covariates"):
        text += f"Covariates: {_and([_code(c) for c in contrast['covariates']])}. "
    if contrast.get("block"):
        text += f"Samples of one {_code(contrast['block'])} were modelled as a block. "
        papers.append("blocks")
    return text + "P-values were adjusted by Benjamini and Hochberg's procedure within each table.", tuple(
        papers
    )


def _detection(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Features seen in one group and missing in the other were tested for detection, without imputing a value.",
        ("bh",),
    )


def _rank(_: _Step) -> tuple[str, tuple[str, ...]]:
    return "Groups were also compared by ranks, exactly where the groups are small.", ()


def _association(step: _Step) -> tuple[str, tuple[str, ...]]:
    how = "rank correlation" if step.params.get("method") == "spearman" else "moderated linear regression"
    return f"Associations with continuous variables were tested by {how}.", ("smyth", "bh")


def _permutation(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        f"The same test was repeated on up to {step.ref('n_permutations', 'int')} relabellings of the subjects, "
        "to see how many findings chance alone would give.",
        ("permutation",),
    )


def _stability(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        f"Stability is the share of {step.ref('n_subsamples')} half-samples of subjects in which a finding keeps its "
        "direction and stays nominally significant.",
        ("stability",),
    )


def _fdr(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Across all tables of the run the false discovery rate was controlled hierarchically at "
        f"{step.ref('level', '.3g')}: tables were selected by their Simes p-values, findings within the selected ones.",
        ("families", "simes"),
    )


def _calibrate(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Confidence is calibrated by self-planting: on this very data set, subjects were relabelled, effects of known "
        "size planted in the proportions that the data's own statistics suggest, the same test run, and the share of "
        "planted effects among findings of equal strength fitted monotonically. It covers statistical truth in this "
        "data set, not biology.",
        (),
    )


def _gsea(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        f"Gene sets were tested by gene set enrichment analysis with {step.ref('n_permutations', 'int')} random sets "
        "as the null and the measured features as background.",
        ("gsea", "bh"),
    )


def _kinases(step: _Step) -> tuple[str, tuple[str, ...]]:
    found = {"substrates": "known substrate sites", "motifs": "sites with consensus motifs"}.get(
        str(step.params.get("evidence")),
        "known substrate sites, or of sites with consensus motifs without a table",
    )
    return (
        f"Kinase activities were inferred from the test statistics of {found}, against exchanged statistics.",
        ("ksea", "decoupler"),
    )


def _factors(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Activities of transcription factors were inferred from their targets or, without a table of these, of pathways "
        "from the genes that respond to them.",
        ("decoupler", "progeny"),
    )


def _interactome(step: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Preys were scored by a moderated t against a least enrichment over repeated draws of missing values, and ranked "
        "by the lower end of the interval of their enrichment.",
        ("limma", "lazar"),
    )


def _organelles(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Proteins were assigned to organelles by a calibrated support vector machine on the profiles of markers, judged "
        "by nested cross-validation; proteins unlike the markers stay unknown.",
        ("hyperlopit",),
    )


def _ora(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Over-representation of gene sets was tested against the tested features as background, "
        "up and down separately.",
        ("bh",),
    )


def _quality(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Samples were checked for missingness, outlying distributions and low correlation with the others.",
        (),
    )


def _quantities(_: _Step) -> tuple[str, tuple[str, ...]]:
    return "Where the file holds several quantities, they were combined feature by feature.", ()


def _remove(_: _Step) -> tuple[str, tuple[str, ...]]:
    return "Outlying samples were left out where the plan says so.", ()


def _screen(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Sample columns were screened by how much of the total variance they explain under relabelling.",
        (),
    )


def _batch(step: _Step) -> tuple[str, tuple[str, ...]]:
    batches = _and([_code(name) for name in step.params.get("batch", ())] or ["none"])
    return (
        f"Whether a batch ({batches}) drives the variance, and whether it can be told apart from the factor of interest, "
        "was examined before it was modelled.",
        (),
    )


def _power(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Sample sizes of proposed experiments come from the noncentral t distribution at this data set's spread.",
        (),
    )


def _cluster(_: _Step) -> tuple[str, tuple[str, ...]]:
    return (
        "Samples were clustered without looking at any sample column, and again on subsamples to see what is stable.",
        (),
    )


def _pca(_: _Step) -> tuple[str, tuple[str, ...]]:
    return "Principal components and the share of variance that each sample column explains were computed.", (
        "scipy",
    )


def _annotate(_: _Step) -> tuple[str, tuple[str, ...]]:
    return "Gene symbols and the organism were filled in from the accessions, offline.", ()


_SENTENCES: dict[str, Describe] = {
    "load_dataset": _load,
    "summarise_peptides": _summarise,
    "annotate_genes": _annotate,
    "quality_control": _quality,
    "remove_samples": _remove,
    "combine_quantities": _quantities,
    "normalise": _normalise,
    "internal_reference_scaling": _reference_scaling,
    "correct_batch": _correct_batch,
    "filter_features": _filter,
    "aggregate_replicates": _aggregate,
    "impute": _impute,
    "pca_variance": _pca,
    "batch_check": _batch,
    "screen_factors": _screen,
    "consensus_clusters": _cluster,
    "differential_abundance": _differential,
    "detection_test": _detection,
    "rank_test": _rank,
    "continuous_association": _association,
    "stability": _stability,
    "permutation_null": _permutation,
    "run_wide_fdr": _fdr,
    "calibrate_confidence": _calibrate,
    "enrichment_gsea": _gsea,
    "enrichment_ora": _ora,
    "kinase_activity": _kinases,
    "factor_activity": _factors,
    "score_interactome": _interactome,
    "classify_organelles": _organelles,
    "power": _power,
}
_LEARNED = (
    "The order of the questions, checks that stand beside a test, and which steps were accepted without asking follow "
    "from earlier runs about other data (in run.json); tests, thresholds, error rates and confidence do not."
)
# Steps that draw or book-keep need no sentence.
_SILENT = ("plot_", "profile_dataset", "compose_claims", "gather_claims")


def methods(sources: Sources) -> list[Sentence]:
    """Sentences in the order of the field: reading, preparing, testing, controlling; equal sentences once."""
    from nereus.tools import registry

    found: dict[str, Sentence] = {}
    again = [
        step
        for workflow in sources.record.workflows
        if workflow.template == "verification"
        for step in workflow.steps
    ]
    order = [*_SENTENCES, *(name for name in registry.names() if name not in _SENTENCES)]
    calls = [
        (step_id, sources.record.calls[key])
        for step_id, key in sources.call_of_step.items()
        if key in sources.record.calls and sources.record.calls[key].status is CallStatus.OK
    ]
    rank = {tool: position for position, tool in enumerate(order)}
    for step_id, call in sorted(calls, key=lambda item: rank.get(item[1].spec.tool, len(rank))):
        tool = call.spec.tool
        if tool.startswith(_SILENT) or any(step_id == step.id for step in again):
            continue
        step = _Step(step_id, call.spec.params)
        if tool in _SENTENCES:
            template, papers = _SENTENCES[tool](step)
        elif tool in registry.CATALOGUE:
            template, papers = registry.get(tool).summary, ()
        else:
            continue
        # Steps with equal parameters make equal sentences, but for the step that a reference names.
        key = template.replace(f":{step_id}/", ":/")
        key += repr(
            sorted(
                (k, v) for k, v in call.spec.params.items() if f"/{k}|" in template or f"/{k}}}" in template
            )
        )
        before = found.get(key)
        found[key] = Sentence(
            before.template if before else template, papers, (*(before.steps if before else ()), step_id)
        )
    sentences = list(found.values())
    if "learned" in sources.record.header.fingerprint_parts:
        sentences.append(Sentence(_LEARNED, (), ()))
    done = [step for step in again if step.call_key]
    if done:
        what = _and(
            list(dict.fromkeys(step.purpose for step in done if step.purpose)) or ["with other choices"]
        )
        text = f"Claims were then tested again under choices that could have been made otherwise: {what}."
        sentences.append(Sentence(text, (), tuple(step.id for step in done)))
    return sentences


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _code(word: object) -> str:
    return f"‘{word}’"
