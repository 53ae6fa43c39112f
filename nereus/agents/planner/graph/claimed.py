"""Edges of single things: what a test says of each, of all together, and again in other subjects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nereus.agents.planner.graph.loom import CLAIMS_A_QUESTION, REFUTED_A_QUESTION, Weaver
from nereus.agents.planner.graph.signatures import Signature, group_node, signature, target_of
from nereus.agents.planner.grouping import LEVEL, missing
from nereus.agents.planner.harvest import REPLICATION, Source, name_of
from nereus.memory.records import (
    EdgeKind,
    EdgeStatus,
    GraphNode,
    ObjectiveKind,
    RelationName,
    Split,
)


def tested_edges(graph: Weaver, source: Source) -> None:
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
        near = main[(main["q"] <= LEVEL) & ~main[key].astype(str).isin(told)].sort_values(["p", key])
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


def whole_comparison(graph: Weaver, source: Source) -> None:
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


def tested_again(graph: Weaver, source: Source) -> None:
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
