"""The tables of the run database.

A record is kept as its pydantic JSON (column `document`) beside the columns that are queried, written
together. Everything carries the run that made it and the time it was made; times are for people and are in
no hash. Ids are counter- or content-based. Rows of one run are removed with the run; tool calls and
artifacts are shared by all runs.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


LOCAL = "local"
"""The owner of what is made on this machine without a token."""


class Base(DeclarativeBase):
    """Base of all tables. Constraints are named, so that migrations can refer to them on every database."""

    metadata = MetaData(naming_convention=_NAMES)


class Made(Base):
    """When the row was written."""

    __abstract__ = True

    created_at: Mapped[str] = mapped_column(String(32))
    """UTC, ISO 8601 with microseconds."""


class _OfRun(Made):
    """A row of one run, identified within it by `id`."""

    __abstract__ = True

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(255), primary_key=True)


class RunRow(Made):
    """`RunHeader`, and what the run says as a whole. Budgets and what was used of them are in the header."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    status: Mapped[str] = mapped_column(String(16), index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    data_id: Mapped[str] = mapped_column(String(64), index=True)
    """Artifact id of the data file; empty where the run has none."""
    owner: Mapped[str] = mapped_column(String(64), index=True, server_default=LOCAL)
    """Whose it is: `LOCAL` where it was started without a server."""
    policy: Mapped[str] = mapped_column(Text)
    out_dir: Mapped[str] = mapped_column(Text)
    last_seq: Mapped[int] = mapped_column(Integer)
    """Number of the newest event, counted in the transaction that adds the event: there are no gaps."""
    notices: Mapped[str] = mapped_column(Text)
    outputs: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)


class DatasetRow(Made):
    """A file that a run was given, under the hash of its content; `run_id` is the first run that had it."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    role: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    document: Mapped[str] = mapped_column(Text)


class ObjectiveRow(_OfRun):
    """`Objective`."""

    __tablename__ = "objectives"

    kind: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)


class WorkflowRow(Made):
    """`Workflow` without its steps. Every version is kept; the newest one holds."""

    __tablename__ = "workflows"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    objective_id: Mapped[str] = mapped_column(String(64))
    template: Mapped[str | None] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)


class StepRow(Made):
    """`PlannedStep` of one version of a workflow, in plan order."""

    __tablename__ = "steps"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "workflow_id", "version"],
            ["workflows.run_id", "workflows.id", "workflows.version"],
            ondelete="CASCADE",
        ),
    )

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workflow_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    tool: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    call_key: Mapped[str | None] = mapped_column(String(64), index=True)
    document: Mapped[str] = mapped_column(Text)


class ToolCallRow(Made):
    """`ToolCall`: one computation, whoever asked for it. `run_id` is the run that computed it."""

    __tablename__ = "tool_calls"

    cache_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    tool: Mapped[str] = mapped_column(String(64), index=True)
    version: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    wall_s: Mapped[float] = mapped_column(Float)
    cpu_s: Mapped[float] = mapped_column(Float)
    peak_mb: Mapped[float] = mapped_column(Float)
    document: Mapped[str] = mapped_column(Text)


class ArtifactRow(Made):
    """`ArtifactRef` without its name: one content may be the output of several calls under several names."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    size: Mapped[int] = mapped_column(BigInteger)
    summary: Mapped[str] = mapped_column(Text)


class CallOutputRow(Made):
    """Which call made which artifact under which name: the edges of provenance."""

    __tablename__ = "call_outputs"

    cache_key: Mapped[str] = mapped_column(
        ForeignKey("tool_calls.cache_key", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"), index=True)


class EvidenceRow(_OfRun):
    """`Evidence`. A number without the recorded call that made it cannot be stored."""

    __tablename__ = "evidence"

    step_id: Mapped[str] = mapped_column(String(64), index=True)
    call_key: Mapped[str] = mapped_column(ForeignKey("tool_calls.cache_key"), index=True)
    quantity: Mapped[str] = mapped_column(Text)
    artifact_id: Mapped[str | None] = mapped_column(String(64))
    table_row: Mapped[str | None] = mapped_column(Text)
    table_column: Mapped[str | None] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)


class HypothesisRow(_OfRun):
    """`Hypothesis`."""

    __tablename__ = "hypotheses"

    rank: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    claim_key: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float | None] = mapped_column(Float)
    document: Mapped[str] = mapped_column(Text)


