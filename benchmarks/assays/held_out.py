"""Order within held-out assays without poses: after other targets were learned from, and from nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from benchmarks.assays.other_targets import (
    ASSAYED,
    CHOSEN_ON,
    LEAST_OF_ASSAY,
    before,
    compounds_of,
    other_targets,
    pretrained,
    readable,
    whole_assays,
)
from nereus.models.evaluation.baselines import fingerprints
from nereus.models.evaluation.metrics import ranking
from nereus.models.molecules.mbp import MBP, Complex

REGRESSION = {"ranking_weight": 0.0, "regression_weight": 1.0}
PRETRAINED_ARMS: dict[str, dict[str, Any]] = {"mbp": {}, "regression_only": REGRESSION}
"""Losses by which other targets are learned from; both are fine-tuned by the squared error, as in the paper."""
SCRATCH_ARMS: dict[str, dict[str, Any]] = {"scratch": {}, "scratch_regression_only": REGRESSION}


def settings(scale: dict[str, Any], epochs: str, device: str, seed: int) -> dict[str, Any]:
    """Settings that all runs from nothing share."""
    return {
        "width": scale["width"],
        "layers": scale["layers"],
        "pocket_radius": scale["radius"],
        "training__epochs": scale[epochs],
        "training__batch_size": 32,
        "training__learning_rate": 3e-3,
        "device": device,
        "random_state": seed,
    }


def assays_of(folder: Path, most: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Compounds of the judged targets in assays of ten or more; whole assays up to `most` a target."""
    frames, equal = [], 0
    for target in ASSAYED:
        table, same = compounds_of(folder, target)
        equal += same
        frames.append(whole_assays(table, most))
    whole = readable(pd.concat(frames, ignore_index=True))
    between = whole.groupby("target")[["pchembl_value", "assay_chembl_id"]].apply(
        lambda one: (
            one.groupby("assay_chembl_id")["pchembl_value"].transform("mean").var()
            / one["pchembl_value"].var()
        )
    )
    facts = {
        "rows": len(whole),
        "assays": int(whole["assay_chembl_id"].nunique()),
        "files_of_equal_content": equal,
    }
    return whole, {**facts, "between_assay_share_of_variance": between.to_dict()}


def pose_free(
    folder: Path, scale: dict[str, Any], device: str, place: Path | None, seeds: Sequence[int]
) -> dict[str, Any]:
    """Order within assays that were not learned from, a quarter of each target's."""
    with tempfile.TemporaryDirectory() as made:
        kept = Path(made) if place is None else place
        other = other_targets(folder, scale["other_compounds"])
        facts = pretrained(other, kept, scale, PRETRAINED_ARMS, device)
        found = held_out(folder, other, kept, scale, device, seeds)
    return {"pretraining": {**facts, "settings_chosen_on": list(CHOSEN_ON)}, **found}


