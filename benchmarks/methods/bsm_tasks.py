"""BSM on two tasks of its paper, at a laptop's size: which RNA binds which protein, and what mutations do to an enzyme.

    python -m benchmarks.methods.bsm_tasks --rpi FOLDER --scan FILE --genome FILE [--device auto] [--scale cpu|gpu]
        [--part NAME ...]

`--rpi`: the set RPI1807 of IPMiner (xypan1232/IPMiner, ncRNA-protein; no licence file, so it is not shipped). `--scan`: the
mutational scan of TEM-1 of Stiffler et al. 2015, as facebookresearch/esm has it (examples/variant-prediction/data, MIT).
`--genome`: see `benchmarks.methods.bsm`. Pairs of one entry of the PDB are never cut. Controls: counts of 3-mers and 2-mers for
pairs, BLOSUM62 for mutations, and for both a network of equal shape that was never trained. Parts that are not named, and
arms that are stored at equal scale, keep their figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from Bio.Align import substitution_matrices
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.methods.bsm import RESIDUES, corpus, genes_of
from benchmarks.stored_parts import StoredParts
from nereus.models.evaluation.splits import group_split
from nereus.models.sequences.alphabets import problems
from nereus.models.sequences.bsm import BSM
from nereus.models.sequences.bsm.config import Mix, Round
from nereus.models.training import Session

SEED = 0
ALONE = (Round(mix=(Mix(single=1),), share=1.0, rate=1.0, end_rate=0.1),)
MIXED = (Round(mix=(Mix(single=1, pairs=1),), share=1.0, rate=1.0, end_rate=0.1),)
UNTRAINED = {"tokens": 100, "training__learning_rate": 1e-12}
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "letters": 100, "pretraining": 200_000, "epochs": 3, "tokens": 700_000, "variants": 1000,
        "settings": {"layers": 2, "width": 128, "heads": 8, "context": 288, "validation": 0,
                     "training__batch_size": 4, "training__learning_rate": 3e-3},
    },
    "gpu": {
        "letters": 500, "pretraining": 50_000_000, "epochs": 20, "tokens": 200_000_000, "variants": 5000,
        "settings": {"layers": 6, "width": 384, "heads": 12, "context": 1024, "validation": 0,
                     "training__batch_size": 64, "training__learning_rate": 1e-3, "training__precision": "bfloat16"},
    },
}  # fmt: skip


# ------------------------------------------------------------------ pairs


def read_pairs(folder: Path) -> pd.DataFrame:
    """``protein, rna, entry, binds``: pairs whose sequences are known and can be read."""
    letters = {kind: _fasta(folder / f"RPI1807_{kind}_seq.fa") for kind in ("RNA", "protein")}
    parts = []
    for name, binds in (("Positive", 1), ("Negative", 0)):
        table = pd.read_csv(folder / f"RPI1807_{name}Pairs.csv", sep="\t")
        parts.append(table.set_axis(["p", "r"], axis=1).assign(binds=binds))
    table = pd.concat(parts, ignore_index=True)
    table["protein"], table["rna"] = table["p"].map(letters["protein"]), table["r"].map(letters["RNA"])
    table["entry"] = table["r"].str.split("-").str[0]
    table = table.dropna(subset=["protein", "rna"]).reset_index(drop=True)
    bad = set(problems(table["protein"].tolist(), ["protein"] * len(table)))
    bad |= set(problems(table["rna"].tolist(), ["rna"] * len(table)))
    return table.drop(index=sorted(bad)).reset_index(drop=True)


def _fasta(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            name = line[1:].strip()
            found[name] = ""
        else:
            found[name] += line.strip().upper()
    return found


def kmers(texts: pd.Series, alphabet: str, size: int) -> np.ndarray:
    """Shares of the words of a length in each text, (texts, words)."""
    words = ["".join(one) for one in itertools.product(alphabet, repeat=size)]
    place = {word: number for number, word in enumerate(words)}
    found = np.zeros((len(texts), len(words)))
    for row, text in enumerate(texts):
        for start in range(len(text) - size + 1):
            number = place.get(text[start : start + size])
            if number is not None:
                found[row, number] += 1
    return np.asarray(found / np.maximum(found.sum(1, keepdims=True), 1))


def rna_pairs(
    table: pd.DataFrame, scale: dict[str, Any], device: str, known: dict[str, Any], folder: Path | None
) -> Iterator[dict[str, Any]]:
    """Accuracy on a fifth of the entries of the PDB, arm by arm: fine-tuned, from vectors, from counts of words."""
    parts = group_split(table["entry"].tolist(), (0.8, 0.0, 0.2), seed=SEED)
    learn, judge = parts.train, parts.test
    y = table["binds"].to_numpy()
    cut = scale["letters"]
    X = pd.DataFrame(
        {
            "sequence": table["protein"].str[:cut], "modality": "protein",
            "partner": table["rna"].str[:cut], "partner_modality": "rna",
        }
    )  # fmt: skip
    shared = {**scale["settings"], "rounds": ALONE, "random_state": SEED, "device": device}

    def fitted(arm: str, targets: np.ndarray | None, **more: Any) -> BSM:
        settings = {**shared, "tokens": scale["pretraining"], "finetuning__epochs": scale["epochs"], **more}
        session = Session(checkpoints=None if folder is None else folder / arm)
        return BSM(**settings).fit(X.iloc[learn].reset_index(drop=True), targets, session=session)

    def answers(arm: str) -> np.ndarray:
        if arm == "kmers":
            words = np.hstack([kmers(table["rna"], "ACGU", 3), kmers(table["protein"], RESIDUES, 2)])
            return _linear(words, y, learn, judge)
        if arm == "bsm":
            return fitted(arm, y[learn]).predict(X.iloc[judge]).astype(float)
        vectors = fitted(arm, None, **(UNTRAINED if arm == "random_vectors" else {})).embed(X)
        return _linear(vectors, y, learn, judge)

    accuracy = {"majority": float(max(y[judge].mean(), 1 - y[judge].mean())), **known.get("accuracy", {})}
    for arm in ("kmers", "bsm", "random_vectors", "vectors"):
        if arm not in accuracy:
            accuracy[arm] = float((answers(arm) == y[judge]).mean())
        own = accuracy.get("bsm")
        yield {
            "pairs": len(table),
            "learned": len(learn),
            "judged": len(judge),
            "entries_judged": int(table["entry"].iloc[judge].nunique()),
            "accuracy": dict(accuracy),
            "gains": {}
            if own is None
            else {f"bsm_over_{name}": own - one for name, one in accuracy.items() if name != "bsm"},
        }


def _linear(X: np.ndarray, y: np.ndarray, learn: np.ndarray, judge: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return np.asarray(model.fit(X[learn], y[learn]).predict(X[judge]), dtype=float)


# ------------------------------------------------------------------ mutations


def read_scan(file: Path) -> tuple[str, pd.DataFrame]:
    """The enzyme, and ``sequence, effect, blosum62`` of single mutants."""
    table = pd.read_csv(file)[["mutant", "2500"]].dropna()
    parts = table["mutant"].str.extract(r"^([A-Z])(\d+)([A-Z])$")
    places = parts[1].astype(int)
    first = int(places.min())
    residues = dict(zip(places - first, parts[0], strict=True))
    if sorted(residues) != list(range(len(residues))):
        raise SystemExit(f"{file}: positions of the scan are not consecutive")
    wild_type = "".join(residues[place] for place in range(len(residues)))
    matrix = substitution_matrices.load("BLOSUM62")
    rows = [
        (wild_type[: place - first] + new + wild_type[place - first + 1 :], effect, float(matrix[old][new]))
        for old, place, new, effect in zip(parts[0], places, parts[2], table["2500"], strict=True)
        if re.fullmatch(f"[{RESIDUES}]", new)
    ]
    return wild_type, pd.DataFrame(rows, columns=["sequence", "effect", "blosum62"])


def fitness(
    scan: Path, genome: Path, scale: dict[str, Any], device: str, known: dict[str, Any], folder: Path | None
) -> Iterator[dict[str, Any]]:
    """Spearman of likelihoods with measured effects, without a label, beside BLOSUM62 and a network that was never trained."""
    wild_type, table = read_scan(scan)
    table = table.sample(min(scale["variants"], len(table)), random_state=SEED)
    shared = {**scale["settings"], "rounds": MIXED, "codons": (8, 60), "random_state": SEED, "device": device}
    rows = corpus(genes_of(genome))
    found = {"residues": len(wild_type), "variants": len(table), **known}
    found["blosum62"] = float(spearmanr(table["blosum62"], table["effect"]).statistic)
    for name, settings in (("random_network", UNTRAINED), ("bsm", {"tokens": scale["tokens"]})):
        if name not in found:
            session = Session(checkpoints=None if folder is None else folder / name)
            model = BSM(**{**shared, **settings}).fit(rows, session=session)
            said = model.score(pd.DataFrame({"sequence": table["sequence"], "modality": "protein"}))
            found[name] = float(spearmanr(said, table["effect"]).statistic)
        yield dict(found)


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rpi", type=Path, required=True)
    parser.add_argument("--scan", type=Path, required=True)
    parser.add_argument("--genome", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parts = ("rna_pairs", "fitness")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument(
        "--checkpoints", type=Path, help="folder from which a training goes on that was ended"
    )
    parser.add_argument("--again", action="store_true", help="also run arms that are stored")
    given = parser.parse_args()
    scale = SCALES[given.scale]
    stored = StoredParts(
        "bsm_tasks",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "scikit-learn", "torch", "transformers", "biopython", "pyrodigal"),
        "RPI1807 of IPMiner; mutational scan of TEM-1 (Stiffler et al. 2015) in facebookresearch/esm (MIT); genes of "
        "C. diphtheriae NCTC 11397 (RefSeq NZ_LN831026, public domain)",
    ).read(where={"name": given.scale, "settings": scale["settings"]})
    for part in given.part:
        known = {} if given.again else stored.figures.get(part, {})
        folder = None if given.checkpoints is None else given.checkpoints / part
        found = (
            rna_pairs(read_pairs(given.rpi), scale, given.device, known, folder)
            if part == "rna_pairs"
            else fitness(given.scan, given.genome, scale, given.device, known, folder)
        )
        while True:
            with stored.timed(part, since=stored.seconds.get(part, 0.0) if known else 0.0):
                one = next(found, None)
            if one is None:
                break
            known = stored.figures[part] = one
            stored.write([SEED])
            print(json.dumps(one, indent=1, default=float), flush=True)


if __name__ == "__main__":
    main()
