"""Sentences of hypotheses: what is claimed, with references in place of numbers, and how it would be followed up.

What is said about a claim is decided by its evidence roles; how, by its relation (`relations`).
"""

from __future__ import annotations

from collections.abc import Callable

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.graph.directions import LEG, MARK
from nereus.agents.planner.questions import TESTED, relation_behind
from nereus.agents.planner.relations import RELATIONS, Relation, said, words_of
from nereus.agents.policies.base import DecisionContext, EvidenceGroup
from nereus.agents.policies.rules.questions.design import features_word
from nereus.memory.records import Entity, Objective
from nereus.tools.proteomics.profile.words import plural


def statement(group: EvidenceGroup, context: DecisionContext) -> str:
    """What a hypothesis says."""
    if group.claim.relation in WHOLE_STATEMENTS:
        return WHOLE_STATEMENTS[group.claim.relation](group, context)
    write = {
        "entity": _entity_statement,
        "set": _set_statement,
        "cross": _cross_statement,
        "path": _path_statement,
    }[group.grain]
    return write(group, context)


def _ref(group: EvidenceGroup, role: str, form: str = "") -> str:
    return f"{{{{{group.evidence[role]}{'|' + form if form else ''}}}}}"


def _unit(context: DecisionContext) -> str:
    return str(context.profile.values.get("unit_of_analysis") or "sample")


def _named_by(group: EvidenceGroup, context: DecisionContext) -> dict[str, str]:
    """What the texts of the relation may name, from the objective that asked."""
    found = next((one for one in context.objectives if one.id in group.objective_ids), None)
    named = words_of(found, group.claim.contrast, features_word(context))
    told = {role: value for role, value in group.values.items() if isinstance(value, str)}
    return {**named, **told}


def _entity_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    if entity.kind == "sample_group":
        return _nothing_statement(group, context)
    relation = RELATIONS[group.claim.relation]
    which = 0 if entity.direction == relation.directions[0] else 1
    named = _named_by(group, context)
    text = f"{said(relation.subject, {**named, 'name': _named(entity)})} {said(relation.said[which], named)}"
    parts = []
    if "effect" in group.evidence:
        interval = (
            f", interval {_ref(group, 'ci_low', '+.2f')} to {_ref(group, 'ci_high', '+.2f')}"
            if {"ci_low", "ci_high"} <= set(group.evidence)
            else ""
        )
        parts.append(f"{relation.effect} {_ref(group, 'effect', '+.2f')}{interval}")
    parts += _details(relation, group, context)
    if "q" in group.evidence:
        parts.append(f"q {_ref(group, 'q', 'p')}")
    if {"n_a", "n_b"} <= set(group.evidence) and relation.counted:
        parts.append(
            f"{_ref(group, 'n_a', '.0f')} against {_ref(group, 'n_b', '.0f')} {plural(_unit(context))}"
        )
    if "stability" in group.evidence:
        parts.append(f"holds in {_ref(group, 'stability', '.0%')} of half-samples")
    if group.values.get(COHORT) and {"replication_q", "replication_effect"} <= set(group.evidence):
        held = "replicated in" if group.values.get("replicated") else "not replicated in"
        effect, q = _ref(group, "replication_effect", "+.2f"), _ref(group, "replication_q", "p")
        parts.append(f"{held} {group.values[COHORT]}: {relation.effect} {effect}, q {q}")
    return f"{text} ({'; '.join(parts)})." if parts else f"{text}."


def _details(relation: Relation, group: EvidenceGroup, context: DecisionContext) -> list[str]:
    """Further numbers that the relation has, each with what it is."""
    named = {**_named_by(group, context), "units": plural(_unit(context))}
    return [
        said(text.replace("{}", "{number}"), {**named, "number": _ref(group, role, form)})
        for role, form, text in relation.details
        if role in group.evidence
    ]


def _nothing_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    relation, named = RELATIONS[group.claim.relation], _named_by(group, context)
    text = said(relation.nothing, named)
    parts = []
    if "n_tested" in group.evidence:
        parts.append(
            f"none of {_ref(group, 'n_tested')} tested {said(relation.plural, named)} holds at the error level of the run"
        )
    if "null_p95" in group.evidence:
        parts.append(f"shuffled labels give up to {_ref(group, 'null_p95', '.0f')}")
    if "detectable_effect_median" in group.evidence:
        parts.append(
            f"an effect of {_ref(group, 'detectable_effect_median', '.2f')} log2 would have been seen"
        )
    return f"{text}: {'; '.join(parts)}." if parts else f"{text}: not supported."


