"""What is said of a formula that was found: its tables, warnings and summary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from nereus.memory.records import Scalar
from nereus.tools.statistics.formula.expression import Expression
from nereus.tools.statistics.formula.judgement import columns_of, share_told
from nereus.tools.statistics.formula.numeric import Formula
from nereus.tools.statistics.formula.rules import RuleList
from nereus.tools.statistics.formula.search import Found
from nereus.tools.statistics.formula.sheet import LabelArray, Sheet

IntArray = npt.NDArray[np.intp]

_IMPORTANT = 0.2
_SURELY_MENTIONED = 0.7
_NAMED = 0.5
_NOTICED = 0.02
_GOOD = 0.6
"""Share of what can be told on held-out rows from which the columns of a formula are the answer, not those of the trees."""
_MOST_LISTED = 5
_MOST_ALTERNATIVES = 5


def relevance_table(
    names: list[str],
    best: Formula | RuleList | None,
    judged: Mapping[str, Scalar],
    mentioned: Mapping[str, float],
    importance: Mapping[str, float],
    parts: Mapping[str, float],
) -> pd.DataFrame:
    """How much speaks for each column.

    Of a formula that is not exact, a column that the question does not name must add something that can be noticed.
    """
    used = columns_of(best)
    good = best is not None and share_told(judged) >= _GOOD
    rows = []
    for name in names:
        said, share = mentioned[name], importance[name]
        tells = name in used and (judged["exact"] is True or said >= _NAMED or parts[name] >= _NOTICED)
        by_data = tells if good else share > _IMPORTANT
        relevant = by_data or said >= _SURELY_MENTIONED
        part = parts.get(name, float("nan"))
        rows.append((name, max(said, share, float(name in used)), name in used, said, share, part, relevant))
    columns = ["column", "score", "in_formula", "mentioned", "importance", "contribution", "relevant"]
    return pd.DataFrame(rows, columns=columns)


def terms_table(best: Formula | RuleList | None) -> pd.DataFrame:
    """The parts of the formula, in their order."""
    rows: list[tuple[str, str, float, str, str]] = []
    if isinstance(best, Formula):
        for weight, node in best.terms:
            rows.append((f"term {len(rows) + 1}", "term", weight, ", ".join(node.columns()), node.text()))
        rows.append((f"term {len(rows) + 1}", "constant", best.constant, "", "1"))
        for kind, bound in (("at least", best.low), ("at most", best.high)):
            if bound is not None:
                rows.append((f"term {len(rows) + 1}", kind, bound, "", kind))
        for function in (best.wrap, best.outer):
            if function is not None:
                rows.append((f"term {len(rows) + 1}", function, float("nan"), "", f"{function} of the whole"))
    elif best is not None:
        for node, label in best.rules:
            text = f"{label!r} where {node.text()}"
            rows.append((f"term {len(rows) + 1}", "rule", float("nan"), ", ".join(node.columns()), text))
        rows.append((f"term {len(rows) + 1}", "otherwise", float("nan"), "", repr(best.default)))
    return pd.DataFrame(rows, columns=["term", "kind", "coefficient", "columns", "text"])


def alternatives_table(found: Found) -> pd.DataFrame:
    """The runners-up, the better first."""
    rows: list[tuple[str, str, float, int, str]] = []
    for one in found.others:
        if isinstance(one, Formula):
            node = one.expression()
            row = (node.text(), one.error, node.complexity(), ", ".join(node.columns()))
        else:
            row = (one.text(), 1.0 - one.accuracy, one.complexity(), ", ".join(one.columns()))
        if np.isfinite(row[1]) and row[0] not in [text for _, text, *_ in rows]:
            rows.append((f"alternative {len(rows) + 1}", *row))
        if len(rows) == _MOST_ALTERNATIVES:
            break
    return pd.DataFrame(rows, columns=["rank", "text", "share_unexplained", "complexity", "columns"])


def predictions_table(
    sheet: Sheet,
    observed: npt.NDArray[np.float64] | LabelArray,
    numeric: bool,
    shown: RuleList | Expression | None,
    known: IntArray,
    held: IntArray,
) -> pd.DataFrame:
    """What the formula says as it was before the held-out rows were used to sharpen its coefficients."""
    columns = ["row", "observed", "predicted", "held_out"]
    if shown is None:
        return pd.DataFrame([], columns=columns)
    part = sheet.rows(known)
    predicted = shown.labels(part) if isinstance(shown, RuleList) else shown.evaluate(part)
    made = pd.DataFrame(
        {"row": [f"row {i + 1}" for i in known], "observed": observed[known], "predicted": predicted}
    )
    if numeric:
        made["predicted"] = made["predicted"].replace([np.inf, -np.inf], np.nan)
    made["held_out"] = np.isin(known, held)
    return made


def warnings_of(
    target: str,
    constant: bool,
    trusted: bool,
    judged: Mapping[str, Scalar],
    found: Found,
    best: Formula | RuleList | None,
) -> tuple[str, ...]:
    """What a reader should know before the formula is used."""
    said = []
    if constant:
        said.append(f"{target!r} has the same value in almost all rows: no formula can be learned from it")
    elif not trusted:
        said.append(f"no formula tells {target!r} in held-out rows better than chance")
    elif not judged["exact"]:
        said.append("the formula is an approximation: noise, or terms that were not searched, are left")
    share = judged["seen_share"]
    if isinstance(share, float) and share < 1.0:
        said.append(
            f"the formula cannot be evaluated in {1 - share:.0%} of the rows: a value is missing or not defined"
        )
    if isinstance(best, Formula) and (best.low is not None or best.high is not None):
        said.append("many rows stand at the least or greatest value: it is taken as a bound, and not fitted")
    if isinstance(best, Formula) and not best.exact and best.stands:
        said.append(
            "the coefficients are those of the rows that are met exactly; the others are off for another reason"
        )
    return tuple(said)


def doubts(
    target: str, copies: list[str], unused: list[str], n_repeated: int, *, few: bool
) -> tuple[str, ...]:
    """What a reader should know of the table before the formula is believed."""
    said = []
    if copies:
        said.append(
            f"{_listed(copies)} and {target!r} determine each other: if this is {target!r} itself in other units or "
            "words, name in `columns` what may enter"
        )
    if unused:
        said.append(f"not used, being dates, names, free text or empty: {_listed(unused)}")
    if few:
        said.append("few different rows: those that were held out were also seen, and prove nothing new")
    elif n_repeated:
        said.append("some rows are repeated: repeats were kept on one side of the split")
    return tuple(said)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_LISTED])
    return shown if len(names) <= _MOST_LISTED else f"{shown} and others"


def summary_of(
    target: str, shown: RuleList | Expression | None, judged: Mapping[str, Scalar], constant: bool
) -> str:
    """The answer in a sentence."""
    if constant:
        return f"{target} is constant: there is nothing to tell."
    if shown is None:
        return f"No formula for {target} holds on held-out rows."
    text = shown.text()
    text = text if len(text) <= 600 else text[:600] + " ..."
    if judged["r2"] is not None:
        return f"{target} = {text} (R2 {judged['r2']:.4g} on held-out rows)."
    return f"{target}: {text} (right in {judged['accuracy']:.1%} of held-out rows)."
