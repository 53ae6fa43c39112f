"""Files that come with a question."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from nereus.agents.chat.desk import paired
from nereus.agents.chat.turn import Turn


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
