"""Differences that rest on two or three values in the smaller group are no better than tentative."""

from __future__ import annotations

import pytest

from nereus.agents.planner.hypotheses import _with_room, marginal
from nereus.agents.policies.base import EvidenceGroup
from nereus.memory.records import Claim, Entity, RelationName


def group(n_a: float | None, n_b: float | None, relation: RelationName = "abundance") -> EvidenceGroup:
    entity = Entity(kind="protein", id="P1", name="A", direction="up")
    return EvidenceGroup(
        id="O2|P1|abundance",
        grain="entity",
        claim=Claim(relation=relation, entities=(entity,), contrast="a vs b", context="g"),
        objective_ids=("O2",),
        evidence={},
        values={"n_a": n_a, "n_b": n_b},
    )


@pytest.mark.parametrize(
    ("n_a", "n_b", "expected"),
    [(2, 3, True), (3, 22, True), (22, 3, True), (3, 9, True), (3, 3, False), (3, 8, False), (4, 40, False)],
)
def test_few_values_are_marginal(n_a: int, n_b: int, expected: bool) -> None:
    assert marginal(group(n_a, n_b)) is expected


def test_what_is_no_comparison_of_levels_is_judged_by_its_own_measure() -> None:
    assert not marginal(group(2, 0, "association"))
    assert not marginal(group(2, 9, "detection"))
    assert not marginal(group(None, 3))


def test_a_question_without_calibration_keeps_its_few_claims() -> None:
    many = [group(9, 9).model_copy(update={"id": f"O2|P{i}", "values": {"claimed": True}}) for i in range(6)]
    few = [
        group(9, 9, "activity").model_copy(
            update={"id": f"O3|K{i}", "values": {"claimed": True}, "objective_ids": ("O3",)}
        )
        for i in range(2)
    ]
    left = [one.id for one in _with_room([*many, *few], 5)]
    assert left == ["O2|P0", "O2|P1", "O2|P2", "O3|K0", "O3|K1"]
    assert _with_room([*many, *few], 8) == [*many, *few]
    assert _with_room([*many, *few], 0) == []
