"""UTGDiff: molecules from facts about them, from descriptions, and edited by instructions, beside controls and baselines.

    python -m benchmarks.methods.utgdiff [--data FOLDER] [--device auto] [--scale cpu|gpu] [--part NAME ...] [--seeds N ...]

`--data` is the folder of the public data sets with ``qm_sets`` and ``chebi20`` in it (by default NEREUS_DATA). The result is
written after every seed; parts and seeds that are not named keep what it holds of them. Arms: the right instruction, the
instruction of another row, the molecule of the nearest instruction of training (words and pairs of words, TF-IDF), a random
molecule of training.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import Chem, DataStructs, RDLogger
from rdkit.Chem import Fragments, rdChemReactions, rdFingerprintGenerator, rdMolDescriptors
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.stored_parts import StoredParts
from benchmarks.truth.results import data_folder
from nereus.models.evaluation.generation import diversity, fit_to_targets, flat
from nereus.models.molecules.graphs.read import largest_fragment
from nereus.models.molecules.utgdiff import UTGDiff
from nereus.models.molecules.utgdiff.graphs import Generated
from nereus.models.molecules.utgdiff.instructions import Instruction

SEEDS = (0, 1, 2)
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "facts": {"learned": 10_000, "judged": 120, "epochs": 3},
        "uniform": {"learned": 10_000, "judged": 120, "epochs": 3},
        "descriptions": {"atoms": 20, "judged": 100, "epochs": 8},
        "edits": {"learned": 6_000, "judged": 100, "epochs": 4},
        "settings": {
            "layers": 4, "width": 96, "heads": 8, "feed_forward": 192, "dropout": 0.0, "jumps": 25, "temperature": 0.7,
            "training__batch_size": 32, "training__learning_rate": 1.5e-3,
        },
    },
    "gpu": {
        "facts": {"learned": 18_000, "judged": 1_000, "epochs": 60},
        "uniform": {"learned": 18_000, "judged": 1_000, "epochs": 60},
        "descriptions": {"atoms": 30, "judged": 300, "epochs": 200},
        "edits": {"learned": 18_000, "judged": 1_000, "epochs": 60},
        "settings": {
            "layers": 8, "width": 384, "heads": 12, "feed_forward": 1536, "training__batch_size": 128,
            "training__learning_rate": 5e-4, "training__precision": "bfloat16",
        },
    },
}  # fmt: skip
GROUPS = {
    "alcohol": Fragments.fr_Al_OH,
    "aldehyde": Fragments.fr_aldehyde,
    "ketone": Fragments.fr_ketone,
    "ether": Fragments.fr_ether,
    "ester": Fragments.fr_ester,
    "amide": Fragments.fr_amide,
    "nitrile": Fragments.fr_nitrile,
    "primary amine": Fragments.fr_NH2,
    "secondary amine": Fragments.fr_NH1,
    "tertiary amine": Fragments.fr_NH0,
    "imine": Fragments.fr_Imine,
    "alkyne": lambda molecule: len(molecule.GetSubstructMatches(Chem.MolFromSmarts("C#C"))),
    "alkene": lambda molecule: len(molecule.GetSubstructMatches(Chem.MolFromSmarts("C=C"))),
    "aromatic ring": rdMolDescriptors.CalcNumAromaticRings,
}
EDITS = {
    "turn the carbonyl into a hydroxyl": "[CX3:1]=[OX1:2]>>[C:1][O:2]",
    "turn the hydroxyl into an amine": "[#6:1][OX2H:2]>>[#6:1]N",
    "methylate the hydroxyl": "[#6:1][OX2H:2]>>[#6:1][O:2]C",
    "methylate the amine": "[NX3;H1,H2;!$(NC=O):1]>>[N:1]C",
    "hydrogenate the triple bond": "[C:1]#[C,N:2]>>[C:1][C,N:2]",
    "turn the nitrile into an alkyne": "[C:1]#[NX1:2]>>[C:1]#C",
}


# ------------------------------------------------------------------ data


def small_molecules(folder: Path) -> list[str]:
    """Different molecules of QM8, up to eight heavy atoms, in the order of the file."""
    table = pd.read_csv(folder / "qm_sets" / "qm8.csv.gz")
    return [one for one in dict.fromkeys(flat(str(text)) for text in table["smiles"]) if one]


def facts(smiles: str) -> str:
    """An instruction from what RDKit counts: formula, rings, groups."""
    molecule = Chem.MolFromSmiles(smiles)
    parts = [
        f"{(count, '')[count == 1]} {name}".strip() for name, of in GROUPS.items() if (count := of(molecule))
    ]
    rings = rdMolDescriptors.CalcNumRings(molecule)
    formula = " ".join(_formula(molecule))
    told = f"formula {formula}, {rings} rings"
    return f"{told}, with {', '.join(parts)}" if parts else told


def _formula(molecule: Chem.Mol) -> list[str]:
    counts: dict[str, int] = {}
    for atom in Chem.AddHs(molecule).GetAtoms():
        counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + 1
    return [f"{symbol}{count}" for symbol, count in sorted(counts.items())]


def descriptions(folder: Path, name: str, most: int) -> tuple[list[str], list[str]]:
    """Descriptions and molecules of a file of ChEBI-20, those of up to `most` heavy atoms and of atoms alone."""
    with gzip.open(folder / "chebi20" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    texts, smiles = [], []
    for row in rows:
        molecule = Chem.MolFromSmiles(row[1])
        if molecule is None or any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
            continue
        whole = largest_fragment(molecule)
        if whole.GetNumAtoms() <= most:
            texts.append(row[2])
            smiles.append(Chem.MolToSmiles(whole, isomericSmiles=False))
    return texts, smiles


def edits(molecules: Sequence[str]) -> list[tuple[str, str, str]]:
    """Instruction, source and target of every reaction that has one product."""
    found = []
    reactions = {name: rdChemReactions.ReactionFromSmarts(one) for name, one in EDITS.items()}
    for smiles in molecules:
        source = Chem.MolFromSmiles(smiles)
        for name, reaction in reactions.items():
            products = set()
            for (product,) in reaction.RunReactants((source,)):
                text = flat(Chem.MolToSmiles(product))
                if text is not None and "." not in text:
                    products.add(text)
            if len(products) == 1 and (target := products.pop()) != smiles:
                found.append((name, smiles, target))
    return found


# ------------------------------------------------------------------ arms


def nearest(learned: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    """Row of the nearest instruction of training for each that is asked."""
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\S+")
    known = counts.fit_transform(learned)
    return np.asarray((counts.transform(asked) @ known.T).argmax(1)).ravel()


def judged(found: Sequence[Generated], targets: Sequence[str]) -> dict[str, float]:
    """Fit to the targets, and validity without the hydrogens that were set, and of these of one part as drawn."""
    fit = fit_to_targets(targets, [one.smiles for one in found])
    plain = [one.smiles is not None and not one.mended for one in found]
    whole = [drawn and one.parts == 1 for drawn, one in zip(plain, found, strict=True)]
    return {**fit, "valid_unmended": float(np.mean(plain)), "valid_in_one_part": float(np.mean(whole))}


def trained(
    X: Any, y: Sequence[str], seed: int, setting: dict[str, Any], shared: dict[str, Any], **more: Any
) -> tuple[UTGDiff, float]:
    """A method and the seconds it took."""
    started = time.perf_counter()
    model = UTGDiff(random_state=seed, training__epochs=setting["epochs"], **shared, **more).fit(X, y)
    return model, time.perf_counter() - started


def facts_part(folder: Path, scale: dict[str, Any], device: str, seed: int) -> list[dict[str, Any]]:
    """Molecules of QM8 from facts about them, and without any instruction."""
    return _facts(folder, scale["facts"], {**scale["settings"], "device": device}, seed, "absorbing")


def uniform_part(folder: Path, scale: dict[str, Any], device: str, seed: int) -> list[dict[str, Any]]:
    """The same with uniform noise."""
    return _facts(folder, scale["uniform"], {**scale["settings"], "device": device}, seed, "uniform")


def _facts(
    folder: Path, setting: dict[str, Any], shared: dict[str, Any], seed: int, noise: str
) -> list[dict[str, Any]]:
    molecules = small_molecules(folder)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(molecules))
    learned = [molecules[i] for i in order[: setting["learned"]]]
    asked = [molecules[i] for i in order[setting["learned"] :][: setting["judged"]]]
    texts, wanted = [facts(one) for one in learned], [facts(one) for one in asked]
    model, seconds = trained(texts, learned, seed, setting, shared, noise=noise)
    free = [one.smiles for one in model.generate(n=setting["judged"])]
    return [
        _judged_run("utgdiff", model, seed, seconds, model.generate(wanted), asked, learned),
        {"arm": "utgdiff, shuffled", "seed": seed, **judged(model.generate(_moved(wanted)), asked)},
        {
            "arm": "utgdiff, no instruction",
            "seed": seed,
            **fit_to_targets(asked, free),
            **diversity(free, learned),
        },
        *_baselines(texts, learned, wanted, asked, rng, seed),
    ]


def _judged_run(
    arm: str,
    model: UTGDiff,
    seed: int,
    seconds: float,
    found: Sequence[Generated],
    asked: list[str],
    learned: list[str],
) -> dict[str, Any]:
    various = diversity([one.smiles for one in found], learned)
    del various["valid"]
    loss = model.history_.losses[-1]["total"]
    return {"arm": arm, "seed": seed, "seconds": seconds, "loss": loss, **judged(found, asked), **various}


def descriptions_part(folder: Path, scale: dict[str, Any], device: str, seed: int) -> list[dict[str, Any]]:
    """ChEBI-20: learned from its validation file, judged on molecules of its test file that are not in there."""
    setting, shared = scale["descriptions"], {**scale["settings"], "device": device}
    texts, learned = descriptions(folder, "validation", setting["atoms"])
    every_text, every = descriptions(folder, "test", setting["atoms"])
    rng, seen = np.random.default_rng(seed), set(learned)
    rows = rng.permutation([row for row, one in enumerate(every) if one not in seen])[: setting["judged"]]
    wanted, asked = [every_text[row] for row in rows], [every[row] for row in rows]
    model, seconds = trained(texts, learned, seed, setting, shared)
    return [
        _judged_run("utgdiff", model, seed, seconds, model.generate(wanted), asked, learned),
        {"arm": "utgdiff, shuffled", "seed": seed, **judged(model.generate(_moved(wanted)), asked)},
        *_baselines(texts, learned, wanted, asked, rng, seed),
    ]


def edits_part(folder: Path, scale: dict[str, Any], device: str, seed: int) -> list[dict[str, Any]]:
    """Molecules of QM8 edited by an instruction; no source and no target that is judged was learned from, on either side."""
    setting, shared = scale["edits"], {**scale["settings"], "device": device}
    molecules = small_molecules(folder)
    order = np.random.default_rng(seed).permutation(len(molecules))
    share = int(0.85 * len(order))
    learned = edits([molecules[i] for i in order[:share]])[: setting["learned"]]
    seen = {one for _, source, target in learned for one in (source, target)}
    asked = [one for one in edits([molecules[i] for i in order[share:]]) if seen.isdisjoint(one[1:])]
    asked = asked[: setting["judged"]]
    questions, made = [Instruction(text, source) for text, source, _ in learned], [one[2] for one in learned]
    model, seconds = trained(questions, made, seed, setting, shared)
    texts, sources, targets = (list(one) for one in zip(*asked, strict=True))
    others = [next(name for name in EDITS if name != one) for one in texts]
    controls = {
        "utgdiff, other instruction": model.edit(sources, others),
        "utgdiff, other source": model.edit(_moved(sources), texts),
    }
    return [
        _judged_run("utgdiff", model, seed, seconds, model.edit(sources, texts), targets, made),
        *({"arm": arm, "seed": seed, **judged(found, targets)} for arm, found in controls.items()),
        {"arm": "source unchanged", "seed": seed, **fit_to_targets(targets, sources)},
        {"arm": "nearest source", "seed": seed, **fit_to_targets(targets, _nearest_edits(learned, asked))},
    ]


def _nearest_edits(
    learned: Sequence[tuple[str, str, str]], asked: Sequence[tuple[str, str, str]]
) -> list[str]:
    """What the most alike source of training (Morgan fingerprints) became under the same instruction."""
    prints = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    of = {name: [one for one in learned if one[0] == name] for name in EDITS}
    known = {
        name: [prints.GetFingerprint(Chem.MolFromSmiles(one[1])) for one in rows] for name, rows in of.items()
    }
    found = []
    for name, source, _ in asked:
        alike = DataStructs.BulkTanimotoSimilarity(
            prints.GetFingerprint(Chem.MolFromSmiles(source)), known[name]
        )
        found.append(of[name][int(np.argmax(alike))][2])
    return found


def _baselines(
    texts: list[str],
    learned: list[str],
    wanted: list[str],
    asked: list[str],
    rng: np.random.Generator,
    seed: int,
) -> list[dict[str, Any]]:
    retrieved = [learned[i] for i in nearest(texts, wanted)]
    random = [learned[i] for i in rng.integers(len(learned), size=len(asked))]
    return [
        {
            "arm": "nearest instruction",
            "seed": seed,
            **fit_to_targets(asked, retrieved),
            "same_text_learned": float(np.isin(wanted, texts).mean()),
        },
        {"arm": "random molecule", "seed": seed, **fit_to_targets(asked, random)},
    ]


def _moved(rows: Sequence[str]) -> list[str]:
    """Every row's neighbour: a shuffle without fixed places."""
    return [*rows[1:], rows[0]]


