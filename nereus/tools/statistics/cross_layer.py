"""Whether two layers measured on the same subjects agree, gene by gene, and which genes do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import special

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.aggregate import aggregate_rows
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.contrast_test import feature_columns
from nereus.tools.statistics.covariates import regressors
from nereus.tools.statistics.design import require_columns, subset_mask
from nereus.tools.statistics.feature_match import Match, match_features
from nereus.tools.statistics.layer_test import LayerTest
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.resampling import Tested, stability_share
from nereus.tools.statistics.row_correlation import Correlations, Kind, correlate_rows
from nereus.tools.statistics.self_planting import planted_confidence

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST_SUBJECTS = 6


class CrossLayerParams(Params):
    """Parameters of `cross_layer_correlation`."""

    subject: str | None = None
    """Column that names the subject in the first data set; None: sample names. Rows of a subject are averaged."""
    other_subject: str | None = None
    """The same in the other data set; None takes `subject` where that column exists there, else sample names."""
    covariates: tuple[str, ...] = ()
    """Columns of the first data set, constant within subjects, whose effects are taken out of both layers."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples of the first data set whose column equals the value."""
    method: Kind = "spearman"
    """Rank correlation, or Pearson's."""
    min_samples: int = Field(default=8, ge=5)
    """Least number of subjects with both values for a gene to be tested."""
    n_permutations: int = Field(default=100, ge=0, le=5000)
    """Exchanges of the subjects of the other layer (within covariate levels); 0 for none."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Half-samples of the subjects, for the column ``stability``."""
    n_plantings: int = Field(default=0, ge=0, le=100)
    """Copies with planted correlations, for the column ``confidence``; see `planted_confidence`."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which genes are counted."""


@dataclass(frozen=True)
class _Layers:
    """Two layers over the same subjects: shape (features, subjects) each."""

    first: FloatArray
    second: FloatArray
    subjects: tuple[str, ...]
    sheet: pd.DataFrame
    lost: tuple[int, int]


