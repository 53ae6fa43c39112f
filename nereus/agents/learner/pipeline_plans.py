"""Carrying a learned pipeline out as a plan: its Python runs in a sandbox of its own, and what it asks for is the workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from nereus.agents.learner.pipelines import fits, signature, sources
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.errors import InputError, NereusError
from nereus.memory.actions import LearnedAction
from nereus.memory.records import Objective, Scalar
from nereus.tools.code.layers import Grade
from nereus.tools.code.limits import Limits
from nereus.tools.code.sandbox import Session

_WALL_S = 10.0
_MOST_STEPS = 40
_LONGEST_STEP = 20_000
"""Characters of all that one step holds."""
_PRELUDE = """
import json


def step(tool, purpose, inputs, params, publishes=""):
    return call("step", tool=tool, purpose=purpose, inputs=inputs, params=params, publishes=publishes)
"""


@dataclass(frozen=True)
class Attempt:
    """What came of a pipeline that fits a question."""

    action: LearnedAction
    draft: WorkflowDraft | None
    """None where its code failed."""
    why: str = ""


class PipelinePlanner:
    """Plans questions with learned pipelines; each that is used has a sandbox of its own, so that none changes another.

    Parameters
    ----------
    actions
        Active pipelines.
    least
        The weakest grade of sandbox that will do.
    may_run
        Asked before each use: whether an action may still be run. One that was revoked meanwhile may not.
    """

    def __init__(
        self,
        actions: Sequence[LearnedAction],
        least: Grade | str = Grade.CONFINED,
        may_run: Callable[[LearnedAction], bool] = lambda action: True,
    ) -> None:
        self.actions = [one for one in actions if one.plan]
        """What is planned with: one that failed is not used again."""
        self.known = tuple(self.actions)
        self._least = least
        self.may_run = may_run
        self._sessions: dict[str, Session] = {}
        self._asked: list[StepDraft] = []
        self._planning = False
        self._lock = Lock()

    def close(self) -> None:
        """End the sandboxes."""
        for session in self._sessions.values():
            session.close()
        self._sessions = {}

    def find(
        self,
        objective: Objective,
        values: Mapping[str, Scalar],
        contrasts: Sequence[Mapping[str, Scalar]],
        roles: Sequence[str],
    ) -> tuple[LearnedAction, dict[str, Any]] | None:
        """The pipeline that fits a question, with its arguments; the one whose conditions say most, of several."""
        known = {} if objective.kind.value == "data" else values
        rows = () if objective.kind.value == "data" else contrasts
        seen, given = signature(objective, known, roles), sources(objective, known, rows)
        fitting = [
            one
            for one in self.actions
            if one.plan.get("kind") == objective.kind.value and fits(one, seen, given)
        ]
        if not fitting:
            return None
        best = max(fitting, key=lambda one: (len(one.plan["signature"]), len(one.plan["tools"]), one.name))
        return best, {name: given[name] for name, _ in best.parameters}

    def draft(self, action: LearnedAction, arguments: Mapping[str, Any]) -> WorkflowDraft:
        """The workflow that a pipeline asks for.

        Raises
        ------
        InputError
            Its code failed, or asks for no steps.
        """
        with self._lock:
            self._asked, self._planning = [], False
            if action.name not in self._sessions:
                session = self._sessions[action.name] = Session(
                    Limits(wall_s=_WALL_S, cpu_s=_WALL_S, memory_mb=1024),
                    least=self._least,
                    functions={"step": self._step},
                )
                taught = session.run(
                    f"from __future__ import annotations\n{_PRELUDE}\n{action.source}", collect=False
                )
                self._refuse(action, taught)
            code = f"{action.name}(**json.loads({json.dumps(json.dumps(dict(arguments)))}))"
            self._planning = True
            try:
                done = self._sessions[action.name].run(code, collect=False, timeout=_WALL_S)
            finally:
                self._planning = False
            self._refuse(action, done)
            if not self._asked:
                raise InputError("it asks for no steps", where=f"action {action.name!r}", mend="revoke it")
            return WorkflowDraft(
                template=action.plan.get("template"),
                steps=tuple(self._asked),
                rationale=f"learned action {action.name}: {action.description}",
            )

    def _step(
        self, tool: str, purpose: str, inputs: dict[str, Any], params: dict[str, Any], publishes: str = ""
    ) -> str:
        if not self._planning:
            raise InputError("a step is asked for while the code is only read", where="pipeline")
        if len(self._asked) >= _MOST_STEPS:
            raise InputError(f"more than {_MOST_STEPS} steps", where="pipeline", mend="plan fewer")
        if len(json.dumps([tool, purpose, inputs, params, publishes])) > _LONGEST_STEP:
            raise InputError(
                f"a step of more than {_LONGEST_STEP} characters", where="pipeline", mend="ask for less"
            )
        self._asked.append(
            StepDraft(tool=tool, purpose=purpose, inputs=inputs, params=params, publishes=publishes)
        )
        return f"#{len(self._asked)}"

    def _refuse(self, action: LearnedAction, outcome: Any) -> None:
        if not outcome.ok:
            self._sessions.pop(action.name).close()
            said = f"{outcome.error.kind}: {outcome.error.message}" if outcome.error else outcome.why
            raise InputError(
                f"its code failed: {said}",
                where=f"action {action.name!r}",
                mend=f"`nereus actions show {action.name}`",
            )

    def planned(
        self,
        objective: Objective,
        values: Mapping[str, Scalar],
        contrasts: Sequence[Mapping[str, Scalar]],
        roles: Sequence[str],
    ) -> Attempt | None:
        """What came of the pipeline that fits; None where none fits, or may be run."""
        found = self.find(objective, values, contrasts, roles)
        while found is not None and not self.may_run(found[0]):
            self.leave(found[0])
            found = self.find(objective, values, contrasts, roles)
        if found is None:
            return None
        action, arguments = found
        try:
            return Attempt(action, self.draft(action, arguments))
        except NereusError as error:
            self.leave(action)
            return Attempt(action, None, str(error))

    def leave(self, action: LearnedAction) -> None:
        """Do not use an action again."""
        self.actions = [one for one in self.actions if one.name != action.name]
