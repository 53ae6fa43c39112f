"""The tables of learned actions: what holds of each name, every version with its source, and every time it was tried."""

from __future__ import annotations

from sqlalchemy import Boolean, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nereus.memory.database.models import Made


class ActionRow(Made):
    """A learned action; `version` is the newest one."""

    __tablename__ = "actions"

    name: Mapped[str] = mapped_column(String(96), primary_key=True)
    domain: Mapped[str] = mapped_column(String(64), index=True)
    version: Mapped[int] = mapped_column(Integer)


class ActionVersionRow(Made):
    """One version of a learned action, as its `LearnedAction` beside what is asked for."""

    __tablename__ = "action_versions"

    name: Mapped[str] = mapped_column(
        ForeignKey("actions.name", name="fk_action_versions_name", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    parent: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the source; a source that does not have it is never run."""
    source: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    decided_by: Mapped[str] = mapped_column(String(64))
    """Who approved or revoked it last."""
    reason: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)


class ActionTrialRow(Made):
    """One time that a version was carried out, and whether it went well."""

    __tablename__ = "action_trials"
    __table_args__ = (
        ForeignKeyConstraint(
            ["name", "version"],
            ["action_versions.name", "action_versions.version"],
            ondelete="CASCADE",
            name="fk_action_trials_name_version",
        ),
        Index("ix_action_trials_version", "name", "version", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(96))
    version: Mapped[int] = mapped_column(Integer)
    ok: Mapped[bool] = mapped_column(Boolean)
    purpose: Mapped[str] = mapped_column(String(16))
    """``validation`` or ``use``."""
    task: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
