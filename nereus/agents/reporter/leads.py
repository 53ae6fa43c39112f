"""Leads: what ranks first where the error rate lets nothing, or next to nothing, through. They are no hypotheses.

A cohort too small for its number of features may hold a strong effect that no correction for multiple tests can let
pass. Such a run has no hypothesis about the question, and says so; beside that a reader may want to know where a next
study should look first, and how large it has to be. Leads answer this, kept apart from everything that is claimed.

Ranked by effect times ``-log10 p`` (Xiao et al. 2014, Bioinformatics 30:801): among equally small p-values the larger
effect is the better lead. Only features that were seen often enough in each group, have p at most 0.05, and where
half-samples were drawn keep sign and significance in at least half of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nereus.agents.planner.questions import TESTED, Tested
from nereus.agents.planner.relations import RELATIONS
from nereus.agents.reporter.sources import Sources, path
from nereus.errors import UnresolvedNumber
from nereus.memory.records import Objective, ObjectiveKind

FEW = 3
"""Hypotheses about a question from which on it has no leads."""
A_QUESTION = 5
"""Leads of a question."""
LEVEL = 0.05
"""Largest p of a lead; at most this q would be a claim, and no lead."""
HELD = 0.5
"""Least share of half-samples in which a lead holds."""
LEAST_IN_GROUP = 4
"""Least values in each group: below, one value decides."""
VARIABLE = 15
"""Features that are shown where only their variance could be judged."""
LEAST = 8
"""Least values where there are no groups."""
KINDS = (
    ObjectiveKind.DIFFERENTIAL,
    ObjectiveKind.ASSOCIATION,
    ObjectiveKind.SURVIVAL,
    ObjectiveKind.LONGITUDINAL,
    ObjectiveKind.INTERACTION,
    ObjectiveKind.DOSE_RESPONSE,
)
"""Questions about single features of samples, where a list by evidence means something."""


@dataclass(frozen=True)
class Lead:
    """One feature below the error rate.

    Attributes
    ----------
    entity, name
        Its id, and how it is called.
    direction
        ``up``, ``down`` and so on, as in claims.
    sources
        Number -> source path: effect, p, q, n_a, n_b, stability, n_follow_up, as far as known.
    """

    entity: str
    name: str
    direction: str
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """The leads of one question, best first, and what was tested for them."""

    objective: Objective
    relation: str
    n_tested: str | None
    """Source path of the number of features tested."""
    n_found: int
    """Hypotheses about the question that hold."""
    leads: tuple[Lead, ...]

    @property
    def unit(self) -> str:
        """What its effects are measured in."""
        return RELATIONS[self.relation].axis


def leads(sources: Sources) -> list[Question]:
    """Questions that were answered with few or no hypotheses, in the order of the plan, with their leads."""
    found = []
    for objective in sources.record.objectives:
        asked = TESTED.get(objective.kind)
        if asked is None or objective.kind not in KINDS or objective.status != "done":
            continue
        where = sources.output(f"{objective.id}:{asked.main}")
        held = sum(
            one.status in ("supported", "tentative")
            and one.grain == "entity"
            and one.claim.contrast.startswith(objective.about)
            for one in sources.record.hypotheses
        )
        if where is None or held >= FEW:
            continue
        chosen = _of_question(sources, objective, asked, where)
        if chosen:
            tested = path("value", where[0], "n_tested")
            known = sources.call(where[0]).values.get("n_tested") is not None
            relation = asked.relation_of(objective)
            found.append(Question(objective, relation, tested if known else None, held, tuple(chosen)))
    return found


def variable(sources: Sources) -> Question | None:
    """What varies most between samples that nothing tells apart; None where there was something to compare."""
    for objective in sources.record.objectives:
        where = sources.output(f"{objective.id}:variable")
        if objective.kind is not ObjectiveKind.DESCRIBE or where is None:
            continue
        step, output = where
        table = sources.table(sources.call(step), output)
        key = str(table.columns[0])
        found = []
        for row in (
            table[table["q"] <= LEVEL]
            .sort_values(["p", key], kind="stable")
            .head(VARIABLE)
            .to_dict("records")
        ):
            entity, gene = str(row[key]), str(row.get("gene") or "")
            cited = {
                name: path("cell", step, output, entity, name) for name in ("effect", "sd", "p", "q", "n")
            }
            found.append(Lead(entity, gene if gene and gene != "nan" else entity, "none", cited))
        return Question(objective, "variability", path("value", step, "n_tested"), 0, tuple(found))
    return None


def document(sources: Sources) -> list[dict[str, Any]]:
    """The leads as ``hypotheses.json`` holds them: each number with its source path."""
    varies = variable(sources)
    return [
        {
            "rank": rank,
            "objective": question.objective.id,
            "contrast": question.objective.statement if question is varies else question.objective.about,
            "relation": question.relation,
            "entity": lead.entity,
            "name": lead.name,
            "direction": lead.direction,
            "numbers": {
                name: {"reference": source, "value": sources.value(source)}
                for name, source in lead.sources.items()
            },
        }
        for question in [*leads(sources), *([varies] if varies else [])]
        for rank, lead in enumerate(question.leads, start=1)
    ]


def _of_question(sources: Sources, objective: Objective, asked: Tested, where: tuple[str, str]) -> list[Lead]:
    step, output = where
    table = sources.table(sources.call(step), output)
    if not {"effect", "p", "q"} <= set(table.columns):
        return []
    key = str(table.columns[0])
    ranked = _ranked(table, key, _stability(sources, objective, table, key))
    sides = RELATIONS[asked.relation_of(objective)]
    found = []
    for row in ranked.head(A_QUESTION).to_dict("records"):
        entity = str(row[key])
        cited = {
            name: path("cell", step, output, entity, name)
            for name in ("effect", "ci_low", "ci_high", "p", "q", "n_a", "n_b", "n")
            if name in table.columns and pd.notna(row[name])
        }
        for name, of in (("stability", "stability"), ("n_follow_up", "power")):
            source = (
                path("cell", step, output, entity, name)
                if name in table.columns
                else _beside(sources, objective, of, entity, name)
            )
            if source is not None and _known(sources, source):
                cited[name] = source
        gene = str(row.get("gene") or "")
        name = gene if gene and gene != "nan" else entity
        found.append(Lead(entity, name, sides.direction(float(row["effect"])), cited))
    return found


def _ranked(table: pd.DataFrame, key: str, stability: pd.Series | None) -> pd.DataFrame:
    """Rows that may be leads, best first."""
    keep = table["p"].le(LEVEL) & table["q"].gt(LEVEL) & table["effect"].notna()
    if "n_a" in table and "n_b" in table and table["n_b"].gt(0).any():
        keep &= table[["n_a", "n_b"]].min(axis=1) >= LEAST_IN_GROUP
    else:
        count = next((name for name in ("n", "n_a") if name in table), None)
        keep &= True if count is None else table[count] >= LEAST
    if stability is not None:
        keep &= stability.to_numpy() >= HELD
    rows = table[keep]
    weight = rows["effect"].abs() * -np.log10(rows["p"].clip(lower=1e-300))
    return rows.assign(_weight=weight).sort_values(["_weight", key], ascending=[False, True], kind="stable")


def _stability(sources: Sources, objective: Objective, table: pd.DataFrame, key: str) -> pd.Series | None:
    """Share of half-samples in the order of the table; None where none were drawn."""
    if "stability" in table:
        return table["stability"].fillna(0.0)
    where = sources.output(f"{objective.id}:stability")
    if where is None:
        return None
    drawn = sources.table(sources.call(where[0]), where[1])
    if "stability" not in drawn:
        return None
    return (
        table[key]
        .map(drawn.drop_duplicates(drawn.columns[0]).set_index(drawn.columns[0])["stability"])
        .fillna(0.0)
    )


def _beside(sources: Sources, objective: Objective, of: str, entity: str, column: str) -> str | None:
    where = sources.output(f"{objective.id}:{of}")
    return None if where is None else path("cell", where[0], where[1], entity, column)


def _known(sources: Sources, source: str) -> bool:
    try:
        return sources.value(source) is not None
    except UnresolvedNumber:
        return False


__all__ = ["A_QUESTION", "FEW", "Lead", "Question", "document", "leads", "variable"]
