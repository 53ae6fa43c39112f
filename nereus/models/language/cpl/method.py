"""CPL as an estimator.

References
----------
Wang, Chen, Han, Bai: CPL: Critical Plan Step Learning. arXiv:2409.08642, 2024. Code: keesh0410/CPL-Reasoning, read and not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.language.cpl.card import CARD
from nereus.models.language.cpl.causal import (
    Characters,
    Encoded,
    encode,
    from_scratch,
    preference_losses,
    step_log_probabilities,
)
from nereus.models.language.cpl.config import CPLConfig
from nereus.models.language.cpl.step_apo import StepApo, checked_values, win_probability
from nereus.models.training import Session, identity_of, train
from nereus.models.training.batches import shuffled_rows

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("prompt", "step", "rejected", "q_step", "q_rejected")


class CPL(Method[CPLConfig]):
    """A small policy over text, learned from pairs of next steps: it imitates the better ones, then prefers them by Step-APO.

    ``X`` is a table with the columns ``prompt``, ``step``, ``rejected``, ``q_step`` and ``q_rejected``; `score` needs the
    first two.

    Attributes
    ----------
    network_ : transformers.Qwen2ForCausalLM
        A decoder over characters.
    alphabet_ : str
        The characters that it knows.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.models.language.cpl import CPL
    >>> rows = [("2 3:", "2*3=6", "2-3=-1", 0.8, -0.9), ("4 6:", "4*6=24", "4-6=-2", 1.0, -1.0)] * 4
    >>> pairs = pd.DataFrame(rows, columns=["prompt", "step", "rejected", "q_step", "q_rejected"])
    >>> CPL(layers=1, width=16, heads=2, training__epochs=1, preferring__epochs=1).fit(pairs).score(pairs).shape
    (8,)
    """

    card = CARD
    config_class = CPLConfig
    version: ClassVar[str] = "1"

    network_: nn.Module
    alphabet_: str

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Imitate, then prefer."""
        config = self.config
        rows = _rows(X, _COLUMNS)
        tokenizer = Characters.of([text for row in rows for text in row[:3]])
        both = [
            (
                encode(tokenizer, row[0], row[1], Characters.END),
                encode(tokenizer, row[0], row[2], Characters.END),
            )
            for row in rows
        ]
        at = [i for i, pair in enumerate(both) if max(len(one.ids) for one in pair) <= config.context]
        if not at:
            raise InputError(
                f"all {len(rows)} pairs are longer than the context of {config.context} characters",
                where="cpl",
                mend="raise the context",
            )
        options = StepApo(
            beta=config.beta, alpha=config.alpha, soft_labels=config.soft_labels, tau=config.tau
        )
        pairs = _Pairs.of([both[i] for i in at], [rows[i] for i in at], options)
        kept = min(int(len(at) * config.validation), len(at) - 1)
        own, aside = pairs.take(range(len(at) - kept)), pairs.take(range(len(at) - kept, len(at)))
        network: nn.Module = from_scratch(
            len(tokenizer),
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            context=config.context,
            seed=config.random_state,
        )
        network.to(device=self.device)
        identity = identity_of(config, repr([rows[i] for i in at]), without={"training", "preferring"})
        history = train(
            network,
            _Imitation(network, own, aside, config.training.batch_size),
            config.training,
            seed=config.random_state,
            session=session.stage("imitation"),
            identity=identity,
        )
        second = train(
            network,
            _Preference(network, own, aside, config.preferring.batch_size, options),
            config.preferring,
            seed=config.random_state,
            session=session.stage("preferences"),
            identity=identity,
        )
        history.losses += second.losses
        history.stopped_early = second.stopped_early
        if len(at) < len(rows):
            history.notes.append(
                f"{len(rows) - len(at)} pairs longer than {config.context} characters were left out"
            )
        self.history_, self.network_, self.alphabet_ = history, network, tokenizer.alphabet

    # ------------------------------------------------------------------ asking

    @torch.no_grad()
    def score(self, X: Any, y: Any = None) -> np.ndarray:
        """log-probability of each step after its prompt, summed over its characters, in nats, (n,).

        Parameters
        ----------
        X
            A table with ``prompt`` and ``step``.
        y
            Not used.
        """
        self._require_fitted()
        self.network_.eval()
        tokenizer = Characters(self.alphabet_)
        found = []
        for row in _rows(X, _COLUMNS[:2]):  # one by one: what a step scores does not depend on its neighbours
            one = encode(tokenizer, row[0], row[1], Characters.END)
            if len(one.ids) > self.config.context:
                raise InputError(
                    f"a prompt with its step has {len(one.ids)} characters, the context holds {self.config.context}",
                    where="cpl",
                    mend="leave the row out, or train with a longer context",
                )
            found.append(float(step_log_probabilities(self.network_, [one])[0]))
        return np.array(found)

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        import pandas as pd

        return pd.DataFrame({role: table[named[0]] for role, named in columns.items()}), None

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `score_table`."""
        return self.score_table(table, columns)

    def score_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """``log_probability`` of each row's step after its prompt."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        return pd.DataFrame({"log_probability": self.score(X)}, index=table.index)

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {
            f"network.{name}": tensor.contiguous() for name, tensor in self.network_.state_dict().items()
        }
        return tensors, {"alphabet": self.alphabet_}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.alphabet_ = facts["alphabet"]
        config = self.config
        network: nn.Module = from_scratch(
            len(Characters(self.alphabet_)),
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            context=config.context,
        )
        network.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})
        self.network_ = network


