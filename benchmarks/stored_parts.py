"""Benchmarks of a method in parts that are run one by one: what is not run again keeps its stored figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from time import perf_counter
from typing import Any

from benchmarks.truth.results import RESULTS, store


@dataclass
class StoredParts:
    """Figures and seconds of each part.

    Attributes
    ----------
    method
        Name of the method: of its benchmark's module and of its result.
    scale
        Sizes with which the parts are run.
    packages
        Whose versions are stored.
    data
        Data sets and their licences.
    figures, seconds
        By part: those that were stored, and those that are made.
    """

    method: str
    scale: dict[str, Any]
    packages: Sequence[str]
    data: str
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def read(self, *, where: dict[str, Any] | None = None) -> StoredParts:
        """Take over what is stored, where its scale holds these values."""
        file = RESULTS / f"methods/{self.method}.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        stored = known.get("scale", {})
        if all(stored.get(name) == value for name, value in (where or {}).items()):
            self.figures, self.seconds = dict(known.get("figures", {})), dict(known.get("part_seconds", {}))
        return self

    @contextmanager
    def timed(self, part: str, *, since: float = 0.0) -> Iterator[None]:
        """Measure a part's seconds, which come on top of `since`."""
        started = perf_counter()
        yield
        self.seconds[part] = round(since + perf_counter() - started, 1)

    def write(self, seeds: Sequence[int]) -> None:
        """Store what is known of all parts."""
        (RESULTS / "methods").mkdir(parents=True, exist_ok=True)
        store(
            f"methods/{self.method}",
            {
                "seeds": list(seeds),
                "scale": self.scale,
                "versions": {package: version(package) for package in self.packages},
                "data": self.data,
                "part_seconds": self.seconds,
                "figures": self.figures,
            },
            module=f"benchmarks.methods.{self.method}",
            arguments=sys.argv[1:],
            seconds=sum(self.seconds.values()),
        )
