"""Whether findings hold in a second cohort: sign, significance, size, and how many should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import stats

from nereus.errors import InputError
from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.contrast_test import ComparisonOptions, comparison, feature_columns
from nereus.tools.statistics.expected_replication import corrected_z, replication_power
from nereus.tools.statistics.feature_match import Match, match_features
from nereus.tools.statistics.levels import as_numbers
from nereus.tools.statistics.moderated_t import benjamini_hochberg, t_quantile

if TYPE_CHECKING:
    from anndata import AnnData

    from nereus.tools.statistics.contrast_test import Comparison
    from nereus.tools.statistics.moderated_t import ContrastFit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_NEEDED = ("feature", "effect", "se", "p", "q")


class ReplicationParams(ComparisonOptions):
    """Parameters of `replicate_externally`: the comparison in the cohort, and what is carried over."""

    discovery_level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """q in the first table up to which a feature is a finding to be replicated."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Level of q over the carried findings at which one counts as replicated (with its sign)."""
    interval: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Coverage of the prediction interval of the cohort's effect."""
    match: Literal["auto", "id"] = "auto"
    """``auto``: by identifier, else accession, else gene; ``id``: by identifier only."""
    n_permutations: int = Field(default=100, ge=0, le=5000)
    """Exchanges of labels in the cohort for the number that replicates by chance; 0 for none."""


