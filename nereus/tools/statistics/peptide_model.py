"""Which proteins differ between two groups, tested from their peptides: what few peptides say counts for less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import stats

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.background import Background, against_background, fit_background
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.contrast_test import Comparison, TestOptions, compare
from nereus.tools.statistics.design import BlockChoice, build_design
from nereus.tools.statistics.differential import effect_values, only, variance_values
from nereus.tools.statistics.empirical_bayes import fit_variance_prior, squeeze_variances
from nereus.tools.statistics.linear_model import fit_linear_model
from nereus.tools.statistics.moderated_t import Centre, ContrastFit, benjamini_hochberg, fit_contrast
from nereus.tools.statistics.result_table import Estimates, result_table
from nereus.tools.statistics.two_way import sample_effects

FloatArray = npt.NDArray[np.float64]

_TREND_PROTEINS = 200
"""Proteins from which on the prior variance follows what the peptides imply."""
_LEAST_DF = 3
_MOST_RATIO = 100.0
_HALVINGS = 60


class PeptideModelParams(Params):
    """Parameters of `peptide_model`."""

    contrast: Contrast
    """Levels a and b of a factor; effects are a minus b."""
    min_peptides: int = Field(default=1, ge=1)
    """Proteins with fewer quantified peptides are not tested."""
    robust: bool = True
    """Let peptides that disagree with the others of their protein weigh less (Huber)."""
    lfc_min: float = Field(default=0.0, ge=0.0)
    """Least absolute log2 fold change of interest (TREAT); 0 tests for any difference."""
    centre: Centre = "none"
    """Subtract the robust centre of all effects, or its running value over mean abundance."""
    background: Literal["none", "auto", "always"] = "auto"
    """Widen standard errors by what unchanged proteins differ between the groups; see `differential_abundance`."""
    block_model: BlockChoice = "auto"
    """How samples of one block are modelled; see `build_design`."""
    min_per_group: int = Field(default=2, ge=1)
    """Least number of units with a value in each group for a protein to be tested; four in all."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which proteins are counted as significant."""


@dataclass(frozen=True)
class Proteins:
    """Sample effects of all proteins.

    Attributes
    ----------
    dataset
        Samples x proteins, var ``gene, n_peptides``.
    peptides
        Effective peptides behind each value, shape (proteins, samples).
    variance, df
        Peptide residual variances and their degrees of freedom, shape (proteins,).
    """

    dataset: anndata.AnnData
    peptides: FloatArray
    variance: FloatArray
    df: FloatArray


