"""UniMatch: assays of Tox21 and SIDER from ten actives and ten inactives, beside its controls and simple models.

    python -m benchmarks.methods.unimatch [--data FOLDER] [--device auto] [--scale cpu|gpu] [--seeds 0 1 2]
        [--workers 1] [--again]

`--data` is the folder of the public data sets with ``moleculenet`` in it (by default NEREUS_DATA). Tasks are split as PAR does
(Wang et al., NeurIPS 2021): Tox21 nine to learn from and three to answer, SIDER twenty-one and six. Every model answers the
same draws: for each test task and seed ten supports, queries are all other molecules with a label. Settings are the
method's defaults, but for eight times as many meta-batches; they were chosen on tasks to learn from, of which some were
held out. `disjoint` learns from half of the molecules and is asked about the other half, since in both sets the molecules
of a test task carry labels of training tasks too; simple models beside it answer the same half. Runs that the stored result
holds at equal scale are kept; `--again` runs them anew, `--workers` several side by side, each on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import RDLogger
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.truth.results import RESULTS, commit, data_folder, store
from nereus.models.evaluation.baselines import fingerprints
from nereus.models.molecules.graphs.read import problems
from nereus.models.molecules.unimatch import UniMatch
from nereus.models.molecules.unimatch.episodes import one_hot

NAME = "methods/unimatch"
DRAWS, SHOTS = 10, 10
SETS = {"tox21": ("tox21.csv.gz", 9), "sider": ("sider.csv.gz", 21)}
"""File, and the number of tasks to learn from; the others are asked about."""
STEPS = {"batch_size": 1, "learning_rate": 1e-3, "weight_decay": 5e-5, "clip_norm": 1.0, "average": 0.98}
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {"width": 64, "layers": 3, "tasks": 3, "episodes": 30, "training": {"epochs": 240, **STEPS}},
    "gpu": {
        "width": 300, "layers": 5, "dropout": 0.5, "tasks": 9, "episodes": 10, "training": {"epochs": 200, **STEPS},
    },
}  # fmt: skip
ARMS: dict[str, dict[str, Any]] = {
    "unimatch": {},
    "disjoint": {},
    "random_encoder": {"encoder": "frozen"},
    "last_layer": {"levels": "last"},
    "no_inner_loop": {"task_matching": "none"},
    "task_relation": {"task_matching": "relation"},
}
SIMPLE = ("logistic_regression", "random_forest", "nearest_neighbours", "prototypes")
APART = ("disjoint", "logistic_regression_disjoint", "nearest_neighbours_disjoint")
"""Those that are asked about molecules of which `disjoint` has not learned."""
COLUMNS = (*ARMS, *SIMPLE, *APART[1:])
Draw = tuple[int, np.ndarray, np.ndarray]
"""A test task, the rows of its support, and those of its queries."""


def read_set(folder: Path, name: str) -> tuple[list[str], np.ndarray]:
    """SMILES and labels (1, 0, NaN), (molecules, tasks); rows that RDKit cannot read and repeated SMILES are left out."""
    table = pd.read_csv(folder / SETS[name][0])
    table = table.drop(index=table.index[list(problems(table["smiles"].tolist()))])
    table = table.drop_duplicates("smiles")
    tasks = [one for one in table.columns if one not in ("smiles", "mol_id")]
    return table["smiles"].tolist(), table[tasks].to_numpy(float)


def draws(labels: np.ndarray, first_test: int, seed: int, among: np.ndarray) -> list[Draw]:
    """Supports and queries of all test tasks, from the rows `among`."""
    found = []
    for task in range(first_test, labels.shape[1]):
        for number in range(DRAWS):
            rng = np.random.default_rng([seed, task, number])
            support = [rng.permutation(among[labels[among, task] == label])[:SHOTS] for label in (1, 0)]
            rows = np.concatenate(support)
            known = among[np.isfinite(labels[among, task])]
            found.append((task, rows, np.setdiff1d(known, rows)))
    return found


def judged(
    labels: np.ndarray, asked: list[Draw], answer: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
) -> dict[str, Any]:
    """AUROC of every draw; the mean over draws of a task, then over tasks."""
    by_task: dict[int, list[float]] = {}
    for task, support, queries in asked:
        found = roc_auc_score(labels[queries, task], answer(task, support, queries))
        by_task.setdefault(task, []).append(float(found))
    means = [float(np.mean(one)) for one in by_task.values()]
    spread = float(np.mean([np.std(one, ddof=1) for one in by_task.values()]))
    return {"auroc": float(np.mean(means)), "by_task": means, "sd_of_draws": spread}


def of_model(model: UniMatch, smiles: list[str], labels: np.ndarray, asked: list[Draw]) -> dict[str, Any]:
    """A meta-trained network on all draws. Molecules are encoded once; each support is adapted to by itself."""
    levels = model.network_.levels
    flat = torch.as_tensor(model.embed(smiles), device=model.device)
    vectors = flat.view(len(smiles), levels, -1).transpose(0, 1)

    def answer(task: int, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        known = one_hot(labels[support, task], model.device)
        w = model.network_.adapt(vectors[:, support], known)
        with torch.no_grad():
            logits = model.network_.answer(w, vectors[:, queries], vectors[:, support], known)
        return np.asarray(logits.softmax(1)[:, 1].cpu())

    return judged(labels, asked, answer)


def simple_models(labels: np.ndarray, X: np.ndarray, seed: int) -> dict[str, Callable[..., np.ndarray]]:
    """What a careful analyst would try first on ten and ten, all on Morgan fingerprints."""
    bits = X.sum(1)

    def linear(task: int, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        model = LogisticRegression(max_iter=2000).fit(X[support], labels[support, task])
        return np.asarray(model.decision_function(X[queries]))

    def forest(task: int, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        model = RandomForestClassifier(100, random_state=seed, n_jobs=1)
        return np.asarray(model.fit(X[support], labels[support, task]).predict_proba(X[queries])[:, 1])

    def tanimoto(task: int, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        shared = X[queries] @ X[support].T
        alike = shared / np.maximum(bits[queries][:, None] + bits[support] - shared, 1)
        y = labels[support, task]
        return np.asarray((alike @ y) / np.maximum(alike.sum(1), 1e-9))

    def prototype(task: int, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        y = labels[support, task]
        active, inactive = X[support[y == 1]].mean(0), X[support[y == 0]].mean(0)
        # Squared distance to the inactive one minus that to the active one.
        return np.asarray(2 * X[queries] @ (active - inactive) + inactive @ inactive - active @ active)

    return {
        "logistic_regression": linear,
        "random_forest": forest,
        "nearest_neighbours": tanimoto,
        "prototypes": prototype,
    }


def one_run(
    arm: str,
    smiles: list[str],
    labels: np.ndarray,
    first_test: int,
    seed: int,
    scale: dict[str, Any],
    device: str,
) -> dict[str, Any]:
    """Meta-train one arm on one seed, and ask it."""
    everything = np.arange(len(smiles))
    learn, ask = everything, everything
    if arm == "disjoint":
        learn, ask = np.array_split(np.random.default_rng([seed, 1]).permutation(everything), 2)
    model = UniMatch(**{**scale, **ARMS[arm]}, random_state=seed, device=device)
    started, processor = time.perf_counter(), time.process_time()
    model.meta_fit([smiles[i] for i in learn], labels[learn, :first_test])
    seconds, cpu = time.perf_counter() - started, time.process_time() - processor
    found = of_model(model, smiles, labels, draws(labels, first_test, seed, np.sort(ask)))
    return {**found, "training_seconds": round(seconds, 1), "training_processor_seconds": round(cpu, 1)}


def simple_runs(smiles: list[str], labels: np.ndarray, first_test: int, seed: int) -> list[dict[str, Any]]:
    """The simple models on the draws of the whole set, and on those of the half that `disjoint` is asked about."""
    everything = np.arange(len(smiles))
    models = simple_models(labels, fingerprints(smiles), seed)
    asked = draws(labels, first_test, seed, everything)
    found = [{"arm": name, **judged(labels, asked, model)} for name, model in models.items()]
    half = np.array_split(np.random.default_rng([seed, 1]).permutation(everything), 2)[1]
    asked = draws(labels, first_test, seed, np.sort(half))
    for name in ("logistic_regression", "nearest_neighbours"):
        found.append({"arm": f"{name}_disjoint", **judged(labels, asked, models[name])})
    return found


def asked_run(
    arm: str, name: str, seed: int, folder: Path, scale: dict[str, Any], device: str
) -> tuple[list[dict[str, Any]], float]:
    """One arm, or all simple models, on one set and seed, in a process of its own; what it found, and seconds of processor."""
    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)
    smiles, labels = read_set(folder, name)
    since, first_test = time.process_time(), SETS[name][1]
    if arm == "simple":
        found = simple_runs(smiles, labels, first_test, seed)
    else:
        found = [{"arm": arm, **one_run(arm, smiles, labels, first_test, seed, scale, device)}]
    return found, time.process_time() - since


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, margins seed by seed, and what the acceptance asks for, by set; None where a run is still to come."""
    found = {}
    for name, part in pd.DataFrame(runs).groupby("set", sort=False):
        table = part.pivot(index="seed", columns="arm", values="auroc").reindex(columns=COLUMNS)
        over = {arm: table["unimatch"] - table[arm] for arm in COLUMNS if arm not in ("unimatch", *APART)}
        apart = table["disjoint"] - table["logistic_regression_disjoint"]
        gain = {arm: one.mean(skipna=False) for arm, one in over.items()}
        met = {
            "0.05_above_logistic_regression": (gain["logistic_regression"], 0.05),
            "above_it_in_every_seed": (over["logistic_regression"].min(skipna=False), 0),
            "all_levels_not_worse_than_last": (gain["last_layer"], 0),
            "0.05_above_random_encoder": (gain["random_encoder"], 0.05),
        }
        if name == "tox21":
            met["disjoint_0.02_above_logistic_regression"] = (apart.mean(skipna=False), 0.02)
        found[str(name)] = {
            "auroc": {arm: table[arm].mean(skipna=False) for arm in COLUMNS},
            "by_seed": {arm: table[arm].tolist() for arm in COLUMNS},
            "sd_of_draws": part.groupby("arm")["sd_of_draws"].mean().to_dict(),
            "unimatch_over": {arm: {"mean": gain[arm], "by_seed": over[arm].tolist()} for arm in over},
            "disjoint_over_logistic_regression": {
                "mean": apart.mean(skipna=False),
                "by_seed": apart.tolist(),
            },
            "acceptance": {
                key: None if np.isnan(value) else bool(value >= least) for key, (value, least) in met.items()
            },
        }
    return found


