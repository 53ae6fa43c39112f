"""A transformer that is made from scratch over the text of countdown: SFT, then DPO, Step-DPO and Step-APO from the same weights.

Trees are grown with uniform priors on questions that are not those of the test; the model imitates their solved paths, then each
objective gets the same number of batches. Judged is the likeliest plan, without any search, by the exact checker.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.reasoning.greedy import solved_greedily
from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl.causal import (
    CausalFitting,
    Characters,
    from_scratch,
    imitate,
    prefer,
    prefer_solutions,
)
from nereus.models.language.cpl.rows import SolutionPath
from nereus.models.language.cpl.sampling import LocalSampler
from nereus.models.language.cpl.step_apo import StepApo
from nereus.models.training.device import resolve

GROW = SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False)
DERIVED = StepApo(soft_labels=True, tau=float("inf"))
ALPHABET = Characters.of(["0123456789+-*/=()make of left:;, "])


def measured(scale: dict[str, Any], seed: int, device: str) -> dict[str, Any]:
    """Share of the test questions that each policy solves greedily, and how fast it learned."""
    place = resolve(device)
    train, test = split(seed, scale["questions"], scale["test"])
    trees = [Tree.rooted(f"q{i:04d}", problem, seed) for i, problem in enumerate(train)]
    search(trees, UniformPolicy(), GROW)
    rows = harvest(trees, seed, target="best", max_pairs=scale["pairs_each"])
    model: Any = from_scratch(len(ALPHABET), **scale["model"], seed=seed).to(place)
    start = time.perf_counter()
    paths = harvest(trees, seed, max_paths=scale["paths_each"]).paths
    fit = CausalFitting(
        epochs=scale["epochs"],
        batch=scale["batch"],
        rate=scale["rate"],
        cutoff=scale["model"]["context"],
        seed=seed,
    )
    course = imitate(model, ALPHABET, paths, fit)
    made: dict[str, Any] = {
        "parameters": sum(one.numel() for one in model.parameters()),
        "paths": len(paths),
        "pairs": len(rows.pairs),
        "imitation_tokens_per_second": course.tokens / (time.perf_counter() - start),
        "solved": {"sft": solved(model, test)},
    }
    soft = harvest(trees, seed, target="soft", signs=False, max_pairs=scale["pairs_each"]).pairs
    rate = {"rate": scale["rate"] / 10, "epochs": 10**6, "steps": scale["preferring"]}
    again = CausalFitting(**{**fit.__dict__, **rate})
    arms = {
        "sft_longer": lambda m: imitate(m, ALPHABET, paths, again),
        "dpo": lambda m: prefer_solutions(m, ALPHABET, _solutions(trees, seed), StepApo(alpha=0.0), again),
        "step_dpo": lambda m: prefer(m, ALPHABET, rows.pairs, StepApo(alpha=0.0), again),
        "step_apo": lambda m: prefer(m, ALPHABET, rows.pairs, StepApo(), again),
        "step_apo_derived": lambda m: prefer(m, ALPHABET, soft, DERIVED, again),
    }
    for name, learn in arms.items():
        twin = copy.deepcopy(model)
        start = time.perf_counter()
        course = learn(twin)
        made[f"{name}_tokens_per_second"] = course.tokens / (time.perf_counter() - start)
        made["solved"][name] = solved(twin, test)
    if place.type == "cuda":
        made["device"] = torch.cuda.get_device_name(place)
    return made


def solved(model: Any, test: Sequence[Problem], longest: int = 24) -> float:
    """Share of the questions that the likeliest plan solves."""
    sampler = LocalSampler(model, ALPHABET, temperature=0.0, most_tokens=longest)

    def likeliest(of: Sequence[Problem], states: Sequence[Any]) -> list[str | None]:
        asked = [problem.prompt(state) for problem, state in zip(of, states, strict=True)]
        return [drawn[0].text for drawn in sampler.sample(asked, [1] * len(asked), [0] * len(asked))]

    return solved_greedily(test, likeliest)


def _solutions(trees: Sequence[Tree], seed: int, each: int = 12) -> list[tuple[SolutionPath, SolutionPath]]:
    """Solved paths beside failed ones of the same question."""
    rng = np.random.default_rng(seed)
    made = []
    for tree in trees:
        good = harvest([tree], seed, max_paths=each).paths
        bad = [leaf for leaf in tree.leaves() if leaf.reward == -1.0 and not leaf.violation]
        for k in range(each if good and bad else 0):
            path = bad[rng.integers(len(bad))].path()
            worse = SolutionPath(
                question=tree.problem.question,
                prompts=tuple(tree.problem.prompt(n.parent.state) for n in path if n.parent),
                steps=tuple(n.step for n in path),
                reward=-1.0,
            )
            made.append((good[k % len(good)], worse))
    return made
