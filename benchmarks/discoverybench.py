"""DiscoveryBench, synthetic development tasks, without a language model: variables and formulas found from data and words.

Aim: variable F1 of 0.92 and half of the formulas exact. A task gives a question, a table and the target column. The
method sees four fifths of the rows; formulas are scored on the others. Beside it the floor: words shared by question and
column name, or importance in a forest, and the target; for formulas a straight line in all columns, or a small tree.
"Same function" compares with the gold on rows shuffled column by column, where noise does not count. Families of data
sets are in two halves: thresholds were chosen on one; single tasks of the other were not looked at.

    python -m benchmarks.discoverybench --data FOLDER [--half tuned|untouched] [--seed 7]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from benchmarks.discoverybench_gold import UnreadableError, conditions, evaluate
from benchmarks.discoverybench_tasks import Task, tasks
from benchmarks.truth.results import data_folder, store
from nereus.tools import registry
from nereus.tools.base import Result
from nereus.tools.single_thread import single_thread
from nereus.tools.statistics.formula.expression import Binary, Column, Expression, Level, from_data
from nereus.tools.statistics.formula.mention import mentions
from nereus.tools.statistics.formula.rules import RuleList, rules_from_data
from nereus.tools.statistics.formula.sheet import MOST_LEVELS, Kind, read_sheet

EXACT, GOOD = 0.999, 0.9
AIM_F1, AIM_EXACT = 0.92, 0.5
FLOOR_WORDS, FLOOR_SHORT, FLOOR_IMPORTANCE, FLOOR_TREES = 0.6, 2, 0.2, 150
NAIVE_LEAVES = 6
SHUFFLED_ROWS = 2000


def variable_f1(named: set[str], gold: frozenset[str]) -> float:
    """F1 of named columns against the relevant ones."""
    both = len(named & gold)
    return 2 * both / (len(named) + len(gold)) if both else 0.0


def read_formula(result: Result) -> Expression | RuleList | None:
    """The formula from what the tool says."""
    text = result.values["formula_data"]
    if text is None:
        return None
    data = json.loads(str(text))
    return rules_from_data(data) if data["node"] == "rules" else from_data(data)


def predict(formula: Expression | RuleList, table: pd.DataFrame) -> np.ndarray:
    """Numbers, or labels with None where a needed value is missing."""
    sheet = read_sheet(table)
    return formula.labels(sheet) if isinstance(formula, RuleList) else formula.evaluate(sheet)


def as_labels(values: np.ndarray | pd.Series) -> np.ndarray:
    """Labels as the tool writes them; None is missing."""
    return np.array([None if pd.isna(v) else _label(v) for v in values], dtype=object)


def _label(value: Any) -> str:
    text = str(value)
    return text.lower() if text in ("True", "False") else text


def agreement(
    predicted: np.ndarray, observed: np.ndarray, numeric: bool
) -> tuple[float | None, float | None, float]:
    """R2 or accuracy on the rows that can be evaluated, the same with the others counted as wrong, and their share."""
    if numeric:
        known = np.isfinite(observed)
        seen = known & np.isfinite(predicted)
        total = float(((observed[known] - observed[known].mean()) ** 2).sum()) if known.any() else 0.0
        filled = np.where(seen, predicted, observed[known].mean() if known.any() else 0.0)
        strict = 1 - float(((observed - filled)[known] ** 2).sum()) / total if total > 0 else None
        spread = float(((observed[seen] - observed[seen].mean()) ** 2).sum()) if seen.any() else 0.0
        plain = 1 - float(((observed - predicted)[seen] ** 2).sum()) / spread if spread > 0 else None
    else:
        known = np.array([v is not None for v in observed])
        seen = known & np.array([v is not None for v in predicted])
        strict = float((predicted[known] == observed[known]).mean()) if known.any() else None
        plain = float((predicted[seen] == observed[seen]).mean()) if seen.any() else None
    return plain, strict, float(seen.sum() / max(int(known.sum()), 1))


def same_function(formula: Expression | RuleList, task: Task, numeric: bool, seed: int) -> float | None:
    """R2 or accuracy between formula and gold expression on rows whose columns were shuffled one by one.

    Both are held within the values that the target takes, since the data say nothing beyond. None where the gold
    expression cannot be read, or is constant there.
    """
    rng = np.random.default_rng(seed)
    shuffled = pd.DataFrame(
        {
            name: rng.choice(values.dropna().to_numpy(), SHUFFLED_ROWS)
            if values.notna().any()
            else [np.nan] * SHUFFLED_ROWS
            for name, values in task.table.items()
        }
    )
    try:
        gold = evaluate(task.gold.expression, shuffled)
        ours = predict(formula, shuffled)
        if numeric:
            low, high = float(task.table[task.target].min()), float(task.table[task.target].max())
            gold = np.clip(gold.astype(float), low, high)
            return agreement(np.clip(ours, low, high), gold, numeric)[0]
    except (UnreadableError, ValueError, TypeError):
        return None
    labels = as_labels(gold)
    if len(set(labels)) < 2:
        return None
    return agreement(ours, labels, numeric)[0]


def gold_on_rows(task: Task, table: pd.DataFrame, numeric: bool) -> float | None:
    """R2 or accuracy of the gold expression itself: what a perfect reader of the gold would score."""
    try:
        gold = evaluate(task.gold.expression, table)
        if numeric:
            return agreement(gold.astype(float), table[task.target].to_numpy(float), numeric)[0]
    except (UnreadableError, ValueError, TypeError):
        return None
    return agreement(as_labels(gold), as_labels(table[task.target]), numeric)[0]


def shaped_gold_on_rows(task: Task, table: pd.DataFrame, numeric: bool) -> float | None:
    """The same for the best of the gold expression as it is, cut off, rounded, and held within the target's values.

    Where even that is not exact, the columns were changed after the target was made, and no formula of them is.
    """
    plain = gold_on_rows(task, table, numeric)
    if not numeric or plain is None:
        return plain
    gold, observed = evaluate(task.gold.expression, table).astype(float), table[task.target].to_numpy(float)
    low, high = float(task.table[task.target].min()), float(task.table[task.target].max())
    shapes = [np.trunc(gold), *(np.round(gold, digits) for digits in range(5))]
    found = [agreement(np.clip(one, low, high), observed, numeric)[0] for one in (gold, *shapes)]
    return max(one for one in (plain, *found) if one is not None)


def context_match(formula: Expression | RuleList | None, task: Task) -> float | None:
    """Mean over the gold's conditions of the best Jaccard index with one of ours or its opposite; None without any."""
    try:
        wanted = conditions(task.gold.expression, task.table)
    except UnreadableError:
        return None
    wanted = [mask for mask in wanted if mask.any() and not mask.all()]
    if not wanted:
        return None
    if formula is None:
        return 0.0
    nodes = [c for c, _ in formula.rules] if isinstance(formula, RuleList) else [formula]
    sheet = read_sheet(task.table)
    ours = []
    for leaf in {leaf for node in nodes for leaf in _conditions(node, sheet.kinds)}:
        values = leaf.evaluate(sheet)
        ours += [values == 1, values == 0]
    return float(np.mean([max((_jaccard(mask, one) for one in ours), default=0.0) for mask in wanted]))


