"""How a run writes its evidence graph: tables and evidence -> nodes and edges.

What holds at the error level of the run becomes a supported edge, what was tested and does not hold a refuted one, what
could not be tested an untested one; what a collection of knowledge says (a member of a set, a site of a kinase) is
known. Every edge cites a cell of the table that recomputes its numbers. Of a question with very many claims the
strongest are kept, and a notice says so: ``claims.csv`` has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.evidence import EvidenceBook, in_order
from nereus.agents.planner.graph.signatures import Signature, group_node, signature, target_of
from nereus.agents.planner.grouping import holds_in_run, missing, selected_sets
from nereus.agents.planner.harvest import REPLICATION, Source, name_of
from nereus.agents.planner.questions import SETS, WHOLE
from nereus.memory.graph import edge_id, make_node, ordered
from nereus.memory.records import (
    EdgeKind,
    EdgeStatus,
    EntityKind,
    GraphEdge,
    GraphNode,
    Objective,
    ObjectiveKind,
    RelationName,
    Split,
)

CLAIMS_A_QUESTION = 100
"""Supported edges of one question; the strongest by confidence and p."""
REFUTED_A_QUESTION = 25
SETS_A_QUESTION = 15
MEMBERS_A_SET = 15
LINKS_A_SOURCE = 20
"""Features of a module, sites of a kinase."""
_LEVEL = 0.05
_COUNTS = ("n", "n_a+n_b", "n_a")


@dataclass
class Weaver:
    """A graph under construction."""

    book: EvidenceBook
    dataset: str
    cohort: str = ""
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    edges: dict[str, GraphEdge] = field(default_factory=dict)
    shortened: list[str] = field(default_factory=list)
    """What is asked by the questions of which only the strongest claims are kept."""
    features: dict[str, GraphNode] = field(default_factory=dict)
    """Gene in upper case -> the feature that stands for it."""

    def node(self, kind: EntityKind, entity: str, name: str = "") -> GraphNode:
        """A node of this graph, made once."""
        one = make_node(kind, entity, name)
        return self.nodes.setdefault(one.id, one)

    def add(
        self,
        source: GraphNode,
        kind: EdgeKind,
        target: GraphNode,
        *,
        relation: RelationName,
        objective: Objective,
        status: EdgeStatus,
        step: str,
        table: str = "",
        row: str = "",
        cite: str,
        values: Mapping[str, Any],
        columns: Mapping[str, str],
        split: Split = "discovery",
    ) -> None:
        """Add an edge that a cell of a table, or a named value of a step, recomputes.

        Parameters
        ----------
        source, kind, target
            What is joined, and how.
        relation, objective, status, split
            What it says, who asked, and what became of it.
        step, table, row, cite
            Where the evidence lies; without a table `cite` is a named value of the step.
        values
            The row, or the named values.
        columns
            Number of the edge -> column; those that the row lacks are left out.
        """
        found, read = _numbers(values, columns)
        cited = self.book.cell(step, table, row, cite) if table else self.book.value(step, cite)
        effect = found.get("effect")
        for node in (source, target):
            self.nodes.setdefault(node.id, node)
        identity = edge_id(source.id, kind, target.id, objective.about, objective.id, split)
        self.edges.setdefault(
            identity,
            GraphEdge(
                id=identity,
                kind=kind,
                source=source.id,
                target=target.id,
                relation=relation,
                sign=0 if not effect else 1 if effect > 0 else -1,
                about=objective.about,
                objective_id=objective.id,
                status=status,
                split=split,
                dataset=self.cohort if split == "second cohort" else self.dataset,
                columns=read,
                evidence_ids=(cited.id,),
                **found,
            ),
        )

    def done(self) -> tuple[list[GraphNode], list[GraphEdge]]:
        """Nodes and edges in the order of files and pages."""
        return ordered(self.nodes.values(), self.edges.values())


def _numbers(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The numbers of an edge, and the column of each."""
    found: dict[str, Any] = {}
    read: dict[str, str] = {}
    for role, told in columns.items():
        for column in _COUNTS if told == "n" else (told,):
            parts = [
                float(value)
                for one in column.split("+")
                if isinstance(value := values.get(one), int | float) and not missing(value)
            ]
            if len(parts) == column.count("+") + 1:
                found[role] = sum(parts)
                read[role] = column
                break
    return found, read


