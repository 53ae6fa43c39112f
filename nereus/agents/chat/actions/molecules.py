"""Molecules: drawn by RDKit, and properties predicted by trained methods of the store, if there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.training import FitArgs, judged, no_better, table_for
from nereus.agents.chat.lookup import parts_of
from nereus.agents.chat.turn import Outcome, Shown, Turn
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind

if TYPE_CHECKING:
    from nereus.models.store import Entry

LONGEST_SMILES = 600


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
    if not args.quantity and not args.model and known:
        return known[-1]  # "predict it": its name is said
    wanted = set(parts_of(args.quantity))
    for one in reversed(known):
        about = {part for name in (one.name, *one.columns.get("target", [])) for part in parts_of(name)}
        if wanted & about:
            return one
    what = args.model or args.quantity or "that"
    raise InputError(
        f"no trained model of the store predicts {what!r}, so there is no number that I could say",
        mend=_offer(turn, args.quantity)
        + (f"; trained are {', '.join(sorted({one.name for one in known}))}" if known else ""),
    )


def _offer(turn: Turn, what: str) -> str:
    """How to train a model: said so that it can be repeated, with the data set that has such a column."""
    try:
        dataset, column, smiles = table_for(turn, FitArgs(target=what))
    except InputError:
        return (
            "give me a table with a column of SMILES and one of measured values (in a terminal `nereus chat FILE`, on the "
            f"page drop it), then say `train a model of {what or 'it'}`"
        )
    del smiles
    return (
        f"{dataset.name} has the column {column}: say `train a model of {column}`, and I will ask before I do"
    )


def _predict(turn: Turn, args: PredictArgs) -> Outcome:
    import pandas as pd

    smiles = _structure(turn, args.smiles)
    turn.move(molecule=smiles)
    entry = _model_for(turn, args)
    column = entry.columns.get("smiles", ["smiles"])[0]
    table = turn.desk.keep_table(pd.DataFrame({"molecule": [smiles], column: [smiles]}), "molecule")
    call = turn.desk.call_tool(
        f"predict_{entry.method}",
        {"model": turn.desk.model(entry.name), "table": table},
        {"smiles": column},
        stop=turn.stopped,
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
        target = entry.columns.get("target", [""])[0] if one == "prediction" else ""
        parts.append(f"{target or one.replace('_', ' ')} {cited}")
    quality = judged(
        entry.metrics,
        lambda name, value: turn.book.cite(
            "", f"model:{entry.name}/{entry.version}/{name}", name.replace("_", " "), value, ".2f"
        ),
    )
    text = f"`{entry.name}` ({entry.method}) predicts for `{smiles}`: {', '.join(parts)}."
    if quality:
        text += f" On molecules that it had not seen: {', '.join(quality)}."
    if worse := no_better(entry.metrics):
        text += f" **{worse}**"
    text += " A prediction is no measurement."
    named = (smiles, entry.name, entry.method, *told, *entry.columns.get("target", ()))
    return Outcome(text=text, names=named)


MOLECULES = (
    Action("draw_molecule", "Draw a structure that is given as SMILES.", DrawArgs, _draw),
    Action(
        "predict",
        "Predict a property of a molecule with a trained model of the store.",
        PredictArgs,
        _predict,
    ),
)
