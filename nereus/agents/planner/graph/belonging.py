"""Edges of what features belong to: modules, kinases and factors, and sets."""

from __future__ import annotations

from collections.abc import Mapping

from nereus.agents.planner.evidence import in_order
from nereus.agents.planner.graph.loom import REFUTED_A_QUESTION, Weaver, text_of
from nereus.agents.planner.graph.signatures import target_of
from nereus.agents.planner.grouping import LEVEL, selected_sets
from nereus.agents.planner.harvest import Source, name_of
from nereus.agents.planner.questions import SETS
from nereus.memory.graph import make_node
from nereus.memory.records import EntityKind, Objective, ObjectiveKind

SETS_A_QUESTION = 15
MEMBERS_A_SET = 15
LINKS_A_SOURCE = 20
"""Features of a module, sites of a kinase."""


def modules(graph: Weaver, source: Source, outputs: Mapping[str, str]) -> None:
    """Which features move together as a module that differs."""
    step = outputs.get(f"{source.objective.id}:modules", "").partition("/")[0]
    if source.objective.kind is not ObjectiveKind.MODULES or not step:
        return
    named = {one.entity for one in graph.nodes.values() if one.kind == "module"}
    table = graph.book.table(step, "modules")
    for module, rows in table[table["module"].isin(named)].groupby("module", sort=True):
        best = rows.assign(size=-rows["kme"].abs()).sort_values(["size", "feature"]).head(LINKS_A_SOURCE)
        for row in best.to_dict("records"):
            key = str(row["feature"])
            name = name_of(source, key, text_of(row.get("gene")), {})
            graph.add(
                graph.node(source.entity, key, name),
                "coexpressed_with",
                graph.node("module", str(module)),
                relation="module",
                objective=source.objective,
                status="supported",
                step=step,
                table="modules",
                row=key,
                cite="kme",
                values=row,
                columns={"effect": "kme"},
            )


def targets_of_kinases(graph: Weaver, source: Source, outputs: Mapping[str, str]) -> None:
    """Which sites of an active kinase, or genes that respond to a pathway, were measured, as its network says."""
    step = outputs.get(f"{source.objective.id}:targets", "").partition("/")[0]
    if source.objective.kind not in (ObjectiveKind.ACTIVITY, ObjectiveKind.SIGNALLING) or not step:
        return
    named = {one.entity for one in graph.nodes.values() if one.kind == source.relation.entity}
    table = graph.book.table(step, "targets")
    chosen = table[table["source"].astype(str).isin(named)]
    for kinase, rows in chosen.groupby("source", sort=True):
        best = rows.assign(size=-rows["z"].abs()).sort_values(["size", "target"]).head(LINKS_A_SOURCE)
        for row in best.to_dict("records"):
            feature = str(row["feature"])
            site = text_of(row.get("site"))
            gene = text_of(row.get("gene"))
            known = make_node(source.entity, feature).id in graph.nodes
            name = f"{gene} {site}".strip() or feature
            graph.add(
                graph.node(source.relation.entity, str(kinase)),
                "acts_on",
                graph.nodes[make_node(source.entity, feature).id]
                if known
                else graph.node(source.entity, feature, name),
                relation=source.relation.name,
                objective=source.objective,
                status="known",
                step=step,
                table="targets",
                row=str(row["target"]),
                cite="weight",
                values=row,
                columns={"effect": "weight"},
            )


def sets(
    graph: Weaver, found: list[Source], objectives: Mapping[str, Objective], outputs: Mapping[str, str]
) -> None:
    """Sets that hold at the run's error level with the members of their leading edge; the next ones as refuted."""
    selected = selected_sets(graph.book, outputs)
    entity = found[0].entity if found else "protein"
    for one in in_order(objectives):
        objective = objectives[one]
        reference = outputs.get(f"{one}:{SETS}")
        if objective.kind is not ObjectiveKind.PATHWAY or not reference:
            continue
        step = reference.partition("/")[0]
        table = graph.book.table(step, SETS)
        if table.empty:
            continue
        target = target_of(_asked(objective, objectives), "enrichment")
        holds = table["set_id"].isin(selected.get(one, set()))
        plain = table["representative"].astype(bool) if "representative" in table else holds | True
        chosen = table[holds & plain].sort_values(["p", "set_id"]).head(SETS_A_QUESTION)
        failed = table[~holds & (table["q"] <= LEVEL)].sort_values(["p", "set_id"]).head(REFUTED_A_QUESTION)
        for rows, status in ((chosen, "supported"), (failed, "refuted")):
            for row in rows.to_dict("records"):
                graph.add(
                    graph.node("set", str(row["set_id"]), str(row["name"])),
                    "enriched_in",
                    target,
                    relation="enrichment",
                    objective=objective,
                    status="supported" if status == "supported" else "refuted",
                    step=step,
                    table=SETS,
                    row=str(row["set_id"]),
                    cite="q",
                    values=row,
                    columns={"effect": "effect", "p": "p", "q": "q"},
                )
        _members(graph, objective, step, [str(name) for name in chosen["set_id"]], entity)


def _asked(objective: Objective, objectives: Mapping[str, Objective]) -> Objective:
    """The question that a question of sets follows from, where it has no contrast or variable of its own."""
    if objective.contrast is None and objective.variable is None:
        return objectives.get(objective.parent_id or "", objective)
    return objective


def _members(graph: Weaver, objective: Objective, step: str, sets: list[str], entity: EntityKind) -> None:
    """Members that drive a set, as features of the data."""
    if not graph.book.has(step, "members"):
        return
    table = graph.book.table(step, "members")
    if table.empty:
        return
    chosen = table[table["set_id"].isin(sets) & table["hit"].astype(bool)]
    ranked = chosen.sort_values(["set_id", "p", "member"]).groupby("set_id", sort=True).head(MEMBERS_A_SET)
    for row in ranked.to_dict("records"):
        gene = str(row["gene"])
        node = graph.features.get(gene.upper())
        if node is None:
            kind: EntityKind = entity if entity in ("protein", "gene") else "gene"
            node = graph.node(kind, text_of(row.get("feature")) or gene, gene)
        graph.add(
            node,
            "member_of",
            graph.node("set", str(row["set_id"])),
            relation="enrichment",
            objective=objective,
            status="known",
            step=step,
            table="members",
            row=str(row["member"]),
            cite="hit",
            values={},
            columns={},
        )