def weave(
    book: EvidenceBook,
    found: list[Source],
    objectives: Mapping[str, Objective],
    outputs: Mapping[str, str],
    inputs: Mapping[str, str],
) -> Weaver:
    """Write down what the run knows so far.

    Parameters
    ----------
    book
        Cites.
    found
        Every tested objective and where its tables are.
    objectives, outputs
        Of the run.
    inputs
        Role -> artifact id of the files.
    """
    graph = Weaver(book, inputs.get("data", ""), inputs.get(COHORT, ""))
    for source in found:
        _tested_edges(graph, source)
        _whole_comparison(graph, source)
        _again(graph, source)
    for source in found:
        _modules(graph, source, outputs)
        _targets_of_kinases(graph, source, outputs)
    _sets(graph, found, objectives, outputs)
    _wholes(graph, objectives, outputs)
    book.flush()
    return graph


# ------------------------------------------------------------------------------------------------ single entities


def _tested_edges(graph: Weaver, source: Source) -> None:
    """Claims that hold, and what one table alone would have called significant but the run does not."""
    claims, step = graph.book.table(source.references["claims"], "claims"), source.references["claims"]
    main, test = graph.book.table(source.references[source.main], source.main), source.references[source.main]
    told = {str(row["feature"]) for row in claims[["feature"]].to_dict("records")} if len(claims) else set()
    if len(claims) > CLAIMS_A_QUESTION:
        graph.shortened.append(source.label)
    rows = _strongest(claims, CLAIMS_A_QUESTION)
    key = str(main.columns[0])
    by_key = main.drop_duplicates(key).set_index(key, drop=False)
    columns = {"effect": "effect", "p": "p", "q": "q", "n": "n", "confidence": "confidence"}
    run_wide = {**columns, "q": "q_run"} if "q_run" in claims else columns
    held = by_key.reindex([str(row["feature"]) for row in rows]).to_dict("records")
    for row, own in zip(rows, held, strict=True):
        relation: RelationName = row["kind"]
        where = (step, "claims", str(row[str(claims.columns[0])]))
        _entity_edge(graph, source, relation, row, own, "supported", where, run_wide)
    if "q" in main:
        near = main[(main["q"] <= _LEVEL) & ~main[key].astype(str).isin(told)].sort_values(["p", key])
        for row in near.head(REFUTED_A_QUESTION).to_dict("records"):
            told_row = {**row, "feature": row[key]}
            where = (test, source.main, str(row[key]))
            _entity_edge(graph, source, source.relation.name, told_row, row, "refuted", where, columns)


def _strongest(claims: pd.DataFrame, most: int) -> list[dict[str, Any]]:
    if claims.empty:
        return []
    order = [one for one in ("confidence",) if one in claims]
    ranked = claims.sort_values(
        [*order, "p", "feature"], ascending=[False] * len(order) + [True, True], kind="stable"
    )
    return [{str(k): v for k, v in row.items()} for row in ranked.head(most).to_dict("records")]


def _entity_edge(
    graph: Weaver,
    source: Source,
    relation: RelationName,
    row: Mapping[str, Any],
    own: Mapping[str, Any],
    status: EdgeStatus,
    where: tuple[str, str, str],
    columns: Mapping[str, str],
    split: Split = "discovery",
) -> None:
    """One row of claims, of a test or of a replication as an edge."""
    form = signature(source.objective.kind, relation)
    entity = _entity(graph, source, form, row, own)
    effect = row.get("effect")
    if effect is None or missing(effect):
        return
    sign = -1 if float(effect) < 0 else 1
    target = target_of(source.objective, relation)
    if "bait" in form.source:
        entity, target = graph.node("bait", str(own.get("bait", target.name))), entity
    step, table, key = where
    graph.add(
        entity,
        form.kind(sign),
        target,
        relation=relation,
        objective=source.objective,
        status=status,
        step=step,
        table=table,
        row=key,
        cite="q" if not missing(row.get("q")) else "effect",
        values=row,
        columns=columns,
        split=split,
    )


def _entity(
    graph: Weaver, source: Source, form: Signature, row: Mapping[str, Any], own: Mapping[str, Any]
) -> GraphNode:
    """The node of a row: as hypotheses name it."""
    relation = source.relation
    kind = source.entity if relation.entity == "protein" else relation.entity
    key, gene = str(row["feature"]), str(row.get("gene") or "")
    gene = "" if gene == "nan" else gene
    told = own if (source.asked.name or source.asked.parts) else {}
    name = name_of(source, key, gene, told)
    entity = str(own.get("feature", key)) if source.asked.parts else key
    node = graph.node(kind, entity, name)
    if gene and kind in ("protein", "gene"):
        graph.features.setdefault(gene.upper(), node)
    if source.objective.kind is ObjectiveKind.STATES and "population" in own:
        _part_of(graph, source, node, str(own["population"]), key)
    elif kind == "site" and gene:
        _part_of_protein(graph, source, node, gene, key)
    return node


