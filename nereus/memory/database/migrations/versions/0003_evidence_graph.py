"""The evidence graph: what each run says of which things, and which evidence recomputes it

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('graph_nodes',
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('name_key', sa.String(length=255), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_graph_nodes_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_graph_nodes'))
    )
    op.create_index('ix_graph_nodes_name_key', 'graph_nodes', ['name_key'])
    op.create_table('graph_edges',
    sa.Column('source', sa.String(length=64), nullable=False),
    sa.Column('target', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('split', sa.String(length=16), nullable=False),
    sa.Column('sign', sa.Integer(), nullable=False),
    sa.Column('effect', sa.Float(), nullable=True),
    sa.Column('p', sa.Float(), nullable=True),
    sa.Column('q', sa.Float(), nullable=True),
    sa.Column('n', sa.Float(), nullable=True),
    sa.Column('dataset_id', sa.String(length=64), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_graph_edges_run_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id', 'source'], ['graph_nodes.run_id', 'graph_nodes.id'], name=op.f('fk_graph_edges_run_id_source'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id', 'target'], ['graph_nodes.run_id', 'graph_nodes.id'], name=op.f('fk_graph_edges_run_id_target'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_graph_edges'))
    )
    op.create_index('ix_graph_edges_source', 'graph_edges', ['run_id', 'source'])
    op.create_index('ix_graph_edges_target', 'graph_edges', ['run_id', 'target'])
    op.create_index('ix_graph_edges_kind', 'graph_edges', ['kind'])
    op.create_table('graph_edge_evidence',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('edge_id', sa.String(length=64), nullable=False),
    sa.Column('evidence_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'edge_id'], ['graph_edges.run_id', 'graph_edges.id'], name=op.f('fk_graph_edge_evidence_run_id_edge_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id', 'evidence_id'], ['evidence.run_id', 'evidence.id'], name=op.f('fk_graph_edge_evidence_run_id_evidence_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'edge_id', 'evidence_id', name=op.f('pk_graph_edge_evidence'))
    )
    op.create_index('ix_graph_edge_evidence_evidence', 'graph_edge_evidence', ['run_id', 'evidence_id'])


def downgrade() -> None:
    for table in ('graph_edge_evidence', 'graph_edges', 'graph_nodes'):
        op.drop_table(table)
