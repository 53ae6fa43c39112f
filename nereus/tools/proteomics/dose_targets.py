"""Limited proteolysis with doses: proteins whose peptides follow the dose along a curve, and not at its top alone.

A compound in great excess changes proteins that it does not bind: solvent, precipitation, dying cells. Such a change
begins at the highest dose, where that of a target is well under way. A peptide therefore has to follow the dose twice,
with all doses and without the highest, and the peptides of a protein become one p-value that pays for their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.limited_proteolysis import owners_of
from nereus.tools.statistics.combination import combined_p_values
from nereus.tools.statistics.dose_curve import NullShares
from nereus.tools.statistics.dose_response import DoseResponseParams, DoseTest, dose_design, dose_response
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.resampling import Tested, null_values, stability_share
from nereus.tools.statistics.result_table import feature_values

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST_SAMPLES = 7
_OF_LEAD = (
    "effect", "se", "ci_low", "ci_high", "statistic", "df", "n_a", "n_b", "mean",
    "ec50", "ec50_low", "ec50_high", "ec50_in_range", "hill", "r2",
)  # fmt: skip


class DoseTargetsParams(Params):
    """Parameters of `dose_targets`."""

    dose: str
    """Numeric column of the dose, 0 for none; any unit."""
    protein: str = "protein"
    """Column of var that names the protein of a peptide."""
    combine: Literal["simes", "acat"] = "simes"
    """How the p-values of a protein's peptides become one; see `limited_proteolysis`."""
    curve: Literal["four", "three"] = "four"
    """Parameters of the curve; see `dose_response`."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""
    min_doses: int = Field(default=4, ge=3)
    """Least number of different doses with a value for a peptide to be tested."""
    leave_out_highest: bool = True
    """Whether a peptide must also follow the doses below the highest one; needs one dose more than a curve."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which peptides and proteins are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Times that the doses are exchanged between samples, for the null distribution of the number of targets."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Subsamples of the replicates, for the column ``stability`` of the targets."""

    def of_peptides(self) -> DoseResponseParams:
        """How one peptide is tested."""
        return DoseResponseParams(
            dose=self.dose, curve=self.curve, subset=self.subset, min_doses=self.min_doses, level=self.level
        )


@dataclass(frozen=True)
class DoseTargetsTest:
    """Arrays of the test.

    Attributes
    ----------
    peptides
        Test of every peptide along all doses.
    owner
        Integer code of each peptide's protein, shape (peptides,).
    combine
        How peptides are combined.
    leave_out
        Whether they must follow the doses without the highest, too.
    below
        Null distributions of the doses without the highest.
    """

    peptides: DoseTest
    owner: IntArray
    combine: Literal["simes", "acat"]
    leave_out: bool
    below: NullShares = field(default_factory=NullShares)

    def without_highest(self) -> DoseTest:
        """The same test of the samples below the highest dose."""
        dose = self.peptides.dose
        rows = np.flatnonzero(dose < dose.max())
        values = np.ascontiguousarray(self.peptides.values[:, rows])
        return replace(self.peptides, values=values, dose=dose[rows], nulls=self.below)

    def peptide_p_values(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """P along all doses, p without the highest (NaN where that is not asked), and the larger of them."""
        along = self.peptides.tested().p
        if not self.leave_out:
            return along, np.full(len(along), np.nan), along
        below = self.without_highest().tested().p
        return along, below, np.maximum(along, below)

    def protein_p_values(self, p: FloatArray) -> FloatArray:
        """One p-value for each protein, shape (proteins,); NaN where no peptide was tested."""
        return combined_p_values(p, self.owner, self.combine)

    def tested(self) -> Tested:
        """Run the test of the proteins; a target has no direction."""
        p = self.protein_p_values(self.peptide_p_values()[2])
        return Tested(np.where(np.isfinite(p), 1.0, np.nan), p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[DoseTargetsTest]:
        """Doses exchanged between samples; all peptides of a sample move together."""
        for drawn in self.peptides.null_draws(n, rng):
            yield replace(self, peptides=drawn)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[DoseTargetsTest]:
        """Part of the replicates of every dose that has several."""
        for smaller in self.peptides.subsamples(n, rng):
            yield replace(self, peptides=smaller, below=NullShares(draws=smaller.nulls.draws))


@tool(
    "dose_targets",
    version="1",
    summary="Target proteins of limited proteolysis with doses: peptides that follow the dose, combined by protein.",
    outputs=("table:targets", "table:peptides"),
    seconds=4.0,
)
def dose_targets(dataset: AnnData, params: DoseTargetsParams, *, seed: int) -> Result:
    """Fit a dose-response curve to every peptide of a limited digest and rank the proteins that they come from.

    Parameters
    ----------
    dataset
        log2 abundances of peptides (or precursors), obs = samples, var = peptides with the column `protein`.
    params
        See `DoseTargetsParams`.
    seed
        Of exchanged doses and subsamples; the p-values do not depend on it.

    Returns
    -------
    Result
        Table ``targets``, a row a protein: feature (protein), gene, then of its peptide of least p (`lead_peptide`) effect
        (fitted difference between highest and lowest dose, log2), se, interval, statistic, df, n_a, n_b and mean, ``ec50``
        with its interval (unit of the dose), ec50_in_range, hill, r2; p (of the protein: its peptides combined), q,
        ``p_all_doses`` (the same without the demand on the doses below the highest), ``n_peptides`` (tested),
        ``n_changed`` (q <= level among all peptides), ``highest_only`` (the protein follows all doses at the level, but
        not those below the highest), ``stability``. Table ``peptides``: the columns of `dose_response` with the
        larger p, ``p_all_doses``, ``p_without_highest``, ``protein``. Values: n_targets, n_changed_peptides, n_proteins,
        n_highest_only, highest_left_out, null_mean, null_p95, null_p_value ...

    Raises
    ------
    InputError
        As `dose_response`; a data set without proteins of its peptides, or of proteins instead of peptides.

    Notes
    -----
    Piazza et al. 2020, Nat Commun 11:4200 (targets from curves of peptides). The larger of two p-values is the p-value
    of both holding (intersection-union test; Berger 1982, Technometrics 24:295), so that the demand makes no finding
    that was not there. A target that binds at the highest dose only is missed and counted in ``n_highest_only``.
    Changes in the amount of a protein are not taken off: they move all its peptides in one direction.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> dose = np.repeat([0, 1, 10, 100, 1000, 10000], 3)
    >>> X = rng.normal(20, 0.2, size=(18, 60))
    >>> X[:, 3:6] += np.outer(dose / (dose + 50), [2, -2, 2])
    >>> obs = pd.DataFrame({"nM": dose}, index=[f"s{i}" for i in range(18)])
    >>> var = pd.DataFrame({"protein": [f"P{i // 3}" for i in range(60)]}, index=[f"pep{i}" for i in range(60)])
    >>> targets = dose_targets(anndata.AnnData(X, obs=obs, var=var), dose="nM").table("targets").set_index("feature")
    >>> targets["p"].idxmin(), int(targets.loc["P1", "n_changed"])
    ('P1', 3)
    """
    names, owner = owners_of(dataset, params.protein)
    least = 4 if params.curve == "four" else 3
    design = dose_design(dataset.obs, params.dose, params.subset, least)
    # By dose and name, so that nothing that is simulated or drawn depends on the order of the rows.
    samples = dataset.obs_names.astype(str).to_numpy()[design.samples]
    order = np.lexsort((samples, design.group))
    dose = design.group[order]
    under = dose[dose < dose.max()]
    enough = len(np.unique(under[under > 0])) >= least and len(under) >= _LEAST_SAMPLES
    values = feature_values(dataset, design)[:, order]
    of_peptides = params.of_peptides()
    test = DoseTargetsTest(
        DoseTest(values, dose, of_peptides), owner, params.combine, params.leave_out_highest and enough
    )
    curves = dose_response(dataset, **of_peptides.model_dump(), seed=seed)
    along, below, p = test.peptide_p_values()
    q = benjamini_hochberg(p)
    peptides = curves.table("dose_response").drop(columns=["stability", "confidence"])
    peptides["p"], peptides["q"] = p, q
    peptides["p_all_doses"], peptides["p_without_highest"] = along, below
    peptides["protein"] = np.array(names, dtype=object)
    of_protein = test.protein_p_values(p)
    found = Tested(np.where(np.isfinite(of_protein), 1.0, np.nan), of_protein)
    share, n_subsamples = stability_share(test, found, params.n_subsamples, 0.05, seed)
    targets = _target_table(peptides, owner, of_protein, test.protein_p_values(along), params.level)
    targets["stability"] = share
    tested = np.isfinite(of_protein)
    n_targets = int((targets["q"] <= params.level).sum())
    n_tested = int(np.isfinite(p).sum())
    n_highest = int(targets["highest_only"].sum())
    warnings = [
        *curves.warnings,
        "no proteins of full digests were taken off: a change in amount of a protein looks like a change of its structure",
    ]
    if params.leave_out_highest and not enough:
        warnings.append(
            "there are too few doses to leave out the highest: what happens at the highest dose only, as solvent or "
            "precipitation do, is not told apart from a target"
        )
    if n_highest:
        warnings.append(
            f"{n_highest} proteins change at the highest dose only and are not counted as targets (column highest_only)"
        )
    return Result(
        summary=(
            f"{params.dose}: peptides of {n_targets} of {int(tested.sum())} proteins follow the dose at q <= "
            f"{params.level:g}; {int((q <= params.level).sum())} of {n_tested} peptides do."
        ),
        values={
            "n_peptides": len(q),
            "n_tested": n_tested,
            "n_changed_peptides": int((q <= params.level).sum()),
            "n_proteins": int(tested.sum()),
            "n_significant": n_targets,
            "n_targets": n_targets,
            "n_highest_only": n_highest,
            "highest_left_out": test.leave_out,
            "first_target": targets.loc[targets["p"].idxmin(), "feature"] if tested.any() else None,
            "combine": params.combine,
            "n_samples": len(dose),
            "n_dropped_samples": design.n_dropped,
            "n_doses": len(np.unique(dose)),
            "least_p": finite(float(np.nanmin(of_protein))) if tested.any() else None,
            "level": params.level,
            "n_subsamples": n_subsamples,
            **null_values(test, of_protein, params.n_permutations, params.level, seed),
        },
        tables={"targets": targets, "peptides": peptides},
        warnings=tuple(warnings),
        n_total=len(targets),
        n_returned=len(targets),
    )


def _target_table(
    peptides: pd.DataFrame, owner: IntArray, p: FloatArray, along: FloatArray, level: float
) -> pd.DataFrame:
    """One row a protein, in the order in which proteins first appear; shown are the numbers of its leading peptide."""
    rank = np.where(np.isfinite(peptides["p"]), peptides["p"], np.inf)
    order = np.lexsort((np.arange(len(rank)), rank, owner))
    lead = order[np.r_[0, np.flatnonzero(np.diff(owner[order])) + 1]] if len(order) else order
    of_lead = peptides.iloc[lead].reset_index(drop=True)
    known = np.isfinite(p)
    targets = of_lead[list(_OF_LEAD)].copy()
    targets.insert(0, "feature", of_lead["protein"].astype(str))
    targets.insert(1, "gene", of_lead["gene"])
    q = benjamini_hochberg(p)
    targets.insert(7, "p", p)
    targets.insert(8, "q", q)
    targets["p_all_doses"] = along
    targets["lead_peptide"] = np.where(known, of_lead["feature"], "")
    tested = np.isfinite(peptides["p"].to_numpy(np.float64))
    changed = peptides["q"].to_numpy(np.float64) <= level
    targets["n_peptides"] = np.bincount(owner[tested], minlength=len(p)).astype(np.int64)
    targets["n_changed"] = np.bincount(owner[changed], minlength=len(p)).astype(np.int64)
    targets["highest_only"] = (benjamini_hochberg(along) <= level) & ~(q <= level)
    return targets
