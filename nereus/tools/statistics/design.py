"""From the sample sheet to a design matrix: who is compared with whom, given what, and can that be told.

Everything about a comparison that can be wrong before a single abundance is looked at is found here: unknown
columns and levels, too few samples or subjects, covariates that do not vary, and factors that cannot be
separated from a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import comb
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.statistics.levels import contingency, level_text
from nereus.tools.statistics.linear_model import FloatArray, IntArray
from nereus.tools.statistics.moderated_t import BlockModel

_PARTLY_CONFOUNDED = 0.8
"""Cramér's V from which a contrast is still tested but with a warning."""
_SPANNED = 1e-9
"""Share of a column's variation left after the other columns, below which it is a combination of them."""

BlockChoice = Literal["auto", "fixed", "correlated"]


@dataclass(frozen=True)
class Design:
    """A design matrix with the samples that it is about.

    Attributes
    ----------
    samples
        Positions in obs of the samples used, ascending, shape (n,).
    matrix
        Design matrix, shape (n, coefficients): intercept, the tested column, covariates. Fixed block effects
        are not columns; they are in `block`.
    names
        Names of its columns.
    contrast
        Contrast vector: one at the tested column.
    group
        The tested column before any centring: 1 in level a and 0 in level b, or the variable itself; shape
        (n,).
    block
        Integer codes of the blocks, shape (n,), or None.
    block_model
        ``fixed`` when every block holds both levels (pairs), else ``correlated``.
    n_dropped
        Samples of the comparison without a value for a covariate, block or variable.
    scale
        What one unit of the tested column is in the units of the variable (its standard deviation); 1 for
        levels.
    warnings
        What the reader should know.
    """

    samples: IntArray
    matrix: FloatArray
    names: tuple[str, ...]
    contrast: FloatArray
    group: FloatArray
    block: IntArray | None = None
    block_model: BlockModel = "fixed"
    n_dropped: int = 0
    scale: float = 1.0
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def n_a(self) -> int:
        """Samples in level a."""
        return int(np.sum(self.group == 1.0))

    @property
    def n_b(self) -> int:
        """Samples in level b."""
        return int(np.sum(self.group == 0.0))

    @property
    def n_splits(self) -> float:
        """Distinct ways to split the exchangeable units into groups of these sizes; swaps within pairs."""
        if self.block is None:
            return float(comb(len(self.group), self.n_a))
        n_blocks = int(self.block.max()) + 1
        in_a = np.bincount(self.block, self.group == 1.0, n_blocks) > 0
        in_b = np.bincount(self.block, self.group == 0.0, n_blocks) > 0
        return float(
            2.0 ** int((in_a & in_b).sum()) * comb(int((in_a != in_b).sum()), int((in_a & ~in_b).sum()))
        )

    def relabelled(self, group: FloatArray) -> Design:
        """Return the same design for other labels of the same samples: one permutation."""
        matrix = self.matrix.copy()
        matrix[:, 1] = group
        return replace(self, matrix=matrix, group=np.asarray(group, dtype=np.float64))


