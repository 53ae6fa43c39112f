"""Figures: drawn by the platform's tools from what a run recorded."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.entities import EntityArgs, found_entity, question_for
from nereus.agents.chat.turn import Outcome, Shown, Turn
from nereus.agents.planner.questions import TESTED
from nereus.agents.reporter.render import known_names
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind, ArtifactRef, Objective, ObjectiveKind, ToolCall

Kind = Literal["auto", "feature", "volcano", "pca", "heatmap", "missingness"]


class ShowArgs(Args):
    """What is drawn."""

    kind: Kind = "auto"
    """Kind of figure; ``auto`` draws the entity that is talked about, else a volcano plot."""
    entity: str = Field(default="", max_length=200)
    """Gene or protein; empty: the one talked about."""
    about: str = Field(default="", max_length=300)
    """Groups or variable that are meant, or the id of a question."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


def _show(turn: Turn, args: ShowArgs) -> Outcome:
    run = turn.run_id(args.run)
    sources = turn.sources(run)
    kind = args.kind
    if kind == "auto":
        kind = "feature" if args.entity or turn.focus.entity else "volcano"
    names = (run, *known_names(sources.record))
    if kind in ("pca", "missingness", "heatmap"):
        known = _recorded(turn, run, kind)
        if known is not None:
            turn.move(run=run, figure=known.id)
            return Outcome(
                text=f"Here is the {_NAMES[kind]} of run `{run}`.",
                artifacts=(known,),
                names=names,
                run_id=run,
            )
    row = name = ""
    if kind == "feature":
        found = found_entity(turn, EntityArgs(entity=args.entity, run=run))
        row, name = found.key, found.name
    objective, step, _ = question_for(turn, row, args.about, run)
    tested = TESTED[objective.kind]
    if kind == "feature":
        tool = tested.figure or "plot_feature"
        inputs: dict[str, Any] = {"dataset": _input(turn, run, step, "dataset")}
        params = _feature_params(tool, objective, row)
        title = f"{name}, {objective.about}"
    elif kind == "volcano":
        tool, params = "plot_volcano", _asked(objective)
        inputs = {"table": sources.call(step).outputs[tested.main]}
        title = f"the volcano plot, {objective.about}"
    else:
        tool, params = f"plot_{kind}", _asked(objective)
        inputs = {"dataset": _input(turn, run, step, "dataset")}
        title = f"{_NAMES[kind]}, {objective.about}"
    known_params = set(_spec(tool).params_model.model_fields)
    call = turn.desk.call_tool(tool, inputs, {key: one for key, one in params.items() if key in known_params})
    figure = next((ref for ref in call.outputs.values() if ref.kind is ArtifactKind.FIGURE), None)
    if figure is None:
        raise InputError(f"{tool} drew nothing", where=f"run {run}", mend=call.summary)
    turn.move(run=run, figure=figure.id, objective=objective.id)
    if row:
        turn.move(entity=row, entity_name=name)
    return Outcome(
        text=f"Here is {title}.{_counted(turn, call)}",
        artifacts=(Shown(run_id=run, id=figure.id, kind="figure", title=title),),
        names=(*names, name, row, title),
        run_id=run,
    )


def _counted(turn: Turn, call: ToolCall) -> str:
    """How much is drawn, as far as the tool says."""
    told = [
        f"{name.removeprefix('n_').replace('_', ' ')} {turn.book.of_call(call, name)}"
        for name, value in call.values.items()
        if name.startswith("n_") and isinstance(value, int) and not isinstance(value, bool)
    ]
    return f" Drawn: {', '.join(told[:4])}." if told else ""


_NAMES = {
    "pca": "map of the samples by their main components",
    "missingness": "map of missing values",
    "heatmap": "heat map",
    "volcano": "volcano plot",
}


def _spec(tool: str) -> Any:
    from nereus.tools import registry

    return registry.get(tool)


def _recorded(turn: Turn, run: str, kind: str) -> Shown | None:
    """A figure of this kind that the run, or the one it follows, has drawn."""
    record = turn.record(run)
    while True:
        for step in record.steps():
            call = record.calls.get(step.call_key or "")
            if step.tool == f"plot_{kind}" and call is not None:
                for ref in call.outputs.values():
                    if ref.kind is ArtifactKind.FIGURE:
                        return turn.shown(ref, _NAMES.get(kind, kind), record.header.id)
        if not record.header.forked_from:
            return None
        record = turn.record(record.header.forked_from)


def _input(turn: Turn, run: str, step_id: str, name: str) -> ArtifactRef:
    """The data set that a step read."""
    record = turn.record(run)
    step = next(one for one in record.steps() if one.id == step_id)
    reference = str(step.inputs[name])
    owner, _, output = reference.partition("/")
    if owner == "run":
        owner, _, output = record.outputs[output].partition("/")
    return turn.sources(run).call(owner).outputs[output]


def _feature_params(tool: str, objective: Objective, row: str) -> dict[str, Any]:
    del tool
    params: dict[str, Any] = {"feature": row, **_asked(objective)}
    params |= {key: one for key, one in objective.design.items() if key in ("time", "event", "dose")}
    return params


def _asked(objective: Objective) -> dict[str, Any]:
    """What a question compares or follows, as a parameter."""
    if objective.kind is ObjectiveKind.ASSOCIATION:
        return {"variable": objective.variable}
    if objective.contrast is not None:
        return {"contrast": objective.contrast.model_dump(mode="json")}
    return {}


FIGURES = (
    Action(
        "show",
        "Draw a figure: one protein, a volcano plot, a PCA, a heat map, missing values.",
        ShowArgs,
        _show,
    ),
)
