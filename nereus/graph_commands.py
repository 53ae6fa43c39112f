"""`nereus graph`: ask the evidence graph of a run, or of all runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.errors import InputError
from nereus.telling import told

if TYPE_CHECKING:
    from nereus.memory.network import EvidenceGraph, Said, Way

_SHOWN = 40
"""Edges that are told in the terminal; a file holds all."""


def graph(
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run; default the newest with a graph.")
    ] = None,
    all_runs: Annotated[
        bool,
        typer.Option("--all", help="All runs: things of one kind and name are one, whatever the data set."),
    ] = False,
    entity: Annotated[
        str | None,
        typer.Option(help="What is said of a protein, set, group ...: a name, accession or kind:name."),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="With --entity: how many edges away.")] = 1,
    start: Annotated[str | None, typer.Option("--from", help="With --to: ways from one thing ...")] = None,
    end: Annotated[str | None, typer.Option("--to", help="... to another.")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Ways of these kinds, e.g. 'protein>pathway>group' or 'kinase>acts_on>site>group'."
        ),
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only edges of this kind; repeatable.")] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only supported, refuted, untested, known or inferred ones; repeatable."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Ways that are looked for.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write what was asked for: .graphml, .json, .csv, .svg or .html.")
    ] = None,
) -> None:
    """Ask what runs found of which things: entities, paths, patterns, agreement between data sets."""
    with told():
        from nereus.agents.planner.graph.query import graph as opened
        from nereus.agents.reporter.graph_files import write_graph

        if run_id is not None and all_runs:
            raise InputError(
                "a run and --all exclude each other", where="graph", mend="leave one of them out"
            )
        if (start is None) != (end is None):
            raise InputError("--from and --to belong together", where="graph", mend="give both")
        if sum(one is not None for one in (entity, start, pattern)) > 1:
            raise InputError(
                "--entity, --from and --pattern are different questions",
                where="graph",
                mend="ask one at a time",
            )
        found = opened(run_id, all_runs=all_runs).select(kind or (), status or ())
        ways: list[Way] | None = None
        if entity is not None:
            found = found.neighbourhood(entity, depth)
        elif start is not None and end is not None:
            ways = found.paths(start, end, most=most)
        elif pattern is not None:
            ways = found.match(pattern, most=most)
        if ways is not None:
            found = found.part(ways)
        if as_json:
            document = found.document() | (
                {"paths": [_way(one, found) for one in ways]} if ways is not None else {}
            )
            typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        elif ways is not None:
            _tell_ways(ways, found, all_runs)
        elif entity is not None:
            _tell_edges(found, all_runs)
            _tell_agreement(found, entity)
        else:
            _tell_all(found)
        if out is not None:
            typer.echo(f"written: {write_graph(found, out)}", err=as_json)


def _tell_all(found: EvidenceGraph) -> None:
    typer.echo(
        f"{len(found.nodes)} things, {len(found)} edges, {len(found.runs)} run{'s' * (len(found.runs) > 1)}"
    )
    kinds = Counter(node.kind for node in found.nodes.values())
    typer.echo("things:  " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))
    edges = Counter((one.edge.kind, one.edge.status) for one in found.edges)
    for (kind, status), number in sorted(edges.items()):
        typer.echo(f"{number:>6}  {kind:<18} {status}")
    degree: Counter[str] = Counter()
    for one, _ in _once(found, [one for one in found.edges if one.edge.status == "supported"]):
        degree.update([found.source(one).name, found.target(one).name])
    first = sorted(degree.items(), key=lambda item: (-item[1], item[0]))[:10]
    if first:
        typer.echo("most supported edges:  " + ", ".join(f"{name} ({number})" for name, number in first))


def _tell_edges(found: EvidenceGraph, with_run: bool) -> None:
    order = {"supported": 0, "inferred": 1, "known": 2, "untested": 3, "refuted": 4}
    ranked = sorted(
        found.edges,
        key=lambda one: (order[one.edge.status], 1.0 if one.edge.q is None else one.edge.q, one.edge.id),
    )
    told = _once(found, ranked)
    for one, runs in told[:_SHOWN]:
        again = f"  and {runs - 1} more run{'s' * (runs > 2)}" if runs > 1 else ""
        typer.echo(_line(one, found, with_run) + again)
    if len(told) > _SHOWN:
        typer.echo(f"... and {len(told) - _SHOWN} more; --out FILE.csv writes all")


def _once(found: EvidenceGraph, edges: list[Said]) -> list[tuple[Said, int]]:
    """Edges that several runs on the same subjects say alike, once, with how many runs do."""
    runs: dict[tuple[object, ...], list[Said]] = {}
    for one in edges:
        edge = one.edge
        same = (
            found.source(one).id, edge.kind, found.target(one).id, edge.about, edge.status, edge.split, edge.dataset,
            edge.effect, edge.p, edge.q, edge.n,
        )  # fmt: skip
        runs.setdefault(same, []).append(one)
    return [(alike[0], len({one.run for one in alike})) for alike in runs.values()]


def _tell_agreement(found: EvidenceGraph, entity: str) -> None:
    table = found.agreement(entity)
    several = table[table["n_tests"] > 1]
    if len(several):
        typer.echo("in several data sets, or in subjects that were kept aside:")
    for row in several.to_dict("records"):
        both = row["n_positive"] and row["n_negative"]
        word = {True: "signs agree", False: "signs differ"}.get(
            row["agree"], "compared with different groups" if both else "supported once"
        )
        sets = f"{row['n_datasets']} data set{'s' * (row['n_datasets'] > 1)}"
        typer.echo(
            f"  {row['entity']} · {row['relation']} · {row['target']}: {row['n_positive']} up, "
            f"{row['n_negative']} down, {row['n_refuted']} refuted of {row['n_tests']} tests in {sets}; {word}"
        )


def _tell_ways(ways: list[Way], found: EvidenceGraph, with_run: bool) -> None:
    if not ways:
        typer.echo("no such way; refuted and untested edges are not gone along")
    for number, one in enumerate(ways, start=1):
        mark = "  [inferred, not tested]" if one.inferred else ""
        typer.echo(f"{number}. " + " – ".join(node.name for node in one.nodes) + mark)
        for edge in one.edges:
            typer.echo("   " + _line(edge, found, with_run))


def _line(said: Said, found: EvidenceGraph, with_run: bool) -> str:
    edge = said.edge
    numbers = [
        f"{name} {value:{form}}"
        for name, value, form in (
            ("effect", edge.effect, "+.3g"),
            ("q", edge.q, ".2g"),
            ("p", edge.p if edge.q is None else None, ".2g"),
            ("n", edge.n, ".0f"),
            ("confidence", edge.confidence, ".2f"),
        )
        if value is not None
    ]
    split = "" if edge.split == "discovery" else f", {edge.split}"
    parts = [
        f"{found.source(said).name} {edge.kind} {found.target(said).name}",
        f"{edge.status}{split}",
        *numbers,
        ",".join(edge.evidence_ids[:3]),
        *([",".join(edge.hypotheses)] if edge.hypotheses else ()),
        *([said.run] if with_run else ()),
    ]
    return "  ".join(parts)


def _way(one: Way, found: EvidenceGraph) -> dict[str, object]:
    return {
        "nodes": [node.name for node in one.nodes],
        "edges": [edge.edge.id for edge in one.edges],
        "runs": [edge.run for edge in one.edges],
        "inferred": one.inferred,
        "weakest_q": one.weakest if one.weakest <= 1 else None,
    }
