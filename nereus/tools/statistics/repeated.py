"""Repeated samples of subjects over time: which columns say "change", and each subject's own slope.

The sheet is read once for every method: times (numbers, or ordered levels), subjects, and optionally two groups of
subjects whose changes are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.statistics.design import Design, build_design, build_variable_design, require_columns
from nereus.tools.statistics.levels import as_levels, as_numbers

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_MOST_LEVELS = 12
"""Time points up to which time can be taken as ordered levels."""


@dataclass(frozen=True)
class Course:
    """Design of a longitudinal question.

    Attributes
    ----------
    design
        Samples, and checked covariates.
    matrix
        Design matrix, shape (samples, columns): intercept, tested columns, then everything else.
    tested_columns
        Columns that are zero when nothing changes (or: when both groups change alike).
    contrast
        Change from the first to the last time (or: its difference between groups), shape (columns,).
    time
        Numeric time (or rank of the level) of each sample, shape (samples,).
    span
        Last minus first time.
    levels
        Names of the time points compared, in order; empty where time is continuous.
    subject
        Integer code of the subject of each sample, shape (samples,).
    group
        1 in group a and 0 in group b, shape (samples,); None without groups.
    warnings
        What the reader should know.
    """

    design: Design
    matrix: FloatArray
    tested_columns: IntArray
    contrast: FloatArray
    time: FloatArray
    span: float
    levels: tuple[str, ...]
    subject: IntArray
    group: FloatArray | None
    warnings: tuple[str, ...]

    @property
    def n_subjects(self) -> int:
        """Subjects."""
        return int(self.subject.max()) + 1


def read_course(
    obs: pd.DataFrame,
    time: str,
    subject: str,
    *,
    ordered: bool = False,
    order: tuple[str, ...] = (),
    contrast: Contrast | None = None,
    covariates: tuple[str, ...] = (),
    subset: dict[str, str] | None = None,
) -> Course:
    """Read the design of a longitudinal question from the sample sheet.

    Raises
    ------
    InputError
        Unknown columns and levels; times that cannot be ordered; fewer than three subjects with samples at two or
        more times (in each group); subjects in both groups; covariates that cannot be told from time.
    """
    where = f"change over {time!r}"
    require_columns(obs, [time, subject, *covariates], where)
    if len({time, subject, *covariates}) < 2 + len(covariates):
        raise InputError("time, subject and covariates must be different columns", where=where)
    kept = np.ones(len(obs), dtype=bool)
    chosen_subset = dict(subset or {})
    if contrast is not None:
        if contrast.factor in (time, subject):
            raise InputError(
                f"{contrast.factor!r} is compared and also the time or subject",
                where=where,
                mend="compare groups of subjects",
            )
        chosen_subset |= contrast.subset
        covariates = tuple(dict.fromkeys((*contrast.covariates, *covariates)))
        build_design(obs, Contrast(factor=contrast.factor, a=contrast.a, b=contrast.b, subset=chosen_subset))
        kept &= as_levels(obs[contrast.factor]).isin([contrast.a, contrast.b]).to_numpy()
    for column, level in chosen_subset.items():
        require_columns(obs, [column], where)
        kept &= (as_levels(obs[column]) == level).to_numpy()
    if not kept.any():
        raise InputError(
            f"no sample is left by the subset {chosen_subset}", where=where, mend="relax the subset"
        )
    number, levels, notes = _times(obs[time], kept, ordered, order, where)
    rows = np.flatnonzero(kept)
    sheet = obs.assign(**{time: number}).iloc[rows]
    mains: tuple[str, ...] = ()
    if contrast is not None:
        main = f"{contrast.factor}: {contrast.a} vs {contrast.b}"
        sheet = sheet.assign(**{main: (as_levels(sheet[contrast.factor]) == contrast.a).astype(float)})
        mains = (main,)
    design = build_variable_design(sheet, time, (*mains, *covariates), subject, block_model="correlated")
    if design.block is None:
        raise InputError(
            f"every sample has its own {subject!r}: nothing was followed over time",
            where=where,
            mend="use continuous_association for samples of different subjects",
        )
    design_rows = rows[design.samples]
    t = design.group
    group = sheet[mains[0]].to_numpy(float)[design.samples] if mains else None
    _check_subjects(design.block, t, group, subject, contrast, where)
    span = float(np.ptp(t))
    place = (t - t.mean()) / span
    others = [c for c, n in zip(design.matrix.T[2:], design.names[2:], strict=True) if n not in mains]
    moments = np.unique(t)
    shared = _shared(moments, t, group)
    if ordered:
        compared = moments[shared]
        if len(compared) < 2:
            raise InputError(
                f"{len(compared)} time points have samples of both groups",
                where=where,
                mend="two or more are needed; use time_scale='linear', or group visits into common time points",
            )
        if not shared.all():
            alone = ", ".join(levels[i] for i in np.flatnonzero(~shared))
            notes.append(f"time points sampled in one group only are not compared: {alone}")
        steps = np.stack([(t == moment).astype(float) for moment in moments[1:]], axis=1)
        changes = np.stack([(t == moment).astype(float) for moment in compared[1:]], axis=1)
        levels = tuple(level for level, both in zip(levels, shared, strict=True) if both)
    else:
        steps = changes = place[:, None]
    n_steps = changes.shape[1]
    tested = changes if group is None else changes * group[:, None]
    rest = others if group is None else [*steps.T, group, *others]
    matrix = np.column_stack([np.ones(len(t)), tested, *rest])
    effect = np.zeros(matrix.shape[1])
    effect[n_steps] = 1.0  # the last step, which is the only one where time is continuous
    return Course(
        replace(design, samples=design_rows, matrix=matrix, contrast=effect),
        matrix,
        np.arange(1, 1 + n_steps, dtype=np.intp),
        effect,
        t,
        span,
        levels if ordered else (),
        design.block,
        group,
        (*design.warnings, *notes),
    )


def _shared(moments: FloatArray, t: FloatArray, group: FloatArray | None) -> npt.NDArray[np.bool_]:
    """Which time points both groups were sampled at; all of them without groups."""
    if group is None:
        return np.ones(len(moments), dtype=bool)
    return np.isin(moments, t[group == 1.0]) & np.isin(moments, t[group == 0.0])


def _times(
    column: pd.Series, kept: npt.NDArray[np.bool_], ordered: bool, order: tuple[str, ...], where: str
) -> tuple[pd.Series, tuple[str, ...], list[str]]:
    """Numeric time of every sample, names of the time points in order, and warnings."""
    texts = as_levels(column)
    present = sorted(set(texts[kept].dropna()))
    numbers = as_numbers(column)
    if order:
        unknown = [level for level in present if level not in order]
        if unknown:
            raise InputError(
                f"time points {unknown[:5]} are not in the order given",
                where=where,
                mend="name every level of the time column in `order`",
            )
        names = tuple(level for level in order if level in present)
        rank = {level: float(i) for i, level in enumerate(names)}
        return texts.map(rank).astype(float), names, []
    if numbers is not None:
        known = np.unique(numbers[kept].dropna())
        if ordered and len(known) > _MOST_LEVELS:
            raise InputError(
                f"{len(known)} different times are too many to be taken as ordered levels",
                where=where,
                mend=f"use time_scale='linear', or round the times to {_MOST_LEVELS} or fewer",
            )
        return numbers, tuple(f"{x:g}" for x in known), []
    # "day-0, day-7": a hyphen before every number joins it to its word; "day-7, day0, day7": a minus.
    joined = all(re.search(r"[^\W\d]-\d", level) for level in present)
    pattern = r"\d+(?:\.\d+)?" if joined else r"-?\d+(?:\.\d+)?"
    found = {level: re.findall(pattern, level) for level in present}
    stems = {level: re.sub(pattern, "", level) for level in present}
    if present and all(len(f) == 1 for f in found.values()) and len(set(stems.values())) == 1:
        value = {level: float(found[level][0]) for level in present}
        names = tuple(sorted(present, key=lambda level: value[level]))
        return texts.map(value).astype(float), names, []
    raise InputError(
        f"times cannot be put in order: {present[:6]}",
        where=where,
        mend="give the time points in `order`, first to last",
    )


def _check_subjects(
    subject: IntArray,
    t: FloatArray,
    group: FloatArray | None,
    name: str,
    contrast: Contrast | None,
    where: str,
) -> None:
    n = int(subject.max()) + 1
    followed = np.array([len(np.unique(t[subject == code])) > 1 for code in range(n)])
    if group is None or contrast is None:
        if followed.sum() < 3:
            raise InputError(
                f"{int(followed.sum())} {name!r} have samples at two or more times",
                where=where,
                mend="three or more are needed; time between subjects is tested by continuous_association",
            )
        return
    mixed = [code for code in range(n) if len(np.unique(group[subject == code])) > 1]
    if mixed:
        raise InputError(
            f"{len(mixed)} {name!r} have samples in both {contrast.a!r} and {contrast.b!r}",
            where=where,
            mend="groups are groups of subjects here; for factors crossed within subjects use interaction_test",
        )
    for level, value in ((contrast.a, 1.0), (contrast.b, 0.0)):
        members = [code for code in np.flatnonzero(followed) if group[subject == code][0] == value]
        if len(members) < 3:
            raise InputError(
                f"{len(members)} {name!r} of {level!r} have samples at two or more times",
                where=where,
                mend="three or more are needed in each group",
            )


@dataclass(frozen=True)
class Slopes:
    """Least-squares slope of every subject; shapes (features, subjects) unless said otherwise.

    Attributes
    ----------
    slope
        Change of log2 abundance per unit of time; NaN where a subject has no two times with a value.
    weight
        Precision of a slope for a residual variance of one: sum of squared times about their mean.
    spread
        Variance of the subjects' true slopes over the residual variance, shared by all features (0: they differ by
        noise only).
    heterogeneity
        Median over features of Cochran's Q over its degrees of freedom: 1 when slopes differ by noise only; NaN
        where no subject has three values.
    """

    slope: FloatArray
    weight: FloatArray
    spread: float
    heterogeneity: float


def subject_slopes(
    values: FloatArray, time: FloatArray, subject: IntArray, group: FloatArray | None
) -> Slopes:
    """Fit a line to every subject's values of every feature (summary measures: Matthews et al. 1990, BMJ 300:230)."""
    seen = np.isfinite(values)
    mask = seen.astype(np.float64)
    member = np.eye(int(subject.max()) + 1)[subject]
    n = mask @ member
    level = np.where(seen, values, 0.0)
    mean_t = (mask * time) @ member / np.maximum(n, 1.0)
    mean_y = level @ member / np.maximum(n, 1.0)
    away_t = (time - mean_t[:, subject]) * mask
    away_y = np.where(seen, values - mean_y[:, subject], 0.0)
    square = (away_t**2) @ member
    known = square > 1e-12 * max(float(np.ptp(time)) ** 2, 1e-300)
    slope = np.where(known, ((away_t * away_y) @ member) / np.where(known, square, 1.0), np.nan)
    weight = np.where(known, square, 0.0)
    rest = away_y - away_t * np.where(known, slope, 0.0)[:, subject]
    rss = (rest**2) @ member
    df = np.where(known, n - 2.0, 0.0)
    total_df = df.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.where(total_df > 0, (rss * known).sum(axis=1) / total_df, np.nan)
        arms = np.zeros(member.shape[1]) if group is None else member.T @ group / member.sum(axis=0)
        q, q_df, scale = np.zeros(len(values)), np.zeros(len(values)), np.zeros(len(values))
        for arm in np.unique(arms):
            w = weight * (arms == arm)
            b = np.where(w > 0, slope, 0.0)
            centre = (w * b).sum(axis=1) / w.sum(axis=1)
            q += (w * (b - centre[:, None]) ** 2).sum(axis=1)
            q_df += np.maximum((w > 0).sum(axis=1) - 1.0, 0.0)
            scale += w.sum(axis=1) - (w**2).sum(axis=1) / w.sum(axis=1)
        usable = (total_df >= 1) & (q_df >= 2) & (residual > 0)
        ratio = np.where(usable, q / residual / np.where(q_df > 0, q_df, 1.0), np.nan)
        spread = np.where(usable, (q / residual - q_df) / scale, np.nan)
    chosen = np.isfinite(ratio)
    if not chosen.any():
        return Slopes(slope, weight, 0.0, float("nan"))
    return Slopes(slope, weight, max(0.0, float(np.median(spread[chosen]))), float(np.median(ratio[chosen])))