def _set_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    known = {one.id: one for one in context.objectives}
    asked = next((known[one] for one in group.objective_ids if one in known), None)
    relation = RELATIONS["abundance"] if asked is None else relation_behind(asked, known)
    parent = known.get(asked.parent_id or "") if asked is not None else None
    named = {**(words_of(parent) if parent is not None else {}), **_named_by(group, context)}
    where = said(relation.together[entity.direction == "down"], named)
    parts = []
    if {"n_hits", "n_measured"} <= set(group.evidence):
        parts.append(
            f"{_ref(group, 'n_hits', '.0f')} of {_ref(group, 'n_measured', '.0f')} measured members drive it"
        )
    if "effect" in group.evidence:
        parts.append(f"normalised enrichment score {_ref(group, 'effect', '+.2f')}")
    if "q" in group.evidence:
        parts.append(f"q {_ref(group, 'q', 'p')}")
    return f"The {features_word(context)} of “{entity.name}” are together {where} ({'; '.join(parts)})."


def _cross_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    parts = []
    kinds = {one.id: one for one in context.objectives}
    labels = {one.id: one.about for one in kinds.values()}
    for member, objective in zip(group.claim.entities, group.objective_ids, strict=False):
        relation = _relation_of(kinds.get(objective), member)
        word = relation.found[0 if member.direction == relation.directions[0] else 1]
        number = (
            f" ({relation.effect} {{{{{group.evidence[f'effect:{objective}']}|+.2f}}}})"
            if f"effect:{objective}" in group.evidence
            else ""
        )
        parts.append(f"{word} {labels.get(objective) or group.claim.contrast}{number}")
    return f"{_named(entity)} is found by independent analyses: {'; '.join(parts)}."


def legs(group: EvidenceGroup) -> list[tuple[str, str, bool]]:
    """The edges of a path: role of the evidence, what the edge says, and whether a tool tested it."""
    return [
        (role, str(group.values[role]), group.values.get(f"{role}:status") == "supported")
        for role in group.evidence
        if role.startswith(LEG)
    ]


def _path_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    found = [
        f"{text} (q {_ref(group, role, 'p')})" if tested else f"{text} (not tested here)"
        for role, text, tested in legs(group)
    ]
    return f"{MARK}: {group.values['inferred']}. It would join what was found: {'; '.join(found)}."


def _relation_of(objective: Objective | None, entity: Entity) -> Relation:
    """What an objective says of an entity: by its direction, where one question has several kinds of claims."""
    asked = TESTED.get(objective.kind) if objective is not None else None
    names = tuple(RELATIONS)
    if asked is not None and objective is not None:
        names = (asked.relation_of(objective), *asked.also.values())
    return next(
        (RELATIONS[name] for name in names if entity.direction in RELATIONS[name].directions),
        RELATIONS[names[0]],
    )


def _named(entity: Entity) -> str:
    """Name, with the accession behind it where that says more."""
    plain = (
        entity.name == entity.id
        or not entity.name
        or entity.kind in ("marker", "population", "kinase", "pathway")
    )
    return (entity.name or entity.id) if plain else f"{entity.name} ({entity.id.split(';')[0]})"


def _panel_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    named = _named_by(group, context)
    what = f"{named['a']} from {named['b']}" if named.get("b") else named["label"]
    size = f" of {_ref(group, 'panel_size', '.0f')} features" if "panel_size" in group.evidence else ""
    parts = []
    if "performance" in group.evidence:
        interval = (
            f", interval {_ref(group, 'performance_low', '.2f')} to {_ref(group, 'performance_high', '.2f')}"
            if {"performance_low", "performance_high"} <= set(group.evidence)
            else ""
        )
        parts.append(f"area under the curve out of fold {_ref(group, 'performance', '.2f')}{interval}")
    if "performance_covariates" in group.evidence:
        parts.append(f"the covariates alone {_ref(group, 'performance_covariates', '.2f')}")
    if "p_permutation" in group.evidence:
        parts.append(f"permutation p {_ref(group, 'p_permutation', 'p')}")
    if "q_run" in group.evidence:
        parts.append(f"q over the run {_ref(group, 'q_run', 'p')}")
    if "n_units" in group.evidence:
        parts.append(f"{_ref(group, 'n_units', '.0f')} {plural(_unit(context))}")
    return f"A panel{size} tells {what} ({'; '.join(parts)})."


