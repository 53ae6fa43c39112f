"""The run database: engine, tables, migrations, and the ledger of tool calls."""

from __future__ import annotations

from nereus.memory.database.engine import Database
from nereus.memory.database.ledger import DatabaseLedger

__all__ = ["Database", "DatabaseLedger"]
