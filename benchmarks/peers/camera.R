# Gene sets by limma's camera and mroast on the same matrix, design and sets.
# Usage: Rscript camera.R settings.json results.csv
# The settings name a matrix (genes x samples, log2), a design matrix, the tested coefficient, and sets in GMT.

suppressMessages({library(limma); library(data.table); library(jsonlite)})
arguments <- commandArgs(TRUE)
s <- fromJSON(arguments[1])
Y <- as.matrix(read.csv(s$values, row.names = 1, check.names = FALSE))
X <- as.matrix(read.csv(s$design))
lines <- strsplit(readLines(s$sets), "\t")
sets <- ids2indices(setNames(lapply(lines, function(one) one[-(1:2)]), sapply(lines, `[`, 1)), rownames(Y), remove.empty = TRUE)
# camera and mroast take no missing values: a gene's missing values become its fit, as estimable from the others.
filled <- t(apply(Y, 1, function(v) { gone <- is.na(v); if (any(gone)) v[gone] <- mean(v, na.rm = TRUE); v }))
time <- function(expression) { start <- proc.time()[["elapsed"]]; value <- force(expression); list(value, proc.time()[["elapsed"]] - start) }
estimated <- time(camera(filled, sets, X, contrast = s$coefficient, inter.gene.cor = NA, sort = FALSE))
preset <- time(camera(filled, sets, X, contrast = s$coefficient, sort = FALSE))
set.seed(1)
rotated <- time(mroast(filled, sets, X, contrast = s$coefficient, nrot = s$rotations, sort = "none"))
fwrite(data.frame(set = names(sets), camera = estimated[[1]]$PValue, camera_preset = preset[[1]]$PValue,
                  mroast = rotated[[1]]$PValue), arguments[2])
cat(toJSON(list(camera = estimated[[2]], camera_preset = preset[[2]], mroast = rotated[[2]]), auto_unbox = TRUE))
