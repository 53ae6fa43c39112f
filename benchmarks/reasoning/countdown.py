"""Countdown: solved test problems at equal numbers of simulator calls, by prior and value.

Problems are solvable multisets of four numbers from 1 to 13; those to test on are none of those to train on. Every arm
may take the same number of steps; searches that need no learning (random plans, random depth-first) and plans that are
drawn from the learned policy without any tree stand beside the tree search. What of a learned value is memory of prefixes
that occurred in training is told by a table of exactly these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reasoning.objectives import greedily
from benchmarks.reasoning.timing import Clock
from nereus.agents.reasoner.harvest import Packing, harvest
from nereus.agents.reasoner.learning import (
    Learned,
    LearningOptions,
    fitting_of,
    learn,
    network_value,
    preferring_of,
)
from nereus.agents.reasoner.modes import greedy
from nereus.agents.reasoner.policy import (
    PrefixValue,
    Request,
    ScoredPolicy,
    ScoredValue,
    StepPolicy,
    UniformPolicy,
)
from nereus.agents.reasoner.problem import Problem, State
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import VOCABULARY, split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl.linear import LinearPolicy, LinearValue
from nereus.models.language.cpl.step_apo import StepApo

TRAIN, TEST = 220, 120
GROW = SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False)
CALLS = (60, 120)
"""Simulator calls of a problem with networks, which solve nearly everything with as many as the headline allows."""
HEADLINE = 220
"""Simulator calls that a uniform search of 40 simulations takes."""
TIGHT = 60
LINEAR_PAIRS = 2000
STEPS = 500
"""Most batches of imitation; preferences take a quarter, values twice as many."""


def solved(
    problems: Sequence[Problem],
    policy: StepPolicy,
    calls: int,
    seed: int,
    value: PrefixValue | None = None,
    **options: Any,
) -> float:
    """Share of the problems that are solved within so many simulator calls."""
    trees = [Tree.rooted(str(i), problem, seed) for i, problem in enumerate(problems)]
    search(
        trees,
        policy,
        SearchOptions(simulations=10_000, root_children=12, children=8, max_calls=calls, **options),
        value=value,
    )
    assert max(tree.calls for tree in trees) <= calls
    return float(np.mean([tree.solved is not None for tree in trees]))


def random_plans(problems: Sequence[Problem], calls: int, seed: int) -> float:
    """Share solved by drawing whole plans at random until the calls are used up."""
    found = 0
    for number, problem in enumerate(problems):
        rng = np.random.default_rng((seed, number))
        left, done = calls, False
        while left > 0 and not done:
            state, ended = problem.start(), False
            while left > 0 and not ended:
                moves = problem.moves(state)
                turn = problem.play(state, moves[rng.integers(len(moves))])
                state, ended, left = turn.state, turn.ended, left - 1
                done = turn.reward == 1.0
        found += done
    return found / len(problems)


def drawn_plans(problems: Sequence[Problem], policy: StepPolicy, calls: int, seed: int) -> float:
    """Share solved by drawing whole plans from a policy until the calls are used up: its search without a tree."""
    states = [problem.start() for problem in problems]
    open_ones, solved_ones = list(range(len(problems))), 0
    for call in range(calls):  # all problems advance together, so that a network is asked in batches
        asked = [Request(problems[i], states[i], 1, (seed, i, call)) for i in open_ones]
        still = []
        for i, proposed in zip(open_ones, policy.propose(asked), strict=True):
            turn = problems[i].play(states[i], proposed[0].step)
            states[i] = problems[i].start() if turn.ended else turn.state
            if turn.reward == 1.0:
                solved_ones += 1
            else:
                still.append(i)
        open_ones = still
        if not open_ones:
            break
    return solved_ones / len(problems)


@dataclass
class Remembered:
    """What prefixes of the training trees are worth, by the numbers that are left; 0 for all others. A value that does not
    generalise: what a learned one adds to it is more than memory."""

    known: dict[Any, float]
    id: str = "remembered"

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> Remembered:
        """The best reward behind each set of numbers, over all trees."""
        known: dict[Any, float] = {}
        for tree in trees:
            nodes = {(tree.id, node.id): node for node in tree.nodes}
            for one in harvest([tree], target="best").values:
                left = nodes[(one.tree, one.node)].state[0]  # type: ignore[index]
                known[left] = max(one.value, known.get(left, -1.0))
        return cls(known)

    def values(self, prefixes: Sequence[tuple[Problem, State]]) -> np.ndarray:
        """See `PrefixValue`."""
        return np.array([self.known.get(state[0], 0.0) for _, state in prefixes])  # type: ignore[index]


def depth_first(problems: Sequence[Problem], calls: int, seed: int) -> float:
    """Share solved by going through everything depth first, in random order."""
    found = 0
    for number, problem in enumerate(problems):
        rng = np.random.default_rng((seed, number))
        stack, left, done = [problem.start()], calls, False
        while stack and left > 0 and not done:
            state = stack.pop()
            moves = problem.moves(state)
            for i in rng.permutation(len(moves)):
                if left == 0:
                    break
                turn = problem.play(state, moves[i])
                left -= 1
                done = done or turn.reward == 1.0
                if not turn.ended:
                    stack.append(turn.state)
        found += done
    return found / len(problems)


def grown(problems: Sequence[Problem], name: str, policy: StepPolicy, seed: int) -> list[Tree]:
    """Trees to learn from."""
    trees = [Tree.rooted(f"{name}{i:04d}", problem, seed) for i, problem in enumerate(problems)]
    search(trees, policy, GROW)
    return trees


def one_seed(seed: int, whole: bool = True) -> dict[str, Any]:
    """All figures of one seed; without `whole`, not the value of the paper and a second round."""
    clock = Clock()
    train, test = split(seed, TRAIN, TEST)
    first = grown(train, "a", UniformPolicy(), seed)
    clock("grown")
    uniform = UniformPolicy()
    made: dict[str, Any] = {
        "solved_uniform_prior": solved(test, uniform, HEADLINE, seed),
        "baselines": {
            "random_plans": random_plans(test, HEADLINE, seed),
            "depth_first": depth_first(test, HEADLINE, seed),
            "uniform_greedy": float(np.mean([greedy(problem, uniform, seed).solved for problem in test])),
        },
    }
    # Weighted features; the value as the paper has it, whose targets are mean rewards.
    rows = harvest(first, seed)
    packing = Packing(first)
    linear = LinearPolicy(np.zeros(len(packing.imitation(rows.paths[:1]).choices.rows.features[0])))
    linear.imitate(packing.imitation(rows.paths))
    after = linear.copy()
    pairs = harvest(first, seed, target="best").pairs
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:LINEAR_PAIRS]
    after.prefer(packing.comparison([pairs[i] for i in drawn]), StepApo())
    described, targets = packing.values(rows.values)
    value = ScoredValue(LinearValue.fit(described, targets))
    learned = ScoredPolicy(linear)
    made["solved_learned_prior"] = solved(test, learned, HEADLINE, seed)
    made["learned_prior_gain"] = made["solved_learned_prior"] - made["solved_uniform_prior"]
    made["linear"] = {
        "solved_shuffled_prior": solved(test, ScoredPolicy(linear, shuffled=True), HEADLINE, seed),
        "solved_with_value": solved(test, learned, HEADLINE, seed, value),
        "uniform_with_value": solved(test, uniform, HEADLINE, seed, value),
        "step_apo_prior": solved(test, ScoredPolicy(after), HEADLINE, seed),
        "greedy": greedily(test, learned),
        "greedy_step_apo": greedily(test, ScoredPolicy(after)),
    }
    made["one_by_one"] = {
        "solved_uniform_prior": solved(test, uniform, HEADLINE, seed, steps="one"),
        "solved_learned_prior": solved(test, learned, HEADLINE, seed, steps="one"),
        "solved_shuffled_prior": solved(
            test, ScoredPolicy(linear, shuffled=True), HEADLINE, seed, steps="one"
        ),
        "solved_with_value": solved(test, learned, HEADLINE, seed, value, steps="one"),
    }
    clock("linear")
    made["drawn_plans"] = {
        "uniform": made["baselines"]["random_plans"],
        "linear": drawn_plans(test, learned, HEADLINE, seed),
    }
    # A small network over number symbols: prior, value, objectives, two rounds.
    options = LearningOptions(family="network", vocabulary=VOCABULARY, seed=seed, steps=STEPS, max_pairs=6000)
    network = learn(first, options)
    clock("network learned")
    as_paper = ScoredValue(network_value(described, targets, options)) if whole else None
    clock("paper's value learned")
    prior, remembered = network.imitation, Remembered.of(first)
    made["network"] = {
        f"calls_{calls}": {
            "uniform_prior": solved(test, uniform, calls, seed),
            "linear_prior": solved(test, learned, calls, seed),
            "prior": solved(test, prior, calls, seed),
            "one_by_one_uniform_prior": solved(test, uniform, calls, seed, steps="one"),
            "one_by_one_prior": solved(test, prior, calls, seed, steps="one"),
            "one_by_one_linear_prior": solved(test, learned, calls, seed, steps="one"),
            "one_by_one_prior_and_value": solved(test, prior, calls, seed, network.value, steps="one"),
            "shuffled_prior": solved(test, ScoredPolicy(prior.scorer, shuffled=True), calls, seed),
            "drawn_plans_of_uniform": drawn_plans(test, uniform, calls, seed),
            "drawn_plans_of_linear": drawn_plans(test, learned, calls, seed),
            "drawn_plans_of_prior": drawn_plans(test, prior, calls, seed),
            "prior_and_value": solved(test, prior, calls, seed, network.value, unvisited="value"),
            "prior_and_remembered_value": solved(test, prior, calls, seed, remembered, unvisited="value"),
            **(
                {"prior_and_value_of_the_paper": solved(test, prior, calls, seed, as_paper)}
                if as_paper
                else {}
            ),
            "linear_prior_and_value": solved(test, learned, calls, seed, network.value, unvisited="value"),
        }
        for calls in CALLS
    }
    tight = made["network"][f"calls_{TIGHT}"]
    made["value_gain"] = tight["prior_and_value"] - tight["prior"]
    made["value_gain_on_linear_prior"] = tight["linear_prior_and_value"] - tight["linear_prior"]
    clock("network searched")
    made["value_gain_over_memory"] = tight["prior_and_value"] - tight["prior_and_remembered_value"]
    made["rounds"] = {
        "round_0": {"greedy": made["baselines"]["uniform_greedy"], "found": tight["uniform_prior"]}
    }
    made["rounds"]["round_1"] = _round(network, test, seed)
    if whole:
        second = learn(
            grown(train, "b", network.policy, seed), options.model_copy(update={"fit_value": False})
        )
        made["rounds"]["round_2"] = _round(second, test, seed)
    clock("second round")
    made["batches"] = {"imitation": fitting_of(options).steps, "preferences": preferring_of(options).steps}
    made["seconds"] = clock.told
    return made


def _round(learned: Learned, test: Sequence[Problem], seed: int) -> dict[str, float]:
    return {
        "greedy_sft": greedily(test, learned.imitation),
        "greedy": greedily(test, learned.policy),
        "found": solved(test, learned.policy, TIGHT, seed),
        "training": {name: float(value) for name, value in learned.facts.items()},
    }
