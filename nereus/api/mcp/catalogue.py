"""Every tool of the registry, those of trainable methods included, as an MCP tool: typed arguments, a queued call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Any

from anyio.to_thread import run_sync
from mcp import types
from pydantic import Field

from nereus.api.mcp.asked import Asked
from nereus.api.mcp.verbs import Arguments
from nereus.api.mcp.works import MAX_WAIT_S, Work, waited
from nereus.api.routes import tools
from nereus.memory.jobs import Job
from nereus.tools import registry
from nereus.tools.base import Capability, InputSpec, Tool

_CLOSED = (Capability.NETWORK, Capability.EXEC)
"""What reaches beyond its inputs is called within runs, where it can be approved."""
_KINDS = {
    "file": "a data set",
    "dataset": "an output of a call that is a data set, as load_dataset gives it",
    "table": "an output of a call that is a table",
    "tables": "tables by name",
    "model": "a trained model: an output of a fit tool",
}


class CallArguments(Arguments):
    """A call."""

    inputs: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 20


def names(patterns: Iterable[str]) -> list[str]:
    """Tools that are offered: all, or those whose names match one of the patterns of setting `mcp_tools`."""
    wanted = tuple(patterns)
    return [name for name in registry.names() if not wanted or any(fnmatchcase(name, one) for one in wanted)]


@cache
def listed(name: str) -> types.Tool | None:
    """A tool as a client sees it; None where it reaches beyond its inputs."""
    tool = registry.get(name)
    if tool.capability in _CLOSED:
        return None
    return types.Tool(
        name=name,
        title=name.replace("_", " "),
        description=f"{tool.summary} Gives {', '.join(tool.outputs) or 'values'}. "
        f"Documentation: resource nereus://tools/{name}.",
        inputSchema=_schema(tool),
        outputSchema=Work.model_json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(
            readOnlyHint=False, destructiveHint=False, idempotentHint=True, openWorldHint=False
        ),
    )


def _schema(tool: Tool) -> dict[str, Any]:
    """Schema of the arguments; what parameters refer to stands at its root."""
    params = json.loads(json.dumps(tool.params_model.model_json_schema()))
    shared = params.pop("$defs", None)
    params.pop("title", None)
    needs_params = bool(params.get("required"))
    wait = CallArguments.model_json_schema()["properties"]["wait_s"]
    made: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "inputs": {
                "type": "object",
                "description": "Data set id, or ``<job>/<output>`` of an earlier call.",
                "properties": {one.name: _input(one) for one in tool.inputs},
                "required": [one.name for one in tool.inputs if not one.optional],
                "additionalProperties": False,
            },
            "params": params,
            "seed": {
                "type": "integer",
                "minimum": 0,
                "exclusiveMaximum": 2**31,
                "default": 0,
                "description": "Seed of everything random.",
            },
            "wait_s": {
                **{key: wait[key] for key in ("type", "minimum", "maximum", "default")},
                "description": "Seconds to wait for the end; a call that takes longer answers with its job.",
            },
        },
        "required": [
            *(["inputs"] if any(not one.optional for one in tool.inputs) else []),
            *(["params"] if needs_params else []),
        ],
        "additionalProperties": False,
    }
    return made if shared is None else {**made, "$defs": shared}


def _input(spec: InputSpec) -> dict[str, Any]:
    if spec.kind == "tables":
        return {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": _KINDS[spec.kind],
        }
    return {"type": "string", "description": _KINDS[spec.kind]}


async def called(asked: Asked, name: str, given: dict[str, Any]) -> Work:
    """Queue a call and wait for it for a while; an equal call that was made before is not computed again."""
    arguments = CallArguments.model_validate(given)
    request = tools.ToolCallRequest(inputs=arguments.inputs, params=arguments.params, seed=arguments.seed)
    await run_sync(asked.before_work)
    queued = await tools.call_tool(name, request, asked.state, asked.caller)
    job: Job = await run_sync(asked.state.jobs.get, queued.id, asked.caller.owner)
    return await waited(asked, job, arguments.wait_s)
