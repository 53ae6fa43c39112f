"""Runs of the planner on tables of the planting generator: pipelines learned from three runs, used on three others.

Tables to learn from: two groups, three times; the last is held out: pipelines are validated on it. Tables to test on, of
other subjects, features, effects and seeds: two groups, and batch and paired subjects, which no run was about before. For
each test table four runs in one home, where only the first three runs have ended before:

- ``fresh``: frozen, nothing is learned;
- ``routine``: what earlier runs teach without actions (order, and steps that are not asked about);
- ``actions``: learned pipelines, and nothing else of earlier runs;
- ``both``: what a user gets.

The final evidence is compared by hash; decisions are those that the record holds.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

import nereus
from benchmarks.truth.planting.recipes import Plan, make_study
from benchmarks.truth.planting.study import DATA, SAMPLES
from benchmarks.truth.results import data_folder
from nereus.agents.learner.pipeline_learning import learn_pipelines
from nereus.memory.actions import Actions
from nereus.memory.priors import NOTHING
from nereus.memory.records import RunRecord
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from nereus.tools.steps import canonical_json

LEARNED_FROM = ("two groups", "two groups", "two groups")
TESTED_ON = ("two groups", "batch", "paired")
PER_GROUP, FEATURES = 7, 100
LIMITS = ["objectives=3", "steps=60"]
FEWER = 0.40
ARMS = ("fresh", "both", "actions", "routine")


def table(design: str, seed: int, folder: Path) -> Path:
    """A small table of a design: a planted study, cut to few subjects and features; pairs share a level of their own."""
    traps = {"batch": ("batch_balanced",)}.get(design, ())
    study = make_study(Plan(design, "csf", seed, ("shift",), traps), data_folder(None))
    folder.mkdir(parents=True)
    study.write(folder)
    values = pd.read_csv(folder / DATA, index_col=0)
    sheet = pd.read_csv(folder / SAMPLES).set_index("sample")
    draw = np.random.default_rng(seed)
    chosen = [
        name
        for _, group in sheet.groupby("condition")
        for name in sorted(draw.choice(group.index, PER_GROUP, replace=False))
    ]
    measured = values.index[values[chosen].notna().mean(axis=1) > 0.7]
    kept = sorted(draw.choice(measured, min(FEATURES, len(measured)), replace=False))
    values, sheet = values.loc[kept, chosen], sheet.loc[chosen].copy()
    if design == "paired":
        sheet["subject"] = [f"P{number % PER_GROUP + 1:02d}" for number in range(len(chosen))]
        own = draw.lognormal(0.0, 0.3, (len(kept), PER_GROUP))
        values = values * own[:, [number % PER_GROUP for number in range(len(chosen))]]
    values.to_csv(folder / DATA)
    sheet.to_csv(folder / SAMPLES)
    return folder


def evidence_hash(record: RunRecord) -> str:
    """SHA-256 of every piece of evidence: what it is and its value, whatever its id."""
    rows = sorted(
        canonical_json([e.quantity, e.row, e.column, e.name, repr(e.value)]) for e in record.evidence.values()
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def run(place: Path, home: Path, out: Path, **options: Any) -> tuple[nereus.Run, float]:
    begin = time.perf_counter()
    done = nereus.discover(
        place / DATA, place / SAMPLES, out=out, home=home, seed=0, budget=LIMITS, **options
    )
    return done, time.perf_counter() - begin


def told(done: nereus.Run, seconds: float) -> dict[str, Any]:
    record = done.record
    used = [one.policy for one in record.decisions if one.policy.startswith("learned:")]
    return {
        "decisions": len(record.decisions),
        "by_kind": dict(sorted(Counter(one.kind for one in record.decisions).items())),
        "actions_used": used,
        "asked": len(record.decisions) - len(used),
        "evidence": evidence_hash(record),
        "n_evidence": len(record.evidence),
        "seconds": round(seconds, 2),
    }


def one_seed(seed: int, work: Path) -> dict[str, Any]:
    home = work / "home"
    taught = []
    for number, design in enumerate(LEARNED_FROM):
        place = table(design, 5000 + 100 * seed + number, work / f"learn{number}")
        taught.append(told(*run(place, home, work / f"out{number}", freeze=True)))
    with open_workspace(load_settings(home=home)) as workspace:
        library = learn_pipelines(workspace, held_out=1, approval="never")
        actions = Actions(workspace.database)
        names = [one.name for one in library.actions]
    rows = []
    for number, design in enumerate(TESTED_ON):
        place = table(design, 6000 + 100 * seed + number, work / f"test{number}")
        row: dict[str, Any] = {"design": design}
        for arm in ARMS:
            with open_workspace(load_settings(home=home)) as workspace:
                actions = Actions(workspace.database)
                for name in names:
                    _switch(actions, name, arm in ("actions", "both"))
            with _without_routine(arm == "actions"):
                done, seconds = run(place, home, work / f"{arm}{number}", freeze=arm == "fresh")
            row[arm] = told(done, seconds)
            with open_workspace(load_settings(home=home)) as workspace:
                workspace.repository.delete_run(done.id)
        for arm in ARMS[1:]:
            row[arm]["fewer"] = 1 - row[arm]["decisions"] / row["fresh"]["decisions"]
            row[arm]["same_evidence"] = row[arm]["evidence"] == row["fresh"]["evidence"]
        rows.append(row)
        shown = {arm: (row[arm]["decisions"], row[arm].get("same_evidence")) for arm in ARMS}
        print("omics", seed, design, shown, flush=True)
    return {"actions": names, "notices": list(library.notices), "learning_runs": taught, "tests": rows}


@contextmanager
def _without_routine(on: bool) -> Iterator[None]:
    """Runs that know the active pipelines and nothing else of earlier runs."""
    if not on:
        yield
        return
    with patch("nereus.agents.planner.discover.learn", lambda *_: NOTHING):
        yield


def _switch(actions: Actions, name: str, on: bool) -> None:
    """Make the newest version active, or take it out of use for an arm."""
    kept = actions.get(name)
    if on and kept.status != "active":
        actions.remove(name)
        actions.approve(name, "benchmark", actions.validated(actions.add(kept), kept.tests).version)
    elif not on and kept.status == "active":
        actions.remove(name)
        actions.validated(actions.add(kept), kept.tests)


def measure_seed(seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return one_seed(seed, Path(folder))


def summary(by_seed: dict[str, Any]) -> dict[str, Any]:
    rows = [row for one in by_seed.values() for row in one["tests"]]

    def ratios(arm: str) -> list[float]:
        return [
            sum(r[arm]["decisions"] for r in one["tests"])
            / sum(r["fresh"]["decisions"] for r in one["tests"])
            for one in by_seed.values()
        ]

    mean = statistics.fmean(ratios("both"))
    return {
        "decision_ratio": mean,
        "decision_ratio_by_seed": ratios("both"),
        "fewer": {arm: 1 - statistics.fmean(ratios(arm)) for arm in ARMS[1:]},
        "fewer_by_design": {
            design: {
                arm: statistics.fmean(r[arm]["fewer"] for r in rows if r["design"] == design)
                for arm in ARMS[1:]
            }
            for design in TESTED_ON
        },
        "same_evidence": {arm: sum(r[arm]["same_evidence"] for r in rows) / len(rows) for arm in ARMS[1:]},
        "runs_with_actions": sum(bool(row["both"]["actions_used"]) for row in rows) / len(rows),
        "met": {
            "decisions": 1 - mean >= FEWER,
            "same_evidence": all(r["both"]["same_evidence"] for r in rows),
            "actions_used": all(row["both"]["actions_used"] for row in rows),
            "actions_save_more_than_routine": statistics.fmean(ratios("both"))
            < statistics.fmean(ratios("routine")),
        },
        "by_seed": by_seed,
    }
