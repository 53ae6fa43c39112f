"""What Nereus remembers, as typed and serialisable records.

The words are those of ``docs/architecture.md``: Objective > Workflow > Step, Artifact, Evidence, Hypothesis,
Decision, Event, Run. The database stores them (`nereus.memory.database`), agents make them, reports read them.
Identifiers are counter- or content-based, never random, so that two runs with one seed make equal records.
Times are kept for people and are never part of a hash.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str | None
"""A named value of a result. Numbers are finite floats or ints; a missing number is None, never NaN."""


class Record(BaseModel):
    """Base of all records: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# ------------------------------------------------------------------------------------------- artifacts and steps


class ArtifactKind(StrEnum):
    """What an artifact holds, and so how it is written (no pickle anywhere)."""

    FILE = "file"  # bytes exactly as the user gave them
    TABLE = "table"  # pandas.DataFrame -> Parquet
    DATASET = "dataset"  # anndata.AnnData -> h5ad
    FIGURE = "figure"  # SVG bytes; the plotted data is a table artifact of its own
    MODEL = "model"  # a trained method: one safetensors file that says what it is


class ArtifactRef(Record):
    """Anything that a step made, stored once under the hash of its content."""

    id: str
    """SHA-256 of the stored bytes, hexadecimal."""
    kind: ArtifactKind
    name: str
    """Name within the result that made it (``differential``, ``volcano``), or the file name of an input."""
    size: int
    """Bytes on disk."""
    summary: str = ""
    """One deterministic line: shape and columns."""


class StepSpec(Record):
    """Everything that a step's result depends on. `nereus.tools.steps.step_key` hashes it."""

    tool: str
    version: str
    params: dict[str, Any]
    """Canonical JSON form of the tool's validated parameters, defaults included."""
    inputs: dict[str, str | dict[str, str] | None]
    """Input name -> artifact id (or name -> artifact id, for a tool that takes a set of tables)."""
    seed: int


class CallStatus(StrEnum):
    """How a tool call ended."""

    OK = "ok"
    FAILED = "failed"


class ToolCall(Record):
    """One executed step specification and what came out. Shared by every run that asks for the same key."""

    key: str
    """SHA-256 of the canonical StepSpec."""
    spec: StepSpec
    status: CallStatus
    summary: str = ""
    values: dict[str, Scalar] = Field(default_factory=dict)
    outputs: dict[str, ArtifactRef] = Field(default_factory=dict)
    """Output name -> artifact. Tables, datasets and figures share one name space per result."""
    warnings: tuple[str, ...] = ()
    complete: bool = True
    n_total: int | None = None
    n_returned: int | None = None
    error: str | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0


# --------------------------------------------------------------------------------- objective > workflow > step


