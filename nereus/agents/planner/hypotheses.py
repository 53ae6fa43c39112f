"""Hypotheses: composed from evidence, decomposed into atoms, verified or refuted, merged, scored and ranked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime

from nereus.agents.planner import harvest
from nereus.agents.planner.evidence import EvidenceBook, in_order
from nereus.agents.planner.graph.finish import fallen, finished
from nereus.agents.planner.graph.paths import path_groups
from nereus.agents.planner.graph.weave import Weaver, weave
from nereus.agents.planner.services import Services
from nereus.agents.planner.state import RunState
from nereus.agents.policies.base import (
    Atoms,
    Critique,
    DecisionContext,
    DecisionKind,
    EvidenceGroup,
    HypothesisDraft,
    HypothesisDrafts,
    MergeVerdict,
)
from nereus.memory.records import Atom, Hypothesis, Objective, Scores

STABLE = 0.7
SURE = 0.7
"""Calibrated confidence from which a claim is supported, below tentative."""
FAMILY_LIMIT = 3
UNCALIBRATED = {"supported": 0.5, "tentative": 0.4}
"""Weight in the ranking of a claim whose confidence is not calibrated."""
FEW_VALUES = 3
"""Values in the smaller group below which a difference is marginal, and at which it is if the other one is much larger."""
UNEVEN = 3
"""How much larger."""
CONFIDENCE_WORDS = ((0.9, "strong"), (0.7, "likely"), (0.4, "tentative"))
_UNSCORED = Scores(reliability=0.0, coherence=0.0, literature=None, novelty=1.0, evaluability=0.0)


def compose(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Gather evidence, let the policy write one draft a group, and decompose the drafts into atoms."""
    services = runtime.context
    groups, graph = _groups(state, services)
    if not groups:
        return {"claimed": {}, "notices": _nothing_notice(state)}
    context = _context(state, services).model_copy(update={"groups": tuple(groups)})
    drafts = services.decide(DecisionKind.COMPOSE_HYPOTHESES, "hypotheses", context, HypothesisDrafts).drafts
    atoms = services.decide(
        DecisionKind.DECOMPOSE, "atoms", context.model_copy(update={"drafts": drafts}), Atoms
    ).atoms
    hypotheses = [
        _proposed(number, draft, atoms.get(draft.group_id, ()))
        for number, draft in enumerate(drafts, start=1)
    ]
    services.repository.save_hypotheses(services.run_id, hypotheses)
    for one in hypotheses:
        services.emit("hypothesis_proposed", one.id, statement=one.statement, grain=one.grain)
    claimed = {
        objective: sum(
            objective in group.objective_ids and bool(group.values.get("claimed")) for group in groups
        )
        for group in groups
        for objective in group.objective_ids
    }
    kept = [
        f"the evidence graph keeps the strongest claims about {label}; all of them are in claims.csv"
        for label in graph.shortened
    ]
    return {"claimed": claimed, "used": {"hypotheses": len(hypotheses)}, "notices": kept}


def judge(state: RunState, runtime: Runtime[Services]) -> dict[str, Any]:
    """Give every atom its verdict, score and rank the hypotheses, and merge what says the same."""
    services = runtime.context
    gathered, graph = _groups(state, services)
    groups = {group.id: group for group in gathered}
    book = EvidenceBook(services, state.get("calls", {}))
    known = services.repository.hypotheses(services.run_id)
    by_group = dict(zip(_draft_ids(state, services), known, strict=True)) if known else {}
    outputs = state.get("outputs", {})
    judged: list[tuple[EvidenceGroup, Hypothesis]] = []
    for group_id, one in by_group.items():
        group = groups[group_id]
        atoms = tuple(_verdict(atom, one, group, book, outputs) for atom in one.atoms)
        figures = _figures(group, services, state.get("calls", {}), outputs)
        judged.append((group, one.model_copy(update={"atoms": atoms, "figures": figures})))
    book.flush()
    context = _context(state, services)
    novel = not _other_data(services)
    scored = [_scored(group, one, context, services, novel) for group, one in judged]
    scored = _without_fallen([group for group, _ in judged], scored)
    merged = _merge(scored, context, services)
    ranked = _ranked(merged, _priorities(state))
    services.repository.save_hypotheses(services.run_id, ranked)
    for one in ranked:
        services.emit(
            f"hypothesis_{'verified' if one.status in ('supported', 'tentative') else one.status}",
            one.id,
            rank=one.rank,
            status=one.status,
        )
    verdicts = {one.id: one for one in ranked}
    nodes, edges = finished(graph, [(group, verdicts[one.id]) for group, one in judged])
    services.repository.save_graph(services.run_id, nodes, edges)
    services.emit("graph_written", services.run_id, nodes=len(nodes), edges=len(edges))
    return {"status": "judged"}


