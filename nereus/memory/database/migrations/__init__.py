"""Migrations of the run database (Alembic). `nereus.memory.database.engine` runs them on first use."""
