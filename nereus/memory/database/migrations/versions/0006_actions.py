"""Learned actions, their versions, and every time they were tried

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('actions',
    sa.Column('name', sa.String(length=96), nullable=False),
    sa.Column('domain', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_actions'))
    )
    op.create_index('ix_actions_domain', 'actions', ['domain'])
    op.create_table('action_versions',
    sa.Column('name', sa.String(length=96), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('parent', sa.Integer(), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('decided_by', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['name'], ['actions.name'], name='fk_action_versions_name', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('name', 'version', name=op.f('pk_action_versions'))
    )
    op.create_index('ix_action_versions_status', 'action_versions', ['status'])
    op.create_table('action_trials',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('name', sa.String(length=96), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('ok', sa.Boolean(), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['name', 'version'], ['action_versions.name', 'action_versions.version'], name='fk_action_trials_name_version', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_action_trials'))
    )
    op.create_index('ix_action_trials_version', 'action_trials', ['name', 'version', 'id'])


def downgrade() -> None:
    for table in ('action_trials', 'action_versions', 'actions'):
        op.drop_table(table)
