"""Hypotheses by grammar: statements, competing explanations and a proposed experiment, with references for numbers.

Composed by rules, no language model. What is said about a claim is decided by its evidence roles; what could explain it
otherwise is decided by the diagnostics of the run.
"""

from __future__ import annotations

from nereus.agents.planner.questions import RELATIONS, TESTED, Relation
from nereus.agents.policies.base import (
    Atoms,
    Critique,
    DecisionContext,
    EvidenceGroup,
    HypothesisDraft,
    HypothesisDrafts,
    MergeVerdict,
)
from nereus.memory.records import Atom, Entity, Objective, Scores
from nereus.tools.proteomics.profile.words import plural

STABLE = 0.7
MAX_FOLLOW_UP = 200
"""Subjects a group above which a follow-up is not practical."""


def compose(context: DecisionContext) -> HypothesisDrafts:
    """One draft a group."""
    return HypothesisDrafts(drafts=tuple(_draft(group, context) for group in context.groups))


def _draft(group: EvidenceGroup, context: DecisionContext) -> HypothesisDraft:
    write = {"entity": _entity_statement, "set": _set_statement, "cross": _cross_statement}[group.grain]
    return HypothesisDraft(
        group_id=group.id,
        grain=group.grain,
        claim=group.claim,
        statement=write(group, context),
        alternatives=_alternatives(group, context),
        experiment=_experiment(group),
        caveats=_caveats(group),
        evidence_ids=tuple(dict.fromkeys(group.evidence.values())),
    )


def _ref(group: EvidenceGroup, role: str, form: str = "") -> str:
    return f"{{{{{group.evidence[role]}{'|' + form if form else ''}}}}}"


def _unit(context: DecisionContext) -> str:
    return str(context.profile.values.get("unit_of_analysis") or "sample")


def _groups_of(group: EvidenceGroup, context: DecisionContext) -> tuple[str, str]:
    """The two compared groups, a number under its factor's name; empty where nothing is compared.

    They are taken from the objective: a level may hold any text, so the contrast's label cannot be cut up.
    """
    found = next(
        (
            one.contrast
            for one in context.objectives
            if one.id in group.objective_ids and one.contrast is not None
        ),
        None,
    )
    if found is None:
        a, _, b = group.claim.contrast.partition(" vs ")
        return a, b
    bare = all(level.replace(".", "", 1).lstrip("-").isdigit() for level in (found.a, found.b))
    before = f"{found.factor} " if bare else ""
    after = ", ".join(f"{column} = {level}" for column, level in sorted(found.subset.items()))
    return f"{before}{found.a}", f"{before}{found.b}" + (f" ({after})" if after else "")


def _entity_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    if entity.kind == "sample_group":
        return _nothing_statement(group)
    relation = RELATIONS[group.claim.relation]
    a, b = _groups_of(group, context)
    said = relation.said[0 if entity.direction == relation.directions[0] else 1]
    text = f"{_named(entity)} {said.format(a=a, b=b, label=group.claim.contrast)}"
    parts = []
    if "effect" in group.evidence:
        interval = (
            f", interval {_ref(group, 'ci_low', '+.2f')} to {_ref(group, 'ci_high', '+.2f')}"
            if {"ci_low", "ci_high"} <= set(group.evidence)
            else ""
        )
        parts.append(f"{relation.effect} {_ref(group, 'effect', '+.2f')}{interval}")
    if "q" in group.evidence:
        parts.append(f"q {_ref(group, 'q', 'p')}")
    if {"n_a", "n_b"} <= set(group.evidence) and relation.counted:
        parts.append(
            f"{_ref(group, 'n_a', '.0f')} against {_ref(group, 'n_b', '.0f')} {plural(_unit(context))}"
        )
    if "stability" in group.evidence:
        parts.append(f"holds in {_ref(group, 'stability', '.0%')} of half-samples")
    return f"{text} ({'; '.join(parts)})." if parts else f"{text}."


def _nothing_statement(group: EvidenceGroup) -> str:
    label = group.claim.contrast
    text = RELATIONS[group.claim.relation].nothing.format(label=label)
    parts = []
    if "n_tested" in group.evidence:
        parts.append(f"none of {_ref(group, 'n_tested')} tested proteins holds at the error level of the run")
    if "null_p95" in group.evidence:
        parts.append(f"shuffled labels give up to {_ref(group, 'null_p95', '.0f')}")
    if "detectable_effect_median" in group.evidence:
        parts.append(
            f"an effect of {_ref(group, 'detectable_effect_median', '.2f')} log2 would have been seen"
        )
    return f"{text}: {'; '.join(parts)}." if parts else f"{text}: not supported."


