"""Rounds of training, each with its mix of data and its step sizes, and the search for a mix by short annealing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nereus.models.config import TrainingOptions
from nereus.models.sequences.bsm.config import BSMConfig, Mix, Round
from nereus.models.sequences.bsm.corpus import KINDS, Corpus
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.sequences.bsm.packing import NextToken
from nereus.models.training import History, Session, train

_JUDGES = 100
"""Documents of each kind that judge a mix."""


def judges(corpus: Corpus | None, seed: int) -> dict[str, list[np.ndarray]]:
    """Documents of the held-out families, by kind; the same for all mixes."""
    found: dict[str, list[np.ndarray]] = {}
    if corpus is None:
        return found
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        if n := corpus.count(kind):
            found[kind] = [corpus.draw(kind, i, rng) for i in rng.permutation(n)[:_JUDGES].tolist()]
    return found


def run_rounds(
    network: BSMNetwork,
    corpus: Corpus,
    judged: Mapping[str, Sequence[np.ndarray]],
    config: BSMConfig,
    session: Session,
    identity: str,
) -> tuple[History, list[dict[str, Any]]]:
    """Train round by round.

    Parameters
    ----------
    network
        Trained in place.
    corpus, judged
        What is learned from, and the documents that judge.
    config
        Rounds and options.
    session, identity
        See `train`.

    Returns
    -------
    tuple of History and list of dict
        The course of all rounds, whose best epoch and early stop are those of the last; and every candidate mix: ``round,
        candidate``, its shares, ``validation`` (nats a token after its annealing; None where there was nothing to choose),
        ``chosen``.
    """
    whole = History()
    tried: list[dict[str, Any]] = []
    shares = sum(one.share for one in config.rounds)
    for number, one in enumerate(config.rounds, start=1):
        tokens = config.tokens * one.share / shares
        options = _options(config.training, one, first=number == 1)
        candidates = _candidates(one, number, corpus, whole.notes)
        chosen = 0
        losses: list[float | None] = [None]
        if len(candidates) > 1 and not judged:
            whole.notes.append(
                f"round {number}: nothing is held out to choose a mix by, so the first is taken"
            )
            candidates = candidates[:1]
        if len(candidates) > 1:
            losses = _anneal(network, corpus, judged, candidates, options, config, number, session, identity)
            chosen = int(np.argmin(np.array(losses, dtype=float)))
        for place, (mix, loss) in enumerate(zip(candidates, losses, strict=True)):
            tried.append(
                {"round": number, "candidate": place + 1, **corpus.shares(mix), "validation": loss,
                 "chosen": place == chosen}
            )  # fmt: skip
        objective = NextToken(
            network,
            corpus,
            candidates[chosen],
            max(1, round(tokens / options.epochs)),
            config.context,
            options,
            judged,
        )
        done = train(
            network,
            objective,
            options,
            seed=config.random_state,
            session=session.stage(f"round {number}"),
            identity=f"{identity}{candidates[chosen]}",
        )
        if done.best_epoch is not None:
            whole.best_epoch = len(whole.losses) + done.best_epoch
        whole.stopped_early = done.stopped_early
        whole.notes += [note for note in done.notes if note not in whole.notes]
        whole.losses += [
            {f"round_{number}" if k == "total" else k: v for k, v in e.items()} for e in done.losses
        ]
    return whole, tried


def _options(options: TrainingOptions, one: Round, *, first: bool) -> TrainingOptions:
    return options.model_copy(
        update={
            "learning_rate": options.learning_rate * one.rate,
            "schedule": "linear",
            "end_rate": one.end_rate / one.rate,
            "warmup": options.warmup if first else 0.0,
        }
    )


def _candidates(one: Round, number: int, corpus: Corpus, notes: list[str]) -> list[Mix]:
    """Mixes of which the data have something, each once."""
    found: dict[tuple[tuple[str, float], ...], Mix] = {}
    lacking: set[str] = set()
    for mix in one.mix:
        shares = corpus.shares(mix)
        lacking |= {kind for kind in KINDS if getattr(mix, kind) and kind not in shares}
        if shares:
            found.setdefault(tuple(sorted(shares.items())), mix)
    if lacking:
        kinds = ", ".join(sorted(lacking))
        notes.append(f"round {number}: the data hold no {kinds}, whose share goes to what there is")
    return list(found.values()) or [Mix(single=1)]


def _anneal(
    network: BSMNetwork,
    corpus: Corpus,
    judged: Mapping[str, Sequence[np.ndarray]],
    candidates: Sequence[Mix],
    options: TrainingOptions,
    config: BSMConfig,
    number: int,
    session: Session,
    identity: str,
) -> list[float | None]:
    """Validation loss after a short training on each mix from the same weights, the step size falling to zero."""
    short = options.model_copy(update={"epochs": 1, "end_rate": 0.0, "warmup": 0.0, "patience": None})
    start = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    found: list[float | None] = []
    for place, mix in enumerate(candidates, start=1):
        tokens = config.annealing_batches * options.batch_size * config.context
        done = train(
            network,
            NextToken(network, corpus, mix, tokens, config.context, short, judged),
            short,
            seed=config.random_state,
            session=session.stage(f"annealing {number}.{place}"),
            identity=f"{identity}{mix}",
        )
        found.append(done.losses[-1]["validation"])
        network.load_state_dict(start)
    return found
