"""`nereus memory`: what later runs recall of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nereus.errors import NereusError, StoreError

memory_app = typer.Typer(help="What later runs recall of earlier ones.", no_args_is_help=True)


@contextmanager
def _told() -> Iterator[None]:
    """Print errors of ours as one message and end with code 1."""
    try:
        yield
    except NereusError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@memory_app.command("reindex")
def reindex() -> None:
    """Make the vector index anew from the recorded runs: after damage, or when a new server is named."""
    with _told():
        from nereus.agents.planner.discover import open_workspace
        from nereus.memory.vectors import open_vectors
        from nereus.settings import load_settings

        settings = load_settings()
        place = settings.vector_url or str(settings.vector_path)
        with open_workspace(settings) as workspace, open_vectors(settings, workspace.repository) as index:
            count = index.rebuild()
            lag = sum(index.lag().values())
            if index.notices or lag:
                raise StoreError(
                    f"the index lacks {lag} of its texts: {'; '.join(index.notices) or 'no reason was given'}",
                    where=place,
                    mend="`nereus doctor` says what is wrong with it; until then the database is searched",
                )
        typer.echo(f"{count} records of earlier runs are in the index {place}")
