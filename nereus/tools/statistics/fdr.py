"""Run-wide false discovery rate: families of tests first, then tests within the selected families."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.moderated_t import FloatArray, benjamini_hochberg


class FdrParams(Params):
    """Parameters of `run_wide_fdr`."""

    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate over all families of the run."""
    questions: dict[str, str] = Field(default_factory=dict)
    """Family -> question. Families that ask one question in two ways (abundance and detection of one
    contrast) are selected together; a family without an entry is a question of its own.
    """
    adjust: Literal["own", "bh"] = "own"
    """Adjusted p-values within a family: the table's ``q`` where it has one (each test adjusts in its own
    way: discrete tests by their attainable p-values), or Benjamini-Hochberg on ``p`` for all.
    """


@tool(
    "run_wide_fdr",
    version="1",
    summary="Hierarchical false discovery rate over every test table of a run.",
    outputs=("table:families", "table:findings"),
    seconds=0.2,
)
def run_wide_fdr(tables: dict[str, pd.DataFrame], params: FdrParams, *, seed: int) -> Result:
    """Select families by Benjamini-Hochberg on their Simes p-values, then tests within the selected families.

    With R of m questions selected at `level`, each family of a selected question is tested at ``level * R /
    m`` (Benjamini & Bogomolov 2014), which controls the false discovery rate averaged over what was
    selected. A question of k families is as significant as its most significant family, times k.

    Parameters
    ----------
    tables
        Family name -> table of tests or of sets, with a text key in its first column, ``p`` and perhaps
        ``q``. Families without a finite p do not count.
    params
        See `FdrParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``families``: family, question, n_tests, simes_p, simes_q (of the question),
        selected, level (within the family), n_found.
        Table ``findings``: finding (``family|key``), family, key, p, q (adjusted within the family), q_run
        (smallest run-wide level, with this selection of families, at which it would be found: ``q m / R``),
        direction, effect. Values: n_families, n_questions, n_selected
        (questions), level_within, n_findings.

    Raises
    ------
    InputError
        A table without a column ``p``.

    Notes
    -----
    Benjamini & Bogomolov 2014, J R Stat Soc B 76:297. Simes p of a family is its smallest BH-adjusted
    p-value, and so a family holds a finding at its own level whenever it is selected.

    Examples
    --------
    >>> one = pd.DataFrame({"feature": ["A", "B", "C"], "effect": [2.0, 0.1, 0.2], "p": [1e-5, 0.4, 0.9]})
    >>> two = pd.DataFrame({"feature": ["A", "B", "C"], "effect": [0.3, 0.1, 0.2], "p": [0.2, 0.4, 0.9]})
    >>> result = run_wide_fdr({"drug": one, "sex": two})
    >>> result.table("findings")["finding"].tolist(), round(result.values["level_within"], 3)
    (['drug|A'], 0.025)
    """
    adjusted: dict[str, FloatArray] = {}
    for name, table in tables.items():
        if "p" not in table.columns:
            raise InputError(
                f"the table of family {name!r} has no column 'p'",
                where="run_wide_fdr",
                mend=f"its columns are {[str(c) for c in table.columns][:12]}",
            )
        adjusted[name] = _adjusted(table, params.adjust)
    families = pd.DataFrame({"family": list(tables)})
    families["n_tests"] = [int(np.isfinite(adjusted[name]).sum()) for name in tables]
    families["simes_p"] = [
        float(np.nanmin(adjusted[name])) if np.isfinite(adjusted[name]).any() else np.nan for name in tables
    ]
    families.insert(1, "question", [params.questions.get(name, name) for name in tables])
    tested = families[families["simes_p"].notna()]
    by_question = tested.groupby("question", sort=False)["simes_p"].agg(["min", "size"])
    joint = np.minimum(by_question["min"] * by_question["size"], 1.0)
    question_q = dict(
        zip(by_question.index, benjamini_hochberg(joint.to_numpy(dtype=np.float64)), strict=True)
    )
    families["simes_q"] = [question_q.get(question, np.nan) for question in families["question"]]
    families["selected"] = (families["simes_q"] <= params.level).to_numpy(dtype=bool)
    n_families = len(tested)
    n_questions = len(question_q)
    n_selected = sum(bool(q <= params.level) for q in question_q.values())
    within = params.level * n_selected / n_questions if n_questions else 0.0
    families["level"] = np.where(families["selected"], within, 0.0)
    parts = []
    for name, table in tables.items():
        q = adjusted[name]
        selected = bool(families.loc[families["family"] == name, "selected"].iloc[0])
        found = (q <= within) & selected
        part = pd.DataFrame(
            {
                "finding": [f"{name}|{key}" for key in table.iloc[:, 0][found]],
                "family": name,
                "key": table.iloc[:, 0][found].astype(str).to_numpy(),
                "p": table["p"].to_numpy(dtype=np.float64)[found],
                "q": q[found],
                "q_run": np.minimum(q[found] * n_questions / max(n_selected, 1), 1.0),
                "direction": _direction(table)[found],
                "effect": table["effect"].to_numpy(dtype=np.float64)[found] if "effect" in table else np.nan,
            }
        )
        parts.append(part.sort_values(["q", "p", "key"], kind="stable"))
    columns = ["finding", "family", "key", "p", "q", "q_run", "direction", "effect"]
    findings = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    families["n_found"] = [int((findings["family"] == name).sum()) for name in tables]
    return Result(
        summary=(
            f"{n_selected} of {n_questions} questions hold something at a run-wide rate of "
            f"{params.level:g}; {len(findings)} findings within them at {within:.4g}."
        ),
        values={
            "n_families": n_families,
            "n_questions": n_questions,
            "n_selected": n_selected,
            "n_tests": int(families["n_tests"].sum()),
            "level": params.level,
            "level_within": finite(within),
            "n_findings": len(findings),
        },
        tables={"families": families, "findings": findings},
        warnings=() if n_families else ("no family has a test",),
        n_total=int(families["n_tests"].sum()),
        n_returned=len(findings),
    )


def _adjusted(table: pd.DataFrame, choice: str) -> FloatArray:
    """Adjust the p-values of one family, shape (tests,)."""
    p = np.asarray(table["p"], dtype=np.float64)
    if choice == "own" and "q" in table.columns:
        return np.where(np.isfinite(p), np.asarray(table["q"], dtype=np.float64), np.nan)
    return benjamini_hochberg(p)


def _direction(table: pd.DataFrame) -> np.ndarray:
    if "direction" in table.columns:
        return np.asarray(table["direction"].astype(str))
    if "effect" not in table.columns:
        return np.full(len(table), "")
    effect = table["effect"].to_numpy(dtype=np.float64)
    return np.where(effect > 0, "up", np.where(effect < 0, "down", ""))
