"""Tools of external MCP servers as actions. They ask under every rule, unless the settings allow them by name.

A yes is for the tool as it was shown: the request holds a digest of what the server said of it, and a tool that has changed
meanwhile is not called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.agents.external.offered import ExternalTools, Offered
from nereus.errors import InputError, ToolError

DEFINITION = "nereus_definition"
"""Argument of ours that holds which definition of the tool is meant."""


class ExternalArgs(Args):
    """Arguments as the server's schema has them."""

    model_config = ConfigDict(extra="allow")

    nereus_definition: str = ""
    """Digest of the tool as it was when the call was decided on."""


@dataclass(frozen=True)
class ExternalAction(Action):
    """One external tool."""

    offered: Offered | None = None

    def schema(self) -> dict[str, Any]:
        """See `Action`."""
        assert self.offered is not None
        return self.offered.tool.arguments

    def read(self, given: Mapping[str, Any]) -> Args:
        """See `Action`."""
        from jsonschema import Draft202012Validator

        assert self.offered is not None
        tool = self.offered.tool
        plain = {name: value for name, value in given.items() if name != DEFINITION}
        wrong = next(iter(Draft202012Validator(tool.arguments).iter_errors(plain)), None)
        if wrong is not None:
            place = ".".join(str(one) for one in wrong.absolute_path) or "arguments"
            raise InputError(f"{place}: {wrong.message[:200]}", where=f"action {self.name!r}")
        return ExternalArgs(**{**plain, DEFINITION: str(given.get(DEFINITION) or "")})


def external_actions(turn: Turn) -> tuple[dict[str, Action], list[str]]:
    """Name to action for the servers of the settings, and what is wrong with those that cannot be used."""
    if not turn.desk.settings.mcp_servers:
        return {}, []
    tools = ExternalTools(turn.desk.settings, turn.desk.owner)
    found, troubles = tools.offered()
    return {name: _action(tools, one) for name, one in found.items()}, troubles


def pinned(call: Mapping[str, Any], actions: Mapping[str, Action]) -> dict[str, Any]:
    """The arguments of a call, with the definition that the tool has now, whatever the model said of it.

    It is kept with the call before anybody is asked: a question is made anew when it is answered, and would then be about
    the tool as it has become.
    """
    action = actions.get(str(call["name"]))
    if not isinstance(action, ExternalAction) or action.offered is None:
        return dict(call["args"])
    return {**call["args"], DEFINITION: action.offered.tool.digest}


def _action(tools: ExternalTools, offered: Offered) -> Action:
    def cost(turn: Turn, args: Any) -> Cost:
        del turn, args
        return Cost(ask=offered.asks, always=offered.asks, why=offered.for_person)

    def do(turn: Turn, args: ExternalArgs) -> Outcome:
        given = args.model_dump(mode="json")
        if given.pop(DEFINITION) != offered.tool.digest:
            raise ToolError(
                "the server describes the tool otherwise than when it was approved",
                where=f"tool {offered.tool.name!r}",
                mend="ask again: it has to be approved as it is now",
            )
        text, notices = tools.call(offered, given, approved=True, stopped=turn.stopped)
        # Said as a whole: what a stranger counted is repeated as its words, and cited as nothing else.
        told = turn.book.told("", f"external:{offered.tool.name}", f"what {offered.tool.name} said", text)
        return Outcome(text=told, notices=tuple(notices), names=(offered.tool.name,))

    return ExternalAction(
        name=offered.tool.name, about=offered.for_model, args=ExternalArgs, do=do, cost=cost, offered=offered
    )
