"""Countdown: solved test problems at equal numbers of simulator calls, by prior, value and what the policy was trained
with.

Problems are solvable multisets of four numbers from 1 to 13; those to test on are none of those to train on. Every arm
may take the same number of steps; searches that need no learning (random plans, random depth-first) stand beside the
tree search.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.reasoning.timing import Clock
from nereus.agents.reasoner.harvest import Packing, harvest
from nereus.agents.reasoner.learning import (
    HELD_OUT,
    Learned,
    LearningOptions,
    fitting_of,
    learn,
    network_value,
    preferring_of,
)
from nereus.agents.reasoner.modes import greedy
from nereus.agents.reasoner.policy import PrefixValue, ScoredPolicy, ScoredValue, StepPolicy, UniformPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import VOCABULARY, split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl.fitting import Solutions, prefer, prefer_solutions
from nereus.models.language.cpl.linear import LinearPolicy, LinearValue
from nereus.models.language.cpl.network import NetworkPolicy
from nereus.models.language.cpl.rows import held_out
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


def greedily(problems: Sequence[Problem], policy: ScoredPolicy) -> float:
    """Share that the likeliest plan solves, without any search."""
    still = ScoredPolicy(policy.scorer, temperature=0.0)
    return float(np.mean([greedy(problem, still).solved for problem in problems]))


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


def objectives(
    trees: Sequence[Tree],
    learned: Learned,
    options: LearningOptions,
    test: Sequence[Problem],
    seed: int,
    variants: bool,
) -> dict[str, Any]:
    """SFT, DPO, Step-DPO and Step-APO from the same policy with the same number of batches: greedy and at few calls."""
    start = learned.imitation.scorer
    assert isinstance(start, NetworkPolicy)
    packing = Packing(trees)
    made: dict[str, Any] = {
        "sft": {
            "greedy": greedily(test, learned.imitation),
            "solved": solved(test, learned.imitation, TIGHT, seed),
        }
    }
    fitting = replace(
        preferring_of(options), patience=10**6
    )  # all use the same batches; only the last one may stop

    def told(policy: NetworkPolicy) -> dict[str, float]:
        scored = ScoredPolicy(policy)
        return {"greedy": greedily(test, scored), "solved": solved(test, scored, TIGHT, seed)}

    policy = NetworkPolicy(copy.deepcopy(start.network))
    for parameter in policy.network.parameters():
        parameter.requires_grad_(True)
    prefer_solutions(policy, _solutions(trees, packing, seed), StepApo(alpha=0.0), fitting)
    made["dpo"] = told(policy)
    for target in ("best", "mean") if variants else ("best",):
        pairs = harvest(trees, seed, target=target).pairs
        drawn = np.sort(np.random.default_rng(seed).permutation(len(pairs))[: options.max_pairs])
        own, aside = held_out([pairs[i] for i in drawn], HELD_OUT)
        data, stop = packing.comparison(own), packing.comparison(aside)
        arms = {
            "step_dpo": (StepApo(alpha=0.0), None),
            "step_apo": (StepApo(), None),
            "step_apo_soft": (StepApo(soft_labels=True, tau=0.5), None),
            "step_apo_early_stop": (StepApo(), stop),
        }
        for name, (objective, checked) in arms.items():
            if name in ("step_apo_soft", "step_apo_early_stop") and (target == "mean" or not variants):
                continue
            policy = NetworkPolicy(copy.deepcopy(start.network))
            for parameter in policy.network.parameters():
                parameter.requires_grad_(True)
            prefer(policy, data, objective, fitting if checked is None else preferring_of(options), checked)
            made[name if target == "best" else f"{name}_mean_values"] = told(policy)
    return made


def _solutions(trees: Sequence[Tree], packing: Packing, seed: int, each: int = 4) -> Solutions:
    """Whole solutions in pairs: solved paths beside failed ones of the same question, at most `each` a question."""
    rng = np.random.default_rng(seed)
    good, bad = [], []
    for tree in trees:
        rows = harvest([tree], seed).paths
        failed = [leaf for leaf in tree.leaves() if leaf.reward == -1.0 and not leaf.violation]
        for row in rows[:each] if failed else []:
            worse = failed[rng.integers(len(failed))].path()
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
    """All figures of one seed; without `whole`, not the value of the paper, variants of objectives and a second round."""
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
    clock("linear")
    # A small network over number symbols: prior, value, objectives, two rounds.
    options = LearningOptions(family="network", vocabulary=VOCABULARY, seed=seed, steps=STEPS, max_pairs=6000)
    network = learn(first, options)
    clock("network learned")
    as_paper = ScoredValue(network_value(described, targets, options)) if whole else None
    clock("paper's value learned")
    prior = network.imitation
    made["network"] = {
        f"calls_{calls}": {
            "uniform_prior": solved(test, uniform, calls, seed),
            "linear_prior": solved(test, learned, calls, seed),
            "prior": solved(test, prior, calls, seed),
            "shuffled_prior": solved(test, ScoredPolicy(prior.scorer, shuffled=True), calls, seed),
            "prior_and_value": solved(test, prior, calls, seed, network.value, unvisited="value"),
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
    made["objectives"] = objectives(first, network, options, test, seed, whole)
    for name in ("dpo", "step_dpo", "sft"):
        made[f"step_apo_minus_{name}"] = (
            made["objectives"]["step_apo"]["greedy"] - made["objectives"][name]["greedy"]
        )
    clock("objectives")
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
