"""MGSSL: motifs of ZINC, the generator on molecules that it did not see, the weights, and what pre-training gives to few labels.

    python -m benchmarks.methods.mgssl --zinc FOLDER [--data FOLDER] [--device auto] [--scale cpu|gpu] [--part NAME ...]

`--zinc` holds ``valid.txt`` and ``test.txt`` (icml18-jtnn, data/zinc, MIT), `--data` the folder of the public data sets with
``moleculenet`` in it (by default NEREUS_DATA). Parts that are not named keep what the stored result holds of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import Chem, RDLogger
from scipy.optimize import minimize
from sklearn.ensemble import RandomForestClassifier

from benchmarks.stored_parts import StoredParts
from benchmarks.truth.results import data_folder
from nereus.models.evaluation.baselines import fingerprints
from nereus.models.evaluation.metrics import classification
from nereus.models.evaluation.splits import scaffold_split
from nereus.models.molecules.graphs.read import problems
from nereus.models.molecules.mgssl import MGSSL
from nereus.models.molecules.mgssl.motifs import cut_bonds, identities, motif_tree, remainders
from nereus.models.molecules.mgssl.weighting import min_norm_weights

SEEDS = (0, 1, 2)
SCALES = {
    # width, layers, molecules and epochs of pre-training, epochs of fine-tuning, labelled molecules (None: all)
    "cpu": {"width": 64, "layers": 3, "molecules": 2000, "epochs": 3, "finetuning": 10, "labelled": 200},
    "gpu": {"width": 300, "layers": 5, "molecules": 24_445, "epochs": 10, "finetuning": 30, "labelled": None},
}
SETS = {
    "bace": ("bace_train.csv", None),
    "sider": ("sider.csv.gz", None),
    "tox21": ("tox21.csv.gz", None),
}
REFERENCE = {
    # Counted by an independent implementation on the same molecules; texts of motifs not made canonical.
    "brics": {"distinct": 1421, "per_molecule": 5.3, "seen_once": 968},
    "both": {"distinct": 537, "per_molecule": 9.9, "seen_once": 298, "top_100_cover": 0.96},
}
ARMS: dict[str, dict[str, Any]] = {
    "scratch": {"tasks": "none"},
    "masked_atoms": {"tasks": "atoms"},
    "mgssl_dfs": {"tasks": "all", "order": "dfs"},
}


def lines(file: Path, n: int) -> list[str]:
    """The first `n` SMILES of a file."""
    return [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines()[:n]]


def fragmentation(zinc: Path) -> dict[str, Any]:
    """Counts of motifs over 2,000 molecules; for the reference without canonical texts and without the fall-back to rings."""
    molecules = [Chem.MolFromSmiles(one) for one in lines(zinc / "test.txt", 2000)]
    found: dict[str, Any] = {"molecules": len(molecules)}
    for rules in ("brics", "both"):
        plain: Counter[str] = Counter()
        for one in molecules:
            parts, _ = remainders(one, cut_bonds(one, rules))  # type: ignore[arg-type]
            plain.update(identities(one, parts, canonical=False))
        started = time.perf_counter()
        trees = [motif_tree(one, rules) for one in molecules]  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
        whole = [
            sorted(atom for motif in tree.atoms for atom in motif) == list(range(one.GetNumAtoms()))
            for one, tree in zip(molecules, trees, strict=True)
        ]
        linked = [
            tree.parents[0] == -1 and all(0 <= p < i for i, p in enumerate(tree.parents) if i)
            for tree in trees
        ]
        found[rules] = {
            "plain": _counts(plain, len(molecules)),
            "reference": REFERENCE[rules],
            "canonical": _counts(Counter(one for tree in trees for one in tree.smiles), len(molecules)),
            "fell_back": sum(len(cut_bonds(one, rules)) <= 1 for one in molecules),  # type: ignore[arg-type]
            "share_partitions": float(np.mean(whole)),
            "share_trees": float(np.mean(linked)),
            "molecules_per_second": len(molecules) / seconds,
        }
    return found


def _counts(motifs: Counter[str], molecules: int) -> dict[str, float]:
    total = sum(motifs.values())
    return {
        "distinct": len(motifs),
        "per_molecule": total / molecules,
        "seen_once": sum(count == 1 for count in motifs.values()),
        "top_100_cover": sum(count for _, count in motifs.most_common(100)) / total,
    }


def generation(zinc: Path, scale: dict[str, Any], device: str) -> dict[str, Any]:
    """Motifs and topology of 1,000 molecules that were not trained on, after two epochs on 5,000."""
    learned, judged = lines(zinc / "valid.txt", 5000), lines(zinc / "test.txt", 1000)
    found = []
    for order in ("dfs", "bfs"):
        for seed in SEEDS:
            started = time.perf_counter()
            model = MGSSL(
                width=scale["width"],
                layers=scale["layers"],
                order=order,
                tasks="motifs",
                random_state=seed,
                device=device,
                training__epochs=2,
            ).fit(learned)
            row = {"order": order, "seed": seed, "seconds": time.perf_counter() - started}
            found.append({**row, "vocabulary": len(model.vocabulary_), **model.motif_accuracy(judged)})
            print(found[-1], flush=True)
    frame = pd.DataFrame(found)
    means = frame.groupby("order")[["motif", "motif_majority", "topology", "topology_majority"]].mean()
    gains = frame.assign(gain=100 * (frame["motif"] - frame["motif_majority"])).groupby("order")["gain"]
    return {
        "runs": found,
        "mean": means.to_dict("index"),
        "motif_gain_points": gains.mean().to_dict(),
        "least_motif_gain_points": gains.min().to_dict(),
    }


def weights() -> dict[str, Any]:
    """Frank-Wolfe beside a quadratic program, for three gradients each."""
    worst, cases = 0.0, 200
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(3, 4)) * 10 ** rng.uniform(-1, 1, size=(3, 1))
        G = vectors @ vectors.T
        scaled = G / np.trace(G)

        def length(w: np.ndarray, G: np.ndarray = scaled) -> tuple[float, np.ndarray]:
            return float(w @ G @ w), 2 * G @ w

        exact = minimize(
            length, np.full(3, 1 / 3), jac=True, bounds=[(0, 1)] * 3, method="SLSQP",
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(3)},
            options={"ftol": 1e-16, "maxiter": 1000},
        )  # fmt: skip
        worst = max(worst, float(np.abs(min_norm_weights(G) - exact.x).max()))
    return {"cases": cases, "largest_difference": worst, "allowed": 1e-3}


def transfer(zinc: Path, moleculenet: Path, scale: dict[str, Any], device: str) -> dict[str, Any]:
    """Mean AUC over tasks on held-out scaffolds: pre-trained, from scratch, hidden atoms alone, Morgan + forest."""
    corpus = lines(zinc / "valid.txt", scale["molecules"])
    shape = {"width": scale["width"], "layers": scale["layers"], "device": device}
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as kept:
        for seed in SEEDS:
            for arm, settings in ARMS.items():
                if arm != "scratch":
                    started = time.perf_counter()
                    model = MGSSL(**shape, **settings, random_state=seed, training__epochs=scale["epochs"])
                    model.fit(corpus).save(Path(kept) / f"{arm}{seed}")
                    print(f"{arm} {seed}: {time.perf_counter() - started:.0f} s", flush=True)
        for name in SETS:
            smiles, labels = read_set(moleculenet, name)
            for seed in SEEDS:
                # Scaffolds are dealt out by seed: of the shared BACE file, the rarest scaffolds are all inactive.
                split = scaffold_split(smiles, seed=seed)
                train = split.train
                if scale["labelled"] is not None:
                    train = np.sort(
                        np.random.default_rng(seed).choice(train, scale["labelled"], replace=False)
                    )
                learn, judge = [smiles[i] for i in train], [smiles[i] for i in split.test]
                for arm, settings in ARMS.items():
                    start = {} if arm == "scratch" else {"pretrained": str(Path(kept) / f"{arm}{seed}")}
                    options = {"finetuning__epochs": scale["finetuning"], "random_state": seed}
                    model = MGSSL(**shape, **settings, **options, **start).fit(learn, labels[train])
                    p = model.predict_proba(judge)
                    p = p[:, 1:] if labels.shape[1] == 1 else p
                    runs.append({"set": name, "seed": seed, "arm": arm, **mean_auc(labels[split.test], p)})
                p = forest(learn, labels[train], judge, seed)
                runs.append(
                    {"set": name, "seed": seed, "arm": "morgan_forest", **mean_auc(labels[split.test], p)}
                )
                print(pd.DataFrame(runs[-len(ARMS) - 1 :]).to_string(index=False), flush=True)
    frame = pd.DataFrame(runs)
    table = 100 * frame.pivot_table(index="arm", columns="set", values="auroc")
    table["mean"] = table.mean(axis=1)
    by_seed = 100 * frame.pivot_table(index="seed", columns="arm", values="auroc")
    gains = {
        f"{arm}_over_{other}": {
            "points": float((by_seed[arm] - by_seed[other]).mean()),
            "by_seed": (by_seed[arm] - by_seed[other]).tolist(),
        }
        for arm in ARMS
        if arm.startswith("mgssl")
        for other in ("scratch", "masked_atoms", "morgan_forest")
    }
    setting = {key: scale[key] for key in ("molecules", "epochs", "finetuning", "labelled")}
    return {"setting": setting, "auroc_percent": table.to_dict("index"), "gains": gains, "runs": runs}


def read_set(folder: Path, name: str) -> tuple[list[str], np.ndarray]:
    """SMILES and labels (1, 0, NaN) of a set; rows that RDKit cannot read are left out."""
    table = pd.read_csv(folder / SETS[name][0])
    column = next(one for one in ("smiles", "mol", "SMILES") if one in table.columns)
    if name == "bace":
        tasks = [next(one for one in ("Class", "class", "label") if one in table.columns)]
    else:
        tasks = [
            one for one in table.columns if one not in (column, "mol_id") and table[one].dtype.kind in "if"
        ]
    bad = problems(table[column].tolist())
    table = table.drop(index=table.index[list(bad)])
    return table[column].tolist(), table[tasks].to_numpy(float)


def mean_auc(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """Mean over tasks whose AUC is defined on these rows, and the number of them."""
    found = [classification(a, b).values["auroc"] for a, b in zip(y.T, p.T, strict=True)]
    known = [one for one in found if one is not None]
    return {"auroc": float(np.mean(known)), "tasks": len(known), "undefined": len(found) - len(known)}


def forest(learn: list[str], y: np.ndarray, judge: list[str], seed: int) -> np.ndarray:
    """Random forests on Morgan fingerprints, one a task; the only class of a task where training knows one, (n, tasks)."""
    X, Z = fingerprints(learn), fingerprints(judge)
    columns = []
    for task in y.T:
        known = np.isfinite(task)
        if len(np.unique(task[known])) < 2:
            columns.append(np.full(len(judge), task[known].mean() if known.any() else 0.5))
            continue
        model = RandomForestClassifier(100, random_state=seed, n_jobs=1).fit(X[known], task[known])
        columns.append(model.predict_proba(Z)[:, 1])
    return np.column_stack(columns)


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zinc", type=Path, required=True)
    parser.add_argument("--data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parts = ("fragmentation", "generation", "weights", "transfer")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    scale = SCALES[given.scale]
    stored = StoredParts(
        "mgssl",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit"),
        "ZINC subset of icml18-jtnn (MIT); BACE, SIDER, Tox21 of MoleculeNet through deepchem (MIT)",
    ).read()
    figures = stored.figures
    for part in given.part:
        with stored.timed(part):
            if part == "fragmentation":
                figures[part] = fragmentation(given.zinc)
            elif part == "generation":
                figures[part] = generation(given.zinc, scale, given.device)
            elif part == "weights":
                figures[part] = weights()
            else:
                folder = data_folder(given.data) / "moleculenet"
                figures[part] = transfer(given.zinc, folder, scale, given.device)
        stored.write(SEEDS)
    print(json.dumps(figures, indent=1, default=float)[:6000])


if __name__ == "__main__":
    main()