def held_out(
    folder: Path, other: pd.DataFrame, kept: Path, scale: dict[str, Any], device: str, seeds: Sequence[int]
) -> dict[str, Any]:
    """Every arm and baseline on the assays that are held out with each seed."""
    table, facts = assays_of(folder, scale["compounds"])
    smiles, y = table["canonical_smiles"].tolist(), table["pchembl_value"].to_numpy(float)
    assay, target = table["assay_chembl_id"].to_numpy(), table["target"].to_numpy()
    bits = fingerprints(smiles)
    other_bits = fingerprints(other["canonical_smiles"].tolist()).astype(np.float32)
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        held = set()
        for one in ASSAYED:
            own = np.unique(assay[target == one])
            held |= set(rng.choice(own, max(1, len(own) // 4), replace=False))
        test = np.isin(assay, list(held))
        learn, judge = np.flatnonzero(~test), np.flatnonzero(test)
        named = [Complex(smiles=one, protein=name) for one, name in zip(smiles, target, strict=True)]
        asked = [named[i] for i in judge]
        answers: dict[str, np.ndarray] = {}

        def answer(arm: str, model: MBP, asked: list[Complex], judge: np.ndarray = judge) -> None:
            answers[arm] = model.predict(asked)  # noqa: B023
            if model._relation_learned():
                ranked = model.rank(asked, assay[judge], by="relation")
                answers[f"{arm}_by_relation"] = ranked["score"].to_numpy()  # noqa: B023

        for arm in PRETRAINED_ARMS:
            answer(f"{arm}_not_fine_tuned", MBP.load(kept / arm), asked)
            model = MBP(**tuning(kept / arm, scale, device, seed))
            answer(arm, model.fit([named[i] for i in learn], y[learn], assays=assay[learn]), asked)
        for arm, changed in SCRATCH_ARMS.items():
            model = MBP(**settings(scale, "free", device, seed), **changed, affinity="Ki")
            answer(arm, model.fit([named[i] for i in learn], y[learn], assays=assay[learn]), asked)
        answers |= linear(bits, y, assay, target, learn, judge)
        answers["ridge_all_targets"] = every_target(other, other_bits, bits, y, assay, learn, judge)
        for arm, found in answers.items():
            value = ranking(y[judge], found, assay[judge], least=LEAST_OF_ASSAY).values
            runs.append({"seed": seed, "arm": arm, "spearman": value["within_group_spearman"]})
        print(pd.DataFrame(runs[-len(answers) :]).to_string(index=False), flush=True)
    return {"data": facts, **summary(runs)}


def tuning(place: Path, scale: dict[str, Any], device: str, seed: int) -> dict[str, Any]:
    """Settings of fine-tuning."""
    shape = {name: one for name, one in before(scale, device).items() if name in ("width", "layers")}
    return {
        **shape,
        "pretrained": str(place),
        "finetuning__epochs": scale["tuned"],
        "finetuning__batch_size": 64,
        "finetuning__learning_rate": scale["tuned_rate"],
        "finetuning__schedule": "cosine",
        "finetuning__patience": None,
        "device": device,
        "random_state": seed,
        "affinity": "Ki",
    }


def linear(
    bits: np.ndarray,
    y: np.ndarray,
    assay: np.ndarray,
    target: np.ndarray,
    learn: np.ndarray,
    judge: np.ndarray,
) -> dict[str, np.ndarray]:
    """Ridge on Morgan bits of each target, on affinities and on affinities less their assay's mean; and the number of bits."""
    found = {name: np.zeros(len(judge)) for name in ("ridge", "ridge_assay_centred")}
    less = centred(y, assay)
    for one in np.unique(target):
        own, asked = learn[target[learn] == one], target[judge] == one
        for name, values in (("ridge", y), ("ridge_assay_centred", less)):
            found[name][asked] = Ridge(alpha=10.0).fit(bits[own], values[own]).predict(bits[judge[asked]])
    return {**found, "number_of_bits": bits[judge].sum(1)}


def every_target(
    other: pd.DataFrame,
    other_bits: np.ndarray,
    bits: np.ndarray,
    y: np.ndarray,
    assay: np.ndarray,
    learn: np.ndarray,
    judge: np.ndarray,
) -> np.ndarray:
    """One ridge on all rows that MBP learned from, other targets' among them, on affinities less their assay's mean."""
    values = centred(other["pchembl_value"].to_numpy(float), other["assay_chembl_id"].to_numpy())
    known = np.concatenate([values, centred(y[learn], assay[learn])]).astype(np.float32)
    model = Ridge(alpha=10.0).fit(np.concatenate([other_bits, bits[learn].astype(np.float32)]), known)
    return np.asarray(model.predict(bits[judge].astype(np.float32)), dtype=np.float64)


def centred(y: np.ndarray, assay: np.ndarray) -> np.ndarray:
    """Affinities less the mean of their assay."""
    return np.asarray(y - pd.Series(y).groupby(assay).transform("mean").to_numpy(), dtype=np.float64)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and by how much the method is above each other arm, by seed."""
    by_seed = pd.DataFrame(runs).pivot(index="seed", columns="arm", values="spearman")
    gains = {
        f"mbp_over_{arm}": {
            "mean": float((by_seed["mbp"] - by_seed[arm]).mean()),
            "by_seed": (by_seed["mbp"] - by_seed[arm]).tolist(),
        }
        for arm in by_seed
        if arm != "mbp"
    }
    return {"mean": by_seed.mean().to_dict(), "sd": by_seed.std().to_dict(), "gains": gains, "runs": runs}
