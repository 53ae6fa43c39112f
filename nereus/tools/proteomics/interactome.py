"""Who binds a bait: pulldowns against controls, or against the pulldowns of other baits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import special, stats

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.left_censored import down_shifted
from nereus.tools.proteomics.matrix import abundance, by_name, obs_column
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]

_MIN_PREYS = 50
"""Preys from which on the distribution of their statistics can be estimated."""
_MIN_BACKGROUND = 20
"""Preys seen in bait and reference that the background is estimated from at least."""
COLUMNS = (
    "interaction", "feature", "gene", "bait", "effect", "se", "ci_low", "ci_high", "statistic", "p", "q",
    "probability", "n_bait", "n_seen_bait", "n_reference", "n_seen_reference", "detection_p", "n_baits_bound",
    "is_bait", "rank",
)  # fmt: skip


class InteractomeParams(Params):
    """Parameters of `score_interactome`."""

    factor: str
    """Column of the sample sheet that names the bait of each pulldown, and the controls."""
    controls: tuple[str, ...] = ()
    """Levels that are controls (empty vector, IgG, untagged). Without any, each bait goes against all other baits."""
    baits: tuple[str, ...] = ()
    """Levels to score; default all that are no controls."""
    bait_features: dict[str, str] = Field(default_factory=dict)
    """Feature of a bait's own protein, where its level is not the gene's symbol."""
    min_seen: int = Field(2, ge=1)
    """Pulldowns of a bait in which a prey is seen at least."""
    n_imputations: int = Field(10, ge=2, le=100)
    """Draws of the missing values; results are combined over them."""
    shift: float = Field(1.8, ge=0, le=5)
    """Missing values are drawn this many standard deviations below a run's mean."""
    width: float = Field(0.3, gt=0, le=2)
    """Standard deviation of these draws, in units of the run's own."""
    level: float = Field(0.05, gt=0, lt=1)
    """False discovery rate at which interactors are counted."""
    min_effect: float = Field(1.0, ge=0)
    """Least log2 enrichment of an interactor: the test is against this enrichment, not against none."""


