"""Training as a tool: the trained method, its course, and how it does on rows that it did not see, beside a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from nereus.errors import InputError
from nereus.models import registry as methods
from nereus.models.card import Card, Verb
from nereus.models.evaluation.held_out import HeldOut, evaluate
from nereus.models.tables import unreadable
from nereus.models.training.session import Session
from nereus.tools.base import Figure, Result, TrainedMethod, finite
from nereus.tools.methods.columns import roles

_PARITY = "Each point is a row that training did not see; on the line, prediction and observation agree."
_ROC = "Curves over rows that training did not see, of the method and of a linear baseline; the diagonal is guessing."


def fit(
    card: Card,
    table: pd.DataFrame,
    params: Any,
    seed: int,
    session: Session | None = None,
    started_from: str | None = None,
) -> Result:
    """Train a method on all readable rows; judge a copy that saw a part of them on the rest.

    Parameters
    ----------
    card
        The method.
    table
        One row an object.
    params
        Columns by role, ``held_out``, ``split`` and ``settings``.
    seed
        Seed of the method and of the split.
    session
        Progress and cancellation.
    started_from
        What the trained method tells of its setting ``pretrained``, in place of a path.
    """
    columns = roles(card, params)
    method = methods.get(card.name)(params.settings.model_copy(update={"random_state": seed % 2**31}))
    method.require_columns(table, columns)
    bad = unreadable(method, table, columns, training=True)
    readable = table.iloc[[row for row in range(len(table)) if row not in bad]].reset_index(drop=True)
    if readable.empty:
        raise InputError(
            "no row can be read",
            where=f"tool 'fit_{card.name}'",
            mend=f"row 0: {_why(card, table, columns, bad) if bad else 'no rows'}",
        )
    warnings = (
        [
            f"{len(bad)} rows cannot be read and are left out, first row {min(bad)}: {_why(card, table, columns, bad)}"
        ]
        if bad
        else []
    )
    judged = None
    if params.held_out and Verb.PREDICT in card.verbs and "target" in columns:
        judged = evaluate(
            method,
            readable,
            columns,
            split=params.split,
            share=params.held_out,
            seed=seed,
            session=(session or Session()).purpose("judging"),
        )
    method.fit_table(readable, columns, session=(session or Session()).purpose("training"))
    if started_from is not None:
        method.config = method.config.model_copy(update={"pretrained": started_from})
    warnings += method.history_.notes
    tables = {"history": _history(method.history_.losses)}
    figures = dict(_drawn("plot_learning_curve", {"history": tables["history"]}))
    values: dict[str, Any] = {"n_trained_on": len(readable), "n_unreadable": len(bad)}
    values["epochs"] = len(method.history_.losses)
    if judged is not None:
        tables["held_out"] = judged.predictions
        tables["held_out_targets"] = _targets(judged, columns["target"])
        warnings += _unanswered(judged)
        values |= _values(judged)
        figures |= _judged_figure(judged)
    return Result(
        summary=_summary(card, values, judged),
        values=values,
        tables=tables,
        figures=figures,
        models={"model": TrainedMethod(method.to_bytes())},
        warnings=tuple(warnings),
        complete=not bad,
        n_total=len(table),
        n_returned=len(readable),
    )


def _why(
    card: Card, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], bad: Mapping[int, str]
) -> str:
    """What stands in the first row that cannot be read, where that is short, and why it cannot."""
    row = min(bad)
    named = columns.get(card.inputs[0].name)
    if not named:
        return bad[row]
    cell = str(table[named if isinstance(named, str) else named[0]].iloc[row])
    short = (
        "\n" not in cell
        and len(cell) <= 120
        and repr(cell) not in bad[row]
        and not bad[row].endswith("empty")
    )
    return f"{cell!r} {bad[row]}" if short else bad[row]


def _history(losses: list[dict[str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(losses)
    frame.insert(0, "epoch", range(1, len(frame) + 1))
    frame.insert(0, "step", [str(number) for number in frame["epoch"]])
    return frame


def _values(judged: HeldOut) -> dict[str, Any]:
    values: dict[str, Any] = {"n_held_out": len(judged.predictions), "baseline": judged.against}
    for name, value in judged.method.values.items():
        values[f"held_out_{name}"] = finite(value)
    for name, value in judged.baseline.values.items():
        values[f"baseline_{name}"] = finite(value)
    return values


def _targets(judged: HeldOut, named: str | tuple[str, ...]) -> pd.DataFrame:
    """Metrics of every target that was judged, one a row, beside the baseline's."""
    first = named if isinstance(named, str) else named[0]
    rows = []
    for target, one in {first: judged, **judged.others}.items():
        row: dict[str, Any] = {"target": target, "n": len(one.predictions), "baseline": one.against}
        row |= {f"held_out_{name}": value for name, value in one.method.values.items()}
        row |= {f"baseline_{name}": value for name, value in one.baseline.values.items()}
        rows.append(row)
    numbers = [name for name in dict.fromkeys(key for row in rows for key in row) if "_" in name]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def _unanswered(judged: HeldOut) -> list[str]:
    n = judged.unanswered
    return [f"{n} held-out rows have no prediction, and are not judged"] if n else []