@tool(
    "replicate_externally",
    version="3",
    summary="Test findings again in a second cohort: sign, q, prediction interval, and the rate power predicts.",
    outputs=("table:replication",),
    seconds=10.0,
)
def replicate_externally(
    table: pd.DataFrame, dataset: AnnData, params: ReplicationParams, *, seed: int
) -> Result:
    """Carry the findings of a test table to another cohort and test them there.

    Every feature of the cohort is fitted (for the sake of the variances), and the findings alone are corrected
    for multiplicity. A finding is replicated when it keeps its sign and reaches q <= level. Beside the observed
    rate stand the rate that the cohort's standard errors would give if the effects were as large as first
    estimated, and the same after taking out the winner's curse, and the number that replicates under exchanged
    labels.

    Parameters
    ----------
    table
        Test table of the discovery: ``feature, effect, se, p, q`` and, where known, ``gene`` and ``df``.
    dataset
        The second cohort; log2 abundances, samples x features.
    params
        See `ReplicationParams`: contrast (or variable) in the cohort's own words.
    seed
        Of the permutations.

    Returns
    -------
    Result
        Table ``replication``, one row a finding in the order of the discovery: feature, gene, effect, se, ci_low,
        ci_high, statistic, df, p, q, n_a, n_b (all in the cohort), then cohort_feature, matched_by,
        discovery_effect, discovery_se, discovery_q, same_sign, prediction_low, prediction_high, within, power,
        replicated, status (``replicated``, ``same sign``, ``opposite sign``, ``not tested``, ``not measured``).
        Values: n_carried, n_measured, n_tested, n_replicated, rate, expected_rate, expected_low, expected_high,
        naive_rate, sign_agreement, sign_p, within_rate, effect_correlation, slope, null_mean, p_permutation ...

    Raises
    ------
    InputError
        A column is missing, or the comparison is refused. A discovery without findings gives an empty table
        and a warning.

    Notes
    -----
    Prediction intervals for replication: Patil, Peng & Leek 2016, Perspect Psychol Sci 11:539. They cover the
    chance of both studies, not the winner's curse: fewer than their nominal share inside is expected of
    findings that barely passed. ``expected_low`` and ``expected_high`` are 95 % limits for independent
    features; correlated ones vary more. In simulations the observed rate lies between ``expected_rate`` (cautious)
    and ``naive_rate`` (too high).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools import registry
    >>> def cohort(seed):
    ...     X = np.random.default_rng(seed).normal(20, 0.5, size=(12, 60))
    ...     X[:6, :5] += 2
    ...     obs = pd.DataFrame({"group": ["a"] * 6 + ["b"] * 6}, index=[f"s{i}" for i in range(12)])
    ...     return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(60)]))
    >>> contrast = {"factor": "group", "a": "a", "b": "b"}
    >>> found = registry.get("differential_abundance")(cohort(1), contrast=contrast).table()
    >>> result = replicate_externally(found, cohort(2), contrast=contrast, n_permutations=10)
    >>> result.values["n_carried"], result.values["n_replicated"]
    (5, 5)
    """
    table = _checked(table)
    compared = comparison(dataset, params)
    fit = compared.test()
    q_first = table["q"].to_numpy(dtype=np.float64)
    usable = np.isfinite(q_first) & np.isfinite(table["effect"].to_numpy(dtype=np.float64))
    carried = table[usable & (q_first <= params.discovery_level)].reset_index(drop=True)
    place, everything = _matched(table[usable], carried, dataset, compared, params)
    made = _rows(carried, place, dataset, compared, fit, params)
    replicated = made["replicated"].to_numpy(dtype=bool)
    tested = np.isfinite(made["p"].to_numpy(dtype=np.float64))
    expected = _expected(carried, made, tested, table, params)
    agreement = _agreement(table[usable], everything, fit, made, tested)
    chance = _by_chance(compared, carried, place.place, params, made, seed)
    warnings = list(compared.design.warnings)
    lost = int((place.place < 0).sum())
    if carried.empty:
        warnings.append(
            f"the discovery has no finding at q <= {params.discovery_level:g}: nothing to replicate"
        )
    elif lost:
        warnings.append(f"{lost} of {len(carried)} findings are not measured in the cohort")
    if len(carried) and everything.rate < 0.2:
        warnings.append(
            "fewer than a fifth of the features have a counterpart in the cohort: check identifiers"
        )
    n = int(tested.sum())
    rate = float(replicated.sum()) / n if n else None
    told = (
        "" if expected["expected_rate"] is None else f", {expected['expected_rate']:.0%} expected from power"
    )
    return Result(
        summary=(
            f"{int(replicated.sum())} of {n} findings that the cohort can test are replicated at q <= "
            f"{params.level:g}"
            + (f" ({rate:.0%}{told})" if rate is not None else "")
            + f"; {int(made['same_sign'].sum())} keep their sign; "
            f"{len(carried)} were carried over, {lost} are not measured."
        ),
        values={
            "n_carried": len(carried),
            "n_measured": len(carried) - lost,
            "n_tested": n,
            "n_significant": int(replicated.sum()),
            "n_replicated": int(replicated.sum()),
            "rate": finite(rate),
            **expected,
            **agreement,
            **chance,
            "match_rate": finite(everything.rate),
            "n_samples": len(compared.design.samples),
            "discovery_level": params.discovery_level,
            "level": params.level,
        },
        tables={"replication": made},
        warnings=tuple(warnings),
        n_total=len(carried),
        n_returned=len(carried),
    )


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers as float64, or what is wrong with it."""
    where = "test table of the discovery"
    if lacking := [column for column in _NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where=where,
            mend="give the table of a test with effects and standard errors",
        )
    features = table["feature"].astype(str)
    if features.duplicated().any():
        raise InputError(
            f"{int(features.duplicated().sum())} features are duplicated, such as "
            f"{features[features.duplicated()].iloc[0]!r}",
            where=where,
            mend="give the table of one comparison",
        )
    numbers = {}
    for column in (*_NEEDED[1:], *(["df"] if "df" in table else [])):
        numbers[column] = as_numbers(table[column])
        if numbers[column] is None and table[column].notna().any():
            raise InputError(f"column {column!r} is not numeric", where=where, mend="give it as numbers")
    blank = pd.Series(np.nan, index=table.index)
    return table.assign(**{name: blank if column is None else column for name, column in numbers.items()})


def _matched(
    usable: pd.DataFrame,
    carried: pd.DataFrame,
    dataset: AnnData,
    compared: Comparison,
    params: ReplicationParams,
) -> tuple[Match, Match]:
    """Counterparts of the findings, and of all tested features."""
    names, genes = feature_columns(dataset)
    seen = np.isfinite(compared.values).sum(axis=1)
    found = []
    for part in (carried, usable):
        ours = part["feature"].astype(str).tolist()
        symbols = part["gene"].fillna("").astype(str).tolist() if "gene" in part else [""] * len(part)
        if params.match == "id":
            number = {name: at for at, name in enumerate(names)}
            place = np.array([number.get(name, -1) for name in ours], dtype=np.intp)
            how = tuple("id" if at >= 0 else "" for at in place)
            found.append(Match(place, how, tuple(symbols), (place >= 0).astype(np.intp)))
        else:
            found.append(match_features(ours, symbols, names, genes, seen))
    return found[0], found[1]


def _rows(
    carried: pd.DataFrame,
    match: Match,
    dataset: AnnData,
    compared: Comparison,
    fit: ContrastFit,
    params: ReplicationParams,
) -> pd.DataFrame:
    place = match.place
    there = place >= 0

    def pick(column: npt.NDArray[np.generic]) -> FloatArray:
        values = np.full(len(place), np.nan)
        values[there] = column[place[there]]
        return values

    effect, se, df, p = pick(fit.effect), pick(fit.se), pick(fit.df), pick(fit.p)
    tested = np.isfinite(p) & np.isfinite(se)
    effect, se, df, p = (np.where(tested, one, np.nan) for one in (effect, se, df, p))
    q = benjamini_hochberg(p)
    reach = t_quantile(0.975, df) * se
    first = carried["effect"].to_numpy(dtype=np.float64)
    first_se = carried["se"].to_numpy(dtype=np.float64)
    first_df = carried["df"].to_numpy(dtype=np.float64) if "df" in carried else np.full(len(carried), np.inf)
    low, high = _prediction(first, first_se, first_df, se, df, params.interval)
    same = np.sign(effect) == np.sign(first)
    replicated = tested & same & (q <= params.level)
    n_a, n_b = compared.counts()
    names = dataset.var_names.astype(str).to_numpy()
    status = np.select(
        [~there, ~tested, replicated, same],
        ["not measured", "not tested", "replicated", "same sign"],
        "opposite sign",
    )
    gene = carried["gene"].fillna("").astype(str) if "gene" in carried else pd.Series("", index=carried.index)
    return pd.DataFrame(
        {
            "feature": carried["feature"].astype(str).to_numpy(dtype=object),
            "gene": [own or mapped for own, mapped in zip(gene, match.gene, strict=True)],
            "effect": effect,
            "se": se,
            "ci_low": effect - reach,
            "ci_high": effect + reach,
            "statistic": np.where(tested, pick(fit.statistic), np.nan),
            "df": df,
            "p": p,
            "q": q,
            "n_a": np.nan_to_num(pick(n_a)).astype(np.int64),
            "n_b": np.nan_to_num(pick(n_b)).astype(np.int64),
            "cohort_feature": np.where(there, names[np.maximum(place, 0)], "").astype(object),
            "matched_by": np.array(match.how, dtype=object),
            "discovery_effect": first,
            "discovery_se": first_se,
            "discovery_q": carried["q"].to_numpy(dtype=np.float64),
            "same_sign": tested & same,
            "prediction_low": low,
            "prediction_high": high,
            "within": tested & (effect >= low) & (effect <= high),
            "power": np.full(len(carried), np.nan),
            "replicated": replicated,
            "status": status.astype(object),
        }
    )


def _prediction(
    first: FloatArray,
    first_se: FloatArray,
    first_df: FloatArray,
    se: FloatArray,
    df: FloatArray,
    level: float,
) -> tuple[FloatArray, FloatArray]:
    """Where the cohort's effect should fall if both studies estimate one effect; Satterthwaite's df."""
    total = first_se**2 + se**2
    with np.errstate(invalid="ignore", divide="ignore"):
        joint = total**2 / (first_se**4 / first_df + se**4 / df)
    reach = t_quantile(0.5 + level / 2.0, np.where(np.isnan(total), np.nan, joint)) * np.sqrt(total)
    return first - reach, first + reach


def _expected(
    carried: pd.DataFrame,
    made: pd.DataFrame,
    tested: BoolArray,
    table: pd.DataFrame,
    params: ReplicationParams,
) -> dict[str, float | None]:
    """Replication rates that the cohort's standard errors predict; fills the column of power."""
    blank: dict[str, float | None] = dict.fromkeys(
        ("expected_rate", "expected_low", "expected_high", "naive_rate")
    )
    if not tested.any():
        return blank
    p_first = np.clip(carried["p"].to_numpy(dtype=np.float64), 1e-300, 1.0)
    first, se = made["discovery_effect"].to_numpy(dtype=np.float64), made["se"].to_numpy(dtype=np.float64)
    z = np.sign(first) * stats.norm.isf(p_first / 2)
    # Findings were those up to the largest p among them.
    least = float(stats.norm.isf(float(p_first.max()) / 2))
    fair = corrected_z(z, least) / np.where(z == 0, 1.0, z) * first
    df = made["df"].to_numpy(dtype=np.float64)
    power = replication_power(fair[tested], se[tested], df[tested], params.level)
    naive = replication_power(first[tested], se[tested], df[tested], params.level)
    made.loc[tested, "power"] = power
    n = int(tested.sum())
    mean = float(power.mean())
    spread = 1.96 * float(np.sqrt(np.sum(power * (1 - power)))) / n
    return {
        "expected_rate": finite(mean),
        "expected_low": finite(max(0.0, mean - spread)),
        "expected_high": finite(min(1.0, mean + spread)),
        "naive_rate": finite(float(naive.mean())),
    }


