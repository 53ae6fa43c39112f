"""ASGN: few labelled molecules of QM9, what each part gives, and whether choosing them beats drawing them.

    python -m benchmarks.methods.asgn --qm9 FOLDER [--device auto] [--scale small|middle|asked|cpu|hours|gpu]
        [--seeds 0 1 2] [--controls]

`--qm9` holds files ``<scaffold>.csv`` (``mol_id``, ``homo`` in Hartree) and ``<scaffold>.sdf`` (names are ``mol_id``), one pair
a scaffold, as Meta-MolNet has them (data/qm9; no licence file, so they are not shipped). Every arm sees the same pool, starting
labels and test molecules; test molecules are not in the pool. What the oracle is asked for is counted. All networks that learn
from labels alone, the supervised one too, have the same settings and end when the error of labels set aside no longer falls. Arms
that lack a part may train the others for longer, until as many molecules were read forwards and backwards as in the whole method.
Settings were chosen on another split (seed 100), of molecules that are in no test of seeds 0, 1 and 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import Chem, RDLogger
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from benchmarks.truth.results import store
from nereus.models.evaluation.baselines import fit_baseline
from nereus.models.molecules.asgn import ASGN, ASGNConfig
from nereus.models.molecules.asgn.structures import Structures

NAME = "methods/asgn"
SCAFFOLDS = ("c1cc[nH]c1", "C1=CCCC1", "c1cn[nH]c1", "C1OC2CC12", "c1ccoc1")
HARTREE = 27.211386245988
SMALL = {"width": 32, "layers": 3, "reach": 4.0, "gap": 0.2}
STEPS = {"batch_size": 64, "learning_rate": 3e-3}
SCALES: dict[str, dict[str, Any]] = {
    # molecules of the pool and of the test, labels at the start, after the rounds, and asked for in each; the network
    "small": {
        "pool": 250, "test": 200, "start": 60, "budget": 120, "batch": 30,
        "settings": {
            **SMALL, "clusters": 30,
            "training": {"epochs": 5, **STEPS},
            "student": {"epochs": 25, "batch_size": 32, "learning_rate": 3e-3, "patience": 12},
        },
    },
    "middle": {
        "pool": 500, "test": 400, "start": 150, "budget": 300, "batch": 75,
        "settings": {
            **SMALL, "clusters": 50,
            "training": {"epochs": 8, **STEPS},
            "student": {"epochs": 25, "batch_size": 32, "learning_rate": 3e-3, "patience": 20},
        },
    },
    "asked": {  # also called cpu
        "pool": 2500, "test": 1000, "start": 300, "budget": 500, "batch": 100,
        "settings": {
            **SMALL, "clusters": 100, "reconstruction_weight": 0.1, "cluster_weight": 0.1,
            "training": {"epochs": 8, **STEPS},
            "student": {"epochs": 200, "batch_size": 32, "learning_rate": 3e-3, "patience": 30, "average": 0.99},
        },
    },
    "hours": {
        "pool": 2800, "test": 1000, "start": 300, "budget": 500, "batch": 100,
        "settings": {
            "width": 32, "layers": 3, "reach": 10.0, "gap": 0.1, "clusters": 100,
            "training": {"epochs": 20, "batch_size": 64},
            "student": {"epochs": 150, "batch_size": 32, "patience": 20},
        },
    },
    "gpu": {
        "pool": 5869, "test": 1000, "start": 1000, "budget": 3000, "batch": 500,
        "settings": {
            "width": 96, "layers": 4, "reach": 30.0, "gap": 0.1, "clusters": 100,
            "training": {"epochs": 20, "batch_size": 64},
            "student": {"epochs": 300, "batch_size": 64, "patience": 20},
        },
    },
}  # fmt: skip
SCALES["cpu"] = SCALES["asked"]
ARMS: dict[str, dict[str, Any]] = {
    "asgn": {},
    "teacher_only": {"parts": "teacher"},
    "student_only": {"parts": "student"},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "random_choice": {"choice": "random"},
    "without_clusters": {"cluster_weight": 0.0},
    "without_reconstruction": {"reconstruction_weight": 0.0},
}
"""All start from the same random labels and choose by k-centre, but one control. `student_only` is the plain network."""


def rounds_of(scale: dict[str, Any]) -> int:
    """Rounds of choosing."""
    return int(-(-(scale["budget"] - scale["start"]) // scale["batch"]))


def passes(scale: dict[str, Any]) -> dict[str, float]:
    """What an epoch of each arm's parts costs, in molecules that are read forwards and backwards, over all rounds."""
    rounds = rounds_of(scale)
    labels = [
        min(scale["start"] + (number + 1) * scale["batch"], scale["budget"]) for number in range(rounds)
    ]
    default = ASGNConfig()
    judges = default.validation * scale["start"]
    pool = scale["pool"] / (1 - default.labelled_share)  # labelled ones are drawn in addition
    return {
        "teacher": rounds * pool,
        "teacher_only": (rounds + 1) * pool,  # once more, for what was measured last
        "student": sum(labels) - rounds * judges,
        "supervised": (1 - default.validation) * scale["budget"],
    }


