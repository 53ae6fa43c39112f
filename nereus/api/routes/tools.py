"""Tools: listed with their schemas, and called; a call is a recorded step that is computed once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.problems import Refused, documented
from nereus.api.routes.jobs import Wait, waited
from nereus.api.state import ServerState
from nereus.api.views import JobView, ToolDetails, ToolInput, ToolView
from nereus.errors import InputError, PlanError
from nereus.memory.jobs import Job
from nereus.memory.records import ArtifactRef
from nereus.tools import registry
from nereus.tools.base import Capability, Tool

router = APIRouter(prefix="/api/tools", tags=["tools"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
Inputs = dict[str, str | dict[str, str]]


class ToolCallRequest(BaseModel):
    """A call."""

    model_config = ConfigDict(extra="forbid")

    inputs: Inputs = {}
    """Input to data set, or to ``<job id>/<output>``; for an input of several tables a mapping of names to these."""
    params: dict[str, Any] = {}
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


@router.get("", responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))
def list_tools(caller: Reader) -> list[ToolView]:
    """All tools."""
    del caller
    return [tool_view(registry.get(name)) for name in registry.names()]


@router.get("/{name}", responses=documented(*_FAULTS))
def get_tool(name: str, caller: Reader) -> ToolDetails:
    """One tool, with its documentation and the schema of its parameters."""
    del caller
    tool = _known(name)
    return ToolDetails(
        **tool_view(tool).model_dump(),
        documentation=tool.__doc__ or "",
        parameters=tool.params_model.model_json_schema(),
    )


@router.post("/{name}/calls", status_code=HTTPStatus.ACCEPTED, responses=documented(*_FAULTS))
async def call_tool(
    name: str, asked: ToolCallRequest, state: State, caller: Writer, wait: Wait = 0
) -> JobView:
    """Call a tool. The call is a job; an equal call that was made before is not computed again."""

    def queue() -> Job:
        tool = _known(name)
        if tool.capability in (Capability.NETWORK, Capability.EXEC):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                f"tool {name!r} reaches beyond its inputs ({tool.capability.value})",
                mend="it is called within runs, where it can be approved",
            )
        tool.validate(asked.params)
        request = {
            "tool": name,
            "params": asked.params,
            "seed": asked.seed,
            "inputs": _inputs(state, caller, tool, asked.inputs),
        }
        state.audit.add(caller.owner, "call tool", name, "done", caller.address)
        return state.jobs.add(caller.owner, "tool", request)

    return await waited(state, caller, await run_in_threadpool(queue), wait)


def tool_view(tool: Tool) -> ToolView:
    """What is told of a tool."""
    return ToolView(
        name=tool.name,
        version=tool.version,
        summary=tool.summary,
        capability=tool.capability.value,
        inputs=[ToolInput(name=one.name, kind=one.kind, required=not one.optional) for one in tool.inputs],
        outputs=list(tool.outputs),
    )


def _known(name: str) -> Tool:
    try:
        return registry.get(name)
    except PlanError as error:
        raise Refused(HTTPStatus.NOT_FOUND, error.what, error.where, error.mend) from None


def _inputs(state: ServerState, caller: Caller, tool: Tool, given: Inputs) -> dict[str, Any]:
    """Kept artifacts by input; all of them the caller's own."""
    specs = {one.name: one for one in tool.inputs}
    if unknown := sorted(set(given) - set(specs)):
        raise InputError(
            f"there is no input {unknown[0]!r}",
            where=f"tool {tool.name!r}",
            mend=f"inputs are {sorted(specs)}",
        )
    if missing := [one.name for one in tool.inputs if not one.optional and one.name not in given]:
        raise InputError(
            f"input {missing[0]!r} is missing",
            where=f"tool {tool.name!r}",
            mend=f"inputs are {sorted(specs)}",
        )
    return {
        slot: _artifact(state, caller, one)
        if isinstance(one, str)
        else {name: _artifact(state, caller, ref) for name, ref in one.items()}
        for slot, one in given.items()
    }


def _artifact(state: ServerState, caller: Caller, reference: str) -> dict[str, Any]:
    job_id, slash, output = reference.partition("/")
    if not slash:
        return state.uploads.get(reference, caller.owner).artifact.model_dump(mode="json")
    made = state.jobs.get(job_id, caller.owner).result.get("outputs", {})
    if output not in made:
        raise InputError(f"job {job_id!r} made no {output!r}", where="inputs", mend=f"it made {sorted(made)}")
    return ArtifactRef.model_validate(made[output]).model_dump(mode="json")
