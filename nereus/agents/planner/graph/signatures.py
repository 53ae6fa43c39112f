"""What each kind of question adds to the evidence graph: a tool as a generator of typed edges.

A signature says which nodes a tool joins and by which edges: ``differential_abundance`` joins proteins (or what the
features are) to groups of samples by ``up_in`` and ``down_in``. Directions (`directions`) are paths over these types, so a
question can be chosen for the edge that it would add.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nereus.agents.planner.questions import TESTED, WHOLE
from nereus.memory.graph import make_node
from nereus.memory.identity import answers
from nereus.memory.records import (
    Contrast,
    EdgeKind,
    EntityKind,
    GraphNode,
    Objective,
    ObjectiveKind,
    RelationName,
)

FEATURE: tuple[EntityKind, ...] = ("protein", "gene", "peptide", "site")
GROUP: tuple[EntityKind, ...] = ("sample_group", "treatment")
_TREATMENT = re.compile(r"treat|drug|compound|stimul|therap|dose|inhibitor|ligand|vehicle", re.IGNORECASE)


@dataclass(frozen=True)
class Signature:
    """Which edges a kind of question adds.

    Attributes
    ----------
    objective
        The kind of question.
    tool
        Tool whose result becomes edges.
    relation
        What the edges say, as claims call it.
    source, target
        Kinds of node that are joined.
    kinds
        Edge of a positive effect, and of a negative one.
    """

    objective: ObjectiveKind
    tool: str
    relation: RelationName
    source: tuple[EntityKind, ...]
    kinds: tuple[EdgeKind, EdgeKind]
    target: tuple[EntityKind, ...]

    def kind(self, sign: int) -> EdgeKind:
        """The edge of an effect of this sign."""
        return self.kinds[1 if sign < 0 else 0]


def _tested(
    kind: ObjectiveKind,
    relation: RelationName,
    source: tuple[EntityKind, ...],
    kinds: tuple[EdgeKind, EdgeKind],
    target: tuple[EntityKind, ...],
    tool: str = "",
) -> Signature:
    known = tool or (TESTED[kind].tool if kind in TESTED else WHOLE[kind].tool)
    return Signature(kind, known, relation, source, kinds, target)


_KIND = ObjectiveKind
_UP_DOWN: tuple[EdgeKind, EdgeKind] = ("up_in", "down_in")
SIGNATURES: tuple[Signature, ...] = (
    _tested(_KIND.DIFFERENTIAL, "abundance", FEATURE, _UP_DOWN, GROUP),
    _tested(_KIND.DIFFERENTIAL, "detection", FEATURE, ("present_in", "absent_in"), GROUP, "detection_test"),
    _tested(_KIND.ASSOCIATION, "association", FEATURE, ("correlates_with", "correlates_with"), ("variable",)),
    _tested(_KIND.INTERACTION, "interaction", FEATURE, ("depends_on", "depends_on"), GROUP),
    _tested(_KIND.LONGITUDINAL, "course", FEATURE, ("changes_over", "changes_over"), ("variable",)),
    _tested(_KIND.LONGITUDINAL, "divergence", FEATURE, ("diverges_in", "diverges_in"), GROUP),
    _tested(_KIND.SURVIVAL, "survival", FEATURE, ("prognostic_for", "prognostic_for"), ("variable",)),
    _tested(_KIND.DOSE_RESPONSE, "dose_response", FEATURE, ("responds_to", "responds_to"), ("treatment",)),
    _tested(_KIND.TARGETS, "target", FEATURE, ("restructured_in", "restructured_in"), GROUP),
    _tested(
        _KIND.DOSE_TARGETS, "dose_target", FEATURE, ("restructured_in", "restructured_in"), ("treatment",)
    ),
    _tested(_KIND.INTERACTOME, "interactor", ("bait",), ("binds", "binds"), FEATURE),
    _tested(_KIND.LOCALISATION, "localisation", FEATURE, ("localised_in", "localised_in"), ("compartment",)),
    _tested(_KIND.POPULATIONS, "population", ("population",), _UP_DOWN, GROUP),
    _tested(_KIND.STATES, "state", ("marker",), _UP_DOWN, GROUP),
    _tested(_KIND.MODULES, "module", ("module",), _UP_DOWN, GROUP),
    _tested(
        _KIND.MODULES,
        "module",
        FEATURE,
        ("coexpressed_with", "coexpressed_with"),
        ("module",),
        "coexpression_modules",
    ),
    _tested(_KIND.CROSS_LAYER, "cross_layer", FEATURE, ("agrees_with", "agrees_with"), ("layer",)),
    _tested(_KIND.ACTIVITY, "activity", ("kinase", "factor"), ("active_in", "inactive_in"), GROUP),
    _tested(_KIND.ACTIVITY, "activity", ("kinase", "factor"), ("acts_on", "acts_on"), FEATURE),
    _tested(_KIND.SIGNALLING, "signalling", ("pathway",), ("active_in", "inactive_in"), GROUP),
    _tested(_KIND.SIGNALLING, "signalling", ("pathway",), ("acts_on", "acts_on"), FEATURE),
    _tested(
        _KIND.PATHWAY,
        "enrichment",
        ("set",),
        ("enriched_in", "enriched_in"),
        (*GROUP, "variable"),
        "enrichment_gsea",
    ),
    _tested(_KIND.PATHWAY, "enrichment", FEATURE, ("member_of", "member_of"), ("set",), "enrichment_gsea"),
    _tested(_KIND.PANEL, "prediction", ("panel",), ("predicts", "predicts"), (*GROUP, "variable")),
    _tested(_KIND.SUBTYPES, "composition", ("cluster",), ("divides", "divides"), ("sample_group",)),
    _tested(_KIND.VALIDATION, "replication", FEATURE, _UP_DOWN, (*GROUP, "variable")),
)
"""Every edge that a tool can add, by the question that asks for it."""


def signature(kind: ObjectiveKind, relation: RelationName) -> Signature:
    """The first signature of a kind of question with this relation: that of its main table."""
    return next(one for one in SIGNATURES if (one.objective, one.relation) == (kind, relation))


def target_of(objective: Objective, relation: RelationName) -> GraphNode:
    """What the claims of a question are about: the first group of its contrast, its variable, time, dose or layer."""
    design = objective.design
    if relation == "survival":
        return make_node("variable", objective.label or objective.about)
    if relation == "course":
        return make_node("variable", design["time"])
    if relation == "dose_response":
        return make_node("treatment", design["dose"])
    if relation == "cross_layer":
        return make_node("layer", design["layer"])
    if relation == "interaction":
        first, level = design.get("first", ""), design.get("a_first", "")
        return group_node(first, level) if first else make_node("variable", objective.about)
    if objective.contrast is not None:
        return group_node(objective.contrast.factor, objective.contrast.a, objective.contrast)
    if objective.variable is not None:
        return make_node("variable", objective.variable)
    if "time" in design:  # sets behind a hazard or a course
        return make_node("variable", objective.label or design["time"])
    return make_node("sample_group", objective.about)


def group_node(factor: str, level: str, contrast: Contrast | None = None) -> GraphNode:
    """A level of a factor; a treatment where the factor's name says that it was given."""
    kept = sorted(contrast.subset.items()) if contrast is not None else []
    inside = "".join(f"; {column}={value}" for column, value in kept)
    named = f"{factor} {level}" if answers(level) else level
    told = named + "".join(f" ({column} = {value})" for column, value in kept)
    kind: EntityKind = "treatment" if _TREATMENT.search(factor) else "sample_group"
    return make_node(kind, f"{factor}={level}{inside}", told)