def equal_budgets(scale: dict[str, Any], studied: int | None = None) -> dict[str, dict[str, Any]]:
    """Epochs of the arms that lack a part, so that all read as many molecules in training as the whole may.

    `studied` are the epochs that its students did before they stopped, in all rounds: then as many as it did read. It matters to
    the teacher alone, as the others stop by themselves.
    """
    cost, settings = passes(scale), scale["settings"]
    teacher = cost["teacher"] * settings["training"]["epochs"]
    whole = teacher + cost["student"] * settings["student"]["epochs"]
    read = whole if studied is None else teacher + cost["student"] * studied / rounds_of(scale)
    return {
        "teacher_only": {"training__epochs": round(read / cost["teacher_only"])},
        "student_only": {"student__epochs": round(whole / cost["student"])},
        "supervised": {"student__epochs": round(whole / cost["supervised"])},
    }


def read_qm9(folder: Path) -> tuple[list[Chem.Mol], np.ndarray]:
    """Molecules of H, C, N and O (fluorine is too rare to be in every pool) with their coordinates, and HOMO in eV."""
    molecules, values = [], []
    for scaffold in SCAFFOLDS:
        table = pd.read_csv(folder / f"{scaffold}.csv").set_index("mol_id")["homo"]
        for one in Chem.SDMolSupplier(str(folder / f"{scaffold}.sdf"), removeHs=False):
            elements = {atom.GetSymbol() for atom in one.GetAtoms()} if one is not None else {"?"}
            if elements <= set("HCNO") and one.GetProp("_Name") in table.index:
                molecules.append(one)
                values.append(float(table[one.GetProp("_Name")]) * HARTREE)
    return molecules, np.array(values)


def baselines(
    pool: list[Chem.Mol],
    test: list[Chem.Mol],
    structures: Structures,
    others: Structures,
    y: np.ndarray,
    z: np.ndarray,
    rows: np.ndarray,
) -> dict[str, float]:
    """Mean absolute errors of the first things that a careful analyst would try, from the labels of `rows`."""
    learn = y[rows]
    found = {"mean": np.full(len(z), learn.mean())}
    X, Z = structures.composition()[rows], others.composition()
    found["composition_ridge"] = Ridge(alpha=1e-2).fit(X, learn).predict(Z)
    names = [structures.names[row] for row in rows]
    found["morgan_ridge"] = fit_baseline("smiles", names, learn, others.names, classes=False)
    A, B = coulomb([pool[row] for row in rows]), coulomb(test)
    found["coulomb_kernel_ridge"] = kernel_ridge(A, learn, B)
    return {name: float(np.abs(said - z).mean()) for name, said in found.items()}


def coulomb(molecules: list[Chem.Mol], atoms: int = 29) -> np.ndarray:
    """Coulomb matrices, rows sorted by norm, flat: (molecules, atoms^2). Rupp et al., Phys. Rev. Lett. 2012, 108, 058301."""
    found = np.zeros((len(molecules), atoms, atoms))
    for row, one in enumerate(molecules):
        charge = np.array([atom.GetAtomicNum() for atom in one.GetAtoms()], dtype=float)
        apart = cdist(*[one.GetConformer().GetPositions()] * 2)
        np.fill_diagonal(apart, 1)
        matrix = np.outer(charge, charge) / apart
        np.fill_diagonal(matrix, 0.5 * charge**2.4)
        order = np.argsort(-np.linalg.norm(matrix, axis=1), kind="stable")
        found[row, : len(charge), : len(charge)] = matrix[np.ix_(order, order)]
    return found.reshape(len(molecules), -1)