def _means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    frame = pd.DataFrame(runs).drop(columns="seed")
    return {
        str(arm): part.mean(axis=0, numeric_only=True).dropna().to_dict()
        for arm, part in frame.groupby("arm", sort=False)
    }


def summary(runs: list[dict[str, Any]], own: str = "utgdiff") -> dict[str, Any]:
    """Means by arm, and by how much the own arm is better on MACCS keys, in the mean and in the worst seed."""
    table = pd.DataFrame(runs).pivot_table(index="seed", columns="arm", values="maccs")
    gains = {
        str(arm): {
            "mean": float((table[own] - table[arm]).mean()),
            "least": float((table[own] - table[arm]).min()),
        }
        for arm in table
        if arm != own
    }
    seeds = sorted(int(one) for one in table.index)
    return {"seeds": seeds, "arms": _means(runs), "maccs_gain_over": gains, "runs": runs}


PARTS = {"facts": facts_part, "uniform": uniform_part, "descriptions": descriptions_part, "edits": edits_part}


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others, after every seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    folder, scale = data_folder(given.data), SCALES[given.scale]
    stored = StoredParts(
        "utgdiff",
        {"name": given.scale, **scale},
        ("numpy", "pandas", "scikit-learn", "torch", "transformers", "tokenizers", "rdkit"),
        "QM8 of chemprop (MIT); validation and test file of ChEBI-20 in MolT5 (BSD-3)",
    ).read(where={"settings": scale["settings"]})
    figures = stored.figures
    for part in given.part:
        before = figures.get(part, {})
        same = before.get("setting") == scale[part]
        runs = [one for one in before.get("runs", []) if same and one["seed"] not in given.seeds]
        spent = stored.seconds.get(part, 0.0) if runs else 0.0
        for seed in given.seeds:
            with stored.timed(part, since=spent):
                runs += PARTS[part](folder, scale, given.device, seed)
            spent = stored.seconds[part]
            figures[part] = {"setting": scale[part], **summary(runs)}
            print(part, seed, json.dumps(figures[part]["arms"], indent=1), flush=True)
            stored.write(sorted({one["seed"] for known in figures.values() for one in known["runs"]}))


if __name__ == "__main__":
    main()
