"""Limited proteolysis: proteins whose accessibility changes, from their peptides, free of changes in amount.

A peptide of a limited digest changes when its cleavage sites become more or less accessible, or when there is more or
less of its protein. Where the same samples were also digested in full, the protein's change is taken off. The
peptides of a protein are then combined into one p-value that pays for their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Result, finite, tool
from nereus.tools.proteomics.matrix import described
from nereus.tools.statistics.combination import combined_p_values
from nereus.tools.statistics.contrast_test import Comparison, TestOptions, compare
from nereus.tools.statistics.design import build_design
from nereus.tools.statistics.levels import MISSING_WORDS
from nereus.tools.statistics.moderated_t import benjamini_hochberg, t_quantile
from nereus.tools.statistics.relabelling import Relabelling
from nereus.tools.statistics.resampling import Tested, drawn_units, null_values, stability_share
from nereus.tools.statistics.result_table import Estimates, result_table
from nereus.tools.statistics.treat import treat

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


class LimitedProteolysisParams(TestOptions):
    """Parameters of `limited_proteolysis`: the comparison, and how peptides are combined."""

    contrast: Contrast
    """Levels a and b of a factor (treated and control); effects are a minus b."""
    protein: str = "protein"
    """Column of var that names the protein of a peptide."""
    combine: Literal["simes", "acat"] = "simes"
    """How the p-values of a protein's peptides become one: ``simes`` holds for peptides that go together, ``acat``
    (Cauchy) for any dependence in the tail and gains where few peptides change strongly.
    """
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which peptides and proteins are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Exchanged labellings, for the null distribution of the number of target proteins."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Subsamples of the units, for the column ``stability`` of the target proteins."""


@dataclass(frozen=True)
class PeptideTests:
    """Tests of all peptides, the protein's change taken off; arrays have shape (peptides,)."""

    effect: FloatArray
    se: FloatArray
    df: FloatArray
    statistic: FloatArray
    p: FloatArray
    raw: FloatArray
    """Effect before the protein's change was taken off."""
    protein_effect: FloatArray
    """Change of the protein; NaN where it was not measured."""


