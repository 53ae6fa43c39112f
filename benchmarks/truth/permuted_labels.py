"""S2: labels that mean nothing. No confident claim may come out.

Claim: at most 10 % (aim 5 %) of runs make any claim of confidence >= 0.7, and at most 0.02 such claims a run (aim). Runs:
the five spike-in tables under all nine other splits of their six samples; the mouse cortex table under 100 permutations
of the mice. The whole product gets the table of 1,080 rows as published, with the factors of the mice dealt out again, one
deal for all rows of a mouse; claims of what is not a label (groups that nobody named) are counted beside, and may be true.

    python -m benchmarks.truth.permuted_labels --data FOLDER [--arm discover|tools] [--mice 100] [--tables ...] [--scratch DIR]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.peers.studies import mice_files
from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.arms import Outcome, discover_arm, load, naive_arm, prepare, tools_arm
from benchmarks.truth.mouse_cortex import FACTORS, contrasts, mice, permuted
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.spike_in import HELD_OUT, SET, TUNED

CONFIDENT = 0.7


def other_splits(conditions: list[str]) -> list[list[str]]:
    """Every split of the samples into groups of the same sizes but the real one; mirror images once."""
    a, b = conditions[0], next(c for c in conditions if c != conditions[0])
    n = len(conditions)
    real = {i for i, c in enumerate(conditions) if c == a}
    splits = []
    for chosen in combinations(range(n), len(real)):
        if 0 in chosen and set(chosen) != real:
            splits.append([a if i in chosen else b for i in range(n)])
    return splits


def confident(outcome: Outcome) -> int:
    """Claims and hypotheses of confidence >= 0.7."""
    from_claims = (
        int((outcome.claims["confidence"].astype(float) >= CONFIDENT).sum()) if len(outcome.claims) else 0
    )
    return max(from_claims, sum(c >= CONFIDENT for *_, c in outcome.top))


def spike_ins(folder: Path, tables: list[str], arm: str, work: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in tables:
        data = work / f"{name}.txt"
        anonymise_maxquant(folder / SET / f"{name}_prot.txt.gz", data, 0)
        sheet = pd.read_csv(folder / SET / f"samples_{name}.txt", sep=r"\s+")
        original = work / f"samples_{name}.txt"
        sheet.to_csv(original, sep="\t", index=False)
        prepared = prepare(load(data, original)) if arm == "tools" else None
        raw = load(data, original, quantity="intensity")
        for index, conditions in enumerate(other_splits(list(raw.obs["Condition"].astype(str)))):
            a, b = conditions[0], next(c for c in conditions if c != conditions[0])
            if prepared is not None:
                prepared.obs["Condition"] = conditions
                outcome = tools_arm(prepared, [{"factor": "Condition", "a": a, "b": b}], index)
            else:
                changed = sheet.iloc[: len(conditions)].assign(Condition=conditions)
                samples = work / f"samples_{name}_{index}.txt"
                changed.to_csv(samples, sep="\t", index=False)
                outcome = discover_arm(data, samples, work, index)
            in_a = np.array(conditions) == a
            naive = naive_arm(np.asarray(raw.X), list(raw.var_names), in_a, f"{a} vs {b}")
            n_naive = int((naive.claims["confidence"] >= CONFIDENT).sum())
            rows.append(
                {
                    "table": name,
                    "split": index,
                    "claims": len(outcome.claims),
                    "confident": confident(outcome),
                    "naive": n_naive,
                }
            )
        print(name, [row["confident"] for row in rows if row["table"] == name], flush=True)
    return rows


def about_labels(contrast: object, obs: pd.DataFrame) -> bool:
    """Whether a contrast names a factor, or two of the levels of a column that was dealt out again."""
    said = str(contrast)
    columns = [column for column in (*FACTORS, "class") if column in obs]
    named = [sum(level in said for level in obs[column].astype(str).unique()) for column in columns]
    return any(factor in said for factor in FACTORS) or max(named) > 1


def mouse_discover(folder: Path, index: int) -> dict[str, object]:
    """One permutation of the mice through the whole product, and the naive analysis of their means."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        data = mice_files(folder, work, index, exchanged=True).data
        outcome = discover_arm(data, None, work, index)
        told = json.loads((work / f"out-{data.name}-{index}" / "hypotheses.json").read_text())["hypotheses"]
        dataset = mice(work, Path(data.name))
    sure = [str(c) for c in outcome.claims.loc[outcome.claims["confidence"] >= CONFIDENT, "contrast"]]
    kept = [h for h in told if h.get("status") not in ("refuted", "merged")]
    sure_told = [h for h in kept if float(h.get("confidence") or 0.0) >= CONFIDENT]
    from_claims = sum(about_labels(c, dataset.obs) for c in sure)
    from_told = sum(about_labels(h["claim"]["contrast"], dataset.obs) for h in sure_told)
    return {
        "table": "mouse_cortex",
        "split": index,
        "claims": len(outcome.claims),
        "confident": max(from_claims, from_told),
        "confident_not_of_labels": max(len(sure) - from_claims, len(sure_told) - from_told),
        "told": [f"{h['statement'][:160]} ({h.get('confidence')})" for h in sure_told],
        "unit": outcome.unit,
        "naive": naive_mice(dataset),
    }


