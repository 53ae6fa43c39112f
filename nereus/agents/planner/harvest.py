"""From tables to evidence groups: everything the run knows about one entity in one context, each number cited.

Three grains: single proteins (claims, and candidates that did not hold), sets, and entities seen in more than one
independent analysis. A comparison that found nothing is a group as well: its refutation is a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.evidence import EvidenceBook, in_order
from nereus.agents.planner.grouping import cross_groups, missing, number, set_groups, whole_groups
from nereus.agents.planner.questions import TESTED, Tested
from nereus.agents.planner.relations import RELATIONS, Relation, features_of
from nereus.agents.planner.services import Services
from nereus.agents.policies.base import EvidenceGroup
from nereus.memory.records import Claim, Entity, EntityKind, Objective, Scalar

ROWS_A_TABLE = 25
CANDIDATES_A_TABLE = 5
SHOWN_FROM = 0.4
"""Calibrated confidence below which a claim is no hypothesis (it stays in the claims table)."""

# Columns of a claims row that are cited, with what they are called in the report.
_CLAIM_COLUMNS = {
    "effect": "effect",
    "ci_low": "lower limit of the confidence interval",
    "ci_high": "upper limit of the confidence interval",
    "p": "p",
    "q": "q",
    "confidence": "calibrated confidence",
    "stability": "share of half-samples in which it holds",
    "n_a": "n in a",
    "n_b": "n in b",
    "n_seen_a": "samples of a in which it is seen",
    "n_seen_b": "samples of b in which it is seen",
}
UNCALIBRATED = 0.5
REPLICATION = "replication"
"""Table of findings that were tested again in other subjects."""
_RESIDUE = re.compile(r"(?:^|[;_:|\-])p?([STYKRCHDNM]\d{1,5})(?:$|[;_:|\-])")
_OWN_NULL = ("null_mean", "null_p95")


@dataclass(frozen=True)
class Source:
    """One tested objective and where its tables are."""

    objective: Objective
    asked: Tested
    """What is known of its kind."""
    references: dict[str, str]
    """Output name -> step id, of this objective and of the synthesis about it."""
    entity: EntityKind = "protein"
    """What a feature of the data set is."""
    cohort: str = ""
    """Second cohort in which its findings were tested again."""

    @property
    def main(self) -> str:
        """Name of its main table."""
        return self.asked.main

    @property
    def relation(self) -> Relation:
        """What its claims say, unless a row is of another kind."""
        return RELATIONS[self.asked.relation_of(self.objective)]

    @property
    def label(self) -> str:
        """What it asks about."""
        return self.objective.about


def sources(
    objectives: Mapping[str, Objective],
    outputs: Mapping[str, str],
    claims: Mapping[str, str],
    data_kind: Scalar = None,
) -> list[Source]:
    """Every tested objective in order.

    Parameters
    ----------
    objectives
        All objectives of the run.
    outputs
        Well-known results; ``<objective id>:<output>`` are the tables of an objective.
    claims
        Objective id -> step that composed its claims.
    data_kind
        What the profile says that the data are.
    """
    found = []
    for one in in_order(objectives):
        objective = objectives[one]
        asked = TESTED.get(objective.kind)
        # Without a claims table nothing was decided about the objective: neither that it holds nor that it does not.
        if asked is None or f"{one}:{asked.main}" not in outputs or one not in claims:
            continue
        references = {
            name.partition(":")[2]: reference.partition("/")[0]
            for name, reference in outputs.items()
            if name.startswith(f"{one}:")
        }
        references["claims"] = claims[one]
        cohort = ""
        for child in in_order(objectives):
            again = outputs.get(f"{child}:{REPLICATION}")
            if again and objectives[child].parent_id == one:
                references[REPLICATION] = again.partition("/")[0]
                cohort = objectives[child].design.get(COHORT, "")
        found.append(Source(objective, asked, references, features_of(data_kind)[1], cohort))
    return found


def harvest(
    services: Services,
    book: EvidenceBook,
    found: list[Source],
    objectives: Mapping[str, Objective],
    outputs: Mapping[str, str],
    limit: int,
) -> list[EvidenceGroup]:
    """All groups, the best supported first within each kind, at most `limit`."""
    entities: list[EvidenceGroup] = []
    candidates: list[EvidenceGroup] = []
    empty: list[EvidenceGroup] = []
    for source in found:
        claims = _table(book, source, "claims")
        rows = _ranked(claims)
        entities += [
            _entity_group(book, source, claims, row, claimed=True)
            for row in rows.head(ROWS_A_TABLE).to_dict("records")
        ]
        candidates += list(_candidates(book, source, claims))
        if claims.empty:
            empty.append(_nothing_group(book, source))
    sets = [*whole_groups(book, objectives, outputs), *set_groups(book, objectives, outputs)]
    cross = list(cross_groups(entities))
    # Best claims first, but refutations are results, and each question is heard: every kind keeps a share.
    share = max(1, limit // 8)
    kept = cross[:share] + sets[: 2 * share] + empty[:share] + candidates[:share]
    ordered = _chosen(entities, max(0, limit - len(kept))) + kept
    book.flush()
    return ordered


def _chosen(entities: list[EvidenceGroup], room: int) -> list[EvidenceGroup]:
    """The surest claims, after the first few of each question: one question must not drown the others."""
    by_question: dict[str, list[EvidenceGroup]] = {}
    for group in sorted(entities, key=_rank):
        by_question.setdefault(group.objective_ids[0], []).append(group)
    few = room // (2 * max(1, len(by_question)))
    first = [group for groups in by_question.values() for group in groups[:few]]
    heard = {group.id for group in first}
    rest = [group for group in sorted(entities, key=_rank) if group.id not in heard]
    return sorted((first + rest)[:room], key=_rank)


def _rank(group: EvidenceGroup) -> tuple[float, float, str]:
    return -_sure(group), number(group.values.get("p")) or 1.0, group.id


def _sure(group: EvidenceGroup) -> float:
    """Calibrated confidence; one that is not calibrated stands in the middle."""
    found = number(group.values.get("confidence"))
    return UNCALIBRATED if found is None else found


def _ranked(claims: pd.DataFrame) -> pd.DataFrame:
    if claims.empty:
        return claims
    shown = claims
    if "confidence" in claims and claims["confidence"].notna().any():
        shown = claims[claims["confidence"].fillna(0) >= SHOWN_FROM]
    order = [name for name in ("confidence", "stability") if name in shown]
    return shown.sort_values(
        [*order, "p", "feature"], ascending=[False] * len(order) + [True, True], kind="stable"
    )


def _entity_group(
    book: EvidenceBook, source: Source, table: pd.DataFrame, row: dict[str, Any], claimed: bool
) -> EvidenceGroup:
    name = "claims" if claimed else source.main
    step_id = source.references[name]
    key = str(row[table.columns[0]])
    relation = RELATIONS[str(row["kind"]) if claimed else source.relation.name]
    evidence: dict[str, str] = {}
    values: dict[str, Scalar] = {}
    for column, quantity in _CLAIM_COLUMNS.items():
        if column in table.columns and not missing(row[column]):
            told = relation.effect if column == "effect" else quantity
            cited = book.cell(step_id, name, key, column, told)
            evidence[column], values[column] = cited.id, cited.value
    _cite_source(book, source, evidence, values)
    feature = str(row["feature"]) if claimed else key
    _cite_follow_up(book, source, feature, evidence, values)
    if relation.name == source.relation.name:
        _cite_test(book, source, feature, evidence, values)
        _cite_replication(book, source, feature, evidence, values)
    own = _row_of(book, source, feature) if relation.name == source.relation.name else {}
    values |= {part: str(own[part]) for part in source.asked.parts if part in own}
    direction = relation.direction(float(row["effect"]))
    values["claimed"] = claimed
    return EvidenceGroup(
        id=f"{source.objective.id}|{feature}|{relation.name}",
        grain="entity",
        claim=Claim(
            relation=relation.name,
            entities=(
                Entity(
                    kind=source.entity if relation.entity == "protein" else relation.entity,
                    id=str(own.get("feature", feature)) if source.asked.parts else feature,
                    name=name_of(source, feature, str(row.get("gene") or ""), own),
                    direction=direction,
                ),
            ),
            contrast=": ".join(
                [source.label, *(str(own[part]) for part in source.asked.parts if part in own)]
            ),
            context=source.objective.contrast.factor if source.objective.contrast else "",
        ),
        objective_ids=(source.objective.id,),
        evidence=evidence,
        values=values,
    )


def _cite_replication(
    book: EvidenceBook, source: Source, feature: str, evidence: dict[str, str], values: dict[str, Scalar]
) -> None:
    """What subjects that were kept aside, or a second cohort, say of the same feature."""
    step_id = source.references.get(REPLICATION)
    if step_id is None or not book.has(step_id, REPLICATION):
        return
    row = book.row(step_id, REPLICATION, feature)
    if row is None:
        return
    if source.cohort:
        values[COHORT] = source.cohort
        values["replication_status"] = str(row["status"])
    if missing(row["q"]):
        return
    where = source.cohort or "subjects kept aside"
    effect = book.cell(step_id, REPLICATION, feature, "effect", f"effect in {where}")
    evidence["replication_effect"], values["replication_effect"] = effect.id, effect.value
    cited = book.cell(step_id, REPLICATION, feature, "q", f"q in {where}")
    evidence["replication_q"], values["replication_q"] = cited.id, cited.value
    values["replicated"] = bool(row["replicated"])


def _row_of(book: EvidenceBook, source: Source, key: str) -> dict[str, Any]:
    """The entity's row of the test's own table, where a name or a part is read from it."""
    if not (source.asked.name or source.asked.parts):
        return {}
    return book.row(source.references[source.main], source.main, key) or {}


def name_of(source: Source, feature: str, gene: str, told: Mapping[str, Any]) -> str:
    """Name of an entity: as its kind of question says, else its gene, with the residue of a site."""
    if source.asked.name and told:
        said = source.asked.name.format(**told).strip()
        return said if said and said != "nan" else str(told.get("feature", feature))
    name = gene or feature.split(";")[0]
    residue = _RESIDUE.search(feature)
    return f"{name} {residue[1]}" if source.entity == "site" and residue and residue[1] not in name else name


def _cite_test(
    book: EvidenceBook, source: Source, feature: str, evidence: dict[str, str], values: dict[str, Scalar]
) -> None:
    """What the test's own table says beyond effect and error, and what a second cohort says of the same entity."""
    main = source.references[source.main]
    columns = set(book.table(main, source.main).columns)
    for column, quantity in source.asked.cited.items():
        if column in columns:
            cited = book.cell(main, source.main, feature, column, quantity)
            if cited.value is not None:
                evidence[column], values[column] = cited.id, cited.value


