"""ASGN on pools of the size that was asked for: how evenly clusters are used, and energies beside composition.

    python -m benchmarks.methods.asgn_pool --qm9 FOLDER --gdb FOLDER [--device auto] [--scale cpu|gpu] [--part NAME ...]

`--qm9`: see `benchmarks.methods.asgn`. `--gdb` holds gdb1k.sdf and gdb1k.sdf.csv of deepchem (datasets, MIT): 991
molecules with energies in kcal/mol. Total energies are almost composition: every arm learns what ridge regression on counts of
elements leaves. Parts that are not named keep their stored figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import Chem, RDLogger
from sklearn.linear_model import Ridge

from benchmarks.methods.asgn import read_qm9
from benchmarks.stored_parts import StoredParts
from nereus.models.molecules.asgn import ASGN
from nereus.models.training import Session

SEED = 0
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "clusters": {"pool": 2800, "labels": 300, "epochs": 20},
        "smoke": {"labels": 500, "teacher": 10, "student": 60},
        "settings": {"width": 32, "layers": 3, "clusters": 100, "training__batch_size": 64,
                     "training__learning_rate": 3e-3, "student__batch_size": 32, "student__learning_rate": 3e-3,
                     "student__patience": 20, "reach": 5.0, "gap": 0.2},
    },
    "gpu": {
        "clusters": {"pool": 5800, "labels": 1000, "epochs": 100},
        "smoke": {"labels": 500, "teacher": 100, "student": 500},
        "settings": {"width": 96, "layers": 4, "clusters": 100, "training__batch_size": 64,
                     "student__batch_size": 64, "student__patience": 50, "reach": 30.0, "gap": 0.1},
    },
}  # fmt: skip


def clusters(folder: Path, scale: dict[str, Any], device: str, session: Session) -> dict[str, Any]:
    """The teacher alone on a pool of QM9: entropy of the clusters' usage, epoch by epoch."""
    setting = scale["clusters"]
    molecules, values = read_qm9(folder)
    pool = np.random.default_rng(SEED).permutation(len(molecules))[: setting["pool"]]
    y = np.where(np.arange(len(pool)) < setting["labels"], values[pool], np.nan)
    model = ASGN(
        **{**scale["settings"], "training__epochs": setting["epochs"]},
        rounds=1, parts="teacher", random_state=SEED, device=device,
    ).fit([molecules[i] for i in pool], y, session=session)  # fmt: skip
    usage = [one["cluster_usage"] for one in model.history_.losses if "cluster_usage" in one]
    return {
        "molecules": len(pool),
        "clusters": scale["settings"]["clusters"],
        "least_usage": min(usage),
        "usage": usage,
    }


def read_gdb(folder: Path) -> tuple[list[Chem.Mol], np.ndarray]:
    """Molecules with coordinates, and energies, kcal/mol. The table holds those that RDKit does not refuse, in their order."""
    supplier = Chem.SDMolSupplier(str(folder / "gdb1k.sdf"), removeHs=False)
    molecules = [one for one in supplier if one is not None]
    energies = pd.read_csv(folder / "gdb1k.sdf.csv").select_dtypes("number").iloc[:, -1].to_numpy(float)
    if len(molecules) != len(energies):
        raise SystemExit(f"{folder}: {len(molecules)} molecules, {len(energies)} energies")
    return molecules, energies


def smoke(folder: Path, scale: dict[str, Any], device: str, session: Session) -> dict[str, Any]:
    """Mean absolute errors, kcal/mol, of the molecules that no label was given for."""
    setting = scale["smoke"]
    molecules, energies = read_gdb(folder)
    order = np.random.default_rng(SEED).permutation(len(molecules))
    labels = setting["labels"]
    learn, judge = order[:labels], order[labels:]
    shared = {
        **scale["settings"], "reference": "composition", "readout": "sum", "random_state": SEED, "device": device,
        "training__epochs": setting["teacher"], "student__epochs": setting["student"], "clusters": 30,
    }  # fmt: skip
    structures = ASGN(**shared).read(molecules)
    kept = np.isin(structures.rows, judge)
    composition, y = structures.composition(), energies[structures.rows]
    known = np.where(np.isin(np.arange(len(molecules)), learn), energies, np.nan)
    ridge = Ridge(alpha=1e-2).fit(composition[~kept], y[~kept])
    found = {
        "mean": float(np.abs(y[kept] - y[~kept].mean()).mean()),
        "composition_ridge": float(np.abs(ridge.predict(composition[kept]) - y[kept]).mean()),
    }
    for name, settings in (("asgn", {}), ("supervised", {"parts": "student", "rounds": 1})):
        model = ASGN(**{**shared, **settings}).fit(structures, known, session=session.stage(name))
        found[name] = float(np.abs(model.predict(structures)[kept] - y[kept]).mean())
    return {"molecules": len(molecules), "labels": labels, "judged": int(kept.sum()), **found}


def main() -> None:
    """Run the parts that are named, and store them with what is known of the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--qm9", type=Path, required=True)
    parser.add_argument("--gdb", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--part", nargs="+", choices=("clusters", "smoke"), default=["clusters", "smoke"])
    parser.add_argument(
        "--checkpoints", type=Path, help="folder from which a training goes on that was ended"
    )
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)
    scale = SCALES[given.scale]
    stored = StoredParts(
        "asgn_pool",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit"),
        "QM9 (Ramakrishnan et al. 2014) on five scaffolds, of Meta-MolNet; 991 molecules of GDB in deepchem (MIT)",
    ).read(where={"name": given.scale, "settings": scale["settings"]})
    for part in given.part:
        session = Session(checkpoints=None if given.checkpoints is None else given.checkpoints / part)
        with stored.timed(part):
            stored.figures[part] = (
                clusters(given.qm9, scale, given.device, session)
                if part == "clusters"
                else smoke(given.gdb, scale, given.device, session)
            )
        stored.write([SEED])
        print(json.dumps(pd.Series(stored.figures[part]).to_dict(), indent=1, default=float), flush=True)


if __name__ == "__main__":
    main()
