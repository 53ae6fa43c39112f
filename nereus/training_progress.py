"""How far a training is, told on the terminal: a bar for each stage, or lines where nobody looks at a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nereus.models.training.session import Progress, Session

LINE_S = 20.0
"""Least time between two lines of one stage."""


@contextmanager
def training_progress(quiet: bool, checkpoints: Path | None) -> Iterator[Session]:
    """A session that tells how far it is, on the stream of errors, and keeps its state in a folder where one is given."""
    from rich.console import Console

    from nereus.models.training.session import Session

    console = Console(stderr=True)
    if quiet:
        yield Session(checkpoints=checkpoints)
    elif console.is_terminal:
        with _bars(console) as show:
            yield Session(progress=show, checkpoints=checkpoints)
    else:
        yield Session(progress=_Lines(), checkpoints=checkpoints)


class _Lines:
    """A line when a stage begins or ends, and every `LINE_S` seconds between."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._told = 0.0

    def __call__(self, one: Progress) -> None:
        now = time.monotonic()
        if one.stage == self._stage and one.epoch < one.epochs and now - self._told < LINE_S:
            return
        self._stage, self._told = one.stage, now
        typer.echo(f"{one.stage or 'training'} {one.epoch}/{one.epochs}  {_losses(one)}", err=True)


@contextmanager
def _bars(console: Console) -> Iterator[Any]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(one: Progress) -> None:
            task = tasks.get(one.stage)
            if task is None or bars.tasks[task].finished:
                task = tasks[one.stage] = bars.add_task(one.stage or "training", total=one.epochs, told="")
            bars.update(task, completed=one.epoch, total=one.epochs, told=_losses(one))

        yield show


def _losses(one: Progress) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in one.losses.items())
