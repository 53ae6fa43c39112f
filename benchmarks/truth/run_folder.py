"""What a run wrote, as a scorer reads it: the files of its report and the artifacts of its database, nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SIGNS = {"up": 1, "present": 1, "positive": 1, "down": -1, "absent": -1, "negative": -1}
SHOWN = ("supported", "tentative")
SINGLE = ("entity", "set")
WHOLE = frozenset({"prediction", "composition", "replication"})
"""Relations of claims about all samples; nothing is planted that they could tell of."""
RELATION_OF = {
    "association": "association",
    "interaction": "interaction",
    "survival": "survival",
    "states": "state",
    "populations": "population",
    "modules": "module",
    "longitudinal": "course",
}
"""Kind of objective -> relation of what it tests, where that is not abundance."""


@dataclass(frozen=True)
class Said:
    """One claim that a run makes.

    Attributes
    ----------
    relation, entity, sign
        What is said, of what, in which direction.
    about
        What it is about, by role, as `planting.PlantedClaim.about`, with the groups as the run names them.
    confidence, q
        None where not calibrated, or not told.
    members
        Features of a module or set; cells of a population.
    """

    relation: str
    entity: str
    sign: int
    about: dict[str, str]
    confidence: float | None
    q: float | None
    members: frozenset[str] = frozenset()


@dataclass
class RunView:
    """What a scorer knows of a run.

    Attributes
    ----------
    top
        Claims of the hypotheses that were not refuted, best first. Those about all samples are left out, those
        that repeat single ones across questions, and paths, whose inferred edge no truth speaks of.
    claims
        Every claim at the stated error level.
    tested
        Everything that was tested and has a confidence, claimed or not; a test has no direction here (sign 0).
    covariates
        Factor -> columns that its comparison is adjusted for.
    notices
        What the run says of itself.
    values
        Named values of the profile.
    failed_samples
        Samples that the run found to be outliers.
    """

    top: list[Said] = field(default_factory=list)
    claims: list[Said] = field(default_factory=list)
    tested: list[Said] = field(default_factory=list)
    covariates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    failed_samples: frozenset[str] = frozenset()


def about_of(objective: dict[str, Any]) -> dict[str, str]:
    """What an objective is about, by role."""
    found = {str(k): str(v) for k, v in (objective.get("design") or {}).items()}
    if objective.get("variable"):
        found["variable"] = str(objective["variable"])
    if objective.get("contrast"):
        found |= {role: str(objective["contrast"][role]) for role in ("factor", "a", "b")}
    return found


def label_of(objective: dict[str, Any]) -> str:
    """The name under which its claims go."""
    contrast = objective.get("contrast")
    return str(
        objective.get("label")
        or (f"{contrast['a']} vs {contrast['b']}" if contrast else "")
        or objective.get("variable")
        or objective["kind"]
    )


def read_run(out: Path, features: frozenset[str], home: Path | None = None) -> RunView:
    """Read the folder of a report.

    Parameters
    ----------
    out
        Folder that `nereus discover` wrote.
    features
        Features of the data file; the measured members of a set are these.
    home
        Where the artifacts of the run are; needed for tables of cells only.
    """
    plan = json.loads((out / "plan.json").read_text())
    steps = json.loads((out / "steps.json").read_text())["steps"]
    members = _Members(out, steps, features, home)
    by_label: dict[str, list[dict[str, Any]]] = {}
    for one in plan["objectives"]:
        by_label.setdefault(label_of(one), []).append(one)

    def said(
        relation: str, entity: str, direction: str, label: str, confidence: float | None, q: float | None
    ) -> Said:
        about: dict[str, str] = {}
        for one in by_label.get(label, by_label.get(label.split(" (")[0], [])):
            about = {**about_of(one), **about}
        of = members.of(relation, entity)
        return Said(relation, entity, SIGNS.get(direction, 0), about, confidence, q, of)

    top = []
    hypotheses = json.loads((out / "hypotheses.json").read_text())["hypotheses"]
    for one in sorted(hypotheses, key=lambda one: one["rank"]):
        claim = one["claim"]
        if one["status"] not in SHOWN or one["grain"] not in SINGLE or claim["relation"] in WHOLE:
            continue
        for entity in claim["entities"][:1]:
            if entity["direction"] != "none":
                top.append(
                    said(
                        claim["relation"],
                        entity["id"],
                        entity["direction"],
                        claim["contrast"],
                        one["confidence"],
                        None,
                    )
                )
    table = pd.read_csv(out / "claims.csv", dtype={"feature": str, "contrast": str}, keep_default_na=False)
    claims = [
        said(
            str(row["kind"]),
            str(row["feature"]),
            str(row["direction"]),
            str(row["contrast"]),
            _number(row["confidence"]),
            _number(row["q"]),
        )
        for row in table.to_dict("records")
    ]
    profile = next((step["values"] for step in steps if step["tool"] == "profile_dataset"), {})
    return RunView(
        top,
        claims,
        _tested(out, steps, plan["objectives"]),
        {
            str(one["contrast"]["factor"]): tuple(one["contrast"]["covariates"])
            for one in plan["objectives"]
            if one["kind"] == "differential" and one.get("contrast")
        },
        tuple(plan["notices"]),
        dict(profile),
        _failed(steps, profile),
    )


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _tested(out: Path, steps: list[dict[str, Any]], objectives: list[dict[str, Any]]) -> list[Said]:
    """Rows of the tables of confidences, each about the objective that its step belongs to.

    The tables call everything that is no detection abundance; what it says depends on the question.
    """
    known = {str(one["id"]): one for one in objectives}
    found = []
    for step in steps:
        made = step["outputs"].get("confidence")
        if made is None or not made["file"]:
            continue
        table = pd.read_csv(out / made["file"], dtype={"feature": str, "kind": str})
        objective = known[str(step["step"]).partition(".")[0]]
        of, relation = about_of(objective), RELATION_OF.get(str(objective["kind"]), "")
        found += [
            Said(
                relation if kind == "abundance" and relation else str(kind),
                str(feature),
                0,
                of,
                _number(sure),
                _number(q),
            )
            for kind, feature, sure, q in zip(
                table["kind"], table["feature"], table["confidence"], table["q"], strict=True
            )
        ]
    return found


def _failed(steps: list[dict[str, Any]], profile: dict[str, Any]) -> frozenset[str]:
    named = {one for one in str(profile.get("outliers") or "").split(";") if one}
    for step in steps:
        if step["tool"] == "remove_samples":
            named |= {str(one) for one in step["params"].get("samples", [])}
    return frozenset(named)


class _Members:
    """Members of modules, sets and populations, by what a run made."""

    def __init__(
        self, out: Path, steps: list[dict[str, Any]], features: frozenset[str], home: Path | None
    ) -> None:
        self._features = features
        self._modules: dict[str, frozenset[str]] = {}
        self._populations: dict[str, frozenset[str]] = {}
        for step in steps:
            made = step["outputs"].get("modules")
            if step["tool"] == "coexpression_modules" and made and made["file"]:
                table = pd.read_csv(out / made["file"], dtype=str, keep_default_na=False)
                self._modules |= {
                    str(name): frozenset(rows["feature"]) for name, rows in table.groupby("module") if name
                }
            if step["tool"] == "annotate_clusters" and "dataset" in step["outputs"] and home is not None:
                self._populations = _populations(home, step["outputs"]["dataset"])

    def of(self, relation: str, entity: str) -> frozenset[str]:
        if relation == "module":
            return self._modules.get(entity, frozenset())
        if relation == "enrichment":
            return _set_members().get(entity, frozenset()) & self._features
        if relation == "state":
            return self._populations.get(entity.rpartition("|")[0], frozenset())
        return frozenset()


_SETS: dict[str, frozenset[str]] = {}


def _set_members() -> dict[str, frozenset[str]]:
    """Genes of every set of the collections that ship, GO sets with their descendants'."""
    if not _SETS:
        from nereus.tools.enrichment.collections import load_sets

        sets = load_sets("human")
        whole = ((sets.ancestors.astype(int).T @ sets.members.astype(int)) > 0).tocsr()
        for i, name in enumerate(sets.table["set_id"]):
            _SETS[str(name)] = frozenset(sets.genes[j] for j in whole[i].indices)
    return _SETS


def _populations(home: Path, output: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Cells of each population, as the reader names them: ``sample:number`` from one."""
    from nereus.memory.artifacts import ArtifactStore
    from nereus.memory.records import ArtifactKind, ArtifactRef

    ref = ArtifactRef(
        id=output["sha256"], kind=ArtifactKind.DATASET, name="dataset", size=output["size"], summary=""
    )
    obs = ArtifactStore(home / "artifacts").dataset(ref).obs
    column = obs["population"].astype(str)
    return {name: frozenset(map(str, obs.index[column == name])) for name in set(column)}
