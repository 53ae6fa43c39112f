"""Assays of other targets, from which MBP learns before it sees those that it is judged on.

The paper's protocol: assays of many targets first, with the loss of order or without it, then fine-tuning by the squared error.
No target that is judged or that settings were chosen on is among them, nor any compound of these.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import Chem

from nereus.models.molecules.mbp import MBP, Complex

ASSAYED = ("CHEMBL240", "CHEMBL205", "CHEMBL4078", "CHEMBL247", "CHEMBL217", "CHEMBL4235")
"""Targets that are judged."""
CHOSEN_ON = ("CHEMBL253", "CHEMBL251", "CHEMBL2039", "CHEMBL260", "CHEMBL279", "CHEMBL244")
"""Targets whose held-out assays settings were chosen by."""
LEAST_OF_ASSAY = 10


def compounds_of(folder: Path, target: str) -> tuple[pd.DataFrame, int]:
    """Compounds of a target in assays of ten or more; files of equal content once, and how many of these there are."""
    seen: set[str] = set()
    parts, equal = [], 0
    for file in sorted(folder.glob(f"target_{target}-*.csv.gz")):
        text = gzip.decompress(file.read_bytes())
        digest = hashlib.sha256(text).hexdigest()
        equal += digest in seen
        if digest not in seen:
            seen.add(digest)
            parts.append(pd.read_csv(file))
    table = pd.concat(parts).drop_duplicates(["assay_chembl_id", "compound_chembl_id"])
    sizes = table["assay_chembl_id"].map(table["assay_chembl_id"].value_counts())
    return table[sizes >= LEAST_OF_ASSAY].assign(target=target), equal


def whole_assays(table: pd.DataFrame, most: int, least: int = 4) -> pd.DataFrame:
    """Assays of one target in a fixed random order, as many as have `most` compounds together, and `least` in any case."""
    order = np.random.default_rng(0).permutation(sorted(table["assay_chembl_id"].unique()))
    counts = table["assay_chembl_id"].value_counts()
    total = np.cumsum([counts[one] for one in order])
    return table[table["assay_chembl_id"].isin(order[: max(least, int((total <= most).sum()))])]


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose SMILES can be read."""
    kept = table["canonical_smiles"].map(lambda one: Chem.MolFromSmiles(one) is not None)
    return table[kept].reset_index(drop=True)


def other_targets(folder: Path, most: int) -> pd.DataFrame:
    """Assays of all other targets, without any compound that a target of `ASSAYED` or `CHOSEN_ON` has."""
    names = {found[1] for one in folder.iterdir() if (found := re.match(r"target_(CHEMBL\d+)-", one.name))}
    apart = (*ASSAYED, *CHOSEN_ON)
    known: set[str] = set()
    for one in apart:
        known |= set(compounds_of(folder, one)[0]["compound_chembl_id"])
    parts = []
    for one in sorted(names - set(apart)):
        table, _ = compounds_of(folder, one)
        table = table[~table["compound_chembl_id"].isin(known)]
        sizes = table["assay_chembl_id"].map(table["assay_chembl_id"].value_counts())
        table = table[sizes >= LEAST_OF_ASSAY]
        if len(table):
            parts.append(whole_assays(table, most, least=1))
    return readable(pd.concat(parts, ignore_index=True))


def pretrained(
    table: pd.DataFrame, place: Path, scale: dict[str, Any], arms: Mapping[str, dict[str, Any]], device: str
) -> dict[str, Any]:
    """Learn from other targets, once an arm, and save beneath `place`; what is there already is taken as it is."""
    y = table["pchembl_value"].to_numpy(float)
    assay = table["assay_chembl_id"].to_numpy()
    X = [
        Complex(smiles=one, protein=name)
        for one, name in zip(table["canonical_smiles"], table["target"], strict=True)
    ]
    for arm, losses in arms.items():
        if (place / arm).exists():
            continue
        model = MBP(**before(scale, device), **losses, affinity="Ki")
        model.fit(X, y, assays=assay).save(place / arm)
        print(arm, model.history_.losses[-1], flush=True)
    return {
        "rows": len(table),
        "assays": int(table["assay_chembl_id"].nunique()),
        "targets": int(table["target"].nunique()),
        "settings": {name: one for name, one in before(scale, device).items() if name != "device"},
    }


def before(scale: dict[str, Any], device: str) -> dict[str, Any]:
    """Settings of learning from other targets."""
    return {
        "width": scale["before_width"],
        "layers": scale["before_layers"],
        "training__epochs": scale["before"],
        "training__batch_size": 128,
        "training__learning_rate": 2e-3,
        "training__schedule": "cosine",
        "device": device,
        "random_state": 0,
    }
