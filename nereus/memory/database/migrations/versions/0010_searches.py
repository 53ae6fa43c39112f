"""Searches by likeness: how often items of a namespace changed, and which; the newest of what is recalled

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('protocol_item_changes',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('namespace', sa.String(length=1000), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'namespace', name=op.f('pk_protocol_item_changes'))
    )
    op.create_index(
        'ix_protocol_items_changed', 'protocol_items', ['owner', 'namespace', 'updated_at', 'key', 'expires_at']
    )
    op.create_index('ix_memories_newest', 'memories', ['collection', 'created_at'])


def downgrade() -> None:
    op.drop_index('ix_memories_newest', 'memories')
    op.drop_table('protocol_item_changes')
    op.drop_index('ix_protocol_items_changed', 'protocol_items')
