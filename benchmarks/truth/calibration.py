"""S6: is what a run calls likely true as often as it says? Over the spike-ins (S1) and the planted studies (S4).

Claim: the expected calibration error of P(true) in ten bins is at most 0.10 (aim 0.05), and the Brier score is at least
30 % (aim 50 %) better than that of the base rate. Naive arm: one minus the Benjamini-Hochberg q. Two views: everything that
a run tested and has a confidence for, and the claims that it publishes, of which few are false, so that their base rate
leaves little to be better than. Drawn as a reliability diagram. Runs of `planted` are read from its scratch folder; the
spike-ins are run here, each kept there as well.

    python -m benchmarks.truth.calibration --data FOLDER --scratch FOLDER [--datasets 1000 1060] [--seeds 0] [--spike-seeds 0]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.arms import load
from benchmarks.truth.planted import HELD_OUT
from benchmarks.truth.reliability_diagram import Curve, reliability_svg
from benchmarks.truth.results import RESULTS, data_folder, store
from benchmarks.truth.run_folder import Said, read_run
from benchmarks.truth.score import SpikeTruth, calibration_error
from benchmarks.truth.spike_in import HELD_OUT as HELD_OUT_TABLES
from benchmarks.truth.spike_in import SET, TUNED, truth_of
from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast

ECE, SKILL = 0.10, 0.3
ECE_AIM, SKILL_AIM = 0.05, 0.5
VIEWS = ("tested", "claims")
BINS = 10

Rows = list[dict[str, Any]]


def spike_in_run(data: Path, name: str, seed: int, scratch: Path) -> dict[str, Any]:
    """Claims and tests of one run on one spike-in table, with what is true of them."""
    kept = scratch / f"{name}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    import nereus

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        table, sheet = work / f"{name}.txt", work / f"samples_{name}.txt"
        map_ = anonymise_maxquant(data / SET / f"{name}_prot.txt.gz", table, seed)
        sheet.write_text((data / SET / f"samples_{name}.txt").read_text())
        truth = truth_of(map_, sheet)
        nereus.discover(table, sheet, out=work / "out", seed=seed, home=work / "home")
        view = read_run(work / "out", frozenset())
        tested = [one for one in view.tested if one.confidence is not None]
        made = {
            "table": name,
            "seed": seed,
            "claims": [_row(one, _true(one, truth)) for one in view.claims],
            "tested": [_row(one, one.entity in truth.changed) for one in tested],
            "naive": naive_spike_in(table, sheet, truth),
        }
    kept.write_text(json.dumps(made))
    return made


def _true(said: Said, truth: SpikeTruth) -> bool:
    """Whether a claim about the two amounts names a spiked protein and the right direction."""
    expected = truth.expected(f"{said.about.get('a')} vs {said.about.get('b')}")
    return said.entity in truth.changed and expected is not None and said.sign * expected > 0


def _row(said: Said, true: bool) -> dict[str, Any]:
    return {"relation": said.relation, "confidence": said.confidence, "q": said.q, "true": bool(true)}


def naive_spike_in(table: Path, sheet: Path, truth: SpikeTruth) -> Rows:
    """One minus q of every protein by the textbook analysis of raw intensities."""
    raw = load(table, sheet, quantity="intensity")
    x = np.asarray(raw.X, dtype=float)
    conditions = raw.obs["Condition"].astype(str).to_numpy()
    in_a = conditions == conditions[0]
    centred = (x - np.nanmedian(x, axis=1, keepdims=True)).T
    enough = (np.isfinite(centred[:, in_a]).sum(axis=1) >= 2) & (
        np.isfinite(centred[:, ~in_a]).sum(axis=1) >= 2
    )
    design = np.column_stack([np.ones(len(in_a)), in_a.astype(float)])
    fit = fit_contrast(np.where(enough[:, None], centred, np.nan), design, np.array([0.0, 1.0]))
    q = benjamini_hochberg(fit.p)
    return [
        {"q": float(q[i]), "true": str(raw.var_names[i]) in truth.changed} for i in np.flatnonzero(enough)
    ]


def planted_runs(scratch: Path, datasets: range, seeds: list[int]) -> Rows:
    """Finished runs of the planted studies."""
    paths = [scratch / f"{dataset}-{seed}.json" for seed in seeds for dataset in datasets]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def measured(rows: Rows, by: str) -> dict[str, Any]:
    """Calibration of the confidence, or of one minus q, with the skill over the base rate and a line for each bin."""
    known = [row for row in rows if row.get(by) is not None]
    if not known:
        return {"n": 0}
    p = np.array([float(row[by]) for row in known])
    p = p if by == "confidence" else 1.0 - p
    true = np.array([float(row["true"]) for row in known])
    found = calibration_error(p, true, BINS)
    base = float(true.mean())
    reference = base * (1.0 - base)
    of = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = [
        {"n": int((of == b).sum()), "said": float(p[of == b].mean()), "true": float(true[of == b].mean())}
        for b in range(BINS)
        if (of == b).any()
    ]
    brier = float(str(found["brier"]))
    return {**found, "skill": 1.0 - brier / reference if reference > 0 else None, "bins": bins}


def verdict(found: dict[str, Any]) -> dict[str, bool]:
    """Which of the thresholds are met."""
    ece, skill = found.get("ece"), found.get("skill")
    known = ece is not None and skill is not None
    return {
        "passed": bool(known and ece <= ECE and skill >= SKILL),
        "aim": bool(known and ece <= ECE_AIM and skill >= SKILL_AIM),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--scratch", required=True, help="folder in which `planted` kept its runs")
    parser.add_argument("--datasets", nargs=2, type=int, default=list(HELD_OUT), metavar=("FIRST", "END"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--spike-seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--tables", nargs="*", default=[*TUNED, *HELD_OUT_TABLES])
    parser.add_argument("--name", default="calibration", help="name of the results file and the drawing")
    options = parser.parse_args()
    data, scratch = data_folder(options.data), Path(options.scratch)
    start = time.perf_counter()
    spiked = []
    for seed in options.spike_seeds:
        for name in options.tables:
            spiked.append(spike_in_run(data, name, seed, scratch))
            print(name, seed, {view: len(spiked[-1][view]) for view in VIEWS}, flush=True)
    planted = planted_runs(scratch, range(*options.datasets), options.seeds)
    parts = {"spike_ins": spiked, "planted": planted, "all": [*spiked, *planted]}
    views: dict[str, dict[str, Any]] = {}
    for view in VIEWS:
        views[view] = {}
        for part, runs in parts.items():
            rows = [row for run in runs for row in run[view]]
            found = measured(rows, "confidence")
            views[view][part] = {
                "product": {**found, **verdict(found)},
                "one_minus_q_of_the_same": measured(rows, "q"),
                "without_confidence": sum(row["confidence"] is None for row in rows),
            }
    naive_rows = [row for run in spiked for row in run["naive"]]
    relations = pd.DataFrame(
        [row for run in parts["all"] for row in run["tested"]],
        columns=["relation", "confidence", "q", "true"],
    )
    content = {
        "claim": "S6",
        "spike_in_runs": len(spiked),
        "planted_runs": len(planted),
        "views": views,
        "naive_spike_ins": measured(naive_rows, "q"),
        "by_relation": {
            str(relation): {
                key: value
                for key, value in measured(rows.to_dict("records"), "confidence").items()
                if key != "bins"
            }
            for relation, rows in relations.groupby("relation")
        },
    }
    for view in VIEWS:
        shown = views[view]["all"]
        curves = [
            Curve("Nereus", shown["product"].get("bins", [])),
            Curve("1 - q", shown["one_minus_q_of_the_same"].get("bins", [])),
        ]
        said = "everything tested" if view == "tested" else "claims"
        name = options.name if view == "tested" else f"{options.name}_{view}"
        (RESULTS / f"{name}.svg").write_bytes(
            reliability_svg(
                curves, f"P(true) of {said}: {len(spiked)} spike-in and {len(planted)} planted runs"
            )
        )
    path = store(
        options.name,
        content,
        module="benchmarks.truth.calibration",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    for view in VIEWS:
        for part in parts:
            for arm in ("product", "one_minus_q_of_the_same"):
                found = {k: v for k, v in views[view][part][arm].items() if k != "bins"}
                print(view, part, arm, found)
    print(path.name)


if __name__ == "__main__":
    main()
