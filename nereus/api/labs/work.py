"""Pieces of work: data sets are profiled and tools called by workers; what came out is read from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Concatenate
from urllib.parse import quote

from nereus.api.labs.asking import Ask, Asks, AsyncLine, Awaits, Line, Made, P, Waits, verb
from nereus.api.labs.shown import card
from nereus.api.views import JobView
from nereus.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_WAIT_S = 50.0
_UNENDED = ("queued", "running")


def quoted(part: str) -> str:
    """A part of a path."""
    return quote(part, safe="")


def ended(seen: JobView) -> Asks[JobView]:
    """A piece of work at its end; its error is raised."""
    while seen.status in _UNENDED:
        answer = yield Ask("GET", f"/api/jobs/{seen.id}", {"params": {"wait": _WAIT_S}})
        seen = JobView.model_validate(answer.json())
    if seen.status == "cancelled":
        raise InputError("it was cancelled", where=f"job {seen.id}", mend="ask again")
    if "error" in seen.result:
        raise InputError(**seen.result["error"])
    return seen


def table_of(content: bytes) -> pd.DataFrame:
    """A table as it is kept."""
    import pandas as pd

    return pd.read_parquet(BytesIO(content))


class JobVerbs:
    """A piece of work that has ended, and what came out.

    Attributes
    ----------
    id
        Its id: ``<id>/<output>`` is an input of further calls.
    seen
        What the server told of it.
    """

    seen: JobView

    @property
    def id(self) -> str:
        """Its id."""
        return self.seen.id

    @property
    def summary(self) -> str:
        """What came out, in a sentence."""
        return str(self.seen.result.get("summary", ""))

    @property
    def values(self) -> Mapping[str, Any]:
        """Named values."""
        found: Mapping[str, Any] = self.seen.result.get("values", {})
        return found

    @property
    def warnings(self) -> list[str]:
        """What a reader must know."""
        return list(self.seen.result.get("warnings", []))

    @property
    def outputs(self) -> list[str]:
        """Names of what it made."""
        return sorted(self.seen.result.get("outputs", {}))

    def _content(self, name: str) -> Asks[bytes]:
        answer = yield Ask("GET", f"/api/jobs/{self.id}/outputs/{quoted(name)}")
        return answer.content

    @verb
    def content(self, name: str) -> Asks[bytes]:
        """What it made, as it is kept: Parquet, h5ad, SVG, safetensors."""
        return (yield from self._content(name))

    @verb
    def table(self, name: str) -> Asks[pd.DataFrame]:
        """A table that it made."""
        return table_of((yield from self._content(name)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.summary[:100]}>"

    def _repr_html_(self) -> str:
        told = {"summary": self.summary, **self.values, "warnings": self.warnings, "outputs": self.outputs}
        return card(f"Job {self.id}", told)


class Job(JobVerbs, Waits):
    """A piece of work that has ended."""

    def __init__(self, line: Line, seen: JobView) -> None:
        super().__init__(line)
        self.seen = seen


class AsyncJob(JobVerbs, Awaits):
    """A piece of work that has ended, whose verbs are awaited."""

    def __init__(self, line: AsyncLine, seen: JobView) -> None:
        super().__init__(line)
        self.seen = seen


def _job(part: Waits | Awaits, seen: JobView) -> Job | AsyncJob:
    return Job(part.line, seen) if isinstance(part, Waits) else AsyncJob(part.line, seen)


def job_verb(describe: Callable[Concatenate[Any, P], Asks[JobView]]) -> Made[P, Job, AsyncJob]:
    """Make a verb that gives a piece of work."""
    return Made(describe, _job)
