"""`nereus chat`: talk to it in a terminal, or through a pipe: one question a line, answers out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.telling import told

if TYPE_CHECKING:
    from nereus.agents.chat.local_desk import LocalDesk


def chat(
    file: Annotated[
        Path | None, typer.Argument(help="A file to talk about: a table, or a folder of cells.")
    ] = None,
    samples: Annotated[Path | None, typer.Option(help="Sample sheet: one row a sample.")] = None,
    thread: Annotated[
        str | None, typer.Option(help="Go on with this conversation; `last` for the newest.")
    ] = None,
    figures: Annotated[Path, typer.Option(help="Folder in which figures are saved.")] = Path("nereus-chat"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Save figures, but do not open them.")] = False,
    approval: Annotated[str | None, typer.Option(help="When to ask first: never, costly or always.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve everything.")] = False,
) -> None:
    """Talk to Nereus: ask, start runs, compute again, draw. Works without a language model.

    Piped in, questions are read a line each; what would be asked first is not done unless --yes says so.
    """
    with told("the conversation is kept; `nereus chat --thread last` goes on with it"):
        from nereus.agents.chat import chat_graph, open_local_desk
        from nereus.chat_terminal import Talk
        from nereus.memory.checkpoints import open_checkpoints
        from nereus.models.llm import chat_model
        from nereus.settings import load_settings

        settings = load_settings(**({"chat_approval": approval} if approval else {}))
        with open_local_desk(settings) as desk, open_checkpoints(settings.checkpoint_url) as saver:
            graph = chat_graph(desk, model=chat_model(settings), checkpointer=saver)
            known = _thread(desk, thread)
            given = [desk.add_file(one).id for one in (file, samples) if one is not None]
            talk = Talk(desk, graph, known, figures, opens=not no_open and sys.stdout.isatty(), yes=yes)
            if not talk.run(given):
                raise typer.Exit(1)


def _thread(desk: LocalDesk, asked: str | None) -> str:
    """Id of the conversation, which is begun where none is asked for."""
    from nereus.errors import NotFound
    from nereus.memory.threads import Threads

    threads = Threads(desk.workspace.database)
    if asked is None:
        return threads.create(desk.owner).id
    if asked == "last":
        newest = threads.list(desk.owner, 1)
        if not newest:
            raise NotFound("there is no conversation yet", mend="leave --thread out to begin one")
        return newest[0].id
    return threads.get(asked, desk.owner).id