def _set_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    a, b = _groups_of(group, context)
    where = f"higher in {a} than in {b}" if b else f"following {group.claim.contrast}"
    if entity.direction == "down":
        where = f"lower in {a} than in {b}" if b else f"falling with {group.claim.contrast}"
    parts = []
    if {"n_hits", "n_measured"} <= set(group.evidence):
        parts.append(
            f"{_ref(group, 'n_hits', '.0f')} of {_ref(group, 'n_measured', '.0f')} measured members drive it"
        )
    if "effect" in group.evidence:
        parts.append(f"normalised enrichment score {_ref(group, 'effect', '+.2f')}")
    if "q" in group.evidence:
        parts.append(f"q {_ref(group, 'q', 'p')}")
    return f"The proteins of “{entity.name}” are together {where} ({'; '.join(parts)})."


def _cross_statement(group: EvidenceGroup, context: DecisionContext) -> str:
    entity = group.claim.entities[0]
    parts = []
    kinds = {one.id: one for one in context.objectives}
    labels = {
        one.id: one.contrast.label if one.contrast is not None else one.variable or ""
        for one in kinds.values()
    }
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


def _relation_of(objective: Objective | None, entity: Entity) -> Relation:
    """What an objective says of an entity: by its direction, where one question has several kinds of claims."""
    asked = TESTED.get(objective.kind) if objective is not None else None
    names = (asked.relation, *asked.also.values()) if asked is not None else tuple(RELATIONS)
    return next(
        (RELATIONS[name] for name in names if entity.direction in RELATIONS[name].directions),
        RELATIONS[names[0]],
    )


def _named(entity: Entity) -> str:
    return (
        entity.name
        if entity.name == entity.id or not entity.name
        else f"{entity.name} ({entity.id.split(';')[0]})"
    )


def _alternatives(group: EvidenceGroup, context: DecisionContext) -> tuple[str, ...]:
    """Competing explanations that the diagnostics of this run leave open."""
    entity = group.claim.entities[0]
    if entity.kind == "sample_group":
        return ("effects smaller than what this number of subjects can show", "changes in few subjects only")
    found = []
    for row in context.profile.tables.get("confounding", []):
        pair = [str(row.get("first")), str(row.get("second"))]
        value = row.get("cramers_v")
        if group.claim.context in pair and value is not None and 0.3 <= float(value) < 0.9:
            other = pair[1 - pair.index(group.claim.context)]
            found.append(
                f"{other} is partly tied to {group.claim.context}; it may carry part of the difference"
            )
    values = context.profile.values
    if values.get("n_outliers"):
        found.append("a few outlying samples")
    if group.claim.relation == "detection" or float(values.get("missing_rate") or 0) > 0.2:
        found.append("missing values that depend on the group rather than on this protein")
    if group.claim.relation == "abundance":
        found.append(
            "a change of the mixture (cells, fluid volume, contamination) rather than of this protein's regulation"
        )
    if group.grain == "set":
        found.append("a few strongly changed members that the set shares with other sets")
    return tuple(found[:4])


def _experiment(group: EvidenceGroup) -> str:
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
    if group.grain == "set":
        return (
            f"Targeted mass spectrometry of the driving members of “{entity.name}” in new subjects{size}; "
            "readout: their mean log2 ratio."
        )
    relation = RELATIONS[group.claim.relation]
    return relation.experiment.format(name=entity.name, size=size, readout=relation.readout)


def _caveats(group: EvidenceGroup) -> tuple[str, ...]:
    found = []
    smallest = min(
        (
            float(v)
            for v in (group.values.get("n_a"), group.values.get("n_b"))
            if isinstance(v, int | float) and v
        ),
        default=None,
    )
    if smallest is not None and smallest < 5 and group.claim.relation == "abundance":
        found.append("fewer than five subjects a group: size of the effect is uncertain")
    if group.grain == "set":
        found.append("the p-value of a set assumes that its members vary independently, up to a correction")
    return tuple(found)


# -------------------------------------------------------------------------------------------------- decomposition


def decompose(context: DecisionContext) -> Atoms:
    """What must hold for each draft, and what should: each atom is run by a tool."""
    return Atoms(atoms={draft.group_id: _atoms(draft, context) for draft in context.drafts})


