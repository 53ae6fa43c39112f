"""The one family of errors. Every message says what was wrong, where, and what to do about it."""

from __future__ import annotations


class NereusError(Exception):
    """Base of every error that Nereus raises on purpose.

    Parameters
    ----------
    what
        What was wrong, naming the offender with ``!r``.
    where
        File, row, column, step or setting in which it was found.
    mend
        What the reader can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.mend is None else f"{text}\n  mend: {self.mend}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.mend))


def on_one_line(text: str) -> str:
    """The text of an error as notices quote it: what and where, and the mend behind a dash."""
    return text.replace("\n  mend: ", " — ")


def _rebuild(kind: type[NereusError], what: str, where: str | None, mend: str | None) -> NereusError:
    return kind(what, where=where, mend=mend)


class InputError(NereusError):
    """A file, sheet, option or design given by the user cannot be used as it is."""


class SettingsError(NereusError):
    """A setting is invalid or two settings contradict each other."""


class PlanError(NereusError):
    """A plan failed its static check: unknown tool, ill-typed input, bad parameter or cycle."""


class ToolError(NereusError):
    """A tool could not compute its result from inputs that were well-formed."""


class PolicyError(NereusError):
    """A policy returned no valid decision."""


class BudgetExceeded(NereusError):
    """The next call would exceed a limit of the run. The run stops gracefully and still reports."""


class CeilingReached(PolicyError, BudgetExceeded):
    """The next call of a language model could pass a ceiling; it was not made."""


class EndpointError(NereusError):
    """A language model gave no usable reply.

    Attributes
    ----------
    reason
        What happened, without address or key: fit for records.
    status
        HTTP status, where there was one.
    transient
        Whether the same call may succeed a little later.
    wait_s
        How long the endpoint asked to wait before that, where it did.
    said
        What the endpoint said of it, shortened and without keys: text of others, for people and never for records.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        mend: str | None = None,
        reason: str = "",
        status: int | None = None,
        transient: bool = False,
        wait_s: float | None = None,
        said: str = "",
    ) -> None:
        self.reason = reason or what
        self.status = status
        self.transient = transient
        self.wait_s = wait_s
        self.said = said
        super().__init__(what, where=where, mend=mend)


class ReplyTimeout(EndpointError, TimeoutError):
    """A language model did not reply in time."""


class ContextOverflow(EndpointError):
    """A prompt and the room for its reply are more than the model can read in one go."""


class ResumeRefused(NereusError):
    """A run cannot be resumed: its graph, settings or data differ from those it was started with."""


class StoreError(NereusError):
    """The database, the artifact store or the vector index cannot be used."""


class NotFound(StoreError):
    """There is nothing under this name, or it is somebody else's."""


class UnresolvedNumber(NereusError):
    """A text holds a number that no evidence reference covers, or a reference to unknown evidence."""