@dataclass(frozen=True)
class _Pairs:
    """Encoded pairs with their gaps and the probability that the better step wins."""

    chosen: list[Encoded]
    rejected: list[Encoded]
    gap: Tensor
    wins: Tensor

    @classmethod
    def of(
        cls, both: Sequence[tuple[Encoded, Encoded]], rows: Sequence[tuple[Any, ...]], options: StepApo
    ) -> _Pairs:
        better, worse = [row[3] for row in rows], [row[4] for row in rows]
        gap = checked_values(better, "q_step") - checked_values(worse, "q_rejected")
        return cls(
            [w for w, _ in both],
            [worst for _, worst in both],
            torch.tensor(gap, dtype=torch.float32),
            torch.tensor(win_probability(better, worse, options), dtype=torch.float32),
        )

    def take(self, rows: Iterable[int]) -> _Pairs:
        at = list(rows)
        return _Pairs(
            [self.chosen[i] for i in at], [self.rejected[i] for i in at], self.gap[at], self.wins[at]
        )


class _Batches:
    """Row numbers of each batch of an epoch."""

    def __init__(self, parts: list[np.ndarray]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._parts)


class _Imitation:
    """Cross-entropy of the better steps, a character."""

    def __init__(self, network: nn.Module, own: _Pairs, aside: _Pairs, size: int) -> None:
        self.network, self.own, self.aside, self.size = network, own, aside, size

    def batches(self, rng: np.random.Generator) -> _Batches:
        return _Batches(shuffled_rows(len(self.own.chosen), self.size, rng))

    def losses(self, batch: np.ndarray) -> dict[str, Tensor]:
        return {"total": self._loss([self.own.chosen[i] for i in batch])}

    def validate(self) -> float | None:
        return float(self._loss(self.aside.chosen)) if self.aside.chosen else None

    def _loss(self, rows: Sequence[Encoded]) -> Tensor:
        characters = sum(len(row.ids) - row.start for row in rows)
        return -step_log_probabilities(self.network, rows).sum() / characters


class _Preference:
    """Step-APO; the reference is the network as it is when this is made, and its log-probabilities are computed once."""

    def __init__(self, network: nn.Module, own: _Pairs, aside: _Pairs, size: int, options: StepApo) -> None:
        self.network, self.own, self.aside, self.size, self.options = network, own, aside, size, options
        network.eval()
        with torch.no_grad():
            self.known = self._both(own, range(len(own.chosen)))
            self.known_aside = self._both(aside, range(len(aside.chosen)))
        network.train()

    def batches(self, rng: np.random.Generator) -> _Batches:
        return _Batches(shuffled_rows(len(self.own.chosen), self.size, rng))

    def losses(self, batch: np.ndarray) -> dict[str, Tensor]:
        return {"total": self._loss(self.own, [int(i) for i in batch], self.known)}

    def validate(self) -> float | None:
        rows = range(len(self.aside.chosen))
        return float(self._loss(self.aside, rows, self.known_aside)) if len(rows) else None

    def _loss(self, pairs: _Pairs, at: Sequence[int], known: tuple[Tensor, Tensor]) -> Tensor:
        chosen, rejected = self._both(pairs, at)
        rows = torch.as_tensor(list(at), device=chosen.device)
        gap, wins = pairs.gap.to(chosen.device)[rows], pairs.wins.to(chosen.device)[rows]
        made = preference_losses(chosen, rejected, known[0][rows], known[1][rows], gap, wins, self.options)
        return made.mean()

    def _both(self, pairs: _Pairs, at: Sequence[int]) -> tuple[Tensor, Tensor]:
        if not len(at):
            return torch.zeros(0), torch.zeros(0)
        own = step_log_probabilities(
            self.network, [pairs.chosen[i] for i in at] + [pairs.rejected[i] for i in at]
        )
        return own[: len(at)], own[len(at) :]


def _rows(X: Any, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows as tuples of texts and numbers."""
    import pandas as pd

    if not isinstance(X, pd.DataFrame) or any(name not in X.columns for name in columns):
        raise InputError(
            f"a table with the columns {', '.join(columns)} is needed", where="cpl", mend="see the card"
        )
    if not len(X):
        raise InputError("there are 0 preference pairs", where="cpl", mend="search more problems")
    made: list[tuple[Any, ...]] = []
    for place, row in enumerate(X[list(columns)].itertuples(index=False)):
        texts = row[: min(3, len(columns))]
        for name, text in zip(columns, texts, strict=False):
            if not isinstance(text, str) or (not text and name != "prompt"):
                raise InputError(
                    f"row {place}: {name} is {text!r}, no text", where="cpl", mend="leave the row out"
                )
        if len(columns) > 3 and row[1] == row[2]:
            raise InputError(
                f"row {place}: the better and the worse step are the same",
                where="cpl",
                mend="leave the row out",
            )
        made.append((*texts, *(float(q) for q in row[3:])))
    return made
