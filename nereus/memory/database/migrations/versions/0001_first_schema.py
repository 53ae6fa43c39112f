"""First schema

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('artifacts',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('summary', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_artifacts'))
    )
    op.create_table('runs',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('data_id', sa.String(length=64), nullable=False),
    sa.Column('policy', sa.String(length=64), nullable=False),
    sa.Column('out_dir', sa.Text(), nullable=False),
    sa.Column('last_seq', sa.Integer(), nullable=False),
    sa.Column('notices', sa.Text(), nullable=False),
    sa.Column('outputs', sa.Text(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs'))
    )
    with op.batch_alter_table('runs', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_runs_data_id'), ['data_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_runs_fingerprint'), ['fingerprint'], unique=False)
        batch_op.create_index(batch_op.f('ix_runs_status'), ['status'], unique=False)

    op.create_table('tool_calls',
    sa.Column('cache_key', sa.String(length=64), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('tool', sa.String(length=64), nullable=False),
    sa.Column('version', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('wall_s', sa.Float(), nullable=False),
    sa.Column('cpu_s', sa.Float(), nullable=False),
    sa.Column('peak_mb', sa.Float(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('cache_key', name=op.f('pk_tool_calls'))
    )
    with op.batch_alter_table('tool_calls', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_tool_calls_run_id'), ['run_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_tool_calls_tool'), ['tool'], unique=False)

    op.create_table('approvals',
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_approvals_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_approvals'))
    )
    with op.batch_alter_table('approvals', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_approvals_status'), ['status'], unique=False)

    op.create_table('call_outputs',
    sa.Column('cache_key', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('artifact_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['artifact_id'], ['artifacts.id'], name=op.f('fk_call_outputs_artifact_id')),
    sa.ForeignKeyConstraint(['cache_key'], ['tool_calls.cache_key'], name=op.f('fk_call_outputs_cache_key'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('cache_key', 'name', name=op.f('pk_call_outputs'))
    )
    with op.batch_alter_table('call_outputs', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_call_outputs_artifact_id'), ['artifact_id'], unique=False)

    op.create_table('datasets',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('role', sa.String(length=64), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_datasets_run_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_datasets'))
    )
    op.create_table('decisions',
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('policy', sa.String(length=64), nullable=False),
    sa.Column('fallback', sa.Boolean(), nullable=False),
    sa.Column('tokens', sa.Integer(), nullable=False),
    sa.Column('ms', sa.Float(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_decisions_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_decisions'))
    )
    op.create_table('events',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=True),
    sa.Column('payload', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_events_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'seq', name=op.f('pk_events')),
    sa.UniqueConstraint('run_id', 'key', name=op.f('uq_events_run_id_key'))
    )
    op.create_table('evidence',
    sa.Column('step_id', sa.String(length=64), nullable=False),
    sa.Column('call_key', sa.String(length=64), nullable=False),
    sa.Column('quantity', sa.Text(), nullable=False),
    sa.Column('artifact_id', sa.String(length=64), nullable=True),
    sa.Column('table_row', sa.Text(), nullable=True),
    sa.Column('table_column', sa.Text(), nullable=True),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['call_key'], ['tool_calls.cache_key'], name=op.f('fk_evidence_call_key')),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_evidence_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_evidence'))
    )
    with op.batch_alter_table('evidence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_evidence_call_key'), ['call_key'], unique=False)
        batch_op.create_index(batch_op.f('ix_evidence_step_id'), ['step_id'], unique=False)

    op.create_table('hypotheses',
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('claim_key', sa.Text(), nullable=False),
    sa.Column('confidence', sa.Float(), nullable=True),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_hypotheses_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_hypotheses'))
    )
    op.create_table('memories',
    sa.Column('collection', sa.String(length=32), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('text_id', sa.String(length=64), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_memories_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('collection', 'run_id', 'id', name=op.f('pk_memories'))
    )
    with op.batch_alter_table('memories', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_memories_text_id'), ['text_id'], unique=False)

    op.create_table('objectives',
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_objectives_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_objectives'))
    )
    op.create_table('workflows',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('objective_id', sa.String(length=64), nullable=False),
    sa.Column('template', sa.String(length=64), nullable=True),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_workflows_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', 'version', name=op.f('pk_workflows'))
    )
    op.create_table('atoms',
    sa.Column('hypothesis_id', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('verdict', sa.String(length=16), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'hypothesis_id'], ['hypotheses.run_id', 'hypotheses.id'], name=op.f('fk_atoms_run_id_hypothesis_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_atoms_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'id', name=op.f('pk_atoms'))
    )
    op.create_table('hypothesis_evidence',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('hypothesis_id', sa.String(length=64), nullable=False),
    sa.Column('evidence_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'evidence_id'], ['evidence.run_id', 'evidence.id'], name=op.f('fk_hypothesis_evidence_run_id_evidence_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id', 'hypothesis_id'], ['hypotheses.run_id', 'hypotheses.id'], name=op.f('fk_hypothesis_evidence_run_id_hypothesis_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'hypothesis_id', 'evidence_id', name=op.f('pk_hypothesis_evidence'))
    )
    with op.batch_alter_table('hypothesis_evidence', schema=None) as batch_op:
        batch_op.create_index('ix_hypothesis_evidence_evidence', ['run_id', 'evidence_id'], unique=False)

    op.create_table('steps',
    sa.Column('run_id', sa.String(length=64), nullable=False),
    sa.Column('workflow_id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('tool', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('call_key', sa.String(length=64), nullable=True),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'workflow_id', 'version'], ['workflows.run_id', 'workflows.id', 'workflows.version'], name=op.f('fk_steps_run_id_workflow_id_version'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'workflow_id', 'version', 'id', name=op.f('pk_steps'))
    )
    with op.batch_alter_table('steps', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_steps_call_key'), ['call_key'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('steps', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_steps_call_key'))

    op.drop_table('steps')
    with op.batch_alter_table('hypothesis_evidence', schema=None) as batch_op:
        batch_op.drop_index('ix_hypothesis_evidence_evidence')

    op.drop_table('hypothesis_evidence')
    op.drop_table('atoms')
    op.drop_table('workflows')
    op.drop_table('objectives')
    with op.batch_alter_table('memories', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_memories_text_id'))

    op.drop_table('memories')
    op.drop_table('hypotheses')
    with op.batch_alter_table('evidence', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_evidence_step_id'))
        batch_op.drop_index(batch_op.f('ix_evidence_call_key'))

    op.drop_table('evidence')
    op.drop_table('events')
    op.drop_table('decisions')
    op.drop_table('datasets')
    with op.batch_alter_table('call_outputs', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_call_outputs_artifact_id'))

    op.drop_table('call_outputs')
    with op.batch_alter_table('approvals', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_approvals_status'))

    op.drop_table('approvals')
    with op.batch_alter_table('tool_calls', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_tool_calls_tool'))
        batch_op.drop_index(batch_op.f('ix_tool_calls_run_id'))

    op.drop_table('tool_calls')
    with op.batch_alter_table('runs', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_runs_status'))
        batch_op.drop_index(batch_op.f('ix_runs_fingerprint'))
        batch_op.drop_index(batch_op.f('ix_runs_data_id'))

    op.drop_table('runs')
    op.drop_table('artifacts')
