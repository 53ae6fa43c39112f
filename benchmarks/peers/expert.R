# What an expert who knows limma writes for a table of intensities: read, filter, log2, normalise, fit, eBayes, treat.
# Usage: Rscript expert.R settings.json results.csv
# The expert knows the layout of each file and the design; both are in the settings, which an analyst would type by hand.

suppressMessages({library(limma); library(data.table); library(jsonlite)})
arguments <- commandArgs(TRUE)
s <- fromJSON(arguments[1], simplifyVector = FALSE)
set.seed(1)

# ---- read -------------------------------------------------------------------------------------------------------------
table <- fread(s$file, sep = if (is.null(s$sep)) "auto" else s$sep, integer64 = "numeric", data.table = FALSE)
if (isTRUE(s$samples_in_rows)) {
  values <- t(as.matrix(table[, setdiff(names(table), c(s$id, unlist(s$not_values)))]))
  storage.mode(values) <- "double"
  colnames(values) <- as.character(table[[s$id]])
  in_table <- table[, unlist(s$not_values), drop = FALSE]
} else {
  for (column in unlist(s$drop_marked)) table <- table[!(table[[column]] %in% "+"), , drop = FALSE]
  columns <- grep(s$values, names(table), value = TRUE, perl = TRUE)
  values <- as.matrix(table[, columns]); storage.mode(values) <- "double"
  colnames(values) <- if (is.null(s$strip)) columns else sub(s$strip, "", columns, perl = TRUE)
  rownames(values) <- as.character(table[[s$id]])
}
values[values == 0] <- NA
y <- log2(values)

sheet <- if (!is.null(s$sheet)) {
  sheet <- fread(s$sheet, data.table = FALSE)
  sheet[match(colnames(y), as.character(sheet[[s$sheet_id]])), , drop = FALSE]
} else if (!is.null(s$groups)) {
  data.frame(group = sub(s$groups, "\\1", colnames(y), perl = TRUE))
} else in_table

# Repeats of one subject are averaged: they are not independent.
if (!is.null(s$repeat_pattern)) {
  subject <- sub(s$repeat_pattern, "", colnames(y), perl = TRUE)
  sheet <- sheet[!duplicated(subject), , drop = FALSE]
  y <- avearrays(y, ID = subject)
}

# ---- normalise --------------------------------------------------------------------------------------------------------
if (s$normalise == "median") {  # over proteins seen in every sample, where there are enough
  whole <- rowSums(is.na(y)) == 0
  middle <- apply(if (sum(whole) >= 50) y[whole, ] else y, 2, median, na.rm = TRUE)
  y <- sweep(y, 2, middle - mean(middle))
}
if (s$normalise == "cyclicloess") y <- normalizeCyclicLoess(y, method = "fast")

# ---- design -----------------------------------------------------------------------------------------------------------
keep <- stats::complete.cases(sheet[, c(s$factor, unlist(s$covariates)), drop = FALSE])
y <- y[, keep, drop = FALSE]; sheet <- sheet[keep, , drop = FALSE]
group <- factor(make.names(sheet[[s$factor]]))
terms <- sheet[, unlist(s$covariates), drop = FALSE]
terms[] <- lapply(terms, function(x) if (is.numeric(x)) x else factor(x))
frame <- data.frame(group = group, terms, check.names = TRUE)
X <- model.matrix(as.formula(paste("~ 0 + group", paste(c("", names(frame)[-1]), collapse = " + "))), frame)
colnames(X) <- make.names(sub("^group", "", colnames(X)))

# ---- filter: at least two values (or a third of the group) in each group that is compared ------------------------------
enough <- function(Y, a, b) {
  valid <- function(g) { n <- rowSums(!is.na(Y[, group == g, drop = FALSE])); n >= max(2, sum(group == g) / 3) }
  valid(a) & valid(b)
}

# ---- imputation that is common in scripts: draws from the low tail of each sample --------------------------------------
imputed <- function(Y) apply(Y, 2, function(v) {
  gone <- is.na(v)
  v[gone] <- rnorm(sum(gone), mean(v, na.rm = TRUE) - 1.8 * sd(v, na.rm = TRUE), 0.3 * sd(v, na.rm = TRUE)); v
})

tested <- function(Y, pair, method) {
  a <- make.names(pair[[1]]); b <- make.names(pair[[2]])
  fit <- lmFit(Y, X)
  fit <- contrasts.fit(fit, makeContrasts(contrasts = paste(a, b, sep = " - "), levels = X))
  usable <- rowSums(is.finite(fit$coefficients)) == 1 & fit$df.residual > 0
  fit <- fit[usable, ]
  if (method == "treat") {
    fit <- treat(fit, lfc = log2(1.2), trend = TRUE, robust = TRUE)
    found <- topTreat(fit, coef = 1, number = Inf, sort.by = "none")
  } else {
    fit <- eBayes(fit, trend = TRUE, robust = TRUE)
    found <- topTable(fit, coef = 1, number = Inf, sort.by = "none")
  }
  data.frame(feature = rownames(fit$coefficients), contrast = paste(pair[[1]], "vs", pair[[2]]), effect = found$logFC,
             p = found$P.Value, q = found$adj.P.Val)
}

everything <- list()
for (pair in s$contrasts) {
  a <- make.names(pair[[1]]); b <- make.names(pair[[2]])
  Y <- y[enough(y, a, b), , drop = FALSE]
  for (method in c("eBayes", "treat"))
    everything[[length(everything) + 1]] <- cbind(method = method, tested(Y, pair, method))
  # With imputation, a protein that is seen well in one of the groups is tested, too.
  either <- sapply(c(a, b), function(g) rowSums(!is.na(y[, group == g, drop = FALSE])) >= max(2, 2 / 3 * sum(group == g)))
  filled <- imputed(y)[rowSums(either) > 0, , drop = FALSE]
  everything[[length(everything) + 1]] <- cbind(method = "imputed", tested(filled, pair, "eBayes"))
}
fwrite(do.call(rbind, everything), arguments[2])
