"""Training in a conversation: a table with structures and measured values in, a model of the store out, after a yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.lookup import parts_of
from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind

if TYPE_CHECKING:
    import pandas as pd

    from nereus.agents.chat.desk import Dataset

LONGEST_READ = 20
"""Data sets that are looked through for a column."""
LEAST_ROWS = 20
_EMPTY_WORDS = frozenset({"log", "the", "of", "value", "values", "it", "model", "a"})
SMALL: dict[str, dict[str, Any]] = {
    "asgn": {
        "geometry": "bonds",
        "reference": "composition",
        "width": 32,
        "layers": 2,
        "reach": 8.0,
        "gap": 0.5,
        "rounds": 1,
        "training": {"epochs": 4},
        "student": {"epochs": 20},
    },
    "mgssl": {"width": 32, "layers": 2},
}
"""Settings for a first model in a conversation, as in `docs/tutorial_molecules.md`: small, without conformers."""


class FitArgs(Args):
    """What is trained."""

    method: str = Field(default="", max_length=60)
    """A method of `list methods`; empty: one that fits the column's values."""
    dataset: str = Field(default="", max_length=40)
    """Id of the data set with the molecules; empty: the newest that has structures and the column."""
    target: str = Field(default="", max_length=200)
    """Column to predict, or words of its name."""
    smiles: str = Field(default="", max_length=200)
    """Column of structures; empty: found by its name."""
    name: str = Field(default="", max_length=60)
    """Name under which the trained model is kept; empty: that of the column."""
    epochs: int | None = Field(default=None, ge=1, le=2000)
    """Passes over the data; the method's own number where it is not said."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Configuration of the method; what is not named is as its card says, or small where `small` is true."""
    small: bool = True
    """Whether the settings are those that train in about a minute, where there are such for the method."""


def _columns_of_structures(columns: list[str]) -> list[str]:
    return [
        one
        for one in columns
        if "smiles" in one.lower() or one.lower() in ("structure", "canonical_smi", "smi")
    ]


def table_for(turn: Turn, args: FitArgs) -> tuple[Dataset, str, str]:
    """Data set, column to predict and column of structures that are meant; `InputError` says what is missing."""
    known = [turn.dataset(args.dataset)] if args.dataset else turn.desk.datasets()[:LONGEST_READ]
    if turn.focus.dataset and not args.dataset:  # what is talked about goes first
        known.sort(key=lambda one: one.id != turn.focus.dataset)
    wanted = set(parts_of(args.target)) - _EMPTY_WORDS
    missed = ""
    for dataset in known:
        columns = turn.desk.columns(dataset)
        structures = [args.smiles] if args.smiles else _columns_of_structures(columns)
        if not structures or structures[0] not in columns:
            missed = missed or f"{dataset.name} has no column {args.smiles or 'of SMILES'}"
            continue
        rest = [one for one in columns if one != structures[0]]
        named = [one for one in rest if one == args.target] or [
            one for one in rest if wanted & set(parts_of(one))
        ]
        if not args.target:
            named = [one for one in rest if "name" not in one.lower() and not one.lower().endswith("id")]
        if len(named) == 1 or (named and args.target):
            return dataset, named[0], structures[0]
        missed = (
            f"{dataset.name} has no column {args.target!r}: it has {', '.join(columns[:20])}"
            if args.target
            else f"which column of {dataset.name} is to be predicted? It has {', '.join(rest[:20])}"
        )
    raise InputError(
        missed or "there is no table to train on",
        mend="give a CSV with a column of SMILES and one of measured values, and name the column",
    )


def _method_for(table: pd.DataFrame, target: str) -> str:
    """A method for the values of a column: two classes, or numbers.

    Raises
    ------
    InputError
        There are neither.
    """
    import pandas as pd

    values = pd.to_numeric(table[target], errors="coerce").dropna()
    if len(values) < LEAST_ROWS:
        raise InputError(
            f"column {target!r} has too few numbers to learn from",
            mend=f"at least {LEAST_ROWS} rows with a structure and a value are needed",
        )
    return "mgssl" if set(values.unique()) <= {0.0, 1.0} else "asgn"