@tool(
    "peptide_model",
    version="2",
    summary="Protein-level test from peptides: robust peptide and sample effects, weights by peptides, moderated.",
    outputs=("table:differential",),
    seconds=15.0,
)
def peptide_model(dataset: anndata.AnnData, params: PeptideModelParams, *, seed: int) -> Result:
    """Test every protein for a difference between levels a and b, from the values of its peptides.

    In the first stage each protein's peptides are fitted by peptide and sample effects, robustly. In the second
    the sample effects are compared by the linear model of `differential_abundance`, where a value weighs by the
    variance that it should have: what samples differ by themselves plus the peptide noise over the number of
    peptides. The ratio of the two variances is estimated from all proteins; the prior of a protein's variance
    follows what its own peptides imply. Samples, not peptides, are the replicates: degrees of freedom are those
    of samples.

    Parameters
    ----------
    dataset
        Peptide-level data set; X log2, samples x peptides, NaN missing; ``var["protein_group"]`` (or
        ``protein``) names the protein.
    params
        See `PeptideModelParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``differential`` with the columns of `differential_abundance`, one row a protein in the order of
        first appearance, then ``n_peptides``, ``peptide_sd`` (residual standard deviation of one peptide) and
        ``n_unlinked`` (samples whose peptides no chain links to the others: left out). Values: as
        `differential_abundance`, and ``sample_share`` (share of the variance of a value from a single peptide
        that more peptides cannot lower).

    Raises
    ------
    InputError
        No peptide-level data set, no protein with enough peptides, or as `build_design`.

    Notes
    -----
    Goeminne et al. 2016, Mol Cell Proteomics 15:657 (robust models of peptides, moderated variances); Sticker
    et al. 2020, Mol Cell Proteomics 19:1209 (the same in two stages). Proteins that are seen in one group only
    are a question for `detection_test`.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 2, size=120) + rng.normal(0, 0.3, size=(8, 120))
    >>> X[:4, :3] += 3
    >>> var = pd.DataFrame({"protein_group": [f"P{i // 3}" for i in range(120)]}, index=[f"pep{i}" for i in range(120)])
    >>> obs = pd.DataFrame({"group": list("aaaabbbb")}, index=[f"s{i}" for i in range(8)])
    >>> data = anndata.AnnData(X, obs=obs, var=var, uns={"nereus": {"level": "peptide"}})
    >>> result = peptide_model(data, contrast={"factor": "group", "a": "a", "b": "b"})
    >>> table = result.table()
    >>> table["feature"][table["p"].idxmin()], bool(table["q"][0] < 1e-4)
    ('P0', True)
    """
    design = build_design(dataset.obs, params.contrast, block_model=params.block_model)
    proteins = protein_profiles(dataset, design.samples, params.min_peptides, params.robust)
    options = TestOptions(
        lfc_min=params.lfc_min,
        centre=params.centre,
        background=params.background,
        block_model=params.block_model,
        min_per_group=params.min_per_group,
    )
    compared = compare(proteins.dataset, design, options)
    ratio = variance_ratio(compared, proteins)
    fit, background = _tested(compared, proteins, ratio, params)
    n_a, n_b = compared.counts()
    tested = np.isfinite(fit.p)
    q = benjamini_hochberg(fit.p)
    low, high = fit.interval()
    seen = np.isfinite(compared.values)
    count = seen.sum(axis=1)
    mean = np.divide(
        np.where(seen, compared.values, 0.0).sum(axis=1),
        count,
        out=np.full(len(count), np.nan),
        where=count > 0,
    )
    estimates = only(tested, Estimates(fit.effect, fit.se, low, high, fit.statistic, fit.df, fit.p, q))
    quantified = np.asarray(proteins.dataset.layers["n_quantified"])[design.samples].T
    unlinked = ((quantified > 0) & ~seen).sum(axis=1)
    blank = np.zeros(len(tested)) if background is None else np.sqrt(background.variance)
    table = result_table(
        proteins.dataset,
        estimates,
        n_a,
        n_b,
        mean,
        {
            "offset": np.where(tested, fit.offset, np.nan),
            "sd": np.where(tested, np.sqrt(fit.variance), np.nan),
            "background_sd": np.where(tested, blank, np.nan),
            "n_peptides": proteins.dataset.var["n_peptides"].to_numpy(dtype=np.int64),
            "peptide_sd": np.sqrt(proteins.variance),
            "n_unlinked": unlinked.astype(np.int64),
        },
    )
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    warnings = [*design.warnings, *corrected_notes(dataset)]
    if (~tested).any():
        warnings.append(
            f"{int((~tested).sum())} of {len(tested)} proteins were not tested: fewer than "
            f"{params.min_per_group} units with a value in a group"
        )
    if unlinked.any():
        warnings.append(
            f"{int((unlinked > 0).sum())} proteins have samples that share no peptide with the others: those "
            f"samples were left out there"
        )
    warnings += [] if background is None else background.warnings()
    one = int((proteins.dataset.var["n_peptides"] == 1).sum())
    beyond = f" by more than {params.lfc_min:g} log2 units" if params.lfc_min else ""
    return Result(
        summary=(
            f"{params.contrast.label}: {up + down} of {int(tested.sum())} tested proteins differ{beyond} at q <= "
            f"{params.level:g} ({up} higher in {params.contrast.a}, {down} lower); {design.n_a} vs {design.n_b} "
            f"samples, {int(proteins.dataset.var['n_peptides'].sum())} peptides."
        ),
        values={
            "n_features": len(tested),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_peptides": int(proteins.dataset.var["n_peptides"].sum()),
            "n_single_peptide": one,
            "sample_share": finite(ratio / (1.0 + ratio)),
            "n_samples_a": design.n_a,
            "n_samples_b": design.n_b,
            "n_dropped_samples": design.n_dropped,
            "block_model": design.block_model if design.block is not None else "none",
            "level": params.level,
            "lfc_min": params.lfc_min,
            "background_applied": background is not None,
            "background_ratio": finite(background.ratio) if background else None,
            "background_inflation": finite(background.inflation) if background else None,
            "unchanged_share": finite(background.unchanged) if background else None,
            **variance_values(fit, tested),
            **effect_values(fit, tested),
        },
        tables={"differential": table},
        warnings=tuple(warnings),
        n_total=len(tested),
        n_returned=len(tested),
    )


