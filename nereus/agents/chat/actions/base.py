"""What an action is: typed arguments in, an `Outcome` out, and what it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError

from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.errors import InputError, NereusError
from nereus.explained import Explained


class Args(Explained):
    """Base of all arguments: unknown ones are an error."""

    model_config = ConfigDict(extra="forbid")


def as_meant(turn: Turn, args: Args) -> dict[str, Any]:
    """Arguments with the run, data set and protein that are meant where none is named."""
    given = args.model_dump(mode="json")
    meant: dict[str, Callable[[], str]] = {
        "run": turn.run_id,
        "dataset": lambda: turn.dataset().id,
        "samples": lambda: turn.focus.samples,
        "entity": lambda: turn.focus.entity,
    }
    for name, said in meant.items():
        if given.get(name) == "":
            try:
                given[name] = said()
            except NereusError:
                continue  # the action itself says what is missing
    return given


@dataclass(frozen=True)
class Action:
    """Something that chat can do."""

    name: str
    about: str
    """What it does, for people and models."""
    args: type[Args]
    do: Callable[[Turn, Any], Outcome]
    cost: Callable[[Turn, Any], Cost] = lambda turn, args: Cost()
    pinned: Callable[[Turn, Any], Mapping[str, Any]] = as_meant
    """Arguments with what they leave to the conversation, as a person is asked about them."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, as models are told of them."""
        return self.args.model_json_schema()

    def read(self, given: Mapping[str, Any]) -> Args:
        """Arguments as their type.

        Raises
        ------
        InputError
            One of them is wrong.
        """
        try:
            return self.args.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(one) for one in first["loc"]) or "arguments"
            raise InputError(
                f"{place}: {first['msg']}",
                where=f"action {self.name!r}",
                mend=f"arguments are {', '.join(self.args.model_fields) or 'none'}",
            ) from None
