"""Edges of questions with one answer, and of places in the cell: panels, groups that nobody labelled, compartments."""

from __future__ import annotations

from collections.abc import Mapping

from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.graph.loom import CLAIMS_A_QUESTION, Weaver, text_of
from nereus.agents.planner.graph.signatures import signature, target_of
from nereus.agents.planner.grouping import LEVEL, holds_in_run, missing
from nereus.agents.planner.questions import WHOLE
from nereus.memory.records import Objective, ObjectiveKind, RelationName


def wholes(graph: Weaver, objectives: Mapping[str, Objective], outputs: Mapping[str, str]) -> None:
    """Panels, groups that nobody labelled, and where features lie in the cell."""
    for one in in_order(objectives):
        objective = objectives[one]
        whole = WHOLE.get(objective.kind)
        reference = outputs.get(f"{one}:{whole.main}") if whole is not None else None
        if whole is None or not reference:
            continue
        step = reference.partition("/")[0]
        if objective.kind is ObjectiveKind.LOCALISATION:
            _places(graph, objective, step)
        elif objective.kind in (ObjectiveKind.PANEL, ObjectiveKind.SUBTYPES):
            family = f"{one} {whole.relation}"
            fell = f"{one}:{whole.family}" in outputs and holds_in_run(graph.book, family, outputs) is None
            _statement(graph, objective, whole.relation, whole.p or "", whole.holds, step, fell)


def _statement(
    graph: Weaver,
    objective: Objective,
    relation: RelationName,
    p: str,
    holds: str | None,
    step: str,
    fell: bool,
) -> None:
    """`fell`: whether it missed the error level of the run."""
    values = graph.book.values(step)
    if p not in values or missing(values[p]) or values[p] is None:
        return
    form = signature(objective.kind, relation)
    held = not fell and float(values[p]) <= LEVEL and (holds is None or bool(values.get(holds)))  # type: ignore[arg-type]
    target = target_of(objective, relation)
    if relation == "composition":
        target = graph.node("sample_group", "all samples")
    graph.add(
        graph.node(form.source[0], objective.about),
        form.kind(1),
        target,
        relation=relation,
        objective=objective,
        status="supported" if held else "refuted",
        step=step,
        cite=p,
        values=values,
        columns={
            "p": p,
            "n": "n_units",
            "effect": "performance" if relation == "prediction" else "silhouette",
        },
    )


def _places(graph: Weaver, objective: Objective, step: str) -> None:
    table = graph.book.table(step, "localisation")
    if "verdict" not in table:
        return
    chosen = table[table["verdict"].isin(["assigned", "marker"])]
    if len(chosen) > CLAIMS_A_QUESTION:
        graph.shortened.append(objective.about)
    ranked = chosen.assign(size=-chosen["probability"]).sort_values(["size", "feature"])
    for row in ranked.head(CLAIMS_A_QUESTION).to_dict("records"):
        marker = row["verdict"] == "marker"
        key = str(row["feature"])
        graph.add(
            graph.node("protein", key, text_of(row.get("gene")) or key.split(";")[0]),
            "localised_in",
            graph.node("compartment", str(row["organelle"])),
            relation="localisation",
            objective=objective,
            status="known" if marker else "supported",
            step=step,
            table="localisation",
            row=key,
            cite="organelle",
            values=row,
            columns={"confidence": "probability"},
        )
