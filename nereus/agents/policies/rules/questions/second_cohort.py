"""What a second cohort can answer: the same comparison, or the same variable, in its own words."""

from __future__ import annotations

from typing import Any

from nereus.agents.planner.companions import COHORT, PREPARED
from nereus.agents.policies.base import DecisionContext
from nereus.agents.policies.rules.questions.design import MAX_COVARIATES, MIN_SUBJECTS, table
from nereus.memory.records import Contrast, Objective

_USABLE = ("factor", "ordered", "batch", "continuous", "covariate")


def name(context: DecisionContext) -> str:
    """What the prepared cohort is called; empty where there is none."""
    known = str(context.profile.values.get(f"{COHORT}:name") or "")
    return known if f"{COHORT}:{PREPARED}" in context.run_outputs else ""


def why_not(context: DecisionContext, objective: Objective) -> str:
    """Why the cohort cannot test a question's findings again; empty where it can."""
    found = described(context, objective)
    return found if isinstance(found, str) else ""


def described(context: DecisionContext, objective: Objective) -> dict[str, Any] | str:
    """The question in the cohort's own words, as parameters of its test; a text that says why it cannot be asked."""
    if objective.contrast is not None:
        contrast = _contrast(context, objective.contrast)
        return contrast if isinstance(contrast, str) else {"contrast": contrast.model_dump(mode="json")}
    return _variable(context, objective)


def _contrast(context: DecisionContext, asked: Contrast) -> Contrast | str:
    if asked.subset or asked.block is not None:
        return "only comparisons of all subjects, without pairs, are carried over"
    row = next(
        (
            one
            for one in table(context, f"{COHORT}:contrasts")
            if _plain(one["factor"]) == _plain(asked.factor)
            and {_plain(one["a"]), _plain(one["b"])} == {_plain(asked.a), _plain(asked.b)}
        ),
        None,
    )
    if row is None:
        return f"the cohort's sheet does not compare {asked.label} in a column {asked.factor}"
    smallest = min(float(row["n_a"] or 0), float(row["n_b"] or 0))
    if row.get("refused") or smallest < MIN_SUBJECTS:
        return str(row.get("refused") or "fewer than three subjects in a group of the cohort")
    a, b = str(row["a"]), str(row["b"])
    if _plain(a) != _plain(asked.a):
        a, b = b, a
    factor = str(row["factor"])
    paired = bool(row.get("paired"))
    room = min(MAX_COVARIATES, int(smallest // MIN_SUBJECTS))
    own = [one for one in str(row.get("covariates") or "").split(";") if one]
    adjusted = () if paired else _known(context, [*asked.covariates, *own], factor)[:room]
    return Contrast(
        factor=factor, a=a, b=b, covariates=adjusted, block=str(row["block"]) if row.get("block") else None
    )


def _variable(context: DecisionContext, objective: Objective) -> dict[str, Any] | str:
    row = next(
        (
            one
            for one in table(context, f"{COHORT}:associations")
            if _plain(one["variable"]) == _plain(objective.variable) and one.get("testable")
        ),
        None,
    )
    if row is None or float(row["n"] or 0) < 4 * MIN_SUBJECTS:
        return f"the cohort has too few values of {objective.variable}"
    variable = str(row["variable"])
    room = min(MAX_COVARIATES, int(float(row["n"]) // 10))
    return {"variable": variable, "covariates": list(_known(context, objective.covariates, variable)[:room])}


def _known(context: DecisionContext, wanted: Any, target: str) -> tuple[str, ...]:
    """Columns of the cohort that vary there, and can be told apart from what is tested, in its own spelling."""
    columns = {
        _plain(row["column"]): str(row["column"])
        for row in table(context, f"{COHORT}:columns")
        if row.get("role") in _USABLE
    }
    tied = {
        str(row[other])
        for row in table(context, f"{COHORT}:confounding")
        for one, other in (("first", "second"), ("second", "first"))
        if row.get(one) == target and row.get("verdict") == "cannot separate"
    }
    found = [columns[_plain(one)] for one in wanted if _plain(one) in columns]
    return tuple(one for one in dict.fromkeys(found) if one != target and one not in tied)


def _plain(text: object) -> str:
    """A name or level without case and surrounding blanks: sheets of two cohorts are rarely spelled alike."""
    return str(text).strip().strip("_").casefold()