def _by_chance(
    compared: Comparison,
    carried: pd.DataFrame,
    place: IntArray,
    params: ReplicationParams,
    made: pd.DataFrame,
    seed: int,
) -> dict[str, float | int | None]:
    """Findings that replicate, and that keep their sign, when the cohort's labels are exchanged between subjects.

    Features keep their correlations: that most of them share a sign by chance is in the null, which a binomial test
    of independent signs would leave out.
    """
    observed, kept = int(made["replicated"].sum()), int(made["same_sign"].sum())
    counts, signs = [], []
    there = place >= 0
    sign = np.sign(carried["effect"].to_numpy(dtype=np.float64))[there]
    if there.any() and params.n_permutations:
        for labels in compared.labels.draws(params.n_permutations, np.random.default_rng(seed)):
            fit = compared.relabelled(labels).test()
            p, effect = fit.p[place[there]], fit.effect[place[there]]
            with np.errstate(invalid="ignore"):
                counts.append(
                    int(np.sum((benjamini_hochberg(p) <= params.level) & (np.sign(effect) == sign)))
                )
                signs.append(int(np.sum(np.isfinite(p) & (np.sign(effect) == sign))))
    drawn = np.array(counts, dtype=np.float64)
    sign_p = (1 + float(np.sum(np.array(signs) >= kept))) / (1 + len(signs)) if signs else None
    return {
        "sign_p": finite(sign_p),
        "null_mean": finite(float(drawn.mean())) if len(drawn) else None,
        "null_p95": finite(float(np.quantile(drawn, 0.95))) if len(drawn) else None,
        "p_permutation": finite((1 + float(np.sum(drawn >= observed))) / (1 + len(drawn)))
        if len(drawn)
        else None,
        "n_permutations": len(drawn),
    }


