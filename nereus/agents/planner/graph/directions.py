"""Directions of research as typed paths with unknown slots, and what completing one would teach.

A direction joins tested edges (`signatures`) to one edge that no tool tests: the inferred one. Where a run holds every
tested edge, the direction is a hypothesis to be tested by an experiment (`paths`); where some are missing, it says which
question to ask next (`gain`).
"""

from __future__ import annotations

from dataclasses import dataclass

from nereus.agents.planner.graph.signatures import FEATURE, GROUP, SIGNATURES
from nereus.memory.records import EdgeKind, EntityKind, ObjectiveKind

MARK = "Inferred, not tested"
"""How every sentence about an inferred edge begins."""
LEG = "leg:"
"""Role of a leg's evidence and text in an evidence group, followed by its place."""

SLOTS: dict[str, tuple[EntityKind, ...]] = {
    "kinase": ("kinase", "factor"),
    "feature": FEATURE,
    "group": GROUP,
    "set": ("set",),
    "module": ("module",),
    "bait": ("bait",),
    "layer": ("layer",),
    "outcome": ("variable",),
    "variable": ("variable",),
}
"""Which kinds of node may fill a slot."""


@dataclass(frozen=True)
class Leg:
    """One edge of a direction: a slot, the edges that may leave it, and the slot where they end."""

    source: str
    kinds: tuple[EdgeKind, ...]
    target: str


@dataclass(frozen=True)
class Direction:
    """A typed path with unknown slots.

    Attributes
    ----------
    name
        What it is called in rationales.
    legs
        Edges that tools test, or that collections of knowledge hold.
    inferred
        The edge that follows if all legs hold, and that only an experiment tests.
    consistent
        Whether the signs of the legs must multiply to plus.
    said
        What the inferred edge says; slots and ``{about}`` are filled in.
    experiment
        What would test it.
    """

    name: str
    legs: tuple[Leg, ...]
    inferred: Leg
    said: str
    experiment: str
    consistent: bool = False


_CHANGED: tuple[EdgeKind, ...] = ("up_in", "down_in")

DIRECTIONS: tuple[Direction, ...] = (
    Direction(
        "kinase, its site, and the group in which both change",
        (
            Leg("kinase", ("active_in", "inactive_in"), "group"),
            Leg("kinase", ("acts_on",), "feature"),
            Leg("feature", _CHANGED, "group"),
        ),
        Leg("kinase", ("regulates",), "feature"),
        "{kinase} is behind the change of {feature} in {about}",
        "Inhibit {kinase} in the cells or tissue of the comparison and measure {feature} by targeted mass spectrometry; "
        "readout: whether its change in {about} disappears.",
        consistent=True,
    ),
    Direction(
        "protein, a set that it belongs to, and the group in which both change",
        (
            Leg("feature", _CHANGED, "group"),
            Leg("feature", ("member_of",), "set"),
            Leg("set", ("enriched_in",), "group"),
        ),
        Leg("feature", ("drives",), "set"),
        "{feature} is among what drives “{set}” in {about}",
        "Deplete or add {feature} in a model of the comparison and measure the other members of “{set}”; readout: whether "
        "they follow.",
        consistent=True,
    ),
    Direction(
        "protein between a group and an outcome",
        (Leg("feature", _CHANGED, "group"), Leg("feature", ("prognostic_for",), "outcome")),
        Leg("feature", ("mediates",), "outcome"),
        "{feature} lies between {about} and {outcome}",
        "Measure {feature} before the outcome in new subjects of both groups, or change it in a model; readout: share of "
        "the effect of the group on {outcome} that goes through it (mediation analysis).",
    ),
    Direction(
        "protein between a group and a variable",
        (Leg("feature", _CHANGED, "group"), Leg("feature", ("correlates_with",), "variable")),
        Leg("feature", ("mediates",), "variable"),
        "{feature} lies between {about} and {variable}",
        "Measure {feature} and {variable} repeatedly in new subjects of both groups; readout: which of the two changes "
        "first, and the share of the difference that goes through {feature} (mediation analysis).",
    ),
    Direction(
        "protein, its module, and the group in which both change",
        (
            Leg("feature", _CHANGED, "group"),
            Leg("feature", ("coexpressed_with",), "module"),
            Leg("module", _CHANGED, "group"),
        ),
        Leg("feature", ("drives",), "module"),
        "{feature} is among what drives the module {module} in {about}",
        "Deplete {feature} in a model of the comparison and measure the module's other members; readout: whether they "
        "follow.",
        consistent=True,
    ),
    Direction(
        "bait, its partner, and the group in which the partner changes",
        (Leg("bait", ("binds",), "feature"), Leg("feature", _CHANGED, "group")),
        Leg("bait", ("regulates",), "feature"),
        "{bait} has to do with the change of {feature} in {about}",
        "Deplete {bait} in the cells of the comparison and measure {feature}; readout: whether its change disappears.",
    ),
    Direction(
        "another layer, its protein, and the group in which the protein changes",
        (Leg("feature", ("agrees_with",), "layer"), Leg("feature", _CHANGED, "group")),
        Leg("feature", ("mediates",), "layer"),
        "the change of {feature} in {about} comes from the layer {layer}",
        "Measure {feature} in both layers over time after the difference sets in; readout: whether the layer {layer} "
        "changes first.",
    ),
)
"""What is looked for, the most telling first."""


def kinds_of(objective: ObjectiveKind) -> frozenset[EdgeKind]:
    """Edges that a kind of question can add to a graph."""
    return frozenset(kind for one in SIGNATURES if one.objective is objective for kind in one.kinds)


def signature_of(direction: Direction) -> str:
    """A direction as types: ``kinase -[active_in]- group; ...; inferred kinase -[regulates]- feature``."""

    def leg(one: Leg) -> str:
        return f"{one.source} -[{'|'.join(one.kinds)}]- {one.target}"

    return "; ".join([*map(leg, direction.legs), f"inferred {leg(direction.inferred)}"])
