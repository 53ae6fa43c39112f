"""Nested cross-validation of a panel: outer folds by subject (or by site), everything else inside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.concordance import Concordance, class_concordance, rank_concordance
from nereus.tools.statistics.contrast_test import sample_names
from nereus.tools.statistics.covariates import MANY_VALUES, freed_of, regressors
from nereus.tools.statistics.design import require_columns, subset_mask
from nereus.tools.statistics.levels import as_levels, as_numbers
from nereus.tools.statistics.panel_model import Panel, PanelOptions, fit_panel, folds_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

LEAST_UNITS = 6
"""Independent units a class (or in all, for a number: three times as many) below which nothing is learned."""


@dataclass(frozen=True)
class Problem:
    """What is predicted from what.

    Attributes
    ----------
    x, c
        Features, shape (samples, features), NaN missing; covariates, (samples, columns).
    y
        Class codes or the number, shape (samples,).
    classes
        Names of the classes; empty for a number. Of two, the second is the one that high scores mean.
    unit, stratum
        Independent unit of each sample; stratum within which labels are exchanged.
    site
        Level held out together, shape (samples,), or None.
    samples
        Positions in obs, in the order of the samples' names.
    covariates
        Names of the columns of `c`.
    slopes
        Which columns of `c` are numbers and no levels.
    notes
        What the reader should know.
    """

    x: FloatArray
    c: FloatArray
    y: FloatArray
    classes: tuple[str, ...]
    unit: IntArray
    stratum: IntArray
    site: IntArray | None
    sites: tuple[str, ...]
    samples: IntArray
    covariates: tuple[str, ...]
    slopes: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def n_units(self) -> int:
        """Independent units."""
        return int(self.unit.max()) + 1


@dataclass(frozen=True)
class Arm:
    """Out-of-fold predictions of one kind of model.

    Attributes
    ----------
    scores, probabilities
        Shape (repeats, samples, columns), NaN where a sample was in no test fold.
    panels
        Fitted model of every outer fold.
    """

    scores: FloatArray
    probabilities: FloatArray
    panels: tuple[Panel, ...]


def read_problem(
    dataset: AnnData,
    contrast: Contrast | None,
    factor: str | None,
    variable: str | None,
    covariates: tuple[str, ...],
    subject: str | None,
    hold_out: str | None,
) -> Problem:
    """Arrays of a panel's question.

    Raises
    ------
    InputError
        Not exactly one outcome; unknown columns; a class with too few subjects; a number with hardly any
        values; a subject in two held-out levels.
    """
    if sum(named is not None for named in (contrast, factor, variable)) != 1:
        raise InputError(
            "name one outcome",
            where="biomarker panel",
            mend="contrast={...} for two levels, factor='...' for all levels, variable='...' for a number",
        )
    outcome = contrast.factor if contrast else str(factor or variable)
    where = f"panel for {outcome!r}"
    covariates = tuple(dict.fromkeys([*(contrast.covariates if contrast else ()), *covariates]))
    subject = subject or (contrast.block if contrast else None)
    named = [outcome, *covariates, *([subject] if subject else []), *([hold_out] if hold_out else [])]
    require_columns(dataset.obs, named, where)
    if outcome in (*covariates, subject, hold_out):
        raise InputError(
            f"{outcome!r} is the outcome and also given as something else",
            where=where,
            mend="leave it out there",
        )
    usable = subset_mask(dataset.obs, contrast.subset if contrast else {}, where)
    y, known, classes = _outcome(dataset.obs[outcome], contrast, variable is not None, where)
    notes = []
    for name in [*([subject] if subject else []), *([hold_out] if hold_out else [])]:
        absent = as_levels(dataset.obs[name]).isna().to_numpy()
        if (usable & known & absent).any():
            notes.append(f"{int((usable & known & absent).sum())} samples without a {name!r} were left out")
        known &= ~absent
    samples = np.flatnonzero(usable & known)
    # By name, so that folds do not depend on the order of the rows.
    samples = samples[np.argsort(np.array(sample_names(dataset))[samples], kind="stable")]
    unit = np.arange(len(samples)) if subject is None else _codes(dataset.obs[subject], samples)
    site: IntArray | None = None
    sites: tuple[str, ...] = ()
    if hold_out is not None:
        site = _codes(dataset.obs[hold_out], samples)
        sites = tuple(sorted(set(as_levels(dataset.obs[hold_out]).iloc[samples])))
        if len(sites) < 2:
            raise InputError(f"{hold_out!r} has one level", where=where, mend="hold out another column")
        torn = pd.Series(site).groupby(unit).nunique()
        if (torn > 1).any():
            raise InputError(
                f"{int((torn > 1).sum())} subjects occur in several levels of {hold_out!r}",
                where=where,
                mend="hold out a column that does not divide subjects",
            )
    chosen = y[samples]
    if len(samples) == 0:
        raise InputError("no sample has a known outcome", where=where, mend="choose another outcome")
    _check_size(chosen, unit, classes, where)
    known_anyway = regressors(dataset.obs.iloc[samples], covariates, where)
    c, c_names = known_anyway.columns, known_anyway.names
    strata = [*known_anyway.strata, *([site] if site is not None else [])]
    joint = np.column_stack(strata) if strata else np.zeros((len(samples), 1), dtype=np.intp)
    stratum = np.unique(joint, axis=0, return_inverse=True)[1].ravel().astype(np.intp)
    x = abundance(dataset)[samples]
    return Problem(
        x, c, chosen, classes, unit, stratum, site, sites, samples, c_names,
        tuple(at for at, name in enumerate(c_names) if name in known_anyway.slopes), tuple(notes),
    )  # fmt: skip


def _outcome(
    column: pd.Series, contrast: Contrast | None, number: bool, where: str
) -> tuple[FloatArray, npt.NDArray[np.bool_], tuple[str, ...]]:
    """Outcome codes, where they are known, and the names of the classes."""
    if number:
        values = as_numbers(column)
        if values is None:
            raise InputError(f"{column.name!r} is not numeric", where=where, mend="give it as a factor")
        y = values.to_numpy(dtype=np.float64)
        known = np.isfinite(y)
        if len(np.unique(y[known])) < MANY_VALUES:
            raise InputError(
                f"{column.name!r} has {len(np.unique(y[known]))} distinct values",
                where=where,
                mend="predict its levels with factor='...' instead",
            )
        return np.where(known, y, 0.0), known, ()
    levels = as_levels(column)
    present = sorted(set(levels.dropna()))
    if contrast is not None:
        for level in (contrast.a, contrast.b):
            if level not in present:
                raise InputError(
                    f"factor {column.name!r} has no level {level!r}",
                    where=where,
                    mend=f"levels are {present[:12]}",
                )
        if contrast.a == contrast.b:
            raise InputError(f"both sides are {contrast.a!r}", where=where, mend="name two different levels")
        classes: tuple[str, ...] = (contrast.b, contrast.a)
    else:
        classes = tuple(present)
    if len(classes) < 2:
        raise InputError(
            f"factor {column.name!r} has {len(classes)} level", where=where, mend="choose one that varies"
        )
    code = {level: float(at) for at, level in enumerate(classes)}
    y = np.array([code.get(level, np.nan) for level in levels], dtype=np.float64)
    return np.where(np.isfinite(y), y, 0.0), np.isfinite(y), classes


def _check_size(y: FloatArray, unit: IntArray, classes: tuple[str, ...], where: str) -> None:
    if not classes:
        if len(np.unique(unit)) < 3 * LEAST_UNITS:
            raise InputError(
                f"{len(np.unique(unit))} subjects have a value",
                where=where,
                mend=f"a panel for a number needs {3 * LEAST_UNITS} or more",
            )
        return
    for code, name in enumerate(classes):
        n = len(np.unique(unit[y == code]))
        if n < LEAST_UNITS:
            raise InputError(
                f"class {name!r} has {n} independent subjects",
                where=where,
                mend=f"a panel needs {LEAST_UNITS} or more in each class; leave the class out or describe it",
            )


def _codes(column: pd.Series, samples: IntArray) -> IntArray:
    texts = as_levels(column).to_numpy()[samples].astype(str)
    return np.asarray(np.unique(texts, return_inverse=True)[1], dtype=np.intp)


def outer_folds(problem: Problem, n_folds: int, options: PanelOptions, seed: int) -> IntArray:
    """Test fold of each sample, shape (samples,); -1 where its fold could not be predicted."""
    fold = np.full(len(problem.y), -1, dtype=np.intp)
    if problem.site is not None:
        for level in np.unique(problem.site):
            train = problem.site != level
            if problem.classes and len(np.unique(problem.y[train])) < 2:
                continue
            fold[~train] = level
        return fold
    for at, (_, test) in enumerate(folds_of(problem.y, problem.unit, n_folds, options.outcome, seed)):
        fold[test] = at
    return fold


def predict_out_of_fold(
    problem: Problem, folds: IntArray, options: PanelOptions, seed: int, *, features: bool, covariates: bool
) -> Arm:
    """Predict every test fold by a model that never saw it; `folds` has shape (repeats, samples)."""
    n_classes = len(problem.classes)
    c = problem.c if covariates else problem.c[:, :0]
    width = 1 if options.outcome != "several" else n_classes
    scores = np.full((*folds.shape, width), np.nan)
    probabilities = np.full((*folds.shape, max(n_classes, 1)), np.nan)
    panels = []
    for repeat, fold in enumerate(folds):
        for at in np.unique(fold[fold >= 0]):
            test = fold == at
            train = ~test
            panel = fit_panel(
                problem.x[train], c[train], problem.y[train], problem.unit[train], options, n_classes,
                seed + 1000 * repeat + int(at), features=features,
            )  # fmt: skip
            scores[repeat, test], probabilities[repeat, test] = panel.predict(problem.x[test], c[test])
            panels.append(panel)
    return Arm(scores, probabilities, tuple(panels))


def judge(problem: Problem, arm: Arm, folds: IntArray) -> Concordance:
    """How well an arm orders the outcome within test folds."""
    if not problem.classes:
        return rank_concordance(arm.scores, folds, problem.y, problem.unit)
    return class_concordance(arm.scores, folds, problem.y.astype(np.intp), problem.unit)


def exchanged(problem: Problem, n: int, rng: np.random.Generator) -> Iterator[Problem]:
    """The same problem with labels exchanged between subjects of a stratum, and within subjects that have several.

    Subjects with one outcome are exchanged as wholes, only with such subjects of the same stratum; within the
    others labels are exchanged among the samples of a stratum. Each of the two would hold by itself: a subject
    with both outcomes does not keep the others from being exchanged. Covariates that are numbers move with the
    labels that they predict, after their share has been taken off the features (Potter 2005, Stat Med 24:693);
    what they alone tell is then in every exchange.
    """
    rows_of = [np.flatnonzero(problem.unit == one) for one in range(problem.n_units)]
    constant = np.array([np.ptp(problem.y[rows]) == 0 for rows in rows_of])
    first = np.array([int(rows[0]) for rows in rows_of])
    whole = np.flatnonzero(constant)
    mixed = np.flatnonzero(~constant[problem.unit])
    joint = (problem.unit * (int(problem.stratum.max()) + 1) + problem.stratum)[mixed]
    stratum = problem.stratum[first]
    x = problem.x
    if problem.slopes:
        numbers = problem.c[:, list(problem.slopes)]
        mean = np.nanmean(numbers, axis=0)
        away = np.where(np.isfinite(numbers), numbers - mean, 0.0)
        x = freed_of(x, np.column_stack([np.ones(len(x)), away]))
    for _ in range(n):
        source = first.copy()
        for one in np.unique(stratum[whole]):
            units = whole[stratum[whole] == one]
            source[units] = source[rng.permutation(units)]
        taken = source[problem.unit]
        taken[mixed] = mixed
        for one in np.unique(joint):
            rows = mixed[joint == one]
            taken[rows] = taken[rng.permutation(rows)]
        c = problem.c
        if problem.slopes:
            c = c.copy()
            c[:, list(problem.slopes)] = problem.c[taken][:, list(problem.slopes)]
        yield replace(problem, x=x, c=c, y=problem.y[taken])
