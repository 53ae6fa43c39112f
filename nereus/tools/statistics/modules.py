"""Groups of features that rise and fall together over subjects, one number a sample for each, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.aggregate import aggregate_rows
from nereus.tools.proteomics.matrix import abundance, described
from nereus.tools.statistics.contrast_test import feature_columns
from nereus.tools.statistics.correlation_network import (
    Modules,
    Sign,
    correlations,
    eigenfeature,
    mean_similarity,
    modules_of,
    prepared,
    settled,
    similarity,
    soft_power,
)
from nereus.tools.statistics.covariates import freed_of, regressors
from nereus.tools.statistics.design import require_columns
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST_UNITS = 12
_NONE = ""


class ModuleParams(Params):
    """Parameters of `coexpression_modules`."""

    method: Literal["pearson", "spearman"] = "pearson"
    """Correlation: Pearson's of values pulled in to three robust standard deviations, or of ranks."""
    sign: Sign = "signed"
    """``signed``: only what rises together is alike; ``unsigned``: opposite movement counts too."""
    power: int | None = Field(default=None, ge=1, le=30)
    """Soft threshold; None takes the smallest that makes the network scale-free."""
    min_size: int = Field(default=10, ge=3)
    """Least number of features in a module."""
    max_missing: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Features with a larger share of missing values are left out."""
    max_features: int = Field(default=3000, ge=20, le=10_000)
    """Most features; the most variable ones are taken."""
    covariates: tuple[str, ...] = ()
    """Columns (site, batch, age) whose effects are removed before correlating; the eigen-features keep them out."""
    subject: str | None = None
    """Column of the independent unit: correlations are those of subject means. None: every sample is one."""
    n_null: int = Field(default=19, ge=9, le=500)
    """Data sets with every feature shuffled by itself, for the null of the modules."""
    n_halves: int = Field(default=10, ge=2, le=200)
    """Half-samples for preservation."""
    n_hubs: int = Field(default=5, ge=1, le=50)
    """Hub features named for each module."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """p against the null up to which a module is kept."""


@tool(
    "coexpression_modules",
    version="3",
    summary="Modules of features that move together: tested against shuffled data, with eigen-features and hubs.",
    outputs=("table:modules", "table:module_table", "dataset:eigen"),
    seconds=20.0,
)
def coexpression_modules(dataset: AnnData, params: ModuleParams, *, seed: int) -> Result:
    """Find modules of a weighted correlation network.

    Correlations are taken over the subjects that both features have, raised to a power, turned to topological
    overlap and clustered by average linkage; the tree is cut where the modularity is largest. The same is done
    with every feature shuffled by itself: a module is kept when its strength (mean correlation times the root of
    its size) is beyond what the strongest module of shuffled data reaches at `level`. Features that do not
    follow the eigen-feature of their module, made without them, leave it. Preservation finds modules
    again in random halves of the subjects and measures them in the other half, which had no say in them.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features; missing values are left out, never filled in.
    params
        See `ModuleParams`.
    seed
        Of shuffles and halves.

    Returns
    -------
    Result
        Table ``modules``, one row a feature used, in the order of the data set: feature, gene, module ("" for
        none), kme (correlation with its module's eigen-feature), best_kme and best_module (over all modules),
        connectivity (within its module, largest 1), hub. ``module_table`` (module, n_features, mean_r, strength,
        p, explained, preservation: mean Jaccard index with the best module of a half; held_out_r: mean
        correlation of that one in the other half; hubs). Data set ``eigen``: obs as given, var = modules, X =
        first principal component of each (unit variance over samples): any test runs on it; effects are then in
        standard deviations. Values: n_modules, n_in_modules, power, scale_free_fit, largest, null_p95 ...

    Raises
    ------
    InputError
        Fewer than twelve subjects, fewer features than two modules would need, an unknown column.

    Notes
    -----
    Zhang & Horvath 2005, Stat Appl Genet Mol Biol 4:17; Langfelder & Horvath 2007, BMC Syst Biol 1:54
    (eigen-features); modularity: Newman 2004. Correlation also comes from composition, batches and tissue
    admixture: name what is known as a covariate.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(40, 60))
    >>> X[:, :15] += 2 * rng.normal(size=(40, 1))
    >>> data = anndata.AnnData(
    ...     X,
    ...     obs=pd.DataFrame(index=[f"s{i}" for i in range(40)]),
    ...     var=pd.DataFrame(index=[f"P{i}" for i in range(60)]),
    ... )
    >>> result = coexpression_modules(data, n_halves=2, seed=1)
    >>> result.values["n_modules"], set(result.table("modules")["module"][:15])
    (1, {'M1'})
    """
    where = "co-expression modules"
    require_columns(dataset.obs, [*params.covariates, *([params.subject] if params.subject else [])], where)
    X = abundance(dataset)
    if params.covariates:
        X = freed_of(X, regressors(dataset.obs, params.covariates, where).design())
    unit, n_units = _units(dataset, params.subject)
    values = X if params.subject is None else aggregate_rows(X, unit, n_units, "mean")
    if n_units < _LEAST_UNITS:
        raise InputError(
            f"{n_units} subjects are too few for correlations",
            where=where,
            mend=f"{_LEAST_UNITS} or more are needed",
        )
    used, left_out = _chosen(values, params)
    if len(used) < 2 * params.min_size:
        raise InputError(
            f"{len(used)} features vary and have at most {params.max_missing:.0%} missing",
            where=where,
            mend=f"{2 * params.min_size} or more are needed; allow more missing values or smaller modules",
        )
    z = prepared(values[:, used], params.method == "spearman")
    r = correlations(z)
    alike = similarity(r, params.sign)
    power, fit = (params.power, float("nan")) if params.power else soft_power(alike)
    rng = np.random.default_rng(seed)
    names, genes = feature_columns(dataset)
    rows = _by_name(dataset, params.subject, n_units)
    columns = np.argsort(np.array(names)[used], kind="stable")
    candidates = modules_of(r, power, params.sign, params.min_size)
    null = _null_strengths(z[np.ix_(rows, columns)], power, params, rng)
    p = (1 + (null[:, None] >= candidates.strength[None, :]).sum(axis=0)) / (1 + len(null))
    found = _kept(candidates, p <= params.level)
    n_dropped = len(candidates.density) - len(found.density)
    found = settled(z, r, found, params.sign, params.min_size, params.level)
    p = (1 + (null[:, None] >= found.strength[None, :]).sum(axis=0)) / (1 + len(null))
    preserved, held_out = _preservation(z[rows], found, power, params, rng)
    scores, explained = _eigen(X[:, used], values[:, used], found, params)
    kme = _membership(z, scores, unit, n_units, params)
    members = _member_table(
        [names[at] for at in used], [genes[at] for at in used], found, kme, alike, power, params
    )
    modules = _module_table(members, found, p, explained, preserved, held_out)
    eigen = _dataset(dataset, scores, modules)
    n_modules, inside = len(modules), int((found.label >= 0).sum())
    warnings = []
    if n_modules == 0:
        warnings.append("no module is stronger than those of shuffled features: nothing moves together")
    if left_out:
        warnings.append(f"{left_out} features beyond the most variable {params.max_features} were left out")
    weak = modules.loc[modules["held_out_r"] < 0.5 * modules["mean_r"], "module"].tolist()
    if weak:
        warnings.append(f"modules much looser in the other half of the subjects: {', '.join(weak)}")
    if 1 / (1 + len(null)) > params.level:
        warnings.append("too few shuffled data sets for the level: no module could be kept")
    return Result(
        summary=(
            f"{n_modules} modules of {inside} among {len(used)} features over {n_units} subjects "
            f"(power {power})"
            + (f"; largest {modules['n_features'].max()} features" if n_modules else "")
            + f"; {n_dropped} candidates were no stronger than shuffled data."
        ),
        values={
            "n_modules": n_modules,
            "n_candidates": len(candidates.density),
            "n_in_modules": inside,
            "n_features_used": len(used),
            "n_units": n_units,
            "n_samples": dataset.n_obs,
            "power": power,
            "scale_free_fit": finite(fit),
            "largest": int(modules["n_features"].max()) if n_modules else 0,
            "null_p95": finite(float(np.quantile(null, 0.95))),
            "n_null": len(null),
            "median_preservation": finite(modules["preservation"].median()) if n_modules else None,
        },
        tables={"modules": members, "module_table": modules},
        datasets={"eigen": eigen},
        warnings=tuple(warnings),
        complete=left_out == 0,
        n_total=dataset.n_vars,
        n_returned=len(used),
    )


def _units(dataset: AnnData, subject: str | None) -> tuple[IntArray, int]:
    if subject is None:
        return np.arange(dataset.n_obs), dataset.n_obs
    levels = as_levels(dataset.obs[subject])
    number = {name: at for at, name in enumerate(sorted(set(levels.dropna())))}
    return np.array([number.get(level, -1) for level in levels], dtype=np.intp), len(number)


def _by_name(dataset: AnnData, subject: str | None, n_units: int) -> IntArray:
    """Units by name: what is shuffled and halved in this order does not depend on that of the table."""
    if subject is not None:
        return np.arange(n_units)  # numbered by name as it is
    return np.argsort(dataset.obs_names.astype(str).to_numpy(dtype=str), kind="stable")


def _chosen(values: FloatArray, params: ModuleParams) -> tuple[IntArray, int]:
    """Features with enough values that vary, the most variable ones; and how many were too many."""
    seen = np.isfinite(values)
    n = seen.sum(axis=0)
    mean = np.where(seen, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n - 1, 1))
    enough = (n >= (1 - params.max_missing) * len(values)) & (n >= 8) & (spread > 1e-9)
    usable = np.flatnonzero(enough)
    most = usable[np.argsort(-spread[usable], kind="stable")[: params.max_features]]
    return np.sort(most), len(usable) - len(most)


def _null_strengths(z: FloatArray, power: int, params: ModuleParams, rng: np.random.Generator) -> FloatArray:
    """Strength of the strongest module of data whose features were shuffled one by one; 0 without any."""
    found = []
    for _ in range(params.n_null):
        shuffled = modules_of(correlations(rng.permuted(z, axis=0)), power, params.sign, params.min_size)
        found.append(float(shuffled.strength.max()) if len(shuffled.density) else 0.0)
    return np.array(found)


def _kept(candidates: Modules, strong: npt.NDArray[np.bool_]) -> Modules:
    number = np.full(len(strong) + 1, -1, dtype=np.intp)
    number[:-1][strong] = np.arange(int(strong.sum()))
    return Modules(number[candidates.label], candidates.density[strong])


def _preservation(
    z: FloatArray, found: Modules, power: int, params: ModuleParams, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Mean Jaccard index of each module with the best of half the subjects, and that one's density in the rest."""
    n = len(found.density)
    overlap, density = np.zeros((params.n_halves, n)), np.full((params.n_halves, n), np.nan)
    if n == 0:
        return np.zeros(0), np.zeros(0)
    for half in range(params.n_halves):
        order = rng.permutation(len(z))
        first, second = order[: len(z) // 2], order[len(z) // 2 :]
        first_r = correlations(z[first])
        again = modules_of(first_r, power, params.sign, params.min_size)
        again = settled(z[first], first_r, again, params.sign, params.min_size, params.level)
        other = similarity(correlations(z[second]), params.sign)
        for module in range(n):
            mine = found.label == module
            jaccard = [
                float((mine & (again.label == one)).sum() / (mine | (again.label == one)).sum())
                for one in range(len(again.density))
            ]
            if jaccard:
                best = int(np.argmax(jaccard))
                overlap[half, module] = jaccard[best]
                density[half, module] = mean_similarity(other, np.flatnonzero(again.label == best))
    count = np.isfinite(density).sum(axis=0)
    total = np.where(np.isfinite(density), density, 0.0).sum(axis=0)
    held_out = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    return overlap.mean(axis=0), held_out


def _eigen(
    rows: FloatArray, units: FloatArray, found: Modules, params: ModuleParams
) -> tuple[FloatArray, FloatArray]:
    """Eigen-features of all samples, shape (samples, modules), and the share that each explains."""
    scores, explained = [], []
    for module in range(len(found.density)):
        members = found.label == module
        # Standardised over all rows; where subjects have several, each row gets a score of its own.
        score, _, _ = eigenfeature(prepared(rows[:, members], False), params.sign)
        scores.append(score)
        explained.append(eigenfeature(prepared(units[:, members], False), params.sign)[2])
    made = np.column_stack(scores) if scores else np.zeros((len(rows), 0))
    return made, np.array(explained, dtype=np.float64)


def _membership(
    z: FloatArray, scores: FloatArray, unit: IntArray, n_units: int, params: ModuleParams
) -> FloatArray:
    """Correlation of every feature with every eigen-feature over subjects, shape (features, modules)."""
    if not scores.shape[1]:
        return np.zeros((z.shape[1], 0))
    by_unit = scores if params.subject is None else aggregate_rows(scores, unit, n_units, "mean")
    joined = np.column_stack([z, prepared(by_unit, params.method == "spearman")])
    return correlations(joined)[: z.shape[1], z.shape[1] :]


def _member_table(
    names: list[str],
    genes: list[str],
    found: Modules,
    kme: FloatArray,
    alike: FloatArray,
    power: int,
    params: ModuleParams,
) -> pd.DataFrame:
    label = found.label
    n = len(label)
    own, connectivity = np.full(n, np.nan), np.full(n, np.nan)
    hub = np.zeros(n, dtype=bool)
    for module in range(len(found.density)):
        rows = np.flatnonzero(label == module)
        own[rows] = kme[rows, module]
        inside = (alike[np.ix_(rows, rows)] ** power).sum(axis=1) - 1.0
        connectivity[rows] = inside / max(float(inside.max()), 1e-300)
        hub[rows[np.argsort(-np.abs(own[rows]), kind="stable")[: params.n_hubs]]] = True
    codes = np.array([f"M{at + 1}" for at in range(len(found.density))] + [_NONE], dtype=object)
    best = np.abs(kme).argmax(axis=1) if kme.shape[1] else np.full(n, -1)
    return pd.DataFrame(
        {
            "feature": names,
            "gene": ["" if gene in ("nan", "None") else gene for gene in genes],
            "module": codes[label],
            "kme": own,
            "best_module": codes[best],
            "best_kme": kme[np.arange(n), best] if kme.shape[1] else np.full(n, np.nan),
            "connectivity": connectivity,
            "hub": hub,
        }
    )


def _module_table(
    members: pd.DataFrame,
    found: Modules,
    p: FloatArray,
    explained: FloatArray,
    preserved: FloatArray,
    held_out: FloatArray,
) -> pd.DataFrame:
    names = [f"M{at + 1}" for at in range(len(found.density))]
    hubs = []
    for name in names:
        part = members[(members["module"] == name) & members["hub"]]
        part = part.assign(size=part["kme"].abs()).sort_values("size", ascending=False, kind="stable")
        hubs.append(", ".join(part["gene"].where(part["gene"] != "", part["feature"])))
    return pd.DataFrame(
        {
            "module": pd.Series(names, dtype=object),
            "n_features": found.sizes.astype(np.int64),
            "mean_r": found.density,
            "strength": found.strength,
            "p": p,
            "explained": explained,
            "preservation": preserved,
            "held_out_r": held_out,
            "hubs": pd.Series(hubs, dtype=object),
        }
    )


def _dataset(dataset: AnnData, scores: FloatArray, modules: pd.DataFrame) -> AnnData:
    var = pd.DataFrame(
        {
            "gene": pd.Series([""] * len(modules), dtype=object).to_numpy(),
            "n_features": modules["n_features"].to_numpy(dtype=np.float64),
            "hubs": modules["hubs"].to_numpy(dtype=object),
        },
        index=pd.Index(modules["module"].to_numpy(dtype=object), dtype=object),
    )
    made = anndata.AnnData(scores, obs=dataset.obs.copy(), var=var)
    facts = described(dataset)
    facts["history"] = [
        *(str(entry) for entry in facts.get("history", [])),
        f"coexpression_modules: {len(modules)} eigen-features",
    ]
    made.uns["nereus"] = {**facts, "level": "module", "quantity": "eigenfeature"}
    return made
