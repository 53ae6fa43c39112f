"""MBP on 50 complexes of PDBbind: turned, asked for one type alone, learned by heart, and in five folds.

    python -m benchmarks.methods.mbp_complexes --complexes FOLDER [--index FILE] [--device auto] [--scale cpu|gpu]

`--complexes` is the toy set of GIGN (guaguabujianle/GIGN, GIGN/data, MIT; complexes of PDBbind), `--index` an index of PDBbind
with the types of affinities. Fifty complexes cannot rank methods: the folds are told, not judged.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import Chem, RDLogger
from scipy.spatial.transform import Rotation
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from benchmarks.assays.held_out import settings
from benchmarks.methods.mbp import SCALES
from benchmarks.stored_parts import StoredParts
from nereus.errors import InputError
from nereus.models.evaluation.baselines import fingerprints
from nereus.models.evaluation.metrics import regression
from nereus.models.molecules.mbp import MBP, Complex
from nereus.models.molecules.mbp.complexes import pack_posed, read
from nereus.models.molecules.mbp.learning import AssayLearning
from nereus.models.molecules.mbp.measurements import measurements
from nereus.models.molecules.mbp.structures import read_poses


def plumbing(folder: Path, index: Path | None, scale: dict[str, Any], device: str) -> dict[str, Any]:
    """Graphs of 50 complexes: turned, asked for one type alone, and learned by heart."""
    known = pd.concat([pd.read_csv(folder / name) for name in ("toy_examples.csv", "train.csv", "valid.csv")])
    affinity = dict(zip(known["pdbid"], known["-logKd/Ki"], strict=True))
    types = {} if index is None else pdbbind_types(index)
    names = sorted(one.name for one in (folder / "toy_set").iterdir() if one.name in affinity)
    complexes, kept = [], []
    for name in names:
        place = folder / "toy_set" / name
        pocket = (place / f"{name}_pocket.pdb").read_text()
        for kind in ("sdf", "mol2"):
            one = Complex(ligand=(place / f"{name}_ligand.{kind}").read_text(), pocket=pocket)
            try:
                read(one, MBP().config)
            except InputError:
                continue
            complexes.append(one)
            kept.append(name)
            break
    y = np.array([affinity[name] for name in kept])
    kinds = [types.get(name, "Ki" if number % 2 else "IC50") for number, name in enumerate(kept)]
    model = MBP(**{**settings(scale, "posed", device, 0), "training__epochs": 2}, ranking_weight=0.0)
    started = time.perf_counter()
    model.fit(complexes, y, types=kinds, assays=["all"] * len(y))
    learned = time.perf_counter() - started
    turned = [
        [
            one.moved(Rotation.random(random_state=number).as_matrix(), np.array([30.0, -20.0, 10.0]))
            for one in read(each, model.config)
        ]
        for number, each in enumerate(complexes)
    ]
    packed = pack_posed(turned, np.zeros(len(turned)), model.config)
    with torch.no_grad():
        z = model.network_.readouts(packed.batch(packed.first, model.device))
        differences = [
            float(np.abs(model.network_.heads[name].value(z[name]).cpu().numpy() + mean - plain).max())
            for (name, mean), plain in zip(
                model.centres_.items(), model._answers(model._readouts(complexes)).values(), strict=True
            )
        ]
    heart = MBP(
        **{**settings(scale, "overfit", device, 0), "training__learning_rate": 5e-3},
        dropout=0.0, ranking_weight=0.0, regression_weight=1.0,
    )  # fmt: skip
    started, processor = time.perf_counter(), time.process_time()
    heart.fit(complexes[:32], y[:32], types=kinds[:32], assays=["all"] * 32)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    found = regression(y[:32], heart.predict(complexes[:32], types=kinds[:32])).values
    return {
        "complexes": len(complexes),
        "types": dict(pd.Series(kinds).value_counts()) if types else "made up",
        "largest_difference_when_turned": max(differences),
        "allowed_difference": 1e-4,
        "gradient_of_other_head": other_gradient(model, complexes, y, kinds),
        "two_epochs_seconds": learned,
        "overfit": {
            "complexes": 32,
            "rmse": found["rmse"],
            "wanted": 0.3,
            "seconds": seconds,
            "processor_seconds": processor,
        },
        "five_folds": five_folds(complexes, y, kinds, scale, device),
    }


def five_folds(
    complexes: list[Complex], y: np.ndarray, kinds: list[str], scale: dict[str, Any], device: str
) -> dict[str, Any]:
    """Errors on complexes that were not learned from, beside the mean and ridge on fingerprints of the ligands."""
    bits = fingerprints([Chem.MolToSmiles(read_poses(str(one.ligand))[0]) for one in complexes])
    said = {name: np.zeros(len(y)) for name in ("mbp", "mean", "ridge")}
    for learn, judge in KFold(5, shuffle=True, random_state=0).split(y):
        model = MBP(
            **settings(scale, "posed", device, 0), ranking_weight=0.0, regression_weight=1.0, heads="one"
        )
        model.fit([complexes[i] for i in learn], y[learn], assays=["all"] * len(learn))
        said["mbp"][judge] = model.predict([complexes[i] for i in judge])
        said["mean"][judge] = y[learn].mean()
        said["ridge"][judge] = Ridge(alpha=10.0).fit(bits[learn], y[learn]).predict(bits[judge])
    return {name: dict(regression(y, found).values) for name, found in said.items()}


def pdbbind_types(index: Path) -> dict[str, str]:
    """Type of each entry of an index of PDBbind."""
    found = {}
    for line in index.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and (named := re.search(r"\b(Ki|Kd|IC50)[=<>~]", line)):
            found[line.split()[0]] = named.group(1)
    return found


def other_gradient(model: MBP, complexes: list[Complex], y: np.ndarray, kinds: list[str]) -> float:
    """Largest gradient in the head K that measurements of type IC50 leave."""
    rows = [number for number, kind in enumerate(kinds) if kind == "IC50"][:8]
    config = model.config.model_copy(update={"ranking_weight": 1.0})
    chosen = [complexes[row] for row in rows]
    known = measurements(
        y[rows],
        config,
        targets=[""] * len(rows),
        types=["IC50"] * len(rows),
        assays=["all"] * len(rows),
    )
    packed = pack_posed([read(one, model.config) for one in chosen], np.zeros(len(rows)), model.config)
    objective = AssayLearning(
        model.network_, packed, known, np.zeros(2), np.arange(len(rows)), np.arange(0), config,
        config.training, compare=True,
    )  # fmt: skip
    model.network_.train()
    model.network_.zero_grad()
    batch = next(iter(objective.batches(np.random.default_rng(0))))
    objective.losses(batch)["total"].backward()
    model.network_.eval()
    return max(
        0.0 if one.grad is None else float(one.grad.abs().max())
        for one in model.network_.heads["K"].parameters()
    )


def main() -> None:
    """Run it and store the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--complexes", type=Path, required=True)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    scale = SCALES[given.scale]
    stored = StoredParts(
        "mbp_complexes",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit", "biopython"),
        "toy set of GIGN (MIT; terms of PDBbind)",
    )
    with stored.timed("complexes"):
        stored.figures |= plumbing(given.complexes, given.index, scale, given.device)
    stored.write([0])
    print(json.dumps(stored.figures, indent=1, default=float))


if __name__ == "__main__":
    main()
