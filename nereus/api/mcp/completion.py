"""Completion of arguments: names of the caller's own data sets, runs, hypotheses and jobs, of tools and of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp import types

from nereus.api.mcp.asked import Asked, invalid
from nereus.api.mcp.prompts import PROMPTS
from nereus.api.mcp.resources import TEMPLATES
from nereus.errors import NereusError
from nereus.models import registry as methods
from nereus.tools import registry

MOST = 100
_RUNS = ("run", "first", "second")


def completed(
    asked: Asked,
    reference: types.PromptReference | types.ResourceTemplateReference,
    argument: types.CompletionArgument,
    others: Mapping[str, str],
) -> types.Completion:
    """Values that an argument may have, those that begin as it does; at most 100.

    Raises
    ------
    McpError
        There is no such prompt or template.
    """
    if isinstance(reference, types.PromptReference):
        if reference.name not in PROMPTS:
            raise invalid(f"there is no prompt {reference.name!r}")
    elif reference.uri not in {pattern for _, pattern, _, _ in TEMPLATES}:
        raise invalid(f"there is no template {reference.uri!r}")
    found = [one for one in _values(asked, argument.name, others) if one.startswith(argument.value)]
    return types.Completion(values=found[:MOST], total=len(found), hasMore=len(found) > MOST)


def _values(asked: Asked, name: str, others: Mapping[str, str]) -> Sequence[str]:
    owner = asked.caller.owner
    if name in ("dataset", "samples"):
        return [one.id for one in asked.state.uploads.list(owner, 1000)]
    if name in _RUNS:
        return [one.id for one in asked.state.workspace.repository.list_runs(1000, owner=owner)]
    if name in ("hypothesis", "evidence", "step") and "run" in others:
        return _of_run(asked, name, others["run"])
    if name == "tool":
        return registry.names()
    if name == "method":
        return list(methods.names())
    return ()


def _of_run(asked: Asked, name: str, run: str) -> Sequence[str]:
    repository = asked.state.workspace.repository
    try:
        repository.owned(run, asked.caller.owner)
    except NereusError:
        return ()
    record = repository.load(run)
    if name == "hypothesis":
        return [one.id for one in record.hypotheses]
    return list(record.evidence) if name == "evidence" else [one.id for one in record.steps()]
