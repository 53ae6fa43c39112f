"""The plan on the page: workflows, steps with what they read and made, decisions and what set them off."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from markupsafe import Markup

from nereus.agents.reporter.page_figures import PageFigures
from nereus.agents.reporter.record_files import input_artifacts
from nereus.agents.reporter.render import anchor
from nereus.agents.reporter.sources import latest_workflows, path
from nereus.memory.records import CallStatus, Decision


class PagePlan(PageFigures):
    """What was planned, decided, run and repeated."""

    def workflows_of(self, objective: str) -> list[Any]:
        """Newest version of each workflow of an objective."""
        return [one for one in latest_workflows(self.record) if one.objective_id == objective]

    def step(self, step: Any) -> dict[str, Any]:
        """A step with its call, for the tree."""
        call = self.record.calls.get(step.call_key) if step.call_key else None
        if call is None:
            return {"step": step, "call": None}
        outputs = [(name, ref, self.files.get((call.key, name))) for name, ref in call.outputs.items()]
        return {
            "step": step,
            "call": call,
            "outputs": outputs,
            "values": [
                (name, self.val(step.id, name)) for name, value in call.values.items() if value is not None
            ],
            "warnings": [path("warning", step.id, index) for index in range(len(call.warnings))],
            "from": self._made_from(call.spec.inputs),
            "hashes": sorted(input_artifacts(call)),
        }

    def _made_from(self, inputs: dict[str, Any]) -> list[tuple[str, str]]:
        """Input name and where it came from: a step's output or a user's file."""
        found = []
        for name, value in inputs.items():
            for identity in [value] if isinstance(value, str) else list((value or {}).values()):
                found.append((name, self._origin.get(identity, identity[:12])))
        return found

    @cached_property
    def _origin(self) -> dict[str, str]:
        origins = {ref.id: ref.name for ref in self.record.header.inputs.values()}
        for step, key in self.sources.call_of_step.items():
            for name, ref in self.record.calls[key].outputs.items() if key in self.record.calls else ():
                origins.setdefault(ref.id, f"{step} / {name}")
        return origins

    def decisions_about(self, subject: str) -> list[Decision]:
        """Decisions about an objective, workflow or step that say why."""
        return [d for d in self.record.decisions if re.split("[#@]", d.subject)[0] == subject and d.rationale]

    def trigger(self, trigger: str) -> Markup:
        """What set a refinement off: evidence and values as numbers, anything else as a name."""
        if trigger in self.record.evidence:
            return Markup("{} ({})").format(self.evidence_text(trigger), self.named(trigger))
        rule, _, pointer = trigger.rpartition(": ")
        step, _, name = pointer.rpartition(".")
        if step in self.sources.call_of_step and name in self.sources.call(step).values:
            said = Markup("{}: ").format(self.named(rule.replace("_", " "))) if rule else Markup("")
            return Markup("{}{} of {} = {}").format(
                said, self.named(name.replace("_", " ")), self.named(step), self.val(step, name)
            )
        return self.named(trigger)

    def calls_beside_plan(self) -> list[tuple[str, Any]]:
        """Calls that no step of the newest plan names: replaced, repeated or failed ones."""
        return [(s, self.record.calls[k]) for s, k in self.sources.call_of_step.items() if s.startswith("C")]

    def failed_steps(self) -> list[tuple[str, Any]]:
        """Calls that ended with an error."""
        return [
            (step, self.record.calls[key])
            for step, key in self.sources.call_of_step.items()
            if key in self.record.calls and self.record.calls[key].status is CallStatus.FAILED
        ]

    def link(self, source: str) -> str:
        """Fragment of the page that explains a source."""
        return "#" + anchor(source)