def _without_fallen(groups: list[EvidenceGroup], scored: list[Hypothesis]) -> list[Hypothesis]:
    """A path whose leg was refuted falls with it."""
    refuted = {group.id for group, one in zip(groups, scored, strict=True) if one.status == "refuted"}
    return [
        one.model_copy(update={"status": "refuted", "confidence_word": "", "rank_score": 0.0})
        if one.grain == "path" and fallen(group, refuted)
        else one
        for group, one in zip(groups, scored, strict=True)
    ]


# ------------------------------------------------------------------------------------------------------- composing


def _groups(state: RunState, services: Services) -> tuple[list[EvidenceGroup], Weaver]:
    """All evidence groups, with the paths of the evidence graph behind them, and the graph."""
    objectives = {
        name: Objective.model_validate(value) for name, value in state.get("objectives", {}).items()
    }
    calls, outputs = (
        state.get("calls", {}),
        {name: value for name, value in state.get("outputs", {}).items() if value},
    )
    book = EvidenceBook(services, calls)
    claims = {
        str(services.call(key).spec.params.get("prefix")): step
        for step, key in calls.items()
        if services.call(key).spec.tool == "compose_claims" and "claims" in services.call(key).outputs
    }
    kind = services.profile(calls, outputs).values.get("data_kind")
    found = harvest.sources(objectives, outputs, claims, kind)
    limit = int(state["limits"]["hypotheses"])
    inputs = {role: ref.id for role, ref in services.inputs.items()}
    # What verifying adds to the outputs is not what hypotheses are made of: judging sees the groups of composing.
    mark = (len(objectives), frozenset(name for name in outputs if ":check:" not in name))
    groups = services.parsed.once(
        "groups", mark, lambda: harvest.harvest(services, book, found, objectives, outputs, limit)
    )
    graph = services.parsed.once("graph", mark, lambda: weave(book, found, objectives, outputs, inputs))
    paths = path_groups(graph) if groups else []
    return [*_with_room(groups, limit - len(paths)), *paths], graph


def _with_room(groups: list[EvidenceGroup], most: int) -> list[EvidenceGroup]:
    """The groups without some claims of single entities, so that no more than this many are left.

    The weakest claim of the question that has most goes first: the only claims of a question whose confidence nobody
    calibrated, such as kinases, would else be the first to go.
    """
    over = len(groups) - most
    if over <= 0:
        return groups
    by_question: dict[str, list[str]] = {}
    for group in groups:
        if group.grain == "entity" and group.values.get("claimed"):
            by_question.setdefault(group.objective_ids[0], []).append(group.id)
    gone: set[str] = set()
    while len(gone) < over and any(by_question.values()):
        fullest = max(by_question, key=lambda one: len(by_question[one]))
        gone.add(by_question[fullest].pop())
    return [group for group in groups if group.id not in gone]


def _draft_ids(state: RunState, services: Services) -> list[str]:
    decision = services.repository.decision(
        services.run_id, f"{DecisionKind.COMPOSE_HYPOTHESES.value}@hypotheses"
    )
    return [draft["group_id"] for draft in decision.payload["drafts"]] if decision else []


def _context(state: RunState, services: Services) -> DecisionContext:
    calls, outputs = state.get("calls", {}), state.get("outputs", {})
    objectives = tuple(
        Objective.model_validate(state["objectives"][one]) for one in in_order(state.get("objectives", {}))
    )
    adjusted = {
        f"adjusted:{one.id}": 1.0
        for one in objectives
        if one.covariates or (one.contrast and one.contrast.covariates)
    }
    return DecisionContext(
        question=services.question,
        profile=services.profile(calls, {name: value for name, value in outputs.items() if value}),
        objectives=objectives,
        limits=adjusted,
    )


