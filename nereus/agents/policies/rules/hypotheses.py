"""Hypotheses by grammar: statements, competing explanations and a proposed experiment, with references for numbers.

Composed by rules, no language model. What is said about a claim is decided by its evidence roles; what could explain it
otherwise is decided by the diagnostics of the run.
"""

from __future__ import annotations

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.graph.directions import MARK
from nereus.agents.planner.relations import RELATIONS
from nereus.agents.policies.base import (
    Atoms,
    Critique,
    DecisionContext,
    EvidenceGroup,
    HypothesisDraft,
    HypothesisDrafts,
    MergeVerdict,
)
from nereus.agents.policies.rules.statements import experiment, legs, statement
from nereus.memory.records import Atom, Scores

STABLE = 0.7
MAX_FOLLOW_UP = 200
"""Subjects a group above which a follow-up is not practical."""


def compose(context: DecisionContext) -> HypothesisDrafts:
    """One draft a group."""
    return HypothesisDrafts(drafts=tuple(_draft(group, context) for group in context.groups))


def _draft(group: EvidenceGroup, context: DecisionContext) -> HypothesisDraft:
    return HypothesisDraft(
        group_id=group.id,
        grain=group.grain,
        claim=group.claim,
        statement=statement(group, context),
        alternatives=_alternatives(group, context),
        experiment=experiment(group),
        caveats=_caveats(group),
        evidence_ids=tuple(dict.fromkeys(group.evidence.values())),
    )


def _alternatives(group: EvidenceGroup, context: DecisionContext) -> tuple[str, ...]:
    """Competing explanations that the diagnostics of this run leave open."""
    if group.grain == "path":
        return (
            "a third cause of all that it joins",
            "what is joined may hold in different subjects, or cells, of the same groups",
        )
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
    relation = RELATIONS.get(group.claim.relation)
    if relation is not None and relation.alternative:
        found.append(relation.alternative)
    if group.claim.relation == "composition":
        found.append("batches, sites or sample quality that nobody recorded")
    if group.claim.relation == "prediction":
        found.append(
            "what distinguishes these samples from others of the kind: recruitment, handling, or one site"
        )
    if group.claim.relation == "enrichment":
        found.append("a few strongly changed members that the set shares with other sets")
    return tuple(found[:4])


def _caveats(group: EvidenceGroup) -> tuple[str, ...]:
    found = []
    if group.grain == "path":
        return ("its last edge is inferred: nothing in these data tests it",)
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
    if group.claim.relation == "prediction":
        found.append("its p-value stands beside the error control over the tables of the run, not within it")
    where, status = group.values.get(COHORT), group.values.get("replication_status")
    if status in ("not measured", "not tested"):
        found.append(f"{status} in {where}")
    elif status == "opposite sign":
        found.append(f"has the opposite sign in {where}")
    if group.claim.relation == "enrichment":
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
    asked = next((one for one in context.objectives if one.id in group.objective_ids), None)
    cohort = asked.design.get(COHORT) if asked is not None else None
    if group.grain == "path":
        found = [
            atom(number, "significance", text, True, role)
            if tested
            else atom(number, "assumed", f"{text} (not tested here)", False, role)
            for number, (role, text, tested) in enumerate(legs(group), start=1)
        ]
        inferred = f"{MARK}: {group.values['inferred']}"
        return (*found, atom(len(found) + 1, "assumed", inferred, False))
    if group.claim.relation == "replication":
        return (
            atom(
                1,
                "significance",
                "more findings hold again than with exchanged labels",
                True,
                "p_permutation",
            ),
            atom(
                2,
                "assumed",
                f"those of {cohort} stand for others"
                if cohort
                else "the subjects kept aside stand for others",
                False,
            ),
        )
    if group.claim.relation == "localisation":
        return (
            atom(
                1,
                "significance",
                "features are assigned with the probability that was asked for",
                True,
                "n_assigned",
            ),
            atom(2, "assumed", "the markers are where the literature says", False),
        )
    if group.claim.relation == "composition":
        return (
            atom(1, "significance", "more structure than data without groups have", True, "p", "silhouette"),
            atom(
                2, "stability", "resamples of subjects and features find the same groups", True, "stability"
            ),
            atom(3, "assumed", "the groups are biological and not of sample handling", False),
        )
    if group.claim.relation == "prediction":
        return (
            atom(
                1,
                "significance",
                "predicts better than panels found with exchanged labels",
                True,
                "p_permutation",
            ),
            atom(
                2, "permutation", "lies beyond what exchanged labels reach", False, "performance", "null_p95"
            ),
            atom(3, "significance", "holds at the error level of the whole run", True, "q_run"),
            atom(4, "assumed", "new subjects are like these", False),
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
    if "replication_q" in group.evidence:
        told = group.values.get(COHORT)
        again = f"replicated in {told}" if told else "holds again in subjects that were kept aside"
        atoms.append(atom(9, "replication", again, False, "replication_q"))
    if "hazards_p" in group.evidence:
        atoms.append(atom(8, "hazards", "its hazard ratio stays the same over time", False, "hazards_p"))
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
