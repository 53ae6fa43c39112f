"""SFT, DPO, Step-DPO and Step-APO from the same policy with the same number of batches and the same step size.

Step-APO stands here as the paper's code has it (hard labels, steps worth more than 0 against steps worth less) and as its
derivation has it: values are soft maxima under the policy that searched, all siblings are compared, labels are even, so
that the margin alone teaches and the optimum is finite.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.reasoning.greedy import solved_greedily
from benchmarks.reasoning.timing import Clock
from nereus.agents.reasoner.harvest import Packing, harvest
from nereus.agents.reasoner.learning import LearningOptions, learn
from nereus.agents.reasoner.policy import Request, ScoredPolicy, StepPolicy, UniformPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import VOCABULARY, Countdown, solutions_left, split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl.fitting import Fitting, Solutions, imitate, prefer, prefer_solutions
from nereus.models.language.cpl.network import NetworkPolicy
from nereus.models.language.cpl.rows import StepPair
from nereus.models.language.cpl.step_apo import StepApo

PAIRS = 12_000
"""Pairs of each objective."""
EACH = 60
"""Pairs of a tree that are drawn before."""
BATCHES = 200
RATE = 3e-4
DERIVED = StepApo(soft_labels=True, tau=float("inf"))
ARMS: dict[str, StepApo] = {
    "step_dpo": StepApo(alpha=0.0),
    "step_apo": StepApo(),
    "step_apo_derived": DERIVED,
}

TRAIN, TEST = 120, 120
CALLS = 60
GROW = SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False)


def greedily(problems: Sequence[Problem], policy: ScoredPolicy) -> float:
    """Share of the problems that the likeliest plan solves, without any search."""
    still = ScoredPolicy(policy.scorer, temperature=0.0)

    def likeliest(of: Sequence[Problem], states: Sequence[Any]) -> list[str | None]:
        asked = [Request(problem, state, 1, (0,)) for problem, state in zip(of, states, strict=True)]
        return [one[0].step if one else None for one in still.propose(asked)]

    return solved_greedily(problems, likeliest)


def told(policy: ScoredPolicy, test: Sequence[Problem], seed: int) -> dict[str, float]:
    """Share of the test problems that the likeliest plan solves, and that a search with a few calls solves."""
    trees = [Tree.rooted(str(i), problem, seed) for i, problem in enumerate(test)]
    search(trees, policy, SearchOptions(simulations=10_000, root_children=12, children=8, max_calls=CALLS))
    return {
        "greedy": greedily(test, policy),
        "solved": float(np.mean([tree.solved is not None for tree in trees])),
    }


def objectives(
    trees: Sequence[Tree], start: ScoredPolicy, test: Sequence[Problem], seed: int, dpo: bool
) -> dict[str, Any]:
    """What each objective makes of the same policy with the same trees."""
    judged = partial(told, test=test, seed=seed)
    packing = Packing(trees)
    fitting = Fitting(steps=BATCHES, batch=64, rate=RATE, seed=seed)
    made: dict[str, Any] = {"start": judged(start)}
    policy = thawed(start)
    imitate(policy, packing.imitation(harvest(trees, seed, parts=("paths",)).paths), fitting, fresh=False)
    made["sft"] = judged(ScoredPolicy(policy))
    if dpo:
        policy = thawed(start)
        prefer_solutions(policy, solutions(trees, packing, seed), StepApo(alpha=0.0), fitting)
        made["dpo"] = judged(ScoredPolicy(policy))
    for name, objective in ARMS.items():
        rows = (
            harvest(trees, seed, target="soft", signs=False, max_pairs=EACH, parts=("pairs",))
            if objective is DERIVED
            else harvest(trees, seed, target="best", max_pairs=EACH, parts=("pairs",))
        ).pairs
        drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:PAIRS])
        policy = thawed(start)
        prefer(policy, packing.comparison([rows[i] for i in drawn]), objective, fitting)
        made[name] = {**judged(ScoredPolicy(policy)), "pairs": len(drawn)}
    return made


def thawed(policy: ScoredPolicy) -> NetworkPolicy:
    """A copy that learns."""
    assert isinstance(policy.scorer, NetworkPolicy)
    network = copy.deepcopy(policy.scorer.network)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return NetworkPolicy(network)


def rightness(pairs: Sequence[StepPair], trees: Sequence[Tree]) -> dict[str, float]:
    """Share of the pairs whose better step can still reach the target, and whose worse one cannot, by the exact solver."""
    by_name = {tree.id: tree for tree in trees}
    good, bad = [], []
    for pair in pairs:
        tree = by_name[pair.tree]
        assert isinstance(tree.problem, Countdown)
        better, worse = (solutions_left(tree.nodes[i].state, tree.problem.target) for i in pair.siblings)
        good.append(better)
        bad.append(not worse)
    return {
        "pairs": len(pairs),
        "better_can_reach": float(np.mean(good)),
        "worse_cannot_reach": float(np.mean(bad)),
    }


def solutions(trees: Sequence[Tree], packing: Packing, seed: int) -> Solutions:
    """Whole solutions in pairs: solved paths beside failed ones of the same question, as many as there are pairs of steps."""
    rng = np.random.default_rng(seed)
    good, bad = [], []
    each = min(EACH, -(-PAIRS // len(trees)))
    for tree in trees:
        rows = harvest([tree], seed, max_paths=each, parts=("paths",)).paths
        failed = [leaf for leaf in tree.leaves() if leaf.reward == -1.0 and not leaf.violation]
        for k in range(each if rows and failed else 0):
            worse = failed[rng.integers(len(failed))].path()
            row = rows[k % len(rows)]
            good.append(row)
            bad.append(
                row.model_copy(
                    update={
                        "nodes": tuple(n.id for n in worse),
                        "steps": tuple(n.step for n in worse),
                        "prompts": tuple(tree.problem.prompt(n.parent.state) for n in worse if n.parent),
                        "reward": -1.0,
                    }
                )
            )
    return Solutions(
        packing.imitation(good),
        packing.imitation(bad),
        np.repeat(np.arange(len(good)), [len(one.nodes) for one in good]),
        np.repeat(np.arange(len(bad)), [len(one.nodes) for one in bad]),
    )


def one_seed(seed: int, whole: bool = True) -> dict[str, Any]:
    """All objectives from the same imitating network: on the trees that taught it, and on trees that it searched itself.

    Without `whole`, not DPO on whole solutions, which costs as much as all the rest.
    """
    clock = Clock()
    train, test = split(seed, TRAIN, TEST)
    first = _grown(train, "a", UniformPolicy(), seed)
    options = LearningOptions(
        family="network", vocabulary=VOCABULARY, seed=seed, steps=300, preferences=None, fit_value=False
    )
    start = learn(first, options).imitation
    clock("imitation learned")
    made: dict[str, Any] = {
        "pairs_by_solver": rightness(
            harvest(first, seed, target="best", max_pairs=EACH, parts=("pairs",)).pairs, first
        ),
        "first_trees": objectives(first, start, test, seed, dpo=whole),
    }
    clock("objectives on the first trees")
    own = _grown(train, "o", start, seed)
    made["own_trees"] = objectives(own, start, test, seed, dpo=False)
    clock("objectives on its own trees")
    for trees in ("first_trees", "own_trees"):
        arms = made[trees]
        made[f"{trees}_minus_sft"] = {
            name: {part: arms[name][part] - arms["sft"][part] for part in ("greedy", "solved")}
            for name in arms
            if name not in ("sft", "start")
        }
    return {**made, "seconds": clock.told}


def _grown(problems: Sequence[Problem], name: str, policy: StepPolicy, seed: int) -> list[Tree]:
    trees = [Tree.rooted(f"{name}{i:04d}", problem, seed) for i, problem in enumerate(problems)]
    search(trees, policy, GROW)
    return trees
