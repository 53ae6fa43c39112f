"""What can be read over MCP: data sets, runs with their hypotheses, evidence, artifacts and reports, outputs of calls, cards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mcp import types
from mcp.server.lowlevel.helper_types import ReadResourceContents
from pydantic import AnyUrl
from pydantic_core import to_jsonable_python

from nereus.api.mcp.asked import Asked
from nereus.api.mcp.findings import evidence_document, hypotheses_of, hypothesis_of
from nereus.api.mcp.pages import cursor_at, start_of
from nereus.api.mcp.uris import dataset_uri, parts_of, run_uri, uri
from nereus.api.problems import Refused
from nereus.api.routes import methods, runs, tools
from nereus.errors import InputError, NotFound
from nereus.memory.records import ArtifactKind, ArtifactRef, RunHeader
from nereus.spreadsheets import harmless

PAGE = 50
MAX_TEXT = 4 * 2**20
"""Bytes of a resource that is read at once; larger tables are read in parts (`table_read`), files over ``/api``."""
_JSON = "application/json"
_TYPES = {
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".json": _JSON,
    ".csv": "text/csv",
    ".md": "text/markdown",
}
Contents = list[ReadResourceContents]

TEMPLATES = (
    ("dataset", uri("datasets") + "/{dataset}", "A file that you gave: name, size.", _JSON),
    ("run", uri("runs") + "/{run}", "A run: question, status, what it used.", _JSON),
    ("hypotheses", uri("runs") + "/{run}/hypotheses", "What a run found, best first.", _JSON),
    (
        "hypothesis",
        uri("runs") + "/{run}/hypotheses/{hypothesis}",
        "One hypothesis with all behind it.",
        _JSON,
    ),
    ("evidence", uri("runs") + "/{run}/evidence/{evidence}", "One piece of evidence and its call.", _JSON),
    ("steps", uri("runs") + "/{run}/steps", "Objectives, workflows and steps: the plan as it stands.", _JSON),
    ("artifacts", uri("runs") + "/{run}/artifacts", "Everything that the steps of a run made.", _JSON),
    (
        "artifact",
        uri("runs") + "/{run}/artifacts/{step}/{name}",
        "A table (CSV) or figure (SVG) of a step.",
        None,
    ),
    ("report", uri("runs") + "/{run}/report", "The report of an ended run.", "text/html"),
    (
        "report file",
        uri("runs") + "/{run}/report/{file}",
        "A file of the report: claims.csv, card.html ...",
        None,
    ),
    ("output", uri("jobs") + "/{job}/outputs/{name}", "A table or figure that a call made.", None),
    ("tool", uri("tools") + "/{tool}", "A tool with its documentation and parameters.", _JSON),
    ("method", uri("methods") + "/{method}", "A trainable method: its card and settings.", _JSON),
)


def templates() -> list[types.ResourceTemplate]:
    """What can be read, by pattern."""
    return [
        types.ResourceTemplate(name=name, uriTemplate=pattern, description=about, mimeType=kind)
        for name, pattern, about, kind in TEMPLATES
    ]


def listed(asked: Asked, cursor: str | None) -> tuple[list[types.Resource], str | None]:
    """A page of the caller's data sets and runs, newest first, and the cursor of the next."""
    begins = start_of(cursor)
    ends = begins + PAGE
    files = [
        types.Resource(
            uri=AnyUrl(dataset_uri(one.id)),
            name=one.name,
            description="data set",
            mimeType=_JSON,
            size=one.size,
        )
        for one in asked.state.uploads.list(asked.caller.owner, ends + 1)
    ]
    found = files[begins:]
    if len(files) <= ends:
        headers = asked.state.workspace.repository.list_runs(ends + 1, owner=asked.caller.owner)
        found = [*files, *map(_run_resource, headers)][begins:]
    return found[:PAGE], cursor_at(ends) if len(found) > PAGE else None


def _run_resource(header: RunHeader) -> types.Resource:
    return types.Resource(
        uri=AnyUrl(run_uri(header.id)),
        name=header.id,
        title=header.question or f"run on {header.inputs['data'].name}"
        if "data" in header.inputs
        else header.id,
        description=f"run, {header.status}",
        mimeType=_JSON,
    )


def read(asked: Asked, address: str) -> Contents:
    """What lies under a URI.

    Raises
    ------
    NotFound
        Nothing, or somebody else's.
    InputError
        It is too large to be read at once.
    """
    parts = parts_of(address)
    for pattern, reader in _READERS:
        names = re.findall(r"\{(\w+)\}", pattern)
        if parts is not None and (found := _matched(pattern.split("/"), parts)) is not None:
            return reader(asked, *(found[name] for name in names))
    raise NotFound(f"there is no resource {address!r}", mend="resources/templates/list shows what there is")


