"""Verbs on queued work: how a job is, what came out, take it back; and tables in parts."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from pydantic import Field

from nereus.api.artifact_files import rows
from nereus.api.mcp.asked import Asked
from nereus.api.mcp.resources import artifact_at
from nereus.api.mcp.verbs import Answer, Arguments, Verb
from nereus.api.mcp.works import MAX_WAIT_S, Work, waited, work_of
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind

MAX_ROWS = 500


class JobArguments(Arguments):
    """Which job."""

    job: Annotated[str, Field(pattern="^j[0-9a-f]{16}$")]
    """Id, as the call that queued it gave it."""


class JobResultArguments(JobArguments):
    """Which job, and how long to wait for it."""

    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 30
    """Seconds to wait for the end."""


class TableArguments(Arguments):
    """Which rows of which table."""

    uri: str
    """URI of the table, as a call or a run's artifacts give it."""
    columns: list[str] | None = None
    """Only these columns."""
    sort_by: str | None = None
    """Column by which rows are ordered; rows without a value come last."""
    descending: bool = False
    start: Annotated[int, Field(ge=0)] = 0
    """First row."""
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 50
    """At most so many rows."""


class TablePart(Answer):
    """Rows of a table."""

    columns: list[str]
    rows: list[list[Any]]
    """In the order of the columns; a missing number is null."""
    start: int
    n_total: int
    """Rows of the whole table."""
    next_start: int | None
    """Where the next part begins; null behind the last row."""


async def _status(asked: Asked, given: JobArguments) -> Work:
    return work_of(await run_sync(asked.state.jobs.get, given.job, asked.caller.owner))


async def _result(asked: Asked, given: JobResultArguments) -> Work:
    job = await run_sync(asked.state.jobs.get, given.job, asked.caller.owner)
    return await waited(asked, job, given.wait_s, ends_with_request=False)


async def _cancel(asked: Asked, given: JobArguments) -> Work:
    from nereus.api.routes.jobs import cancel_job

    await run_sync(cancel_job, given.job, asked.state, asked.caller)
    return work_of(await run_sync(asked.state.jobs.get, given.job, asked.caller.owner))


async def _table(asked: Asked, given: TableArguments) -> TablePart:
    def read() -> TablePart:
        ref = artifact_at(asked, given.uri)
        if ref.kind is not ArtifactKind.TABLE:
            raise InputError(
                f"{ref.name!r} is a {ref.kind.value}, no table", where="uri", mend="read the resource"
            )
        table = asked.state.workspace.artifacts.table(ref)
        named = [*(given.columns or []), *([given.sort_by] if given.sort_by else [])]
        if unknown := [one for one in named if one not in table.columns]:
            raise InputError(
                f"there is no column {unknown[0]!r}",
                where=given.uri,
                mend=f"columns are {list(table.columns)}",
            )
        if given.sort_by:
            table = table.sort_values(
                given.sort_by, ascending=not given.descending, kind="stable", na_position="last"
            )
        if given.columns:
            table = table[given.columns]
        part = rows(table.iloc[given.start : given.start + given.limit])
        ends = given.start + len(part["rows"])
        return TablePart(
            columns=part["columns"],
            rows=part["rows"],
            start=given.start,
            n_total=len(table),
            next_start=ends if ends < len(table) else None,
        )

    return await run_sync(read)


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        "job_status",
        "How a job is",
        "How a queued piece of work is, without waiting.",
        JobArguments,
        Work,
        _status,
    ),
    Verb(
        "job_result",
        "What a job gave",
        "Wait for a queued piece of work, with progress, and give what came out.",
        JobResultArguments,
        Work,
        _result,
    ),
    Verb(
        "job_cancel",
        "End a job",
        "End a job, with every process that it started. An ended one stays as it is.",
        JobArguments,
        Work,
        _cancel,
        scope="write",
        destructive=True,
    ),
    Verb(
        "table_read",
        "Read a table",
        "Rows of a table that a call or a run made: chosen columns, sorted, in parts.",
        TableArguments,
        TablePart,
        _table,
    ),
)
