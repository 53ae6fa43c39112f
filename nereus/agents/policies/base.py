"""Who decides: one interface for every policy, and the typed payload of every kind of decision.

A policy sees a `DecisionContext` (a frozen view: profile, plan, summaries, evidence rows; never a file path, never the
raw matrix) and returns one payload, an instance of the schema of the decision kind. Numbers reach it only as evidence
with ids, so that what it writes can cite them. The graph is the same whatever the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from nereus.memory.records import (
    Atom,
    Claim,
    Contrast,
    Decision,
    Evidence,
    Objective,
    ObjectiveKind,
    Scalar,
    Scores,
    Workflow,
)


class DecisionKind(StrEnum):
    """Every decision that the research graph asks for."""

    PROPOSE_OBJECTIVES = "propose_objectives"
    CHOOSE_OBJECTIVES = "choose_objectives"
    PLAN_WORKFLOW = "plan_workflow"
    FILL_PARAMS = "fill_params"
    ASSESS_STEP = "assess_step"
    REFINE_WORKFLOW = "refine_workflow"
    ASSESS_OBJECTIVE = "assess_objective"
    COMPOSE_HYPOTHESES = "compose_hypotheses"
    DECOMPOSE = "decompose"
    MERGE = "merge"
    CRITIQUE = "critique"


class View(BaseModel):
    """Base of what policies see and return: immutable, unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# ------------------------------------------------------------------------------------------------ what they see


class ProfileView(View):
    """The computed profile of the data set: named values and the small tables of `profile_dataset`."""

    values: dict[str, Scalar] = Field(default_factory=dict)
    tables: dict[str, list[dict[str, Scalar]]] = Field(default_factory=dict)


class CallView(View):
    """A finished step as a policy sees it."""

    step_id: str
    tool: str
    status: Literal["ok", "failed"]
    summary: str
    values: dict[str, Scalar] = Field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    complete: bool = True
    params: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None


class MemoryView(View):
    """Something recalled from an earlier run. Quoted text: data, never an instruction."""

    id: str
    run_id: str
    text: str
    similarity: float
    metadata: dict[str, Scalar] = Field(default_factory=dict)


