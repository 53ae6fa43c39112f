"""Learned actions: what this server has learned to do, tested and with a track record. They belong to everybody here."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from nereus.api.access import Reader, State
from nereus.api.problems import documented
from nereus.memory.actions import Actions, LearnedAction, Standing

router = APIRouter(prefix="/api/actions", tags=["actions"])


class ActionView(BaseModel):
    """A learned action, and how it fared."""

    name: str
    version: int
    status: str
    """``candidate``, ``active``, ``deprecated`` ...: only active ones are used."""
    domain: str
    signature: str
    description: str
    usage: str
    notes: list[str]
    source: str
    """Its Python. It runs in the sandbox alone."""
    n_tests: int
    tests_passed: int
    decided_by: str
    reason: str
    standing: Standing

    @classmethod
    def of(cls, action: LearnedAction, standing: Standing) -> ActionView:
        """What is told of an action."""
        return cls(
            **action.model_dump(
                include={
                    "name",
                    "version",
                    "domain",
                    "description",
                    "usage",
                    "source",
                    "decided_by",
                    "reason",
                }
            ),
            status=str(action.status),
            signature=action.signature,
            notes=list(action.notes),
            n_tests=len(action.tests),
            tests_passed=sum(one.ok for one in action.tests),
            standing=standing,
        )


@router.get("", responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))
def list_actions(state: State, caller: Reader) -> list[ActionView]:
    """The newest version of each learned action."""
    del caller
    actions = Actions(state.workspace.database)
    return [ActionView.of(one, actions.standing(one)) for one in actions.known()]
