"""How commands end when something of ours went wrong: one message, code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nereus.errors import NereusError


@contextmanager
def told() -> Iterator[None]:
    """Print errors of ours as one message and end with code 1; anything else is a defect and shows its traceback."""
    try:
        yield
    except NereusError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
