"""The ledger of tool calls in the database: what makes a step run once."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table, bindparam, select

from nereus.memory.database.engine import Database, now
from nereus.memory.database.models import ArtifactRow, CallOutputRow, ToolCallRow
from nereus.memory.records import CallStatus, ToolCall

_CALLS = cast(Table, ToolCallRow.__table__)
_ARTIFACTS = cast(Table, ArtifactRow.__table__)
_OUTPUTS = cast(Table, CallOutputRow.__table__)
_DOCUMENT = select(_CALLS.c.document).where(_CALLS.c.cache_key == bindparam("key"))  # built once


class DatabaseLedger:
    """Finished tool calls, shared by all runs: what `nereus.tools.steps` calls a `Ledger`.

    The call, its artifacts and the edges between them are written in one transaction. Two processes that
    record one key keep one row: the first that succeeded. A failed call is replaced by a later successful
    one.

    Parameters
    ----------
    database
        The open database.
    run_id
        The run on whose behalf calls are recorded; None outside a run.
    """

    def __init__(self, database: Database, run_id: str | None = None) -> None:
        self._database = database
        self._run_id = run_id
        self._known: dict[str, ToolCall] = {}
        """Calls that succeeded never change, so they are read once."""
        statement = database.insert(_CALLS)
        columns = ("status", "wall_s", "cpu_s", "peak_mb", "document")
        self._insert = statement.on_conflict_do_update(
            index_elements=["cache_key"],
            set_={column: statement.excluded[column] for column in columns},
            where=_CALLS.c.status != CallStatus.OK.value,
        ).execution_options(preserve_rowcount=True)

    def find_call(self, key: str) -> ToolCall | None:
        """Look up the finished call with this key."""
        known = self._known.get(key)
        if known is not None:
            return known
        with self._database.read(settled=False) as connection:
            document = connection.execute(_DOCUMENT, {"key": key}).scalar_one_or_none()
        if document is None:
            return None
        call = ToolCall.model_validate_json(document)
        if call.status is CallStatus.OK:
            self._known[key] = call
        return call

    def record_call(self, call: ToolCall) -> None:
        """Keep a finished call; recording an equal key again changes nothing."""
        stamp = now()
        row = {
            "cache_key": call.key,
            "run_id": self._run_id,
            "created_at": stamp,
            "tool": call.spec.tool,
            "version": call.spec.version,
            "status": call.status.value,
            "wall_s": call.wall_s,
            "cpu_s": call.cpu_s,
            "peak_mb": call.peak_mb,
            "document": call.model_dump_json(),
        }
        artifacts = {
            ref.id: {
                "id": ref.id,
                "run_id": self._run_id,
                "created_at": stamp,
                "kind": ref.kind.value,
                "size": ref.size,
                "summary": ref.summary,
            }
            for ref in call.outputs.values()
        }
        edges = [
            {"cache_key": call.key, "name": name, "artifact_id": ref.id, "created_at": stamp}
            for name, ref in call.outputs.items()
        ]
        with self._database.write() as connection:
            if connection.execute(self._insert, row).rowcount == 0:
                return  # an equal call succeeded before
            # In the order of their ids, so that two PostgreSQL writers of common artifacts cannot wait for
            # each other.
            self._database.add(
                connection, _ARTIFACTS, [artifacts[identity] for identity in sorted(artifacts)]
            )
            self._database.add(connection, _OUTPUTS, edges)
        if call.status is CallStatus.OK:
            self._database.after_commit(lambda: self._remember(call))

    def _remember(self, call: ToolCall) -> None:
        self._known[call.key] = call

    def made_by(self, artifact_id: str) -> list[tuple[str, str]]:
        """(key of the call, output name) of every call that made the artifact."""
        query = select(_OUTPUTS.c.cache_key, _OUTPUTS.c.name).where(_OUTPUTS.c.artifact_id == artifact_id)
        with self._database.read() as connection:
            return [
                (row.cache_key, row.name) for row in connection.execute(query.order_by(*_OUTPUTS.primary_key))
            ]
