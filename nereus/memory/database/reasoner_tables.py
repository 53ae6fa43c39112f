"""The tables of the reasoner: trees of plan steps, what they teach, and the values that were fitted to them.

A tree may belong to a run, and goes with it; a tree of a question of its own has none.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Float, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nereus.memory.database.models import Made


class TreeRow(Made):
    """A search: what was asked, with which options, and how far it is."""

    __tablename__ = "mcts_trees"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    problem: Mapped[str] = mapped_column(String(64))
    question: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(Integer)
    simulations: Mapped[int] = mapped_column(Integer)
    calls: Mapped[int] = mapped_column(Integer)
    closed: Mapped[bool] = mapped_column(Boolean)
    document: Mapped[str] = mapped_column(Text)
    """Options of the search, and the policy and value that it was made with."""


class NodeRow(Made):
    """One prefix of a tree."""

    __tablename__ = "mcts_nodes"

    tree_id: Mapped[str] = mapped_column(ForeignKey("mcts_trees.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    parent: Mapped[int | None] = mapped_column(Integer)
    depth: Mapped[int] = mapped_column(Integer)
    step: Mapped[str] = mapped_column(Text)
    prior: Mapped[float] = mapped_column(Float)
    tie: Mapped[float] = mapped_column(Float)
    visits: Mapped[int] = mapped_column(Integer)
    total: Mapped[float] = mapped_column(Float)
    reward: Mapped[float | None] = mapped_column(Float)
    value: Mapped[float | None] = mapped_column(Float)
    violation: Mapped[str] = mapped_column(Text)
    solution: Mapped[bool] = mapped_column(Boolean)
    expanded: Mapped[bool] = mapped_column(Boolean)
    closed: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(Text)
    """State of the problem as JSON."""


class PreferenceRow(Made):
    """Two next steps after the same prefix; what Step-APO learns from."""

    __tablename__ = "preferences"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tree_id"], ["mcts_trees.id"], ondelete="CASCADE", name="fk_preferences_tree_id"
        ),
        Index("ix_preferences_kind", "kind"),
    )

    tree_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    q_chosen: Mapped[float] = mapped_column(Float)
    q_rejected: Mapped[float] = mapped_column(Float)
    document: Mapped[str] = mapped_column(Text)
    """`StepPair`."""


class ValueFitRow(Made):
    """A value that was fitted to prefixes of trees, and how well it fits."""

    __tablename__ = "value_fits"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    problem: Mapped[str] = mapped_column(String(64), index=True)
    prefixes: Mapped[int] = mapped_column(Integer)
    error: Mapped[float] = mapped_column(Float)
    """Mean squared error on the prefixes it was fitted to."""
    document: Mapped[str] = mapped_column(Text)
    """Weights of a linear policy and value, or the name under which a trained method is stored."""
