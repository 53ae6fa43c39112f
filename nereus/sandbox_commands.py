"""`nereus sandbox`: run a file of Python where it can reach nothing but its own work folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.errors import InputError
from nereus.telling import told

if TYPE_CHECKING:
    from nereus.tools.code.outcome import Outcome

sandbox_app = typer.Typer(help="Run code in the sandbox.", no_args_is_help=True)


@sandbox_app.callback()
def sandbox() -> None:
    """Run code in the sandbox."""


@sandbox_app.command("run")
def run(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A file of Python, or - for what comes in.")],
    timeout: Annotated[float | None, typer.Option(help="Seconds that it may run.", min=0.01)] = None,
    memory: Annotated[int | None, typer.Option(help="Memory in MiB.", min=64)] = None,
    give: Annotated[
        list[Path] | None,
        typer.Option("--input", help="A file that it may read as inputs/<name>; several times for several."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="One layer by name, e.g. landlock; default the strongest that works.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Do not say what looks doubtful in the code.")
    ] = False,
) -> None:
    """Run a file: what it prints is printed, and the exit status is its own; 124 after time, 137 where it was stopped.

    NumPy, pandas, SciPy, matplotlib and every other package that is installed can be imported. There is no network, no
    other program, and no file but a work folder that is gone afterwards.
    """
    with told():
        from nereus.tools.code.layers import Layer
        from nereus.tools.code.lint import remarks
        from nereus.tools.code.sandbox import run_once, settled

        if layer is not None and layer not in list(Layer):
            raise InputError(
                f"there is no layer {layer!r}", where="--layer", mend=f"layers are {', '.join(Layer)}"
            )
        names = [one.name for one in give or ()]
        if twice := sorted({one for one in names if names.count(one) > 1}):
            raise InputError(
                f"two inputs are called {twice[0]!r}", where="--input", mend="rename one of them"
            )
        code = _read(file)
        if not quiet:
            for remark in remarks(code):
                typer.echo(f"remark: {remark}", err=True)
        outcome = run_once(
            code,
            layer=layer,
            collect=False,
            files={one.name: one for one in give or ()},
            **settled(wall_s=timeout, cpu_s=timeout, memory_mb=memory),
        )
        _tell(outcome)
        if outcome.status:
            raise typer.Exit(outcome.status)


def _tell(outcome: Outcome) -> None:
    typer.echo(outcome.printed, nl=False)
    typer.echo(outcome.errors, nl=False, err=True)
    if outcome.error is not None:
        typer.echo(outcome.error.traceback.rstrip("\n"), err=True)
    if outcome.why:
        # An error that the code raised may say anything; what was seen from outside is the case.
        prefix = "the error tells of a limit or boundary" if outcome.claimed else "error"
        typer.echo(
            f"{prefix}: {outcome.why} (sandbox: {outcome.layer.value}, {outcome.grade.value})", err=True
        )


def _read(file: str) -> str:
    """The code of a file, or of what comes in."""
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        with open(file, "rb") as stream:
            return stream.read().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=file, mend="check the path") from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", where=file, mend="save it as UTF-8") from error