def _part_of(graph: Weaver, source: Source, node: GraphNode, population: str, key: str) -> None:
    """A marker of a population."""
    graph.add(
        node,
        "member_of",
        graph.node("population", population),
        relation="state",
        objective=source.objective,
        status="known",
        step=source.references[source.main],
        table=source.main,
        row=key,
        cite="population",
        values={},
        columns={},
    )


def _part_of_protein(graph: Weaver, source: Source, node: GraphNode, gene: str, key: str) -> None:
    """A site of a protein."""
    graph.add(
        node,
        "member_of",
        graph.node("gene", gene),
        relation="abundance",
        objective=source.objective,
        status="known",
        step=source.references[source.main],
        table=source.main,
        row=key,
        cite="gene",
        values={},
        columns={},
    )


def _whole_comparison(graph: Weaver, source: Source) -> None:
    """Whether anything at all differs between the groups, or follows the variable."""
    step = source.references[source.main]
    objective = source.objective
    if not graph.book.says(step, "n_significant"):
        return
    claims = graph.book.table(source.references["claims"], "claims")
    target = target_of(objective, source.relation.name)
    contrast = objective.contrast
    kind: EdgeKind = "differs_from" if contrast is not None else "varies_with"
    first = target if contrast is not None else graph.node("sample_group", "all samples")
    second = group_node(contrast.factor, contrast.b, contrast) if contrast is not None else target
    if first.id == second.id:
        return
    values = graph.book.values(step)
    graph.add(
        first,
        kind,
        second,
        relation=source.relation.name,
        objective=objective,
        status="supported" if len(claims) else "refuted",
        step=step,
        cite="n_significant",
        values=values,
        columns={"n": "n_units" if "n_units" in values else "n_samples"},
    )


def _again(graph: Weaver, source: Source) -> None:
    """Findings that were tested again in subjects that were kept aside, or in a second cohort."""
    step = source.references.get(REPLICATION)
    if step is None or not graph.book.has(step, REPLICATION):
        return
    table = graph.book.table(step, REPLICATION)
    split: Split = "second cohort" if source.cohort else "validation"
    key = str(table.columns[0])
    for row in table.head(CLAIMS_A_QUESTION).to_dict("records"):
        status: EdgeStatus = "supported" if bool(row.get("replicated")) else "refuted"
        told = {**row, "feature": row[key]}
        if missing(row.get("q")) or missing(row.get("effect")):
            status = "untested"
            told["effect"] = row.get("discovery_effect")
        # What was not measured again has no number of its own.
        columns = {} if status == "untested" else {"effect": "effect", "p": "p", "q": "q", "n": "n"}
        _again_edge(graph, source, told, step, str(row[key]), status, columns, split)


def _again_edge(
    graph: Weaver,
    source: Source,
    row: Mapping[str, Any],
    step: str,
    key: str,
    status: EdgeStatus,
    columns: Mapping[str, str],
    split: Split,
) -> None:
    if missing(row.get("effect")):
        return
    relation = source.relation.name
    form = signature(source.objective.kind, relation)
    node = _entity(graph, source, form, row, {})
    graph.add(
        node,
        form.kind(-1 if float(row["effect"]) < 0 else 1),
        target_of(source.objective, relation),
        relation=relation,
        objective=source.objective,
        status=status,
        step=step,
        table=REPLICATION,
        row=key,
        cite="status" if status == "untested" else "q",
        values=row,
        columns=columns,
        split=split,
    )


# -------------------------------------------------------------------------------------------- what features belong to


def _modules(graph: Weaver, source: Source, outputs: Mapping[str, str]) -> None:
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
            name = name_of(source, key, _text(row.get("gene")), {})
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


def _targets_of_kinases(graph: Weaver, source: Source, outputs: Mapping[str, str]) -> None:
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
            site = _text(row.get("site"))
            gene = _text(row.get("gene"))
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


def _sets(
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
        failed = table[~holds & (table["q"] <= _LEVEL)].sort_values(["p", "set_id"]).head(REFUTED_A_QUESTION)
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
            node = graph.node(kind, _text(row.get("feature")) or gene, gene)
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


# ------------------------------------------------------------------------------------------------ whole statements


def _wholes(graph: Weaver, objectives: Mapping[str, Objective], outputs: Mapping[str, str]) -> None:
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
    held = not fell and float(values[p]) <= _LEVEL and (holds is None or bool(values.get(holds)))  # type: ignore[arg-type]
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
            graph.node("protein", key, _text(row.get("gene")) or key.split(";")[0]),
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


def _text(value: Any) -> str:
    return "" if missing(value) or str(value) == "nan" else str(value)
