"""Where a fault takes place, and the list of all faults."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

EXAMPLE = Path(__file__).parents[3] / "examples" / "alzheimer_csf"
CLASS = "_primary biochemical AD classification"
SITE = "_collection site"


@dataclass
class Scene:
    """Where a fault takes place.

    Attributes
    ----------
    work
        Folder of everything; the clean data and report are in it.
    folder
        Folder of one fault, with its own home.
    said
        What a fault's case saw beside the run, such as an error before a resume.
    """

    work: Path
    folder: Path | None = None
    said: list[str] = field(default_factory=list)

    @property
    def values(self) -> Path:
        return self.work / "values.csv"

    @property
    def samples(self) -> Path:
        return self.work / "samples.csv"

    @property
    def clean(self) -> Path:
        return self.work / "clean"

    @property
    def home(self) -> Path:
        return (self.folder or self.work) / "home"

    @property
    def out(self) -> Path:
        return (self.folder or self.work) / "report"

    @property
    def options(self) -> dict[str, Any]:
        return {"seed": 3, "workers": 1, "budget": ["objectives=1", "hypotheses=8"]}

    def for_fault(self, name: str) -> Scene:
        return Scene(self.work, self.work / name)

    def write_data(self) -> None:
        """People who were classified at two sites, and every fifteenth well-measured protein."""
        values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
        sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
        chosen = sheet[sheet[CLASS].notna() & sheet[SITE].isin(["Sweden", "Magdeburg"])]
        values = values.loc[chosen.index]
        values[values.columns[values.notna().mean() > 0.6][::15]].to_csv(self.values)
        chosen[[SITE, "_age at CSF collection", CLASS]].to_csv(self.samples)

    def start(self, **changes: Any) -> Any:
        """A run of the data, with what the fault changes."""
        import nereus

        given = {"home": self.home, "out": self.out, **self.options, **changes}
        return nereus.discover(given.pop("data", self.values), given.pop("samples", self.samples), **given)

    def killed(self, at: str) -> None:
        """Start a run in a process that is killed when an event's type and subject begin with `at`."""
        script = f"""
import os
from pathlib import Path
from benchmarks.truth.fault_cases import Scene
def watch(event):
    if f"{{event.type}} {{event.subject}}".startswith({at!r}):
        os.kill(os.getpid(), 9)
Scene(Path({str(self.work)!r}), Path({str(self.folder)!r})).start(on_event=watch)
"""
        done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
        if done.returncode != -signal.SIGKILL:
            raise RuntimeError(f"the run was not killed at {at}: {done.stderr.decode()[-500:]}")

    def resume(self, **changes: Any) -> Any:
        """Go on with the run that was killed."""
        import nereus

        return nereus.resume(home=self.home, workers=1, **changes)

    def first_fails(self, attempt: Callable[[], Any]) -> None:
        """Something that must end with one of our errors; its text counts as said."""
        from nereus.errors import NereusError

        try:
            attempt()
        except NereusError as error:
            self.said.append(str(error))
        else:
            raise RuntimeError("the fault had no effect")


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes
    ----------
    inject
        Breaks something and runs; gives the run, or raises what a user would see.
    told
        Pattern of the words that must tell of it.
    same_data
        Whether the data are those of the clean run, whose claims then bound what may be claimed.
    alone
        Whether it takes place in a process of its own, since it breaks something in it.
    """

    name: str
    group: str
    inject: Callable[[Scene], Any]
    told: str
    same_data: bool = True
    alone: bool = False


CASES: dict[str, Case] = {}


def case(group: str, told: str, **options: Any) -> Callable[[Callable[[Scene], Any]], Callable[[Scene], Any]]:
    def add(inject: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
        name = inject.__name__
        CASES[name] = Case(name, group, inject, told, **{"alone": group in ("tool", "store"), **options})
        return inject

    return add
