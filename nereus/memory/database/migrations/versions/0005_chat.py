"""Chat: threads with what was said in them, and notes that outlive a thread

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('chat_threads',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('busy_until', sa.String(length=32), nullable=True),
    sa.Column('updated_at', sa.String(length=32), nullable=False),
    sa.Column('last_seq', sa.Integer(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_chat_threads'))
    )
    op.create_index('ix_chat_threads_owner', 'chat_threads', ['owner', 'updated_at'])
    op.create_table('chat_events',
    sa.Column('thread_id', sa.String(length=64), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('payload', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['thread_id'], ['chat_threads.id'], name='fk_chat_events_thread_id', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('thread_id', 'seq', name=op.f('pk_chat_events'))
    )
    op.create_table('chat_notes',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('thread_id', sa.String(length=64), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'id', name=op.f('pk_chat_notes'))
    )


def downgrade() -> None:
    for table in ('chat_notes', 'chat_events', 'chat_threads'):
        op.drop_table(table)
