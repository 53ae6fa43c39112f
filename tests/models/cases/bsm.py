"""The case of BSM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nereus.models.sequences.bsm.scoring import best_threshold
from tests.models.cases.case import Bad, Case

CODONS = {
    "A": "GCT",
    "D": "GAT",
    "F": "TTT",
    "G": "GGT",
    "K": "AAA",
    "L": "CTG",
    "M": "ATG",
    "S": "TCT",
    "W": "TGG",
}
PROTEINS = ["MAKDFLGS", "MSSWKLAD", "MGFFADKL", "MLLKWSGA", "MDDKAFGL", "MWASGKLF", "MKKLFFAD", "MFGSDAWL"]
GENES = ["".join(CODONS[one] for one in protein) for protein in PROTEINS]


def genes_with_proteins() -> pd.DataFrame:
    """Rows of both kinds, joined by gene, symbol and document."""
    rows = []
    for i, (gene, protein) in enumerate(zip(GENES, PROTEINS, strict=True)):
        for sequence, modality in ((gene, "dna"), (gene.replace("T", "U"), "rna"), (protein, "protein")):
            rows.append((sequence, modality, f"g{i}", f"r{i // 2}", f"d{i // 4}"))
    return pd.DataFrame(rows, columns=["sequence", "modality", "gene", "related", "document"])


def _data() -> tuple[pd.DataFrame, np.ndarray]:
    table = genes_with_proteins()
    return table, np.where(table["modality"] == "protein", table.index % 2, np.nan)


def _table() -> tuple[pd.DataFrame, dict[str, Any]]:
    proteins = [*PROTEINS, *(one[0] + one[:0:-1] for one in PROTEINS)]  # half of them are held out, and judge
    genes = ["".join(CODONS[one] for one in protein) for protein in proteins]
    table = pd.DataFrame({"protein": proteins, "fitness": np.linspace(-1, 1, len(proteins)), "of": genes})
    return table, {"sequence": "protein", "target": "fitness", "partner": "of"}


ASKED = pd.DataFrame({"sequence": PROTEINS[:3], "modality": "protein"})
CASE = Case(
    settings={
        "layers": 1,
        "width": 16,
        "heads": 2,
        "context": 48,
        "codons": [3, 8],
        "tokens": 2400,
        "validation": 0.3,
        "annealing_batches": 1,
        "training": {"epochs": 2, "batch_size": 8},
        "finetuning": {"epochs": 2},
    },
    data=_data,
    asks={
        "predict": lambda m: m.predict_proba(ASKED),  # type: ignore[attr-defined]
        "score": lambda m: m.score(ASKED),  # type: ignore[attr-defined]
        "embed": lambda m: m.embed(ASKED),  # type: ignore[attr-defined]
        "generate": lambda m: m.generate(ASKED, n=2, letters=4),  # type: ignore[attr-defined]
        "explain": lambda m: m.explain_table(
            ASKED, {"sequence": "sequence", "modality": "modality"}, parts=3
        ),
    },
    table=_table,
    bad={
        "letter of no alphabet": Bad(
            lambda m: m.fit(["ACGT", "MK1L"]), "row 1: '1' at position 3 is no letter"
        ),
        "letter of another alphabet": Bad(
            lambda m: m.set_params(modality="dna").fit(["ACGT", "ACLT"]),
            "'L' at position 3 is no letter of dna",
        ),
        "empty sequence": Bad(lambda m: m.fit(["ACGT", " "]), "row 1: the sequence is empty"),
        "no sequence": Bad(lambda m: m.fit([]), "there is no sequence"),
        "longer than the context": Bad(
            lambda m: m.set_params(too_long="error").fit(["ACGT", "ACGT" * 20]),
            "83 tokens, the context holds 48",
        ),
        "unknown modality": Bad(
            lambda m: m.fit(pd.DataFrame({"sequence": ["ACGT"], "modality": ["lipid"]})),
            "no modality 'lipid'",
        ),
        "pair with one sequence": Bad(
            lambda m: m.fit(
                pd.DataFrame({"sequence": ["MKL", "MSL"], "partner": [GENES[0], None]}), [0.5, 1.5]
            ),
            "row 1: a pair is asked for, and one sequence is given",
        ),
        "one class": Bad(
            lambda m: m.fit(PROTEINS, np.ones(8)), r"needs two classes, the targets are all \[1\]"
        ),
        "no known target": Bad(lambda m: m.fit(PROTEINS, np.full(8, np.nan)), "needs two classes"),
        "too few targets": Bad(lambda m: m.fit(PROTEINS, [1, 0]), "2 targets for 8 sequences"),
        "prediction without a target": Bad(
            lambda m: m.fit(PROTEINS).predict(PROTEINS), "without a target, so it predicts nothing"
        ),
        "threshold on one class": Bad(
            lambda m: best_threshold(np.arange(3.0), np.ones(3)), "linked and unlinked"
        ),
        "no such pre-trained method": Bad(
            lambda m: m.set_params(pretrained="nowhere").fit(PROTEINS), "no trained method here"
        ),
    },
)
