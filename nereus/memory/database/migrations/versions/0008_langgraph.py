"""The LangGraph protocol: assistants, threads, runs with what they streamed, and items kept across threads

Revision ID: 0008
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('protocol_assistants',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('updated_at', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'id', name=op.f('pk_protocol_assistants'))
    )
    op.create_table('protocol_assistant_versions',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('graph_id', sa.String(length=64), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'id', 'version', name=op.f('pk_protocol_assistant_versions'))
    )
    op.create_table('protocol_threads',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('config', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=True),
    sa.Column('interrupts', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.Float(), nullable=True),
    sa.Column('hidden', sa.Boolean(), nullable=False),
    sa.Column('updated_at', sa.String(length=32), nullable=False),
    sa.Column('state_updated_at', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'id', name=op.f('pk_protocol_threads')),
    sa.UniqueConstraint('key', name=op.f('uq_protocol_threads_key'))
    )
    op.create_index('ix_protocol_threads_expires_at', 'protocol_threads', ['expires_at'])
    op.create_index('ix_protocol_threads_updated', 'protocol_threads', ['owner', 'updated_at'])
    op.create_table('protocol_runs',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('thread_id', sa.String(length=64), nullable=False),
    sa.Column('assistant_id', sa.String(length=64), nullable=False),
    sa.Column('graph_id', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('request', sa.Text(), nullable=False),
    sa.Column('strategy', sa.String(length=16), nullable=False),
    sa.Column('not_before', sa.Float(), nullable=False),
    sa.Column('cancel', sa.String(length=16), nullable=True),
    sa.Column('worker', sa.String(length=64), nullable=True),
    sa.Column('lease_until', sa.Float(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('started_at', sa.String(length=32), nullable=True),
    sa.Column('updated_at', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_protocol_runs'))
    )
    op.create_index('ix_protocol_runs_status', 'protocol_runs', ['status', 'created_at'])
    op.create_index('ix_protocol_runs_thread', 'protocol_runs', ['owner', 'thread_id', 'created_at'])
    op.create_table('protocol_events',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('data', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('run_id', 'seq', name=op.f('pk_protocol_events'))
    )
    op.create_table('protocol_items',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('namespace', sa.String(length=1000), nullable=False),
    sa.Column('key', sa.String(length=500), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.Float(), nullable=True),
    sa.Column('lifetime_s', sa.Float(), nullable=True),
    sa.Column('updated_at', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'namespace', 'key', name=op.f('pk_protocol_items'))
    )
    op.create_index('ix_protocol_items_expires_at', 'protocol_items', ['expires_at'])


def downgrade() -> None:
    for table in ('protocol_items', 'protocol_events', 'protocol_runs', 'protocol_threads', 'protocol_assistant_versions', 'protocol_assistants'):
        op.drop_table(table)
