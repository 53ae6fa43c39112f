"""The reasoner: trees of plan steps, preferences between them, values that were fitted

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('mcts_trees',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('problem', sa.String(length=64), nullable=False),
    sa.Column('question', sa.Text(), nullable=False),
    sa.Column('seed', sa.Integer(), nullable=False),
    sa.Column('simulations', sa.Integer(), nullable=False),
    sa.Column('calls', sa.Integer(), nullable=False),
    sa.Column('closed', sa.Boolean(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_mcts_trees_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mcts_trees'))
    )
    op.create_index('ix_mcts_trees_run_id', 'mcts_trees', ['run_id'])
    op.create_table('mcts_nodes',
    sa.Column('tree_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('parent', sa.Integer(), nullable=True),
    sa.Column('depth', sa.Integer(), nullable=False),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('prior', sa.Float(), nullable=False),
    sa.Column('tie', sa.Float(), nullable=False),
    sa.Column('visits', sa.Integer(), nullable=False),
    sa.Column('total', sa.Float(), nullable=False),
    sa.Column('reward', sa.Float(), nullable=True),
    sa.Column('value', sa.Float(), nullable=True),
    sa.Column('violation', sa.Text(), nullable=False),
    sa.Column('solution', sa.Boolean(), nullable=False),
    sa.Column('expanded', sa.Boolean(), nullable=False),
    sa.Column('closed', sa.Boolean(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['tree_id'], ['mcts_trees.id'], name=op.f('fk_mcts_nodes_tree_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('tree_id', 'id', name=op.f('pk_mcts_nodes'))
    )
    op.create_table('preferences',
    sa.Column('tree_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('q_chosen', sa.Float(), nullable=False),
    sa.Column('q_rejected', sa.Float(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['tree_id'], ['mcts_trees.id'], name=op.f('fk_preferences_tree_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('tree_id', 'id', name=op.f('pk_preferences'))
    )
    op.create_index('ix_preferences_kind', 'preferences', ['kind'])
    op.create_table('value_fits',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('problem', sa.String(length=64), nullable=False),
    sa.Column('prefixes', sa.Integer(), nullable=False),
    sa.Column('error', sa.Float(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_value_fits'))
    )
    op.create_index('ix_value_fits_problem', 'value_fits', ['problem'])


def downgrade() -> None:
    for table in ('value_fits', 'preferences', 'mcts_nodes', 'mcts_trees'):
        op.drop_table(table)
