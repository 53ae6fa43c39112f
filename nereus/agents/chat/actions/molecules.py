"""Molecules: drawn by RDKit, and properties predicted by trained methods of the store, if there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.lookup import parts_of
from nereus.agents.chat.turn import Cost, Outcome, Shown, Turn
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind

if TYPE_CHECKING:
    import pandas as pd

    from nereus.agents.chat.desk import Dataset
    from nereus.models.store import Entry

LONGEST_SMILES = 600
_NEEDS = "say `fit METHOD on DATASET to predict COLUMN`; `list methods` shows the methods"


class DrawArgs(Args):
    """Which molecule."""

    smiles: str = Field(default="", max_length=LONGEST_SMILES)
    """Structure as SMILES; empty: the one talked about."""


class PredictArgs(Args):
    """What is predicted."""

    smiles: str = Field(default="", max_length=LONGEST_SMILES)
    """Structure as SMILES; empty: the one talked about."""
    quantity: str = Field(default="", max_length=100)
    """Property, as ``solubility``."""
    model: str = Field(default="", max_length=80)
    """Name of a trained model of the store; empty: one that predicts the property."""


class FitArgs(Args):
    """What is trained."""

    method: str = Field(max_length=60)
    """A method of `list methods`."""
    dataset: str = Field(default="", max_length=40)
    """Id of the data set with the molecules; empty: the one talked about."""
    target: str = Field(max_length=200)
    """Column to predict."""
    smiles: str = Field(default="", max_length=200)
    """Column of structures; empty: found by its name."""
    name: str = Field(default="", max_length=60)
    """Name under which the trained model is kept; empty: that of the column."""
    epochs: int | None = Field(default=None, ge=1, le=2000)
    """Passes over the data; the method's own number where it is not said."""


def readable(smiles: str) -> bool:
    """Whether RDKit reads a structure."""
    try:
        from rdkit import Chem, rdBase
    except ModuleNotFoundError:
        return False
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles) is not None


def _structure(turn: Turn, given: str) -> str:
    smiles = given or turn.focus.molecule
    if not smiles:
        raise InputError("no molecule was named", mend="give its SMILES: draw CC(=O)Oc1ccccc1C(=O)O")
    if not readable(smiles):
        raise InputError(f"{smiles[:60]!r} is no structure that RDKit reads", mend="give a SMILES")
    return smiles


def _draw(turn: Turn, args: DrawArgs) -> Outcome:
    import pandas as pd

    smiles = _structure(turn, args.smiles)
    table = turn.desk.keep_table(pd.DataFrame({"molecule": [smiles], "smiles": [smiles]}), "molecule")
    call = turn.desk.call_tool("plot_molecules", {"table": table}, {"n": 1})
    figure = next(ref for ref in call.outputs.values() if ref.kind is ArtifactKind.FIGURE)
    turn.move(molecule=smiles, figure=figure.id)
    return Outcome(
        text=f"Here is `{smiles}`.",
        artifacts=(Shown(id=figure.id, kind="figure", title=smiles),),
        names=(smiles,),
    )


def _model_for(turn: Turn, args: PredictArgs) -> Entry:
    """A trained model that predicts the property.

    Raises
    ------
    InputError
        There is none; says which there are, or how to train one.
    """
    known = turn.desk.models()
    if args.model:
        for one in reversed(known):
            if one.name == args.model:
                return one
    wanted = set(parts_of(args.quantity))
    for one in reversed(known):
        about = {part for name in (one.name, *one.columns.get("target", [])) for part in parts_of(name)}
        if wanted & about:
            return one
    what = args.model or args.quantity or "that"
    raise InputError(
        f"no trained model of the store predicts {what!r}, so there is no number that I could say",
        mend=_offer(turn, wanted)
        + (f"; trained are {', '.join(one.name for one in known)}" if known else ""),
    )


def _offer(turn: Turn, wanted: set[str]) -> str:
    """How to train a model: with the data set that has such a column, where there is one."""
    for dataset in turn.desk.datasets()[:20]:
        for column in turn.desk.columns(dataset):
            if wanted & set(parts_of(column)):
                return (
                    f"{dataset.name} has such a column: say `fit METHOD on {dataset.id} to predict {column}`"
                )
    return f"I can train one on a table with structures and measured values: {_NEEDS}"


