"""The one numeric pipeline of a comparison: what tests it also permutes, subsamples and plants it.

Whatever judges a test must run the same test. `Comparison` holds the arrays and `Comparison.test` runs
linear model, moderated variances that follow the expected precision, and the background of the comparison
where it applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import tee
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.statistics.background import (
    Background,
    against_background,
    fit_background,
    needs_background,
)
from nereus.tools.statistics.design import (
    Design,
    build_design,
    build_variable_design,
    require_columns,
)
from nereus.tools.statistics.linear_model import LinearFit, consensus_correlation, fit_linear_model
from nereus.tools.statistics.model_options import ModelOptions
from nereus.tools.statistics.moderated_t import Centre, ContrastFit, fit_contrast
from nereus.tools.statistics.relabelling import Relabelling, relabelling
from nereus.tools.statistics.repeated_fit import RepeatedFit
from nereus.tools.statistics.result_table import feature_values, observed_units
from nereus.tools.statistics.variance_trend import expected_log_variance

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

PriorCovariate = Literal["auto", "none", "intensity", "peptides", "precision"]

_TREND_FEATURES = 200
"""Features from which on ``prior_covariate="auto"`` lets the prior variance follow the expected precision."""


class TestOptions(ModelOptions):
    """How a comparison is tested; equal in every tool that tests, permutes, subsamples or plants."""

    __test__ = False  # not a test case, whatever its name

    method: Literal["moderated_t", "ordinary_t"] = "moderated_t"
    """``moderated_t`` shrinks the variances towards a common prior, ``ordinary_t`` takes each as it is."""
    prior_covariate: PriorCovariate = "none"
    """What the prior variance follows: mean abundance, number of peptides, or both (``precision``);
    ``auto`` is ``precision`` from 200 features on and ``none`` below.
    """
    lfc_min: float = Field(default=0.0, ge=0.0)
    """Least absolute log2 fold change of interest (TREAT); 0 tests for any difference."""
    centre: Centre = "none"
    """Subtract the robust centre of all effects, or its running value over mean abundance; where `background`
    applies, its centre is subtracted instead.
    """
    background: Literal["none", "auto", "always"] = "none"
    """Widen standard errors by what unchanged features differ between the groups, and centre on them, also where
    many changed and the others can be told from them;
    ``auto``: where labels have fewer than 1,000 distinct splits and 200 or more features are tested.
    """
    min_per_group: int = Field(default=2, ge=1)
    """Least number of units with a value in each group for a feature to be tested; four in all."""


class ComparisonOptions(TestOptions):
    """What is compared, and how: of two levels, or along a continuous variable."""

    contrast: Contrast | None = None
    """Levels a and b of a factor."""
    variable: str | None = None
    """Continuous variable; exclusive with `contrast`."""
    covariates: tuple[str, ...] = ()
    """Covariates of an association; those of a comparison are in `contrast`."""
    block: str | None = None
    """Block of an association."""
    unit: str | None = None
    """Column of the independent unit (subject) whose samples keep one label; None: blocks, else samples."""


@dataclass(frozen=True)
class Comparison:
    """Arrays of one comparison.

    Attributes
    ----------
    values
        log2 abundances of the samples used, shape (features, samples).
    design
        Their design.
    options
        How it is tested.
    labels
        Exchangeable units.
    n_peptides
        Peptides behind each feature, shape (features,), or None.
    widened
        Whether the background belongs into the test. Decided once, from the whole comparison.
    correlation
        Correlation within blocks, estimated once; None without correlated blocks.
    weights
        Precisions of the values, shape (features, samples), or None.
    """

    values: FloatArray
    design: Design
    options: TestOptions
    labels: Relabelling
    n_peptides: FloatArray | None = None
    widened: bool = False
    correlation: float | None = None
    weights: FloatArray | None = None

    @property
    def continuous(self) -> bool:
        """Whether a variable is tested and not two levels."""
        return not np.isin(self.design.group, (0.0, 1.0)).all()

    def counts(self) -> tuple[IntArray, IntArray]:
        """Observed samples in groups a and b (or: all, 0), shape (features,)."""
        if self.continuous:
            n = np.isfinite(self.values).sum(axis=1)
            return n, np.zeros_like(n)
        return observed_units(self.values, self.design)

    def group_units(self) -> tuple[int, int]:
        """Units in groups a and b, with or without a value."""
        n_a, n_b = observed_units(np.zeros((1, len(self.design.group))), self.design)
        return int(n_a[0]), int(n_b[0])

    def testable(self) -> npt.NDArray[np.bool_]:
        """Features with enough observed samples, shape (features,)."""
        n_a, n_b = self.counts()
        return self._enough(n_a, n_a, n_b)

    def _enough(self, n: IntArray, n_a: IntArray, n_b: IntArray) -> npt.NDArray[np.bool_]:
        """Whether so many observed units, in all and in each group, allow a test."""
        if self.continuous:
            return np.asarray(n >= max(4, self.design.matrix.shape[1] + 2))
        least = self.options.min_per_group
        return np.asarray((n_a >= least) & (n_b >= least) & (n_a + n_b >= 4))

    def test(self) -> ContrastFit:
        """Run the pipeline."""
        return self.test_with_background()[0]

    def test_with_background(self) -> tuple[ContrastFit, Background | None]:
        """Run the pipeline; also the background that was put into it, None where there was none."""
        testable = self.testable()
        shown = np.where(testable[:, None], self.values, np.nan)
        design = self.design
        linear = fit_linear_model(
            shown,
            design.matrix,
            design.contrast,
            weights=self.weights,
            block=design.block,
            correlation=self.correlation,
        )
        return self._judged(linear, testable)

    def _judged(
        self, linear: LinearFit, testable: npt.NDArray[np.bool_]
    ) -> tuple[ContrastFit, Background | None]:
        """Moderated test of the least-squares estimates of the testable features."""
        design, options, peptides = self.design, self.options, self.n_peptides
        follows = self._follows(int(testable.sum()))
        along = None
        if follows == "precision" or self.widened:
            along = expected_log_variance(linear.variance, linear.df, linear.mean, peptides)
        fit = fit_contrast(
            self.values,
            design.matrix,
            design.contrast,
            prior_covariate=along if follows == "precision" else self._prior_covariate(follows, linear.mean),
            robust=options.robust,
            lfc_min=options.lfc_min,
            block=design.block,
            block_model=design.block_model,
            correlation=self.correlation,
            weights=self.weights,
            centre=options.centre,
            moderate=options.method == "moderated_t",
            linear=linear,
        )
        if not self.widened or along is None:
            return fit, None
        # The background has a centre of its own: that of all effects is no centre where many changed.
        bare = replace(fit, effect=linear.effect, offset=np.zeros_like(fit.offset))
        background = fit_background(bare, along)
        if background is None:
            return fit, None
        return against_background(bare, background, options.lfc_min), replace(background, plain_p=fit.p)

    def relabelled_tests(self, labellings: Iterable[FloatArray]) -> Iterator[ContrastFit]:
        """Test under each of `labellings`, shape (samples,): what ``relabelled(labels).test()`` finds."""
        if not self._repeats:
            yield from (self.relabelled(labels).test() for labels in labellings)
            return
        repeated = RepeatedFit(self.values, self.design.matrix)
        ahead, labels_again = tee(labellings)
        fits = repeated.relabelled(map(self._column, labels_again))
        for labels, linear in zip(ahead, fits, strict=True):
            in_a, in_b = repeated.counts(np.stack([labels == 1.0, labels == 0.0]).astype(np.float64))
            testable = self._enough(linear.n, in_a, in_b)
            yield self._judged(_only(linear, testable), testable)[0]

    def subsampled_tests(self, subsamples: Iterable[IntArray]) -> Iterator[ContrastFit]:
        """Test in each of `subsamples`, positions of samples: what ``subsample(samples).test()`` finds."""
        if not self._repeats:
            yield from (self.subsample(samples).test() for samples in subsamples)
            return
        repeated = RepeatedFit(self.values, self.design.matrix)
        ahead, samples_again = tee(subsamples)
        groups = np.stack([self.design.group == 1.0, self.design.group == 0.0]).astype(np.float64)
        for samples, linear in zip(ahead, repeated.subsampled(samples_again), strict=True):
            drawn = np.bincount(samples, minlength=groups.shape[1])
            in_a, in_b = repeated.counts(groups * drawn)
            testable = self._enough(linear.n, in_a, in_b)
            yield self._judged(_only(linear, testable), testable)[0]

    @property
    def _repeats(self) -> bool:
        """Whether repeated fits can share what does not change between them."""
        return self.weights is None and self.design.block is None

    def _follows(self, n_testable: int) -> PriorCovariate:
        """What the prior variance follows among so many features."""
        choice = self.options.prior_covariate
        if choice == "auto":
            choice = "precision" if n_testable >= _TREND_FEATURES else "none"
        return choice

    def _prior_covariate(self, follows: PriorCovariate, mean: FloatArray) -> FloatArray | None:
        peptides = self.n_peptides
        if follows == "peptides" and peptides is not None:
            return np.where(np.isfinite(peptides), np.log2(np.maximum(peptides, 0.0) + 1.0), np.nan)
        return mean if follows == "intensity" or self.options.trend else None

    def relabelled(self, group: FloatArray) -> Comparison:
        """Give the samples other labels."""
        matrix = self.design.matrix.copy()
        matrix[:, 1] = self._column(group)
        return replace(
            self, design=replace(self.design, matrix=matrix, group=np.asarray(group, dtype=np.float64))
        )

    def _column(self, group: FloatArray) -> FloatArray:
        """Tested column of the design under labels `group`."""
        return (group - group.mean()) / self.design.scale if self.continuous else group

    def with_values(self, values: FloatArray) -> Comparison:
        """Put other values into the same samples."""
        return replace(self, values=values)

    def subsample(self, samples: IntArray) -> Comparison:
        """Keep some of the samples."""
        block = self.design.block
        smaller = replace(
            self.design,
            samples=self.design.samples[samples],
            matrix=self.design.matrix[samples],
            group=self.design.group[samples],
            block=None if block is None else block[samples],
        )
        weights = None if self.weights is None else self.weights[:, samples]
        return replace(self, values=self.values[:, samples], design=smaller, weights=weights)


def _only(linear: LinearFit, testable: npt.NDArray[np.bool_]) -> LinearFit:
    """Estimates as if the features that are not testable had no value at all."""
    if testable.all():
        return linear
    blank = np.where(testable, 0.0, np.nan)
    return LinearFit(
        linear.effect + blank,
        linear.unscaled_sd + blank,
        linear.variance + blank,
        np.where(testable, linear.df, 0.0),
        np.where(testable, linear.n, 0),
        linear.mean + blank,
    )


def comparison(dataset: AnnData, options: ComparisonOptions) -> Comparison:
    """Read the arrays of a comparison from a data set.

    Raises
    ------
    InputError
        Neither or both of contrast and variable are named; and everything that `build_design` refuses.
    """
    if (options.contrast is None) == (options.variable is None):
        raise InputError(
            "name either a contrast or a variable",
            mend="contrast={'factor': ..., 'a': ..., 'b': ...} or variable='...'",
        )
    if options.contrast is not None:
        design = build_design(dataset.obs, options.contrast, block_model=options.block_model)
    else:
        design = build_variable_design(
            dataset.obs,
            str(options.variable),
            options.covariates,
            options.block,
            block_model=options.block_model,
        )
    unit = None
    if options.unit is not None:
        require_columns(dataset.obs, [options.unit], "unit of permutation")
        unit = dataset.obs[options.unit].to_numpy(dtype=object)[design.samples]
    return compare(dataset, design, options, unit=unit)


def compare(
    dataset: AnnData,
    design: Design,
    options: TestOptions,
    *,
    unit: npt.NDArray[np.object_] | None = None,
    weights: FloatArray | None = None,
) -> Comparison:
    """Read the arrays of a comparison whose design is known."""
    values = feature_values(dataset, design)
    labels = relabelling(design, unit)
    peptides = peptide_counts(dataset)
    rho = None
    if design.block is not None and design.block_model == "correlated":
        found = consensus_correlation(values, design.matrix, design.block)
        rho = found if np.isfinite(found) else 0.0
    made = Comparison(values, design, options, labels, peptides, correlation=rho, weights=weights)
    wide = options.background == "always" or (
        options.background == "auto" and needs_background(int(made.testable().sum()), labels.n_splits)
    )
    return replace(made, widened=wide)


def peptide_counts(dataset: AnnData) -> FloatArray | None:
    """Peptides behind each feature, shape (features,), NaN unknown; None where the data set knows none."""
    if "n_peptides" not in dataset.var:
        return None
    counts = dataset.var["n_peptides"].to_numpy(dtype=np.float64)
    return counts if np.isfinite(counts).any() else None


def feature_columns(dataset: AnnData) -> tuple[list[str], list[str]]:
    """Feature ids and gene names of a data set; `InputError` when ids are not unique."""
    features = _unique([str(name) for name in dataset.var_names], "feature ids")
    genes = [str(g) for g in dataset.var["gene"]] if "gene" in dataset.var else [""] * len(features)
    return features, genes


def sample_names(dataset: AnnData) -> list[str]:
    """Names of the samples; `InputError` when they are not unique."""
    return _unique([str(name) for name in dataset.obs_names], "sample names")


def _unique(names: list[str], what: str) -> list[str]:
    """The names, or `InputError`: rows of a table could not be told apart."""
    counted = Counter(names)
    twice = [name for name, n in counted.items() if n > 1]
    if twice:
        raise InputError(
            f"{len(twice)} {what} are duplicated, such as {twice[0]!r}", mend="make them unique when loading"
        )
    return names
