"""Word problems of GSM8K that can be worked with the quantities of their text: solved by search, and answered without a
checker.

Search with the checker tells how soon a right answer is found; greedy answers, the best of drawn plans and searches by
value alone are what a user without a checker gets. A right number may be reached by a wrong way: the checker sees the
number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reasoning.countdown import depth_first, drawn_plans, random_plans
from benchmarks.reasoning.objectives import greedily
from benchmarks.reasoning.timing import Clock
from nereus.agents.reasoner.learning import LearningOptions, learn
from nereus.agents.reasoner.policy import PrefixValue, ScoredPolicy, StepPolicy, UniformPolicy
from nereus.agents.reasoner.problem import State, Turn
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.word_problems import WordProblem, load
from nereus.agents.reasoner.tree import Tree

TRAIN, TEST = 240, 120
CALLS = 120
GROW = SearchOptions(simulations=60, root_children=12, children=8, stop_when_solved=False)


class Unchecked(WordProblem):
    """The same without its checker: what a user's question is."""

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        turn = super().play(state, step)
        return Turn(turn.state, turn.ended, None if not turn.violation else -1.0, turn.violation)


def solved(
    problems: Sequence[WordProblem],
    policy: StepPolicy,
    seed: int,
    value: PrefixValue | None = None,
    **options: Any,
) -> float:
    """Share of the problems of which a right answer is found within `CALLS` steps, by the checker."""
    trees = [Tree.rooted(str(i), problem, seed) for i, problem in enumerate(problems)]
    growing = SearchOptions(
        simulations=10_000,
        root_children=12,
        children=8,
        max_calls=CALLS,
        unvisited="value" if value else "zero",
        **options,
    )
    search(trees, policy, growing, value=value)
    return float(np.mean([tree.solved is not None for tree in trees]))


def answered(problems: Sequence[WordProblem], policy: StepPolicy, value: PrefixValue, seed: int) -> float:
    """Share that the most visited plan of a search without a checker answers rightly."""
    unchecked = [Unchecked(one.question, one.answer) for one in problems]
    trees = [Tree.rooted(str(i), problem, seed) for i, problem in enumerate(unchecked)]
    search(
        trees,
        policy,
        SearchOptions(simulations=10_000, root_children=12, children=8, max_calls=CALLS),
        value=value,
    )
    right = 0
    for tree, problem in zip(trees, problems, strict=True):
        ends = list(tree.leaves())
        if ends:
            best = max(
                ends, key=lambda leaf: (leaf.prior * (leaf.parent.visits if leaf.parent else 0), -leaf.id)
            )
            above = best.parent
            assert above is not None
            right += problem.play(above.state, best.step).reward == 1.0
    return right / len(problems)


def one_seed(seed: int, data: Path) -> dict[str, Any]:
    """All figures of one seed."""
    clock = Clock()
    train, left = load(data / "gsm8k" / "train.jsonl.gz")
    test, left_test = load(data / "gsm8k" / "test.jsonl.gz")
    rng = np.random.default_rng(seed)
    kept = {
        "train": len(train),
        "test": len(test),
        "left_out_of_train": sum(left.values()),
        "left_out_of_test": sum(left_test.values()),
    }
    train = [train[i] for i in rng.permutation(len(train))[:TRAIN]]
    test = [test[i] for i in rng.permutation(len(test))[:TEST]]
    trees = [Tree.rooted(f"t{i:04d}", problem, seed) for i, problem in enumerate(train)]
    search(trees, UniformPolicy(), GROW)
    clock("grown")
    learned = learn(trees, LearningOptions(seed=seed, max_pairs=1500))
    clock("learned")
    assert learned.value is not None
    uniform, prior = UniformPolicy(), learned.imitation
    made: dict[str, Any] = {
        "solved_uniform_prior": solved(test, uniform, seed),
        "solved_learned_prior": solved(test, prior, seed),
        "solved_shuffled_prior": solved(test, ScoredPolicy(prior.scorer, shuffled=True), seed),
        "solved_step_apo_prior": solved(test, learned.policy, seed),
        "solved_learned_prior_and_value": solved(test, prior, seed, learned.value),
        "one_by_one": {
            "solved_uniform_prior": solved(test, uniform, seed, steps="one"),
            "solved_learned_prior": solved(test, prior, seed, steps="one"),
            "solved_learned_prior_and_value": solved(test, prior, seed, learned.value, steps="one"),
        },
        "baselines": {
            "random_plans": random_plans(test, CALLS, seed),
            "depth_first": depth_first(test, CALLS, seed),
            "drawn_plans_of_learned_prior": drawn_plans(test, prior, CALLS, seed),
        },
        "without_checker": {
            "greedy_untrained": greedily(test, ScoredPolicy(_Even())),
            "greedy_sft": greedily(test, prior),
            "greedy_step_apo": greedily(test, learned.policy),
            "search_by_value": answered(test, prior, learned.value, seed),
        },
    }
    made["learned_prior_gain"] = made["solved_learned_prior"] - made["solved_uniform_prior"]
    clock("searched")
    return {**made, "problems": kept, "facts": learned.facts, "seconds": clock.told}


class _Even:
    """Every step scores the same."""

    def scores(self, rows: Any) -> np.ndarray:
        return np.zeros(len(rows))
