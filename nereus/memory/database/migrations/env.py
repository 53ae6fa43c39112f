"""Run by Alembic: migrations work on the connection that `upgrade` gives, in its transaction."""

from __future__ import annotations

from alembic import context

from nereus.memory.database.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
