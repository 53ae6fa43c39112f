"""Two runs side by side."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from nereus.api.access import Reader, State
from nereus.api.problems import documented
from nereus.api.routes.runs import owned
from nereus.api.table_pages import TablePage, page_of

router = APIRouter(prefix="/api/comparisons", tags=["runs"])

_MOST = 5000
RunName = Annotated[str, Query(pattern="^r[0-9a-f]{10}-[0-9]{1,9}$")]


class ComparisonView(BaseModel):
    """What differs between two runs."""

    first: str
    second: str
    same_findings: bool
    equal: dict[str, int]
    """Part -> how many things of both runs are equal."""
    differences: TablePage
    """One row a difference: key, part, subject, change, first, second."""
    claims: TablePage
    """Every claim of either run, and what became of it in the other."""
    effects: TablePage
    """What both runs tested: key, question, feature, gene, first, second, change."""


@router.get(
    "",
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
)
def compare(first: RunName, second: RunName, state: State, caller: Reader) -> ComparisonView:
    """What went in, what was asked and done, and what was found: where two of your runs differ."""
    from nereus.agents.reporter.comparison import compare_records

    for one in (first, second):
        owned(state, caller, one)
    repository, artifacts = state.workspace.repository, state.workspace.artifacts
    found = compare_records(repository.load(first), repository.load(second), artifacts.table)

    def whole(table: Any) -> TablePage:
        return page_of(table, limit=_MOST)

    return ComparisonView(
        first=first,
        second=second,
        same_findings=found.same_findings,
        equal=dict(found.equal),
        differences=whole(found.differences),
        claims=whole(found.claims),
        effects=whole(found.effects),
    )
