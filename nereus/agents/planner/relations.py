"""How claims are said: what each relation between an entity and a question means in words.

A *relation* is what a claim says of an entity (``abundance``, ``association`` ...); it is also the name of the family of
tests in the run-wide error control and the ``kind`` of a row of ``claims.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nereus.memory.records import Direction, EntityKind, Objective, RelationName


@dataclass(frozen=True)
class Relation:
    """One kind of claim and how it is said.

    In the texts ``{a}`` and ``{b}`` are the compared groups, ``{label}`` what is asked about, and every entry of the
    objective's design stands under its own name.

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
        Predicate for either sign.
    found
        The same behind "is found by independent analyses:", before the label.
    subject
        What the predicate is said of; ``{name}`` is the entity.
    together
        The same of the members of a set.
    nothing
        Subject of the sentence when no entity holds.
    counted
        Whether the entity's subjects are told group against group.
    entity
        What its entities are.
    plural
        What they are called when counted.
    readout
        What a follow-up experiment reads.
    experiment
        What a follow-up experiment is; ``{name}``, ``{size}`` and ``{readout}`` are filled in.
    details
        Further numbers of the statement: role, format, and text in which ``{}`` is the number.
    alternative
        What else could explain it, where nothing more special is known; empty for nothing.
    """

    name: RelationName
    effect: str
    axis: str
    directions: tuple[Direction, Direction]
    said: tuple[str, str]
    found: tuple[str, str]
    nothing: str
    subject: str = "{name}"
    together: tuple[str, str] = ("following {label}", "falling with {label}")
    counted: bool = False
    entity: EntityKind = "protein"
    plural: str = "{features}"
    readout: str = "log2 ratio between the groups, or its slope"
    experiment: str = "Targeted mass spectrometry (PRM) or an immunoassay of {name} in new subjects{size}; readout: {readout}."
    alternative: str = ""
    details: tuple[tuple[str, str, str], ...] = ()

    def direction(self, effect: float) -> Direction:
        """Direction of an effect."""
        return self.directions[0] if effect > 0 else self.directions[1]


_RELATIONS = (
    Relation(
        "abundance",
        effect="log2 fold change",
        axis="log2 fold change",
        directions=("up", "down"),
        said=("is higher in {a} than in {b}", "is lower in {a} than in {b}"),
        found=("higher in", "lower in"),
        nothing="Single {features} differ in {label}",
        together=("higher in {a} than in {b}", "lower in {a} than in {b}"),
        counted=True,
        alternative=(
            "a change of the mixture (cells, fluid volume, contamination) rather than of this protein's regulation"
        ),
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
        nothing="Single {features} are seen in one group only in {label}",
        counted=True,
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
        nothing="Single {features} follow {label}",
    ),
    Relation(
        "interaction",
        effect="difference of log2 fold changes",
        axis="difference of log2 fold changes",
        directions=("up", "down"),
        said=(
            "answers to {second} ({a_second} against {b_second}) more positively in {a_first} than in {b_first}",
            "answers to {second} ({a_second} against {b_second}) more negatively in {a_first} than in {b_first}",
        ),
        found=("a more positive answer in", "a more negative answer in"),
        nothing="The effect of {first} on single {features} depends on {second}",
        together=(
            "answering to {second} more positively in {a_first} than in {b_first}",
            "answering to {second} more negatively in {a_first} than in {b_first}",
        ),
        details=(
            ("effect_by_a", "+.2f", "{a_first} minus {b_first} is {} in {a_second}"),
            ("effect_by_b", "+.2f", "and {} in {b_second}"),
            ("n_least", ".0f", "{} {units} in the smallest cell"),
        ),
        readout="log2 abundance in all four cells of the crossed design, and its interaction",
        alternative="a floor or ceiling of the measurement in one of the four cells",
    ),
    Relation(
        "course",
        effect="log2 change from the first to the last time",
        axis="log2 change over time",
        directions=("positive", "negative"),
        said=("rises over time ({label})", "falls over time ({label})"),
        found=("rising over", "falling over"),
        nothing="Single {features} change over time ({label})",
        together=("rising over time ({label})", "falling over time ({label})"),
        details=(("n_a", ".0f", "{} {units} seen repeatedly"),),
        readout="log2 abundance at each time, within subjects",
        alternative="a drift of the measurement that runs with time",
    ),
    Relation(
        "divergence",
        effect="log2 change over the whole time, difference between the groups",
        axis="difference of log2 changes over time",
        directions=("up", "down"),
        said=(
            "rises more, or falls less, over {time} in {a} than in {b}",
            "falls more, or rises less, over {time} in {a} than in {b}",
        ),
        found=("rising more over time in", "falling more over time in"),
        nothing="The course of single {features} over {time} differs in {a} against {b}",
        together=(
            "rising more over {time} in {a} than in {b}",
            "falling more over {time} in {a} than in {b}",
        ),
        counted=True,
        readout="log2 abundance at each time, within subjects of both groups",
        alternative="groups that differed before the first time and then come to resemble each other",
    ),
    Relation(
        "survival",
        effect="log hazard ratio per standard deviation",
        axis="log hazard ratio per standard deviation",
        directions=("positive", "negative"),
        said=(
            "goes with a higher hazard of {event} = {event_level} ({time})",
            "goes with a lower hazard of {event} = {event_level} ({time})",
        ),
        found=("higher hazard with more of it,", "lower hazard with more of it,"),
        nothing="The hazard in {label} goes with single {features}",
        together=(
            "higher where the hazard is higher ({label})",
            "lower where the hazard is higher ({label})",
        ),
        details=(
            ("hazard_ratio", ".2f", "hazard ratio {}"),
            ("events", ".0f", "{} events"),
            ("n", ".0f", "{} {units}"),
        ),
        readout="hazard ratio of the event per standard deviation",
        experiment=(
            "Measure {name} (immunoassay or PRM) at the start of the follow-up of an independent cohort{size}; "
            "readout: {readout}."
        ),
        alternative="a third cause, such as stage or treatment, that changes both the protein and the outcome",
    ),
    Relation(
        "dose_response",
        effect="fitted log2 change from the lowest to the highest dose",
        axis="log2 change over the doses",
        directions=("up", "down"),
        said=("rises with the dose ({label}) along a curve", "falls with the dose ({label}) along a curve"),
        found=("rising with", "falling with"),
        nothing="Single {features} follow a dose-response curve of {label}",
        details=(
            ("ec50", ".3g", "half effect at {}"),
            ("ec50_low", ".3g", "from {}"),
            ("ec50_high", ".3g", "to {}"),
            ("r2", ".2f", "share of variance on the curve {}"),
        ),
        readout="concentration of half effect from a finer series of doses",
        alternative="an effect of the vehicle or of dying cells at the highest doses",
    ),
    Relation(
        "target",
        effect="change of its leading peptide beyond the protein",
        axis="log2 change beyond the protein",
        directions=("up", "down"),
        said=(
            "changes its structure in {a} against {b} (peptides change beyond the protein)",
            "changes its structure in {a} against {b} (peptides change beyond the protein)",
        ),
        found=("structure changed in", "structure changed in"),
        nothing="The structure of single proteins changes in {label}",
        plural="proteins",
        details=(
            ("n_changed", ".0f", "{} peptides changed"),
            ("n_peptides", ".0f", "of {} tested"),
        ),
        readout="thermal or proteolytic stability of the protein with and without the compound",
        experiment="Thermal shift or limited proteolysis of purified {name} with a series of doses{size}; readout: {readout}.",
        alternative="a change of abundance, of splicing or of a modification rather than of structure",
    ),
    Relation(
        "dose_target",
        effect="fitted log2 change of its leading peptide from the lowest to the highest dose",
        axis="log2 change over the doses",
        directions=("up", "down"),
        said=(
            "changes its structure with the dose ({label}): its peptides follow a curve",
            "changes its structure with the dose ({label}): its peptides follow a curve",
        ),
        found=("structure changed with", "structure changed with"),
        nothing="The structure of single proteins follows the dose ({label})",
        plural="proteins",
        details=(
            ("ec50", ".3g", "half effect of the leading peptide at {}"),
            ("n_changed", ".0f", "{} peptides follow the dose"),
            ("n_peptides", ".0f", "of {} tested"),
        ),
        readout="thermal or proteolytic stability of the protein with and without the compound",
        experiment="Thermal shift or limited proteolysis of purified {name} with a series of doses{size}; readout: {readout}.",
        alternative="a change of abundance, of splicing or of a modification rather than of structure",
    ),
    Relation(
        "interactor",
        effect="log2 enrichment over the controls",
        axis="log2 enrichment over the controls",
        directions=("up", "down"),
        said=("is bound by {bait}", "is lost with {bait}"),
        found=("bound in", "lost in"),
        nothing="Single {features} are bound by the baits ({label})",
        details=(("probability", ".2f", "probability of interaction {}"),),
        readout="enrichment over a control bait",
        experiment="Reciprocal pulldown with {name} as the bait, or proximity labelling{size}; readout: {readout}.",
        alternative="binding to the beads, the tag or to abundant complexes rather than to the bait",
    ),
    Relation(
        "activity",
        effect="activity score",
        axis="activity score",
        directions=("up", "down"),
        said=("is more active in {a} than in {b}", "is less active in {a} than in {b}"),
        details=(
            ("n_agreeing", ".0f", "{} of its targets move with it"),
            ("n_targets", ".0f", "of {} tested"),
        ),
        found=("more active in", "less active in"),
        nothing="Kinases differ in activity in {label}",
        together=("higher in {a} than in {b}", "lower in {a} than in {b}"),
        entity="kinase",
        plural="kinases",
        readout="its activity and the state of its targets",
        experiment="Inhibit or activate {name} and measure its targets{size}; readout: {readout}.",
        alternative="another kinase that shares most of its targets",
    ),
    Relation(
        "signalling",
        effect="activity score",
        axis="pathway activity score",
        directions=("up", "down"),
        subject="Signalling through {name}, read from the genes that respond to it,",
        said=("is stronger in {a} than in {b}", "is weaker in {a} than in {b}"),
        details=(
            ("n_agreeing", ".0f", "{} of its responsive genes move with it"),
            ("n_targets", ".0f", "of {} tested"),
        ),
        found=("stronger in", "weaker in"),
        nothing="Signalling pathways differ in activity in {label}",
        together=("higher in {a} than in {b}", "lower in {a} than in {b}"),
        entity="pathway",
        plural="signalling pathways",
        readout="state of the pathway (phosphorylation of its members) and its responsive genes",
        experiment="Inhibit or stimulate {name} and measure the genes that respond to it{size}; readout: {readout}.",
        alternative=(
            "another cause that moves the same genes; they respond in transcripts, which proteins follow only in part"
        ),
    ),
    Relation(
        "population",
        effect="log2 odds ratio of the share",
        axis="log2 odds ratio of the share",
        directions=("up", "down"),
        subject="The share of {name} among the cells",
        said=("is larger in {a} than in {b}", "is smaller in {a} than in {b}"),
        details=(
            ("share_a", ".1%", "{} of the cells in {a}"),
            ("share_b", ".1%", "{} in {b}"),
        ),
        found=("more frequent in", "less frequent in"),
        nothing="The shares of cell populations differ in {label}",
        counted=True,
        entity="population",
        plural="populations",
        readout="share of the population among all cells of a subject",
        experiment="Gate {name} in new subjects{size} with the markers that define it; readout: {readout}.",
        alternative="a rise of another population, since shares add up to one",
    ),
    Relation(
        "state",
        effect="difference of subject medians",
        axis="difference of subject medians",
        directions=("up", "down"),
        said=("is higher in {a} than in {b}", "is lower in {a} than in {b}"),
        found=("higher in", "lower in"),
        nothing="Markers differ within populations in {label}",
        counted=True,
        entity="marker",
        plural="markers of populations",
        readout="median of the marker in the population of a subject",
        experiment="Measure {name} in new subjects{size}; readout: {readout}.",
        alternative="a shift of which cells fall into the population rather than of the marker in them",
    ),
    Relation(
        "module",
        effect="difference in standard deviations of its eigen-feature",
        axis="difference of eigen-features (standard deviations)",
        directions=("up", "down"),
        subject="The module {name}",
        said=("is higher as a whole in {a} than in {b}", "is lower as a whole in {a} than in {b}"),
        found=("higher in", "lower in"),
        nothing="Modules of {features} that move together differ in {label}",
        counted=True,
        entity="module",
        plural="modules",
        readout="mean of its hub features",
        experiment="Targeted mass spectrometry of the hubs of {name} in new subjects{size}; readout: {readout}.",
        alternative="a mixture of cells or fluids that makes the module move as one",
    ),
    Relation(
        "cross_layer",
        effect="correlation",
        axis="correlation",
        directions=("positive", "negative"),
        said=("agrees between the layers ({label})", "runs against itself between the layers ({label})"),
        found=("agreeing in", "opposed in"),
        nothing="Features of one layer follow their own of the other ({label})",
        readout="correlation of both layers in new samples",
    ),
)
RELATIONS: dict[str, Relation] = {one.name: one for one in _RELATIONS}
"""Every relation between an entity and what was asked, by name."""


FEATURES: dict[str, tuple[str, EntityKind]] = {
    "peptides": ("peptides", "peptide"),
    "sites": ("sites", "site"),
    "genes": ("genes", "gene"),
}
"""Kind of data -> what its features are called, and the kind of entity that one is; proteins where it is not here."""


def features_of(data_kind: object) -> tuple[str, EntityKind]:
    """What the features of a kind of data are called, and the kind of entity that one of them is."""
    return FEATURES.get(str(data_kind), ("proteins", "protein"))


def words_of(objective: Objective | None, label: str = "", features: str = "proteins") -> dict[str, str]:
    """What the texts of a relation may name: the groups, the label, and the objective's design.

    A level may hold any text, so the groups are those of the contrast and not cut out of its label; a bare number
    stands under its factor's name.
    """
    found = objective.contrast if objective is not None else None
    named = {**(objective.design if objective is not None else {})}
    named["features"] = features
    named["label"] = label or (objective.about if objective is not None else "")
    if found is None:
        named["a"], _, named["b"] = named["label"].partition(" vs ")
        return named
    bare = all(level.replace(".", "", 1).lstrip("-").isdigit() for level in (found.a, found.b))
    before = f"{found.factor} " if bare else ""
    after = ", ".join(f"{column} = {level}" for column, level in sorted(found.subset.items()))
    named["a"] = f"{before}{found.a}"
    named["b"] = f"{before}{found.b}" + (f" ({after})" if after else "")
    return named


def said(template: str, named: Mapping[str, str]) -> str:
    """Fill a text of a relation; what the objective does not name becomes its label."""

    class _Known(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return self.get("label", "")

    return template.format_map(_Known(named))