def build_design(obs: pd.DataFrame, contrast: Contrast, *, block_model: BlockChoice = "auto") -> Design:
    """Design matrix of a comparison of two levels.

    Only samples of the two levels are used; a third level does not lend its variance.

    Parameters
    ----------
    obs
        Sample sheet, one row a sample.
    contrast
        Levels a and b of a factor, with covariates, block and subset.
    block_model
        ``fixed`` gives each block its own mean, ``correlated`` one correlation within blocks; ``auto`` takes
        ``fixed`` when every block holds both levels and ``correlated`` otherwise, so that no sample is lost.

    Raises
    ------
    InputError
        Unknown column or level; a level without samples or with fewer than two (subjects, where blocks do not
        span the levels); a factor that a covariate or the blocks fully determine; no residual degrees of
        freedom.

    Examples
    --------
    >>> obs = pd.DataFrame({"group": list("aabb"), "batch": list("xyxy")})
    >>> design = build_design(obs, Contrast(factor="group", a="a", b="b", covariates=("batch",)))
    >>> design.names, design.group.tolist()
    (('intercept', 'group: a vs b', 'batch: y'), [1.0, 1.0, 0.0, 0.0])
    """
    where = f"contrast {contrast.label!r}"
    if contrast.a == contrast.b:
        raise InputError(f"both sides are {contrast.a!r}", where=where, mend="name two different levels")
    named = [contrast.factor, *contrast.covariates, *([contrast.block] if contrast.block else [])]
    require_columns(obs, [*named, *contrast.subset], where)
    _distinct(contrast.factor, contrast.covariates, contrast.block, where)
    kept = subset_mask(obs, contrast.subset, where)
    levels = obs[contrast.factor].map(level_text)
    present = sorted(set(levels[kept].dropna()))
    if len(present) == 1:
        raise InputError(
            f"factor {contrast.factor!r} has one level: {present[0]!r}",
            where=where,
            mend="choose a factor that varies",
        )
    for level in (contrast.a, contrast.b):
        if level not in present:
            near = get_close_matches(level, present, n=3)
            raise InputError(
                f"factor {contrast.factor!r} has no level {level!r}",
                where=where,
                mend=f"perhaps {', '.join(map(repr, near))}" if near else f"levels are {_listed(present)}",
            )
    compared = kept & levels.isin([contrast.a, contrast.b]).to_numpy()
    chosen, n_dropped, warnings = _complete(obs, compared, named[1:], where)
    group = (levels.iloc[chosen] == contrast.a).to_numpy(dtype=np.float64)
    for level, n in ((contrast.a, int(group.sum())), (contrast.b, int((1 - group).sum()))):
        if n < 2:
            raise InputError(
                f"level {level!r} of {contrast.factor!r} has {n} sample{'s' * (n != 1)}",
                where=where,
                mend="a test needs two or more in each level; describe these samples instead",
            )
    sheet = obs.iloc[chosen]
    block, model, notes = _blocks(sheet, contrast.block, group, block_model, (contrast.a, contrast.b), where)
    warnings += notes
    columns, names, notes = _covariate_columns(
        sheet, _once(contrast.covariates), block if model == "fixed" else None
    )
    warnings += notes
    tested = f"{contrast.factor}: {contrast.a} vs {contrast.b}"
    _check_separable(sheet, contrast, group, columns, names, block if model == "fixed" else None, where)
    columns, names, notes = _independent(group, columns, names, block if model == "fixed" else None)
    warnings += notes
    for covariate in _once(contrast.covariates):
        if not _is_number(sheet[covariate]) and any(name.startswith(f"{covariate}: ") for name in names):
            v = cramers_v(group, sheet[covariate].map(level_text))
            if v >= _PARTLY_CONFOUNDED:
                warnings += [
                    f"{contrast.factor!r} is partly confounded with {covariate!r}: Cramér's V = {v:.2f}"
                ]
    matrix = np.column_stack([np.ones(len(group)), group, *columns])
    return _finished(
        chosen, matrix, ("intercept", tested, *names), group, block, model, n_dropped, 1.0, warnings, where
    )