def _cite_follow_up(
    book: EvidenceBook, source: Source, feature: str, evidence: dict[str, str], values: dict[str, Scalar]
) -> None:
    """How many subjects a follow-up of this feature needs."""
    step_id = source.references.get("power")
    if step_id is None or not book.has(step_id, "power"):
        return
    try:
        cited = book.cell(step_id, "power", feature, "n_follow_up", "subjects a group for a follow-up")
    except KeyError:
        return
    if cited.value is not None:
        evidence["n_per_group"], values["n_per_group"] = cited.id, cited.value


def _candidates(book: EvidenceBook, source: Source, claims: pd.DataFrame) -> Iterator[EvidenceGroup]:
    """Features that one table alone would have called significant, but that did not hold over the run."""
    table = _table(book, source, source.main)
    if table.empty or "q" not in table:
        return
    claimed = set(claims["feature"]) if len(claims) else set()
    key = str(table.columns[0])
    hits = table[(table["q"] <= 0.05) & ~table[key].isin(claimed)].sort_values(["p", key])
    for row in hits.head(CANDIDATES_A_TABLE).to_dict("records"):
        group = _entity_group(book, source, table, row, claimed=False)
        output = source.main if source.asked.own_checks else "stability"
        stability = source.references.get(output)
        if "stability" not in group.values and stability and book.has(stability, output):
            held = book.table(stability, output)
            if "stability" in held and row[key] in set(held.iloc[:, 0]):
                cited = book.cell(stability, output, str(row[key]), "stability", _CLAIM_COLUMNS["stability"])
                group = group.model_copy(
                    update={
                        "evidence": {**group.evidence, "stability": cited.id},
                        "values": {**group.values, "stability": cited.value},
                    }
                )
        yield group