def _proposed(number: int, draft: HypothesisDraft, atoms: tuple[Atom, ...]) -> Hypothesis:
    identity = f"H{number}"
    return Hypothesis(
        id=identity,
        rank=number,
        status="proposed",
        grain=draft.grain,
        key=canonical_key(draft),
        statement=draft.statement,
        claim=draft.claim,
        confidence=None,
        scores=_UNSCORED,
        evidence_ids=draft.evidence_ids,
        atoms=tuple(atom.model_copy(update={"id": f"{identity}.{atom.id}"}) for atom in atoms),
        alternatives=draft.alternatives,
        experiment=draft.experiment,
        caveats=draft.caveats,
    )


def canonical_key(draft: HypothesisDraft) -> str:
    """Sorted entities, relation, contrast and directions: what makes two hypotheses the same claim."""
    entities = ",".join(sorted(f"{entity.kind}:{entity.id}" for entity in draft.claim.entities))
    directions = ",".join(sorted(entity.direction for entity in draft.claim.entities))
    return f"{entities}|{draft.claim.relation}|{draft.claim.contrast}|{directions}"


def _nothing_notice(state: RunState) -> list[str]:
    return [
        "no hypothesis was composed: nothing was tested in this run, see the notices and the quality report"
    ]


# --------------------------------------------------------------------------------------------------------- judging


def _verdict(
    atom: Atom, one: Hypothesis, group: EvidenceGroup, book: EvidenceBook, outputs: Mapping[str, str]
) -> Atom:
    """What the tools say about an atom."""
    values = group.values
    if atom.kind == "significance":
        return atom.model_copy(update={"verdict": "holds" if values.get("claimed") else "fails"})
    if atom.kind == "stability":
        stability = values.get("stability")
        if not isinstance(stability, int | float):
            return atom
        return atom.model_copy(update={"verdict": "holds" if stability >= STABLE else "fails"})
    if atom.kind == "permutation":
        observed = values.get("observed", values.get("performance"))
        limit = values.get("null_p95")
        if not isinstance(observed, int | float) or not isinstance(limit, int | float):
            return atom
        return atom.model_copy(update={"verdict": "holds" if observed > limit else "fails"})
    if atom.kind == "direction":
        directions = {entity.direction for entity in one.claim.entities}
        return atom.model_copy(update={"verdict": "holds" if len(directions) == 1 else "fails"})
    if atom.kind == "replication":
        return atom.model_copy(update={"verdict": "holds" if values.get("replicated") else "fails"})
    if atom.kind == "hazards":
        p = values.get("hazards_p")
        return atom.model_copy(
            update={"verdict": "holds" if isinstance(p, int | float) and p >= 0.05 else "fails"}
        )
    if atom.kind in ("normalisation", "outlier", "covariate"):
        return _recheck(atom, group, book, outputs)
    return atom


def _figures(
    group: EvidenceGroup, services: Services, calls: Mapping[str, str], outputs: Mapping[str, str]
) -> tuple[str, ...]:
    """The drawing of the hypothesis' protein, where one was made."""
    found = []
    for objective in group.objective_ids:
        reference = outputs.get(f"{objective}:check:figure:{group.claim.entities[0].id}")
        if reference:
            found.append(services.resolve(reference, calls, outputs).id)
    return tuple(found[:2])


def _recheck(atom: Atom, group: EvidenceGroup, book: EvidenceBook, outputs: Mapping[str, str]) -> Atom:
    """Whether the same feature keeps its sign and a p below 0.05 in the repeated test."""
    objective = group.objective_ids[0]
    reference = outputs.get(
        f"{objective}:rerun" if atom.kind == "outlier" else f"{objective}:check:{atom.kind}"
    )
    if reference is None or group.claim.relation == "detection":
        return atom
    step_id, _, table = reference.partition("/")
    feature = group.claim.entities[0].id
    rows = book.table(step_id, table)
    row = rows[rows.iloc[:, 0] == feature]
    if row.empty or row["p"].isna().all():
        return atom
    effect = book.cell(step_id, table, feature, "effect", f"effect, repeated: {atom.kind}")
    p = book.cell(step_id, table, feature, "p", f"p, repeated: {atom.kind}")
    before = group.values.get("effect")
    same_sign = (
        isinstance(before, int | float)
        and isinstance(effect.value, int | float)
        and before * effect.value > 0
    )
    holds = same_sign and isinstance(p.value, int | float) and p.value < 0.05
    return atom.model_copy(
        update={
            "verdict": "holds" if holds else "fails",
            "statement": f"{atom.statement}: effect {{{{{effect.id}|+.2f}}}}, p {{{{{p.id}|p}}}}",
            "evidence_ids": (*atom.evidence_ids, effect.id, p.id),
        }
    )