def _agreement(
    usable: pd.DataFrame, match: Match, fit: ContrastFit, made: pd.DataFrame, tested: BoolArray
) -> dict[str, float | int | None]:
    """Agreement of signs and sizes: among the findings, and over all features measured in both."""
    same = int(made.loc[tested, "same_sign"].sum())
    n = int(tested.sum())
    there = match.place >= 0
    first = usable["effect"].to_numpy(dtype=np.float64)[there]
    second = fit.effect[match.place[there]]
    both = np.isfinite(first) & np.isfinite(second)
    rho = float("nan")
    if both.sum() >= 4 and np.ptp(first[both]) > 0 and np.ptp(second[both]) > 0:
        rho = float(stats.spearmanr(first[both], second[both]).statistic)
    slope = float("nan")
    if n >= 3:
        x = made.loc[tested, "discovery_effect"].to_numpy(dtype=np.float64)
        slope = float(np.sum(x * made.loc[tested, "effect"].to_numpy(dtype=np.float64)) / np.sum(x**2))
    return {
        "n_same_sign": same,
        "sign_agreement": finite(same / n) if n else None,
        "within_rate": finite(float(made.loc[tested, "within"].mean())) if n else None,
        "slope": finite(slope),
        "effect_correlation": finite(rho),
        "n_in_both": int(both.sum()),
    }