def _summary(card: Card, values: dict[str, Any], judged: HeldOut | None) -> str:
    told = f"{card.name} learned from {values['n_trained_on']} rows."
    if judged is None:
        return told
    main = "auroc" if judged.classes else "rmse"
    own, other = judged.method.values[main], judged.baseline.values[main]
    if own is None or other is None:
        return f"{told} {main} is not defined on the held-out rows: {judged.method.notes.get(main, '')}."
    better = own > other if judged.classes else own < other
    more = ""
    if judged.others:
        won = sum(map(_better, judged.others.values()))
        more = f" Of {len(judged.others)} further targets {won} are predicted better than by it."
    return (
        f"{told} On {values['n_held_out']} held-out rows {main} {own:.3f}, "
        f"{'better' if better else 'not better'} than {judged.against} ({other:.3f}).{more}"
    )


def _better(judged: HeldOut) -> bool:
    """Whether the method beats the baseline; not where that is not defined."""
    main = "auroc" if judged.classes else "rmse"
    own, other = judged.method.values[main], judged.baseline.values[main]
    if own is None or other is None:
        return False
    return own > other if judged.classes else own < other


def _judged_figure(judged: HeldOut) -> dict[str, Figure]:
    """Parity of a number, ROC curves of classes; none where the held-out rows are all of one class."""
    if not judged.classes:
        table = judged.predictions.assign(held_out=True)
        tables = {"predictions": table[["row", "observed", "predicted", "held_out"]]}
        drawn = _drawn("plot_parity", tables)["parity"]
        return {
            "performance": replace(drawn, title="Held-out rows: observed against predicted", caption=_PARITY)
        }
    if judged.method.values["auroc"] is None:
        return {}
    from sklearn.metrics import roc_curve

    curves, performance = [], []
    for arm, column, found in (
        ("method", "predicted", judged.method),
        ("baseline", "baseline", judged.baseline),
    ):
        fpr, tpr, _ = roc_curve(judged.predictions["observed"], judged.predictions[column])
        points = [f"{arm}/{number}" for number in range(len(fpr))]
        curves.append(pd.DataFrame({"point": points, "arm": arm, "class": "active", "fpr": fpr, "tpr": tpr}))
        low, high = _interval(judged.predictions, column)
        performance.append({"arm": arm, "estimate": found.values["auroc"], "ci_low": low, "ci_high": high})
    tables = {"roc": pd.concat(curves, ignore_index=True), "performance": pd.DataFrame(performance)}
    drawn = _drawn("plot_roc", tables)["roc"]
    return {
        "performance": replace(drawn, title="Held-out rows: receiver operating characteristic", caption=_ROC)
    }


def _interval(predictions: pd.DataFrame, column: str) -> tuple[float, float]:
    """95 % interval of the AUROC (Hanley & McNeil, Radiology 1982, 143, 29)."""
    from sklearn.metrics import roc_auc_score

    y = predictions["observed"].to_numpy(float)
    auc = float(roc_auc_score(y, predictions[column]))
    n1, n0 = int((y == 1).sum()), int((y == 0).sum())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n1 - 1) * (q1 - auc**2) + (n0 - 1) * (q2 - auc**2)) / (n1 * n0)
    reach = 1.96 * max(variance, 0.0) ** 0.5
    return max(0.0, auc - reach), min(1.0, auc + reach)


def _drawn(plot: str, tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Figures of a drawing tool."""
    from nereus.tools import registry

    return dict(registry.get(plot).run(tables, {}, 0).figures)
