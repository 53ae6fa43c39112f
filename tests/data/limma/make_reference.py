"""Make ``reference.json``: numbers of R limma on small simulated matrices, so that tests compare without R.

Run ``python tests/data/limma/make_reference.py`` from the repository root where Rscript and limma are
installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from benchmarks.limma_cases import all_cases  # noqa: E402
from benchmarks.limma_oracle import COLUMNS, run_limma  # noqa: E402

SIZE, SEED, LFC = (60, 10, 1), 7, 0.4


def plain(array: np.ndarray) -> list[Any]:
    """Nested lists with None for NaN and the text ``inf`` for infinity; 17 significant digits survive JSON."""
    if array.ndim == 2:
        return [plain(row) for row in array]
    return [None if np.isnan(x) else "inf" if np.isinf(x) else float(x) for x in array]


def main() -> None:
    cases, versions = {}, {}
    matrices: dict[str, list[Any]] = {}
    for case in all_cases(*SIZE, seed=SEED):
        if "fixed" in case.options:
            continue
        theirs = run_limma(case.values, case.design, lfc=LFC, **case.options)
        versions = theirs["versions"]
        key = next((k for k, v in matrices.items() if v == plain(case.values)), f"matrix {len(matrices) + 1}")
        matrices[key] = plain(case.values)
        options = {
            k: v if isinstance(v, bool) else plain(np.asarray(v, dtype=float))
            for k, v in case.options.items()
        }
        cases[case.name] = {
            "values": key,
            "options": options,
            "correlation": theirs["correlation"],
            "limma": {column: plain(theirs[column]) for column in COLUMNS},
        }
    design = all_cases(*SIZE, seed=SEED)[0].design
    record = {
        "made_by": "tests/data/limma/make_reference.py",
        "versions": versions,
        "lfc": LFC,
        "design": plain(design),
        "matrices": matrices,
        "cases": cases,
    }
    (HERE / "reference.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
