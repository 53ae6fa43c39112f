"""Asking a trained method as a tool: one table of answers, keyed by row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nereus.errors import InputError
from nereus.models.card import Card, Verb
from nereus.models.tables import PROBLEM, answer
from nereus.tools.base import Figure, Result, TrainedMethod, finite
from nereus.tools.methods.columns import roles


def ask(card: Card, verb: Verb, model: TrainedMethod, table: pd.DataFrame, params: Any, seed: int) -> Result:
    """Ask a trained method about the rows of a table; molecules that it makes are counted and drawn.

    Parameters
    ----------
    card
        The method that the tool is made for.
    verb
        What is asked.
    model
        Trained.
    table
        One row an object.
    params
        Columns by role, and ``options``.
    seed
        Seed of verbs that draw.
    """
    from nereus.tools import registry

    method = model.open()
    if method.card.name != card.name:
        raise InputError(
            f"this model is of {method.card.name!r}",
            where=f"tool '{verb.value}_{card.name}'",
            mend=f"use '{verb.value}_{method.card.name}'",
        )
    method.set_params(random_state=seed % 2**31)
    answers = answer(method, verb, table, roles(card, params), params.options)
    problems = answers.pop(PROBLEM) if PROBLEM in answers else pd.Series("", index=answers.index)
    keyed = answers.reset_index(drop=True)
    keyed.insert(0, "row", [str(one) for one in answers.index])
    bad = int((problems != "").sum())
    values: dict[str, Any] = {"n_rows": len(table), "n_answers": len(keyed) - bad}
    if "prediction" in keyed and keyed["prediction"].dtype.kind == "f":
        values |= {
            "mean_prediction": finite(keyed["prediction"].mean()),
            "highest": finite(keyed["prediction"].max()),
        }
    warnings = [f"{bad} rows cannot be read, first: {problems[problems != ''].iloc[0]}"] if bad else []
    figures: dict[str, Figure] = {}
    if makes_structures(card, verb):
        values["n_structures"] = int(keyed["smiles"].notna().sum())
        if values["n_structures"] < values["n_answers"]:
            warnings.append(
                f"{values['n_answers'] - values['n_structures']} answers are no molecules; see the table"
            )
        if values["n_structures"]:
            figures = dict(
                registry.get("plot_molecules")
                .run({"table": keyed[keyed["smiles"].notna()]}, {}, seed)
                .figures
            )
    return Result(
        summary=f"{verb.value} with {card.name}: {values['n_answers']} answers.",
        values=values,
        tables={"answers": keyed},
        figures=figures,
        warnings=tuple(warnings),
        complete=not bad,
        n_total=len(table),
        n_returned=len(table) - bad,
    )


def makes_structures(card: Card, verb: Verb) -> bool:
    """Whether what a verb answers is molecules, which are drawn."""
    return verb is Verb.GENERATE and any(one.name == "smiles" for one in card.outputs)
