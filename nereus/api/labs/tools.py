"""Tools and methods: what there is, and calls of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from nereus.api.labs.asking import Ask, Asks, Awaits, Waits, verb
from nereus.api.labs.datasets import Given, id_of
from nereus.api.labs.shown import Listing, card
from nereus.api.labs.work import ended, job_verb, quoted
from nereus.api.views import JobView, ToolDetails, ToolView
from nereus.models.card import Card


class ToolPage(ToolDetails):
    """A tool with its documentation and the schema of its parameters."""

    def _repr_html_(self) -> str:
        told = {"summary": self.summary, "inputs": [one.name for one in self.inputs], "outputs": self.outputs}
        return card(
            f"{self.name} {self.version}", told | {"parameters": list(self.parameters.get("properties", {}))}
        )


class Method(BaseModel):
    """A trainable method: its card, the tools that train and ask it, and the schema of its settings."""

    card: Card
    tools: list[str]
    settings: dict[str, Any]

    def _repr_html_(self) -> str:
        told = self.card.model_dump(mode="json", include={"title", "purpose", "status"})
        return card(self.card.name, told | {"tools": self.tools})


class ToolVerbs:
    """The tools."""

    @verb
    def list(self) -> Asks[Listing[ToolView]]:
        """All tools."""
        answer = yield Ask("GET", "/api/tools")
        return Listing(map(ToolView.model_validate, answer.json()), ("name", "version", "summary"), "tools")

    @verb
    def get(self, name: str) -> Asks[ToolPage]:
        """One tool, with its documentation and the schema of its parameters."""
        answer = yield Ask("GET", f"/api/tools/{quoted(name)}")
        return ToolPage.model_validate(answer.json())

    @job_verb
    def call(
        self,
        tool: str,
        inputs: Mapping[str, Given | Mapping[str, Given]],
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Asks[JobView]:
        """Call a tool and wait for its end.

        Parameters
        ----------
        tool
            Its name.
        inputs
            Input to a file, a data set, or ``<job id>/<output>``.
        params
            Its parameters.
        seed
            Seed of everything random.
        """
        given: dict[str, str | dict[str, str]] = {}
        for slot, one in inputs.items():
            if isinstance(one, Mapping):
                parts: dict[str, str] = {}
                for name, part in one.items():
                    parts[name] = yield from id_of(part)
                given[slot] = parts
            else:
                given[slot] = yield from id_of(one)
        body = {"inputs": given, "params": dict(params or {}), "seed": seed}
        answer = yield Ask("POST", f"/api/tools/{quoted(tool)}/calls", {"json": body})
        return (yield from ended(JobView.model_validate(answer.json())))


class MethodVerbs:
    """The trainable methods; they are trained and asked through their tools."""

    @verb
    def list(self) -> Asks[Listing[Card]]:
        """Cards of all methods."""
        answer = yield Ask("GET", "/api/methods")
        return Listing(map(Card.model_validate, answer.json()), ("name", "title", "status"), "methods")

    @verb
    def get(self, name: str) -> Asks[Method]:
        """One method."""
        answer = yield Ask("GET", f"/api/methods/{quoted(name)}")
        return Method.model_validate(answer.json())


class Tools(ToolVerbs, Waits):
    """The tools."""


class AsyncTools(ToolVerbs, Awaits):
    """The tools, with verbs that are awaited."""


class Methods(MethodVerbs, Waits):
    """The trainable methods."""


class AsyncMethods(MethodVerbs, Awaits):
    """The trainable methods, with verbs that are awaited."""
