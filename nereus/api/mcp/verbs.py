"""A verb: what can be asked over MCP beside the tools of the registry, with typed arguments and a typed answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mcp import types
from pydantic import ConfigDict

from nereus.api.mcp.asked import Asked
from nereus.explained import Explained


class Arguments(Explained):
    """Arguments of a verb; unknown ones are an error."""

    model_config = ConfigDict(extra="forbid")


class Answer(Explained):
    """What a verb gives; ``text`` is how it is shown to a reader who sees no structure."""

    def links(self) -> list[types.ResourceLink]:
        """Resources that the answer is about."""
        return []


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True)
class Verb(Generic[A]):
    """One verb."""

    name: str
    title: str
    about: str
    arguments: type[A]
    answer: type[Answer]
    perform: Callable[[Asked, A], Awaitable[Answer]]
    scope: str = "read"
    destructive: bool = False
    local_only: bool = False
    """Whether it is offered only to clients on this machine (stdio)."""

    def listed(self) -> types.Tool:
        """As a client sees it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.about,
            inputSchema=self.arguments.model_json_schema(),
            outputSchema=self.answer.model_json_schema(mode="serialization"),
            annotations=types.ToolAnnotations(
                title=self.title,
                readOnlyHint=self.scope == "read",
                destructiveHint=self.destructive,
                idempotentHint=self.scope == "read",
                openWorldHint=False,
            ),
        )

    async def called(self, asked: Asked, given: dict[str, Any]) -> Answer:
        """Check the arguments and do it; `pydantic.ValidationError` where they are wrong."""
        return await self.perform(asked, self.arguments.model_validate(given))
