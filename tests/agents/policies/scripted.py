"""Chat models that follow a script: what the tests of the `llm` policy talk to in place of an endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

from nereus.agents.policies import RulesPolicy
from nereus.agents.policies.base import DecisionContext, DecisionKind, Verdict
from nereus.agents.policies.llm import LLMPolicy


class ScriptedModel(BaseChatModel):
    """Answers with what a function makes of the messages; offers no tools."""

    answer: Callable[[list[BaseMessage]], Any]
    seen: list[list[BaseMessage]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.seen.append(messages)
        said = self.answer(messages)
        message = said if isinstance(said, AIMessage) else AIMessage(said)
        return ChatResult(generations=[ChatGeneration(message=message)])


class ToolModel(ScriptedModel):
    """The same, and lets tools be bound to it; what was bound is kept."""

    bound: list[Any]

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, Any]:
        self.bound.append((tools, kwargs))
        return self


def scripted(*replies: str) -> ScriptedModel:
    """Gives the replies in turn, the last one for ever."""
    left = list(replies)
    return ScriptedModel(answer=lambda messages: left.pop(0) if len(left) > 1 else left[0], seen=[])


Twist = Callable[[DecisionKind, dict[str, Any], str], dict[str, Any] | str]
"""(kind of decision, what the rules would answer, the whole prompt) -> the reply."""


class MirrorPolicy(LLMPolicy):
    """The `llm` policy with a model that answers as the rules would, and then with a twist.

    The model knows the question from here; everything else about the policy is the real one: prompt, parsing, checks,
    repair, fallback, ceilings.
    """

    def __init__(self, twist: Twist, **options: Any) -> None:
        self.kind: DecisionKind | None = None
        self.context = DecisionContext()
        self.twist = twist
        self.model = ScriptedModel(answer=self._reply, seen=[])
        super().__init__(
            self.model,
            RulesPolicy(),
            **{"max_calls": 10_000, "max_tokens": 10**9, "context_tokens": 32_768, **options},
        )

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        self.kind, self.context = kind, context
        return super().decide(kind, context, seed=seed)

    def _reply(self, messages: list[BaseMessage]) -> str:
        assert self.kind is not None
        prompt = "\n".join(str(message.content) for message in messages)
        payload = RulesPolicy().decide(self.kind, self.context, seed=0).payload.model_dump(mode="json")
        asked_for = set(re.findall(r'"group_id": "([^"]+)"', prompt))
        if self.kind is DecisionKind.COMPOSE_HYPOTHESES:
            payload["drafts"] = [one for one in payload["drafts"] if one["group_id"] in asked_for]
        if self.kind is DecisionKind.DECOMPOSE:
            payload["atoms"] = {name: atoms for name, atoms in payload["atoms"].items() if name in asked_for}
        said = self.twist(self.kind, payload, prompt)
        return said if isinstance(said, str) else json.dumps(said)
