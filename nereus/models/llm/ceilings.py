"""What a run may spend on a language model, and the meter that stops before the call that could pass a ceiling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from nereus.errors import CeilingReached
from nereus.memory.records import Decision

CHARACTERS_A_TOKEN = 3.0
"""A cautious estimate for plain letters, before an endpoint has told its own count."""
SHORTEST_WAIT_S = 1.0


def size_of(text: str) -> int:
    """Length of a text for the estimate of its tokens: a letter beyond ASCII counts as its bytes, as tokens do at most."""
    return len(text.encode("utf-8", "replace"))


@dataclass(frozen=True)
class Ceilings:
    """Limits of one run. A call that could pass one of them is not made."""

    calls: int
    tokens: int
    usd: float | None = None
    """None: money is not limited, only counted where prices are known."""
    seconds: float | None = None
    """Seconds of waiting for replies; None: not limited."""


@dataclass(frozen=True)
class Prices:
    """US dollars a million tokens."""

    prompt: float = 0.0
    reply: float = 0.0

    def of(self, prompt: float, reply: float) -> float:
        """The price of a call."""
        return (prompt * self.prompt + reply * self.reply) / 1e6


@dataclass
class Usage:
    """What was used."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Reserved:
    """The most that a call in progress can use."""

    tokens: int
    usd: float
    seconds: float
    size: int = 0
    """Size of the prompt."""


@dataclass
class Meter:
    """Counts for a whole run; several threads may ask at once, and what is in progress counts as used.

    Texts of digits and ids take more tokens than the estimate says. Once an endpoint told how many a prompt took, the
    next ones are taken to be as dense as the densest so far.

    A process that is killed during a call loses the count of that one decision, so a resumed run can pass a ceiling by
    the calls of one decision at most.
    """

    ceilings: Ceilings
    prices: Prices = field(default_factory=Prices)
    used: Usage = field(default_factory=Usage)
    _held: Usage = field(default_factory=Usage)
    _density: float = 1 / CHARACTERS_A_TOKEN
    _lock: Lock = field(default_factory=Lock)

    def anew(self) -> Meter:
        """A meter with the same ceilings of which nothing is used; what was learned of the density of texts stays."""
        return Meter(self.ceilings, self.prices, _density=self._density)

    def go_on(self, decisions: Iterable[Decision]) -> None:
        """Start from what the run's recorded decisions used."""
        paid = [one for one in decisions if one.calls]
        with self._lock:
            self.used = Usage(
                sum(one.calls for one in paid),
                sum(one.tokens for one in paid),
                sum(one.usd for one in paid),
                sum(one.ms for one in paid) / 1000,
            )

    def reserve(self, size: int, reply_tokens: int, seconds: float) -> Reserved:
        """Hold what a call can use at most, or refuse it; `size` is that of its prompt (`size_of`).

        Raises
        ------
        CeilingReached
            The call could pass a ceiling; says which.
        """
        limits = self.ceilings
        with self._lock:
            prompt = int(size * self._density) + 1
            usd = self.prices.of(prompt, reply_tokens)
            if self.used.calls + self._held.calls + 1 > limits.calls:
                raise CeilingReached(f"the limit of {limits.calls} model calls is reached")
            if self.used.tokens + self._held.tokens + prompt + reply_tokens > limits.tokens:
                raise CeilingReached(f"the limit of {limits.tokens} tokens could be passed by the next call")
            if limits.usd is not None and self.used.usd + self._held.usd + usd > limits.usd + 1e-12:
                raise CeilingReached(f"the limit of {limits.usd:g} USD could be passed by the next call")
            if limits.seconds is not None:
                left = limits.seconds - self.used.seconds - self._held.seconds
                if left < min(SHORTEST_WAIT_S, seconds):
                    raise CeilingReached(
                        f"the limit of {limits.seconds:g} s of waiting for replies is reached"
                    )
                seconds = min(seconds, left)
            held = Reserved(prompt + reply_tokens, usd, seconds, size)
            self._add(self._held, 1, held.tokens, held.usd, held.seconds)
        return held

    def settle(
        self,
        held: Reserved,
        seconds: float,
        prompt: int | None = None,
        reply: int | None = None,
        refused: bool = False,
    ) -> Usage:
        """Count what a call used; what the endpoint did not tell, or told as nothing, counts as all that was held.

        Of a call that was refused (an HTTP error) only the call and its time count.
        """
        known = refused or bool(prompt and prompt > 0 and reply is not None and reply >= 0)
        tokens = int(prompt or 0) + int(reply or 0) if known else held.tokens
        usd = self.prices.of(prompt or 0, reply or 0) if known else held.usd
        spent = Usage(1, tokens, usd, seconds)
        with self._lock:
            if known and held.size and not refused:
                self._density = max(self._density, int(prompt or 0) / held.size)
            self._add(self._held, -1, -held.tokens, -held.usd, -held.seconds)
            self._add(self.used, 1, tokens, usd, seconds)
        return spent

    @staticmethod
    def _add(to: Usage, calls: int, tokens: int, usd: float, seconds: float) -> None:
        to.calls += calls
        to.tokens += tokens
        to.usd += usd
        to.seconds += seconds