def main() -> None:
    """Run what is not stored yet, and store the result after each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    folder, scale = data_folder(given.data) / "moleculenet", SCALES[given.scale]
    file = RESULTS / f"{NAME}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() and not given.again else {}
    runs: list[dict[str, Any]] = (
        known.get("runs", []) if known.get("scale", {}).get("name") == given.scale else []
    )
    seconds = known.get("seconds", 0.0) if runs else 0.0
    processor = known.get("processor_seconds", 0.0) if runs else 0.0

    begun, before = time.perf_counter(), seconds

    def keep(found: list[dict[str, Any]], name: str, seed: int, spent: float) -> None:
        nonlocal seconds, processor
        runs.extend({"set": name, "seed": seed, "commit": commit(), **one} for one in found)
        seconds = before + time.perf_counter() - begun
        processor += spent
        print(pd.DataFrame(runs[-len(found) :]).drop(columns="by_task").to_string(index=False), flush=True)
        packages = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit")
        content = {
            "seeds": sorted({one["seed"] for one in runs}),
            "scale": {"name": given.scale, **scale},
            "versions": {package: version(package) for package in packages},
            "data": f"Tox21 (7,831 molecules) and SIDER (1,427) of MoleculeNet, copies of Molecules_Dataset_Collection "
            f"(MIT); supports of {SHOTS} and {SHOTS}, {DRAWS} a test task and seed",
            "processor_seconds": round(processor, 1),
            "figures": summary(runs),
            "runs": runs,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        store(NAME, content, module="benchmarks.methods.unimatch", arguments=sys.argv[1:], seconds=seconds)

    asked = []
    for arm in ("simple", *ARMS):
        for name in SETS:
            for seed in given.seeds:
                done = {one["arm"] for one in runs if (one["set"], one["seed"]) == (name, seed)}
                if not ({*SIMPLE, *APART[1:]} if arm == "simple" else {arm}) <= done:
                    asked.append((arm, name, seed))
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(asked_run, *one, folder, scale, given.device): one for one in asked}
        for ended in as_completed(waiting):
            _, name, seed = waiting[ended]
            found, spent = ended.result()
            keep(found, name, seed, spent)
    print(json.dumps({name: one["acceptance"] for name, one in summary(runs).items()}, indent=1))


if __name__ == "__main__":
    main()
