"""Files that come with a question."""

from __future__ import annotations

import re

from langchain_core.messages import HumanMessage

from nereus.agents.chat.desk import Dataset
from nereus.agents.chat.turn import Turn

_SHEET = re.compile(r"(sample|meta|clin|pheno|annot|design|sheet|traits|info)", re.IGNORECASE)


def heard_files(turn: Turn, message: HumanMessage) -> None:
    """Talk about the data sets, and the run, that a question names from here on.

    Raises
    ------
    NotFound
        The owner has no such data set or run.
    """
    given = message.additional_kwargs.get("nereus")
    run = given.get("run") if isinstance(given, dict) else None
    if isinstance(run, str) and run and run != turn.focus.run:
        turn.move(run=turn.desk.header(run).id, objective="", entity="", entity_name="")
    named = given.get("datasets") if isinstance(given, dict) else None
    if not isinstance(named, list | tuple) or not named:
        return
    known = [turn.desk.dataset(str(one)) for one in named[:8]]
    data, samples = paired(known)
    turn.move(dataset=data.id, samples=samples.id if samples else "")


def paired(given: list[Dataset]) -> tuple[Dataset, Dataset | None]:
    """Which of some files is the data, and which its sample sheet: by name, else the smaller is the sheet."""
    if len(given) == 1:
        return given[0], None
    sheets = [one for one in given if _SHEET.search(one.name)]
    rest = [one for one in given if one not in sheets]
    if len(sheets) == 1 and rest:
        return max(rest, key=lambda one: one.artifact.size), sheets[0]
    by_size = sorted(given, key=lambda one: one.artifact.size)
    return by_size[-1], by_size[0]
