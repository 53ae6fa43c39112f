"""Learned actions as rows: what is written, and what is read only where it is what was written."""

from __future__ import annotations

import json
from typing import Any

from nereus.memory.action_records import LearnedAction
from nereus.memory.database.engine import now


def row_of(action: LearnedAction) -> dict[str, Any]:
    """A version as a row, with its seal."""
    return {
        "name": action.name,
        "version": action.version,
        "parent": action.parent,
        "status": action.status,
        "sha256": action.sha256,
        "source": action.source,
        "description": action.description,
        "decided_by": action.decided_by,
        "reason": action.reason,
        "document": json.dumps(
            action.model_dump(mode="json", exclude={"source", "status", "decided_by", "reason"})
            | {"seal": action.seal}
        ),
        "created_at": now(),
    }


def read_row(row: Any) -> LearnedAction | None:
    """The version that a row holds; None where it does not have its seal any more."""
    try:
        document = json.loads(row.document)
        seal = document.pop("seal", "")
        action = LearnedAction.model_validate(
            document
            | {
                "source": row.source,
                "status": row.status,
                "decided_by": row.decided_by,
                "reason": row.reason,
            }
        )
        same = (action.sha256, action.seal) == (row.sha256, seal)
    except (ValueError, AttributeError, TypeError):
        return None
    return action if same else None
