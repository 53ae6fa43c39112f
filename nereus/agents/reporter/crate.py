"""The manifest: RO-Crate 1.1 metadata with a hash of every file and an action for every executed step.

It follows the RO-Crate 1.1 specification and the Process Run Crate profile 0.5 of Workflow Run RO-Crate:
each step is a ``CreateAction`` whose ``instrument`` is the tool, ``object`` what it read and ``result`` the
files it made.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from nereus.agents.reporter.record_files import execution_order, input_artifacts
from nereus.agents.reporter.sources import Sources
from nereus.memory.artifacts import file_hash
from nereus.memory.records import CallStatus, RunRecord

_CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
]
_MEDIA = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
}
_ABOUT = {
    "report.html": "Report: findings, figures, plan, methods",
    "analysis.ipynb": "Notebook that computes the analysis again, step by step",
    "hypotheses.json": "Ranked hypotheses with evidence",
    "graph.json": "Evidence graph: things, what is said of them, and which evidence recomputes it",
    "edges.csv": "Edges of the evidence graph, refuted and inferred ones included",
    "claims.csv": "Every feature-level claim at the stated error level",
    "steps.json": "Every executed step: tool, version, parameters, inputs, seed, values, outputs",
    "plan.json": "Objectives, workflows, decisions and evidence",
    "run.json": "Settings, seed, versions, timings and budgets",
}


def manifest(record: RunRecord, sources: Sources, folder: Path) -> dict[str, Any]:
    """Metadata of a written report folder (``ro-crate-metadata.json`` itself excluded)."""
    header = record.header
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    hashes = {name: file_hash(folder / name) for name in files}
    by_hash: dict[str, str] = {}
    for name in files:
        by_hash.setdefault(hashes[name], name)
    version = header.versions.get("nereus", "")
    moment = header.finished or header.started or datetime.now(UTC).isoformat(timespec="seconds")
    actions, tools = _actions(record, sources, by_hash)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": "https://w3id.org/ro/wfrun/process/0.5"},
        "name": "Nereus discovery report",
        "description": header.question
        or "Hypotheses found in a proteomics table, each number traceable to a step.",
        "datePublished": moment,
        "license": "The report belongs to whoever ran it; the files in inputs/ keep their own licence.",
        "identifier": header.id,
        "hasPart": [{"@id": _id(name)} for name in files],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    return {
        "@context": _CONTEXT,
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            },
            root,
            {
                "@id": "https://w3id.org/ro/wfrun/process/0.5",
                "@type": "CreativeWork",
                "name": "Process Run Crate",
                "version": "0.5",
            },
            {"@id": "#nereus", "@type": "SoftwareApplication", "name": "Nereus", "softwareVersion": version},
            *(_file(name, folder, hashes[name]) for name in files),
            *tools,
            *actions,
        ],
    }


def _file(name: str, folder: Path, sha256: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"@id": _id(name), "@type": "File", "name": name.rsplit("/", 1)[-1]}
    if name in _ABOUT:
        entry["description"] = _ABOUT[name]
    suffix = Path(name).suffix.lower()
    if suffix in _MEDIA:
        entry["encodingFormat"] = _MEDIA[suffix]
    return entry | {"contentSize": str((folder / name).stat().st_size), "sha256": sha256}


def _actions(
    record: RunRecord, sources: Sources, by_hash: dict[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from nereus.agents.reporter.bundle import table_files

    files = table_files(sources)
    made_by: dict[str, str] = {}
    actions: list[dict[str, Any]] = []
    tools: dict[str, dict[str, Any]] = {}
    for call in execution_order(record):
        tool_id = f"#tool-{call.spec.tool}-{call.spec.version}"
        tools[tool_id] = {
            "@id": tool_id,
            "@type": "SoftwareApplication",
            "name": call.spec.tool,
            "softwareVersion": call.spec.version,
            "isPartOf": {"@id": "#nereus"},
        }
        action_id = f"#step-{sources.step_of_call[call.key]}"
        results = dict.fromkeys(files[call.key, name] for name in call.outputs if (call.key, name) in files)
        read = [by_hash.get(artifact) for artifact in sorted(input_artifacts(call))]
        before = dict.fromkeys(made_by[a] for a in sorted(input_artifacts(call)) if a in made_by)
        for ref in call.outputs.values():
            made_by.setdefault(ref.id, action_id)
        ok = call.status is CallStatus.OK
        actions.append(
            {
                "@id": action_id,
                "@type": "CreateAction",
                "name": f"{sources.step_of_call[call.key]} {call.spec.tool}",
                "description": call.summary,
                "identifier": call.key,
                "instrument": {"@id": tool_id},
                "object": [{"@id": _id(name)} for name in read if name] + [{"@id": step} for step in before],
                "result": [{"@id": _id(name)} for name in results],
                "actionStatus": {
                    "@id": f"http://schema.org/{'CompletedActionStatus' if ok else 'FailedActionStatus'}"
                },
            }
        )
    return actions, list(tools.values())


def _id(name: str) -> str:
    return quote(name, safe="/")


def listed_files(path: Path) -> dict[str, str]:
    """File name -> SHA-256 as a manifest states them; empty when there is no readable manifest."""
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))["@graph"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {
        unquote(e["@id"]): e.get("sha256", "")
        for e in graph
        if isinstance(e, dict) and e.get("@type") == "File"
    }
