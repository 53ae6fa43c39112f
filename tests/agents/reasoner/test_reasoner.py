"""Solving, learning and keeping: the graph, the database, and a search that is stopped and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver

from nereus.agents.reasoner.graph import ReasonServices, build_reason_graph, run_reason_graph
from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.kept import TreeKeeper
from nereus.agents.reasoner.learning import LearningOptions, learn
from nereus.agents.reasoner.policy import Request, SampledPolicy, ScoredPolicy, UniformPolicy
from nereus.agents.reasoner.reasoner import Reasoner
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import VOCABULARY, Countdown, split
from nereus.agents.reasoner.tree import Tree
from nereus.errors import InputError, NotFound
from nereus.memory.database import Database
from nereus.memory.trees import Trees
from nereus.models.language.cpl.rows import StepPair
from nereus.models.language.cpl.sampling import Sample

OPTIONS = SearchOptions(simulations=60, root_children=8, children=5, stop_when_solved=False)
PROBLEM = Countdown([2, 3, 5, 12])


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    yield Trees(database)
    database.close()


def shape(tree: Tree) -> list[tuple[object, ...]]:
    return [
        (
            n.id,
            n.parent.id if n.parent else None,
            n.step,
            n.prior,
            n.tie,
            n.visits,
            n.total,
            n.reward,
            n.closed,
            n.state,
        )
        for n in tree.nodes
    ]


def test_the_graph_keeps_the_tree_and_the_pairs(trees: Trees) -> None:
    services = ReasonServices(PROBLEM, UniformPolicy(), TreeKeeper(trees), OPTIONS, seed=4, block=10)
    state, answer = run_reason_graph(services, "one", InMemorySaver())
    assert answer.tree is not None
    assert set(state) <= {
        "tree_id", "root_state", "sims_done", "sims_max", "calls", "best_path", "values", "reward", "n_pairs",
    }  # fmt: skip
    assert (state["sims_done"], state["sims_max"]) == (answer.tree.simulations, 60)
    assert state["best_path"] == list(answer.steps)
    kept = TreeKeeper(trees).load("one", PROBLEM)
    assert shape(kept) == shape(answer.tree)
    pairs = [StepPair.model_validate_json(one) for one in trees.preferences("countdown")]
    assert len(pairs) == state["n_pairs"]
    assert all(pair.q_chosen > 0 > pair.q_rejected for pair in pairs)
    assert trees.preferences("another") == []
    head = trees.tree("one")
    assert (head.simulations, head.document["policy"]) == (answer.tree.simulations, "uniform")
    with pytest.raises(NotFound, match="no tree 'two'"):
        trees.tree("two")
    with pytest.raises(InputError, match="is of 'make 24 of 2 3 5 12'"):
        TreeKeeper(trees).load("one", Countdown([1, 2, 3, 4]))


def test_a_search_that_was_stopped_ends_as_one_that_was_not(trees: Trees) -> None:
    whole = Tree.rooted("stopped", PROBLEM, 4)
    search([whole], UniformPolicy(), OPTIONS)
    services = ReasonServices(PROBLEM, UniformPolicy(), TreeKeeper(trees), OPTIONS, seed=4, block=7)
    graph = build_reason_graph()
    for done, _ in enumerate(graph.stream({"tree_id": "stopped"}, context=services)):
        if done == 3:  # init_root and three blocks: the process ends here
            break
    assert 0 < trees.tree("stopped").simulations < 60
    other = ReasonServices(PROBLEM, UniformPolicy(), TreeKeeper(trees), OPTIONS, seed=4, block=25)
    _, answer = run_reason_graph(other, "stopped")
    assert answer.tree is not None
    assert shape(answer.tree) == shape(whole)
    assert shape(TreeKeeper(trees).load("stopped", PROBLEM)) == shape(whole)


def test_only_what_changed_is_written(trees: Trees) -> None:
    keeper = TreeKeeper(trees)
    tree = Tree.rooted("t", PROBLEM, 0)
    assert keeper.save(tree) == 1
    search([tree], UniformPolicy(), OPTIONS, simulations=1)
    assert keeper.save(tree) == len(tree.nodes)
    assert keeper.save(tree) == 0
    search([tree], UniformPolicy(), OPTIONS, simulations=1)
    assert keeper.save(tree) < len(tree.nodes)


def test_a_run_takes_its_trees_along(tmp_path: Path) -> None:
    from nereus.memory.runs import RunRepository
    from tests.memory.factories import header

    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    runs, trees = RunRepository(database), Trees(database)
    run = runs.create_run(header())
    reasoner = Reasoner(store=trees, run_id=run.id, options=OPTIONS)
    reasoner.solve(PROBLEM)
    assert [tree.run_id for tree in trees.find(run.id)] == [run.id]
    runs.delete_run(run.id)
    assert trees.find() == []
    assert trees.preferences() == []
    database.close()


def test_it_learns_and_the_next_reasoner_knows(trees: Trees) -> None:
    train, test = split(0, 60, 25)
    first = Reasoner(
        options=SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False),
        store=trees,
    )
    for problem in train:
        first.solve(problem)
    tight = SearchOptions(simulations=1000, root_children=12, children=8, max_calls=60, steps="one")
    before = Reasoner(options=tight)
    unlearned = sum(before.solve(problem).solved for problem in test)
    learned = first.learn(first.trees)
    assert learned.facts["solved"] > 0.5
    assert learned.facts["pairs"] > 100
    assert first.policy is learned.policy
    second = Reasoner(options=tight, store=trees)
    solved = [second.solve(problem) for problem in test]
    assert sum(one.solved for one in solved) > unlearned + 3
    assert str(trees.tree(solved[0].tree.id).document["policy"]).startswith("fit countdown-1-")  # type: ignore[union-attr]
    assert all(tree.problem == "countdown" for tree in trees.find())


def test_a_kept_search_is_not_taken_for_one_with_another_policy_value_or_checker(trees: Trees) -> None:
    grow = SearchOptions(simulations=60, root_children=12, children=8, stop_when_solved=False)
    train, test = split(0, 40, 1)
    reasoner = Reasoner(options=grow, store=trees)
    for problem in train[:20]:
        reasoner.solve(problem)
    first = reasoner.learn(reasoner.trees)
    one = reasoner.solve(test[0])
    for problem in train[20:]:
        reasoner.solve(problem)
    second = reasoner.learn([tree for tree in reasoner.trees if tree.problem is not test[0]])
    assert second.policy.id != first.policy.id
    two = reasoner.solve(test[0])
    assert one.tree is not None
    assert two.tree is not None
    assert two.tree.id != one.tree.id, "the second round searches with what it learned"
    other = Reasoner(reasoner.policy, None, options=grow, store=trees).solve(test[0])
    assert other.tree is not None
    assert other.tree.id != two.tree.id, "without the value it is another search"
    assert Reasoner(store=trees)._models(test[0])[0].id.startswith("fit countdown-2-")
    judged = Reasoner(SampledPolicy(Typist()), Sure(), store=trees)  # type: ignore[arg-type]
    assert not judged.solve("How many eggs?").solved, "nobody checked it"
    assert judged.solve("How many eggs?", lambda text: text == "19").solved


class Sure:
    id = "sure"

    def values(self, prefixes: list[object]) -> np.ndarray:
        return np.ones(len(prefixes))


def test_learned_networks_are_not_kept_and_hide_nothing(trees: Trees) -> None:
    grow = SearchOptions(simulations=80, root_children=12, children=8, stop_when_solved=False)
    reasoner = Reasoner(options=grow, store=trees)
    for problem in split(0, 25, 1)[0]:
        reasoner.solve(problem)
    kept = list(reasoner.trees)
    reasoner.learning = LearningOptions(fit_value=False)
    reasoner.learn(kept)
    policy, value = Reasoner(store=trees)._models(PROBLEM)
    assert policy.id.startswith("fit countdown-1-")
    assert value is None
    reasoner.learning = LearningOptions(family="network", vocabulary=VOCABULARY, width=8, steps=4)
    reasoner.learn(kept)
    assert Reasoner(store=trees)._models(PROBLEM)[0].id == policy.id


def test_pairs_of_one_owner_are_not_anothers(tmp_path: Path) -> None:
    from nereus.memory.runs import RunRepository
    from tests.memory.factories import header

    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    runs, trees = RunRepository(database), Trees(database)
    for owner, numbers in (("ada", [1, 2, 3, 4]), ("bob", [2, 3, 4, 6])):
        run = runs.create_run(header(), owner)
        Reasoner(store=trees, run_id=run.id, options=OPTIONS).solve(Countdown(numbers))
    Reasoner(store=trees, options=OPTIONS).solve(PROBLEM)  # of no run, and nobody's
    assert [tree.question for tree in trees.find(owner="ada")] == ["make 24 of 1 2 3 4"]
    assert trees.find(owner="eve") == []
    assert len(trees.find()) == 3
    mine, all_pairs = trees.preferences(owner="ada"), trees.preferences()
    assert mine
    assert all("make 24 of 1 2 3 4" in one for one in mine)
    assert len(mine) < len(all_pairs)
    assert trees.preferences("countdown", owner="ada") == mine
    assert trees.preferences(owner="eve") == []
    database.close()


def test_a_slower_process_does_not_undo_what_a_faster_one_wrote(trees: Trees) -> None:
    whole, half = Tree.rooted("t", PROBLEM, 0), Tree.rooted("t", PROBLEM, 0)
    search([whole], UniformPolicy(), OPTIONS)
    search([half], UniformPolicy(), OPTIONS, simulations=20)
    TreeKeeper(trees).save(whole)
    TreeKeeper(trees).save(half)
    assert shape(TreeKeeper(trees).load("t", PROBLEM)) == shape(whole)


def test_modes_and_budget() -> None:
    assert Reasoner(mode="greedy").solve(PROBLEM).calls == 3
    assert Reasoner(mode="best_of_n").solve(PROBLEM, budget=2).calls <= 6
    made = Reasoner().solve(PROBLEM, budget=3)
    assert made.tree is not None
    assert made.tree.simulations <= 3
    with pytest.raises(InputError, match="a budget of 0"):
        Reasoner().solve(PROBLEM, budget=0)
    with pytest.raises(InputError, match="no trees"):
        Reasoner().learn([])


def test_nothing_is_learned_from_what_was_never_solved() -> None:
    reasoner = Reasoner()
    reasoner.solve(Countdown([1, 1, 1, 1]))
    with pytest.raises(InputError, match="0 solved paths from 1 trees"):
        reasoner.learn(reasoner.trees)
    other = Tree.rooted("w", PROBLEM, 0)
    other.problem = type("Other", (Countdown,), {"name": "other"})([1, 2, 3])
    with pytest.raises(InputError, match="not described alike"):
        reasoner.learn([*reasoner.trees, other])


def test_a_network_is_learned_in_the_same_way() -> None:
    trees = [Tree.rooted(f"t{i}", p, 0) for i, p in enumerate(split(0, 25, 1)[0])]
    search(
        trees,
        UniformPolicy(),
        SearchOptions(simulations=80, root_children=12, children=8, stop_when_solved=False),
    )
    options = LearningOptions(family="network", vocabulary=VOCABULARY, width=16, steps=40)
    made, again = learn(trees, options), learn(trees, options)
    rows = PROBLEM.describe(PROBLEM.start(), PROBLEM.moves(PROBLEM.start()))
    assert (made.policy.scorer.scores(rows) == again.policy.scorer.scores(rows)).all(), (
        "equal seeds give equal networks"
    )
    assert (made.policy.scorer.scores(rows) != made.imitation.scorer.scores(rows)).any()
    assert made.value is not None
    assert np.abs(made.value.values([(PROBLEM, PROBLEM.start())])).max() <= 1


class Typist:
    """A language model that writes one of three replies."""

    id = "typist"

    def sample(self, prompts: list[str], counts: list[int], seeds: list[int]) -> list[list[Sample]]:
        del seeds
        made = []
        for prompt, count in zip(prompts, counts, strict=True):
            ends = [
                Sample("<solution>\\boxed{19}</solution>", -0.2),
                Sample("<solution>\\boxed{20}</solution>", -0.1),
            ]
            steps = [
                Sample("<step>Count the rows.</step>", -0.5),
                Sample("<step>Count the rows.</step>", -0.5),
            ]
            made.append((ends if "Count" in prompt else [*steps, ends[1]])[:count])
        return made


def test_questions_in_words_are_planned_and_answered() -> None:
    reasoner = Reasoner(SampledPolicy(Typist()))  # type: ignore[arg-type]
    answer = reasoner.solve("How many eggs?", lambda text: text == "19")
    assert answer.steps == ("<step>Count the rows.</step>", "<solution>\\boxed{19}</solution>")
    assert answer.solved
    assert answer.tree is not None
    assert [child.prior for child in answer.tree.root.children] == pytest.approx([np.exp(-0.5), np.exp(-0.1)])
    pairs = harvest(reasoner.trees).pairs
    assert [(p.kind, p.q_chosen, p.q_rejected) for p in pairs] == [("solution", 0.3, -0.3)]
    with pytest.raises(InputError, match="nothing to back up"):
        Reasoner(SampledPolicy(Typist())).solve("How many eggs?")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no typed step"):
        Reasoner().solve("How many eggs?", lambda text: True)
    request = Request(PROBLEM, PROBLEM.start(), 99, (0,))
    assert ScoredPolicy(_Zeros()).propose([request])[0]


class _Zeros:
    def scores(self, rows: object) -> np.ndarray:
        return np.zeros(len(rows))  # type: ignore[arg-type]
