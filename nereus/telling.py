"""How commands end when something of ours went wrong or the user stopped them: one message, and a code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nereus.errors import NereusError

_THE_MACHINES = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError, FileNotFoundError)


@contextmanager
def told(interrupted: str = "interrupted") -> Iterator[None]:
    """Print errors of ours, and paths that cannot be read or written, as one message and end with code 1.

    Anything else is a defect and shows its traceback.

    Parameters
    ----------
    interrupted
        What is said when the user stops the command; it then ends with code 130.
    """
    try:
        yield
    except NereusError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except _THE_MACHINES as error:
        if error.filename is None:
            raise
        mend = "check the path, your rights there, and the space that is left"
        typer.echo(f"error: {error.filename}: {error.strerror}\n  mend: {mend}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(130) from None
