"""One round of learning from trees: imitate solved paths, prefer between siblings, fit what prefixes are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import ConfigDict, Field

from nereus.agents.reasoner.harvest import Harvest, Packing, Target, harvest
from nereus.agents.reasoner.policy import RowsValue, ScoredPolicy, ScoredValue, StepScorer
from nereus.agents.reasoner.tree import Tree
from nereus.errors import InputError
from nereus.explained import Explained
from nereus.models.language.cpl.choices import Array, Comparison, Described, Imitation
from nereus.models.language.cpl.linear import LinearPolicy, LinearValue
from nereus.models.language.cpl.rows import held_out
from nereus.models.language.cpl.step_apo import StepApo

if TYPE_CHECKING:
    from nereus.models.language.cpl.fitting import Fitting
    from nereus.models.language.cpl.network import StepNetwork

HELD_OUT = 0.1
"""Share of the trees that training stops by."""


class LearningOptions(Explained):
    """How the reasoner learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["linear", "network"] = "linear"
    """Weighted features (trained in a second, no torch), or a small network (seconds to minutes)."""
    preferences: StepApo | None = StepApo()
    """What is minimised after imitation; None leaves it at imitation (SFT)."""
    target: Target = "best"
    """What a prefix is worth: the mean reward behind it (the paper), or the best one found (tells more where most ends fail)."""
    fit_value: bool = True
    """Whether what prefixes are worth is learned, too."""
    max_pairs: int = Field(default=20_000, ge=1)
    """Pairs that are learned from; of more, as many are drawn."""
    vocabulary: int = Field(default=0, ge=0)
    """Symbols of the problem, for networks."""
    width: int = Field(default=96, ge=4)
    """Hidden width of networks."""
    steps: int = Field(default=800, ge=1)
    """Largest number of batches of imitation; the value takes twice, preferences a quarter as many."""
    rate: float = Field(default=1e-3, gt=0)
    """Step size of imitation and of the value; preferences take a tenth of it, as in the paper."""
    seed: int = 0
    """Of weights and batches."""


@dataclass(frozen=True)
class Learned:
    """What came out of a round.

    Attributes
    ----------
    policy, value
        For the next search.
    imitation
        The policy before preferences were learned.
    harvest
        The rows that it was learned from.
    facts
        Counts and losses, as JSON values.
    """

    policy: ScoredPolicy
    value: ScoredValue | None
    imitation: ScoredPolicy
    harvest: Harvest
    facts: dict[str, float]


def learn(trees: Sequence[Tree], options: LearningOptions) -> Learned:
    """Learn a policy and a value from trees, from scratch (as the paper's rounds do).

    Raises
    ------
    InputError
        No tree was solved, or preferences are asked for and there is no pair of siblings of which one is good and one bad.
    """
    rows = harvest(trees, options.seed, target=options.target)
    if not rows.paths:
        raise InputError(
            f"0 solved paths from {len(trees)} trees: there is nothing to imitate",
            where="reasoner",
            mend="search longer, or take easier problems first",
        )
    if options.preferences is not None:
        rows.require_pairs()
    packing = Packing(trees)
    kept = set(sorted({path.tree for path in rows.paths})[9::10])
    imitation = packing.imitation([path for path in rows.paths if path.tree not in kept] or rows.paths)
    imitation_aside = (
        packing.imitation(aside) if (aside := [p for p in rows.paths if p.tree in kept]) else None
    )
    pairs, pairs_aside = None, None
    if options.preferences is not None:
        drawn = np.sort(np.random.default_rng(options.seed).permutation(len(rows.pairs))[: options.max_pairs])
        own, stop = held_out([rows.pairs[i] for i in drawn], HELD_OUT)
        pairs = packing.comparison(own or stop)
        pairs_aside = packing.comparison(stop) if own and stop else None
    described, targets = packing.values(rows.values)
    facts: dict[str, float] = {
        "trees": len(trees),
        "solved": float(np.mean([tree.solved is not None for tree in trees])),
        "paths": len(rows.paths),
        "pairs": len(rows.pairs),
        "prefixes": len(targets),
    }
    before: StepScorer
    after: StepScorer
    value: RowsValue | None = None
    if options.family == "linear":
        before, after = _linear(imitation, pairs, pairs_aside, options, facts)
        if options.fit_value:
            value = LinearValue.fit(described, targets)
    else:
        before, after = _network(imitation, imitation_aside, pairs, pairs_aside, options, facts)
        if options.fit_value:
            value = network_value(described, targets, options)
    if value is not None:
        facts["value_error"] = float(np.mean((value.values(described) - targets) ** 2))
    # Kept searches are found again by the names of policy and value, so that the names must tell what was learned.
    decisions = imitation.choices.rows
    return Learned(
        ScoredPolicy(after, id=f"{options.family} {_digest(after.scores(decisions))}"),
        None
        if value is None
        else ScoredValue(value, id=f"{options.family} {_digest(value.values(described))}"),
        ScoredPolicy(before, id=f"{options.family} imitation {_digest(before.scores(decisions))}"),
        rows,
        facts,
    )


