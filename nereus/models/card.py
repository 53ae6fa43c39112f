"""A method's card: what it is, where it comes from, what it takes and gives, and what was measured. Data, no code.

The command line, the documentation, the tools and the server are made from cards. A card never states a figure of ours
that no stored benchmark result holds: a test compares them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict

from nereus.explained import Explained


class _Data(Explained):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(StrEnum):
    """How far our figures carry the paper's claim."""

    REPRODUCED = "reproduced"
    """The paper's headline figure was reached on the paper's data."""
    PARTIAL = "partial"
    """The effect that the paper claims was measured, on less data or at a smaller scale."""
    MECHANISM = "mechanism shown"
    """Every component works as described; the claimed effect was not measured, or not seen."""


class Verb(StrEnum):
    """What a trained method can be asked, in the words of its field."""

    PREDICT = "predict"
    """A value or a probability for each row."""
    EMBED = "embed"
    """A vector for each row."""
    GENERATE = "generate"
    """New objects."""
    RANK = "rank"
    """An order within groups of rows."""
    SELECT = "select"
    """Which rows to measure next."""
    EXPLAIN = "explain"
    """The parts of each row that its prediction rests on."""
    FRAGMENT = "fragment"
    """The parts of each row."""
    SCORE = "score"
    """A likelihood for each row."""
    ATTACK = "attack"
    """The changes that break another method."""
    COMPRESS = "compress"
    """A smaller object that does the same."""


class Paper(_Data):
    """Where a method was published."""

    title: str
    year: int
    venue: str
    """Journal or conference."""
    link: str
    """arXiv number or DOI, as ``arXiv:2502.12453`` or ``doi:10.1093/bib/bbad451``."""
    headline: str
    """The figure that the paper is known for, in a sentence, with its data."""


ColumnKind = Literal["smiles", "sequence", "text", "number", "label", "group", "file", "object"]


class Column(_Data):
    """One column of the tables that a method takes or gives."""

    name: str
    """The role, which is also the option of the command line: ``smiles``, ``target``, ``assay``."""
    kind: ColumnKind
    about: str
    """What it means, its shape and unit."""
    required: bool = True
    many: bool = False
    """Whether several columns may have this role (several tasks)."""
    learned: bool = False
    """Whether it is what training learns to give, so that it is not asked for afterwards, as numbers and labels are not."""

    @property
    def answered(self) -> bool:
        """Whether the trained method gives it instead of taking it."""
        return self.learned or self.kind in ("number", "label")


class Component(_Data):
    """One part that the paper names, and what became of it here."""

    name: str
    place: str
    """The module in this folder that holds it."""
    origin: Literal["paper", "official code", "inferred"]
    """What our form of it rests on."""


class Figure(_Data):
    """A figure of ours, as a stored benchmark result holds it."""

    metric: str
    value: float
    data: str
    baseline: str
    """What stands beside it, and its value."""
    result: str
    """File in ``benchmarks/results/methods`` and the path within it: ``unimatch.json:figures.tox21.auroc``."""


class Card(_Data):
    """All that is known of a method without running it."""

    name: str
    """The name in the registry: ``unimatch``."""
    title: str
    paper: Paper
    purpose: str
    """When to reach for it, in one or two sentences, for a chemist or biologist."""
    task: str
    """few-shot classification, regression, generation, ..."""
    verbs: tuple[Verb, ...]
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    """Columns of what the first verb gives."""
    components: tuple[Component, ...]
    licences: tuple[str, ...]
    """Licence of all that is used: data in the benchmarks, weights that can be loaded."""
    status: Status
    figures: tuple[Figure, ...] = ()
    limits: tuple[str, ...]
    """Known limits, each a sentence."""

    @property
    def year(self) -> int:
        """Year of the paper."""
        return self.paper.year

    def column(self, name: str) -> Column:
        """The input column of a role; `KeyError` where there is none."""
        return {one.name: one for one in self.inputs}[name]
