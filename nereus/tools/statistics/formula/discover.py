"""Formula discovery: which columns of a table tell a target, and by which closed formula or rules."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import stats

from nereus.errors import InputError
from nereus.memory.records import Scalar
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.formula.expression import Expression
from nereus.tools.statistics.formula.mention import mentions
from nereus.tools.statistics.formula.numeric import Formula, Problem, meets
from nereus.tools.statistics.formula.relevance import importances
from nereus.tools.statistics.formula.rules import Classes, RuleList, fit_rules, number_labels
from nereus.tools.statistics.formula.search import Found, column_sets, search_labels, search_number
from nereus.tools.statistics.formula.sheet import Kind, LabelArray, Sheet, read_sheet
from nereus.tools.statistics.formula.simplify import simplify

IntArray = npt.NDArray[np.intp]

_LEAST_ROWS = 30
_IMPORTANT = 0.2
_SURELY_MENTIONED = 0.7
_CHANCE = 1e-3
_LEAST_SKILL = 0.05
_GOOD = 0.9
_NEARLY_CONSTANT = 0.985
_MOST_ALTERNATIVES = 5


class DiscoverFormulaParams(Params):
    """Parameters of `discover_formula`."""

    target: str
    """Column to be told: numbers, true and false, or a category."""
    question: str = ""
    """The question in words. Columns that it names are tried first; nothing else is taken from it."""
    columns: tuple[str, ...] = ()
    """Columns that may enter; empty for all."""
    held_out: float = Field(default=0.2, ge=0.1, le=0.5)
    """Share of the rows that no part of the search sees, for the accuracy that is reported."""
    max_terms: int = Field(default=3000, ge=50, le=20_000)
    """Candidate terms that are searched; fewer is faster."""


@tool(
    "discover_formula",
    version="1",
    summary="Which columns of a table tell a target, and by which closed formula or rules; says when none fits.",
    outputs=("table:terms", "table:relevance", "table:alternatives", "table:predictions"),
    seconds=5.0,
)
def discover_formula(table: pd.DataFrame, params: DiscoverFormulaParams, *, seed: int) -> Result:
    """Find a closed formula for a number, or rules for a category, and judge it on rows that were held out.

    Parameters
    ----------
    table
        Rows are observations. Numbers, true/false (or yes/no) and text with at most twenty different values are used.
    params
        See `DiscoverFormulaParams`.
    seed
        Of the split of the rows and of the trees.

    Returns
    -------
    Result
        Table ``terms``: ``term, kind, coefficient, columns, text``, the parts of the formula in their order (coefficient
        NaN for rules). Table ``relevance``: ``column, score, in_formula, mentioned, importance, relevant`` in the order
        of the table; ``relevant`` is the answer to which columns matter, the target left out. Table ``alternatives``:
        ``rank, text, share_unexplained, complexity, columns``. Table ``predictions``: ``row, observed, predicted,
        held_out`` (text for categories). Values: ``found``, ``exact``, ``formula`` (for people), ``formula_code`` (numpy
        over a table ``df``), ``formula_data`` (JSON, for
        `expression.from_data` or `rules.rules_from_data`), ``r2`` and ``matched`` on held-out rows
        (numbers), ``accuracy`` and ``baseline_accuracy`` (categories, true and false), ``complexity``, ``n_rows``,
        ``n_held_out``, ``seen_share`` (rows that the formula can be evaluated on) ...

    Raises
    ------
    InputError
        An unknown target or column, a target of free text, or too few rows with a value.

    Notes
    -----
    Numbers: a library of powers, roots, logarithms, remainders, ratios, thresholds, categories and their products is
    searched by orthogonal matching pursuit with a beam (as in SINDy, Brunton et al. 2016, and FFX, McConaghy 2011);
    terms are chosen by the extended Bayesian information criterion and by rows that were not fitted; values at which
    the target stops are read as bounds; where many rows are met to the last digit and others are off, the coefficients
    are those of the rows that are met. Coefficients are then replaced by the simplest numbers that their error allows,
    the taste of BACON (Langley 1981). Categories: conditions that all rows of a class and no others meet, weighted
    sums that part the classes by linear programming, and small trees. A formula is reported as found only where it
    tells held-out rows better than chance. A good formula is a description of these data, not a cause.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> table = pd.DataFrame({"a": rng.uniform(1, 9, 200), "b": rng.uniform(1, 9, 200), "c": rng.normal(size=200)})
    >>> table["y"] = 3 * table["a"] ** 2 - 0.5 * table["b"] + 2
    >>> result = discover_formula(table, target="y")
    >>> result.values["formula"], result.values["exact"]
    ('3 * a^2 - 0.5 * b + 2', True)
    """
    _check_columns(table, params)
    sheet = read_sheet(table)
    names = [
        str(c)
        for c in table.columns
        if str(c) != params.target
        and (not params.columns or str(c) in params.columns)
        and sheet.kinds[str(c)] is not Kind.OTHER
    ]
    labels, numeric = _target(sheet, params.target)
    known = np.flatnonzero(np.array([label is not None for label in labels]))
    if len(known) < _LEAST_ROWS:
        raise InputError(
            f"{len(known)} rows have a value of {params.target!r}",
            where="table",
            mend=f"a formula is searched with {_LEAST_ROWS} rows or more",
        )
    mentioned = mentions(params.question, [str(c) for c in table.columns], params.target)
    fit, choose, held = _split(known, params.held_out, seed)
    target = sheet.numbers[params.target] if numeric else labels
    importance = importances(sheet, names, target, np.concatenate([fit, choose]), seed=seed)
    _, count = np.unique(labels[known].astype(str), return_counts=True)
    constant = count.max() >= _NEARLY_CONSTANT * len(known)
    found = Found(None, (), ())
    if not constant and names:
        seen = {name: float(sheet.known([name])[known].mean()) for name in names}
        sets = list(column_sets(names, mentioned, importance, seen))
        if numeric:
            found = search_number(sheet, sheet.numbers[params.target], fit, choose, sets, params.max_terms)
        else:
            found = search_labels(sheet, labels, fit, choose, sets)
    judged = _judged(sheet, labels, params.target, numeric, found.best, held)
    trusted = found.best is not None and judged["found"] is True
    best = _with_all_rows(sheet, labels, params.target, numeric, found.best, known) if trusted else None
    relevance = _relevance(names, best, judged, mentioned, importance)
    warnings = _warnings(params.target, bool(constant), trusted, judged, found, best)
    shown: RuleList | Expression | None = best.expression() if isinstance(best, Formula) else best
    if numeric and isinstance(shown, RuleList):
        shown = shown.as_number(_values(sheet.numbers[params.target]))
    values: dict[str, Scalar] = {
        "target": params.target,
        "target_kind": sheet.kinds[params.target].value,
        **judged,
        "formula": shown.text() if shown is not None else None,
        "formula_code": shown.code() if shown is not None else None,
        "formula_data": json.dumps(shown.to_data()) if shown is not None else None,
        "complexity": shown.complexity() if shown is not None else None,
        "n_relevant": int(relevance["relevant"].sum()),
        "n_columns": len(names),
        "n_rows": len(known),
        "n_held_out": len(held),
        "n_column_sets": len(found.tried),
        "constant_target": bool(constant),
    }
    return Result(
        summary=_summary(params.target, shown, judged, bool(constant)),
        values=values,
        tables={
            "terms": _terms(best),
            "relevance": relevance,
            "alternatives": _alternatives(found),
            "predictions": _predictions(table, sheet, labels, numeric, shown, known, held),
        },
        warnings=warnings,
        complete=trusted,
        n_total=len(table),
        n_returned=len(known),
    )


def _check_columns(table: pd.DataFrame, params: DiscoverFormulaParams) -> None:
    columns = [str(c) for c in table.columns]
    if len(set(columns)) != len(columns):
        raise InputError("columns have the same name", where="table", mend="rename them")
    for name in (params.target, *params.columns):
        if name not in columns:
            raise InputError(
                f"there is no column {name!r}", where="table", mend=f"columns are {columns[:20]}"
            )


def _target(sheet: Sheet, target: str) -> tuple[LabelArray, bool]:
    """Labels of the target, and whether it is a number."""
    kind = sheet.kinds[target]
    if kind is Kind.OTHER:
        raise InputError(
            f"column {target!r} is free text, or has no value",
            where="target",
            mend="a target is a number, true and false, or a category with at most twenty values",
        )
    if kind is Kind.CATEGORY:
        return sheet.labels[target], False
    if kind is Kind.BOOLEAN:
        answers = {0.0: "false", 1.0: "true"}
        return np.array([answers.get(v) for v in sheet.numbers[target]], dtype=object), False
    return number_labels(sheet.numbers[target]), kind is Kind.NUMBER


def _split(known: IntArray, held_out: float, seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows to fit, to choose with, and to report on; a quarter of what is not held out chooses."""
    order = np.random.default_rng(seed).permutation(known)
    n_held = max(8, round(held_out * len(known)))
    n_choose = max(8, round(0.25 * (len(known) - n_held)))
    held, choose, fit = order[:n_held], order[n_held : n_held + n_choose], order[n_held + n_choose :]
    return np.sort(fit), np.sort(choose), np.sort(held)