def build_variable_design(
    obs: pd.DataFrame,
    variable: str,
    covariates: tuple[str, ...] = (),
    block: str | None = None,
    subset: dict[str, str] | None = None,
    *,
    block_model: BlockChoice = "auto",
) -> Design:
    """Design matrix of an association with a continuous variable, scaled to a standard deviation of one.

    Parameters and errors are those of `build_design`. A variable that does not vary within blocks makes
    ``auto`` take ``correlated`` blocks.
    """
    where = f"association with {variable!r}"
    require_columns(obs, [variable, *covariates, *([block] if block else []), *(subset or {})], where)
    _distinct(variable, covariates, block, where)
    numbers = pd.to_numeric(obs[variable], errors="coerce")
    wrong = obs[variable].notna() & numbers.isna()
    if wrong.any():
        shown = _listed(sorted(set(obs[variable][wrong].astype(str))))
        raise InputError(
            f"column {variable!r} is not numeric: {shown}", where=where, mend="compare its levels instead"
        )
    kept = subset_mask(obs, subset or {}, where)
    numeric = obs.assign(**{variable: numbers.where(np.isfinite(numbers.astype(float)))})
    chosen, n_dropped, warnings = _complete(
        numeric, kept, [variable, *covariates, *([block] if block else [])], where
    )
    if len(chosen) < 4:
        raise InputError(
            f"{len(chosen)} samples have a value of {variable!r}",
            where=where,
            mend="an association needs four or more",
        )
    sheet = numeric.iloc[chosen]
    x = sheet[variable].to_numpy(dtype=np.float64)
    scale = float(np.std(x, ddof=1))
    if scale <= 1e-12 * max(1.0, float(np.max(np.abs(x)))):
        raise InputError(
            f"{variable!r} does not vary: it is {x[0]:g} throughout",
            where=where,
            mend="choose another variable",
        )
    codes: IntArray | None = None
    model: BlockModel = "correlated"
    if block is not None:
        codes = _codes(sheet[block])
        within = x - _block_means(x[:, None], codes)[:, 0]
        if codes.max() + 1 == len(codes):
            warnings += [f"block {block!r} is different in every sample and was left out"]
            codes = None
        else:
            varies = bool(np.sum(within**2) > 0.5 * np.sum((x - x.mean()) ** 2))
            model = ("fixed" if varies else "correlated") if block_model == "auto" else block_model
    fixed = codes if model == "fixed" else None
    columns, names, notes = _covariate_columns(sheet, _once(covariates), fixed)
    warnings += notes
    if _left_over(x, columns, fixed) < _SPANNED:
        cause = ", ".join(map(repr, [*covariates, *([block] if block and fixed is not None else [])]))
        raise InputError(
            f"cannot separate {variable!r} from {cause}: it is a combination of them (R2 = 1.00)",
            where=where,
            mend="leave that covariate out, or choose another variable",
        )
    columns, names, notes = _independent(x, columns, names, fixed)
    warnings += notes
    matrix = np.column_stack([np.ones(len(x)), (x - x.mean()) / scale, *columns])
    return _finished(
        chosen, matrix, ("intercept", variable, *names), x, codes, model, n_dropped, scale, warnings, where
    )


# ------------------------------------------------------------------------------------------ reading the sheet