@tool(
    "cross_layer_correlation",
    version="3",
    summary="Correlation of two layers gene by gene over matched subjects; discordant genes; null by subject.",
    outputs=("table:cross_layer", "table:unmatched", "table:null"),
    seconds=6.0,
)
def cross_layer_correlation(
    dataset: AnnData, other: AnnData, params: CrossLayerParams, *, seed: int
) -> Result:
    """Correlate each feature with the same gene's feature in another layer.

    Subjects that both data sets have are used. Features are matched by identifier, accession or gene; of several
    features of a gene in the other layer the most completely observed one stands for it, while every feature of
    the first (each site, each protein group) keeps a row of its own.

    Parameters
    ----------
    dataset
        First layer, samples x features; its features are the rows of the table.
    other
        Second layer (RNA beside proteins, proteins beside sites).
    params
        See `CrossLayerParams`.
    seed
        Of the permutations.

    Returns
    -------
    Result
        Table ``cross_layer``, one row a matched feature in the order of the data set: feature, gene, effect (the
        correlation), se (of Fisher's z), ci_low, ci_high, statistic, df, p, q, n, other_feature, matched_by,
        n_alternatives, difference (Fisher's z minus that of the median feature), p_typical and q_typical (is the
        feature different from the typical one, beyond the spread that features have and its sampling error),
        discordant (lower than typical at q_typical <= level), stability (share of half-samples of subjects with the same
        sign and p < 0.05) and confidence (probability that layers correlate, by planting), NaN where not asked for.
        ``unmatched``
        (feature, layer, gene). ``null`` (permutation, n_significant, median). Values: n_matched, n_tested,
        n_significant, n_positive, n_negative, n_discordant, median, share_positive, null_p95, p_permutation,
        match_rate, calibrated, ece, brier (of the confidence), n_plantings ...

    Raises
    ------
    InputError
        Fewer than six subjects in both (three unmatched names of each side are listed), no matching feature, or
        an unknown column.

    Notes
    -----
    Subjects are exchanged as wholes, so that genes keep their correlations with each other. Correlation over
    subjects of different groups mixes agreement between groups and within them: name the group as a covariate
    for the latter.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> def layer(X):
    ...     obs = pd.DataFrame(index=[f"s{i}" for i in range(30)])
    ...     return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(20)]))
    >>> rna, protein = rng.normal(8, 1, size=(30, 20)), rng.normal(20, 1, size=(30, 20))
    >>> protein[:, :10] += 2 * rna[:, :10]
    >>> result = cross_layer_correlation(layer(protein), layer(rna), n_permutations=19)
    >>> result.values["n_tested"], result.values["n_positive"] >= 10
    (20, True)
    """
    layers = _layers(dataset, other, params)
    design, strata = _design(layers.sheet, params)
    names, genes = feature_columns(dataset)
    other_names, other_genes = feature_columns(other)
    match = match_features(names, genes, other_names, other_genes, np.isfinite(layers.second).sum(axis=1))
    rows = np.flatnonzero(match.place >= 0)
    if not len(rows):
        raise InputError(
            f"none of {len(names)} features has a counterpart among {len(other_names)}",
            where="cross-layer correlation",
            mend="annotate both with gene symbols first (annotate_genes)",
        )
    first, second = layers.first[rows], layers.second[match.place[rows]]
    found = correlate_rows(first, second, design, params.method, params.min_samples)
    tested = np.isfinite(found.p)
    q = benjamini_hochberg(found.p)
    typical = _against_typical(found, tested)
    test = LayerTest(first, second, design, strata, params.method, params.min_samples)
    seen = Tested(found.r, found.p)
    share, n_subsamples = stability_share(test, seen, params.n_subsamples, 0.05, seed)
    sure, planted = planted_confidence(test, seen, share, params.n_plantings, params.level, seed)
    table = _table(rows, names, match, other_names, found, q, typical, params.level)
    table = table.assign(stability=share, confidence=sure)
    null = _null(test, params, seed)
    significant = q <= params.level
    n_positive = int((significant & (found.r > 0)).sum())
    n_negative = int((significant & (found.r < 0)).sum())
    median = float(np.median(found.r[tested])) if tested.any() else float("nan")
    unmatched = _unmatched(names, match, other_names, other_genes)
    warnings = _warnings(layers, match, rows, tested, params)
    n_discordant = int(table["discordant"].sum())
    return Result(
        summary=(
            f"no feature of {len(rows)} could be tested over {len(layers.subjects)} subjects."
            if not tested.any()
            else f"median correlation {median:.2f} over {int(tested.sum())} features and {len(layers.subjects)} "
            f"subjects; {n_positive} rise together and {n_negative} against each other at q <= {params.level:g}; "
            f"{n_discordant} are lower than the typical one; {match.rate:.0%} of the features were matched."
        ),
        values={
            "n_subjects": len(layers.subjects),
            "n_subjects_lost": layers.lost[0],
            "n_subjects_lost_other": layers.lost[1],
            "n_features": len(names),
            "n_matched": len(rows),
            "match_rate": finite(match.rate),
            "n_tested": int(tested.sum()),
            "n_significant": n_positive + n_negative,
            "n_positive": n_positive,
            "n_negative": n_negative,
            "n_discordant": n_discordant,
            "median": finite(median),
            "share_positive": finite(float(np.mean(found.r[tested] > 0))) if tested.any() else None,
            "spread": finite(typical.spread),
            "null_mean": finite(null["n_significant"].mean()) if len(null) else None,
            "null_p95": finite(null["n_significant"].quantile(0.95)) if len(null) else None,
            "p_permutation": finite((1 + float((null["median"] >= median).sum())) / (1 + len(null)))
            if len(null) and np.isfinite(median)
            else None,
            "n_permutations": len(null),
            "n_subsamples": n_subsamples,
            **planted,
            "method": params.method,
            "level": params.level,
        },
        tables={"cross_layer": table, "unmatched": unmatched, "null": null},
        warnings=tuple(warnings),
        n_total=len(names),
        n_returned=len(rows),
    )


