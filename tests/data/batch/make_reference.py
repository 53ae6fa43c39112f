"""Makes `reference.json` with R: ComBat (sva), removeBatchEffect and normalizeCyclicLoess (limma).

Usage: ``python tests/data/batch/make_reference.py`` where Rscript finds sva, limma and jsonlite (Debian packages
r-bioc-sva, r-bioc-limma, r-cran-jsonlite).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
R = """
suppressMessages({library(sva); library(limma); library(jsonlite)})
data <- fromJSON(commandArgs(TRUE)[1])
run <- function(x) {
  x <- t(x)
  mod <- model.matrix(~ factor(data$group))
  list(
    combat = t(suppressMessages(ComBat(x, batch = data$batch, mod = mod))),
    combat_plain = t(suppressMessages(ComBat(x, batch = data$batch))),
    remove = t(removeBatchEffect(x, batch = data$batch, design = mod)),
    loess = t(normalizeCyclicLoess(x, method = "fast"))
  )
}
out <- list(complete = run(data$complete), gaps = run(data$gaps))
out$gaps <- out$gaps["remove"]  # the others weigh features with missing values by the sizes of whole batches
write(toJSON(out, digits = 10, na = "null"), commandArgs(TRUE)[2])
"""


def main() -> None:
    """Draw a small matrix with batch effects, and keep it with what R makes of it."""
    rng = np.random.default_rng(11)
    batch = np.repeat([0, 1, 2], [4, 5, 4])
    group = np.array([0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1])
    level = rng.normal(22, 2, 60)
    X = (
        level
        + rng.normal(0, 1, (3, 60))[batch]
        + rng.normal(0, 1, (13, 60)) * rng.gamma(4, 0.1, (3, 60))[batch]
    )
    X[group == 1, :12] += 1.5
    X = np.round(X, 6)
    gaps = X.copy()
    gaps[rng.random(X.shape) < 0.12] = np.nan
    # R stops where a batch has a single value of a feature; these features keep all values.
    few = [(np.isfinite(gaps[batch == code]).sum(axis=0) < 2) for code in range(3)]
    gaps[:, np.any(few, axis=0)] = X[:, np.any(few, axis=0)]
    told = {"batch": batch.tolist(), "group": group.tolist(), "complete": X.tolist()}
    told["gaps"] = [[None if np.isnan(value) else value for value in row] for row in gaps.tolist()]
    with tempfile.TemporaryDirectory() as folder:
        script, given, made = (Path(folder) / name for name in ("run.R", "in.json", "out.json"))
        script.write_text(R)
        given.write_text(json.dumps(told))
        subprocess.run(["Rscript", str(script), str(given), str(made)], check=True)
        expected = json.loads(made.read_text())
    (HERE / "reference.json").write_text(json.dumps({"data": told, "expected": expected}) + "\n")


if __name__ == "__main__":
    main()