def mouse_cortex_discovered(folder: Path, n: int, scratch: Path) -> list[dict[str, object]]:
    """Permutations of the mice by the whole product; each is kept, so that what was stopped goes on where it was."""
    rows: list[dict[str, object]] = []
    for index in range(n):
        kept = scratch / f"mouse-{index}.json"
        if not kept.exists():
            start = time.perf_counter()
            row = mouse_discover(folder, index)
            part = kept.with_suffix(".part")
            part.write_text(json.dumps({**row, "seconds": round(time.perf_counter() - start, 1)}))
            shutil.move(part, kept)
        rows.append(json.loads(kept.read_text()))
        print({key: value for key, value in rows[-1].items() if key != "table"}, flush=True)
    return rows


def naive_mice(dataset: AnnData) -> int:
    """Claims of the textbook analysis of the mice's means, over the three factors."""
    values, found = np.asarray(dataset.X), 0
    for factor in FACTORS:
        labels = dataset.obs[factor].astype(str).to_numpy()
        naive = naive_arm(values, list(dataset.var_names), labels == sorted(set(labels))[1], factor)
        found += int((naive.claims["confidence"] >= CONFIDENT).sum())
    return found


def mouse_cortex(folder: Path, n: int) -> list[dict[str, object]]:
    """Permutations of the mice by the tools in the planner's order."""
    dataset = mice(folder)
    rows: list[dict[str, object]] = []
    for index in range(n):
        shuffled = permuted(dataset, np.random.default_rng(index))
        outcome = tools_arm(shuffled, contrasts(shuffled.obs), index, n_permutations=50)
        rows.append(
            {
                "table": "mouse_cortex",
                "split": index,
                "claims": len(outcome.claims),
                "confident": confident(outcome),
                "naive": naive_mice(shuffled),
            }
        )
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, float | int]:
    counts = np.array([int(str(row["confident"])) for row in rows])
    naive = np.array([int(str(row["naive"])) for row in rows])
    return {
        "runs": len(rows),
        "runs_with_confident_claim": float(np.mean(counts > 0)) if len(rows) else 0.0,
        "confident_claims_per_run": float(counts.mean()) if len(rows) else 0.0,
        "naive_runs_with_confident_claim": float(np.mean(naive > 0)) if len(rows) else 0.0,
        "naive_confident_claims_per_run": float(naive.mean()) if len(rows) else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--arm", choices=["discover", "tools"], default="discover")
    parser.add_argument("--tables", nargs="*", default=[*TUNED, *HELD_OUT], choices=[*TUNED, *HELD_OUT])
    parser.add_argument("--mice", type=int, default=100, help="permutations of the mice")
    parser.add_argument(
        "--scratch", help="folder of finished permutations of the mice; default a temporary one"
    )
    parser.add_argument("--name", help="name of the results file; default permuted_labels_<arm>")
    options = parser.parse_args()
    folder = data_folder(options.data)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        spiked = spike_ins(folder, options.tables, options.arm, Path(work))
        if options.arm == "tools":
            mouse = mouse_cortex(folder, options.mice)
        else:
            scratch = Path(options.scratch or work)
            scratch.mkdir(parents=True, exist_ok=True)
            mouse = mouse_cortex_discovered(folder, options.mice, scratch)
    content: dict[str, Any] = {
        "claim": "S2",
        "arm": options.arm,
        "spike_ins": summary(spiked),
        "mouse_cortex": summary(mouse),
        "all": summary(spiked + mouse),
        "rows": spiked + [row for row in mouse if row["confident"] or row["naive"] or row.get("told")],
    }
    if options.arm == "discover" and mouse:
        content["mouse_cortex"] |= {
            "confident_claims_not_of_labels": sum(int(str(r["confident_not_of_labels"])) for r in mouse),
            "units": sorted({str(row["unit"]) for row in mouse}),
            "seconds_per_run": float(np.median([float(str(row["seconds"])) for row in mouse])),
        }
    path = store(
        options.name or f"permuted_labels_{options.arm}",
        content,
        module="benchmarks.truth.permuted_labels",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(summary(spiked), "\n", summary(mouse), "\n", path.name, sep="")


if __name__ == "__main__":
    main()