def _layers(dataset: AnnData, other: AnnData, params: CrossLayerParams) -> _Layers:
    where = "cross-layer correlation"
    require_columns(dataset.obs, [*([params.subject] if params.subject else []), *params.covariates], where)
    column = params.other_subject
    if column is None and params.subject is not None and params.subject in other.obs:
        column = params.subject
    if column is not None:
        require_columns(other.obs, [column], where)
    kept = subset_mask(dataset.obs, params.subset, where)
    ours = _subjects(dataset, params.subject)
    ours[~kept] = None
    theirs = _subjects(other, column)
    here, there = set(ours) - {None}, set(theirs) - {None}
    both = sorted(here & there)
    if len(both) < _LEAST_SUBJECTS:
        raise InputError(
            f"{len(both)} subjects are in both layers; only in the first: {sorted(here - there)[:3]}, only in "
            f"the other: {sorted(there - here)[:3]}",
            where=where,
            mend="name the columns of subjects (subject, other_subject)",
        )
    number = {name: at for at, name in enumerate(both)}
    parts, first_rows = [], []
    for data, named in ((dataset, ours), (other, theirs)):
        codes = np.array([number.get(name, -1) for name in named], dtype=np.intp)
        parts.append(aggregate_rows(abundance(data), codes, len(both), "mean").T)
        first_rows.append([int(np.flatnonzero(codes == at)[0]) for at in range(len(both))])
    _constant_within(dataset.obs, ours, params.covariates, where)
    sheet = dataset.obs.iloc[first_rows[0]].reset_index(drop=True)
    return _Layers(parts[0], parts[1], tuple(both), sheet, (len(here) - len(both), len(there) - len(both)))


def _constant_within(
    obs: pd.DataFrame, subject: npt.NDArray[np.object_], covariates: tuple[str, ...], where: str
) -> None:
    """`InputError` for a covariate that differs between the samples of a subject."""
    for name in covariates:
        levels = as_levels(obs[name]).fillna("").to_numpy()
        known = np.array([one is not None for one in subject])
        n_levels = pd.Series(levels[known]).groupby(subject[known]).nunique()
        if (n_levels > 1).any():
            raise InputError(
                f"covariate {name!r} differs between the samples of {int((n_levels > 1).sum())} subjects, such as "
                f"{n_levels.index[n_levels > 1][0]!r}",
                where=where,
                mend="leave it out, or keep one kind of sample a subject (subset)",
            )


def _subjects(dataset: AnnData, column: str | None) -> npt.NDArray[np.object_]:
    if column is None:
        return np.array([str(name) for name in dataset.obs_names], dtype=object)
    return np.array(list(as_levels(dataset.obs[column])), dtype=object)


def _design(sheet: pd.DataFrame, params: CrossLayerParams) -> tuple[FloatArray, IntArray]:
    """Intercept and covariates, and the strata within which subjects are exchanged."""
    known = regressors(sheet, params.covariates, "cross-layer correlation")
    strata = np.zeros(len(sheet), dtype=np.intp)
    if known.strata:
        joint = np.column_stack(known.strata)
        strata = np.unique(joint, axis=0, return_inverse=True)[1].ravel().astype(np.intp)
    return known.design(), strata


@dataclass(frozen=True)
class _Typical:
    """Difference of each feature from the typical one: Fisher's z, p, q; spread of the true values."""

    difference: FloatArray
    p: FloatArray
    q: FloatArray
    spread: float


