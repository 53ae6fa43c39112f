"""UTGDiff: at which temperature drawn graphs are molecules, chosen on some instructions and judged on others.

    python -m benchmarks.methods.utgdiff_temperature [--data FOLDER] [--device auto] [--scale cpu|gpu] [--seeds N ...]

Data, instructions and network are those of part ``facts`` of `benchmarks.methods.utgdiff`; it learns for some four minutes of one
core. Of the temperatures the one is chosen that gives the highest similarity over all answers, where what is no molecule counts
as zero; the molecules that judge have taught nothing and have chosen nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import RDLogger

from benchmarks.methods.utgdiff import SCALES as FACTS
from benchmarks.methods.utgdiff import facts, judged, small_molecules
from benchmarks.stored_parts import StoredParts
from benchmarks.truth.results import data_folder
from nereus.models.evaluation.generation import diversity
from nereus.models.molecules.utgdiff import UTGDiff
from nereus.models.training import Session

SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "learned": 10_000, "chose": 60, "judged": 120, "epochs": 4, "temperatures": [0.3, 0.5, 0.7, 1.0],
        "settings": FACTS["cpu"]["settings"],
    },
    "gpu": {
        "learned": 18_000, "chose": 500, "judged": 1_000, "epochs": 60, "temperatures": [0.3, 0.5, 0.7, 1.0],
        "settings": FACTS["gpu"]["settings"],
    },
}  # fmt: skip


def one_seed(
    folder: Path, scale: dict[str, Any], device: str, seed: int, checkpoints: Path | None
) -> dict[str, Any]:
    """Train once, choose a temperature, and judge it."""
    molecules = small_molecules(folder)
    order = np.random.default_rng(seed).permutation(len(molecules))
    ends = np.cumsum([scale["learned"], scale["judged"], scale["chose"]])
    learned, asked, choosing = (
        [molecules[i] for i in part] for part in np.split(order[: ends[-1]], ends[:-1])
    )
    started = time.process_time()
    settings = {**scale["settings"], "device": device, "training__epochs": scale["epochs"]}
    model = UTGDiff(random_state=seed, **settings).fit(
        [facts(one) for one in learned],
        learned,
        session=Session(checkpoints=None if checkpoints is None else checkpoints / str(seed)),
    )
    seconds = time.process_time() - started
    tried = []
    for temperature in scale["temperatures"]:
        made = model.generate([facts(one) for one in choosing], temperature=temperature)
        tried.append({"temperature": temperature, **judged(made, choosing)})
        print(tried[-1], flush=True)
    chosen = max(tried, key=lambda one: one["maccs_of_all"])
    wanted, temperature = [facts(one) for one in asked], chosen["temperature"]
    made = model.generate(wanted, temperature=temperature)
    found = judged(made, asked)
    shuffled = judged(model.generate([*wanted[1:], wanted[0]], temperature=temperature), asked)
    found |= {
        "maccs_shuffled": shuffled["maccs"],
        "maccs_gain": found["maccs"] - shuffled["maccs"],
        "unique": diversity([one.smiles for one in made], learned)["unique"],
    }
    loss = model.history_.losses[-1]["total"]
    return {
        "seed": seed, "training_processor_seconds": round(seconds, 1), "loss": loss, "tried": tried,
        "chosen": chosen, "judged": found,
    }  # fmt: skip


def main() -> None:
    """Run the seeds that are named, and store them with those that are known at equal scale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument(
        "--checkpoints", type=Path, help="folder from which a training goes on that was ended"
    )
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    folder, scale = data_folder(given.data), SCALES[given.scale]
    stored = StoredParts(
        "utgdiff_temperature",
        {"name": given.scale, **scale},
        ("numpy", "pandas", "torch", "transformers", "tokenizers", "rdkit"),
        "QM8 of chemprop (MIT)",
    ).read(where={"name": given.scale, **scale})
    for seed in given.seeds:
        runs = [one for one in stored.figures.get("runs", []) if one["seed"] != seed]
        with stored.timed(f"seed {seed}"):
            runs.append(one_seed(folder, scale, given.device, seed, given.checkpoints))
        stored.figures = {
            "chosen": {"temperature": float(np.mean([one["chosen"]["temperature"] for one in runs]))},
            "judged": pd.DataFrame([one["judged"] for one in runs]).mean().to_dict(),
            "runs": runs,
        }
        stored.write([one["seed"] for one in runs])
        print(json.dumps(stored.figures["judged"], indent=1), flush=True)


if __name__ == "__main__":
    main()