@dataclass(frozen=True)
class ProteolysisTest:
    """Arrays of a limited-proteolysis comparison.

    Attributes
    ----------
    peptides
        The comparison of the peptides.
    proteins
        The comparison of the proteins in full digests, or None.
    parent
        Row of each peptide's protein in `proteins`, -1 where it has none, shape (peptides,).
    owner
        Integer code of each peptide's protein, shape (peptides,).
    combine
        How peptides are combined.
    """

    peptides: Comparison
    proteins: Comparison | None
    parent: IntArray
    owner: IntArray
    combine: Literal["simes", "acat"]

    def peptide_tests(self) -> PeptideTests:
        """Test every peptide; variances of peptide and protein effects add."""
        fit = self.peptides.test()
        n = len(fit.effect)
        away, noise, away_df = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
        if self.proteins is not None:
            whole = self.proteins.test()
            has = self.parent >= 0
            rows = self.parent[has]
            away[has], noise[has], away_df[has] = whole.effect[rows], whole.se[rows], whole.df[rows]
        known = np.isfinite(away) & np.isfinite(noise) & np.isfinite(fit.effect)
        effect = np.where(known, fit.effect - away, fit.effect)
        one, two = fit.se**2, np.where(known, noise, 0.0) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            # Satterthwaite's degrees of freedom of a sum of two variances.
            df = (one + two) ** 2 / (one**2 / fit.df + np.where(known, two**2 / away_df, 0.0))
            se = np.sqrt(one + two)
        tested = np.isfinite(fit.p) & (se > 0)
        df = np.where(tested, df, np.nan)
        changed = tested & known
        beyond, beyond_p = treat(
            np.where(changed, effect, 1.0),
            np.where(changed, se, 1.0),
            np.where(changed, df, 1.0),
            self.peptides.options.lfc_min,
        )
        return PeptideTests(
            np.where(tested, effect, np.nan),
            np.where(tested, se, np.nan),
            df,
            np.where(changed, beyond, np.where(tested, fit.statistic, np.nan)),
            np.where(changed, beyond_p, np.where(tested, fit.p, np.nan)),
            np.where(tested, fit.effect, np.nan),
            np.where(known, away, np.nan),
        )

    def protein_p_values(self, p: FloatArray) -> FloatArray:
        """One p-value for each protein, shape (proteins,); NaN where no peptide was tested."""
        return combined_p_values(p, self.owner, self.combine)

    def tested(self) -> Tested:
        """Run the test of the proteins; a target has no direction."""
        p = self.protein_p_values(self.peptide_tests().p)
        return Tested(np.where(np.isfinite(p), 1.0, np.nan), p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[ProteolysisTest]:
        """Labels exchanged between independent units, in both data sets."""
        others = [] if self.proteins is None else list(self.proteins.labels.draws(n, rng))
        for i, labels in enumerate(self.peptides.labels.draws(n, rng)):
            proteins = self.proteins
            if proteins is not None and others:
                proteins = proteins.relabelled(others[i % len(others)])
            yield replace(self, peptides=self.peptides.relabelled(labels), proteins=proteins)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[ProteolysisTest]:
        """Part of the units of each group of the peptides' samples; the proteins' change stays as it was."""
        unit, strata = _units(self.peptides.labels)
        for units in drawn_units(strata, n, rng):
            rows = np.flatnonzero(np.isin(unit, units))
            yield replace(self, peptides=self.peptides.subsample(rows))


@tool(
    "limited_proteolysis",
    version="2",
    summary="Target proteins of limited proteolysis: peptides that change beyond their protein, combined by protein.",
    outputs=("table:targets", "table:peptides"),
    seconds=1.5,
)
def limited_proteolysis(
    dataset: AnnData, proteins: AnnData | None, params: LimitedProteolysisParams, *, seed: int
) -> Result:
    """Test peptides of a limited digest and rank the proteins that they come from.

    Parameters
    ----------
    dataset
        log2 abundances of peptides (or precursors) of the limited digest, obs = samples, var = peptides with the
        column `protein`.
    proteins
        log2 abundances of proteins in full digests of the same groups (its own samples), var = proteins named as in
        `protein`, or any one of the accessions of a group. None leaves changes in amount in the peptides.
    params
        See `LimitedProteolysisParams`.
    seed
        Of exchanged labels and subsamples.

    Returns
    -------
    Result
        Table ``targets``, a row a protein: feature (protein), gene, then effect, se, interval, statistic, df, n_a, n_b
        and mean of its peptide of least p (`lead_peptide`), p (of the protein: its peptides combined), q,
        ``n_peptides`` (tested), ``n_changed`` (q <= level among all peptides), ``protein_effect``, ``stability`` (NaN
        unless asked for). Table ``peptides``: the columns of every test table, ``protein``, ``raw_effect``,
        ``protein_effect``, ``adjusted`` (the protein's change was taken off). Values: n_targets, n_changed_peptides,
        n_proteins, n_adjusted, null_mean, null_p95, null_p_value ...

    Raises
    ------
    InputError
        As `build_design`; a data set without proteins of its peptides, or of proteins instead of peptides.

    Notes
    -----
    Feng et al. 2014, Nat Biotechnol 32:1036; Piazza et al. 2020, Nat Commun 11:4200. Effects and variances of peptide
    and protein are subtracted and added, with Satterthwaite's degrees of freedom, since the two digests are measured
    apart. Simes 1986, Biometrika 73:751; Liu & Xie 2020, J Am Stat Assoc 115:393 (Cauchy).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 0.2, size=(8, 60))
    >>> X[:4, 3:6] += [2, -2, 2]
    >>> obs = pd.DataFrame({"drug": list("yyyynnnn")}, index=[f"s{i}" for i in range(8)])
    >>> var = pd.DataFrame({"protein": [f"P{i // 3}" for i in range(60)]}, index=[f"pep{i}" for i in range(60)])
    >>> data = anndata.AnnData(X, obs=obs, var=var)
    >>> result = limited_proteolysis(data, contrast={"factor": "drug", "a": "y", "b": "n"})
    >>> targets = result.table("targets").set_index("feature")
    >>> targets["p"].idxmin(), int(targets.loc["P1", "n_changed"])
    ('P1', 3)
    """
    names, owner = owners_of(dataset, params.protein)
    design = build_design(dataset.obs, params.contrast, block_model=params.block_model)
    peptides = compare(dataset, design, params)
    whole, parent = None, np.full(len(names), -1, dtype=np.intp)
    warnings = list(design.warnings)
    if proteins is not None:
        whole = _protein_comparison(proteins, params)
        parent = _parents(names, proteins)
    test = ProteolysisTest(peptides, whole, parent, owner, params.combine)
    found = test.peptide_tests()
    q = benjamini_hochberg(found.p)
    reach = t_quantile(0.975, found.df) * found.se
    low, high = found.effect - reach, found.effect + reach
    n_a, n_b = peptides.counts()
    adjusted = np.isfinite(found.protein_effect)
    seen = np.isfinite(peptides.values)
    n = seen.sum(axis=1)
    mean = np.divide(
        np.where(seen, peptides.values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0
    )
    df = np.where(np.isinf(found.df), np.nan, found.df)
    peptide_table = result_table(
        dataset,
        Estimates(found.effect, found.se, low, high, found.statistic, df, found.p, q),
        n_a,
        n_b,
        mean,
        {
            "protein": np.array(names, dtype=object),
            "raw_effect": found.raw,
            "protein_effect": found.protein_effect,
            "adjusted": adjusted,
        },
    )
    p = test.protein_p_values(found.p)
    share, n_subsamples = stability_share(
        test, Tested(np.where(np.isfinite(p), 1.0, np.nan), p), params.n_subsamples, 0.05, seed
    )
    targets = _target_table(peptide_table, owner, p, q <= params.level)
    targets["stability"] = share
    tested = np.isfinite(p)
    n_targets = int((targets["q"] <= params.level).sum())
    n_adjusted = int((adjusted & np.isfinite(found.p)).sum())
    if proteins is not None and n_adjusted < int(np.isfinite(found.p).sum()):
        warnings.append(
            f"{int(np.isfinite(found.p).sum()) - n_adjusted} of {int(np.isfinite(found.p).sum())} tested peptides "
            "are of proteins without a measured change: a change in amount may hide in them"
        )
    if proteins is None:
        warnings.append(
            "no protein data set was given: a change in amount of a protein looks like a change of its structure"
        )
    missed = int((~np.isfinite(found.p)).sum())
    if missed:
        warnings.append(f"{missed} of {len(q)} peptides were not tested: too few values in a group")
    first = targets.loc[targets["p"].idxmin(), "feature"] if tested.any() else None
    return Result(
        summary=(
            f"{params.contrast.label}: {n_targets} of {int(tested.sum())} proteins change in accessibility at q <= "
            f"{params.level:g}; {int((q <= params.level).sum())} of {int(np.isfinite(found.p).sum())} peptides "
            f"change, {n_adjusted} of them tested beyond their protein."
        ),
        values={
            "n_peptides": len(q),
            "n_tested": int(np.isfinite(found.p).sum()),
            "n_changed_peptides": int((q <= params.level).sum()),
            "n_proteins": int(tested.sum()),
            "n_significant": n_targets,
            "n_targets": n_targets,
            "n_adjusted": n_adjusted,
            "first_target": first,
            "combine": params.combine,
            "n_samples_a": design.n_a,
            "n_samples_b": design.n_b,
            "n_dropped_samples": design.n_dropped,
            "least_p": finite(float(np.nanmin(p))) if tested.any() else None,
            "level": params.level,
            "n_subsamples": n_subsamples,
            **null_values(test, p, params.n_permutations, params.level, seed),
        },
        tables={"targets": targets, "peptides": peptide_table},
        warnings=tuple(warnings),
        n_total=len(targets),
        n_returned=len(targets),
    )


def owners_of(dataset: AnnData, column: str) -> tuple[list[str], IntArray]:
    """Name of each peptide's protein, and its integer code in the order of first appearance.

    Raises
    ------
    InputError
        No such column, proteins instead of peptides, peptides without a protein.
    """
    if column not in dataset.var:
        raise InputError(
            f"the peptides have no column {column!r}",
            where="var of the data set",
            mend=f"name the column that holds the protein of a peptide: {[str(c) for c in dataset.var.columns][:8]}",
        )
    if described(dataset).get("level") == "protein":
        raise InputError(
            "the data set holds proteins; limited proteolysis is read from peptides",
            mend="load the peptide or precursor table",
        )
    names = [str(name).strip() for name in dataset.var[column]]
    without = sum(name.lower() in MISSING_WORDS or name.lower() == "none" for name in names)
    if without:
        raise InputError(
            f"{without} peptides have no protein",
            where=f"var column {column!r}",
            mend="leave them out, or name their protein",
        )
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return names, np.array([order[name] for name in names], dtype=np.intp)


def _protein_comparison(proteins: AnnData, params: LimitedProteolysisParams) -> Comparison:
    try:
        design = build_design(proteins.obs, params.contrast, block_model=params.block_model)
    except InputError as error:
        raise InputError(
            error.what,
            where="protein data set",
            mend=f"{error.mend or ''}; it needs the same groups".lstrip("; "),
        ) from None
    return compare(proteins, design, params.model_copy(update={"lfc_min": 0.0}))


def _parents(names: list[str], proteins: AnnData) -> IntArray:
    """Row of each peptide's protein: by the whole name, else by the first accession that the table has."""
    whole: dict[str, int] = {}
    single: dict[str, int] = {}
    for row, name in enumerate(map(str, proteins.var_names)):
        whole.setdefault(name, row)
        for accession in name.split(";"):
            single.setdefault(accession.strip(), row)
    found = []
    for name in names:
        row = whole.get(name, -1)
        if row < 0:
            row = next((single[part.strip()] for part in name.split(";") if part.strip() in single), -1)
        found.append(row)
    return np.array(found, dtype=np.intp)


def _target_table(
    peptides: pd.DataFrame, owner: IntArray, p: FloatArray, changed: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """One row a protein, in the order in which proteins first appear."""
    rank = np.where(np.isfinite(peptides["p"]), peptides["p"], np.inf)
    order = np.lexsort((np.arange(len(rank)), rank, owner))
    lead = order[np.r_[0, np.flatnonzero(np.diff(owner[order])) + 1]] if len(order) else order
    table = peptides.iloc[lead].reset_index(drop=True)
    tested = np.isfinite(peptides["p"].to_numpy())
    n_owners = len(p)
    targets = table[
        ["effect", "se", "ci_low", "ci_high", "statistic", "df", "n_a", "n_b", "mean", "protein_effect"]
    ].copy()
    targets.insert(0, "feature", table["protein"].astype(str))
    targets.insert(1, "gene", table["gene"])
    targets.insert(8, "p", p)
    targets.insert(9, "q", benjamini_hochberg(p))
    targets["lead_peptide"] = np.where(np.isfinite(p), table["feature"], "")
    targets["n_peptides"] = np.bincount(owner[tested], minlength=n_owners).astype(np.int64)
    targets["n_changed"] = np.bincount(owner[changed], minlength=n_owners).astype(np.int64)
    return targets


def _units(labels: Relabelling) -> tuple[IntArray, IntArray]:
    """Unit of each sample, and the stratum of each unit within which subsamples are drawn; pairs are one unit."""
    if len(np.unique(labels.stratum)) > 1:
        unit = np.asarray(np.unique(labels.stratum[labels.unit], return_inverse=True)[1], dtype=np.intp)
        return unit, np.zeros(int(unit.max()) + 1, dtype=np.intp)
    return labels.unit, labels.label.astype(np.intp)
