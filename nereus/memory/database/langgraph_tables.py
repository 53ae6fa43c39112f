"""The tables of the LangGraph protocol: assistants, threads, runs with their events, and the store of items.

Every row has an owner, and every query asks for rows of one owner.
"""

from __future__ import annotations

from sqlalchemy import Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nereus.memory.database.models import Base, Made


class AssistantRow(Made):
    """A graph with a configuration, as it is now."""

    __tablename__ = "protocol_assistants"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    """Of its versions, the one that holds."""
    updated_at: Mapped[str] = mapped_column(String(32))


class AssistantVersionRow(Made):
    """What an assistant was at a time."""

    __tablename__ = "protocol_assistant_versions"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    graph_id: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)


class ProtocolThreadRow(Made):
    """A thread: states of a graph, one after the other."""

    __tablename__ = "protocol_threads"
    __table_args__ = (Index("ix_protocol_threads_updated", "owner", "updated_at"),)

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """Its name among the checkpoints. A caller may choose a thread's id, never its key."""
    status: Mapped[str] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)
    """Its metadata."""
    config: Mapped[str] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    """Values of its newest state."""
    interrupts: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float | None] = mapped_column(Float, index=True)
    """Seconds since 1970 after which it is forgotten."""
    hidden: Mapped[bool]
    """Whether it was made for one run without a thread."""
    updated_at: Mapped[str] = mapped_column(String(32))
    state_updated_at: Mapped[str] = mapped_column(String(32))


class ProtocolRunRow(Made):
    """One execution of a graph in a thread."""

    __tablename__ = "protocol_runs"
    __table_args__ = (
        Index("ix_protocol_runs_thread", "owner", "thread_id", "created_at"),
        Index("ix_protocol_runs_status", "status", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    thread_id: Mapped[str] = mapped_column(String(64))
    assistant_id: Mapped[str] = mapped_column(String(64))
    graph_id: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)
    """Its metadata."""
    request: Mapped[str] = mapped_column(Text)
    strategy: Mapped[str] = mapped_column(String(16))
    not_before: Mapped[float] = mapped_column(Float)
    cancel: Mapped[str | None] = mapped_column(String(16))
    """How somebody asked to end it: ``interrupt`` or ``rollback``."""
    worker: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[str | None] = mapped_column(String(32))
    updated_at: Mapped[str] = mapped_column(String(32))


class ProtocolEventRow(Base):
    """Something that a run streamed."""

    __tablename__ = "protocol_events"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    data: Mapped[str] = mapped_column(Text)


class ProtocolItemRow(Made):
    """Something kept across threads."""

    __tablename__ = "protocol_items"
    # It holds all that tells what changed, so that values are not read for it.
    __table_args__ = (
        Index("ix_protocol_items_changed", "owner", "namespace", "updated_at", "key", "expires_at"),
    )

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(1000), primary_key=True)
    """Its labels with a period between, which no label holds."""
    key: Mapped[str] = mapped_column(String(500), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float | None] = mapped_column(Float, index=True)
    lifetime_s: Mapped[float | None] = mapped_column(Float)
    updated_at: Mapped[str] = mapped_column(String(32))


class ProtocolItemChangesRow(Base):
    """How often items of a namespace were written or forgotten: what a process keeps of them is in step, or is not."""

    __tablename__ = "protocol_item_changes"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(1000), primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