def _against_typical(found: Correlations, tested: npt.NDArray[np.bool_]) -> _Typical:
    """Robust random-effects view: features scatter about their median by a spread of their own.

    The spread is the one that makes the middle half of the standardised differences as wide as a normal
    distribution; what lies beyond it and the sampling error is not typical.
    """
    n = len(found.z)
    blank = np.full(n, np.nan)
    if tested.sum() < 20:
        return _Typical(blank, blank, blank, float("nan"))
    z, se = found.z[tested], found.se[tested]
    away = z - np.median(z)
    low, high = 0.0, float(np.max(np.abs(away)))
    quartile = 0.6744897501960817
    for _ in range(50):
        guess = 0.5 * (low + high)
        wide = np.median(np.abs(away) / np.sqrt(se**2 + guess**2)) > quartile
        low, high = (guess, high) if wide else (low, guess)
    spread = 0.5 * (low + high)
    difference, p = blank.copy(), blank.copy()
    difference[tested] = away
    p[tested] = 2.0 * special.ndtr(-np.abs(away) / np.sqrt(se**2 + spread**2))
    return _Typical(difference, p, benjamini_hochberg(p), spread)


def _table(
    rows: IntArray,
    names: list[str],
    match: Match,
    other_names: list[str],
    found: Correlations,
    q: FloatArray,
    typical: _Typical,
    level: float,
) -> pd.DataFrame:
    low, high = found.interval()
    tested = np.isfinite(found.p)
    return pd.DataFrame(
        {
            "feature": [names[at] for at in rows],
            "gene": [match.gene[at] for at in rows],
            "effect": found.r,
            "se": found.se,
            "ci_low": np.where(tested, low, np.nan),
            "ci_high": np.where(tested, high, np.nan),
            "statistic": found.t,
            "df": found.df,
            "p": found.p,
            "q": q,
            "n": found.n.astype(np.int64),
            "other_feature": [other_names[match.place[at]] for at in rows],
            "matched_by": [match.how[at] for at in rows],
            "n_alternatives": match.n_alternatives[rows].astype(np.int64),
            "difference": typical.difference,
            "p_typical": typical.p,
            "q_typical": typical.q,
            "discordant": (typical.q <= level) & (typical.difference < 0),
        }
    )


def _null(test: LayerTest, params: CrossLayerParams, seed: int) -> pd.DataFrame:
    """Findings and median when the subjects of the other layer are exchanged within strata."""
    counts, medians = [], []
    for drawn in test.null_draws(params.n_permutations, np.random.default_rng(seed)):
        again = drawn.tested()
        known = np.isfinite(again.p)
        counts.append(int(np.sum(benjamini_hochberg(again.p) <= params.level)))
        medians.append(float(np.median(again.effect[known])) if known.any() else np.nan)
    return pd.DataFrame(
        {
            "permutation": [f"p{at + 1:04d}" for at in range(len(counts))],
            "n_significant": np.array(counts, dtype=np.int64),
            "median": np.array(medians, dtype=np.float64),
        }
    )


def _unmatched(
    names: list[str], match: Match, other_names: list[str], other_genes: list[str]
) -> pd.DataFrame:
    """Features of either layer without a counterpart; the key is the layer and the feature."""
    used = set(match.place.tolist())
    genes = {gene.upper() for gene in match.gene if gene}
    rows = [
        (f"first: {names[at]}", names[at], "first", match.gene[at]) for at in np.flatnonzero(match.place < 0)
    ]
    for at, name in enumerate(other_names):
        gene = "" if other_genes[at] in ("nan", "None") else other_genes[at]
        if at not in used and gene.upper() not in genes:
            rows.append((f"other: {name}", name, "other", gene))
    return pd.DataFrame(rows, columns=["key", "feature", "layer", "gene"])


def _warnings(
    layers: _Layers,
    match: Match,
    rows: IntArray,
    tested: npt.NDArray[np.bool_],
    params: CrossLayerParams,
) -> list[str]:
    notes = []
    if any(layers.lost):
        notes.append(
            f"{layers.lost[0]} subjects of the first and {layers.lost[1]} of the other layer have no counterpart"
        )
    if match.rate < 0.2:
        notes.append("fewer than a fifth of the features were matched: check identifiers and organism")
    if (~tested).any():
        notes.append(
            f"{int((~tested).sum())} of {len(rows)} matched features were not tested: fewer than "
            f"{params.min_samples} subjects with both values, or no variation"
        )
    return notes