def _conditions(node: Expression, kinds: dict[str, Kind]) -> list[Expression]:
    if isinstance(node, Level) or (isinstance(node, Column) and kinds.get(node.name) is Kind.BOOLEAN):
        return [node]
    own: list[Expression] = (
        [node] if isinstance(node, Binary) and node.operation in ("<", "<=", ">", ">=") else []
    )
    return own + [leaf for child in node.children() for leaf in _conditions(child, kinds)]


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(int((a | b).sum()), 1))


def floor_columns(task: Task, table: pd.DataFrame) -> set[str]:
    """Columns by shared words, short ones not counted, or by importance in a forest, and the target."""
    said = set(re.findall(r"[a-z0-9]+", task.question.lower()))
    named = {task.target}
    for column in table.columns:
        own = [w for w in re.split(r"[^a-z0-9]+", column.lower()) if len(w) > FLOOR_SHORT]
        if own and np.mean([w in said for w in own]) >= FLOOR_WORDS:
            named.add(column)
    known = table[table[task.target].notna()]
    features = known.drop(columns=[task.target])
    X = np.stack([_codes(features[c]) for c in features.columns], axis=1)
    y = known[task.target]
    numeric = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    model = (ExtraTreesRegressor if numeric else ExtraTreesClassifier)(FLOOR_TREES, random_state=0, n_jobs=1)
    model.fit(X, y.to_numpy(float) if numeric else y.astype(str))
    named |= {
        c for c, v in zip(features.columns, model.feature_importances_, strict=True) if v > FLOOR_IMPORTANCE
    }
    return named