@tool(
    "score_interactome",
    version="2",
    summary="Score who binds each bait against controls or other baits, with a probability of interaction.",
    outputs=("table:interactors", "table:baits"),
    seconds=2.0,
)
def score_interactome(dataset: AnnData, params: InteractomeParams, *, seed: int) -> Result:
    """Score preys of one or several baits.

    A prey that a control lacks is the clearest interactor and has no ratio, so missing values are drawn from the low end of
    each run, several times; each time a moderated t compares bait and reference, and the results are combined so that what
    the draws leave open widens the error. Most preys of a pulldown are background: the median effect of those seen on both
    sides is the zero. The test asks for more than `min_effect` (TREAT), since small and precise differences between
    pulldowns are no interactions. Preys are ranked by the lower end of the interval of their enrichment. Detection is
    counted separately, on measured values alone: a prey that the reference never shows is tested against drawn values, so
    with two reference runs and `min_effect` 0 a few of those seen in all bait runs are called by chance.

    Parameters
    ----------
    dataset
        Log2 abundance, samples (pulldowns) x features.
    params
        See `InteractomeParams`.
    seed
        Seed of the draws.

    Returns
    -------
    Result
        Table ``interactors``, by bait and rank: interaction (bait | feature), feature, gene, bait, effect (log2 bait
        minus reference), se, 95 % interval, statistic (normal deviate of the test against `min_effect`), p (one-sided),
        q (within the bait), probability (one minus an upper bound of the local false discovery rate), runs with and
        without the prey, detection_p (one-sided hypergeometric), n_baits_bound (baits that enrich the prey: many mean
        a sticky protein or a shared complex), is_bait, rank. Table ``baits``: bait, n_runs, n_reference, n_tested,
        n_found, bait_feature, bait_rank, background (median effect that was subtracted), verdict. Values: n_baits,
        n_found, n_baits_on_top, reference.

    Raises
    ------
    InputError
        Unknown column or level, a bait with fewer than two runs, fewer than two reference runs.

    Notes
    -----
    Moderated t: Smyth 2004; against a least effect: McCarthy & Smyth 2009; combination over draws: Rubin 1987; local
    false discovery rate: Efron 2004, J Am Stat Assoc 99:96. The question is that of SAINT (Choi et al. 2011, Nat
    Methods 8:70), whose model is for spectral counts.
    Against other baits, partners that most baits share go unseen.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(24, 2, 120) + rng.normal(0, 0.3, (6, 120)); X[:3, :4] += 5
    >>> obs = pd.DataFrame({"bait": ["ABC1"] * 3 + ["IgG"] * 3}, index=[f"r{i}" for i in range(6)])
    >>> var = pd.DataFrame({"gene": ["ABC1", *(f"G{i}" for i in range(119))]}, index=[f"P{i}" for i in range(120)])
    >>> found = score_interactome(anndata.AnnData(X, obs=obs, var=var), factor="bait", controls=["IgG"])
    >>> found.values["n_found"], bool(found.table("interactors")["probability"][3] > 0.9)
    (4, True)
    """
    X = abundance(dataset)
    if not dataset.var_names.is_unique:
        raise InputError("feature ids are not unique", mend="make them unique when loading")
    where = f"column {params.factor!r}"
    levels = as_levels(obs_column(dataset, params.factor))
    present = sorted(set(levels.dropna()))
    for name in (*params.controls, *params.baits, *params.bait_features):
        if name not in present:
            raise InputError(f"there is no level {name!r}", where=where, mend=f"levels are {present[:12]}")
    baits = list(params.baits) or [name for name in present if name not in params.controls]
    if not baits or set(baits) & set(params.controls):
        raise InputError(
            "no bait is left beside the controls", where=where, mend="name baits and controls apart"
        )
    if (np.isfinite(X).sum(axis=1) < 2).any():
        raise InputError("a run has fewer than 2 values", mend="leave it out (tool remove_samples)")
    features = [str(name) for name in dataset.var_names]
    genes = [str(gene) for gene in dataset.var["gene"]] if "gene" in dataset.var else [""] * len(features)
    labels = levels.to_numpy()
    rng = np.random.default_rng(seed)
    # Draws belong to names: a table in another order gets the same values.
    order = by_name(dataset)
    sorted_x, back = X[np.ix_(*order)], np.ix_(*(np.argsort(one) for one in order))
    draws = [
        down_shifted(sorted_x, rng, shift=params.shift, width=params.width)[back]
        for _ in range(params.n_imputations)
    ]
    filled = [np.where(np.isfinite(X), X, drawn) for drawn in draws]
    parts, rows, warnings = [], [], []
    for bait in baits:
        inside = np.flatnonzero(labels == bait)
        chosen = (
            np.isin(labels, params.controls)
            if params.controls
            else levels.notna().to_numpy() & (labels != bait)
        )
        outside = np.flatnonzero(chosen)
        for runs, what in ((inside, f"bait {bait!r}"), (outside, f"the reference of {bait!r}")):
            if len(runs) < 2:
                raise InputError(f"{what} has {len(runs)} runs", where=where, mend="two or more are needed")
        own = _own_features(bait, features, genes, params)
        part, background = _score_bait(X, filled, inside, outside, params)
        part = part.assign(
            feature=[features[i] for i in part["row"]], gene=[genes[i] for i in part["row"]], bait=bait,
            is_bait=[i in own for i in part["row"]],
        )  # fmt: skip
        part["size"] = -part["ci_low"]
        part = part.sort_values(["size", "feature"], kind="stable")
        part["rank"] = np.arange(1, len(part) + 1)
        part["interaction"] = bait + " | " + part["feature"]
        part["found"] = part["q"] <= params.level
        ranks = part.loc[part["is_bait"], "rank"]
        top = int(ranks.min()) if len(ranks) else None
        verdict = "bait not measured" if top is None else "bait on top" if top == 1 else "bait not on top"
        if top is not None and top > max(10, 0.05 * len(part)):
            warnings.append(f"the bait {bait!r} does not stand out in its own pulldowns: did they work?")
        if part["probability"].isna().all():
            warnings.append(
                f"{len(part)} preys of {bait!r} are too few for a distribution: no probability is given"
            )
        shown = part.loc[part["is_bait"], "feature"]
        rows.append(
            (
                bait, len(inside), len(outside), len(part), int(part["found"].sum()),
                str(shown.iloc[0]) if len(shown) else "", np.nan if top is None else float(top),
                background, verdict,
            )
        )  # fmt: skip
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    bound = table[table["found"]].groupby("feature").size()
    table["n_baits_bound"] = table["feature"].map(bound).fillna(0).astype(np.int64)
    summary_table = pd.DataFrame(
        rows,
        columns=[
            "bait", "n_runs", "n_reference", "n_tested", "n_found", "bait_feature", "bait_rank", "background",
            "verdict",
        ],
    )  # fmt: skip
    on_top = int((summary_table["bait_rank"] == 1).sum())
    n_found = int(table["found"].sum())
    reference = "controls" if params.controls else "other baits"
    return Result(
        summary=(
            f"{n_found} interactions of {len(baits)} baits against {reference} at q <= {params.level:g}; "
            f"{on_top} baits top their own pulldown."
        ),
        values={
            "n_baits": len(baits),
            "n_found": n_found,
            "n_tested": len(table),
            "n_baits_on_top": on_top,
            "n_baits_measured": int(summary_table["bait_rank"].notna().sum()),
            "reference": reference,
            "share_missing": finite(np.isnan(X).mean()),
        },
        tables={"interactors": table[list(COLUMNS)], "baits": summary_table},
        warnings=tuple(warnings),
        n_total=len(baits) * len(features),
        n_returned=len(table),
    )


