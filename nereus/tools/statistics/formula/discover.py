"""Formula discovery: which columns of a table tell a target, and by which closed formula or rules."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Scalar
from nereus.tools.base import Params, Result, tool
from nereus.tools.statistics.formula.account import (
    alternatives_table,
    doubts,
    predictions_table,
    relevance_table,
    summary_of,
    terms_table,
    warnings_of,
)
from nereus.tools.statistics.formula.judgement import contributions, judged_on, shown_as
from nereus.tools.statistics.formula.mention import mentions
from nereus.tools.statistics.formula.numeric import Formula, Problem
from nereus.tools.statistics.formula.relevance import importances
from nereus.tools.statistics.formula.rows import alike, copies_of, drawn, split
from nereus.tools.statistics.formula.rules import Classes, RuleList, fit_rules, number_labels
from nereus.tools.statistics.formula.search import (
    Found,
    column_sets,
    inverse_target,
    search_labels,
    search_number,
)
from nereus.tools.statistics.formula.sheet import Kind, LabelArray, Sheet, read_sheet
from nereus.tools.statistics.formula.simplify import simplify

IntArray = npt.NDArray[np.intp]

_LEAST_ROWS = 30
_NEARLY_CONSTANT = 0.985


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
    version="2",
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
        NaN for rules). Table ``relevance``: ``column, score, in_formula, mentioned, importance, contribution, relevant``
        in the order of the table; ``contribution`` is what R2, or the gain in accuracy, loses when the column is shuffled
        in held-out rows; ``relevant`` is the answer to which columns matter, the target left out. Table
        ``alternatives``: ``rank, text, share_unexplained, complexity, columns``. Table ``predictions``: ``row, observed,
        predicted, held_out`` (text for categories), from the formula as it was before held-out rows sharpened it.
        Values: ``found``, ``exact``, ``formula`` (for people), ``formula_code`` (numpy over a table ``df``),
        ``formula_data`` (JSON, for `expression.from_data` or `rules.rules_from_data`), ``r2`` and ``matched`` on
        held-out rows (numbers), ``accuracy`` and ``baseline_accuracy`` (categories, true and false), ``complexity``,
        ``n_rows``, ``n_held_out``, ``n_searched`` (larger tables are searched in a random part),
        ``n_copies_of_target``, ``seen_share`` (rows that the formula can be evaluated on) ...

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
    twins = alike(sheet)
    n_distinct = len(np.unique(twins[known]))
    # Where a table holds but a few different rows, each is met again and again: no copy, but what can be.
    apart = twins if n_distinct >= _LEAST_ROWS else np.arange(sheet.n_rows)
    fit, choose, held = split(known, apart, params.held_out, seed)
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
    judged = judged_on(sheet, labels, params.target, numeric, found.best, held)
    trusted = found.best is not None and judged["found"] is True
    some = drawn(known, seed)
    best = _with_all_rows(sheet, labels, params.target, numeric, found.best, some) if trusted else None
    parts = contributions(sheet, labels, params.target, numeric, best, held, seed)
    relevance = relevance_table(names, best, judged, mentioned, importance, parts)
    observed = sheet.numbers[params.target] if numeric else labels
    unused = [name for name, kind in sheet.kinds.items() if kind is Kind.OTHER]
    copies = copies_of(sheet, labels, params.target, numeric, names, np.concatenate([fit, choose]))
    n_repeated = len(known) - n_distinct
    warnings = warnings_of(params.target, bool(constant), trusted, judged, found, best)
    warnings += doubts(params.target, copies, unused, n_repeated, few=n_distinct < _LEAST_ROWS)
    shown, blind = (
        shown_as(one, sheet, params.target, numeric) for one in (best, found.best if trusted else None)
    )
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
        "n_searched": len(fit) + len(choose),
        "n_repeated_rows": n_repeated,
        "n_copies_of_target": len(copies),
        "n_columns_left_out": len(unused),
        "n_held_out": len(held),
        "n_column_sets": len(found.tried),
        "constant_target": bool(constant),
    }
    return Result(
        summary=summary_of(params.target, shown, judged, bool(constant)),
        values=values,
        tables={
            "terms": terms_table(best),
            "relevance": relevance,
            "alternatives": alternatives_table(found),
            "predictions": predictions_table(sheet, observed, numeric, blind, known, held),
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
        numbers = sheet.numbers[target]
        bent = numbers if best.outer is None else inverse_target(numbers, best.outer)
        if bent is None:
            return best
        again = replace(
            simplify(Problem(sheet, bent, known, known), replace(best, outer=None)), outer=best.outer
        )
        same = set(again.expression().columns()) == set(best.expression().columns())
        return again if same and (again.exact or not best.exact) else best
    if isinstance(best, RuleList):
        for one in fit_rules(Classes(sheet, labels, known, known), best.columns())[:1]:
            if one.exact and set(one.columns()) == set(best.columns()):
                return one
    return best
