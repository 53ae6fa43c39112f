"""Carrying a learned pipeline out as a plan: its Python runs in the sandbox, and what it asks for becomes the workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
_PRELUDE = """
import json


def step(tool, purpose, inputs, params, publishes=""):
    return call("step", tool=tool, purpose=purpose, inputs=inputs, params=params, publishes=publishes)
"""


class PipelinePlanner:
    """Plans questions with learned pipelines; one sandbox for all, opened when the first one fits.

    Parameters
    ----------
    actions
        Active pipelines.
    least
        The weakest grade of sandbox that will do.
    """

    def __init__(self, actions: Sequence[LearnedAction], least: Grade | str = Grade.CONFINED) -> None:
        self.actions = [one for one in actions if one.plan]
        self.notices: list[str] = []
        self._least = least
        self._session: Session | None = None
        self._asked: list[StepDraft] = []
        self._lock = Lock()
        self._taught: set[str] = set()

    def close(self) -> None:
        """End the sandbox."""
        if self._session is not None:
            self._session.close()
            self._session = None
            self._taught = set()

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
            self._asked = []
            session = self._open()
            if action.name not in self._taught:
                taught = session.run(
                    f"from __future__ import annotations\n{_PRELUDE}\n{action.source}", collect=False
                )
                self._refuse(action, taught)
                self._taught.add(action.name)
            code = f"{action.name}(**json.loads({json.dumps(json.dumps(dict(arguments)))}))"
            self._refuse(action, session.run(code, collect=False, timeout=_WALL_S))
            if not self._asked:
                raise InputError("it asks for no steps", where=f"action {action.name!r}", mend="revoke it")
            return WorkflowDraft(
                template=action.plan.get("template"),
                steps=tuple(self._asked),
                rationale=f"learned action {action.name}: {action.description}",
            )

    def _open(self) -> Session:
        if self._session is None:
            self._session = Session(
                Limits(wall_s=_WALL_S, cpu_s=_WALL_S, memory_mb=1024),
                least=self._least,
                functions={"step": self._step},
            )
        return self._session

    def _step(
        self, tool: str, purpose: str, inputs: dict[str, Any], params: dict[str, Any], publishes: str = ""
    ) -> str:
        if len(self._asked) >= _MOST_STEPS:
            raise InputError(f"more than {_MOST_STEPS} steps", where="pipeline", mend="plan fewer")
        self._asked.append(
            StepDraft(tool=tool, purpose=purpose, inputs=inputs, params=params, publishes=publishes)
        )
        return f"#{len(self._asked)}"

    def _refuse(self, action: LearnedAction, outcome: Any) -> None:
        if not outcome.ok:
            self._taught.discard(action.name)
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
    ) -> tuple[LearnedAction, WorkflowDraft] | None:
        """The plan of a pipeline that fits; None where none does, or where it fails, with a notice."""
        found = self.find(objective, values, contrasts, roles)
        if found is None:
            return None
        action, arguments = found
        try:
            return action, self.draft(action, arguments)
        except NereusError as error:
            self.notices.append(str(error))
            self.actions = [one for one in self.actions if one.name != action.name]
            return None
