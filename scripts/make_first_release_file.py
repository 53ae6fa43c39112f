"""Builds ``tests/data/first_release/nereus.sqlite.gz``: a run database as the first release wrote it.

Usage: ``python scripts/make_first_release_file.py``. The schema is made by the first migration alone; the rows, kept in
``rows.json``, are those that the first release wrote about two made-up runs; the tables that they name lie in ``artifacts``
under the hash of their content, as it kept them. The file is what upgrades are tested on, so none of these is changed when
records or tables change.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from nereus.memory.database.migrations.upgrade import config

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "first_release"
FIRST = "0001"


def main() -> None:
    """Make the file anew."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "nereus.sqlite"
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA page_size=512")  # dozens of tables and indexes with few rows each
        made = config()
        engine = create_engine(f"sqlite:///{file}")
        with engine.begin() as opened:
            made.attributes["connection"] = opened
            command.upgrade(made, FIRST)
        engine.dispose()
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            for table, rows in json.loads((FOLDER / "rows.json").read_text(encoding="utf-8")).items():
                for row in rows:
                    marks = ", ".join(f":{column}" for column in row)
                    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)
        connection.close()
        packed = gzip.compress(file.read_bytes(), mtime=0)
    (FOLDER / "nereus.sqlite.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
