"""Makes and revises actions with a chat model: sampled with real temperature, repaired at most four times, never trusted.

Whatever the model writes is looked at (`static_check`), carried out in the sandbox against a training task together
with its own example calls, and sent back with what went wrong. What comes out is a candidate: validation decides.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nereus.agents.learner import chat_prompts
from nereus.agents.learner.environments.planning import Domain, PlanningEnvironment, PlanningTask
from nereus.agents.learner.learning import Failing
from nereus.agents.learner.mining import Mining, mine
from nereus.agents.learner.running import LearnedRuntime
from nereus.agents.learner.static_check import faults, functions, parsed
from nereus.agents.learner.traces import Rollout, Trace
from nereus.errors import InputError
from nereus.memory.actions import LearnedAction

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

REPAIRS = 4
"""Attempts at one piece of code, the first one included."""
TEMPERATURE = 0.8
ORDER = ("free", "structured", "decompose", "repeated")
"""Which candidate is asked for how."""
_BLOCK = re.compile(r"```(?:python)?\s*\n(.*?)```", re.DOTALL)
_PLAN = re.compile(r"^[^\w\n]*plan\b[^\w\n]*(\w+)[^\w\n]*\n?(.*)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_LONGEST_REPLY = 20_000
_LONGEST_NOTE = 400


class ChatAuthor:
    """Asks a model.

    Parameters
    ----------
    model
        Any LangChain chat model.
    domain
        The domain.
    tasks
        Training tasks: in the first of them code is tried.
    temperature
        Of creation and revision: candidates must differ.
    """

    def __init__(
        self,
        model: BaseChatModel,
        domain: Domain,
        tasks: Sequence[PlanningTask],
        temperature: float = TEMPERATURE,
    ) -> None:
        if not 0.7 <= temperature <= 1.0:
            raise InputError(
                f"the temperature is {temperature:g}",
                where="learner",
                mend="sample with 0.7 to 1.0, so that candidates differ",
            )
        self.model = model
        self.domain = domain
        self.tasks = list(tasks)
        self.temperature = temperature
        self.id = "chat model"
        self.asked = 0
        self.faults: list[str] = []
        """What was wrong with code that did not come through, for whoever looks."""

    def create(
        self, variant: int, traces: Sequence[Trace], tasks: Sequence[PlanningTask], seed: int
    ) -> list[LearnedAction]:
        """See `Author`."""
        way = ORDER[variant % len(ORDER)]
        task = self.tasks[variant % len(self.tasks)]
        environment = PlanningEnvironment(task)
        repeated = [one.key for one in mine(traces, Mining())[:6]]
        asked = chat_prompts.creation(
            way, self.domain.primitives, environment.goal_text(), environment.state_text(), repeated
        )
        made, carried = self._written(asked, (), task)
        return self._wrapped(made, carried, variant=way, seed=seed)

    def revise(
        self,
        actions: Sequence[LearnedAction],
        rollouts: Sequence[Rollout],
        failing: Failing,
        variant: int,
        seed: int,
    ) -> list[LearnedAction]:
        """See `Author`."""
        name = failing.call.partition("(")[0]
        asked = chat_prompts.revision(actions, failing)
        reply = self._ask([("human", asked)])
        plan = _PLAN.search(_BLOCK.sub("", reply))
        if plan and not _BLOCK.search(reply):
            note = " ".join(plan[2].split())[:_LONGEST_NOTE] or "do not use it in such a state"
            return [
                one.model_copy(update={"notes": (*one.notes, note)})
                if one.name == (plan[1] if plan[1] in {a.name for a in actions} else name)
                else one
                for one in actions
            ]
        task = next((one for one in self.tasks if one.name == failing.task), self.tasks[0])
        made, carried = self._written(asked, actions, task, reply)
        if not made:
            return []
        changed = {one.name for one in made}
        rest = [one for one in actions if one.name not in changed]  # notes of a changed function are cleared
        return [*rest, *self._wrapped(made, carried, variant="revision", seed=seed, of=rest)]

    # ------------------------------------------------------------------------------------- asking for code

    def _written(
        self, asked: str, known: Sequence[LearnedAction], task: PlanningTask, reply: str | None = None
    ) -> tuple[list[LearnedAction], list[str]]:
        """Code that passes the look and its own example calls, and what these did; nothing after the last attempt."""
        talk: list[tuple[str, str]] = [("human", asked)]
        for _ in range(REPAIRS):
            said = reply if reply is not None else self._ask(talk)
            reply = None
            made, carried, fault = self._tried(said, known, task)
            if not fault:
                return made, carried
            self.faults.append(fault)
            talk += [("ai", said), ("human", chat_prompts.mend(fault))]
        return [], []

    def _tried(
        self, said: str, known: Sequence[LearnedAction], task: PlanningTask
    ) -> tuple[list[LearnedAction], list[str], str]:
        blocks = _BLOCK.findall(said)
        if not blocks:
            return [], [], "there is no ```python block"
        code = "\n\n".join(blocks)
        try:
            tree = parsed(code)
        except InputError as error:
            return [], [], error.what
        calls = [one for one in tree.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
        examples = [ast.unparse(one) for one in calls]
        kept = [one for one in tree.body if one not in calls]
        source = "\n\n".join(ast.get_source_segment(code, one) or ast.unparse(one) for one in kept)
        objects = frozenset(one for each in self.tasks for one in each.world.objects) - self.domain.constants
        wrong = faults(source, self.domain.operators, objects, [one.name for one in known])
        if wrong:
            return [], [], "\n".join(wrong)
        if not examples:
            return [], [], "there is no example call"
        strange = next((ast.unparse(one) for one in calls if not _example(one)), "")
        if strange:
            return [], [], f"{strange[:200]} is no example call: call one function, with names of objects"
        made = [
            LearnedAction(
                name=one.name,
                domain=self.domain.name,
                source=one.source,
                parameters=one.parameters,
                description=one.doc,
            )
            for one in functions(source)
        ]
        uncalled = [one.name for one in made if not any(one.name in example for example in examples)]
        if uncalled:
            return [], [], f"there is no example call of {', '.join(uncalled)}"
        rest = [one for one in known if one.name not in {new.name for new in made}]
        carried = []
        with LearnedRuntime(PlanningEnvironment(task), [*rest, *made]) as runtime:
            for example in examples:
                done = runtime.run(example)
                carried.append(f"{example}\n-> {'; '.join(done.inner) or done.text}")
                if not done.ok:
                    kind = done.failure.value if done.failure else "failed"
                    return [], [], f"{example} ({kind}): {done.text}\ninside: " + "; ".join(done.inner)
        return made, carried, ""

    def _wrapped(
        self,
        made: Sequence[LearnedAction],
        carried: Sequence[str],
        of: Sequence[LearnedAction] = (),
        **provenance: Any,
    ) -> list[LearnedAction]:
        """The functions with words for whoever calls them, and one example of use for all."""
        described = []
        for one in made:
            text = " ".join(self._ask([("human", chat_prompts.words(one))]).split())
            told = {"author": self.id, "model": type(self.model).__name__, **provenance}
            described.append(
                one.model_copy(update={"description": text or one.description, "provenance": told})
            )
        if not described:
            return []
        together = self._ask([("human", chat_prompts.usage([*of, *described], carried))]).strip()
        return [one.model_copy(update={"usage": together}) for one in described]

    def _ask(self, talk: Sequence[tuple[str, str]]) -> str:
        self.asked += 1
        return said_by(self.model.bind(temperature=self.temperature), talk, self.faults)[:_LONGEST_REPLY]


def said_by(model: Any, talk: Sequence[tuple[str, str]], faults: list[str]) -> str:
    """What a model answers; nothing where it cannot be asked, which is noted: it costs this answer, and no more."""
    try:
        reply = model.invoke(list(talk))
    except Exception as error:  # noqa: BLE001 - clients of providers raise what they like
        faults.append(f"the model did not answer: {type(error).__name__}: {error}"[:300])
        return ""
    return reply.text if isinstance(reply.text, str) else str(reply.content)


def _example(statement: ast.stmt) -> bool:
    """Whether a statement calls one function with plain values: what else it may do is no example."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return False
    given = [*value.args, *(one.value for one in value.keywords)]
    return all(
        isinstance(one, ast.Constant)
        or (isinstance(one, ast.List | ast.Tuple) and all(isinstance(e, ast.Constant) for e in one.elts))
        for one in given
    )
