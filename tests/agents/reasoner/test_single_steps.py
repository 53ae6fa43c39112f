"""Search that takes steps one by one: what always holds, that no end is reached twice, and that a restart changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nereus.agents.reasoner.kept import TreeKeeper
from nereus.agents.reasoner.modes import answer_of
from nereus.agents.reasoner.policy import Proposal, Request, UniformPolicy
from nereus.agents.reasoner.problem import Problem, State
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import Countdown, split
from nereus.agents.reasoner.tree import Tree
from nereus.errors import InputError
from nereus.memory.trees import Trees
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from tests.agents.reasoner.test_search import Halving, shape

OPEN = SearchOptions(simulations=60, root_children=8, children=5, stop_when_solved=False, steps="one")


def grown(options: SearchOptions, seed: int = 0, value: Halving | None = None, n: int = 4) -> list[Tree]:
    trees = [Tree.rooted(f"t{i}", problem, seed) for i, problem in enumerate(split(seed, n, 1)[0])]
    search(trees, UniformPolicy(), options, value=value)
    return trees


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("unvisited", ["zero", "parent", "value"])
@pytest.mark.parametrize("valued", [False, True])
def test_what_holds_of_every_tree(seed: int, unvisited: str, valued: bool) -> None:
    value = Halving() if valued else None
    for tree in grown(OPEN.model_copy(update={"unvisited": unvisited}), seed, value):
        assert tree.calls == len(tree.nodes) - 1, "a step is a call, and none is taken twice"
        for node in tree.nodes:
            own = node.visits - sum(child.visits for child in node.children)
            fresh = valued and not node.ended and node.parent is not None
            assert own == (1 if node.ended or fresh else 0)
            taken, waiting = [one.step for one in node.children], [one.step for one in node.untaken or ()]
            assert len({*taken, *waiting}) == len(taken) + len(waiting)
            searched = node.untaken == [] and all(child.closed for child in node.children)
            assert node.closed == (node.ended or searched)
        assert tree.root.visits == tree.simulations, "every simulation is told to the root"
        total = sum(leaf.reward for leaf in tree.leaves() if leaf.reward is not None)
        total += sum(node.value or 0.0 for node in tree.nodes if not node.ended)
        assert tree.root.total == pytest.approx(total)


def test_the_same_seed_gives_the_same_tree_whoever_is_searched_beside_it() -> None:
    together = grown(OPEN, 3)
    alone = Tree.rooted("t2", together[2].problem, 3)
    search([alone], UniformPolicy(), OPEN)
    assert shape(alone) == shape(together[2])


def test_a_tree_is_searched_through_with_as_many_steps_as_it_has_and_then_left() -> None:
    wide = SearchOptions(simulations=1000, root_children=99, children=99, stop_when_solved=False)
    trees = [Tree.rooted("whole", Countdown([5, 6, 7]), 0) for _ in range(2)]
    search(trees[:1], UniformPolicy(), wide)
    search(trees[1:], UniformPolicy(), wide.model_copy(update={"steps": "one"}))
    assert [tree.closed for tree in trees] == [True, True]
    paths = [sorted(tuple(n.step for n in leaf.path()) for leaf in tree.leaves()) for tree in trees]
    assert paths[0] == paths[1], "the same ends"
    assert trees[0].calls == trees[1].calls
    before = shape(trees[1])
    search(trees[1:], UniformPolicy(), wide.model_copy(update={"steps": "one"}))
    assert shape(trees[1]) == before


class Indifferent:
    """A policy that prefers nothing and draws nothing."""

    id = "indifferent"

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        return [
            [Proposal(step, 1 / 8) for step in sorted(one.problem.moves(one.state))][: one.count]
            for one in requests
        ]


def test_what_was_found_steers_what_is_drawn_next() -> None:
    problem = split(0, 1, 1)[0][0]
    first = sorted(problem.moves(problem.start()))[1]

    class Leaning:
        id = "leaning"

        def values(self, prefixes: Sequence[tuple[Problem, State]]) -> np.ndarray:
            return np.array([0.8 if first in problem.prompt(state) else -0.8 for problem, state in prefixes])

    tree = Tree.rooted("sided", problem, 0)
    search([tree], Indifferent(), OPEN.model_copy(update={"unvisited": "parent"}), value=Leaning())
    by_visits = max(tree.root.children, key=lambda child: child.visits)
    assert by_visits.step == first
    others = [child.visits for child in tree.root.children if child is not by_visits]
    assert by_visits.visits > 2 * np.mean(others)


def test_the_budget_is_kept_and_may_be_smaller_than_the_root_s_children() -> None:
    for tree in grown(OPEN.model_copy(update={"max_calls": 5})):
        assert tree.calls == 5


@pytest.mark.parametrize("block", [1, 7])
def test_a_tree_that_is_read_again_goes_on_as_if_nothing_had_been(tmp_path: Path, block: int) -> None:
    problem = split(4, 1, 1)[0][0]
    whole = Tree.rooted("tree", problem, 4)
    search([whole], UniformPolicy(), OPEN)
    with open_workspace(load_settings(home=tmp_path)) as workspace:
        keeper = TreeKeeper(Trees(workspace.database))
        keeper.save(Tree.rooted("tree", problem, 4))
        for _ in range(-(-OPEN.simulations // block)):
            again = TreeKeeper(Trees(workspace.database))
            tree = again.load("tree", problem)
            search([tree], UniformPolicy(), OPEN, simulations=block)
            again.save(tree)
    assert shape(tree) == shape(whole)
    assert answer_of(tree).steps == answer_of(whole).steps


def test_all_steps_with_a_wrong_form_show_one() -> None:
    class Babbling:
        id = "babbling"

        def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
            return [[Proposal(f"nonsense {i}", 0.1) for i in range(one.count)] for one in requests]

    tree = Tree.rooted("t", split(0, 1, 1)[0][0], 0)
    with pytest.raises(InputError, match="nonsense 0"):
        search([tree], Babbling(), OPEN)


def test_equal_numbers_of_steps_find_more_than_a_search_that_takes_all() -> None:
    problems = split(1, 60, 1)[0]
    found = {}
    for steps in ("all", "one"):
        trees = [Tree.rooted(str(i), problem, 1) for i, problem in enumerate(problems)]
        options = SearchOptions(simulations=1000, root_children=12, children=8, max_calls=60, steps=steps)
        search(trees, UniformPolicy(), options)
        assert max(tree.calls for tree in trees) <= 60
        found[steps] = sum(tree.solved is not None for tree in trees)
    assert found["one"] > found["all"]