def protein_profiles(
    dataset: anndata.AnnData, samples: npt.NDArray[np.intp], min_peptides: int, robust: bool
) -> Proteins:
    """Sample effects of every protein, fitted on the samples of a comparison and NaN elsewhere."""
    column = next((name for name in ("protein_group", "protein") if name in dataset.var.columns), None)
    level = dict(dataset.uns.get("nereus", {})).get("level", "peptide")
    if level != "peptide" or column is None:
        raise InputError(
            f"the data set holds values of {level}s"
            if column
            else "no column names the protein of a peptide",
            where="peptide model",
            mend="load a peptide table with a column of proteins; for proteins use differential_abundance",
        )
    x = abundance(dataset)
    groups = dataset.var[column].astype(str).to_numpy()
    used = np.isfinite(x[samples]).any(axis=0) & ~np.isin(groups, ["", "nan", "None"])
    codes, names = pd.factorize(np.where(used, groups, None))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    members = [order[bounds[at] : bounds[at + 1]] for at in range(len(names))]
    kept = [at for at, one in enumerate(members) if len(one) >= min_peptides]
    if not kept:
        raise InputError(
            f"no protein has {min_peptides} quantified peptides",
            where="peptide model",
            mend="lower min_peptides, or check the column that names the proteins",
        )
    fits = [sample_effects(x[np.ix_(samples, members[at])].T, robust=robust) for at in kept]
    profile = np.full((dataset.n_obs, len(kept)), np.nan)
    profile[samples] = np.column_stack([fit.profile for fit in fits])
    gene = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else None
    var = pd.DataFrame(
        {
            "gene": ["" if gene is None else str(gene[members[at][0]]) for at in kept],
            "n_peptides": [float(len(members[at])) for at in kept],
        },
        index=pd.Index([str(names[at]) for at in kept], dtype=object),
    )
    made = anndata.AnnData(profile, obs=dataset.obs.copy(), var=var)
    made.layers["n_quantified"] = np.column_stack(
        [np.isfinite(x[:, members[at]]).sum(axis=1) for at in kept]
    ).astype(np.float64)
    return Proteins(
        made,
        np.stack([fit.peptides for fit in fits]),
        np.array([fit.variance for fit in fits]),
        np.array([fit.df for fit in fits]),
    )


def variance_ratio(compared: Comparison, proteins: Proteins) -> float:
    """Variance between samples over the variance of one peptide's residual, shared by all proteins.

    The sample effects of a protein vary about their groups by ``variance_of_a_peptide * (ratio + 1/peptides)``
    on average. The ratio is the one at which the median of observed over expected variance is that of the F
    distribution with their degrees of freedom.
    """
    design = compared.design
    linear = fit_linear_model(
        compared.values, design.matrix, design.contrast, block=design.block, correlation=compared.correlation
    )
    share = _mean_share(proteins.peptides)
    usable = (proteins.df >= _LEAST_DF) & (linear.df > 0) & (proteins.variance > 1e-12)
    usable &= np.isfinite(linear.variance)
    if usable.sum() < 10:
        return 1.0
    middle = stats.f.ppf(0.5, linear.df[usable], proteins.df[usable])
    observed = linear.variance[usable] / proteins.variance[usable] / middle
    low, high = 0.0, _MOST_RATIO
    for _ in range(_HALVINGS):
        guess = 0.5 * (low + high)
        if np.median(observed / (guess + share[usable])) > 1.0:
            low = guess
        else:
            high = guess
    return 0.5 * (low + high)


def _mean_share(peptides: FloatArray) -> FloatArray:
    """Mean of one over the effective peptides of the samples with a value, shape (proteins,)."""
    seen = peptides > 0
    inverse = np.divide(1.0, peptides, out=np.zeros_like(peptides), where=seen)
    return np.asarray(inverse.sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def _tested(
    compared: Comparison, proteins: Proteins, ratio: float, params: PeptideModelParams
) -> tuple[ContrastFit, Background | None]:
    """Weighted second stage with the prior along the implied variance, and the background where it applies."""
    design = compared.design
    shown = np.where(compared.testable()[:, None], compared.values, np.nan)
    seen = np.isfinite(shown)
    expected = ratio + np.divide(
        1.0, proteins.peptides, out=np.ones_like(proteins.peptides), where=proteins.peptides > 0
    )
    weights = np.where(seen, 1.0 / expected, 0.0)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(seen, weights / np.where(total > 0, total / count, 1.0), 1.0)
    linear = fit_linear_model(
        shown, design.matrix, design.contrast, weights=weights, block=design.block,
        correlation=compared.correlation,
    )  # fmt: skip
    prior = fit_variance_prior(proteins.variance, proteins.df)
    implied = squeeze_variances(proteins.variance, proteins.df, prior).variance
    along = np.log(np.maximum(implied * (ratio + _mean_share(proteins.peptides)), 1e-12))
    enough = int(compared.testable().sum()) >= _TREND_PROTEINS
    fit = fit_contrast(
        shown,
        design.matrix,
        design.contrast,
        prior_covariate=along if enough else None,
        lfc_min=params.lfc_min,
        block=design.block,
        block_model=design.block_model,
        correlation=compared.correlation,
        weights=weights,
        centre=params.centre,
        linear=linear,
    )
    if not compared.widened:
        return fit, None
    bare = replace(fit, effect=linear.effect, offset=np.zeros_like(fit.offset))
    background = fit_background(bare, along)
    if background is None:
        return fit, None
    return against_background(bare, background, params.lfc_min), background
