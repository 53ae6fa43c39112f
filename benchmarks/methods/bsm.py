"""BSM: does a decoder that reads genes and proteins together learn what each says of the other, with the same tokens?

    python -m benchmarks.methods.bsm --genome FILE [--device auto] [--scale cpu|gpu] [--part NAME ...]

`--genome`: FASTA of C. diphtheriae NCTC 11397 (RefSeq NZ_LN831026, public domain; a copy lies in althonos/pyrodigal under
src/pyrodigal/tests/data), whose genes pyrodigal calls (GPL-3; installed for this benchmark only: ``pip install pyrodigal``).
Parts that are not named keep what the stored result holds of them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.stored_parts import StoredParts
from nereus.models.sequences.alphabets import Biosequence
from nereus.models.sequences.bsm import BSM
from nereus.models.sequences.bsm.config import Mix, Round
from nereus.models.sequences.bsm.scoring import best_threshold
from nereus.models.sequences.families import families, family_split
from nereus.models.sequences.files import read_sequence_file

SEEDS = (0, 1, 2)
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "codons": 5, "tokens": 560_000,
        "settings": {"layers": 2, "width": 128, "heads": 8, "context": 104, "rope_base": 1e4,
                     "training": {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "weight_decay": 0.01,
                                  "warmup": 0.07, "clip_norm": 1.0}},
    },
    "gpu": {
        "codons": 60, "tokens": 200_000_000,
        "settings": {"layers": 6, "width": 384, "heads": 12, "context": 1024,
                     "training": {"epochs": 20, "batch_size": 64, "learning_rate": 1e-3, "weight_decay": 0.01,
                                  "warmup": 0.02, "clip_norm": 1.0, "precision": "bfloat16"}},
    },
}  # fmt: skip
ARMS = {"single": Mix(single=1), "mixed": Mix(pairs=1)}
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
OTHERS = 2
"""Windows of other genes that each protein is read after."""


def genes_of(genome: Path) -> pd.DataFrame:
    """``gene, dna, protein`` of the complete genes of both strands, without the stop codon."""
    import pyrodigal

    letters = read_sequence_file(genome)["sequence"].iloc[0].encode()
    finder = pyrodigal.GeneFinder()
    finder.train(letters, translation_table=11)
    rows = []
    for number, one in enumerate(finder.find_genes(letters)):
        protein = one.translate(include_stop=False)
        if not (one.partial_begin or one.partial_end) and set(protein) <= set(RESIDUES):
            rows.append((f"g{number}", one.sequence()[: 3 * len(protein)], protein))
    return pd.DataFrame(rows, columns=["gene", "dna", "protein"])


def corpus(genes: pd.DataFrame) -> pd.DataFrame:
    """One row a sequence, the columns of the method."""
    rows = [
        row
        for one in genes.itertuples()
        for row in ((one.dna, "dna", one.gene), (one.protein, "protein", one.gene))
    ]
    return pd.DataFrame(rows, columns=["sequence", "modality", "gene"])


def windows(genes: pd.DataFrame, codons: int, each: int, seed: int) -> pd.DataFrame:
    """Windows drawn from genes, with their proteins: ``protein, own, gene``."""
    rng = np.random.default_rng(seed)
    rows = []
    for one in genes[genes["protein"].str.len() >= codons].itertuples():
        for start in rng.integers(0, len(one.protein) - codons + 1, each):
            rows.append(
                (one.protein[start : start + codons], one.dna[3 * start : 3 * (start + codons)], one.gene)
            )
    frame = pd.DataFrame(rows, columns=["protein", "own", "gene"])
    return frame


def tiles(genes: pd.DataFrame, codons: int, seed: int) -> pd.DataFrame:
    """All windows of genes, side by side, each with windows of other genes: ``protein, own, gene, other_0, ...``.

    Every window of DNA is once its own protein's and once each other column's, so the gap between the columns is of what belongs
    together alone, not of which windows were drawn.
    """
    rows = [
        (one.protein[start : start + codons], one.dna[3 * start : 3 * (start + codons)], one.gene)
        for one in genes.itertuples()
        for start in range(0, len(one.protein) - codons + 1, codons)
    ]
    frame = pd.DataFrame(rows, columns=["protein", "own", "gene"])
    most = int(frame["gene"].value_counts().max())
    shifts = np.random.default_rng(seed).integers(most, len(frame) - most + 1, OTHERS)
    for number, shift in enumerate(
        shifts
    ):  # further than any gene is long: always another gene of the same part
        frame[f"other_{number}"] = np.roll(frame["own"].to_numpy(), shift)
    return frame


def edited(proteins: pd.Series, background: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Proteins with two residues of five replaced, by others as frequent as in proteins at large."""
    found = []
    for one in proteins:
        letters = list(one)
        for place in rng.choice(len(letters), max(1, round(0.4 * len(letters))), replace=False):
            weights = background * (np.array(list(RESIDUES)) != letters[place])
            letters[place] = str(rng.choice(list(RESIDUES), p=weights / weights.sum()))
        found.append("".join(letters))
    return found