def naive_formula(task: Task, table: pd.DataFrame, hidden: pd.DataFrame) -> float | None:
    """R2 of a straight line in all columns, or accuracy of a small tree: what needs no search. On hidden rows."""
    both = pd.concat([table, hidden], ignore_index=True).drop(columns=[task.target])
    wide = pd.get_dummies(
        both[[c for c in both.columns if both[c].nunique() <= MOST_LEVELS or _is_number(both[c])]]
    )
    X = wide.astype(float).fillna(wide.astype(float).median()).fillna(0.0).to_numpy()
    X_seen, X_hidden = X[: len(table)], X[len(table) :]
    seen = table[task.target].notna().to_numpy()
    if _is_number(table[task.target]):
        line = LinearRegression().fit(X_seen[seen], table[task.target].to_numpy(float)[seen])
        return agreement(line.predict(X_hidden), hidden[task.target].to_numpy(float), True)[0]
    labels = as_labels(table[task.target])
    tree = DecisionTreeClassifier(max_leaf_nodes=NAIVE_LEAVES, random_state=0)
    tree.fit(X_seen[seen], labels[seen].astype(str))
    return agreement(tree.predict(X_hidden).astype(object), as_labels(hidden[task.target]), False)[0]


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _codes(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(values):
        return np.nan_to_num(values.to_numpy(float), nan=-1.0)
    return pd.factorize(values.astype(str), sort=True)[0].astype(float)


def score(task: Task, seed: int) -> dict[str, Any]:
    """One task: the tool on the rows it may see, scored."""
    table, hidden = task.parts(seed)
    start, used = time.perf_counter(), time.process_time()
    result = registry.get("discover_formula")(table, target=task.target, question=task.question, seed=1)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    relevance = result.tables["relevance"]
    named = {task.target, *relevance.loc[relevance["relevant"], "column"]}
    formula = read_formula(result)
    numeric = result.values["target_kind"] == "number"
    plain = strict = None
    share = 0.0
    if formula is not None:
        observed = hidden[task.target].to_numpy(float) if numeric else as_labels(hidden[task.target])
        plain, strict, share = agreement(predict(formula, hidden), observed, numeric)
    same = same_function(formula, task, numeric, seed) if formula is not None else None
    f1 = variable_f1(named, task.gold.columns)
    right = named == task.gold.columns
    relation = 1.0 if plain is not None and plain >= EXACT else 0.5 if right and (plain or 0) >= GOOD else 0.0
    context = context_match(formula, task)
    words = mentions(task.question, [str(c) for c in table.columns], task.target)
    floor = floor_columns(task, table)
    return {
        "task": task.name,
        "half": task.half,
        "difficulty": task.difficulty,
        "constant": task.constant,
        "numeric": numeric,
        "f1": f1,
        "f1_words_alone": variable_f1(
            {task.target, *(c for c, s in words.items() if s >= 0.7)}, task.gold.columns
        ),
        "f1_floor": variable_f1(floor, task.gold.columns),
        "right_columns": right,
        "held_out": plain,
        "held_out_strict": strict,
        "share_evaluated": share,
        "exact": bool(relation == 1.0),
        "exact_strict": bool(strict is not None and strict >= EXACT),
        "same_function": same,
        "is_same_function": bool(same is not None and same >= EXACT),
        "gold_held_out": gold_on_rows(task, hidden, numeric),
        "gold_shaped_held_out": shaped_gold_on_rows(task, hidden, numeric),
        "naive_held_out": naive_formula(task, table, hidden),
        "relation": relation,
        "context": context,
        "hms": f1 * relation * (1.0 if context is None else context),
        "said_exact": bool(result.values["exact"]),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "formula": result.values["formula"],
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over tasks, and counts."""

    def mean(key: str, chosen: Sequence[dict[str, Any]] = rows) -> float | None:
        values = [float(row[key]) for row in chosen if row[key] is not None]
        return float(np.mean(values)) if values else None

    varying = [row for row in rows if not row["constant"]]
    gold_exact = [row["gold_held_out"] is not None and row["gold_held_out"] >= EXACT for row in varying]
    reachable = [
        row["exact"] or (row["gold_shaped_held_out"] is not None and row["gold_shaped_held_out"] >= EXACT)
        for row in varying
    ]
    return {
        "n_tasks": len(rows),
        "n_varying_target": len(varying),
        "variable_f1": mean("f1"),
        "variable_f1_interval": _interval([row["f1"] for row in rows]),
        "variable_f1_words_alone": mean("f1_words_alone"),
        "variable_f1_floor": mean("f1_floor"),
        "all_columns_right": mean("right_columns"),
        "exact_of_varying": mean("exact", varying),
        "exact_of_all": mean(
            "exact", [{**row, "exact": row["exact"] and not row["constant"]} for row in rows]
        ),
        "exact_strict_of_varying": mean("exact_strict", varying),
        "same_function_as_gold_of_varying": mean("is_same_function", varying),
        "exact_or_same_function_of_varying": mean(
            "either", [{"either": row["exact"] or row["is_same_function"]} for row in varying]
        ),
        "gold_itself_exact_of_varying": float(np.mean(gold_exact)) if varying else None,
        "naive_exact_of_varying": mean(
            "naive",
            [
                {"naive": row["naive_held_out"] is not None and row["naive_held_out"] >= EXACT}
                for row in varying
            ],
        ),
        "ours_or_shaped_gold_exact_of_varying": float(np.mean(reachable)) if varying else None,
        "relation": mean("relation"),
        "context_where_gold_has_conditions": mean("context"),
        "hms_without_llm": mean("hms"),
        "said_exact_and_is": sum(row["said_exact"] and row["exact"] for row in rows),
        "said_exact_and_is_not": sum(row["said_exact"] and not row["exact"] for row in rows),
        "seconds": mean("seconds"),
        "cpu_seconds": mean("cpu_seconds"),
        "most_cpu_seconds": max(float(row["cpu_seconds"]) for row in rows),
    }


def _interval(values: Sequence[float]) -> list[float]:
    rng = np.random.default_rng(0)
    means = [float(rng.choice(values, len(values)).mean()) for _ in range(2000)]
    return [float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of the public data sets; or NEREUS_DATA")
    parser.add_argument("--half", choices=("tuned", "untouched"))
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    with single_thread():
        for task in tasks(data_folder(options.data)):
            if options.half in (None, task.half):
                rows.append(score(task, options.seed))
                print(
                    f"{rows[-1]['task']}: F1 {rows[-1]['f1']:.2f}, held out {rows[-1]['held_out']}",
                    file=sys.stderr,
                )
    groups: dict[str, Callable[[dict[str, Any]], bool]] = {
        "all": lambda row: True,
        "tuned_half": lambda row: row["half"] == "tuned",
        "untouched_half": lambda row: row["half"] == "untouched",
        **{
            f"difficulty_{d}": (lambda row, d=d: row["difficulty"] == d)
            for d in sorted({r["difficulty"] for r in rows})
        },
    }
    summaries = {
        name: summary(chosen) for name, test in groups.items() if (chosen := [r for r in rows if test(r)])
    }
    print(json.dumps(summaries, indent=1))
    if options.half is None:
        found = summaries["all"]
        content = {
            "claim": "DiscoveryBench synthetic dev without a language model: variable F1 >= 0.92, formulas exact >= 0.5",
            "seed": options.seed,
            "summaries": summaries,
            "passed": found["variable_f1"] >= AIM_F1 and found["exact_of_varying"] >= AIM_EXACT,
            "tasks": [{k: v for k, v in row.items() if k not in ("seconds", "cpu_seconds")} for row in rows],
        }
        store(
            "discoverybench",
            content,
            module="benchmarks.discoverybench",
            arguments=list(argv or sys.argv[1:]),
            seconds=time.perf_counter() - start,
        )
        return 0 if content["passed"] else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
