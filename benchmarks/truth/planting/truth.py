"""What is true of a planted study, as claims and traps that a scorer can read from JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LARGE = 1.0
"""Size in standard deviations from which an effect is scored as large."""


@dataclass(frozen=True)
class PlantedClaim:
    """One finding that a right analysis makes.

    Attributes
    ----------
    plant
        How it was planted: ``shift``, ``missing``, ``interaction``, ``trend``, ``survival``, ``module``, ``gene_set``,
        ``cluster``.
    relations
        Relations of claims that say it.
    about
        What it is about, by role: ``factor, a, b``; ``variable``; ``time, event``; ``first, a_first, b_first, second,
        a_second, b_second``.
    direction
        1 for more of it in a (with a higher variable, a higher hazard), -1 for less.
    size
        Size in standard deviations: of the difference of two groups; of the halves of the subjects with the higher and the
        lower variable or hidden risk; of each of two opposite effects of an interaction. None for presence and absence.
    entity
        Feature; for a set or module its name; for cells the marker.
    members
        Features of a set or module; the cells of a cluster as ``sample:number``, from one.
    """

    plant: str
    relations: tuple[str, ...]
    about: dict[str, str]
    direction: int
    size: float | None
    entity: str
    members: tuple[str, ...] = ()

    @property
    def large(self) -> bool:
        """Whether it is scored among the large effects: one standard deviation or more, or presence against absence."""
        return self.size is None or self.size >= LARGE


@dataclass(frozen=True)
class Trap:
    """What a careless analysis falls for.

    Attributes
    ----------
    name
        ``batch_balanced``, ``batch_partly``, ``batch_full``, ``replicates``, ``outlier``, ``global_shift``, ``decoy``,
        ``label_noise``.
    column
        Column of the sample sheet that carries it; empty where none does.
    of
        Factor that it disturbs.
    samples
        Samples that it touches, where it is some of them.
    n
        A number that a right analysis states: subjects behind technical replicates.
    """

    name: str
    column: str = ""
    of: str = ""
    samples: tuple[str, ...] = ()
    n: int = 0


@dataclass
class Truth:
    """All claims and traps of a study, and where its matrix comes from."""

    seed: int
    base: str
    plan: str
    claims: list[PlantedClaim] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)

    def testable(self) -> list[PlantedClaim]:
        """Claims that can be made: not those about a factor that a batch hides wholly."""
        hidden = {trap.of for trap in self.traps if trap.name == "batch_full"}
        return [one for one in self.claims if one.about.get("factor") not in hidden]

    def touched(self) -> set[str]:
        """Every feature that something was planted into, alone or as a member."""
        names: set[str] = set()
        for one in self.claims:
            names |= set(one.members) if one.plant in ("module", "gene_set") else {one.entity}
        return names

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Read what `write` wrote."""
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        claims = [
            PlantedClaim(**{**one, "relations": tuple(one["relations"]), "members": tuple(one["members"])})
            for one in known["claims"]
        ]
        traps = [Trap(**{**one, "samples": tuple(one["samples"])}) for one in known["traps"]]
        return cls(known["seed"], known["base"], known["plan"], claims, traps)
