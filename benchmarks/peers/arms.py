"""Each arm on one study: what it calls at 5 % false discovery rate, and what it used."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.peers.studies import Expected, Study
from benchmarks.process import Used, measured
from benchmarks.truth.data_sets.row import Files

LEVEL = 0.05
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Called:
    """Tables of calls (feature, contrast, direction) by method, and what the process used; `refused` says why none."""

    calls: dict[str, pd.DataFrame]
    used: Used
    refused: str = ""


def nereus(study: Study, files: Files, work: Path, seed: int) -> Called:
    """`nereus discover` on the files, with default settings."""
    out = work / "report"
    command = [sys.executable, "-m", "nereus.cli", "discover", str(files.data)]
    if files.samples is not None:
        command += ["--samples", str(files.samples)]
    command += ["--out", str(out), "--seed", str(seed), "--yes", "--quiet", *files.arguments]
    used = measured(command, work / "nereus.log", {"NEREUS_HOME": str(work / "home")})
    if used.code:
        return Called({}, used, (work / "nereus.log").read_text().strip().splitlines()[0])
    claims = pd.read_csv(out / "claims.csv", dtype={"feature": str, "contrast": str})
    up = claims["direction"].isin(["up", "present"])
    return Called({"discover": claims.assign(up=up)[["feature", "contrast", "up"]]}, used)


def scripted(command: list[str], settings: dict[str, object], work: Path, name: str) -> Called:
    """A script that reads settings and writes its table of tests; rows with q <= 5 % are its calls."""
    given, out, log = (work / f"{name}.{end}" for end in ("json", "csv", "log"))
    given.write_text(json.dumps(settings, indent=1))
    used = measured([*command, str(given), str(out)], log)
    if used.code:
        lines = [line for line in log.read_text(errors="replace").strip().splitlines() if line.strip()]
        return Called({}, used, lines[-1] if lines else f"exit code {used.code}")
    tests = pd.read_csv(out, dtype={"feature": str, "contrast": str})
    tests = tests[tests["q"] <= LEVEL].assign(up=lambda table: table["effect"] > 0)
    made = {str(method): part[["feature", "contrast", "up"]] for method, part in tests.groupby("method")}
    return Called(made, used)


def limma(study: Study, files: Files, work: Path) -> Called:
    """The expert's script."""
    called = scripted(["Rscript", str(HERE / "expert.R")], study.limma(files), work, "limma")
    return Called(_every(called, ("eBayes", "treat", "imputed")), called.used, called.refused)


def alphapeptstats(study: Study, files: Files, work: Path, python: str) -> Called:
    """AlphaPeptStats in its own environment."""
    settings = study.alphapeptstats(files)
    script = str(HERE / "alphapeptstats_arm.py")
    called = scripted([python, script], settings, work, "alphapeptstats")
    methods = ("ttest", "ancova") if settings.get("covariates") else ("ttest",)
    return Called(_every(called, methods), called.used, called.refused)


def _every(called: Called, methods: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Add the methods that called nothing."""
    if called.refused:
        return {}
    empty = pd.DataFrame({"feature": [], "contrast": [], "up": []})
    return {method: called.calls.get(method, empty) for method in methods}


def score(calls: pd.DataFrame, expected: Expected, n_true: int) -> dict[str, float | int | None]:
    """True and false (feature, contrast) pairs; a pair that is called twice counts once, wrong if either is wrong."""
    verdicts: dict[tuple[str, frozenset[str]], bool] = {}
    silent = set()
    for feature, contrast, up in calls.itertuples(index=False):
        pair = (feature, frozenset(str(contrast).split(" (")[0].split(" vs ")))
        effect = expected(str(feature), str(contrast))
        if effect is None:
            silent.add(pair)
            continue
        right = effect != 0 and (effect > 0) == bool(up)
        verdicts[pair] = verdicts.get(pair, True) and right
    true = sum(verdicts.values())
    return {
        "of": n_true,
        "true": true,
        "false": len(verdicts) - true,
        "recall": true / n_true if n_true else None,
        "false_share": (len(verdicts) - true) / len(verdicts) if verdicts else 0.0,
        "not_judged": len(silent),
    }