def _predict(turn: Turn, args: PredictArgs) -> Outcome:
    import pandas as pd

    smiles = _structure(turn, args.smiles)
    turn.move(molecule=smiles)
    entry = _model_for(turn, args)
    column = entry.columns.get("smiles", ["smiles"])[0]
    table = turn.desk.keep_table(pd.DataFrame({"molecule": [smiles], column: [smiles]}), "molecule")
    call = turn.desk.call_tool(
        f"predict_{entry.method}", {"model": turn.desk.model(entry.name), "table": table}, {"smiles": column}
    )
    answers = turn.desk.table(call.outputs["answers"])
    told = [one for one in answers.columns[1:] if answers[one].dtype.kind in "fi"]
    problem = str(answers["problem"].iloc[0]) if "problem" in answers.columns else ""
    if not told or problem:
        raise InputError(problem or "the model gave no number", where=f"model {entry.name!r}")
    parts = []
    for one in told:
        cited = turn.book.cite(
            "",
            f"call:{call.key[:16]}/answers/{one}",
            f"{one} by {entry.name}",
            float(answers[one].iloc[0]),
            ".2f",
        )
        parts.append(f"{one} {cited}")
    quality = [
        f"{name.replace('_', ' ')} {turn.book.cite('', f'model:{entry.name}/{entry.version}/{name}', name, value, '.2f')}"
        for name, value in sorted(entry.metrics.items())
        if value is not None and name.startswith(("held_out_", "baseline_"))
    ][:4]
    text = f"`{entry.name}` ({entry.method}) predicts for `{smiles}`: {', '.join(parts)}."
    if quality:
        text += f" On molecules that it had not seen: {', '.join(quality)}."
    text += " A prediction is no measurement."
    return Outcome(text=text, names=(smiles, entry.name, entry.method, *told))


def _asked(turn: Turn, args: FitArgs) -> tuple[Any, Dataset, pd.DataFrame, str]:
    """Card, data set, table and column of structures; `InputError` where one is missing."""
    from nereus import models
    from nereus.models.card import Verb

    if args.method not in models.names():
        raise InputError(f"there is no method {args.method!r}", mend=f"there are {', '.join(models.names())}")
    card = models.card(args.method)
    if Verb.PREDICT not in card.verbs:
        raise InputError(f"{args.method!r} predicts nothing", mend=f"it can {', '.join(card.verbs)}")
    dataset = turn.dataset(args.dataset)
    table = turn.desk.read_table(dataset)
    columns = [str(one) for one in table.columns]
    smiles = args.smiles or next((one for one in columns if "smiles" in one.lower()), "")
    for column, what in ((smiles, "of structures"), (args.target, "to predict")):
        if column not in columns:
            raise InputError(
                f"{dataset.name} has no column {column!r}" if column else f"no column {what} is named",
                mend=f"{dataset.name} has {', '.join(columns[:20])}",
            )
    return card, dataset, table, smiles


def _fit(turn: Turn, args: FitArgs) -> Outcome:
    card, dataset, table, smiles = _asked(turn, args)
    turn.tell({"type": "progress", "text": f"training {args.method} on {dataset.name}"})
    params: dict[str, object] = {"smiles": smiles, "target": _as_role(card, args.target)}
    if args.epochs is not None:
        params["settings"] = {"training": {"epochs": args.epochs}}
    call = turn.desk.call_tool(
        f"fit_{args.method}", {"table": turn.desk.keep_table(table, dataset.name)}, params
    )
    name = args.name or "".join(one if one.isalnum() or one in "._-" else "_" for one in args.target)[:60]
    entry = turn.desk.keep_model(name, call, dataset, {"smiles": smiles, "target": args.target})
    said = [
        f"{key.replace('_', ' ')} {turn.book.of_call(call, key, form='.2f')}"
        for key, value in call.values.items()
        if isinstance(value, float) and key.startswith(("held_out_", "baseline_"))
    ]
    artifacts = tuple(
        turn.shown(ref, ref.name) for ref in call.outputs.values() if ref.kind is ArtifactKind.FIGURE
    )
    text = f"Trained `{args.method}` on {dataset.name} and kept it as `{entry.name}`: {', '.join(said) or 'it was not judged'}."
    return Outcome(
        text=text + " Now I can predict with it.",
        artifacts=artifacts,
        names=(entry.name, args.method, dataset.name),
    )


def _as_role(card: Any, target: str) -> object:
    many = any(one.name == "target" and one.many for one in card.inputs)
    return [target] if many else target


def _fit_cost(turn: Turn, args: FitArgs) -> Cost:
    _, dataset, _, _ = _asked(turn, args)
    return Cost(ask=True, why=f"Train {args.method} on {dataset.name} to predict {args.target}, and keep it.")


MOLECULES = (
    Action("draw_molecule", "Draw a structure that is given as SMILES.", DrawArgs, _draw),
    Action(
        "predict",
        "Predict a property of a molecule with a trained model of the store.",
        PredictArgs,
        _predict,
    ),
    Action("fit_method", "Train a method on a table of molecules and keep it.", FitArgs, _fit, _fit_cost),
)