def _other_data(services: Services) -> bool:
    """Whether any earlier run was about other data: only then can a hypothesis be known already."""
    here = services.inputs["data"].id
    return any(
        run.inputs["data"].id != here for run in services.repository.list_runs() if "data" in run.inputs
    )


def _scored(
    group: EvidenceGroup, one: Hypothesis, context: DecisionContext, services: Services, novel: bool
) -> Hypothesis:
    failed = [atom for atom in one.atoms if atom.necessary and atom.verdict == "fails"]
    statement = re.sub(r"\{\{[^{}]*\}\}", "", one.statement)
    memories = tuple(
        memory
        for memory in (() if novel else services.recall_similar("hypotheses", statement))
        if memory.metadata.get("data_id") != services.inputs["data"].id
    )
    draft = HypothesisDraft(
        group_id=group.id,
        grain=one.grain,
        claim=one.claim,
        statement=one.statement,
        atoms=one.atoms,
        evidence_ids=one.evidence_ids,
    )
    context = context.model_copy(update={"drafts": (draft,), "groups": (group,), "memories": memories})
    answer = services.decide(DecisionKind.CRITIQUE, one.id, context, Critique)
    confidence = group.values.get("confidence")
    calibrated = float(confidence) if isinstance(confidence, int | float) and not failed else None
    if failed or not group.values.get("claimed"):
        status = "refuted"
    elif (
        (calibrated is not None and calibrated < SURE)
        or (calibrated is None and one.grain != "set" and not _stands_alone(one))
        or marginal(group)
    ):
        status = "tentative"
    else:
        status = "supported"
    weight = calibrated if calibrated is not None else UNCALIBRATED.get(status, 0.0)
    score = weight * (0.5 + 0.5 * answer.scores.novelty) * answer.scores.evaluability
    flaws = tuple(
        f"critique: {flaw.replace('_', ' ')}" for flaw in answer.flaws if flaw != "contradicts_evidence"
    )
    if marginal(group):
        flaws = (*flaws, "rests on very few values in the smaller group: one of them could have made it")
    return one.model_copy(
        update={
            "status": status,
            "confidence": calibrated,
            "confidence_word": _word(calibrated, one.grain) if status != "refuted" else "",
            "scores": answer.scores,
            "rank_score": round(score, 6),
            "caveats": (*one.caveats, *flaws),
            "author": "composed by rules, no language model"
            if services.policy.id == "rules"
            else f"composed by policy {services.policy.id!r}",
        }
    )


def marginal(group: EvidenceGroup) -> bool:
    """Whether a difference rests on two values in a group, or on three against at least three times as many.

    The calibration plants effects into the groups as they are. It does not see that the variance of a handful of values
    is taken over from a much larger group, or that a feature was seen in two samples of many.
    """
    counts = [group.values.get(name) for name in ("n_a", "n_b")]
    known = [float(n) for n in counts if isinstance(n, int | float) and n == n and n > 0]
    if group.claim.relation != "abundance" or len(known) < 2:
        return False
    return min(known) < FEW_VALUES or (min(known) == FEW_VALUES and max(known) >= UNEVEN * FEW_VALUES)


def _stands_alone(one: Hypothesis) -> bool:
    """Whether a claim without a calibrated confidence may be called supported.

    Confidence is calibrated where effects can be planted (`self_planting`). Any other claim is tentative unless it is
    stable over half-samples and its question found more than exchanged labels do.
    """
    held = {atom.kind for atom in one.atoms if atom.verdict == "holds"}
    return one.grain == "cross" or {"stability", "permutation"} <= held


def _word(confidence: float | None, grain: str) -> str:
    if grain == "path":
        return "inferred, not tested"
    if confidence is None:
        return "not calibrated"
    return next((word for limit, word in CONFIDENCE_WORDS if confidence >= limit), "weak")


