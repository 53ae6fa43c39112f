# Reference values of random-intercept models by restricted maximum likelihood, by R nlme: Rscript make_reference.R
# visits.csv is simulated: four features, one with missing values; two to five visits of each subject.
library(nlme)
d <- read.csv("visits.csv"); d$a <- as.numeric(d$arm == "a")
out <- NULL
for (f in paste0("P", 0:3)) for (model in c("change", "group")) {
  k <- d[!is.na(d[[f]]), ]; k$y <- k[[f]]
  fm <- if (model == "change") y ~ week else y ~ week * a
  fit <- lme(fm, random = ~1 | subject, data = k, method = "REML", control = lmeControl(opt = "optim", reltol = 1e-14, msMaxIter = 500))
  term <- if (model == "change") "week" else "week:a"
  v <- as.numeric(VarCorr(fit)[, 1])
  out <- rbind(out, data.frame(feature = f, model = model, coef = fixef(fit)[term], se = sqrt(diag(fit$varFix))[term],
    between = v[1], within = v[2]))
}
write.csv(format(out, digits = 12), "reference.csv", row.names = FALSE, quote = FALSE)
