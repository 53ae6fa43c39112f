"""Evidence groups beyond single entities: sets, statements about all samples, and what several analyses say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nereus.agents.planner.evidence import EvidenceBook, in_order
from nereus.agents.planner.questions import SETS, WHOLE, Whole
from nereus.agents.policies.base import EvidenceGroup
from nereus.memory.records import Claim, Entity, Objective, ObjectiveKind, Scalar

SETS_A_TABLE = 10
LEVEL = 0.05
"""Level at which a question of one statement is decided."""
_SET_COLUMNS = {
    "effect": "normalised enrichment score",
    "p": "p",
    "q": "q",
    "n_hits": "members that drive it",
    "n_measured": "members measured",
}


def whole_groups(
    book: EvidenceBook, objectives: Mapping[str, Objective], outputs: Mapping[str, str]
) -> Iterator[EvidenceGroup]:
    """Questions whose answer is one statement: what was measured, and whether it holds."""
    for one in in_order(objectives):
        whole = WHOLE.get(objectives[one].kind)
        reference = outputs.get(f"{one}:{whole.main}") if whole is not None else None
        if whole is not None and reference:
            family = f"{one} {whole.relation}" if f"{one}:{whole.family}" in outputs else ""
            yield _whole_group(book, objectives[one], whole, reference.partition("/")[0], family, outputs)


def holds_in_run(book: EvidenceBook, family: str, outputs: Mapping[str, str]) -> tuple[str, str] | None:
    """Step of the run's error control and the finding of a family of one test; None where it holds nothing."""
    if "findings" not in outputs:
        return None
    step = outputs["findings"].partition("/")[0]
    table = book.table(step, "findings")
    found = table.loc[table["family"] == family, "finding"]
    return None if found.empty else (step, str(found.iloc[0]))


def _whole_group(
    book: EvidenceBook,
    objective: Objective,
    whole: Whole,
    step_id: str,
    family: str,
    outputs: Mapping[str, str],
) -> EvidenceGroup:
    """`family`: its name in the run's error control; empty where the statement is decided on its own."""
    evidence: dict[str, str] = {}
    values: dict[str, Scalar] = {}
    for name, quantity in whole.cited.items():
        try:
            cited = book.value(step_id, name, quantity)
        except KeyError:
            continue
        if cited.value is not None:
            evidence[name], values[name] = cited.id, cited.value
    p = number(values.get(whole.p)) if whole.p else None
    held = whole.holds is None or bool(values.get(whole.holds))
    values["claimed"] = held and (whole.p is None or (p is not None and p <= LEVEL))
    if family:
        found = holds_in_run(book, family, outputs)
        values["claimed"] = bool(values["claimed"]) and found is not None
        if found is not None:
            told = book.cell(found[0], "findings", found[1], "q_run", "q over all questions of the run")
            evidence["q_run"], values["q_run"] = told.id, told.value
    return EvidenceGroup(
        id=f"{objective.id}|{whole.relation}",
        grain="set",
        claim=Claim(
            relation=whole.relation,
            entities=(Entity(kind=whole.entity, id=objective.about, name=objective.about),),
            contrast=objective.about,
            context=objective.contrast.factor if objective.contrast else "",
        ),
        objective_ids=(objective.id,),
        evidence=evidence,
        values=values,
    )


def set_groups(
    book: EvidenceBook, objectives: Mapping[str, Objective], outputs: Mapping[str, str]
) -> Iterator[EvidenceGroup]:
    """Sets that hold at the run's error level, the most significant of each question."""
    findings = selected_sets(book, outputs)
    for one in in_order(objectives):
        objective = objectives[one]
        if objective.kind is not ObjectiveKind.PATHWAY or f"{one}:{SETS}" not in outputs:
            continue
        step_id = outputs[f"{one}:sets"].partition("/")[0]
        table = book.table(step_id, "sets")
        chosen = table[table["set_id"].isin(findings.get(one, set()))]
        if "representative" in chosen:
            chosen = chosen[chosen["representative"].astype(bool)]
        label = objective.about
        for row in (
            chosen.assign(size=-chosen["effect"].abs())
            .sort_values(["p", "size", "set_id"])
            .head(SETS_A_TABLE)
            .to_dict("records")
        ):
            evidence: dict[str, str] = {}
            values: dict[str, Scalar] = {
                "claimed": True,
                "leading_edge": str(row.get("leading_edge") or "")[:400],
            }
            for column, quantity in _SET_COLUMNS.items():
                if column in table.columns and not missing(row[column]):
                    cited = book.cell(step_id, "sets", str(row[table.columns[0]]), column, quantity)
                    evidence[column], values[column] = cited.id, cited.value
            yield EvidenceGroup(
                id=f"{one}|{row['set_id']}|set",
                grain="set",
                claim=Claim(
                    relation="enrichment",
                    entities=(
                        Entity(
                            kind="set",
                            id=str(row["set_id"]),
                            name=str(row["name"]),
                            direction=str(row["direction"]),
                        ),
                    ),
                    contrast=label,
                    context=objective.contrast.factor if objective.contrast else "",
                ),
                objective_ids=(one,),
                evidence=evidence,
                values=values,
            )


def selected_sets(book: EvidenceBook, outputs: Mapping[str, str]) -> dict[str, set[str]]:
    """Objective id -> sets that hold at the run's error level."""
    if "findings" not in outputs:
        return {}
    findings = book.table(outputs["findings"].partition("/")[0], "findings")
    chosen: dict[str, set[str]] = {}
    for row in findings.to_dict("records"):
        owner, _, output = str(row["family"]).partition(" ")
        if output == "sets":
            chosen.setdefault(owner, set()).add(str(row["key"]))
    return chosen


def cross_groups(entities: list[EvidenceGroup]) -> Iterator[EvidenceGroup]:
    """Entities that more than one objective claims."""
    seen: dict[str, list[EvidenceGroup]] = {}
    for group in entities:
        seen.setdefault(group.claim.entities[0].id, []).append(group)
    for feature, groups in seen.items():
        by_objective = {group.objective_ids[0]: group for group in reversed(groups)}
        if len(by_objective) < 2:
            continue
        members = [by_objective[one] for one in in_order(by_objective)]
        evidence = {
            f"{role}:{group.objective_ids[0]}": group.evidence[role]
            for group in members
            for role in ("effect", "q")
            if role in group.evidence
        }
        # As sure as its weakest member; one that is not calibrated leaves the whole so.
        known = [number(group.values.get("confidence")) for group in members]
        sure = [one for one in known if one is not None]
        confidence = min(sure) if len(sure) == len(members) else None
        if confidence is not None:
            weakest = members[known.index(confidence)]
            evidence["confidence"] = weakest.evidence["confidence"]
        yield EvidenceGroup(
            id=f"cross|{feature}",
            grain="cross",
            claim=Claim(
                relation=members[0].claim.relation,
                entities=tuple(group.claim.entities[0] for group in members),
                contrast=" and ".join(group.claim.contrast for group in members),
                context="seen in independent analyses",
            ),
            objective_ids=tuple(in_order(by_objective)),
            evidence=evidence,
            values={
                "claimed": True,
                "confidence": confidence,
                "contexts": " | ".join(group.claim.contrast for group in members),
            },
        )


def missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or (isinstance(value, float) and value != value)


def number(value: Scalar) -> float | None:
    """A number as a float; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