class Contrast(Record):
    """A comparison ``a vs b``: effects are a minus b, so ``up`` means higher in a."""

    factor: str
    a: str
    b: str
    covariates: tuple[str, ...] = ()
    block: str | None = None
    """Column whose levels are modelled as blocks (subject of paired or repeated samples)."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""

    @property
    def label(self) -> str:
        """Readable name, ``a vs b`` with the subset behind it."""
        kept = ", ".join(f"{column} = {level}" for column, level in sorted(self.subset.items()))
        return f"{self.a} vs {self.b}" + (f" ({kept})" if kept else "")

    def asks_the_same(self, other: Contrast) -> bool:
        """Whether both compare the same groups of the same samples, whatever they adjust for."""
        return (self.factor, self.a, self.b, self.subset) == (other.factor, other.a, other.b, other.subset)


class ObjectiveKind(StrEnum):
    """The kinds of question that can be asked."""

    DATA = "data"  # read and understand the data: always first
    QUALITY = "quality"  # prepare the matrix and judge it
    DIFFERENTIAL = "differential"
    ASSOCIATION = "association"
    INTERACTION = "interaction"  # does the effect of one factor depend on another?
    LONGITUDINAL = "longitudinal"  # courses over time, repeated within subjects or not
    SURVIVAL = "survival"
    DOSE_RESPONSE = "dose_response"
    TARGETS = "targets"  # limited proteolysis: whose structure does a compound change?
    DOSE_TARGETS = "dose_targets"  # the same along a series of doses
    INTERACTOME = "interactome"  # what a bait binds, against its controls
    LOCALISATION = "localisation"  # where in the cell, from fractions and markers
    POPULATIONS = "populations"  # which cell populations differ in abundance
    STATES = "states"  # which markers differ within a population
    MARKERS = "markers"  # what marks each population of cells
    PATHWAY = "pathway"
    ACTIVITY = "activity"  # kinases behind the changes of sites
    SIGNALLING = "signalling"  # pathways behind the changes of genes
    PANEL = "panel"  # can a few features predict?
    VALIDATION = "validation"  # does it hold in a second cohort?
    SUBTYPES = "subtypes"
    MODULES = "modules"  # features that vary together
    CROSS_LAYER = "cross_layer"  # one layer against another of the same samples
    DESCRIBE = "describe"  # fewer than three subjects a group: description, and a clear refusal to infer
    SYNTHESIS = "synthesis"  # run-wide error control, calibration and the claims: always last


ObjectiveStatus = Literal["open", "running", "done", "abandoned"]


class Objective(Record):
    """A research question that the run sets itself."""

    id: str  # O1, O2, ... in order of proposal
    kind: ObjectiveKind
    statement: str
    contrast: Contrast | None = None
    variable: str | None = None
    """Continuous variable of an association."""
    design: dict[str, str] = Field(default_factory=dict)
    """What else the question names, by role: ``time``, ``event``, ``first``, ``a_first``, ``bait`` ..."""
    label: str = ""
    """Readable name of what is asked about, where neither contrast nor variable says it all."""
    covariates: tuple[str, ...] = ()
    rationale: str = ""
    cites: tuple[str, ...] = ()
    """Profile fields or evidence ids that it rests on."""
    priority: float = 0.0
    priority_parts: dict[str, float] = Field(default_factory=dict)
    status: ObjectiveStatus = "open"
    outcome: str = ""
    parent_id: str | None = None
    depth: int = 0
    by_person: tuple[str, ...] = ()
    """Fields that a person set at a gate: no policy changes them again."""

    @property
    def about(self) -> str:
        """What is asked about: its label, else the contrast, else the variable."""
        return self.label or (self.contrast.label if self.contrast else self.variable) or self.kind.value


class PlannedStep(Record):
    """One tool call of a workflow, before or after it was run."""

    id: str  # O2.W1.S3
    tool: str
    purpose: str
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters fixed by the plan; the rest is filled from the actual inputs just before the call."""
    inputs: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    """Input name -> ``<step id>/<output name>`` or ``run/<name>`` for what the run already holds."""
    publishes: str = ""
    """Name under which its first table is shared with the run, where the output's own name is taken by another step."""
    status: Literal["planned", "done", "failed", "skipped"] = "planned"
    attempt: int = 1
    call_key: str | None = None
    """Key of the ToolCall that carried it out."""
    verdict: str | None = None
    note: str = ""


class Edit(Record):
    """One change of a workflow, made by refinement because of a result."""

    op: Literal["insert", "remove", "replace", "reparam"]
    step_id: str
    reason: str
    trigger: str
    """Evidence id, named value or profile field that set it off."""


class Workflow(Record):
    """An ordered list of steps for one objective. Refinement makes a new version; executed steps never change."""

    id: str  # O2.W1
    objective_id: str
    template: str | None
    version: int = 1
    steps: tuple[PlannedStep, ...] = ()
    edits: tuple[Edit, ...] = ()
    stop_rule: str = ""


class Decision(Record):
    """One decision of a policy, with why and what it cost."""

    id: str  # D1, D2, ...
    kind: str
    subject: str
    """What was decided about: a run, objective, workflow, step or hypothesis id."""
    policy: str
    payload: dict[str, Any]
    rationale: str = ""
    cites: tuple[str, ...] = ()
    fallback: bool = False
    fallback_reason: str = ""
    alternative: dict[str, Any] | None = None
    """What the embedded rules would have decided on the same context, where a language model decided otherwise."""
    context_hash: str = ""
    calls: int = 0
    """Calls of a language model, repairs included."""
    tokens: int = 0
    usd: float = 0.0
    ms: float = 0.0


# ----------------------------------------------------------------------------------- evidence and hypotheses


class Evidence(Record):
    """A pointer to one recomputable value: a named value of a step, or one cell of one of its tables."""

    id: str  # E1, E2, ... within a run
    step_id: str
    call_key: str
    quantity: str
    """What the number is: ``log2 fold change``, ``q``, ``stability`` ..."""
    value: Scalar
    unit: str = ""
    name: str | None = None
    """Named value of the result; exclusive with `artifact`, `row` and `column`."""
    artifact: str | None = None
    """Artifact id of the table."""
    table: str | None = None
    """Output name of the table."""
    row: str | None = None
    """Value of the table's key column (its first column)."""
    column: str | None = None


