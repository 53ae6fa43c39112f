"""R limma as an oracle: fits of the same matrices by the reference implementation, where Rscript and limma exist.

Debian: ``apt-get install r-bioc-limma r-cran-statmod``. Nothing of it is needed to use or to test Nereus.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

# Calls limma's documented interface only: lmFit, eBayes, treat, duplicateCorrelation.
SCRIPT = """
suppressMessages({library(limma); library(statmod)})
folder <- commandArgs(TRUE)[1]
read <- function(name) as.matrix(read.table(file.path(folder, name), sep = "\\t", na.strings = "nan"))
keep <- function(x, name)
  write.table(format(x, digits = 17), file.path(folder, name), sep = "\\t", row.names = FALSE, col.names = FALSE, quote = FALSE)
Y <- read("values.tsv"); X <- read("design.tsv")
options <- read.table(file.path(folder, "options.tsv"), sep = "\\t", header = TRUE)
block <- if (options$block) scan(file.path(folder, "block.tsv"), quiet = TRUE) else NULL
weights <- if (options$weights) read("weights.tsv") else NULL
if (options$block) {
  each <- duplicateCorrelation(Y, X, block = block)
  keep(cbind(each$consensus.correlation), "correlation.tsv")
  fit <- lmFit(Y, X, block = block, correlation = each$consensus.correlation)
} else fit <- lmFit(Y, X, weights = weights)
covariate <- if (options$covariate) scan(file.path(folder, "covariate.tsv"), quiet = TRUE) else NULL
if (options$covariate) fit$Amean <- covariate
e <- eBayes(fit, trend = options$trend, robust = options$robust)
n <- nrow(Y)
# treat() stops when any coefficient cannot be estimated; its columns are then empty.
beyond <- matrix(NA_real_, n, 2)
t <- tryCatch(treat(fit, lfc = options$lfc, trend = options$trend, robust = options$robust), error = function(e) NULL)
if (!is.null(t)) beyond <- cbind(t$t[, 2], t$p.value[, 2])
keep(cbind(e$coefficients[, 2], e$t[, 2], e$p.value[, 2], e$s2.post, rep_len(e$df.prior, n), rep_len(e$s2.prior, n),
           e$df.total, beyond), "result.tsv")
cat(paste(R.version$major, R.version$minor, sep = "."), as.character(packageVersion("limma")),
    as.character(packageVersion("statmod")), "\\n")
"""
COLUMNS = (
    "effect",
    "statistic",
    "p",
    "variance",
    "df_prior",
    "variance_prior",
    "df",
    "treat_statistic",
    "treat_p",
)


def available() -> bool:
    """Whether R is on the path."""
    return shutil.which("Rscript") is not None


def run_limma(
    values: np.ndarray,
    design: np.ndarray,
    *,
    trend: bool = False,
    robust: bool = False,
    covariate: np.ndarray | None = None,
    lfc: float = 0.4,
    block: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Fit and test the second coefficient of a design with limma.

    Returns the columns `COLUMNS` as arrays of shape (features,), ``correlation`` (None without blocks) and
    ``versions``.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savetxt(folder / "values.tsv", values, delimiter="\t", fmt="%.17g")
        np.savetxt(folder / "design.tsv", design, delimiter="\t", fmt="%.17g")
        for file, array in (("block", block), ("covariate", covariate), ("weights", weights)):
            if array is not None:
                np.savetxt(folder / f"{file}.tsv", array, delimiter="\t", fmt="%.17g")
        flags = {
            "trend": trend,
            "robust": robust,
            "block": block is not None,
            "covariate": covariate is not None,
            "weights": weights is not None,
        }
        header = "\t".join([*flags, "lfc"])
        row = "\t".join([*(str(flag).upper() for flag in flags.values()), str(lfc)])
        (folder / "options.tsv").write_text(f"{header}\n{row}\n")
        (folder / "oracle.R").write_text(SCRIPT)
        done = subprocess.run(
            ["Rscript", str(folder / "oracle.R"), str(folder)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        table = np.genfromtxt(
            folder / "result.tsv", delimiter="\t", missing_values="NA", filling_values=np.nan
        )
        result: dict[str, Any] = {column: table[:, i] for i, column in enumerate(COLUMNS)}
        correlation = folder / "correlation.tsv"
        result["correlation"] = float(correlation.read_text()) if correlation.exists() else None
        result["versions"] = dict(zip(("R", "limma", "statmod"), done.stdout.split(), strict=True))
        return result