def _atoms(draft: HypothesisDraft, context: DecisionContext) -> tuple[Atom, ...]:
    group = next(one for one in context.groups if one.id == draft.group_id)
    entity = group.claim.entities[0]

    def atom(number: int, kind: str, statement: str, necessary: bool, *roles: str) -> Atom:
        cited = tuple(group.evidence[role] for role in roles if role in group.evidence)
        return Atom(
            id=f"A{number}",
            statement=statement,
            kind=kind,
            necessary=necessary,
            verdict="assumed",
            evidence_ids=cited,
        )

    if entity.kind == "sample_group":
        return (
            atom(
                1,
                "significance",
                "at least one protein holds at the run's error level",
                True,
                "n_significant",
                "n_tested",
            ),
        )
    atoms = [atom(1, "significance", "holds at the error level of the whole run", True, "q")]
    if group.grain == "set":
        return (
            *atoms,
            atom(2, "assumed", "the members stand for the process that the set is named after", False),
        )
    if group.grain == "cross":
        return (*atoms, atom(2, "direction", "its direction is the same or expected in each analysis", False))
    if "stability" in group.evidence:
        atoms.append(
            atom(
                2,
                "stability",
                "keeps sign and significance when half of the subjects are left out",
                True,
                "stability",
            )
        )
    if "null_p95" in group.evidence:
        atoms.append(
            atom(
                3,
                "permutation",
                "the comparison finds more than shuffled labels do",
                False,
                "observed",
                "null_p95",
            )
        )
    atoms.append(atom(4, "normalisation", "does not depend on how the samples were normalised", True))
    if context.profile.values.get("n_outliers"):
        atoms.append(atom(5, "outlier", "does not depend on the outlying samples", True))
    if context.limits.get(f"adjusted:{group.objective_ids[0]}"):
        atoms.append(atom(6, "covariate", "does not depend on the adjustment", False))
    atoms.append(atom(7, "assumed", "the difference is biological and not of sample handling", False))
    return tuple(atoms)


# -------------------------------------------------------------------------------------------- merging and scoring


def merge(context: DecisionContext) -> MergeVerdict:
    """Two drafts that look alike: the same claim, a contradiction, or two claims."""
    first, second = context.drafts[:2]
    ids = [sorted(entity.id for entity in draft.claim.entities) for draft in (first, second)]
    same_place = (first.claim.relation, first.claim.contrast) == (
        second.claim.relation,
        second.claim.contrast,
    )
    directions = [[entity.direction for entity in draft.claim.entities] for draft in (first, second)]
    if same_place and ids[0] == ids[1]:
        return MergeVerdict(
            verdict="same" if directions[0] == directions[1] else "contradict",
            reason="equal entities and contrast",
        )
    shared = set(first.evidence_ids) & set(second.evidence_ids)
    union = set(first.evidence_ids) | set(second.evidence_ids)
    if same_place and union and len(shared) / len(union) >= 0.5:
        return MergeVerdict(verdict="same", reason="they stand on the same evidence")
    return MergeVerdict(verdict="distinct", reason="different entities or contexts")


def critique(context: DecisionContext) -> Critique:
    """Flaws and five computable proxies of the five scores of the paper; they are labelled as proxies."""
    draft = context.drafts[0]
    group = context.groups[0]
    necessary = [atom for atom in draft.atoms if atom.necessary]
    tested = [atom for atom in draft.atoms if atom.verdict != "assumed"]
    held = [atom for atom in tested if atom.verdict == "holds"]
    confidence = group.values.get("confidence")
    reliability = (
        float(confidence)
        if isinstance(confidence, int | float)
        else (0.5 if all(a.verdict != "fails" for a in necessary) else 0.0)
    )
    similar = max((memory.similarity for memory in context.memories), default=0.0)
    size = group.values.get("n_per_group")
    measurable = 0.5 if not isinstance(size, int | float) else (1.0 if float(size) <= MAX_FOLLOW_UP else 0.4)
    flaws: list[str] = []
    smallest = [
        float(v)
        for v in (group.values.get("n_a"), group.values.get("n_b"))
        if isinstance(v, int | float) and v
    ]
    if smallest and min(smallest) < 3 and group.claim.relation == "abundance":
        flaws.append("underpowered")
    if any(atom.verdict == "fails" and atom.necessary for atom in draft.atoms):
        flaws.append("contradicts_evidence")
    return Critique(
        flaws=tuple(flaws),
        scores=Scores(
            reliability=round(min(1.0, max(0.0, reliability)), 4),
            coherence=round(len(held) / len(tested), 4) if tested else 0.0,
            literature=None,
            novelty=round(1.0 - max(0.0, min(1.0, similar)), 4),
            evaluability=measurable,
            proxy=True,
        ),
        reasons=(
            "reliability: calibrated confidence",
            "coherence: share of tested atoms that hold",
            "novelty: distance to hypotheses of earlier runs",
        ),
    )
