"""A row of the table of data sets: the files that a user gives, the truth, and how outputs are scored against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.arms import LEVEL, load, naive_arm

CONFIDENT = 0.7


@dataclass(frozen=True)
class Files:
    """What is handed to the product, and what stays with the harness.

    Attributes
    ----------
    data, samples
        Table and sample sheet, as a user would give them.
    arguments
        Further arguments of `nereus discover`.
    key
        Id that the product sees -> id of the source; empty where ids do not tell the truth.
    """

    data: Path
    samples: Path | None = None
    arguments: tuple[str, ...] = ()
    key: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """How an arm did.

    Attributes
    ----------
    found, of
        Stated truths that the outputs hold, out of how many.
    false, claims
        Claims that contradict the truth, out of how many that could; None where the truth says nothing of others.
    confident_false
        The false ones among the claims of confidence 0.7 and more.
    missing
        Names of what was missed, a few of them.
    note
        What a reader has to know beside the numbers.
    """

    found: float
    of: float
    false: int | None = None
    claims: int | None = None
    confident_false: int | None = None
    missing: tuple[str, ...] = ()
    note: str = ""


class Report:
    """The folder that a run wrote, read as a user's script would read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def ended(self) -> tuple[str, list[str]]:
        """Why the run ended, and the kinds of question of which none was answered though they were open."""
        reason = str(json.loads((self.folder / "run.json").read_text())["stop_reason"])
        asked = json.loads((self.folder / "plan.json").read_text())["objectives"]
        answered = {one["kind"] for one in asked if one["status"] == "done"}
        return reason, sorted({str(one["kind"]) for one in asked} - answered)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """All claims at the stated error level: contrast, feature, gene, direction, effect, q, confidence, kind."""
        table = pd.read_csv(self.folder / "claims.csv")
        texts = {name: table[name].fillna("").astype(str) for name in ("contrast", "feature", "gene")}
        return table.assign(**texts, confidence=pd.to_numeric(table["confidence"], errors="coerce"))

    @cached_property
    def hypotheses(self) -> list[dict[str, Any]]:
        """Hypotheses that hold, best first."""
        found = json.loads((self.folder / "hypotheses.json").read_text())["hypotheses"]
        live = [one for one in found if one["status"] in ("supported", "tentative")]
        return sorted(live, key=lambda one: int(one["rank"]))

    def entities(self, relation: str | None = None) -> list[tuple[str, str, str, str]]:
        """Id, name, direction and contrast of the entities of the hypotheses, best first."""
        return [
            (
                str(entity["id"]),
                str(entity["name"]),
                str(entity["direction"]),
                str(one["claim"]["contrast"]),
            )
            for one in self.hypotheses
            if relation in (None, one["claim"]["relation"])
            for entity in one["claim"]["entities"]
        ]

    def leads(self) -> list[dict[str, Any]]:
        """What the report ranks below its error rate, where it does: not hypotheses."""
        return list(json.loads((self.folder / "hypotheses.json").read_text()).get("leads", []))

    def tables(self, tool: str, table: str) -> list[pd.DataFrame]:
        """The tables of that name that a tool wrote, in the order of their steps."""

        def order(path: Path) -> tuple[int, ...]:
            step = path.name.split("-")[0]
            return tuple(int("".join(c for c in part if c.isdigit())) for part in step.split("."))

        paths = sorted((self.folder / "tables").glob(f"*-{tool}-{table}.csv"), key=order)
        return [pd.read_csv(path) for path in paths]

    def values(self, tool: str) -> list[dict[str, Any]]:
        """Named values of every call of a tool."""
        steps = json.loads((self.folder / "steps.json").read_text())
        return [one["values"] for one in steps["steps"] if one["tool"] == tool and one.get("values")]


@dataclass(frozen=True)
class Row:
    """A data set with its truth.

    Attributes
    ----------
    name
        ``folder`` or ``folder/what``.
    truth
        What a correct analysis must find, in one line.
    files
        (folder of the data sets, work folder, seed) -> what is handed over.
    score
        Reads the report and the files.
    naive
        Score of the textbook analysis, where there is one.
    tools
        Instead of `discover`, where it cannot apply: computes the score; `why` says why.
    question
        What the user asks, where the kind of experiment cannot be seen in the file.
    checked
        Whether the stated truth was computed from the files (else it is the published claim).
    """

    name: str
    truth: str
    files: Callable[[Path, Path, int], Files]
    score: Callable[[Report, Files], Score] | None = None
    naive: Callable[[Files], Score] | None = None
    tools: Callable[[Files, int], Score] | None = None
    why: str = ""
    checked: bool = True
    question: str = ""


def sides(contrast: str) -> tuple[str, str] | None:
    """The two levels of ``a vs b (...)``; None for other contrasts."""
    parts = [part.strip() for part in contrast.split(" (")[0].split(" vs ")]
    return (parts[0], parts[1]) if len(parts) == 2 else None


def oriented(claims: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Claims of a contrast in either orientation, with column ``up`` (higher in a)."""
    keep, up = [], []
    for index, row in zip(claims.index, claims.to_dict("records"), strict=True):
        pair = sides(str(row["contrast"]))
        if pair is None or set(pair) != {a, b}:
            continue
        keep.append(index)
        up.append((row["direction"] in ("up", "present", "higher")) == (pair[0] == a))
    return claims.loc[keep].assign(up=np.array(up, dtype=bool))


def named(claims: pd.DataFrame, accession: str = "", gene: str = "") -> pd.Series:
    """Claims about a protein, by an accession in its group or by its gene."""
    in_group = claims["feature"].map(
        lambda feature: bool(accession) and accession in {part.split("-")[0] for part in _parts(str(feature))}
    )
    genes = (
        claims["gene"].fillna("").map(lambda text: bool(gene) and gene in str(text).replace(";", " ").split())
    )
    return in_group | genes


def _parts(feature: str) -> list[str]:
    return [part for piece in feature.split(";") for part in piece.split("|")]


def naive_groups(files: Files, column: str, a: str, b: str, **options: Any) -> pd.DataFrame:
    """Claims of the naive arm on two levels of a sample column, with column ``up`` and genes."""
    data = load(files.data, files.samples, **options)
    label = data.obs[column].astype(str).to_numpy()
    kept = np.isin(label, [a, b])
    outcome = naive_arm(
        np.asarray(data.X)[kept], [str(name) for name in data.var_names], label[kept] == a, f"{a} vs {b}"
    )
    gene = data.var["gene"].astype(str).to_dict()
    return outcome.claims.assign(
        gene=[gene.get(f, "") for f in outcome.claims["feature"]], up=outcome.claims["direction"] == "up"
    )


def present(
    claims: pd.DataFrame, truths: Iterable[tuple[str, str, bool]]
) -> tuple[int, tuple[str, ...], int]:
    """How many of (accession, gene, up) are claimed in that direction, which are not, and how many are contradicted."""
    found, missing, against = 0, [], 0
    for accession, gene, up in truths:
        about = claims[named(claims, accession, gene)]
        if (about["up"] == up).any():
            found += 1
        else:
            missing.append(gene or accession)
        against += int((about["up"] != up).sum())
    return found, tuple(missing), against


__all__ = [
    "CONFIDENT",
    "LEVEL",
    "Files",
    "Report",
    "Row",
    "Score",
    "naive_groups",
    "named",
    "oriented",
    "present",
    "sides",
]
