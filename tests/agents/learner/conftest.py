from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("unified_planning", reason="pip install -e '.[learner]'")

from nereus.agents.learner import SearchAgent
from nereus.agents.learner.environments.generators import instance
from nereus.agents.learner.environments.planning import PlanningTask


@pytest.fixture(scope="session")
def towers() -> list[PlanningTask]:
    return [instance("blockworld", 4, seed) for seed in range(4)]


@pytest.fixture(scope="session")
def larger_towers() -> list[PlanningTask]:
    return [instance("blockworld", 5, 100 + seed) for seed in range(3)]


@pytest.fixture
def agent(towers: list[PlanningTask]) -> Iterator[SearchAgent]:
    made = SearchAgent(towers[0].domain)
    yield made
    made.close()
