"""What the nodes of the research graph work with, and the two things that every node does: decide and execute."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from pandas.api.types import is_numeric_dtype
from pydantic import ValidationError
from sqlalchemy import Connection

from nereus.agents.planner.budget import BudgetKeeper
from nereus.agents.planner.citations import Citations
from nereus.agents.planner.companions import LOADED, companions, stem
from nereus.agents.planner.learned_plans import learned_step
from nereus.agents.planner.learning import Experience, is_usual
from nereus.agents.planner.parsed import Parsed
from nereus.agents.planner.recording import ContextHasher
from nereus.agents.policies.aliases import reads_as_instruction
from nereus.agents.policies.base import (
    SCHEMAS,
    CallView,
    DecisionContext,
    DecisionKind,
    MemoryView,
    Metered,
    Policy,
    ProfileView,
    View,
)
from nereus.agents.policies.rules import RulesPolicy
from nereus.errors import NereusError, PlanError, PolicyError, on_one_line
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.events import EventStream
from nereus.memory.progress import Progress
from nereus.memory.records import ArtifactRef, CallStatus, Decision, PlannedStep, Scalar, ToolCall
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import VectorIndex
from nereus.tools import registry
from nereus.tools.steps import StepRunner, canonical_json

if TYPE_CHECKING:
    import pandas as pd

    from nereus.agents.learner.pipeline_plans import PipelinePlanner

Payload = TypeVar("Payload", bound=View)

# Tables of `profile_dataset` that policies see, with the most rows that are shown.
_PROFILE_TABLES = {
    "columns": 60,
    "factors": 60,
    "confounding": 60,
    "contrasts": 60,
    "associations": 30,
    "interactions": 20,
    "courses": 20,
    "doses": 10,
    "outcomes": 10,
    "pulldowns": 40,
    "organelles": 5,
    "plexes": 40,
    "labels": 10,
}
# The same of the cohort and of each layer, under ``<role>:<table>``, and the named values under ``<role>:<name>``.
_COMPANION_TABLES = {"columns": 40, "contrasts": 40, "associations": 30, "confounding": 40, "plexes": 40}
_COMPANION_VALUES = (
    "aggregate_by",
    "alternative_quantities",
    "data_kind",
    "isobaric",
    "keep_apart",
    "missing_rate",
    "n_features",
    "n_samples",
    "n_subjects",
    "organism",
    "subject_column",
)
# Later results that refine the picture: well-known name -> the most rows that are shown.
_LATER_TABLES = {"screen": 60, "batch": 60, "quality_checks": 30}
_UNSEEN = ProfileView()
_REFLEX = RulesPolicy()


@dataclass
class Services:
    """Dependencies of a run, handed to the nodes as LangGraph's runtime context."""

    run_id: str
    question: str | None
    seed: int
    approval: str
    repository: RunRepository
    events: EventStream
    artifacts: ArtifactStore
    runner: StepRunner
    policy: Policy
    budget: BudgetKeeper
    inputs: dict[str, ArtifactRef]
    """By role: ``data`` and, where given, ``samples``, ``cohort``, ``cohort_samples``, ``layer:<name>``."""
    load: dict[str, Any]
    """Parameters of the reader that the user gave."""
    progress: Progress
    """Counts what is recorded."""
    recall: VectorIndex | None = None
    experience: Experience = field(default_factory=Experience)
    """What earlier runs taught, as it was known when the run began."""
    pipelines: PipelinePlanner | None = None
    """Learned pipelines that were active when the run began."""
    reason: bool = True
    """Whether the reasoner looks at workflows that are uncertain or failing."""
    parsed: Parsed = field(default_factory=Parsed)
    """Records of the graph's state."""
    _profiles: dict[tuple[tuple[str, str], ...], ProfileView] = field(default_factory=dict)
    _shown: dict[tuple[str, int], list[dict[str, Scalar]]] = field(default_factory=dict)
    _views: dict[tuple[str, str], CallView] = field(default_factory=dict)
    _decisions: dict[str, Decision] | None = None
    _citations: Citations | None = None
    _hasher: ContextHasher = field(default_factory=ContextHasher)
    _concealed: bool = False
    _lock: Lock = field(default_factory=Lock)

    # -------------------------------------------------------------------------------- events

    def emit(self, type_: str, subject: str = "", **payload: Any) -> None:
        """Add to the run's event stream, once per (type, subject, payload): a node that runs again repeats nothing."""
        key = hashlib.sha256(canonical_json([type_, subject, payload]).encode()).hexdigest()[:32]
        self.events.post(self.run_id, type_, subject, payload, key=key)

    # ------------------------------------------------------------------------------ decisions

    def decide(
        self,
        kind: DecisionKind,
        subject: str,
        context: DecisionContext,
        schema: type[Payload],
        policy: Policy | None = None,
    ) -> Payload:
        """Ask the policy, check its answer and record it. A recorded decision on an equal context is replayed.

        `policy` answers in place of the run's own.
        """
        if schema is not SCHEMAS[kind]:
            raise PolicyError(f"{kind.value} answers with {SCHEMAS[kind].__name__}, not {schema.__name__}")
        context_hash = self._hasher.hash(context)
        identity = f"{kind.value}@{subject}"
        known = self._decided().get(identity)
        if known is not None and known.context_hash == context_hash:
            return schema.model_validate(known.payload)
        if self.policy.needs_network:  # it may take long: what led here is shown and kept first
            self.repository.database.settle()
        start = time.perf_counter()
        verdict = (policy or self.policy).decide(kind, context, seed=self.seed)
        chosen = verdict.payload.model_dump(mode="json")
        try:
            payload = schema.model_validate(chosen)
        except ValidationError as error:
            raise PolicyError(str(error), where=f"policy {verdict.policy!r}, decision {identity}") from error
        decision = Decision(
            id=identity,
            kind=kind.value,
            subject=subject,
            policy=verdict.policy,
            payload=chosen,
            rationale=verdict.rationale,
            cites=verdict.cites,
            fallback=verdict.fallback,
            fallback_reason=verdict.fallback_reason,
            alternative=verdict.alternative.model_dump(mode="json") if verdict.alternative else None,
            context_hash=context_hash,
            calls=verdict.calls,
            tokens=verdict.tokens,
            usd=verdict.usd,
            ms=round((time.perf_counter() - start) * 1000, 3),
        )
        self.repository.save_decisions(self.run_id, [decision])
        if self._decided().get(identity) is None:
            self.repository.database.save("decided", [identity], self._count)
        self._decided()[identity] = decision
        if verdict.fallback:
            self.emit("policy_fallback", subject, kind=kind.value, reason=verdict.fallback_reason)
        if self.policy.needs_network:  # paid for: never asked again
            self.repository.database.settle()
        return payload

    def decide_step(
        self, kind: DecisionKind, subject: str, context: DecisionContext, schema: type[Payload], tool: str
    ) -> Payload:
        """Ask about a step, unless experience expects the usual answer and nothing in the actual result speaks against it.

        A call that failed, is incomplete or warns is always asked about, and so is what surprises the rules.
        """
        kind_of_data = str(context.profile.values.get("data_kind") or "")
        question = context.objective.kind.value if context.objective else ""
        learned = learned_step(self, context)
        if f"{kind.value}@{subject}" not in self._decided() and (
            learned is not None or self.experience.routine(kind_of_data, question, kind.value, tool)
        ):
            call = next((one for one in reversed(context.calls) if one.step_id == context.step_id), None)
            warned = call is not None and bool(call.warnings) and not learned
            doubtful = call is not None and (call.status != "ok" or not call.complete or warned)
            payload = _REFLEX.decide(kind, context, seed=self.seed).payload
            if not doubtful and isinstance(payload, schema) and is_usual(kind.value, payload.model_dump()):
                self.emit("decision_routine", subject, kind=kind.value)
                return payload
        return self.decide(kind, subject, context, schema)

    def seconds(self, tool: str, profile: ProfileView) -> float:
        """How long a step will take, from how long its tool took before."""
        values = profile.values
        cells = float(values.get("n_features") or 0) * float(values.get("n_samples") or 0)
        return self.experience.seconds(tool, cells)

    def _count(self, connection: Connection, identities: list[str]) -> None:
        del connection
        for _ in identities:
            self.repository.database.after_commit(self.progress.decided)

    def decided(self, identity: str) -> Decision | None:
        """A recorded decision of this run."""
        return self._decided().get(identity)

    def _decided(self) -> dict[str, Decision]:
        """Decisions of this run by id. One process works on a run, so they are read once."""
        with self._lock:
            if self._decisions is None:
                self._decisions = {one.id: one for one in self.repository.decisions(self.run_id)}
            return self._decisions

    def citations(self) -> Citations:
        """What this run has cited; read once."""
        with self._lock:
            if self._citations is None:
                self._citations = Citations(self.repository.evidence(self.run_id))
            return self._citations

    # ------------------------------------------------------------------------------- execution

    def resolve(self, reference: str, calls: Mapping[str, str], outputs: Mapping[str, str]) -> ArtifactRef:
        """The artifact behind ``run/<name>`` or ``<step id>/<output>``."""
        owner, _, output = reference.partition("/")
        if owner == "run":
            if output in self.inputs:
                return self.inputs[output]
            if output not in outputs:
                raise PlanError(f"the run holds no {output!r}", where=reference)
            owner, _, output = outputs[output].partition("/")
        if owner not in calls:
            raise PlanError(f"step {owner} has not run", where=reference)
        call = self.call(calls[owner])
        if output not in call.outputs:
            raise PlanError(f"step {owner} ({call.spec.tool}) made no {output!r}", where=reference)
        return call.outputs[output]

    def call(self, key: str) -> ToolCall:
        """A recorded tool call."""
        call = self.runner.ledger.find_call(key)
        if call is None:
            raise PlanError(f"tool call {key[:12]} is not recorded")
        return call

    def execute(
        self,
        step: PlannedStep,
        params: Mapping[str, Any],
        calls: Mapping[str, str],
        outputs: Mapping[str, str],
    ) -> ToolCall:
        """Run one planned step, or find it recorded, and tell the event stream."""
        tool = registry.get(step.tool)
        resolved: dict[str, ArtifactRef | Mapping[str, ArtifactRef] | None] = {
            name: {key: self.resolve(one, calls, outputs) for key, one in reference.items()}
            if isinstance(reference, dict)
            else self.resolve(reference, calls, outputs)
            for name, reference in step.inputs.items()
        }
        self.emit("step_started", step.id, tool=step.tool, purpose=step.purpose, attempt=step.attempt)
        call = self.runner.run(tool, params, resolved)
        if call.status is CallStatus.OK:
            self.emit(
                "step_finished", step.id, tool=step.tool, summary=call.summary, warnings=list(call.warnings)
            )
        else:
            self.emit("step_failed", step.id, tool=step.tool, error=call.error)
        return call

    # -------------------------------------------------------------------------------- contexts

    def recall_similar(self, collection: str, text: str) -> tuple[MemoryView, ...]:
        """Up to three similar records of earlier runs: quoted to the policy, never obeyed."""
        if self.recall is None:
            return ()
        found = self.recall.recall(collection, text, 3, exclude_run=self.run_id)
        return tuple(
            MemoryView(
                id=one.id,
                run_id=one.run_id,
                text=one.text,
                similarity=round(one.similarity, 4),
                metadata=one.metadata,
            )
            for one in found
        )

    def view(self, step_id: str, key: str) -> CallView:
        """A finished step as a policy sees it."""
        known = self._views.get((step_id, key))
        if known is not None:
            return known
        call = self.call(key)
        if call.spec.tool == "load_dataset" and isinstance(self.policy, Metered):
            self._conceal_samples(call)
        view = CallView(
            step_id=step_id,
            tool=call.spec.tool,
            status="ok" if call.status is CallStatus.OK else "failed",
            summary=call.summary,
            values=call.values,
            outputs=tuple(sorted(call.outputs)),
            warnings=call.warnings,
            complete=call.complete,
            params=call.spec.params,
            error=call.error,
        )
        if call.status is CallStatus.OK:  # a failed call may be tried again
            self._views[step_id, key] = view
        return view

    def profile(self, calls: Mapping[str, str], outputs: Mapping[str, str]) -> ProfileView:
        """The profile as a policy sees it; empty before the data were profiled."""
        if "profile" not in outputs:
            return _UNSEEN
        call = self.call(calls[outputs["profile"].partition("/")[0]])
        self._conceal_subjects(call, calls, outputs)
        shown = {name: (call, name, most) for name, most in _PROFILE_TABLES.items()}
        for name, most in _LATER_TABLES.items():
            if name in outputs:
                step_id, _, output = outputs[name].partition("/")
                shown[name] = (self.call(calls[step_id]), output, most)
        values = dict(call.values)
        for role in companions(self.inputs):
            values[f"{role}:name"] = stem(self.inputs[role].name)
            step_id = outputs.get(f"{role}:{LOADED}", "").partition("/")[0]
            if step_id in calls and (beside := self.call(calls[step_id])).spec.tool == call.spec.tool:
                values |= {f"{role}:{one}": beside.values.get(one) for one in _COMPANION_VALUES}
                shown |= {f"{role}:{one}": (beside, one, most) for one, most in _COMPANION_TABLES.items()}
        key = tuple((name, owner.key) for name, (owner, _, _) in shown.items())
        with self._lock:
            if key not in self._profiles:
                self._profiles[key] = ProfileView(
                    values=values,
                    tables={
                        name: self._rows(owner.outputs[output], most)
                        for name, (owner, output, most) in shown.items()
                        if output in owner.outputs
                    },
                )
            return self._profiles[key]

    def _rows(self, ref: ArtifactRef, most: int) -> list[dict[str, Scalar]]:
        """The first rows of a table; tables stay the same while others join the profile."""
        known = self._shown.get((ref.id, most))
        if known is None:
            known = self._shown[ref.id, most] = rows(self.artifacts.table(ref).head(most))
        return known

    def _conceal_samples(self, load: ToolCall) -> None:
        """Tell a policy that shows data to somebody else which names of samples, and which orders in names, it must not show."""
        if "dataset" not in load.outputs or not isinstance(self.policy, Metered):
            return
        dataset = self.artifacts.dataset(load.outputs["dataset"])
        obs = dataset.obs
        names = set(obs.index.astype(str))
        given = {*map(str, obs.columns), *map(str, dataset.var.columns), *dataset.var_names.astype(str)}
        for column in obs.columns:
            if is_numeric_dtype(obs[column]):
                continue
            texts = obs[column].dropna().astype(str)
            given |= set(texts)
            if texts.is_unique and len(texts) == len(obs):  # what names every row
                names |= set(texts)
        # Messages of tools list names in sentences, where nothing tells them from words of ours.
        names |= {one for one in given if reads_as_instruction(one)}
        self.policy.conceal(sorted(names))

    def _conceal_subjects(
        self, profile: ToolCall, calls: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        """The same for subjects, who are known once the columns have roles."""
        if self._concealed or not isinstance(self.policy, Metered) or "loaded" not in outputs:
            return
        self._concealed = True
        names: set[str] = set()
        for shared in ("loaded", *(f"{role}:{LOADED}" for role in companions(self.inputs))):
            step_id = outputs.get(shared, "").partition("/")[0]
            known = profile if shared == "loaded" else self.call(calls[step_id]) if step_id else None
            if known is None or "columns" not in known.outputs:
                continue
            columns = self.artifacts.table(known.outputs["columns"])
            private = set(columns.loc[columns["role"].isin(["identifier", "subject"]), "column"])
            obs = self.artifacts.dataset(self.resolve(f"run/{shared}", calls, outputs)).obs
            for column in {*private, known.values.get("subject_column")} & set(obs.columns):
                names |= set(obs[column].dropna().astype(str))
        self.policy.conceal(sorted(names))


def rows(table: pd.DataFrame) -> list[dict[str, Scalar]]:
    """A table as JSON rows."""
    columns = [[scalar(value) for value in table[column].tolist()] for column in table.columns]
    names = [str(column) for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def scalar(value: Any) -> bool | int | float | str | None:
    """A table cell as a JSON scalar; what is not finite becomes None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    return value if isinstance(value, bool | int | str) else str(value)


def explain(error: NereusError) -> str:
    """An error as a notice in the report: what and where, on one line."""
    return on_one_line(str(error))
