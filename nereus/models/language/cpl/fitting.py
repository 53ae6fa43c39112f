"""Training of network policies and values: imitation of solved paths, preferences with a margin, mean rewards of prefixes.

One loop for all of them, so that SFT, DPO, Step-DPO and Step-APO differ in nothing but what is minimised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nereus.errors import InputError
from nereus.models.language.cpl.choices import Array, Choices, Comparison, Described, Imitation
from nereus.models.language.cpl.network import (
    NetworkPolicy,
    NetworkValue,
    StepNetwork,
    segment_log_softmax,
    tensors,
)
from nereus.models.language.cpl.step_apo import StepApo, checked_values, win_probability

WHERE = "training of a step policy"


@dataclass(frozen=True)
class Fitting:
    """How a network is trained.

    Attributes
    ----------
    steps
        Largest number of batches.
    batch
        Decisions, pairs or prefixes of a batch.
    rate
        Peak step size of AdamW; it falls along half a cosine after a tenth of the steps of warm-up.
    decay
        Decoupled weight decay.
    every
        Batches between two looks at what is held out.
    patience
        Looks without a better loss after which training stops; the best weights are kept.
    seed
        Of the order of the batches.
    """

    steps: int = 1500
    batch: int = 128
    rate: float = 1e-3
    decay: float = 0.01
    every: int = 50
    patience: int = 6
    seed: int = 0


@dataclass
class Course:
    """How training went: batches seen, and loss on what is held out at each look."""

    batches: int = 0
    held_out: list[float] = field(default_factory=list)


def imitate(
    policy: NetworkPolicy,
    data: Imitation,
    fitting: Fitting,
    held_out: Imitation | None = None,
    *,
    fresh: bool = True,
) -> Course:
    """Make taken steps likely (SFT). A network that has learned before is not `fresh`: its scale of features stays."""
    if fresh:
        policy.network.standardise(data.choices.rows.features)

    def losses(part: Imitation) -> Tensor:
        log_p = _log_p(policy.network, part.choices)
        return -log_p[torch.as_tensor(part.choices.starts[:-1] + part.taken)]

    def batch(at: NDArray[np.int64]) -> Tensor:
        return losses(Imitation(data.choices.take(at), data.taken[at]))

    aside = None if held_out is None or not len(held_out.choices) else lambda: losses(held_out)
    return _loop(policy.network, len(data.choices), batch, aside, fitting)


def prefer(
    policy: NetworkPolicy,
    data: Comparison,
    options: StepApo,
    fitting: Fitting,
    held_out: Comparison | None = None,
) -> Course:
    """Minimise the Step-APO loss; the reference is a frozen copy of the policy as it is now.

    Raises
    ------
    InputError
        There are no pairs, or values lie outside [-1, 1].
    """
    if not len(data):
        raise InputError("there are 0 preference pairs", where=WHERE, mend="search more problems")
    reference = policy.copy()
    course = _loop(
        policy.network,
        len(data),
        lambda at: preference_losses(policy, reference, data.take(at), options),
        None
        if held_out is None or not len(held_out)
        else lambda: preference_losses(policy, reference, held_out, options),
        fitting,
    )
    return course


def preference_losses(
    policy: NetworkPolicy, reference: NetworkPolicy, data: Comparison, options: StepApo
) -> Tensor:
    """Step-APO loss of each pair, (pairs,); gradients flow to the policy only."""
    if policy.network is reference.network:
        raise InputError(
            "the reference is the policy itself, so that every ratio is 1",
            where=WHERE,
            mend="take `policy.copy()`",
        )
    # Both steps share a prefix, so that the normalisers cancel in the difference of log-ratios: their own scores are enough.
    first = data.choices.starts[:-1]
    both = np.concatenate([first + data.chosen, first + data.rejected])
    rows = Described(data.choices.rows.features[both], data.choices.rows.tokens[both])
    own = policy.network(*tensors(rows)) - torch.tensor(reference.scores(rows), dtype=torch.float32)
    chosen, rejected = own[: len(data)], own[len(data) :]
    gap = torch.tensor(checked_values(data.q_chosen) - checked_values(data.q_rejected), dtype=torch.float32)
    wins = torch.tensor(win_probability(data.q_chosen, data.q_rejected, options), dtype=torch.float32)
    margin = options.beta * (chosen - rejected) - options.alpha * gap
    return -wins * functional.logsigmoid(margin) - (1 - wins) * functional.logsigmoid(-margin)


@dataclass(frozen=True)
class Solutions:
    """Whole solutions in pairs, for DPO: the first of a pair solves its question, the second does not.

    Attributes
    ----------
    chosen, rejected
        All decisions of the better and of the worse solutions.
    chosen_pair, rejected_pair
        Pair of each decision, from 0, ascending.
    """

    chosen: Imitation
    rejected: Imitation
    chosen_pair: NDArray[np.int64]
    rejected_pair: NDArray[np.int64]


def prefer_solutions(policy: NetworkPolicy, data: Solutions, options: StepApo, fitting: Fitting) -> Course:
    """DPO on whole solutions: log-probabilities are summed over the steps of a solution. `options.alpha` is not used."""
    reference = policy.copy()
    sides = (
        (data.chosen, data.chosen_pair, reference.log_probabilities(data.chosen.choices)),
        (data.rejected, data.rejected_pair, reference.log_probabilities(data.rejected.choices)),
    )

    def losses(at: NDArray[np.int64]) -> Tensor:
        ratios = []
        for side, pair, known in sides:
            rows = np.concatenate([np.flatnonzero(pair == one) for one in at])
            place = np.repeat(np.arange(len(at)), [int((pair == one).sum()) for one in at])
            part = side.choices.take(rows)
            taken = torch.as_tensor(part.starts[:-1] + side.taken[rows])
            before = torch.tensor(
                known[side.choices.starts[:-1][rows] + side.taken[rows]], dtype=torch.float32
            )
            ratio = _log_p(policy.network, part)[taken] - before
            ratios.append(torch.zeros(len(at)).index_add(0, torch.as_tensor(place), ratio))
        return -functional.logsigmoid(options.beta * (ratios[0] - ratios[1]))

    return _loop(policy.network, int(data.chosen_pair.max()) + 1, losses, None, fitting)


def fit_value(
    network: StepNetwork, rows: Described, targets: Array, fitting: Fitting, share: float = 0.1
) -> NetworkValue:
    """Fit mean rewards of prefixes by squared error; the last `share` of the rows, which is whole trees, stops it."""
    targets = checked_values(targets, "value")
    if len(rows) < 10:
        raise InputError(
            f"{len(rows)} prefixes are too few to fit a value", where=WHERE, mend="search more problems"
        )
    network.standardise(rows.features)
    features, tokens = tensors(rows)
    aim = torch.tensor(targets, dtype=torch.float32)
    n = len(rows) - max(1, int(share * len(rows)))

    def losses(at: NDArray[np.int64] | slice) -> Tensor:
        index = torch.as_tensor(at) if isinstance(at, np.ndarray) else at
        made: Tensor = (network(features[index], tokens[index]) - aim[index]) ** 2
        return made

    _loop(network, n, losses, lambda: losses(slice(n, None)), fitting)
    return NetworkValue(network)


def _log_p(network: StepNetwork, choices: Choices) -> Tensor:
    scores = network(*tensors(choices.rows))
    return segment_log_softmax(scores, torch.as_tensor(choices.owner), len(choices))


def _loop(
    network: StepNetwork,
    count: int,
    batch: Callable[[NDArray[np.int64]], Tensor],
    aside: Callable[[], Tensor] | None,
    fitting: Fitting,
) -> Course:
    """Batches in random order until the steps are used up or what is held out gets no better."""
    rng = np.random.default_rng(fitting.seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=fitting.rate, weight_decay=fitting.decay)
    warm = max(1, fitting.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * min(step / fitting.steps, 1.0)))),
    )
    course = Course()
    best, best_loss, since = {name: t.clone() for name, t in network.state_dict().items()}, float("inf"), 0
    order = np.zeros(0, dtype=np.int64)
    for step in range(fitting.steps + 1):
        if aside is not None and (step % fitting.every == 0 or step == fitting.steps):
            network.eval()
            with torch.no_grad():
                now = float(aside().mean())
            course.held_out.append(now)
            if now < best_loss - 1e-5:
                best, best_loss, since = {name: t.clone() for name, t in network.state_dict().items()}, now, 0
            else:
                since += 1
            if since >= fitting.patience:
                break
        if step == fitting.steps:
            break
        if len(order) < min(fitting.batch, count):
            order = np.concatenate([order, rng.permutation(count)])
        at, order = order[: fitting.batch], order[fitting.batch :]
        network.train()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.mean(batch(at)))
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        course.batches += 1
    if aside is not None:
        network.load_state_dict(best)
    network.eval()
    return course
