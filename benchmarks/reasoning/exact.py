"""What can be computed exactly: the loss against its formula, its gradient against differences, and the optimum that it
has.

The tree is tabular (depth 3, branching 4, rewards at its ends, uniform reference, beta 0.3), so that the best policy is
known. Labels of the step-level Bradley-Terry model give it back under Step-APO; DPO on the same labels does not; hard
labels ("the higher value wins") give it back under neither.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.optimize import minimize

from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl.choices import Choices, Comparison, Described
from nereus.models.language.cpl.linear import LinearPolicy
from nereus.models.language.cpl.step_apo import StepApo, loss, pull

DEPTH, BRANCHING, BETA = 3, 4, 0.3
HARD_STEPS = 6000


def formulas(seed: int) -> dict[str, float]:
    """Largest errors of loss and gradients, against what is written out here and central differences."""
    rng = np.random.default_rng(seed)
    n = 64
    a, b = rng.normal(size=(2, n)) * 3
    q_w, q_l = rng.uniform(-1, 1, (2, n))
    worst = 0.0
    for options in (StepApo(), StepApo(alpha=0.0), StepApo(beta=0.7, alpha=0.5, soft_labels=True, tau=0.4)):
        z = options.beta * (a - b) - options.alpha * (q_w - q_l)
        p = 1 / (1 + np.exp(-(q_w - q_l) / options.tau)) if options.soft_labels else np.ones(n)
        written = -p * np.log(1 / (1 + np.exp(-z))) - (1 - p) * np.log(1 / (1 + np.exp(z)))
        worst = max(worst, float(np.abs(loss(a, b, q_w, q_l, options) - written).max()))
    options, h = StepApo(), 1e-6
    numeric = (loss(a + h, b, q_w, q_l, options) - loss(a - h, b, q_w, q_l, options)) / (2 * h)
    slope = float(np.abs(pull(a, b, q_w, q_l, options) - numeric).max())
    # The gradient of the linear policy, by differences in every weight.
    sets = [Described.of(rng.normal(size=(5, 6))) for _ in range(20)]
    data = Comparison(
        Choices.of(sets),
        rng.integers(0, 2, 20),
        rng.integers(2, 5, 20),
        rng.uniform(0, 1, 20),
        rng.uniform(-1, 0, 20),
    )
    policy, reference = LinearPolicy(rng.normal(size=6)), LinearPolicy(rng.normal(size=6))
    _, gradient = policy.preference_loss(data, reference, options)
    differences = []
    for i in range(6):
        step = np.eye(6)[i] * h
        up, _ = LinearPolicy(policy.weights + step).preference_loss(data, reference, options)
        down, _ = LinearPolicy(policy.weights - step).preference_loss(data, reference, options)
        differences.append((up - down) / (2 * h))
    return {
        "loss_error": worst,
        "gradient_error": slope,
        "linear_gradient_error": float(np.abs(gradient - np.array(differences)).max()),
    }


def recovery(seed: int) -> dict[str, float]:
    """Mean divergence from the best policy after Step-APO and DPO, with Bradley-Terry and with hard labels."""
    rng = np.random.default_rng(seed)
    levels = [BRANCHING**d for d in range(DEPTH)]
    rewards = rng.uniform(-1, 1, BRANCHING**DEPTH)
    reference = np.log(np.full(BRANCHING, 1 / BRANCHING))
    following = np.zeros(BRANCHING**DEPTH)  # V* of the prefixes that the steps of a level lead to
    best, gaps, offsets = [], [], []
    reward = rewards
    for width in reversed(levels):
        q = (reward + following).reshape(width, BRANCHING) + BETA * reference
        value = BETA * np.log(np.exp(q / BETA).sum(axis=1))
        best.append(np.exp((q - value[:, None]) / BETA))
        gaps.append(reward.reshape(width, BRANCHING))
        offsets.append(following.reshape(width, BRANCHING))
        following, reward = value, np.zeros(width)
    target, r, v = (np.concatenate(parts) for parts in (best, gaps, offsets))
    w, l = np.triu_indices(BRANCHING, 1)  # noqa: E741 - the paper's names
    wins = 1 / (1 + np.exp(-(r[:, w] - r[:, l])))
    hard = ((r + v)[:, w] > (r + v)[:, l]).astype(float)

    def fitted(alpha: float, labels: np.ndarray, steps: int | None = None) -> float:
        options = StepApo(beta=BETA, alpha=alpha)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            logits = flat.reshape(target.shape)
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            ratio = log_p - reference
            args = (ratio[:, w], ratio[:, l], _unit(v[:, w]), _unit(v[:, l]), options, labels)
            slope = pull(*args)
            gradient = np.zeros_like(logits)
            for k, (i, j) in enumerate(zip(w, l, strict=True)):
                gradient[:, i] += slope[:, k]
                gradient[:, j] -= slope[:, k]
            return float(loss(*args).sum()), gradient.ravel()

        start = np.zeros(target.size)
        if steps is None:
            found = minimize(
                objective,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10},
            )
            flat = np.asarray(found.x)
        else:
            flat = start
            for _ in range(steps):
                flat = flat - 0.5 * objective(flat)[1]
        logits = flat.reshape(target.shape)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return float((target * (np.log(target) - log_p)).sum(axis=1).mean())

    return {
        "step_apo_kl": fitted(1.0, wins),
        "dpo_kl": fitted(0.0, wins),
        "step_apo_hard_labels_kl": fitted(1.0, hard, HARD_STEPS),
        "dpo_hard_labels_kl": fitted(0.0, hard, HARD_STEPS),
    }


def _unit(values: np.ndarray) -> np.ndarray:
    """Values stay within [-1, 1]: rewards do, and with a uniform reference their soft maximum does, too."""
    return np.clip(values, -1.0, 1.0)


def speed(seed: int, trees: int = 40) -> dict[str, float]:
    """Expansions a second with a policy that costs nothing, one tree at a time, in memory."""
    problems = split(seed, trees, 1)[0]
    options = SearchOptions(simulations=100, root_children=12, children=8, stop_when_solved=False)
    start = time.perf_counter()
    done = 0
    for number, problem in enumerate(problems):
        tree = Tree.rooted(str(number), problem, seed)
        search([tree], UniformPolicy(), options)
        done += tree.simulations
    return {"expansions_per_second": done / (time.perf_counter() - start)}


def measured(seeds: list[int]) -> dict[str, Any]:
    """All of it, one row a seed."""
    return {
        "formulas": [formulas(seed) for seed in seeds],
        "recovery": [recovery(seed) for seed in seeds],
        "speed": [speed(seed) for seed in seeds],
    }
