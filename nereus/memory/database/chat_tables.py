"""The tables of chat: threads with what was said, and notes that outlive a thread.

Every row names its owner, and every query asks for rows of one owner.
"""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nereus.memory.database.models import Made


class ThreadRow(Made):
    """A conversation. What LangGraph needs to go on with it lies in the checkpoints, under the same id."""

    __tablename__ = "chat_threads"
    __table_args__ = (Index("ix_chat_threads_owner", "owner", "updated_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    """``idle``, ``busy`` or ``interrupted``."""
    busy_until: Mapped[str | None] = mapped_column(String(32))
    """Until when whoever works on it answers for it; a process that died leaves it, and it runs out."""
    updated_at: Mapped[str] = mapped_column(String(32))
    last_seq: Mapped[int] = mapped_column(Integer)
    document: Mapped[str] = mapped_column(Text)
    """Data sets of the thread and what else it begins with."""


class ThreadEventRow(Made):
    """Something that was said or happened in a thread, numbered from 1 without gaps."""

    __tablename__ = "chat_events"
    __table_args__ = (
        ForeignKeyConstraint(
            ["thread_id"], ["chat_threads.id"], ondelete="CASCADE", name="fk_chat_events_thread_id"
        ),
    )

    thread_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    payload: Mapped[str] = mapped_column(Text)


class NoteRow(Made):
    """Something that an owner wants remembered, whatever the thread."""

    __tablename__ = "chat_notes"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    thread_id: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
