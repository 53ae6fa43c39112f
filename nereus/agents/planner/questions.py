"""What is known of each kind of question that tests something: its test, its table, and the words of its claims.

One place for all who ask: the harvest, the error control over the whole run, verification, hypotheses and reports.
A *relation* is what a claim says of an entity (``abundance``, ``association`` ...); it is also the name of the family of
tests in the run-wide error control and the ``kind`` of a row of ``claims.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nereus.memory.records import ObjectiveKind

Direction = Literal["up", "down", "present", "absent", "positive", "negative", "none"]
EntityKind = Literal[
    "protein", "gene", "set", "module", "cluster", "variable", "sample_group", "sample", "batch"
]


@dataclass(frozen=True)
class Relation:
    """One kind of claim and how it is said.

    Attributes
    ----------
    name
        ``abundance``, ``association`` ...
    effect
        What the effect is, in a sentence.
    axis
        What the effect is measured in, beside an axis; effects of one axis are drawn on one scale.
    directions
        Direction of an entity whose effect is positive, and of one whose effect is negative.
    said
        Predicate for either sign; ``{a}`` and ``{b}`` are the compared groups, ``{label}`` what is asked about.
    found
        The same behind "is found by independent analyses:", before the label.
    nothing
        Subject of the sentence when no entity holds; ``{label}`` is what was asked about.
    counted
        Whether the entity's subjects are told group against group.
    readout
        What a follow-up experiment reads.
    experiment
        What a follow-up experiment is, where it is not the usual assay; ``{name}`` and ``{size}`` are filled in.
    entity
        What its entities are.
    """

    name: str
    effect: str
    axis: str
    directions: tuple[Direction, Direction]
    said: tuple[str, str]
    found: tuple[str, str]
    nothing: str
    counted: bool = True
    readout: str = "log2 ratio between the groups, or its slope"
    experiment: str = "Targeted mass spectrometry (PRM) or an immunoassay of {name} in new subjects{size}; readout: {readout}."
    entity: EntityKind = "protein"

    def direction(self, effect: float) -> Direction:
        """Direction of an effect."""
        return self.directions[0] if effect > 0 else self.directions[1]


@dataclass(frozen=True)
class Tested:
    """A kind of question that tests features, and where its answer lies.

    Attributes
    ----------
    kind
        The kind of objective.
    tool
        Tool that makes the main table; also what verification repeats under other choices.
    main
        Name of the main table: a text key in its first column, ``effect``, ``p`` and ``q``.
    relation
        What its claims say.
    also
        Further tables of the same question that count as tests: output name -> relation.
    calibrated
        Whether `calibrate_confidence` covers it; claims of others carry no confidence.
    """

    kind: ObjectiveKind
    tool: str
    main: str
    relation: str
    also: Mapping[str, str] = field(default_factory=dict)
    calibrated: bool = False


_RELATIONS = (
    Relation(
        "abundance",
        effect="log2 fold change",
        axis="log2 fold change",
        directions=("up", "down"),
        said=("is higher in {a} than in {b}", "is lower in {a} than in {b}"),
        found=("higher in", "lower in"),
        nothing="Single proteins differ in {label}",
    ),
    Relation(
        "detection",
        effect="difference of detection rates",
        axis="difference in detection rate",
        directions=("present", "absent"),
        said=(
            "is detected in {a} and hardly or not in {b}",
            "is detected in {b} and hardly or not in {a}",
        ),
        found=("detected more often in", "detected less often in"),
        nothing="Single proteins are seen in one group only in {label}",
        experiment=(
            "Targeted mass spectrometry (PRM) of {name} with heavy standards in new subjects{size}; "
            "readout: presence above the limit of detection in each group."
        ),
    ),
    Relation(
        "association",
        effect="log2 change per standard deviation",
        axis="log2 per standard deviation",
        directions=("positive", "negative"),
        said=("rises with {label}", "falls with {label}"),
        found=("rising with", "falling with"),
        nothing="Single proteins follow {label}",
        counted=False,
    ),
)
RELATIONS: dict[str, Relation] = {one.name: one for one in _RELATIONS}
"""Every relation between an entity and what was asked, by name."""

_TESTED = (
    Tested(
        ObjectiveKind.DIFFERENTIAL,
        tool="differential_abundance",
        main="differential",
        relation="abundance",
        also={"detection": "detection"},
        calibrated=True,
    ),
    Tested(
        ObjectiveKind.ASSOCIATION,
        tool="continuous_association",
        main="association",
        relation="association",
        calibrated=True,
    ),
)
TESTED: dict[ObjectiveKind, Tested] = {one.kind: one for one in _TESTED}
"""Kinds of objectives whose claims are single features, in the order of the specification."""

SETS = "sets"
"""Output of the set tests, and the name of their families."""

FAMILIES: dict[str, str] = {
    **{one.main: one.relation for one in _TESTED},
    **{output: relation for one in _TESTED for output, relation in one.also.items()},
    SETS: SETS,
}
"""Output of a test -> what its family is called in the run-wide error control."""

FIXED_KINDS = (ObjectiveKind.DATA, ObjectiveKind.QUALITY, ObjectiveKind.SYNTHESIS)
"""Objectives that every run has; they do not count against the budget of objectives."""


def tested_table(name: str) -> bool:
    """Whether a shared output (``<objective id>:<output>``) is the main table of a tested question."""
    return name.partition(":")[2] in {one.main for one in _TESTED}
