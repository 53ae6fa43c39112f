"""Who proposes the next steps, and who tells what a prefix is worth.

Policies answer many requests at once, since all trees of a search advance together and a network is asked once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nereus.agents.reasoner.problem import Problem, State
from nereus.errors import InputError
from nereus.models.language.cpl.choices import Array, Choices, Described
from nereus.models.language.cpl.sampling import StepSampler


@dataclass(frozen=True)
class Proposal:
    """A next step.

    Attributes
    ----------
    step
        As text.
    prior
        How likely the policy takes it: its probability among all typed steps, or the exponential of the mean
        log-probability of its tokens where steps are free text.
    """

    step: str
    prior: float


@dataclass(frozen=True)
class Request:
    """One prefix that next steps are asked for.

    Attributes
    ----------
    problem, state
        The prefix.
    count
        Largest number of steps.
    seed
        Of the sampling; the same request gives the same steps.
    """

    problem: Problem
    state: State
    count: int
    seed: tuple[int, ...]


class StepPolicy(Protocol):
    """Proposes next steps."""

    id: str

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        """Distinct next steps of each prefix, at most `count`; none where nothing can follow."""


class PrefixValue(Protocol):
    """Tells what prefixes are worth."""

    id: str

    def values(self, prefixes: Sequence[tuple[Problem, State]]) -> Array:
        """Expected rewards in (-1, 1), (prefixes,)."""


class StepScorer(Protocol):
    """A trained policy over described steps, such as `LinearPolicy`."""

    def scores(self, rows: Described) -> Array:
        """Score of each step, (rows,)."""


class RowsValue(Protocol):
    """A trained value over described prefixes, such as `LinearValue`."""

    def values(self, rows: Described) -> Array:
        """Values, (rows,)."""


class UniformPolicy:
    """Every possible step is as likely as any other; the ones that are tried are drawn at random."""

    id = "uniform"

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        """See `StepPolicy`."""
        made = []
        for request in requests:
            moves = _typed(request)
            order = np.random.default_rng(request.seed).permutation(len(moves))[: request.count]
            made.append([Proposal(moves[i], 1.0 / len(moves)) for i in order])
        return made


@dataclass
class ScoredPolicy:
    """Softmax over the scores of a trained scorer; steps are drawn without replacement, likely ones first.

    Attributes
    ----------
    scorer
        Gives a score a step.
    temperature
        Of the draw; the prior itself is the policy's own probability.
    shuffled
        Exchange the priors and the order among the steps of each prefix: a control, that has the shape of the learned
        distribution but not its knowledge.
    """

    scorer: StepScorer
    temperature: float = 1.0
    shuffled: bool = False
    id: str = "scored"

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        """See `StepPolicy`."""
        moves = [_typed(request) for request in requests]
        wanted = [i for i, found in enumerate(moves) if found]
        made: list[list[Proposal]] = [[] for _ in requests]
        if not wanted:
            return made
        choices = Choices.of([requests[i].problem.describe(requests[i].state, moves[i]) for i in wanted])
        log_p = choices.log_softmax(self.scorer.scores(choices.rows))
        for i, start, end in zip(wanted, choices.starts[:-1], choices.starts[1:], strict=True):
            rng = np.random.default_rng(requests[i].seed)
            own = log_p[start:end]
            if self.shuffled:
                own = rng.permutation(own)
            # Gumbel's trick: the largest of perturbed log-probabilities are a draw without replacement.
            noise = rng.gumbel(size=len(own)) if self.temperature > 0 else np.zeros(len(own))
            order = np.argsort(-(own / max(self.temperature, 1e-9) + noise), kind="stable")[
                : requests[i].count
            ]
            made[i] = [Proposal(moves[i][k], float(np.exp(own[k]))) for k in order]
        return made


@dataclass
class ScoredValue:
    """Value of a trained model over described prefixes."""

    model: RowsValue
    id: str = "scored"

    def values(self, prefixes: Sequence[tuple[Problem, State]]) -> Array:
        """See `PrefixValue`."""
        if not prefixes:
            return np.zeros(0)
        rows = Described.together([problem.describe_state(state) for problem, state in prefixes])
        return np.clip(self.model.values(rows), -1.0, 1.0)


def _typed(request: Request) -> Sequence[str]:
    moves = request.problem.moves(request.state)
    if not moves and request.state == request.problem.start():
        raise InputError(
            f"no typed step can follow the question {request.problem.question[:200]!r}",
            where="reasoner",
            mend="steps in free text need a policy that writes text",
        )
    return moves


@dataclass
class SampledPolicy:
    """A language model that writes steps: prior = exponential of the mean log-probability of a step's tokens.

    Attributes
    ----------
    sampler
        Samples continuations of many prefixes at once.
    dressed
        Puts a prefix into the form that the model reads, as `with_examples` does for models that were not trained on it.
    """

    sampler: StepSampler
    dressed: Callable[[str], str] = str
    id: str = "sampled"

    def propose(self, requests: Sequence[Request]) -> list[list[Proposal]]:
        """See `StepPolicy`. Of equal texts one is kept."""
        if not requests:
            return []
        prompts = [self.dressed(one.problem.prompt(one.state)) for one in requests]
        seeds = [int(np.random.SeedSequence(one.seed).generate_state(1)[0]) for one in requests]
        made = []
        for found in self.sampler.sample(prompts, [one.count for one in requests], seeds):
            steps: dict[str, float] = {}
            for sample in found:
                steps.setdefault(sample.text.strip(), float(np.exp(sample.log_probability)))
            made.append([Proposal(step, prior) for step, prior in steps.items()])
        return made