def _asked(turn: Turn, args: FitArgs) -> tuple[FitArgs, Any, Dataset, pd.DataFrame]:
    """Arguments with all that is meant, card, data set and table; `InputError` where something is missing."""
    from nereus import models
    from nereus.models.card import Verb

    if args.method and args.method not in models.names():
        raise InputError(f"there is no method {args.method!r}", mend=f"there are {', '.join(models.names())}")
    if args.method and Verb.PREDICT not in models.card(args.method).verbs:
        raise InputError(
            f"{args.method!r} predicts nothing", mend=f"it can {', '.join(models.card(args.method).verbs)}"
        )
    dataset, target, smiles = table_for(turn, args)
    table = turn.desk.read_table(dataset)
    whole = args.model_copy(
        update={
            "method": args.method or _method_for(table, target),
            "dataset": dataset.id,
            "target": target,
            "smiles": smiles,
        }
    )
    return whole, models.card(whole.method), dataset, table


def _fit(turn: Turn, args: FitArgs) -> Outcome:
    args, card, dataset, table = _asked(turn, args)
    turn.tell({"type": "progress", "text": f"training {args.method} on {dataset.name}"})
    params: dict[str, Any] = {"smiles": args.smiles, "target": _as_role(card, args.target)}
    settings = {**(SMALL.get(args.method, {}) if args.small else {}), **args.settings}
    if args.epochs is not None:
        part = "student" if args.method == "asgn" else "training"
        settings[part] = {**settings.get(part, {}), "epochs": args.epochs}
    if settings:
        params["settings"] = settings
    call = turn.desk.call_tool(
        f"fit_{args.method}",
        {"table": turn.desk.keep_table(table, dataset.name)},
        params,
        stop=turn.stopped,
    )
    name = args.name or "".join(one if one.isalnum() or one in "._-" else "_" for one in args.target)[:60]
    entry = turn.desk.keep_model(name, call, dataset, {"smiles": args.smiles, "target": args.target})
    said = judged(call.values, lambda key, value: turn.book.of_call(call, key, form=".2f"))
    lines = [
        f"Trained `{args.method}` on {turn.book.of_call(call, 'n_trained_on')} rows of {dataset.name} and kept it as "
        f"`{entry.name}`. On rows that it had not seen: {', '.join(said) or 'it was not judged'}."
    ]
    if worse := no_better(call.values):
        lines.append(f"\n**{worse}** Do not rely on it: more data, or `small: false`, may help.")
    lines += [
        f"\nNote: {turn.book.told('', f'call:{call.key[:16]}/warning/{place}', 'warning', text)}"
        for place, text in enumerate(call.warnings[:3])
    ]
    lines.append(f"\nNow say `predict the {args.target} of SMILES`.")
    artifacts = tuple(
        turn.shown(ref, ref.name) for ref in call.outputs.values() if ref.kind is ArtifactKind.FIGURE
    )
    return Outcome(
        text="\n".join(lines),
        artifacts=artifacts,
        names=(entry.name, args.method, dataset.name, args.target),
    )


def judged(values: Mapping[str, Any], cited: Callable[[str, float], str]) -> list[str]:
    """Errors on rows that training did not see, each beside the baseline's."""
    found = []
    for metric, name in _METRICS.items():
        own, other = values.get(f"held_out_{metric}"), values.get(f"baseline_{metric}")
        if isinstance(own, float):
            beside = f" (baseline {cited(f'baseline_{metric}', other)})" if isinstance(other, float) else ""
            found.append(f"{name} {cited(f'held_out_{metric}', own)}{beside}")
    return found


_METRICS = {
    "rmse": "root mean squared error",
    "spearman": "rank correlation",
    "auroc": "area under the ROC curve",
}


def no_better(values: Mapping[str, Any]) -> str:
    """What is said of a model that is no better than its baseline."""
    for metric, higher in (("rmse", False), ("auroc", True)):
        own, other = values.get(f"held_out_{metric}"), values.get(f"baseline_{metric}")
        if isinstance(own, float) and isinstance(other, float) and (own <= other if higher else own >= other):
            return f"It is no better than its baseline, {values.get('baseline', 'a simple model')}."
    return ""


def _as_role(card: Any, target: str) -> object:
    many = any(one.name == "target" and one.many for one in card.inputs)
    return [target] if many else target


def _fit_cost(turn: Turn, args: FitArgs) -> Cost:
    args, _, dataset, table = _asked(turn, args)
    measured = int(table[args.target].notna().sum())
    how = " with small settings" if args.small and args.method in SMALL and not args.settings else ""
    return Cost(
        ask=True,
        why=f"Train {args.method}{how} on the {measured} measured rows of {dataset.name} to predict {args.target}, and "
        "keep it. Takes about a minute or more.",
    )


TRAINING = (
    Action(
        "fit_method",
        "Train a method on a table of molecules and keep it.",
        FitArgs,
        _fit,
        _fit_cost,
        lambda turn, args: _asked(turn, args)[0].model_dump(mode="json"),
    ),
)