def _values(numbers: npt.NDArray[np.float64]) -> dict[str, float]:
    distinct = np.unique(numbers[np.isfinite(numbers)])
    return {str(label): float(v) for label, v in zip(number_labels(distinct), distinct, strict=True)}


def _judged(
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
            best.expression() if isinstance(best, Formula) else best.as_number(_values(sheet.numbers[target]))
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
        p = (
            float(stats.binomtest(int(hit.sum()), len(hit), min(base, 1 - 1e-9), "greater").pvalue)
            if len(hit)
            else 1.0
        )
        accuracy = float(hit.mean()) if len(hit) else 0.0
        exact = best.exact and accuracy == 1.0
        found = accuracy > base and (p <= 0.01 or exact)
        measures |= {"accuracy": accuracy, "baseline_accuracy": base, "p_chance": finite(p)}
    return {"found": bool(found), "exact": bool(exact and found), "seen_share": float(seen.mean())} | measures


def _correlation_p(predicted: npt.NDArray[np.float64], observed: npt.NDArray[np.float64]) -> float:
    if len(predicted) < 4 or np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return 1.0
    return float(stats.spearmanr(predicted, observed, alternative="greater").pvalue)


def _with_all_rows(
    sheet: Sheet,
    labels: LabelArray,
    target: str,
    numeric: bool,
    best: Formula | RuleList | None,
    known: IntArray,
) -> Formula | RuleList | None:
    """The same terms with coefficients and thresholds from all rows; kept as it was where that changes what it reads."""
    if isinstance(best, Formula):
        again = simplify(Problem(sheet, sheet.numbers[target], known, known), best)
        same = set(again.expression().columns()) == set(best.expression().columns())
        return again if same and (again.exact or not best.exact) else best
    if isinstance(best, RuleList):
        for one in fit_rules(Classes(sheet, labels, known, known), best.columns())[:1]:
            if one.exact and set(one.columns()) == set(best.columns()):
                return one
    return best


def _relevance(
    names: list[str],
    best: Formula | RuleList | None,
    judged: Mapping[str, Scalar],
    mentioned: Mapping[str, float],
    importance: Mapping[str, float],
) -> pd.DataFrame:
    used: tuple[str, ...] = ()
    if best is not None:
        used = best.expression().columns() if isinstance(best, Formula) else best.columns()
    quality = judged["r2"] if judged["r2"] is not None else judged["accuracy"]
    good = best is not None and isinstance(quality, float) and quality >= _GOOD
    rows = []
    for name in names:
        said, share = mentioned[name], importance[name]
        by_data = name in used if good else share > _IMPORTANT
        relevant = by_data or said >= _SURELY_MENTIONED
        rows.append((name, max(said, share, float(name in used)), name in used, said, share, relevant))
    columns = ["column", "score", "in_formula", "mentioned", "importance", "relevant"]
    return pd.DataFrame(rows, columns=columns)


def _terms(best: Formula | RuleList | None) -> pd.DataFrame:
    rows: list[tuple[str, str, float, str, str]] = []
    if isinstance(best, Formula):
        for weight, node in best.terms:
            rows.append((f"term {len(rows) + 1}", "term", weight, ", ".join(node.columns()), node.text()))
        rows.append((f"term {len(rows) + 1}", "constant", best.constant, "", "1"))
        for kind, bound in (("at least", best.low), ("at most", best.high)):
            if bound is not None:
                rows.append((f"term {len(rows) + 1}", kind, bound, "", kind))
        if best.wrap is not None:
            rows.append((f"term {len(rows) + 1}", best.wrap, float("nan"), "", best.wrap))
    elif best is not None:
        for node, label in best.rules:
            text = f"{label!r} where {node.text()}"
            rows.append((f"term {len(rows) + 1}", "rule", float("nan"), ", ".join(node.columns()), text))
        rows.append((f"term {len(rows) + 1}", "otherwise", float("nan"), "", repr(best.default)))
    return pd.DataFrame(rows, columns=["term", "kind", "coefficient", "columns", "text"])


def _alternatives(found: Found) -> pd.DataFrame:
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


def _predictions(
    table: pd.DataFrame,
    sheet: Sheet,
    labels: LabelArray,
    numeric: bool,
    shown: RuleList | Expression | None,
    known: IntArray,
    held: IntArray,
) -> pd.DataFrame:
    columns = ["row", "observed", "predicted", "held_out"]
    if shown is None:
        return pd.DataFrame([], columns=columns)
    part = sheet.rows(known)
    predicted = shown.labels(part) if isinstance(shown, RuleList) else shown.evaluate(part)
    observed = np.array([float(label) for label in labels[known]]) if numeric else labels[known]
    made = pd.DataFrame(
        {"row": [f"row {i + 1}" for i in known], "observed": observed, "predicted": predicted}
    )
    if numeric:
        made["predicted"] = made["predicted"].replace([np.inf, -np.inf], np.nan)
    made["held_out"] = np.isin(known, held)
    return made


def _warnings(
    target: str,
    constant: bool,
    trusted: bool,
    judged: Mapping[str, Scalar],
    found: Found,
    best: Formula | RuleList | None,
) -> tuple[str, ...]:
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


def _summary(
    target: str, shown: RuleList | Expression | None, judged: Mapping[str, Scalar], constant: bool
) -> str:
    if constant:
        return f"{target} is constant: there is nothing to tell."
    if shown is None:
        return f"No formula for {target} holds on held-out rows."
    text = shown.text()
    text = text if len(text) <= 600 else text[:600] + " ..."
    if judged["r2"] is not None:
        return f"{target} = {text} (R2 {judged['r2']:.4g} on held-out rows)."
    return f"{target}: {text} (right in {judged['accuracy']:.1%} of held-out rows)."
