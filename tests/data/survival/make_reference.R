# Reference values of Cox models (Efron ties, strata) and of cox.zph, by R survival 3.5-3: Rscript make_reference.R
# patients.csv is simulated: four features, one with missing values; tied times; three strata.
library(survival)
d <- read.csv("patients.csv")
out <- NULL
for (f in paste0("P",0:3)) for (model in c("plain","covariate","strata")) {
  k <- d[!is.na(d[[f]]),]; k$x <- (k[[f]]-mean(k[[f]]))/sd(k[[f]])
  fm <- switch(model, plain=Surv(days,event)~x, covariate=Surv(days,event)~x+age, strata=Surv(days,event)~x+age+strata(site))
  fit <- coxph(fm, k, control=coxph.control(eps=1e-13,iter.max=50))
  null <- coxph(update(fm, .~.-x), k, control=coxph.control(eps=1e-13,iter.max=50))
  s <- summary(fit)$coefficients
  for (tr in c("identity","log","km")) {
    z <- cox.zph(fit, transform=tr, terms=FALSE, global=FALSE)
    out <- rbind(out, data.frame(feature=f, model=model, transform=tr, coef=s["x","coef"], se=s["x","se(coef)"], p=s["x","Pr(>|z|)"], loglik=fit$loglik[2], null_loglik=if(model=="plain") fit$loglik[1] else null$loglik[2], zph=z$table["x","chisq"]))
  }
}
write.csv(format(out,digits=15), "reference.csv", row.names=FALSE, quote=FALSE)
