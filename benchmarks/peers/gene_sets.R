# Gene-set tests of limma for one study: camera with the preset and with the estimated correlation, fry and mroast.
# Usage: Rscript gene_sets.R folder results.csv
# The folder holds values.csv (genes in rows), groups.csv (sample, group: 1 against 0) and sets.csv (set, gene).

suppressMessages({library(limma); library(data.table)})
arguments <- commandArgs(TRUE)
set.seed(1)
values <- fread(file.path(arguments[1], "values.csv"), data.table = FALSE)
y <- as.matrix(values[, -1]); rownames(y) <- values[[1]]
group <- fread(file.path(arguments[1], "groups.csv"), data.table = FALSE)$group
sets <- fread(file.path(arguments[1], "sets.csv"), data.table = FALSE)
index <- ids2indices(split(sets$gene, sets$set), rownames(y), remove.empty = TRUE)
X <- cbind(1, group)

told <- function(method, found, seconds) data.frame(
  method = method, set = rownames(found), p = found$PValue, q = p.adjust(found$PValue, "BH"),
  up = found$Direction == "Up", seconds = seconds)
timed <- function(method, call) {
  start <- proc.time()[["elapsed"]]
  found <- call()
  told(method, found, proc.time()[["elapsed"]] - start)
}

everything <- rbind(
  timed("camera, preset .01", function() camera(y, index, X, contrast = 2, inter.gene.cor = 0.01)),
  timed("camera, estimated", function() camera(y, index, X, contrast = 2, inter.gene.cor = NA)),
  timed("fry", function() fry(y, index, X, contrast = 2)),
  timed("mroast", function() mroast(y, index, X, contrast = 2, nrot = 1999, set.statistic = "mean")))
fwrite(everything, arguments[2])