class HypothesisEvidenceRow(Made):
    """Which evidence a hypothesis stands on. A reference to unknown evidence cannot be stored."""

    __tablename__ = "hypothesis_evidence"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "hypothesis_id"], ["hypotheses.run_id", "hypotheses.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["run_id", "evidence_id"], ["evidence.run_id", "evidence.id"], ondelete="CASCADE"
        ),
        Index("ix_hypothesis_evidence_evidence", "run_id", "evidence_id"),
    )

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    hypothesis_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    evidence_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class AtomRow(_OfRun):
    """`Atom` of a hypothesis."""

    __tablename__ = "atoms"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "hypothesis_id"], ["hypotheses.run_id", "hypotheses.id"], ondelete="CASCADE"
        ),
    )

    hypothesis_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    verdict: Mapped[str] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)


class GraphNodeRow(_OfRun):
    """`GraphNode` of the evidence graph of one run; the same thing has the same id in every run."""

    __tablename__ = "graph_nodes"
    __table_args__ = (Index("ix_graph_nodes_name_key", "name_key"),)

    kind: Mapped[str] = mapped_column(String(32))
    name_key: Mapped[str] = mapped_column(String(255))
    """Its name in lower case, cut: what is looked up."""
    document: Mapped[str] = mapped_column(Text)


class GraphEdgeRow(_OfRun):
    """`GraphEdge`."""

    __tablename__ = "graph_edges"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "source"], ["graph_nodes.run_id", "graph_nodes.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["run_id", "target"], ["graph_nodes.run_id", "graph_nodes.id"], ondelete="CASCADE"
        ),
        Index("ix_graph_edges_source", "run_id", "source"),
        Index("ix_graph_edges_target", "run_id", "target"),
    )

    source: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32), index=True)
    status: Mapped[str] = mapped_column(String(16))
    split: Mapped[str] = mapped_column(String(16))
    sign: Mapped[int] = mapped_column(Integer)
    effect: Mapped[float | None] = mapped_column(Float)
    p: Mapped[float | None] = mapped_column(Float)
    q: Mapped[float | None] = mapped_column(Float)
    n: Mapped[float | None] = mapped_column(Float)
    dataset_id: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)


class GraphEdgeEvidenceRow(Made):
    """Which evidence recomputes an edge. An edge without recorded evidence cannot be stored."""

    __tablename__ = "graph_edge_evidence"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "edge_id"], ["graph_edges.run_id", "graph_edges.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["run_id", "evidence_id"], ["evidence.run_id", "evidence.id"], ondelete="CASCADE"
        ),
        Index("ix_graph_edge_evidence_evidence", "run_id", "evidence_id"),
    )

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    edge_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    evidence_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class DecisionRow(_OfRun):
    """`Decision`."""

    __tablename__ = "decisions"

    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    policy: Mapped[str] = mapped_column(Text)
    fallback: Mapped[bool]
    tokens: Mapped[int] = mapped_column(Integer)
    ms: Mapped[float] = mapped_column(Float)
    document: Mapped[str] = mapped_column(Text)


class EventRow(Made):
    """`Event`; `created_at` is its time. `key` makes an append idempotent."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("run_id", "key"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    key: Mapped[str | None] = mapped_column(String(255))
    payload: Mapped[str] = mapped_column(Text)


class ApprovalRow(_OfRun):
    """A question that a run asked before it went on, one row a question, and its answer."""

    __tablename__ = "approvals"

    status: Mapped[str] = mapped_column(String(16), index=True)
    document: Mapped[str] = mapped_column(Text)


class MemoryRow(Made):
    """A text of a finished run that later runs may recall; what the vector index is built from."""

    __tablename__ = "memories"
    __table_args__ = (Index("ix_memories_newest", "collection", "created_at"),)

    collection: Mapped[str] = mapped_column(String(32), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    text_id: Mapped[str] = mapped_column(String(64), index=True)
    """Hash of the text: equal texts of many runs are one entry of the index."""
    text: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
