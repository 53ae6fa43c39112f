"""The tables of the server: who may come in, what was uploaded, what waits to be done, and what was done.

Every row names its owner, and every query of the server asks for rows of one owner: what is another's is not found.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nereus.memory.database.models import Made


class TokenRow(Made):
    """An access token; only its hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the token, which is 256 random bits: no guessing can be sped up by a fast hash."""
    scopes: Mapped[str] = mapped_column(Text)
    """Names of scopes, with a space between."""
    note: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[str | None] = mapped_column(String(32))
    revoked_at: Mapped[str | None] = mapped_column(String(32))
    used_at: Mapped[str | None] = mapped_column(String(32))


class UploadRow(Made):
    """A file that somebody gave; equal files of one owner are one row."""

    __tablename__ = "uploads"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """``d`` and the first digits of the content's hash."""
    artifact_id: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    document: Mapped[str] = mapped_column(Text)


class JobRow(Made):
    """Work for a worker: a row of the durable queue."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_waiting", "status", "created_at"), Index("ix_jobs_owner", "owner", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    cancel: Mapped[bool]
    worker: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[float | None] = mapped_column(Float)
    """Seconds since 1970 until which the worker answers for it; then another may take it."""
    ended_at: Mapped[str | None] = mapped_column(String(32))
    request: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text)


class AuditRow(Made):
    """Who did what, when, and whether it was allowed."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(String(32))
    address: Mapped[str] = mapped_column(String(64))