def _merge(judged: list[Hypothesis], context: DecisionContext, services: Services) -> list[Hypothesis]:
    """Equal claims become one, contradictions are flagged on both sides."""
    kept: list[Hypothesis] = []
    out: list[Hypothesis] = []
    for one in judged:
        twin = next((other for other in kept if _alike(one, other)), None)
        if twin is None:
            kept.append(one)
            continue
        drafts = tuple(
            HypothesisDraft(
                group_id=h.id,
                grain=h.grain,
                claim=h.claim,
                statement=h.statement,
                evidence_ids=h.evidence_ids,
            )
            for h in (twin, one)
        )
        pair = context.model_copy(update={"drafts": drafts})
        answer = services.decide(DecisionKind.MERGE, f"{twin.id}+{one.id}", pair, MergeVerdict)
        if answer.verdict == "same":
            union = tuple(dict.fromkeys([*twin.evidence_ids, *one.evidence_ids]))
            kept[kept.index(twin)] = twin.model_copy(update={"evidence_ids": union})
            out.append(one.model_copy(update={"status": "merged", "merged_into": twin.id, "rank_score": 0.0}))
        elif answer.verdict == "contradict":
            note = "contradicted by {other}: the same entity in the opposite direction"
            kept[kept.index(twin)] = twin.model_copy(
                update={
                    "caveats": (*twin.caveats, note.format(other=one.id)),
                    "rank_score": twin.rank_score / 2,
                }
            )
            kept.append(
                one.model_copy(
                    update={
                        "caveats": (*one.caveats, note.format(other=twin.id)),
                        "rank_score": one.rank_score / 2,
                    }
                )
            )
        else:
            kept.append(one)
    return [*kept, *out]


def _alike(one: Hypothesis, other: Hypothesis) -> bool:
    if one.grain != other.grain or one.claim.relation != other.claim.relation:
        return False
    ids = [{entity.id for entity in h.claim.entities} for h in (one, other)]
    if one.claim.contrast == other.claim.contrast and ids[0] == ids[1]:
        return True
    first, second = set(one.evidence_ids), set(other.evidence_ids)
    return one.grain == "set" and bool(first | second) and len(first & second) / len(first | second) >= 0.5


def _priorities(state: RunState) -> dict[str, float]:
    """What is asked about -> priority of the objective that asked about it."""
    found: dict[str, float] = {}
    for value in state.get("objectives", {}).values():
        one = Objective.model_validate(value)
        found[one.about] = max(one.priority, found.get(one.about, 0.0))
    return found


def _ranked(hypotheses: list[Hypothesis], priorities: Mapping[str, float]) -> list[Hypothesis]:
    """Supported by score with at most three of a family before the next family; refuted and merged ones last.

    Scores that agree to a tenth are ordered by how much the question was wanted: what the user asked about comes first.
    """
    order = {"supported": 0, "tentative": 1, "proposed": 2, "refuted": 3, "merged": 4}
    pool = sorted(
        hypotheses,
        key=lambda one: (
            order[one.status],
            -round(one.rank_score, 1),
            -priorities.get(one.claim.contrast, 0.0),
            -one.rank_score,
            int(one.id[1:]),
        ),
    )
    first: list[Hypothesis] = []
    later: list[Hypothesis] = []
    seen: dict[str, int] = {}
    for one in pool:
        if order[one.status] > 1 or one.grain == "path":
            continue
        family = family_of(one)
        seen[family] = seen.get(family, 0) + 1
        (first if seen[family] <= FAMILY_LIMIT else later).append(one)
    # What no test has seen comes behind all that tests have found.
    paths = [one for one in pool if order[one.status] <= 1 and one.grain == "path"]
    rest = [one for one in pool if order[one.status] > 1]
    return [
        one.model_copy(update={"rank": rank})
        for rank, one in enumerate([*first, *later, *paths, *rest], start=1)
    ]


def family_of(one: Hypothesis) -> str:
    """Entities that are commonly told together: a gene symbol without its trailing number, or the set itself."""
    entity = one.claim.entities[0]
    if entity.kind not in ("protein", "gene", "site", "peptide"):
        return f"{entity.kind}:{entity.id}"
    stem = re.match(r"[A-Za-z]{3,}(?=[A-Z]?\d*[A-Z]?$)", entity.name)
    return f"protein:{(stem.group(0)[:4] if stem else entity.name).upper()}"


__all__ = ["canonical_key", "compose", "family_of", "judge"]
