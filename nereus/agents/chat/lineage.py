"""The steps that a result of a run rests on, rewritten as a plan of their own: otherwise adjusted, prepared, or planned."""

from __future__ import annotations

from typing import Any

from nereus.agents.chat.desk import FollowUp
from nereus.errors import InputError, PlanError
from nereus.memory.records import PlannedStep, RunRecord
from nereus.tools import registry


class Lineage:
    """The steps that a result rests on, rewritten as a plan of its own."""

    def __init__(self, record: RunRecord, asked: FollowUp) -> None:
        self._record, self._asked = record, asked
        self._by_id = {step.id: step for step in record.steps()}
        self._placed: dict[str, str] = {}
        self._excluded = False
        self.steps: list[PlannedStep] = []
        self.met: set[str] = set()
        self.restricted = False
        """Whether a step takes only the samples that are asked for."""

    def placed(self, reference: str) -> str:
        """A reference of the run as a reference of the follow-up; plans the step behind it."""
        owner, _, output = reference.partition("/")
        if owner == "run":
            if output in self._record.header.inputs:
                return reference
            if output not in self._record.outputs:
                raise PlanError(f"the run holds no {output!r}", where=reference)
            return self.placed(self._record.outputs[output])
        step = self._by_id.get(owner)
        if step is None or step.call_key is None:
            raise PlanError(f"step {owner} was not executed", where=reference)
        if step.tool in self._asked.without and "dataset" in step.inputs:
            self.met.add(step.tool)
            return self.placed(str(step.inputs["dataset"]))
        if owner not in self._placed:
            self._placed[owner] = self._add(step)
        made = f"{self._placed[owner]}/{output}"
        if output == "dataset" and step.tool == "profile_dataset" and self._asked.exclude_samples:
            return self._without_samples(made)
        return made

    def by_drafts(self, wanted: str) -> str:
        """Plan the steps of a learned action after what they read; the id of the one that makes an output.

        Raises
        ------
        InputError
            None makes it, or a step reads what is not there.
        """
        made: list[str] = []
        last = ""

        def placed(reference: str) -> str:
            if not reference.startswith("#"):
                return self.placed(reference)
            number, _, output = reference[1:].partition("/")
            if not number.isdigit() or not 0 < int(number) <= len(made):
                raise InputError(f"a step reads {reference!r}, which is not there", where=self._asked.action)
            return f"{made[int(number) - 1]}/{output}"

        for draft in self._asked.steps:
            inputs = {
                name: {key: placed(one) for key, one in reference.items()}
                if isinstance(reference, dict)
                else placed(reference)
                for name, reference in draft["inputs"].items()
            }
            made.append(self._plan(draft["tool"], draft["purpose"], inputs, dict(draft["params"])))
            if wanted in registry.get(draft["tool"]).outputs:
                last = made[-1]
        if not last:
            raise InputError(
                f"its steps make no {wanted.partition(':')[2]!r}", where=f"action {self._asked.action!r}"
            )
        return last

    def _add(self, step: PlannedStep) -> str:
        inputs: dict[str, str | dict[str, str]] = {}
        for name, reference in step.inputs.items():
            inputs[name] = (
                {key: self.placed(one) for key, one in reference.items()}
                if isinstance(reference, dict)
                else self.placed(reference)
            )
        spec = self._record.calls[str(step.call_key)].spec
        params = dict(spec.params)
        if step.tool in self._asked.params:
            self.met.add(step.tool)
            params |= self._asked.params[step.tool]
        if step.id.startswith(f"{self._asked.objective_id}."):
            contrast = params.get("contrast")
            where = dict(contrast) if isinstance(contrast, dict) else params
            if self._asked.covariates is not None and "covariates" in where:
                where["covariates"] = list(self._asked.covariates)
            if self._asked.subset and "subset" in where:
                where["subset"] = {**where["subset"], **self._asked.subset}
                self.restricted = True
            if where is not params:
                params["contrast"] = where
        return self._plan(step.tool, step.purpose, inputs, params)

    def _without_samples(self, made: str) -> str:
        if not self._excluded:
            self._excluded = True
            self._placed["excluded"] = self._plan(
                "remove_samples",
                "leave out the samples that were named",
                {"dataset": made},
                {"samples": list(self._asked.exclude_samples)},
            )
        return f"{self._placed['excluded']}/dataset"

    def _plan(
        self, tool: str, purpose: str, inputs: dict[str, str | dict[str, str]], params: dict[str, Any]
    ) -> str:
        identity = f"O1.W1.S{len(self.steps) + 1}"
        self.steps.append(PlannedStep(id=identity, tool=tool, purpose=purpose, params=params, inputs=inputs))
        return identity
