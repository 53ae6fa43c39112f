"""How well a formula tells rows that it was not made from, and what each of its columns adds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats

from nereus.memory.records import Scalar
from nereus.tools.base import finite
from nereus.tools.statistics.formula.expression import Expression
from nereus.tools.statistics.formula.numeric import Formula, meets
from nereus.tools.statistics.formula.rules import RuleList, number_labels
from nereus.tools.statistics.formula.sheet import LabelArray, Sheet

IntArray = npt.NDArray[np.intp]

_CHANCE = 1e-3
_LEAST_SKILL = 0.05


def columns_of(best: Formula | RuleList | None) -> tuple[str, ...]:
    """Columns that a formula or rules read."""
    if best is None:
        return ()
    return best.expression().columns() if isinstance(best, Formula) else best.columns()


def label_values(numbers: npt.NDArray[np.float64]) -> dict[str, float]:
    """The number of each label of a target of numbers."""
    distinct = np.unique(numbers[np.isfinite(numbers)])
    return {str(label): float(v) for label, v in zip(number_labels(distinct), distinct, strict=True)}


def shown_as(
    best: Formula | RuleList | None, sheet: Sheet, target: str, numeric: bool
) -> RuleList | Expression | None:
    """A formula as one tree, rules for numbers too."""
    if isinstance(best, Formula):
        return best.expression()
    if numeric and isinstance(best, RuleList):
        return best.as_number(label_values(sheet.numbers[target]))
    return best


def judged_on(
    sheet: Sheet,
    labels: LabelArray,
    target: str,
    numeric: bool,
    best: Formula | RuleList | None,
    held: IntArray,
) -> dict[str, Scalar]:
    """How well a formula or rules tell the held-out rows, and whether better than chance."""
    nothing: dict[str, Scalar] = {"found": False, "exact": False, "seen_share": None}
    measures: dict[str, Scalar] = {
        "r2": None,
        "matched": None,
        "accuracy": None,
        "baseline_accuracy": None,
        "p_chance": None,
    }
    if best is None:
        return nothing | measures
    part = sheet.rows(held)
    if numeric:
        observed = sheet.numbers[target][held]
        node = (
            best.expression()
            if isinstance(best, Formula)
            else best.as_number(label_values(sheet.numbers[target]))
        )
        predicted = node.evaluate(part)
        seen = np.isfinite(predicted)
        total = float(((observed[seen] - observed[seen].mean()) ** 2).sum()) if seen.any() else 0.0
        matched = float(meets(predicted, observed)[seen].mean()) if seen.any() else 0.0
        r2 = 1.0 - float(((observed - predicted)[seen] ** 2).sum()) / total if total > 0 else None
        p = _correlation_p(predicted[seen], observed[seen])
        found = r2 is not None and r2 >= _LEAST_SKILL and p <= _CHANCE
        exact = best.exact and matched >= 0.99
        measures |= {"r2": finite(r2), "matched": matched, "p_chance": finite(p)}
    else:
        assert isinstance(best, RuleList)
        told = best.labels(part)
        seen = np.array([label is not None for label in told])
        hit = (told == labels[held])[seen]
        _, count = np.unique(labels[held][seen].astype(str), return_counts=True)
        base = float(count.max() / count.sum()) if len(count) else 1.0
        p = _agreement_p(told[seen], labels[held][seen])
        accuracy = float(hit.mean()) if len(hit) else 0.0
        exact = best.exact and accuracy == 1.0
        found = accuracy > base and p <= _CHANCE
        measures |= {"accuracy": accuracy, "baseline_accuracy": base, "p_chance": finite(p)}
    return {"found": bool(found), "exact": bool(exact and found), "seen_share": float(seen.mean())} | measures


def share_told(judged: Mapping[str, Scalar]) -> float:
    """Share of what could be told on held-out rows that is told: R2, or what accuracy gains over the commonest label."""
    r2, accuracy, base = (judged[name] for name in ("r2", "accuracy", "baseline_accuracy"))
    if isinstance(r2, float):
        return r2
    if isinstance(accuracy, float) and isinstance(base, float) and base < 1:
        return (accuracy - base) / (1 - base)
    return 0.0


def _agreement_p(told: LabelArray, observed: LabelArray) -> float:
    """Fisher's exact test of the label that is told best, times the number of labels: also of use where one is rare."""
    present = sorted(set(told) & set(observed))
    tables = [
        [
            [int(((told == one) & (observed == one)).sum()), int(((told == one) & (observed != one)).sum())],
            [int(((told != one) & (observed == one)).sum()), int(((told != one) & (observed != one)).sum())],
        ]
        for one in present
    ]
    chances = [float(stats.fisher_exact(table, alternative="greater").pvalue) for table in tables]
    return min(1.0, len(chances) * min(chances)) if chances else 1.0


def _correlation_p(predicted: npt.NDArray[np.float64], observed: npt.NDArray[np.float64]) -> float:
    if len(predicted) < 4 or np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return 1.0
    return float(stats.spearmanr(predicted, observed, alternative="greater").pvalue)


def contributions(
    sheet: Sheet,
    labels: LabelArray,
    target: str,
    numeric: bool,
    best: Formula | RuleList | None,
    held: IntArray,
    seed: int,
) -> dict[str, float]:
    """R2 or accuracy that is lost when a column of the formula is shuffled in the held-out rows."""
    used = columns_of(best)
    if best is None or not used:
        return {}
    part = sheet.rows(held)
    order = np.random.default_rng(seed).permutation(len(held))

    def quality(rows: Sheet) -> float:
        judged = judged_on(rows, labels[held], target, numeric, best, np.arange(len(held)))
        return share_told(judged) if judged["r2"] is not None or not numeric else 0.0

    whole = quality(part)
    lost = {}
    for name in used:
        numbers = {**part.numbers} | ({name: part.numbers[name][order]} if name in part.numbers else {})
        texts = {**part.labels} | ({name: part.labels[name][order]} if name in part.labels else {})
        lost[name] = whole - quality(Sheet(part.kinds, numbers, texts, part.n_rows))
    return lost
