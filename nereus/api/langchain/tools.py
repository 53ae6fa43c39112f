"""Tools of a lab as LangChain's: typed arguments, a recorded call, a summary for the model and the job for the program."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, ConfigDict, Field, create_model

from nereus.errors import NereusError
from nereus.tools import registry
from nereus.tools.base import Capability, Tool

if TYPE_CHECKING:
    from nereus.api.labs.lab import Client, Lab

_CLOSED = (Capability.NETWORK, Capability.EXEC)
"""What reaches beyond its inputs is called within runs, where it can be approved."""
Named = Annotated[
    str,
    Field(
        pattern=r"^(d[0-9a-f]{16}|j[0-9a-f]{16}/[\w.-]{1,100})$",
        description="Id of a data set, or <job>/<output> of an earlier call.",
    ),
]
"""What a model may name: never a path, which would be read and sent to the server."""


class LabTool(BaseTool):
    """A tool of a lab. A call is a job; an equal one that was made before is not computed again.

    The answer is JSON: ``summary``, ``values``, ``warnings``, and ``outputs`` under the names by which further calls take
    them. The artifact is the job, whose tables can be read.
    """

    lab: Any
    response_format: str = "content_and_artifact"  # type: ignore[assignment]

    def _run(self, inputs: Any = None, params: Any = None, seed: int = 0) -> tuple[str, Any]:
        given = inputs.model_dump(exclude_none=True) if isinstance(inputs, BaseModel) else dict(inputs or {})
        chosen = (
            params.model_dump(mode="json", exclude_unset=True)
            if isinstance(params, BaseModel)
            else dict(params or {})
        )
        try:
            job = self.lab.tools.call(self.name, given, chosen, seed)
        except NereusError as error:
            raise ToolException(_told(error)) from error
        told = {
            "job": job.id,
            "summary": job.summary,
            "values": dict(job.values),
            "warnings": job.warnings,
            "outputs": [f"{job.id}/{name}" for name in job.outputs],
        }
        return json.dumps(told, ensure_ascii=False), job


def lab_tools(lab: Lab | Client, names: Collection[str] | None = None) -> list[BaseTool]:
    """Tools of a lab, or of a server, for agents that are made with LangChain.

    Parameters
    ----------
    lab
        Where they are called.
    names
        Which; all that do not reach beyond their inputs where none are named. Models choose well among a dozen.

    Raises
    ------
    PlanError
        There is no tool of a name.

    Examples
    --------
    >>> lab_tools(None, ["load_dataset"])[0].name  # a lab is needed when it is called
    'load_dataset'
    """
    wanted = [registry.get(name) for name in names or registry.names()]
    return [_made(lab, tool) for tool in wanted if tool.capability not in _CLOSED]


def _made(lab: Any, tool: Tool) -> LabTool:
    return LabTool(
        name=tool.name,
        description=f"{tool.summary} Gives {', '.join(tool.outputs) or 'values'}.",
        args_schema=_arguments(tool),
        lab=lab,
        handle_tool_error=True,
    )


def _arguments(tool: Tool) -> type[BaseModel]:
    closed = ConfigDict(extra="forbid")
    fields: dict[str, Any] = {}
    for one in tool.inputs:
        kind: Any = dict[str, Named] if one.kind == "tables" else Named
        fields[one.name] = (kind | None, None) if one.optional else (kind, ...)
    inputs = create_model(f"{tool.name}_inputs", __config__=closed, **fields)
    needs = any(field.is_required() for field in tool.params_model.model_fields.values())
    given: Any = (inputs, ...) if any(not one.optional for one in tool.inputs) else (inputs, inputs())
    made: type[BaseModel] = create_model(
        f"{tool.name}_call",
        __config__=closed,
        __doc__=tool.summary,
        inputs=given,
        params=(tool.params_model, ... if needs else tool.params_model()),
        seed=(Annotated[int, Field(ge=0, lt=2**31)], 0),
    )
    return made


def _told(error: NereusError) -> str:
    where = f" ({error.where})" if error.where else ""
    mend = f"; {error.mend}" if error.mend else ""
    return f"{error.what}{where}{mend}"
