"""The tree search: what always holds of a tree, how it is told and closed, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.reasoning.exact import speed
from nereus.agents.reasoner.harvest import Packing, harvest
from nereus.agents.reasoner.modes import answer_of, best_of_n, greedy
from nereus.agents.reasoner.policy import Proposal, Request, ScoredPolicy, ScoredValue, UniformPolicy
from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.agents.reasoner.search import SearchOptions, expand, search
from nereus.agents.reasoner.tasks.countdown import Countdown, split
from nereus.agents.reasoner.tree import Node, Tree, close, select, tell
from nereus.errors import InputError
from nereus.models.language.cpl.choices import Described
from nereus.models.language.cpl.linear import LinearPolicy

OPEN = SearchOptions(simulations=60, root_children=8, children=5, stop_when_solved=False)


class Halving:
    """A value that says less the longer the prefix."""

    id = "halving"

    def __init__(self) -> None:
        self.asked: list[State] = []

    def values(self, prefixes: Sequence[tuple[Problem, State]]) -> np.ndarray:
        self.asked += [state for _, state in prefixes]
        return np.array([0.5 / (1 + len(problem.prompt(state))) for problem, state in prefixes])


def grown(
    seed: int = 0, options: SearchOptions = OPEN, value: Halving | None = None, n: int = 4
) -> list[Tree]:
    trees = [Tree.rooted(f"t{i}", problem, seed) for i, problem in enumerate(split(seed, n, 1)[0])]
    search(trees, UniformPolicy(), options, value=value)
    return trees


def shape(tree: Tree) -> list[tuple[object, ...]]:
    return [
        (n.id, n.parent.id if n.parent else None, n.step, n.visits, n.total, n.reward, n.closed)
        for n in tree.nodes
    ]


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("unvisited", ["zero", "parent", "value"])
def test_what_holds_of_every_tree(seed: int, unvisited: str) -> None:
    value = Halving()
    for tree in grown(seed, OPEN.model_copy(update={"unvisited": unvisited}), value):
        assert tree.simulations == sum(node.expanded for node in tree.nodes)
        assert tree.calls == len(tree.nodes) - 1
        for node in tree.nodes:
            below = sum(child.visits for child in node.children)
            assert node.visits == below + node.expanded + node.ended, (
                "its own visit and those of its children"
            )
            assert abs(node.mean) <= 1
            assert len({child.step for child in node.children}) == len(node.children)
            assert node.closed == (
                node.ended or (node.expanded and all(child.closed for child in node.children))
            )
            if node.parent is not None:
                assert node.depth == node.parent.depth + 1
                assert node in node.parent.children
        total = sum(leaf.reward for leaf in tree.leaves() if leaf.reward is not None)
        total += sum(node.value or 0.0 for node in tree.nodes if node.expanded)
        assert tree.root.total == pytest.approx(total), "all that was found is told to the root"


def test_the_same_seed_gives_the_same_tree_whoever_is_searched_beside_it() -> None:
    together = grown(3)
    alone = Tree.rooted("t2", together[2].problem, 3)
    search([alone], UniformPolicy(), OPEN)
    assert shape(alone) == shape(together[2])
    other = Tree.rooted("t2", together[2].problem, 4)
    search([other], UniformPolicy(), OPEN)
    assert shape(other) != shape(alone)


@pytest.mark.parametrize("unvisited", ["zero", "parent", "value"])
def test_no_prefix_is_evaluated_twice(unvisited: str) -> None:
    value = Halving()
    tree = grown(0, OPEN.model_copy(update={"unvisited": unvisited}), value=value, n=1)[0]
    asked = [n for n in tree.nodes if (not n.ended if unvisited == "value" else n.expanded)]
    assert len(value.asked) == len(asked) >= tree.simulations
    assert all(node.value is not None for node in asked)
    with pytest.raises(ValueError, match="expanded before"):
        expand(tree, tree.root, [], None)


def test_a_tree_that_is_searched_through_is_left() -> None:
    tree = Tree.rooted("whole", Countdown([5, 6, 7]), 0)
    search(
        [tree],
        UniformPolicy(),
        SearchOptions(simulations=1000, root_children=99, children=99, stop_when_solved=False),
    )
    assert tree.closed
    assert tree.simulations == 1 + len(tree.root.children) < 1000
    assert tree.solved is None
    before = shape(tree)
    search([tree], UniformPolicy(), SearchOptions(simulations=1000))
    assert shape(tree) == before


def hand_made() -> tuple[Tree, Node, Node]:
    tree = Tree.rooted("hand", Countdown([1, 2, 3]), 0)
    root = tree.root
    likely, rare = (Node(i, root, f"s{i}", prior, 0.5, 1, ()) for i, prior in ((1, 0.6), (2, 0.02)))
    root.expanded, root.children = True, [likely, rare]
    tree.nodes += [likely, rare]
    return tree, likely, rare


def test_selection_follows_prior_then_reward_and_never_enters_what_is_closed() -> None:
    tree, likely, rare = hand_made()
    tell(tree.root, 0.0)
    assert select(tree) is likely, "1.5 * 0.6 against 1.5 * 0.02"
    tell(likely, -1.0)
    # N = 2: -1 + 1.5 * 0.6 * sqrt(2) / 2 = -0.36 against 0 + 1.5 * 0.02 * sqrt(2) = 0.04
    assert select(tree) is rare
    assert select(tree, unvisited="parent") is likely, "not visited counts as the mean of -0.5: -0.46"
    rare.value = -0.9
    assert select(tree, unvisited="value") is likely
    rare.closed = True
    assert select(tree) is likely, "what is closed is not entered, whatever it promises"
    likely.closed = True
    close(tree.root)
    assert tree.closed


def test_rewards_reach_everything_above() -> None:
    tree, likely, rare = hand_made()
    tell(likely, 1.0)
    tell(rare, -0.5)
    assert (tree.root.visits, tree.root.total, tree.root.mean) == (2, 0.5, 0.25)
    assert (likely.mean, rare.mean) == (1.0, -0.5)


def test_without_backup_the_search_would_be_another() -> None:
    """'MCTS' whose rewards are not told upwards finds less: a control that the reward is used."""
    problems = split(0, 40, 1)[0]
    policy = UniformPolicy()
    options = SearchOptions(simulations=10_000, root_children=8, children=6, max_calls=200)
    told = [Tree.rooted(f"t{i}", p, 0) for i, p in enumerate(problems)]
    search(told, policy, options)
    flat = [Tree.rooted(f"t{i}", p, 0) for i, p in enumerate(problems)]
    for tree in flat:
        while not tree.closed and tree.calls < 200:
            node = select(tree)
            expand(tree, node, policy.propose([Request(tree.problem, node.state, 6, (0, node.id))])[0], None)
            for one in tree.nodes:
                one.total = 0.0
    assert [shape(t) for t in told] != [shape(t) for t in flat]


# ------------------------------------------------------------------------------------------------------- policies


class ByResult:
    """Scores steps by one feature."""

    def __init__(self, column: int) -> None:
        self.column = column

    def scores(self, rows: Described) -> np.ndarray:
        return rows.features[:, self.column] * 5.0


def test_priors_are_probabilities_and_the_shuffled_ones_are_the_same_numbers() -> None:
    problem = Countdown([3, 5, 8, 9])
    request = Request(problem, problem.start(), 99, (1,))
    for policy in (UniformPolicy(), ScoredPolicy(ByResult(4)), ScoredPolicy(ByResult(4), shuffled=True)):
        found = policy.propose([request])[0]
        assert len(found) == len(problem.moves(problem.start()))
        assert sum(one.prior for one in found) == pytest.approx(1.0)
    learned, shuffled = (ScoredPolicy(ByResult(4), shuffled=s).propose([request])[0] for s in (False, True))
    assert sorted(one.prior for one in learned) == pytest.approx(sorted(one.prior for one in shuffled))
    assert {one.step: one.prior for one in learned} != {one.step: one.prior for one in shuffled}
    assert len({round(one.prior, 9) for one in learned}) > 1, "not the same prior for all"


def test_likely_steps_are_drawn_more_often() -> None:
    problem = Countdown([3, 5, 8, 9])
    policy = ScoredPolicy(ByResult(9))
    priors = {one.step: one.prior for one in policy.propose([Request(problem, problem.start(), 99, (0,))])[0]}
    drawn = [policy.propose([Request(problem, problem.start(), 1, (i,))])[0][0].step for i in range(300)]
    best = max(priors, key=priors.__getitem__)
    assert drawn.count(best) / 300 == pytest.approx(priors[best], abs=0.1)


def test_greedy_best_of_n_and_the_best_path() -> None:
    problem = Countdown([1, 1, 24, 1])
    assert greedy(problem, UniformPolicy()).calls == 3
    found = best_of_n(problem, UniformPolicy(), 200, seed=2)
    assert found.solved
    assert found.calls % 3 == 0
    tree = Tree.rooted("t", problem, 0)
    search([tree], UniformPolicy(), SearchOptions(simulations=200, root_children=9, children=9))
    answer = answer_of(tree)
    assert answer.solved
    assert len(answer.steps) == len(answer.values) == 3
    state: State = problem.start()
    for step in answer.steps:
        turn = problem.play(state, step)
        state = turn.state
    assert turn.reward == 1.0


# ------------------------------------------------------------------------------------------------------ what it gives


def test_pairs_share_their_prefix_and_have_both_signs() -> None:
    trees = grown(
        0, SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False), n=12
    )
    for target in ("mean", "best"):
        rows = harvest(trees, target=target)  # type: ignore[arg-type]
        by_name = {tree.id: tree for tree in trees}
        assert len(rows.pairs) > 20
        for pair in rows.pairs:
            tree = by_name[pair.tree]
            better, worse = (tree.nodes[i] for i in pair.siblings)
            assert better.parent is worse.parent is tree.nodes[pair.parent]
            assert pair.prompt == tree.problem.prompt(tree.nodes[pair.parent].state)
            assert (better.step, worse.step) == (pair.chosen, pair.rejected)
            assert pair.q_chosen > 0 > pair.q_rejected
            if target == "mean":
                assert (pair.q_chosen, pair.q_rejected) == (better.mean, worse.mean)
        names = [path.tree for path in rows.paths]
        assert max(names.count(name) for name in names) <= 4
        assert all(path.reward == 1.0 and len(path.steps) == 3 for path in rows.paths)
        described, targets = Packing(trees).values(rows.values)
        assert len(described) == len(targets) > 100
        assert np.abs(targets).max() <= 1
        data = Packing(trees).comparison(rows.pairs)
        assert (data.chosen != data.rejected).all()


class Written(Problem):
    """Steps in a fixed script: text -> (reward, violation, whether a whole solution)."""

    name = "written"

    def __init__(self, script: dict[str, tuple[float | None, str, bool]], depth: int = 6) -> None:
        self.script, self.max_depth = script, depth

    @property
    def question(self) -> str:
        return "what is written?"

    def start(self) -> State:
        return ()

    def prompt(self, state: State) -> str:
        return f"{state}"

    def play(self, state: State, step: str) -> Turn:
        assert isinstance(state, tuple)
        reward, violation, solution = self.script[step]
        return Turn(
            (*state, step), reward is not None or bool(violation) or solution, reward, violation, solution
        )


class Reciting:
    """Proposes the script."""

    id = "reciting"

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        made = []
        for one in requests:
            assert isinstance(one.problem, Written)
            made.append([Proposal(step, 0.5) for step in one.problem.script][: one.count])
        return made


def test_of_solutions_only_the_best_and_the_worst_are_compared_and_scaled_down() -> None:
    script = {
        "s1": (1.0, "", True),
        "s2": (-1.0, "", True),
        "s3": (-0.4, "", True),
        "bad": (-1.0, "no box", True),
    }
    tree = Tree.rooted("t", Written(script), 0)
    search([tree], Reciting(), SearchOptions(simulations=1, root_children=9))
    pairs = harvest([tree]).pairs
    assert [(p.kind, p.chosen, p.rejected, p.q_chosen, p.q_rejected) for p in pairs] == [
        ("solution", "s1", "s2", 0.3, -0.3)
    ]


def test_what_ended_for_its_form_or_its_length_teaches_nothing() -> None:
    script: dict[str, tuple[float | None, str, bool]] = {
        "on": (None, "", False),
        "wrong": (-1.0, "two steps at once", False),
    }
    tree = Tree.rooted("t", Written(script, depth=3), 0)
    search([tree], Reciting(), SearchOptions(simulations=50))
    assert {leaf.violation for leaf in tree.leaves()} == {"two steps at once", "no end after 3 steps"}
    rows = harvest([tree])
    assert (rows.paths, rows.pairs, rows.values) == ([], [], [])
    assert all(leaf.reward == -1.0 for leaf in tree.leaves()), "but the search is told"


# ------------------------------------------------------------------------------------------------------- bad input


def test_nothing_to_back_up() -> None:
    tree = Tree.rooted("t", Written({"end": (None, "", True)}), 0)
    with pytest.raises(InputError, match="nothing to back up") as told:
        search([tree], Reciting(), SearchOptions(simulations=3))
    assert "give `checker` or a fitted value" in str(told.value)
    with pytest.raises(InputError, match="cannot be told apart"):
        best_of_n(Written({"end": (None, "", True)}), Reciting(), 2)
    tree = Tree.rooted("t", Written({"end": (None, "", True)}), 0)
    search([tree], Reciting(), SearchOptions(simulations=3), value=Halving())
    assert tree.root.children[0].reward is not None


class Certain:
    """A value that is sure of everything."""

    id = "certain"

    def values(self, prefixes: Sequence[tuple[Problem, State]]) -> np.ndarray:
        return np.ones(len(prefixes))


def test_what_a_value_thinks_of_an_end_is_not_what_a_checker_says() -> None:
    script: dict[str, tuple[float | None, str, bool]] = {"a": (None, "", True), "b": (None, "", True)}
    tree = Tree.rooted("t", Written(script), 0)
    search([tree], Reciting(), SearchOptions(simulations=3), value=Certain())
    assert [child.reward for child in tree.root.children] == [1.0, 1.0]
    assert tree.solved is None
    answer = answer_of(tree)
    assert (answer.steps, answer.values, answer.reward) == (("a",), (1.0,), None)
    assert not answer.solved
    rows = harvest([tree])
    assert (rows.paths, rows.pairs, rows.values) == ([], [], []), "an opinion teaches nothing"


def test_soft_values_are_those_of_the_derivation_and_all_siblings_may_be_compared() -> None:
    trees = grown(
        0, SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False), n=6
    )
    rows = harvest(trees, target="soft", signs=False, max_pairs=40)
    by_name = {tree.id: tree for tree in trees}
    worth = {(one.tree, one.node): one.value for one in rows.values}
    for (name, number), value in worth.items():
        node = by_name[name].nodes[number]
        if node.expanded:
            known = np.array([worth[name, c.id] for c in node.children if (name, c.id) in worth])
            assert value == pytest.approx(0.3 * np.log(np.mean(np.exp(known / 0.3))), abs=1e-12)
        else:
            assert value == node.reward
    each = [sum(pair.tree == tree.id for pair in rows.pairs) for tree in trees]
    assert sum(each) > 60
    assert max(each) == 40
    assert all(pair.q_chosen - pair.q_rejected >= 0.05 for pair in rows.pairs)
    assert any(pair.q_chosen < 0 for pair in rows.pairs), "both may be bad"
    assert len({pair.q_chosen - pair.q_rejected for pair in rows.pairs}) > 5, "gaps differ between steps"
    again = harvest(trees, target="soft", signs=False, max_pairs=40)
    assert again.pairs == rows.pairs


def test_a_budget_below_the_first_expansion() -> None:
    with pytest.raises(InputError, match="4 steps do not cover the 5 that follow the question"):
        search(grown(n=1), UniformPolicy(), SearchOptions(max_calls=4))


def test_all_steps_with_a_wrong_form_show_one() -> None:
    tree = Tree.rooted("t", Written({"x" * 400: (None, "two plan steps", False)}), 0)
    with pytest.raises(InputError, match="all 1 steps have a wrong form") as told:
        search([tree], Reciting(), SearchOptions())
    assert "two plan steps" in str(told.value)
    assert "x" * 200 in str(told.value)
    assert "x" * 201 not in str(told.value)


def test_no_pairs_says_why() -> None:
    trees = [Tree.rooted(f"t{i}", Countdown([1, 1, 1, 1]), i) for i in range(3)]
    search(trees, UniformPolicy(), SearchOptions(simulations=20))
    with pytest.raises(
        InputError, match="0 preference pairs from 3 trees: problems too easy/hard for this policy"
    ):
        harvest(trees).require_pairs()


def test_more_calls_than_allowed_are_never_made() -> None:
    tree = Tree.rooted("t", Countdown([1, 1, 1, 1]), 0)
    search(
        [tree], UniformPolicy(), SearchOptions(simulations=1000, max_calls=37, root_children=12, children=8)
    )
    assert tree.calls == 37


def test_it_is_fast_with_a_policy_that_costs_nothing() -> None:
    assert speed(0, trees=10)["expansions_per_second"] >= 300


def test_a_value_of_features_is_asked_in_one_batch() -> None:
    rows: list[int] = []

    class Model:
        def values(self, described: Described) -> np.ndarray:
            rows.append(len(described))
            return np.full(len(described), 3.0)

    value = ScoredValue(Model())
    trees = [Tree.rooted(f"t{i}", p, 0) for i, p in enumerate(split(0, 5, 1)[0])]
    search(trees, ScoredPolicy(LinearPolicy(np.zeros(26))), SearchOptions(simulations=1), value=value)
    assert rows == [5]
    assert all(tree.root.value == 1.0 for tree in trees), "what lies outside the scale is cut"
