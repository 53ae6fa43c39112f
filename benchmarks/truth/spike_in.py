"""S1, S1b: human proteins spiked into constant yeast, five two-group tables of three against three.

Claim: macro recall >= 0.72 (aim 0.80) at a macro false discovery proportion <= 0.15 (aim 0.10, every table <= 0.20);
signs right >= 0.98, median error of the log2 effect <= 0.5 (aim 0.3); precision of the top 20 hypotheses >= 0.93.
Tuned on Exp1_* only; Exp2_* are held out. Truth: "ups" in the majority id (Ramus et al. 2015, Data Brief 6:286).

    python -m benchmarks.truth.spike_in --data FOLDER [--arm discover|tools] [--tables Exp1_R25 ...] [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.arms import discover_arm, load, naive_arm, prepare, tools_arm
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.score import SpikeTruth, calibration_error, score_spike_in

TUNED = ("Exp1_R25", "Exp1_R2")
HELD_OUT = ("Exp2_R100", "Exp2_R10", "Exp2_R2")
SET = "spike_ups1_yeast_ramus"


def truth_of(map_: dict[str, str], samples: Path) -> SpikeTruth:
    """Spiked features by their anonymised id, and the amounts of the conditions (fmol)."""
    sheet = pd.read_csv(samples, sep=r"\s+")
    levels = sorted(set(sheet["Condition"].astype(str)))
    amounts = {level: float(re.sub(r"[^0-9.]", "", level)) for level in levels}
    return SpikeTruth(
        frozenset(token for token, original in map_.items() if "ups" in original.lower()), amounts
    )


def run_table(folder: Path, name: str, seed: int, arm: str, work: Path) -> dict[str, dict[str, object]]:
    """Scores of the product and of the naive arm on one table."""
    source = folder / SET
    data, samples = work / f"{name}_{seed}.txt", work / f"samples_{name}_{seed}.txt"
    map_ = anonymise_maxquant(source / f"{name}_prot.txt.gz", data, seed)
    samples.write_text((source / f"samples_{name}.txt").read_text())
    truth = truth_of(map_, samples)
    raw = load(data, samples, quantity="intensity")
    conditions = raw.obs["Condition"].astype(str).to_numpy()
    a, b = conditions[0], conditions[-1]
    start = time.perf_counter()
    if arm == "discover":
        outcome = discover_arm(data, samples, work, seed)
    else:
        outcome = tools_arm(prepare(load(data, samples)), [{"factor": "Condition", "a": a, "b": b}], seed)
    seconds = time.perf_counter() - start
    naive = naive_arm(np.asarray(raw.X), list(raw.var_names), conditions == a, f"{a} vs {b}")
    scored = score_spike_in(outcome, truth)
    sure = outcome.claims["confidence"].to_numpy(dtype=float)
    true = outcome.claims["feature"].isin(truth.changed).to_numpy(dtype=float)
    known = np.isfinite(sure)
    return {
        "product": {**scored, "seconds": seconds, "calibration": calibration_error(sure[known], true[known])},
        "naive": dict(score_spike_in(naive, truth)),
    }


def macro(rows: list[dict[str, object]]) -> dict[str, float]:
    """Means over tables; the worst false discovery proportion; the median error over tables."""
    keys = ("recall", "fdp", "precision_at_20", "sign_correct", "size_error_median")
    shown = {key: float(np.mean([float(str(r[key])) for r in rows if r[key] is not None])) for key in keys}
    return {**shown, "worst_fdp": max(float(str(r["fdp"])) for r in rows)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--arm", choices=["discover", "tools"], default="discover")
    parser.add_argument("--tables", nargs="+", default=[*TUNED, *HELD_OUT], choices=[*TUNED, *HELD_OUT])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--name", help="name of the results file; default spike_in_<arm>")
    options = parser.parse_args()
    folder = data_folder(options.data)
    start = time.perf_counter()
    tables: dict[str, object] = {}
    product, naive = [], []
    with tempfile.TemporaryDirectory() as work:
        for name in options.tables:
            runs = [run_table(folder, name, seed, options.arm, Path(work)) for seed in options.seeds]
            tables[name] = {
                "held_out": name in HELD_OUT,
                "product": [run["product"] for run in runs],
                "naive": runs[0]["naive"],
            }
            product += [run["product"] for run in runs]
            naive.append(runs[0]["naive"])
            first = runs[0]["product"]
            print(
                name,
                {k: first[k] for k in ("true_claims", "false_claims", "recall", "fdp", "seconds")},
                flush=True,
            )
    content = {
        "claim": "S1, S1b",
        "arm": options.arm,
        "seeds": options.seeds,
        "product": macro(product),
        "naive": macro(naive),
        "tables": tables,
    }
    path = store(
        options.name or f"spike_in_{options.arm}",
        content,
        module="benchmarks.truth.spike_in",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print("product", macro(product), "\nnaive  ", macro(naive), f"\n{path.name}")


if __name__ == "__main__":
    main()