def artifact_at(asked: Asked, address: str) -> ArtifactRef:
    """The artifact that a URI names: an output of a job, or an artifact of a run's step."""
    match parts_of(address):
        case ("jobs", job, "outputs", name):
            return _output_ref(asked, job, name)
        case ("runs", run, "artifacts", step, name):
            return _step_ref(asked, run, step, name)
        case _:
            raise NotFound(
                f"{address!r} names no table",
                mend="give the uri that a call's outputs or a run's artifacts hold",
            )


def _matched(pattern: list[str], parts: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    found: dict[str, str] = {}
    for wanted, given in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            found[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return found


def _json(value: Any) -> Contents:
    value = to_jsonable_python(value)
    return [ReadResourceContents(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False), _JSON)]


def _dataset(asked: Asked, dataset: str) -> Contents:
    found = asked.state.uploads.get(dataset, asked.caller.owner)
    return _json({"id": found.id, "name": found.name, "size": found.size, "created_at": found.created_at})


def _run(asked: Asked, run: str) -> Contents:
    return _json(runs.view(asked.state, asked.caller, run))


def _artifacts(asked: Asked, run: str) -> Contents:
    found = [dict(to_jsonable_python(one)) for one in runs.artifacts(run, asked.state, asked.caller)]
    return _json([{**one, "uri": run_uri(run, "artifacts", one["step"], one["name"])} for one in found])


def _step_ref(asked: Asked, run: str, step: str, name: str) -> ArtifactRef:
    runs.owned(asked.state, asked.caller, run)
    record = asked.state.workspace.repository.load(run)
    keys = {one.id: one.call_key for one in record.steps()}
    call = record.calls.get(keys.get(step) or "")
    if call is None or name not in call.outputs:
        raise NotFound(f"step {step!r} made no {name!r}", mend=f"read {run_uri(run, 'artifacts')}")
    return call.outputs[name]


def _output_ref(asked: Asked, job: str, name: str) -> ArtifactRef:
    made = asked.state.jobs.get(job, asked.caller.owner).result.get("outputs", {})
    if name not in made:
        raise NotFound(f"job {job!r} made no {name!r}", mend=f"it made {sorted(made)}")
    return ArtifactRef.model_validate(made[name])


def _content(asked: Asked, ref: ArtifactRef) -> Contents:
    artifacts = asked.state.workspace.artifacts
    if ref.kind is ArtifactKind.TABLE:
        text = harmless(artifacts.table(ref)).to_csv(index=False)
        _refuse_large(len(text), ref.name, "read it in parts with table_read")
        return [ReadResourceContents(text, "text/csv")]
    _refuse_large(ref.size, ref.name, "download it over /api")
    content = artifacts.checked_path(ref).read_bytes()
    if ref.kind is ArtifactKind.FIGURE:
        return [ReadResourceContents(content.decode(), "image/svg+xml")]
    return [ReadResourceContents(content, "application/octet-stream")]


def _report(asked: Asked, run: str, file: str = "report.html") -> Contents:
    found = Path(runs.report(run, asked.state, asked.caller, file).path)
    _refuse_large(found.stat().st_size, file, "download it over /api")
    kind = _TYPES.get(found.suffix)
    if kind is None:
        return [ReadResourceContents(found.read_bytes(), "application/octet-stream")]
    return [ReadResourceContents(found.read_text(encoding="utf-8"), kind)]


def _refuse_large(size: int, name: str, mend: str) -> None:
    if size > MAX_TEXT:
        raise InputError(f"{name!r} is {size / 2**20:.1f} MiB, too large to be read at once", mend=mend)


def _found(reader: Callable[[], Any]) -> Any:
    try:
        return reader()
    except Refused as error:
        if error.status is HTTPStatus.NOT_FOUND:
            raise NotFound(error.what, where=error.where, mend=error.mend) from None
        raise


def _tool(asked: Asked, tool: str) -> Contents:
    return _json(_found(lambda: tools.get_tool(tool, asked.caller)))


def _method(asked: Asked, method: str) -> Contents:
    return _json(_found(lambda: methods.get_method(method, asked.caller)))


_READERS: tuple[tuple[str, Callable[..., Contents]], ...] = (
    ("datasets/{dataset}", _dataset),
    ("runs/{run}", _run),
    ("runs/{run}/hypotheses", lambda asked, run: _json(hypotheses_of(asked, run))),
    ("runs/{run}/hypotheses/{id}", lambda asked, run, one: _json(hypothesis_of(asked, run, one))),
    ("runs/{run}/evidence/{id}", lambda asked, run, one: _json(evidence_document(asked, run, one))),
    ("runs/{run}/steps", lambda asked, run: _json(runs.steps(run, asked.state, asked.caller))),
    ("runs/{run}/artifacts", _artifacts),
    ("runs/{run}/artifacts/{step}/{name}", lambda asked, *place: _content(asked, _step_ref(asked, *place))),
    ("runs/{run}/report", _report),
    ("runs/{run}/report/{file}", _report),
    ("jobs/{job}/outputs/{name}", lambda asked, *place: _content(asked, _output_ref(asked, *place))),
    ("tools/{tool}", _tool),
    ("methods/{method}", _method),
)