Direction = Literal["up", "down", "present", "absent", "positive", "negative", "none"]
RelationName = Literal[
    "abundance",
    "detection",
    "association",
    "interaction",
    "course",
    "divergence",
    "survival",
    "dose_response",
    "target",
    "dose_target",
    "interactor",
    "localisation",
    "population",
    "state",
    "enrichment",
    "activity",
    "signalling",
    "prediction",
    "replication",
    "module",
    "cross_layer",
    "cluster_association",
    "composition",
    "mechanism",
]
EntityKind = Literal[
    "protein",
    "gene",
    "peptide",
    "site",
    "set",
    "kinase",
    "factor",
    "pathway",
    "module",
    "panel",
    "cluster",
    "population",
    "marker",
    "variable",
    "sample_group",
    "sample",
    "batch",
    "treatment",
    "bait",
    "compartment",
    "layer",
]
EdgeKind = Literal[
    "up_in",
    "down_in",
    "present_in",
    "absent_in",
    "correlates_with",
    "depends_on",
    "changes_over",
    "diverges_in",
    "prognostic_for",
    "responds_to",
    "restructured_in",
    "binds",
    "localised_in",
    "active_in",
    "inactive_in",
    "enriched_in",
    "member_of",
    "coexpressed_with",
    "acts_on",
    "agrees_with",
    "predicts",
    "divides",
    "differs_from",
    "varies_with",
    "regulates",
    "drives",
    "mediates",
]
"""What one node of the evidence graph has to do with another; the last three are inferred, never tested by a tool."""
EdgeStatus = Literal["supported", "refuted", "untested", "known", "inferred"]
"""``supported`` and ``refuted`` were tested, ``untested`` could not be, ``known`` stands in a collection of knowledge, and
``inferred`` follows from others and waits for an experiment."""
Split = Literal["discovery", "validation", "second cohort"]
"""Whose subjects an edge was tested in: those of the run, those that were kept aside, or those of a second cohort."""


class Entity(Record):
    """A thing that a claim is about."""

    kind: EntityKind
    id: str
    name: str
    direction: Direction = "none"


class Claim(Record):
    """The typed content of a hypothesis."""

    relation: RelationName
    entities: tuple[Entity, ...]
    contrast: str
    """``a vs b`` or the name of the variable."""
    context: str = ""


class Atom(Record):
    """One testable part of a hypothesis."""

    id: str  # H3.A1
    statement: str
    """With evidence references in place of numbers."""
    kind: Literal[
        "significance",
        "stability",
        "permutation",
        "direction",
        "normalisation",
        "outlier",
        "covariate",
        "peptides",
        "hazards",
        "replication",
        "assumed",
    ]
    necessary: bool
    verdict: Literal["holds", "fails", "assumed"]
    evidence_ids: tuple[str, ...] = ()


class Scores(Record):
    """Five scores in [0, 1]; without a language model they are computable proxies and are labelled so."""

    reliability: float
    coherence: float
    literature: float | None
    novelty: float
    evaluability: float
    proxy: bool = True


class Hypothesis(Record):
    """A statement whose numbers are all references to evidence."""

    id: str  # H1, H2, ...
    rank: int
    status: Literal["proposed", "supported", "tentative", "refuted", "merged"]
    grain: Literal["entity", "set", "cross", "path"]
    """``path``: an inference over edges of the evidence graph, never more than tentative."""
    key: str
    """Canonical key: sorted entity ids, relation, contrast, direction."""
    statement: str
    """With references ``{{E12}}`` or ``{{E12|.2f}}`` in place of every number."""
    claim: Claim
    confidence: float | None
    """Calibrated probability that the statistical claim is true in this data set; None where not calibrated."""
    confidence_word: str = ""
    scores: Scores
    rank_score: float = 0.0
    evidence_ids: tuple[str, ...] = ()
    atoms: tuple[Atom, ...] = ()
    alternatives: tuple[str, ...] = ()
    """Competing explanations, from diagnostics."""
    experiment: str = ""
    caveats: tuple[str, ...] = ()
    merged_into: str | None = None
    figures: tuple[str, ...] = ()
    """Artifact ids of figures to show on its card."""
    author: str = "composed by rules, no language model"


# ------------------------------------------------------------------------------------------- the evidence graph


class GraphNode(Record):
    """A thing of the evidence graph. The same thing has the same id in every run."""

    id: str
    """``n`` + first 16 hexadecimal digits of the SHA-256 of kind and entity."""
    kind: EntityKind
    entity: str
    """Id within its kind: a protein group, ``factor=level``, the id of a set ..."""
    name: str