def _groups_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    counted = f"{_ref(group, 'n_units', '.0f')} " if "n_units" in group.evidence else ""
    into = f"{_ref(group, 'k', '.0f')} groups" if "k" in group.evidence else "groups"
    parts = [
        f"{what} {_ref(group, role, form)}"
        for role, form, what in (
            ("silhouette", ".2f", "silhouette"),
            ("null_p95", ".2f", "without groups at most"),
            ("stability", ".2f", "agreement of resamples"),
            ("p", "p", "p"),
        )
        if role in group.evidence
    ]
    return (
        f"The {counted}{plural(_unit(context))} fall into {into} that nobody labelled ({'; '.join(parts)})."
    )


def _replication_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    named = _named_by(group, context)
    counted = " of ".join(
        _ref(group, role, ".0f") for role in ("n_replicated", "n_carried") if role in group.evidence
    )
    parts = [
        f"{what} {_ref(group, role, form)}"
        for role, form, what in (
            ("expected_rate", ".0%", "the effects and their errors would give"),
            ("sign_agreement", ".0%", "sign kept by"),
            ("effect_correlation", ".2f", "correlation of the effects"),
            ("p_permutation", "p", "permutation p"),
        )
        if role in group.evidence
    ]
    held = (
        f"are replicated in {named[COHORT]}"
        if COHORT in named
        else "hold again in subjects that were kept aside"
    )
    return f"{counted} findings of {named['label']} {held} ({'; '.join(parts)})."


def _localisation_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    parts = [
        f"{what} {_ref(group, role, form)}"
        for role, form, what in (
            ("macro_f1", ".2f", "markers out of fold, macro F1"),
            ("calibration_error", ".2f", "calibration error"),
            ("n_unknown", ".0f", "left unknown"),
            ("n_atypical", ".0f", "unlike every organelle"),
        )
        if role in group.evidence
    ]
    counted = _ref(group, "n_assigned", ".0f") if "n_assigned" in group.evidence else "Some"
    into = f" of {_ref(group, 'n_organelles', '.0f')}" if "n_organelles" in group.evidence else ""
    return f"{counted} {features_word(context)} belong to one{into} organelles ({'; '.join(parts)})."


WHOLE_STATEMENTS: dict[str, Callable[[EvidenceGroup, DecisionContext], str]] = {
    "prediction": _panel_statement,
    "composition": _groups_statement,
    "replication": _replication_statement,
    "localisation": _localisation_statement,
}
"""Relations that are one statement about all samples."""


def experiment(group: EvidenceGroup) -> str:
    """What would test it in new subjects."""
    if group.grain == "path":
        return str(group.values["experiment"])
    entity = group.claim.entities[0]
    if entity.kind == "sample_group":
        size = (
            f" with about {_ref(group, 'n_per_group', '.0f')} subjects a group"
            if "n_per_group" in group.evidence
            else ""
        )
        return f"Repeat the comparison{size}; otherwise treat it as without a large effect."
    size = (
        f", {_ref(group, 'n_per_group', '.0f')} subjects a group (eighty per cent power)"
        if "n_per_group" in group.evidence
        else ""
    )
    if group.claim.relation == "prediction":
        return (
            f"Measure the panel by a targeted assay in new subjects{size}, with the model fixed beforehand; "
            "readout: its area under the curve."
        )
    if group.claim.relation == "replication":
        return f"Measure the findings in another cohort{size}; readout: sign and size of each effect."
    if group.claim.relation == "localisation":
        return f"Image tagged proteins of each organelle{size}; readout: where they are seen."
    if group.claim.relation == "composition":
        return f"Classify new subjects{size} by the same features; readout: whether they fall into the same groups."
    if group.grain == "set":
        return (
            f"Targeted mass spectrometry of the driving members of “{entity.name}” in new subjects{size}; "
            "readout: their mean log2 ratio."
        )
    relation = RELATIONS[group.claim.relation]
    return relation.experiment.format(name=entity.name, size=size, readout=relation.readout)
