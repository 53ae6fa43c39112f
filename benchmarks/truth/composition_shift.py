"""Planted effects amid composition shifts: the share of false claims where textbook statistics breaks down.

Claim: in every scene the mean false discovery proportion stays <= 0.10, where that of the naive arm is 0.25 to 0.9; the
recall of both is reported. Base: the constant yeast proteins of the Exp1 tables under exchanged labels. Seeds 0-49 were
used for development; 1000-1059 are held out.

    python -m benchmarks.truth.composition_shift --data FOLDER [--seeds 1000 1010]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from anndata import AnnData

from benchmarks.truth.arms import OPTIONS, Outcome, load, naive_arm, prepare
from benchmarks.truth.generator import Difficulty, Scene, plant_scene
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.spike_in import SET, TUNED
from nereus.tools import registry

SCENES = {
    "plain": Difficulty(),
    "suppression": Difficulty(suppression=(0.3, 0.05)),
    "background": Difficulty(background=1.0, suppression=(0.3, 0.0)),
    "heavy background": Difficulty(background=1.5, tails=4.0, suppression=(0.3, 0.02)),
    "two-sided": Difficulty(background=1.5, one_sided=False),
    "a fifth changes": Difficulty(share=0.2, background=1.0, suppression=(0.5, 0.0)),
    "small effects": Difficulty(fold=(0.5, 1.5), background=0.7),
}


def exchanged(seed: int) -> np.ndarray:
    """Three of six samples that are not one of the two real groups."""
    rng = np.random.default_rng(seed)
    in_a = np.zeros(6, dtype=bool)
    n_first = 1 + seed % 2
    in_a[rng.choice(3, n_first, replace=False)] = True
    in_a[3 + rng.choice(3, 3 - n_first, replace=False)] = True
    return in_a


def product(scene: Scene) -> Outcome:
    """Abundance and detection findings at the stated level, as one question."""
    dataset = prepare(scene.dataset)
    contrast = {"factor": "group", "a": "a", "b": "b"}
    tests = registry.get("differential_abundance")(dataset, contrast=contrast, **OPTIONS).table()
    detection = registry.get("detection_test")(dataset, contrast=contrast).table()
    tables = {"abundance": tests, "detection": detection}
    findings = registry.get("run_wide_fdr")(tables, questions=dict.fromkeys(tables, "group")).table(
        "findings"
    )
    claims = registry.get("compose_claims")(
        findings,
        tests,
        detection,
        contrast="a vs b",
        abundance_family="abundance",
        detection_family="detection",
    ).table("claims")
    return Outcome(claims, [])


def scored(outcome: Outcome, scene: Scene) -> tuple[float, float]:
    """Recall and false discovery proportion."""
    sign = np.where(outcome.claims["direction"] == "up", 1.0, -1.0)
    right = [scene.effect.get(f, 0.0) * s > 0 for f, s in zip(outcome.claims["feature"], sign, strict=True)]
    return sum(right) / len(scene.effect), 1.0 - float(np.mean(right)) if right else 0.0


def bases(folder: Path) -> list[AnnData]:
    """The yeast proteins of the two tables that tuning may look at."""
    made = []
    for name in TUNED:
        read = load(
            folder / SET / f"{name}_prot.txt.gz", folder / SET / f"samples_{name}.txt", quantity="intensity"
        )
        made.append(read[:, [f for f in read.var_names if "ups" not in f.lower()]].copy())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seeds", nargs=2, type=int, default=[1000, 1010], metavar=("FIRST", "LAST"))
    options = parser.parse_args()
    start = time.perf_counter()
    tables = bases(data_folder(options.data))
    found: dict[str, dict[str, float]] = {}
    for name, difficulty in SCENES.items():
        rows = []
        for seed in range(*options.seeds):
            in_a = exchanged(seed)
            scene = plant_scene(tables[seed // 2 % len(tables)], in_a, difficulty, seed)
            naive = naive_arm(np.asarray(scene.dataset.X), list(scene.dataset.var_names), in_a, "a vs b")
            rows.append((*scored(product(scene), scene), *scored(naive, scene)))
        mean = np.mean(rows, axis=0)
        found[name] = {
            "recall": mean[0],
            "fdp": mean[1],
            "worst_fdp": max(row[1] for row in rows),
            "naive_recall": mean[2],
            "naive_fdp": mean[3],
        }
        print(name, {key: round(float(value), 3) for key, value in found[name].items()}, flush=True)
    path = store(
        f"composition_shift_{options.seeds[0]}_{options.seeds[1]}",
        {"claim": "composition shift", "seeds": list(range(*options.seeds)), "scenes": found},
        module="benchmarks.truth.composition_shift",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(path.name)


if __name__ == "__main__":
    main()