def interaction_probability(z: FloatArray) -> FloatArray:
    """One minus an upper bound of the local false discovery rate, rising with z.

    A prey at the boundary of the null hypothesis has a standard normal z, and one below it a smaller z, so ``phi(z) / f(z)``
    with f the density of all z bounds the rate from above wherever z is positive.
    """
    density = stats.gaussian_kde(z)(z)
    local = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) / np.maximum(density, 1e-300)
    probability = np.where(z > 0, 1.0 - np.clip(local, 0.0, 1.0), 0.0)
    order = np.argsort(z, kind="stable")
    made = np.empty_like(probability)
    made[order] = np.maximum.accumulate(probability[order])
    return made


def _score_bait(
    X: FloatArray,
    filled: list[FloatArray],
    inside: npt.NDArray[np.intp],
    outside: npt.NDArray[np.intp],
    params: InteractomeParams,
) -> tuple[pd.DataFrame, float]:
    """Statistics of the preys of one bait."""
    seen_in, seen_out = np.isfinite(X[inside]).sum(axis=0), np.isfinite(X[outside]).sum(axis=0)
    preys = np.flatnonzero(seen_in >= params.min_seen)
    runs = np.concatenate([inside, outside])
    design = np.column_stack([np.ones(len(runs)), np.arange(len(runs)) < len(inside)]).astype(np.float64)
    contrast = np.array([0.0, 1.0])
    effects, variances, dfs = [], [], []
    for values in filled:
        fit = fit_contrast(np.ascontiguousarray(values[np.ix_(runs, preys)].T), design, contrast)
        effects.append(fit.effect)
        variances.append(fit.se**2)
        dfs.append(fit.df)
    effect, within = np.mean(effects, axis=0), np.mean(variances, axis=0)
    between = np.var(effects, axis=0, ddof=1)
    se = np.sqrt(within + (1 + 1 / len(filled)) * between)
    df = np.min(dfs, axis=0)
    # Background preys set the zero: pulldowns differ in how much they bring down of everything.
    both = (seen_in[preys] == len(inside)) & (seen_out[preys] >= max(2, len(outside) // 2))
    usable = both & np.isfinite(effect)
    background = float(np.median(effect[usable])) if usable.sum() >= _MIN_BACKGROUND else 0.0
    effect = effect - background
    t = (effect - params.min_effect) / se
    tail = stats.t.sf(np.abs(t), df)
    # As a normal deviate with the same tail, so that statistics of all preys are on one scale.
    z = -special.ndtri(np.maximum(tail, 1e-300)) * np.sign(t)
    reach = stats.t.isf(0.025, df) * se
    known = np.isfinite(z)
    p, probability = stats.t.sf(t, df), np.full(len(preys), np.nan)
    if known.sum() >= _MIN_PREYS and float(np.std(z[known])) > 0:
        probability[known] = interaction_probability(z[known])
    detection = stats.hypergeom.sf(
        seen_in[preys] - 1, len(runs), seen_in[preys] + seen_out[preys], len(inside)
    )
    return pd.DataFrame(
        {
            "row": preys,
            "effect": effect,
            "se": se,
            "ci_low": effect - reach,
            "ci_high": effect + reach,
            "statistic": z,
            "p": p,
            "q": benjamini_hochberg(p),
            "probability": probability,
            "n_bait": len(inside),
            "n_seen_bait": seen_in[preys],
            "n_reference": len(outside),
            "n_seen_reference": seen_out[preys],
            "detection_p": np.clip(detection, 0.0, 1.0),
        }
    ), background


def _own_features(bait: str, features: list[str], genes: list[str], params: InteractomeParams) -> set[int]:
    """Positions of the bait's own protein: as named, or whose gene is the level."""
    if bait in params.bait_features:
        named = params.bait_features[bait]
        if named not in features:
            raise InputError(
                f"feature {named!r} of bait {bait!r} is not in the data",
                mend="give a feature id of the data set",
            )
        return {features.index(named)}
    wanted = bait.strip().upper()
    return {i for i, gene in enumerate(genes) if wanted in {part.strip().upper() for part in gene.split(";")}}
