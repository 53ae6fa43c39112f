"""What the words of a question may stand for now: entities of the run, columns, runs, files, tools, methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nereus.agents.chat.lookup import Entities, columns_of, levels_of
from nereus.agents.chat.turn import Turn
from nereus.errors import NereusError
from nereus.models import registry as methods
from nereus.tools import registry as tools

RUN = re.compile(r"\br[0-9a-f]{10}-\d{1,9}\b")
DATASET = re.compile(r"\bd[0-9a-f]{16}\b")


@dataclass
class Vocabulary:
    """Names that a question may hold.

    Attributes
    ----------
    entities
        What the run tested; None where there is no run.
    columns
        Columns of its sample sheet.
    levels
        Values of those columns that have few.
    compared
        Columns whose groups it compared.
    outputs
        Names of its tables.
    molecule
        Whether a molecule is talked about.
    datasets
        Id and name of each file.
    """

    entities: Callable[[], Entities | None] = lambda: None
    columns: Callable[[], Sequence[str]] = lambda: ()
    outputs: Callable[[], Sequence[str]] = lambda: ()
    levels: Callable[[], Mapping[str, Sequence[str]]] = dict
    compared: Callable[[], Sequence[str]] = lambda: ()
    molecule: bool = False
    datasets: Callable[[], Sequence[tuple[str, str]]] = lambda: ()
    tools: Sequence[str] = field(default_factory=lambda: tuple(tools.names()))
    methods: Sequence[str] = field(default_factory=lambda: tuple(methods.names()))

    @cached_property
    def known_entities(self) -> Entities:
        """What the run tested; empty where there is none."""
        return self.entities() or Entities(())

    @classmethod
    def of(cls, turn: Turn) -> Vocabulary:
        """What is known in a turn; nothing is read before a question needs it."""

        def entities() -> Entities | None:
            try:
                return Entities.of(turn.sources())
            except NereusError:
                return None

        def columns() -> Sequence[str]:
            try:
                run = turn.whole_run()
                return columns_of(turn.record(run), turn.sources(run))
            except NereusError:
                return ()

        def levels() -> Mapping[str, Sequence[str]]:
            try:
                run = turn.whole_run()
                return levels_of(turn.record(run), turn.sources(run))
            except NereusError:
                return {}

        def compared() -> Sequence[str]:
            try:
                objectives = turn.record(turn.whole_run()).objectives
            except NereusError:
                return ()
            return tuple(one.contrast.factor for one in objectives if one.contrast is not None)

        def outputs() -> Sequence[str]:
            try:
                return tuple(turn.record().outputs)
            except NereusError:
                return ()

        return cls(
            entities=entities,
            columns=columns,
            outputs=outputs,
            levels=levels,
            compared=compared,
            molecule=bool(turn.focus.molecule),
            datasets=lambda: [(one.id, one.name) for one in turn.desk.datasets()],
        )