def _digest(numbers: Array) -> str:
    return sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()[:12]


def _linear(
    imitation: Imitation,
    pairs: Comparison | None,
    aside: Comparison | None,
    options: LearningOptions,
    facts: dict[str, float],
) -> tuple[LinearPolicy, LinearPolicy]:
    policy = LinearPolicy(np.zeros(imitation.choices.rows.features.shape[1]))
    facts["imitation_loss"] = policy.imitate(imitation)
    before = policy.copy()
    if pairs is not None and options.preferences is not None:
        course = policy.prefer(pairs, options.preferences, held_out=aside)
        facts["preference_loss_before"], facts["preference_loss"] = course[0][0], course[-1][0]
    return before, policy


def fitting_of(options: LearningOptions) -> Fitting:
    """How networks are trained under these options, in imitation."""
    from nereus.models.language.cpl.fitting import Fitting

    return Fitting(steps=options.steps, batch=64, rate=options.rate, seed=options.seed)


def preferring_of(options: LearningOptions) -> Fitting:
    """The same for preferences: a tenth of the step size, a quarter of the batches."""
    imitating = fitting_of(options)
    return replace(imitating, steps=max(1, options.steps // 4), rate=options.rate / 10, every=10)


def _network(
    imitation: Imitation,
    imitation_aside: Imitation | None,
    pairs: Comparison | None,
    aside: Comparison | None,
    options: LearningOptions,
    facts: dict[str, float],
) -> tuple[StepScorer, StepScorer]:
    from nereus.models.language.cpl.fitting import imitate, prefer
    from nereus.models.language.cpl.network import NetworkPolicy

    rows = imitation.choices.rows
    policy = NetworkPolicy(_made(rows.features.shape[1], rows.tokens.shape[1], options, bounded=False))
    course = imitate(policy, imitation, fitting_of(options), imitation_aside)
    if course.held_out:
        facts["imitation_loss"] = min(course.held_out)
    before = policy.copy()
    if pairs is not None and options.preferences is not None:
        course = prefer(policy, pairs, options.preferences, preferring_of(options), aside)
        if course.held_out:
            facts["preference_loss_before"], facts["preference_loss"] = (
                course.held_out[0],
                min(course.held_out),
            )
    return before, policy


def network_value(described: Described, targets: Array, options: LearningOptions) -> RowsValue:
    """A network that is fitted to what prefixes are worth."""
    from nereus.models.language.cpl.fitting import fit_value

    network = _made(described.features.shape[1], described.tokens.shape[1], options, bounded=True)
    fitting = replace(fitting_of(options), steps=2 * options.steps, batch=256, every=100)
    return fit_value(network, described, targets, fitting)


def _made(features: int, slots: int, options: LearningOptions, bounded: bool) -> StepNetwork:
    from nereus.models.language.cpl.network import StepNetwork
    from nereus.models.training.device import derive_seed, seeded

    with seeded(derive_seed(options.seed, "step network", bounded)):
        return StepNetwork(features, slots, options.vocabulary, options.width, 2, 16, bounded=bounded)
