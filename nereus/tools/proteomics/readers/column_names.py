"""What the column names of wide tables say: quantity and sample, feature annotation, or metadata of samples."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nereus.tools.proteomics.readers.recognise import canonical

_J = r"[\W_]+"
_QUANTITIES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("lfq", rf"^(?:max)?lfq(?:{_J}intensity)?{_J}(?P<sample>.+)$"),
        ("reporter", rf"^reporter{_J}(?:ion{_J})?intensit(?:y|ies){_J}(?:corrected{_J})?(?P<sample>.+)$"),
        ("reporter", rf"^totint{_J}(?P<sample>.+)$"),
        ("ibaq", rf"^ibaq{_J}(?P<sample>.+)$"),
        ("top3", rf"^top3{_J}(?P<sample>.+)$"),
        ("abundance", r"^abundances?\s*\(normalized\)\W+(?P<sample>.+)$"),
        ("intensity", rf"^(?:raw{_J})?intensity{_J}(?P<sample>.+)$"),
        ("abundance_raw", rf"^abundances?{_J}(?P<sample>.+)$"),
        ("area", rf"^area{_J}(?P<sample>.+)$"),
        ("ratio", r"^abundance ratio\W+(?P<sample>.+)$"),
        (
            "count",
            rf"^(?:spectral{_J}counts?|ms{_J}ms{_J}count|psms|peptides|razor{_J}unique{_J}peptides|unique{_J}peptides){_J}(?P<sample>.+)$",
        ),
        ("coverage", rf"^sequence{_J}coverage{_J}(?P<sample>.+)$"),
        ("lfq", rf"^(?P<sample>.+?){_J}(?:max)?lfq(?:{_J}intensity)?$"),
        ("unique_intensity", rf"^(?P<sample>.+?){_J}(?:unique|total){_J}intensity$"),
        ("intensity", rf"^(?P<sample>.+?){_J}(?:razor{_J})?intensity$"),
        ("intensity", r"^(?:\[\d+\]\s*)?(?P<sample>.+?)\.PG\.(?:Quantity|MS[12]Quantity)$"),
        ("log", r"^(?:\[\d+\]\s*)?(?P<sample>.+?)\.PG\.Log2Quantity$"),
        ("abundance", rf"^(?P<sample>.+?){_J}abundance$"),
        ("area", rf"^(?P<sample>.+?){_J}area$"),
        (
            "count",
            rf"^(?P<sample>.+?){_J}(?:(?:unique|total|razor){_J})?(?:spectral{_J}counts?|psms?|peptides|peptide{_J}count)$",
        ),
    )
)

_ANNOTATION = re.compile(
    r"^(?:mol_weight\w*|molecular_weight\w*|mw|mw_\w+|molweight\w*|mass|length|\w*seqlength|sequence_lengths?|protein_length|"
    r"score|\w+_score|coverage|\w*sequence_coverage\w*|coverage_\w+|peptides|\w+_peptides|n_peptides|peptide_counts?\w*|"
    r"peptide_count|psms?|psms_\w+|\w+_psms|\w*spectral_counts?|counts?|countstot|uniquetot|uniqfrac|ms_ms_count\w*|"
    r"q_?values?|\w+_q_?value|p_?values?|\w+_p_?value|pvals?|adj_p\w*|fdr|pep|anova\w*|fold_change|log2?_?fc|logfc|charge|"
    r"id|index|rank|row|counter|protgroup|origorder|number|no|nr|number_of_\w+|n_\w+|protein_probability|"
    r"top_peptide_probability|intensity|ibaq|ibaq_peptides|lfq|abundance|quantity|total_int|total_\w+|unique_\w+|corrected_\w+|"
    r"start\w*|end\w*|position\w*|retention_time\w*|rt|m_z|mz|missed_cleavages|calc_pi|pi|modifications?|entrez\w*|"
    r"gene_?id|taxon\w*|tax_id|organism_id|year|species|found_in_sample\w*|cv\w*|mean|median|sd|std|variance|"
    r"column_?\d*|unnamed_\d+)$"
)
_SUMMARY = re.compile(
    # A number behind it counts replicates: SD_1 may be a strain.
    r"^(?:(?:mean|average|avg|median|log2?_?fc|logfc|log2?_?fold_?change|log2?_ratio|ratio|p_?val(?:ue)?|q_?val(?:ue)?|adj_?p)"
    r"_(?!\d+$)\w+|\w+_(?:mean|average|avg|median|sd|sem|std|stdev|log2?_?fc|logfc|fold_?change|ratio|p_?val(?:ue)?|adj_?p\w*|fdr)|"
    r"aveexpr|avg_?expr|[tfz]_?(?:stat\w*|value|score)|statistic)$"
)
_METADATA = re.compile(
    r"^(?:age|sex|gender|bmi|height|time|timepoint|day|days|week|weeks|month|months|hour|hours|batch|plate|run|replicate|"
    r"rep|dose|concentration|conc|status|event|survival|group|class|label|condition|treatment|genotype|phenotype|disease|"
    r"diagnosis|subject|patient|donor|animal|mouse|sample|stage|grade|site|cohort|visit|fraction|order|injection|male|"
    r"female|smoker|smoking|behaviou?r|strain|tissue|cell_?line|date|operator|instrument|outcome|response|responder)(?:_\w*)?$"
)
_GENE = (
    "gene_names",
    "gene_name",
    "gene_symbol",
    "gene_symbols",
    "genes",
    "gene",
    "symbol",
    "genesymbol",
    "genename",
    "pg_genes",
)
_PROTEIN = (
    "majority_protein_ids",
    "protein_group",
    "protein_groups",
    "proteingroup",
    "proteingroups",
    "pg_proteingroups",
    "protein_ids",
    "proteins",
    "protein",
    "accession",
    "accessions",
    "proteinid",
    "protein_id",
    "protein_accession",
    "protein_accessions",
    "protein_accession_no",
    "uniprot",
    "uniprot_id",
    "uniprotid",
    "uniprot_accession",
    "uniprotkb",
    "leading_razor_protein",
    "master_protein_accessions",
    "entry",
)
_PEPTIDE = (
    "precursor_id",
    "modified_sequence",
    "modified_peptide",
    "peptide_modified_sequence",
    "peptide",
    "peptides",
    "peptide_sequence",
    "sequence",
    "sequenceid",
    "sequence_id",
    "stripped_sequence",
)
_OTHER = (
    "id",
    "ids",
    "name",
    "feature",
    "features",
    "feature_id",
    "probe",
    "probe_id",
    "analyte",
    "target",
    "marker",
    "",
)
_SAMPLE = re.compile(
    r"^(?:samples?|patients?|subjects?|mouse|mice|animals?|donors?|runs?|files?|raw_files?|cells?|case|cases|individuals?)"
)
_FEATURE = re.compile(
    r"(?:^|_)(?:proteins?|genes?|accessions?|uniprot|peptides?|sequenceid|proteinid|symbol|probe|description|feature)(?:_|$)"
)


def quantity_and_sample(name: str) -> tuple[str, str]:
    """Quantity and sample that a column name holds; ("value", name) where it names no quantity.

    >>> quantity_and_sample("IDHmut_4 MaxLFQ Intensity"), quantity_and_sample("TotInt_126C_MS2"), quantity_and_sample("A1")
    (('lfq', 'IDHmut_4'), ('reporter', '126C_MS2'), ('value', 'A1'))
    """
    if len(name) > 250:
        return "value", name  # a protein group; matching would be slow
    for kind, pattern in _QUANTITIES:
        if found := pattern.match(name.strip()):
            return kind, found["sample"].strip()
    return "value", name


def is_annotation(name: str) -> bool:
    """Whether a numeric column by this name describes features (length, score ...) and is no sample."""
    return bool(_ANNOTATION.match(canonical(name)))


def is_summary(name: str) -> bool:
    """Whether a numeric column by this name sums samples up (mean, fold change, p-value) and is none itself.

    >>> is_summary("Mean Control"), is_summary("log2FC_treated"), is_summary("Control_1")
    (True, True, False)
    >>> is_summary("SD_1")
    False
    """
    return bool(_SUMMARY.match(canonical(name)))


def is_metadata(name: str) -> bool:
    """Whether a column by this name describes samples (age, batch ...) and is no feature."""
    return bool(_METADATA.match(canonical(name)))


def find_column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """First column whose canonical name is among `names`, in the order of `names`."""
    by_name: dict[str, int] = {}
    for j, name in enumerate(header):
        by_name.setdefault(canonical(name), j)
    return next((by_name[name] for name in names if name in by_name), None)


def gene_column(header: Sequence[str]) -> int | None:
    """The column of gene names."""
    found = find_column(header, _GENE)
    if found is not None:
        return found
    return next((j for j, name in enumerate(header) if canonical(name).startswith("gene_symbol")), None)


def protein_columns(header: Sequence[str]) -> list[int]:
    """Columns that may hold protein identifiers, best first."""
    names = [canonical(name) for name in header]
    ordered = [names.index(wanted) for wanted in _PROTEIN if wanted in names]
    ordered += [
        j
        for j, name in enumerate(names)
        if j not in ordered and re.match(r"(?:uniprot_)?(?:protein_)?accession", name)
    ]
    return ordered


def peptide_column(header: Sequence[str]) -> int | None:
    """The column of peptide sequences or precursors."""
    return find_column(header, _PEPTIDE)


def other_id_columns(header: Sequence[str]) -> list[int]:
    """Columns whose name says "identifier" and no more."""
    names = [canonical(name) for name in header]
    return [names.index(wanted) for wanted in _OTHER if wanted in names]


def names_samples(name: str) -> bool:
    """Whether a column by this name holds sample names."""
    return bool(_SAMPLE.match(canonical(name)))


def names_features(name: str) -> bool:
    """Whether a column by this name holds feature names or describes features."""
    return bool(_FEATURE.search(canonical(name)))
