"""Names of policies may be long: a mapping names every kind of decision, and PostgreSQL holds a column to its length

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

TABLES = ('runs', 'decisions')


def upgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column('policy', existing_type=sa.String(length=64), type_=sa.Text(), existing_nullable=False)


def downgrade() -> None:
    """A longer name is cut; the record (column document) keeps it whole."""
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column(
                'policy',
                existing_type=sa.Text(),
                type_=sa.String(length=64),
                existing_nullable=False,
                postgresql_using='left(policy, 64)',
            )