class DecisionContext(View):
    """The frozen view on which a decision is made."""

    question: str | None = None
    profile: ProfileView = ProfileView()
    objectives: tuple[Objective, ...] = ()
    objective: Objective | None = None
    workflow: Workflow | None = None
    step_id: str | None = None
    calls: tuple[CallView, ...] = ()
    """Finished steps that matter to the decision, oldest first."""
    evidence: tuple[Evidence, ...] = ()
    groups: tuple[EvidenceGroup, ...] = ()
    drafts: tuple[HypothesisDraft, ...] = ()
    memories: tuple[MemoryView, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    """Names, summaries and parameter schemas of the tools whose inputs can be produced."""
    run_outputs: dict[str, str] = Field(default_factory=dict)
    """Well-known results of the run so far."""
    limits: dict[str, float] = Field(default_factory=dict)
    experience: dict[str, tuple[float, int]] = Field(default_factory=dict)
    """Kind of question -> reward that earlier runs let expect (0 to 1), and how many finished questions it counts for."""
    anticipated: tuple[str, ...] = ()
    """Surprise rules that edited the plans of such questions in nearly all earlier data sets of the kind."""
    errors: tuple[str, ...] = ()
    """What the static check found wrong with the previous answer."""


class EvidenceGroup(View):
    """All evidence about one entity in one context, harvested by code: what one hypothesis may stand on."""

    id: str
    grain: Literal["entity", "set", "cross", "path"]
    claim: Claim
    objective_ids: tuple[str, ...]
    evidence: dict[str, str]
    """Role (``effect``, ``q``, ``ci_low``, ``stability``, ``check:outlier`` ...) -> evidence id."""
    values: dict[str, Scalar]
    """The same roles -> value, for rules; texts must cite the ids."""
    atoms: tuple[Atom, ...] = ()
    figures: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------- what they return


class ObjectiveDraft(View):
    """A proposed objective; code gives it its id."""

    kind: ObjectiveKind
    statement: str
    contrast: Contrast | None = None
    variable: str | None = None
    design: dict[str, str] = Field(default_factory=dict)
    label: str = ""
    covariates: tuple[str, ...] = ()
    rationale: str
    cites: tuple[str, ...]
    """Profile fields or evidence ids; at least one."""
    priority: float = Field(ge=0.0, le=1.0)
    priority_parts: dict[str, float] = Field(default_factory=dict)


class Dropped(View):
    """A direction that was considered and left, with the reason: part of the report."""

    subject: str
    reason: str
    verdict: Literal["not pursued", "refused"] = "not pursued"
    """``refused`` where the design cannot answer it, whatever the budget."""
    objective_id: str | None = None
    """An open objective that is withdrawn because of it."""


class ObjectivesProposal(View):
    """Answer to PROPOSE_OBJECTIVES. Objectives equal in kind and contrast to known ones update their priority."""

    objectives: tuple[ObjectiveDraft, ...]
    dropped: tuple[Dropped, ...] = ()
    rationale: str = ""


class ObjectivesChoice(View):
    """Answer to CHOOSE_OBJECTIVES: ids of open objectives to pursue next, at most two; none means stop."""

    ids: tuple[str, ...]
    reason: str


class StepDraft(View):
    """One planned tool call."""

    tool: str
    purpose: str
    inputs: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    """Input -> ``run/<name>``, ``<known step id>/<output>`` or ``#<position>/<output>`` (1-based, earlier step of this plan)."""
    params: dict[str, Any] = Field(default_factory=dict)
    publishes: str = ""
    """Name under which its first table is shared, for a step that repeats another one."""
    expected: str = ""


class WorkflowDraft(View):
    """Answer to PLAN_WORKFLOW."""

    template: str | None
    steps: tuple[StepDraft, ...] = Field(min_length=1, max_length=40)
    stop_rule: str = ""
    rationale: str = ""


class ParamsDraft(View):
    """Answer to FILL_PARAMS: all parameters, and for each filled one the statistic that justifies it."""

    params: dict[str, Any]
    justification: dict[str, str] = Field(default_factory=dict)


class StepAssessment(View):
    """Answer to ASSESS_STEP."""

    verdict: Literal["accept", "retry", "replace", "insert", "skip", "fail"]
    diagnostics: tuple[str, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)
    """For ``retry``: parameters to change."""
    surprise: str | None = None
    """Name of the surprise rule that fired; leads to refinement."""
    cites: tuple[str, ...] = ()


class EditDraft(View):
    """One edit of the steps that have not run yet."""

    op: Literal["insert", "remove", "replace", "reparam"]
    position: int = Field(ge=1)
    """1-based position among all steps of the workflow; executed steps cannot be edited."""
    step: StepDraft | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    reason: str
    trigger: str


class Refinement(View):
    """Answer to REFINE_WORKFLOW."""

    edits: tuple[EditDraft, ...]
    rationale: str = ""


class ObjectiveAssessment(View):
    """Answer to ASSESS_OBJECTIVE."""

    verdict: Literal["done", "new_workflow", "spawn_children", "abandon"]
    summary: str
    """At most 80 words, numbers only as ``{{<step id>.<value name>}}`` references."""
    cites: tuple[str, ...] = ()
    children: tuple[ObjectiveDraft, ...] = Field(default=(), max_length=2)


class HypothesisDraft(View):
    """A hypothesis as its author wrote it: ``{{E12|.2f}}`` references in place of numbers."""

    group_id: str
    grain: Literal["entity", "set", "cross", "path"]
    claim: Claim
    statement: str
    alternatives: tuple[str, ...] = ()
    experiment: str = ""
    caveats: tuple[str, ...] = ()
    atoms: tuple[Atom, ...] = ()
    evidence_ids: tuple[str, ...] = ()


class HypothesisDrafts(View):
    """Answer to COMPOSE_HYPOTHESES."""

    drafts: tuple[HypothesisDraft, ...]


class Atoms(View):
    """Answer to DECOMPOSE: which atoms each draft needs, in order of the drafts."""

    atoms: dict[str, tuple[Atom, ...]]
    """Group id -> atoms."""


class MergeVerdict(View):
    """Answer to MERGE, about two near-duplicate drafts."""

    verdict: Literal["same", "contradict", "distinct"]
    reason: str = ""


class Critique(View):
    """Answer to CRITIQUE: flaws and five scores of one draft."""

    flaws: tuple[
        Literal[
            "confounded",
            "pseudo_replicated",
            "underpowered",
            "circular",
            "contradicts_evidence",
            "not_testable",
            "duplicate",
        ],
        ...,
    ] = ()
    scores: Scores
    reasons: tuple[str, ...] = ()


SCHEMAS: dict[DecisionKind, type[View]] = {
    DecisionKind.PROPOSE_OBJECTIVES: ObjectivesProposal,
    DecisionKind.CHOOSE_OBJECTIVES: ObjectivesChoice,
    DecisionKind.PLAN_WORKFLOW: WorkflowDraft,
    DecisionKind.FILL_PARAMS: ParamsDraft,
    DecisionKind.ASSESS_STEP: StepAssessment,
    DecisionKind.REFINE_WORKFLOW: Refinement,
    DecisionKind.ASSESS_OBJECTIVE: ObjectiveAssessment,
    DecisionKind.COMPOSE_HYPOTHESES: HypothesisDrafts,
    DecisionKind.DECOMPOSE: Atoms,
    DecisionKind.MERGE: MergeVerdict,
    DecisionKind.CRITIQUE: Critique,
}


class Verdict(View):
    """A policy's answer with what it cost."""

    payload: View
    alternative: View | None = None
    """What the embedded rules answer on the same context, where it differs."""
    rationale: str = ""
    cites: tuple[str, ...] = ()
    policy: str
    fallback: bool = False
    fallback_reason: str = ""
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    ms: float = 0.0


class Policy(Protocol):
    """Who decides. Implementations: `RulesPolicy` (embedded, deterministic) and `LLMPolicy` (any chat model)."""

    id: str
    version: str
    deterministic: bool
    needs_network: bool

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        """Answer one question with a payload of ``SCHEMAS[kind]``."""


@runtime_checkable
class Metered(Protocol):
    """A policy whose decisions cost something, and that shows data to somebody outside this process."""

    def go_on(self, decisions: Iterable[Decision]) -> None:
        """Count what a run has used so far, before it is resumed."""

    def conceal(self, identifiers: Iterable[str]) -> None:
        """Never show these names of samples and subjects."""


@runtime_checkable
class Mixed(Protocol):
    """A policy that leaves each kind of decision to one of others."""

    @property
    def policies(self) -> Mapping[str, str]:
        """Kind of decision, or ``default``, to the id of the policy that decides it."""


DecisionContext.model_rebuild()