def pair_frame(proteins: list[str], dna: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"sequence": proteins, "modality": "protein", "partner": dna, "partner_modality": "dna"}
    )


def markov(train: pd.DataFrame, judged: pd.Series, order: int) -> float:
    """Nats a residue of windows under counts of residues after `order` earlier ones, with half a count added."""
    counts = np.full((20,) * (order + 1), 0.5)
    number = {one: i for i, one in enumerate(RESIDUES)}
    for protein in train["protein"]:
        codes = np.array([number[one] for one in protein])
        np.add.at(counts, tuple(codes[i : len(codes) - order + i] for i in range(order + 1)), 1)
    p = counts / counts.sum(-1, keepdims=True)
    first = counts.reshape(-1, 20).sum(0) / counts.sum()
    total, n = 0.0, 0
    for one in judged:
        codes = [number[letter] for letter in one]
        for i, code in enumerate(codes):
            total -= np.log(p[(*codes[i - order : i], code)] if i >= order else first[code])
            n += 1
    return float(total / n)


def split(genes: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Training, validation and test genes; families of similar proteins are never cut."""
    parts = family_split(
        [Biosequence(one, "protein") for one in genes["protein"]], (0.8, 0.05, 0.15), seed=seed
    )
    return genes.iloc[parts.train], genes.iloc[parts.valid], genes.iloc[parts.test]


def pairs(genes: pd.DataFrame, scale: dict[str, Any], device: str) -> dict[str, Any]:
    """Both arms with the same tokens, judged on genes of other families: likelihoods, pairs, demonstrations."""
    runs: list[dict[str, Any]] = []
    baselines = []
    codons = scale["codons"]
    for seed in SEEDS:
        train, valid, test = split(genes, seed)
        every = tiles(test, codons, seed)
        judged, tuning = windows(test, codons, 3, seed), windows(valid, codons, 3, seed)
        counts = np.array([train["protein"].str.count(one).sum() for one in RESIDUES], dtype=float)
        baselines.append(
            {"seed": seed, "residue_frequencies": markov(train, every["protein"], 0),
             "first_order_markov": markov(train, every["protein"], 1),
             "genes": {"train": len(train), "valid": len(valid), "test": len(test)},
             "windows": len(every), "windows_of_edits": len(judged)}
        )  # fmt: skip
        print(baselines[-1], flush=True)
        for arm, mix in ARMS.items():
            started = time.process_time()
            model = BSM(
                **scale["settings"],
                codons=(codons, codons),
                tokens=scale["tokens"],
                rounds=(Round(mix=(mix,), share=1.0, rate=1.0, end_rate=0.05),),
                validation=0,
                random_state=seed,
                device=device,
            ).fit(corpus(train))
            row = {"seed": seed, "arm": arm, "processor_seconds": round(time.process_time() - started, 1)}
            row |= likelihoods(model, every)
            row |= discrimination(model, tuning, judged, counts / counts.sum(), seed)
            runs.append(row)
            print(row, flush=True)
    return summary(runs, baselines)


def summary(runs: list[dict[str, Any]], baselines: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, the worst of them, and what they are held against."""
    frame = pd.DataFrame(runs)
    numbers = [one for one in frame.columns if one not in ("seed", "arm", "gap_by_other")]
    single = frame[frame["arm"] == "single"].reset_index(drop=True)
    worst = single.loc[single["gap"].abs().idxmax()]
    return {
        "runs": runs,
        "mean": frame.groupby("arm")[numbers].mean().to_dict("index"),
        "worst_mixed_gap": float(frame.loc[frame["arm"] == "mixed", "gap"].min()),
        "worst_mixed_auroc": float(frame.loc[frame["arm"] == "mixed", "auroc"].min()),
        "largest_single_gap": float(abs(worst["gap"])),
        "its_standard_error": float(worst["gap_error"]),
        "its_nats_after_own_gene": float(worst["own_gene"]),
        "baselines": baselines,
        "baseline_mean": pd.DataFrame(baselines)[["residue_frequencies", "first_order_markov"]]
        .mean()
        .to_dict(),
        "thresholds": {"mixed_gap": 0.05, "single_gap": 0.02, "mixed_auroc": 0.6},
        "note": "translating by the genetic code tells every residue and every edit: nats 0, AUROC 1",
    }


def likelihoods(model: BSM, every: pd.DataFrame) -> dict[str, float]:
    """Nats a residue: alone, after its own gene, after other genes; the gap between these, and its standard error over genes."""
    proteins = every["protein"].tolist()
    letters = every["protein"].str.len().to_numpy()
    n = letters.sum()
    own = -model.score(pair_frame(proteins, every["own"].tolist()))
    others = [
        -model.score(pair_frame(proteins, every[f"other_{number}"].tolist())) for number in range(OTHERS)
    ]
    other = np.mean(others, axis=0)
    alone = -model.score(pair_frame(proteins, every["own"].tolist()), partner="ignored")
    dna = pd.DataFrame({"sequence": every["own"], "modality": "dna"})
    gap = (other - own).sum() / n
    return {
        "alone": float(alone.sum() / n), "own_gene": float(own.sum() / n), "other_gene": float(other.sum() / n),
        "gap": float(gap), "gap_error": standard_error(other - own - gap * letters, every["gene"]) / float(n),
        "gap_by_other": [float((one - own).sum() / n) for one in others],
        "dna_alone": float(-model.score(dna).sum() / (3 * n)),
    }  # fmt: skip


def standard_error(excess: np.ndarray, gene: pd.Series) -> float:
    """Of a sum over windows, whose genes were drawn and not they: from the sums of each gene."""
    by_gene = pd.Series(excess).groupby(gene.to_numpy()).sum().to_numpy()
    return float(np.sqrt((by_gene**2).sum() * len(by_gene) / (len(by_gene) - 1)))


def discrimination(
    model: BSM, tuning: pd.DataFrame, judged: pd.DataFrame, background: np.ndarray, seed: int
) -> dict[str, float]:
    """True proteins against two edits of each: AUROC, and accuracy at a threshold that validation pairs gave."""
    scores, truths = {}, {}
    for part, frame in (("tuning", tuning), ("judged", judged)):
        rng = np.random.default_rng(seed)
        proteins = frame["protein"].tolist() + [
            p for _ in range(2) for p in edited(frame["protein"], background, rng)
        ]
        truths[part] = np.repeat([1, 0], [len(frame), 2 * len(frame)])
        scores[part] = model.score(pair_frame(proteins, frame["own"].tolist() * 3))
        if part == "judged":
            some = np.concatenate([np.arange(min(150, len(frame))) + k * len(frame) for k in range(3)])
            found = {}
            for k in (0, 1, 2):
                shown = [(d, p) for d, p in zip(tuning["own"][:k], tuning["protein"][:k], strict=True)]
                asked = [(frame["own"].tolist()[i % len(frame)], proteins[i]) for i in some]
                icl = _icl(model, shown, asked)
                found[f"auroc_{k}_shown"] = float(roc_auc_score(truths[part][some], icl))
    cut = best_threshold(scores["tuning"], truths["tuning"])
    return {
        "auroc": float(roc_auc_score(truths["judged"], scores["judged"])),
        "accuracy": float(((scores["judged"] >= cut) == truths["judged"]).mean()),
        "majority": 2 / 3,
        **found,
    }


def _icl(model: BSM, shown: list[tuple[str, str]], asked: list[tuple[str, str]]) -> np.ndarray:
    """Scores in context; proteins of five residues are told by the column, not by their letters."""
    return model.score(pair_frame([b for _, b in asked], [a for a, _ in asked]), demonstrations=shown)


def annealing(genes: pd.DataFrame, scale: dict[str, Any], device: str) -> dict[str, Any]:
    """A round with three mixes: every candidate is logged, and the one with the lowest validation loss is trained on."""
    train, _, _ = split(genes, 0)
    candidates = (Mix(single=1), Mix(single=1, pairs=1), Mix(pairs=1))
    model = BSM(
        **scale["settings"],
        codons=(scale["codons"],) * 2,
        tokens=scale["tokens"] // 14,
        rounds=(
            Round(mix=(Mix(single=1),), share=1.0),
            Round(mix=candidates, share=1.0, rate=1.0, end_rate=0.0),
        ),
        annealing_batches=20,
        validation=0.1,
        device=device,
    ).fit(corpus(train))
    tried = [one for one in model.mixes_ if one["round"] == 2]
    losses = [one["validation"] for one in tried]
    chosen = [one["candidate"] for one in tried if one["chosen"]]
    return {
        "candidates": tried,
        "chosen_is_lowest": chosen == [int(np.argmin(losses)) + 1],
        "all_logged": len(tried) == len(candidates),
    }


def homology(genes: pd.DataFrame) -> dict[str, Any]:
    """What a split at random would have put on both sides."""
    group = families([Biosequence(one, "protein") for one in genes["protein"]])
    rng = np.random.default_rng(0)
    test = np.zeros(len(genes), dtype=bool)
    test[rng.permutation(len(genes))[: round(0.15 * len(genes))]] = True
    train, _, ours = split(genes, 0)
    family = dict(zip(genes["gene"], group.tolist(), strict=True))
    own = {family[one] for one in train["gene"]}
    return {
        "genes": len(genes),
        "families": int(group.max() + 1),
        "largest_family": int(np.bincount(group).max()),
        "test_genes_with_relatives_in_a_random_split": float(np.isin(group[test], group[~test]).mean()),
        "in_ours": float(np.mean([family[one] in own for one in ours["gene"]])),
    }


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genome", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parts = ("homology", "annealing", "pairs")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    given = parser.parse_args()
    scale = SCALES[given.scale]
    genes = genes_of(given.genome)
    stored = StoredParts(
        "bsm",
        {"name": given.scale, **scale},
        ("numpy", "scipy", "pandas", "torch", "transformers", "biopython", "pyrodigal"),
        "genes of C. diphtheriae NCTC 11397 (RefSeq NZ_LN831026, public domain), called with pyrodigal",
    ).read()
    for part in given.part:
        with stored.timed(part):
            stored.figures[part] = (
                homology(genes)
                if part == "homology"
                else {"annealing": annealing, "pairs": pairs}[part](genes, scale, given.device)
            )
        stored.write(SEEDS)
        print(json.dumps(stored.figures[part], indent=1, default=float)[:3000], flush=True)


if __name__ == "__main__":
    main()