def require_columns(obs: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """`InputError` naming the nearest columns when one is unknown."""
    known = [str(column) for column in obs.columns]
    for column in columns:
        if column not in known:
            near = get_close_matches(column, known, n=3, cutoff=0.5)
            raise InputError(
                f"the sample sheet has no column {column!r}",
                where=where,
                mend=f"perhaps {', '.join(map(repr, near))}" if near else f"columns are {_listed(known)}",
            )


def subset_mask(obs: pd.DataFrame, subset: dict[str, str], where: str) -> npt.NDArray[np.bool_]:
    """Tell which samples have the values of the subset, shape (samples,)."""
    require_columns(obs, subset, where)
    kept = np.ones(len(obs), dtype=bool)
    for column, level in subset.items():
        texts = obs[column].map(level_text)
        if level not in set(texts.dropna()):
            raise InputError(
                f"no sample has {column} = {level!r}",
                where=where,
                mend=f"levels are {_listed(sorted(set(texts.dropna())))}",
            )
        kept &= (texts == level).to_numpy()
    if not kept.any():
        raise InputError(
            f"no sample is left by the subset {dict(subset)}", where=where, mend="relax the subset"
        )
    return kept


def cramers_v(a: Iterable[Any], b: Iterable[Any]) -> float:
    """Cramér's V of two categorical columns: 0 independent, 1 one determines the other, NaN undefined."""
    table = contingency(pd.Series(list(a), dtype=object), pd.Series(list(b), dtype=object)).astype(np.float64)
    least = min(table.shape) - 1
    if least < 1:
        return float("nan")
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return float(np.sqrt(np.sum((table - expected) ** 2 / expected) / (table.sum() * least)))


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _distinct(tested: str, covariates: tuple[str, ...], block: str | None, where: str) -> None:
    if tested in covariates or tested == block:
        role = "a covariate" if tested in covariates else "the block"
        raise InputError(f"{tested!r} is tested and also {role}", where=where, mend=f"leave it out as {role}")
    if block is not None and block in covariates:
        raise InputError(
            f"{block!r} is a covariate and the block", where=where, mend="keep it as the block only"
        )


def _complete(
    obs: pd.DataFrame, compared: npt.NDArray[np.bool_], columns: list[str], where: str
) -> tuple[IntArray, int, list[str]]:
    missing = np.zeros(len(obs), dtype=bool)
    warnings = []
    for column in _once(columns):
        absent = (obs[column].map(level_text).isna()).to_numpy() & compared
        if absent.any():
            warnings.append(f"{int(absent.sum())} samples without a value of {column!r} were left out")
        missing |= absent
    chosen = np.flatnonzero(compared & ~missing)
    if not len(chosen):
        raise InputError(
            f"every sample lacks a value of one of {_listed(list(_once(columns)))}",
            where=where,
            mend="leave the emptiest covariate out",
        )
    return chosen, int((compared & missing).sum()), warnings


def _codes(column: pd.Series) -> IntArray:
    return np.asarray(
        np.unique(column.map(level_text).to_numpy(dtype=str), return_inverse=True)[1], dtype=np.intp
    )


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


# ------------------------------------------------------------------------------------------------ the matrix


def _blocks(
    sheet: pd.DataFrame,
    block: str | None,
    group: FloatArray,
    choice: BlockChoice,
    levels: tuple[str, str],
    where: str,
) -> tuple[IntArray | None, BlockModel, list[str]]:
    if block is None:
        return None, "fixed", []
    codes = _codes(sheet[block])
    n_blocks = int(codes.max()) + 1
    if n_blocks == len(codes):
        return None, "fixed", [f"block {block!r} is different in every sample and was left out"]
    in_a, in_b = np.bincount(codes, group, n_blocks), np.bincount(codes, 1 - group, n_blocks)
    both = (in_a > 0) & (in_b > 0)
    model: BlockModel = ("fixed" if both.all() else "correlated") if choice == "auto" else choice
    if model == "fixed" and not both.any():
        raise InputError(
            f"cannot separate {levels[0]!r} from {levels[1]!r}: each {block!r} has one of them only; "
            f"Cramér's V = 1.00",
            where=where,
            mend="use correlated blocks, or average the samples of each block first (aggregate_replicates)",
        )
    if model == "fixed" and both.sum() < 2:
        raise InputError(
            f"{int(both.sum())} {block!r} has samples of both levels",
            where=where,
            mend="two or more pairs are needed",
        )
    for level, counts in zip(levels, (in_a, in_b), strict=True):
        if (counts > 0).sum() < 2:
            raise InputError(
                f"level {level!r} has samples of one {block!r} only",
                where=where,
                mend="samples of one subject are replicates; two or more subjects a level are needed",
            )
    notes = []
    if model == "fixed" and not both.all():
        notes.append(
            f"{int((~both).sum())} of {n_blocks} {block!r} lack one level and tell nothing under fixed "
            f"effects"
        )
    if model == "correlated":
        notes.append(
            f"samples of one {block!r} are modelled as correlated: not every one has both levels"
            * (not both.all())
        )
    return codes, model, [note for note in notes if note]


def _covariate_columns(
    sheet: pd.DataFrame, covariates: tuple[str, ...], fixed: IntArray | None
) -> tuple[list[FloatArray], list[str], list[str]]:
    """Columns of the covariates: numbers centred and scaled, levels as indicators without the first."""
    columns: list[FloatArray] = []
    names: list[str] = []
    warnings: list[str] = []
    for covariate in covariates:
        if _is_number(sheet[covariate]):
            x = sheet[covariate].to_numpy(dtype=np.float64)
            if np.isinf(x).any():
                raise InputError(
                    f"covariate {covariate!r} holds an infinite value",
                    where="sample sheet",
                    mend="correct the sheet, or leave the value empty",
                )
            sd = float(np.std(x))
            fresh = (
                {covariate: (x - x.mean()) / sd} if sd > 1e-12 * max(1.0, float(np.max(np.abs(x)))) else {}
            )
        else:
            texts = sheet[covariate].map(level_text)
            levels = sorted(set(texts))
            fresh = {
                f"{covariate}: {level}": (texts == level).to_numpy(dtype=np.float64) for level in levels[1:]
            }
        if not fresh:
            warnings.append(f"covariate {covariate!r} does not vary among these samples and was left out")
            continue
        if fixed is not None:
            varying = {
                n: x
                for n, x in fresh.items()
                if np.sum((x - _block_means(x[:, None], fixed)[:, 0]) ** 2) > 1e-9
            }
            if not varying:
                warnings.append(
                    f"covariate {covariate!r} is constant within blocks, which already account for it"
                )
            fresh = varying
        columns += list(fresh.values())
        names += list(fresh)
    return columns, names, warnings


def _block_means(x: FloatArray, codes: IntArray) -> FloatArray:
    member = np.eye(int(codes.max()) + 1)[codes]
    return np.asarray(member @ ((member.T @ x) / member.sum(axis=0)[:, None]))


def _left_over(x: FloatArray, columns: list[FloatArray], fixed: IntArray | None) -> float:
    """Share of the variation of `x` that intercept, columns and fixed blocks do not explain."""
    stack = np.column_stack([x, np.ones(len(x)), *columns])
    total = float(np.sum((x - x.mean()) ** 2))
    if fixed is not None:
        stack = stack - _block_means(stack, fixed)
    target, others = stack[:, 0], stack[:, 1:]
    rest = target - others @ np.linalg.lstsq(others, target, rcond=1e-10)[0]
    return float(np.sum(rest**2)) / max(total, 1e-300)


def _check_separable(
    sheet: pd.DataFrame,
    contrast: Contrast,
    group: FloatArray,
    columns: list[FloatArray],
    names: list[str],
    fixed: IntArray | None,
    where: str,
) -> None:
    if _left_over(group, columns, fixed) >= _SPANNED:
        return
    for covariate in _once(contrast.covariates):
        own = [
            x for x, n in zip(columns, names, strict=True) if n == covariate or n.startswith(f"{covariate}: ")
        ]
        if own and _left_over(group, own, fixed) < _SPANNED:
            strength = (
                f"R2 = {1:.2f}"
                if _is_number(sheet[covariate])
                else f"Cramér's V = {cramers_v(group, sheet[covariate].map(level_text)):.2f}"
            )
            raise InputError(
                f"cannot separate {contrast.a!r} from {contrast.b!r}: {contrast.factor!r} is fully "
                f"confounded with "
                f"{covariate!r}; {strength}",
                where=where,
                mend=f"add samples that cross {contrast.factor!r} and {covariate!r}",
            )
    joint = sheet[list(_once(contrast.covariates))].map(level_text).astype(str).agg(" / ".join, axis=1)
    raise InputError(
        f"cannot separate {contrast.a!r} from {contrast.b!r}: {contrast.factor!r} is a combination of "
        f"{_listed(list(_once(contrast.covariates)))} together; Cramér's V = {cramers_v(group, joint):.2f}",
        where=where,
        mend="leave a covariate out, or add samples that cross them",
    )


def _independent(
    tested: FloatArray, columns: list[FloatArray], names: list[str], fixed: IntArray | None
) -> tuple[list[FloatArray], list[str], list[str]]:
    """Drop covariate columns that are combinations of earlier ones; the tested column always stays."""
    kept: list[FloatArray] = []
    kept_names: list[str] = []
    dropped: list[str] = []
    for column, name in zip(columns, names, strict=True):
        if _left_over(column, [tested, *kept], fixed) < _SPANNED:
            dropped.append(name)
        else:
            kept.append(column)
            kept_names.append(name)
    notes = [f"redundant covariate columns were left out: {_listed(dropped)}"] if dropped else []
    return kept, kept_names, notes


def _finished(
    chosen: IntArray,
    matrix: FloatArray,
    names: tuple[str, ...],
    group: FloatArray,
    block: IntArray | None,
    model: BlockModel,
    n_dropped: int,
    scale: float,
    warnings: list[str],
    where: str,
) -> Design:
    n_blocks = int(block.max()) if block is not None and model == "fixed" else 0
    spare = len(group) - matrix.shape[1] - n_blocks
    if spare < 1:
        raise InputError(
            f"{len(group)} samples cannot estimate {matrix.shape[1] + n_blocks} coefficients and their error",
            where=where,
            mend=f"leave covariates out (used: {_listed(list(names[2:]))})",
        )
    contrast = np.zeros(matrix.shape[1])
    contrast[1] = 1.0
    return Design(chosen, matrix, names, contrast, group, block, model, n_dropped, scale, tuple(warnings))