def _nothing_group(book: EvidenceBook, source: Source) -> EvidenceGroup:
    evidence: dict[str, str] = {}
    values: dict[str, Scalar] = {"claimed": False}
    _cite_source(book, source, evidence, values)
    contrast = source.objective.contrast
    entity = Entity(kind="sample_group", id=source.label, name=source.label)
    return EvidenceGroup(
        id=f"{source.objective.id}|nothing",
        grain="entity",
        claim=Claim(
            relation=source.relation.name,
            entities=(entity,),
            contrast=source.label,
            context=contrast.factor if contrast else "",
        ),
        objective_ids=(source.objective.id,),
        evidence=evidence,
        values=values,
    )


def _cite_source(
    book: EvidenceBook, source: Source, evidence: dict[str, str], values: dict[str, Scalar]
) -> None:
    """What holds for the whole comparison: how many were tested and found, the null, the power."""
    wanted = {
        source.main: ("n_tested", "n_significant", *(_OWN_NULL if source.asked.own_checks else ())),
        "null": ("observed", "null_mean", "null_p95"),
        "power": ("detectable_effect_median", "n_for_effect_sd"),
    }
    for output, names in wanted.items():
        step_id = source.references.get(output)
        if step_id is None:
            continue
        for name in names:
            try:
                cited = book.value(step_id, name)
            except KeyError:
                continue
            if cited.value is not None:
                evidence[name], values[name] = cited.id, cited.value
    if "observed" not in values and {"null_p95", "n_significant"} <= set(values):
        evidence["observed"], values["observed"] = evidence["n_significant"], values["n_significant"]


def _table(book: EvidenceBook, source: Source, name: str) -> pd.DataFrame:
    step_id = source.references.get(name)
    if step_id is None or not book.has(step_id, name):
        return pd.DataFrame(columns=["feature"])
    return book.table(step_id, name)