class GraphEdge(Record):
    """What a run says of two nodes, and which evidence recomputes it.

    Its numbers are those of the row (or step) that the first piece of evidence points at; `columns` says which column
    each is read from, so none stands without a source.
    """

    id: str
    """``l`` + first 16 hexadecimal digits of the SHA-256 of nodes, kind, what is asked about, objective and split."""
    kind: EdgeKind
    source: str
    target: str
    relation: RelationName
    sign: Literal[-1, 0, 1] = 0
    about: str = ""
    """Contrast or variable."""
    objective_id: str = ""
    status: EdgeStatus
    split: Split = "discovery"
    dataset: str = ""
    """Artifact id of the data file whose subjects were tested."""
    effect: float | None = None
    p: float | None = None
    q: float | None = None
    """At the error level of the whole run where the run has one for it."""
    n: float | None = None
    """Subjects."""
    confidence: float | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """Number -> column of the evidence's row (or named value of its step); ``n_a+n_b`` is a sum."""
    evidence_ids: tuple[str, ...] = ()
    hypotheses: tuple[str, ...] = ()
    """Hypotheses that say it."""
    note: str = ""
    """For an inferred edge the experiment that would test it."""


# ------------------------------------------------------------------------------------------------- the run


class Event(Record):
    """One entry of a run's stream. ``seq`` starts at 1 and has no gaps; replaying the stream rebuilds the view."""

    run_id: str
    seq: int
    type: str
    subject: str = ""
    """Id of the objective, workflow, step or hypothesis it is about."""
    payload: dict[str, Any] = Field(default_factory=dict)
    ts: str = ""


RunStatus = Literal["queued", "running", "waiting", "finished", "stopped", "cancelled", "refused", "failed"]
UNFINISHED: tuple[RunStatus, ...] = ("queued", "running", "waiting")
"""A run with one of these has more to do, or waits for an answer."""
RUN_ENDED: tuple[RunStatus, ...] = ("finished", "stopped", "cancelled", "refused", "failed")
"""A run with one of these does nothing more by itself."""


class Budget(Record):
    """Limits of a run. A limit of 0 for language-model items means none may be used."""

    wall_s: float = 1200.0
    objectives: int = 8
    workflows: int = 12
    steps: int = 60
    tool_calls: int = 200
    hypotheses: int = 40
    refinements: int = 3  # a workflow
    retries: int = 2  # a step
    llm_calls: int = 0
    llm_tokens: int = 0
    usd: float = 0.0


class RunHeader(Record):
    """What identifies a run and how it ended."""

    id: str
    """``r`` + first 10 hexadecimal digits of the fingerprint + a counter for repeats."""
    status: RunStatus
    stop_reason: str = ""
    question: str | None = None
    seed: int = 0
    policy: str = "rules"
    workers: int = 1
    out_dir: str
    inputs: dict[str, ArtifactRef] = Field(default_factory=dict)
    """``data`` and, where given, ``samples``: the user's files as artifacts."""
    fingerprint: str = ""
    """Hash of graph version, settings that change results, and data."""
    fingerprint_parts: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    budget: Budget = Field(default_factory=Budget)
    used: dict[str, float] = Field(default_factory=dict)
    started: str = ""
    finished: str | None = None
    wall_s: float = 0.0
    learned: dict[str, Any] = Field(default_factory=dict)
    """What earlier runs had taught when it began (`nereus.memory.priors.Priors`); empty where nothing, or frozen."""
    forked_from: str = ""
    """The run whose way this one left; empty for a run of its own."""
    forked_at: str = ""
    """Objective before which it left."""
    forked_edit: dict[str, Any] = Field(default_factory=dict)
    """What was changed there, as an answer at the gate of objectives."""


class RunRecord(Record):
    """Everything about one run, as reports, `nereus verify` and `nereus show` read it."""

    header: RunHeader
    objectives: tuple[Objective, ...] = ()
    workflows: tuple[Workflow, ...] = ()
    calls: dict[str, ToolCall] = Field(default_factory=dict)
    """Key -> call, for every step of the run."""
    evidence: dict[str, Evidence] = Field(default_factory=dict)
    hypotheses: tuple[Hypothesis, ...] = ()
    decisions: tuple[Decision, ...] = ()
    notices: tuple[str, ...] = ()
    """What a reader must know: budget stops, refused contrasts, missing annotation ..."""
    outputs: dict[str, str] = Field(default_factory=dict)
    """Well-known results -> ``<step id>/<output name>`` (``claims``, ``profile``, ``calibration`` ...)."""
    nodes: tuple[GraphNode, ...] = ()
    edges: tuple[GraphEdge, ...] = ()
    """The evidence graph."""

    def steps(self) -> list[PlannedStep]:
        """Every executed step of the newest workflow versions, in plan order."""
        return [step for workflow in self.workflows for step in workflow.steps if step.call_key is not None]