def kernel_ridge(X: np.ndarray, y: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Laplacian kernel, width and penalty by five-fold cross-validation."""
    middle = 1 / np.median(cdist(X, X, "cityblock"))
    grid = {"alpha": [1e-6, 1e-4, 1e-2, 1e-1], "gamma": [middle * factor for factor in (0.1, 0.3, 1, 3)]}
    search = GridSearchCV(KernelRidge(kernel="laplacian"), grid, cv=5, scoring="neg_mean_absolute_error")
    return np.asarray(search.fit(X, y - y.mean()).predict(Z) + y.mean())


class Oracle:
    """Knows all values, tells those that it is asked for, and counts."""

    def __init__(self, y: np.ndarray) -> None:
        self.y, self.asked = y, 0

    def __call__(self, row: int) -> float:
        self.asked += 1
        return float(self.y[row])


def one_seed(
    molecules: list[Chem.Mol],
    values: np.ndarray,
    scale: dict[str, Any],
    seed: int,
    device: str,
    controls: bool,
) -> list[dict[str, Any]]:
    """All arms on one split."""
    order = np.random.default_rng(seed).permutation(len(molecules))
    test, pool = order[: scale["test"]], order[scale["test"] : scale["test"] + scale["pool"]]
    shared = {**scale["settings"], "random_state": seed, "device": device}
    reader = ASGN(**shared)
    inside, outside = [molecules[i] for i in pool], [molecules[i] for i in test]
    structures, others = reader.read(inside), reader.read(outside)
    y, z = values[pool], values[test]
    runs: list[dict[str, Any]] = []

    def tell(arm: str, model: ASGN, labels: int, started: float, **more: Any) -> None:
        error = float(np.abs(model.predict(others) - z).mean())
        more["epochs_done"] = len(model.history_.losses)
        seconds = round(time.perf_counter() - started, 1)
        runs.append({"seed": seed, "arm": arm, "labels": labels, "mae_ev": error, "seconds": seconds, **more})
        print(runs[-1], flush=True)

    start, budget = scale["start"], scale["budget"]
    known = np.where(np.arange(len(y)) < start, y, np.nan)  # the pool is in random order
    epochs = equal_budgets(scale)
    for n in (start, budget):
        found = baselines(inside, outside, structures, others, y, z, np.arange(n))
        runs += [{"seed": seed, "arm": name, "labels": n, "mae_ev": error} for name, error in found.items()]
    started = time.perf_counter()
    labels = np.where(np.arange(len(y)) < budget, y, np.nan)
    alone = {**shared, **epochs["supervised"], "parts": "student", "rounds": 1}
    tell("supervised", ASGN(**alone).fit(structures, labels), budget, started)
    for arm, settings in (ARMS | (CONTROLS if controls else {})).items():
        started, oracle = time.perf_counter(), Oracle(y)
        model = ASGN(**{**shared, **settings, **epochs.get(arm, {})}).fit_actively(
            structures, oracle, known, budget=budget, batch=scale["batch"]
        )
        radii = [(one["radius"], one["random_radius"]) for one in model.rounds_]
        more = {"asked": oracle.asked, "radius_over_random": [a / b for a, b in radii]}
        if arm == "asgn":
            usage = [one["cluster_usage"] for one in model.history_.losses if "cluster_usage" in one]
            more["cluster_usage"] = min(usage)
            studied = sum("student" in one for one in model.history_.losses)
            epochs["teacher_only"] = equal_budgets(scale, studied)["teacher_only"]
        tell(arm, model, budget, started, **more)
    return runs


def summary(runs: list[dict[str, Any]], scale: dict[str, Any]) -> dict[str, Any]:
    """Means by arm and number of labels, and what the acceptance asks for."""
    frame = pd.DataFrame(runs)
    table: dict[str, dict[str, Any]] = defaultdict(dict)
    for (arm, labels), part in frame.groupby(["arm", "labels"], sort=False):
        by_seed = part["mae_ev"].tolist()
        table[str(arm)][str(labels)] = {"mean": float(np.mean(by_seed)), "by_seed": by_seed}
    whole = str(scale["budget"])
    error = {arm: rows[whole]["mean"] for arm, rows in table.items()}
    radii = [one for row in runs if row["arm"] == "asgn" for one in row["radius_over_random"]]
    return {
        "mae_ev": dict(table),
        "over_supervised": {arm: error[arm] / error["supervised"] for arm in error if arm in ARMS | CONTROLS},
        "epochs_of_equal_cost": equal_budgets(scale),
        "over_coulomb_kernel_ridge": error["asgn"] / error["coulomb_kernel_ridge"],
        "radius_over_random": {"largest": max(radii), "mean": float(np.mean(radii))},
        "least_cluster_usage": min(row["cluster_usage"] for row in runs if row["arm"] == "asgn"),
        "acceptance": {
            "at_most_0.92_of_supervised": error["asgn"] <= 0.92 * error["supervised"],
            "below_kernel_ridge": error["asgn"] < error["coulomb_kernel_ridge"],
            "not_worse_than_teacher_only": error["asgn"] <= error["teacher_only"],
            "not_worse_than_student_only": error["asgn"] <= error["student_only"],
            "radius_below_random_in_every_round": max(radii) < 1,
            "cluster_usage_at_least_0.9": min(row["cluster_usage"] for row in runs if row["arm"] == "asgn")
            >= 0.9,
        },
    }


def main() -> None:
    """Run all arms on all seeds and store the result after each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--qm9", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--controls",
        action="store_true",
        help="also with molecules chosen at random, without clusters, without reconstruction",
    )
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)
    scale = SCALES[given.scale]
    molecules, values = read_qm9(given.qm9)
    started, processor = time.perf_counter(), time.process_time()
    runs: list[dict[str, Any]] = []
    for number, seed in enumerate(given.seeds, start=1):
        runs += one_seed(molecules, values, scale, seed, given.device, given.controls)
        packages = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit")
        content = {
            "seeds": given.seeds[:number],
            "scale": {"name": given.scale, **scale},
            "versions": {package: version(package) for package in packages},
            "data": f"{len(molecules)} molecules of QM9 (Ramakrishnan et al. 2014) on five scaffolds, of Meta-MolNet; HOMO",
            "processor_seconds": round(time.process_time() - processor, 1),
            "figures": summary(runs, scale),
            "runs": runs,
        }
        store(
            NAME,
            content,
            module="benchmarks.methods.asgn",
            arguments=sys.argv[1:],
            seconds=time.perf_counter() - started,
        )
    print(pd.Series(content["figures"]["acceptance"]).to_string())


if __name__ == "__main__":
    main()
