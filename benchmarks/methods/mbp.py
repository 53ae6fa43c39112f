"""MBP: order within held-out assays without poses, order within held-out targets with poses.

    python -m benchmarks.methods.mbp --assays FOLDER [--pretrained FOLDER] [--data FOLDER] [--device auto]
        [--scale cpu|gpu] [--part NAME ...] [--seeds N ...] [--arms NAME ...]

`--assays` is the folder of ChEMBL assays of overlapping_assays (rinikerlab/overlapping_assays, datasets/source_data, MIT; ChEMBL
CC BY-SA); `--pretrained` keeps what was learned from other targets there, and takes what is there. `--data` is the folder of the
public data sets with ``affinity_structures_plb`` in it (default NEREUS_DATA). Parts that are not named keep what the stored
result holds of them; of ``posed`` so do seeds, where its settings are equal: runs can be made one by one. Part ``pose_free`` is
`benchmarks.assays`. Complexes turned, learned by heart and in five folds are `benchmarks.methods.mbp_complexes`.

PDBbind and ChEMBL-Dock, on which the paper's figures rest, are not at hand: these figures are not those.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rdkit import Chem, RDLogger
from rdkit.Chem.Descriptors import MolWt
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from benchmarks.assays.held_out import pose_free, settings, summary
from benchmarks.stored_parts import StoredParts
from benchmarks.truth.results import data_folder
from nereus.models.evaluation.baselines import fingerprints
from nereus.models.evaluation.metrics import regression
from nereus.models.files import content
from nereus.models.molecules.mbp import MBP, Complex
from nereus.models.molecules.mbp.features import AMINO_ACIDS
from nereus.models.molecules.mbp.measurements import MOLAR
from nereus.models.molecules.mbp.structures import read_pocket, read_poses

SEEDS = (0, 1, 2)
SCALES = {
    # width, layers, epochs without and with poses, epochs of overfitting, most compounds of a target, radius of a pocket;
    # of learning from other targets: most compounds of a target, width, layers, epochs; epochs of fine-tuning
    "cpu": {
        "width": 32, "layers": 2, "free": 10, "posed": 12, "overfit": 150, "compounds": 250, "radius": 12.0,
        "other_compounds": 700, "before_width": 64, "before_layers": 3, "before": 6, "tuned": 12, "tuned_rate": 1e-3,
    },
    "gpu": {
        "width": 128, "layers": 3, "free": 60, "posed": 60, "overfit": 300, "compounds": 100_000, "radius": 20.0,
        "other_compounds": 100_000, "before_width": 128, "before_layers": 3, "before": 60, "tuned": 30, "tuned_rate": 1e-3,
    },
}  # fmt: skip
FOLDS = (("cdk2", "tyk2"), ("p38", "mcl1"), ("ptp1b", "thrombin"))
"""Targets that are held out together: in each fold both types of affinity remain to learn from."""
POSED_ARMS: dict[str, dict[str, Any]] = {
    "mbp": {},
    "ligand_only": {},
    "residues_exchanged": {},
    "one_head": {"heads": "one"},
    "regression_only": {"ranking_weight": 0.0, "regression_weight": 1.0},
}


# ------------------------------------------------------------------ with poses


def structures(folder: Path) -> pd.DataFrame:
    """Ligands of six targets: pose, pocket (alpha carbons), affinity, type, SMILES."""
    rows = []
    for target in sorted(one for fold in FOLDS for one in fold):
        place = folder / target
        named = {one.name.removesuffix(".gz"): one for one in place.iterdir()}
        pocket = alphas(content(named["protein.pdb"]))
        for text in content(named["ligands.sdf"]).split("$$$$\n"):
            title = text.split("\n", 1)[0].strip()
            told = yaml.safe_load(named["ligands.yml"].read_text()).get(title) if title else None
            if told is None or told["measurement"]["type"].lower() not in ("ki", "ic50"):
                continue
            molar = float(told["measurement"]["value"]) * MOLAR[told["measurement"]["unit"]]
            pose = text + "$$$$\n"
            rows.append(
                {
                    "target": target,
                    "name": title,
                    "pose": pose,
                    "pocket": pocket,
                    "type": "IC50" if told["measurement"]["type"].lower() == "ic50" else "Ki",
                    "affinity": -np.log10(molar),
                    "smiles": Chem.MolToSmiles(read_poses(pose)[0]),
                }
            )
    return pd.DataFrame(rows)


def alphas(text: str, rng: np.random.Generator | None = None) -> str:
    """A protein as its alpha carbons; with `rng` its residues exchange their names."""
    pocket = read_pocket(text)
    classes = pocket.residues if rng is None else rng.permutation(pocket.residues)
    lines = [
        f"ATOM  {n % 100000:5d}  CA  {'UNK' if not c else AMINO_ACIDS[c - 1]} {'ABCDEFGHI'[n // 9999]}{n % 9999 + 1:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for n, (c, (x, y, z)) in enumerate(zip(classes, pocket.positions, strict=True))
    ]
    return "\n".join([*lines, "END\n"])


def posed(
    folder: Path,
    scale: dict[str, Any],
    device: str,
    seeds: list[int],
    arms: list[str],
    known: dict[str, Any],
) -> dict[str, Any]:
    """Order within targets that were not learned from; runs of other seeds that are known with equal settings are kept."""
    chosen = {
        **settings(scale, "posed", device, 0),
        "training__batch_size": 16,
        "training__learning_rate": 2e-3,
        "training__schedule": "cosine",
    }
    told = {name: value for name, value in chosen.items() if name not in ("device", "random_state")}
    told["arms"] = arms
    table = structures(folder)
    y, target, types = table["affinity"].to_numpy(), table["target"].to_numpy(), table["type"].to_numpy()
    molecules = [Chem.MolFromSmiles(one) for one in table["smiles"]]
    bits = fingerprints(table["smiles"].tolist())
    before = known.get("runs", []) if known.get("settings") == told else []
    runs: list[dict[str, Any]] = [one for one in before if one["seed"] not in seeds]
    for seed in seeds:
        exchanged = {one: alphas(one, np.random.default_rng(seed)) for one in table["pocket"].unique()}
        answers = {arm: np.full(len(table), np.nan) for arm in (*arms, "mbp_by_relation", "ridge", "forest")}
        for fold in FOLDS:
            learn, judge = np.flatnonzero(~np.isin(target, fold)), np.flatnonzero(np.isin(target, fold))
            for arm in arms:
                X = [
                    Complex(smiles=s)
                    if arm == "ligand_only"
                    else Complex(ligand=pose, pocket=exchanged[p] if arm == "residues_exchanged" else p)
                    for s, pose, p in zip(table["smiles"], table["pose"], table["pocket"], strict=True)
                ]
                model = MBP(**{**chosen, "random_state": seed}, **POSED_ARMS[arm])
                model.fit([X[i] for i in learn], y[learn], types=types[learn], assays=target[learn])
                asked = [X[i] for i in judge]
                answers[arm][judge] = model.predict(asked, types=types[judge])
                if arm == "mbp":
                    ranked = model.rank(asked, target[judge], types=types[judge])
                    answers["mbp_by_relation"][judge] = ranked["score"]
            answers["ridge"][judge] = Ridge(alpha=10.0).fit(bits[learn], y[learn]).predict(bits[judge])
            forest = RandomForestRegressor(200, random_state=seed, n_jobs=1).fit(bits[learn], y[learn])
            answers["forest"][judge] = forest.predict(bits[judge])
        answers["molecular_weight"] = np.array([MolWt(one) for one in molecules])
        answers["heavy_atoms"] = np.array([one.GetNumAtoms() for one in molecules], dtype=float)
        for arm, found in answers.items():
            row: dict[str, Any] = {"seed": seed, "arm": arm}
            for one in np.unique(target):
                row[one] = regression(y[target == one], found[target == one]).values["spearman"]
            runs.append({**row, "spearman": float(np.mean([row[one] or 0.0 for one in np.unique(target)]))})
        print(
            pd.DataFrame(runs[-len(answers) :])[["seed", "arm", "spearman"]].to_string(index=False),
            flush=True,
        )
    by_target = {
        one: {"ligands": int((target == one).sum()), "type": str(types[target == one][0])}
        for one in np.unique(target)
    }
    return {"data": by_target, "settings": told, **summary(runs)}


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assays", type=Path)
    parser.add_argument("--data")
    parser.add_argument(
        "--pretrained", type=Path, help="folder that keeps what was learned from other targets"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parts = ("pose_free", "posed")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="seeds of part posed")
    parser.add_argument("--arms", nargs="+", choices=list(POSED_ARMS), default=list(POSED_ARMS))
    given = parser.parse_args()
    if "mbp" not in given.arms:
        parser.error("every other arm is compared with arm mbp")
    RDLogger.DisableLog("rdApp.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    scale = SCALES[given.scale]
    if "pose_free" in given.part and given.assays is None:
        parser.error("part pose_free needs --assays")
    stored = StoredParts(
        "mbp",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torch-geometric", "rdkit", "biopython"),
        "protein-ligand-benchmark (CC BY 4.0); overlapping_assays (MIT; ChEMBL CC BY-SA 3.0). Neither PDBbind nor "
        "ChEMBL-Dock: the published evaluation was not run",
    ).read()
    figures = stored.figures
    for part in given.part:
        with stored.timed(part):
            if part == "pose_free":
                figures[part] = pose_free(given.assays, scale, given.device, given.pretrained, SEEDS)
            else:
                folder = data_folder(given.data) / "affinity_structures_plb"
                figures[part] = posed(
                    folder, scale, given.device, given.seeds, given.arms, figures.get("posed", {})
                )
        stored.write(SEEDS)
    print(json.dumps({part: one.get("mean", one) for part, one in figures.items()}, indent=1, default=float))


if __name__ == "__main__":
    main()
