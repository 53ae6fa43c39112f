"""The audit log: who did what through the server, when, from where, and whether it was allowed."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, select

from nereus.memory.database.engine import Database, now
from nereus.memory.database.server_tables import AuditRow

_AUDIT = cast(Table, AuditRow.__table__)
_LONGEST = 500


class AuditLog:
    """Append to and read the log.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owner: str, action: str, subject: str, outcome: str, address: str = "") -> None:
        """Note one act. `action` is a verb and a thing (``create run``), `outcome` ``done``, ``refused`` or ``failed``."""
        row = {
            "created_at": now(),
            "owner": owner[:64],
            "action": action[:64],
            "subject": subject[:_LONGEST],
            "outcome": outcome[:32],
            "address": address[:64],
        }
        with self._database.write() as connection:
            connection.execute(_AUDIT.insert().values(row))

    def read(self, owner: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest entries first, of all owners or of one."""
        query = select(_AUDIT).order_by(_AUDIT.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query if owner is None else query.where(_AUDIT.c.owner == owner)).all()
        return [dict(row._mapping) for row in rows]
