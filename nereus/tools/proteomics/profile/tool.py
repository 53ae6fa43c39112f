"""The tool that answers what a data set is. Everything a planner decides rests on its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import stats

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.aggregate import aggregate_rows, group_rows
from nereus.tools.proteomics.matrix import abundance, derive, described
from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column, classify
from nereus.tools.proteomics.profile.confounding import confounding_table
from nereus.tools.proteomics.profile.contrasts import INFER, association_table, contrast_table
from nereus.tools.proteomics.profile.missing import Linkage, detection_linkage
from nereus.tools.proteomics.profile.names import columns_from_names
from nereus.tools.proteomics.profile.unit import Unit, find_unit
from nereus.tools.proteomics.quality import looks_logged, sample_statistics
from nereus.tools.statistics.batch import COVARIATE_R2, share_beyond
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.pca import Components, principal_components

if TYPE_CHECKING:
    from anndata import AnnData

MAX_MISSING = 0.8
N_COMPONENTS = 5


class ProfileParams(Params):
    """Parameters of `profile_dataset`."""

    max_levels: int = Field(default=12, ge=2)
    """A text column with more levels and fewer than two rows per level is not compared."""
    max_contrasts: int = Field(default=200, ge=1)
    """Upper limit of candidate contrasts that are listed."""
    outlier_mad: float = Field(default=5.0, gt=0)
    """Scaled median absolute deviations from which a sample is an outlier."""
    n_permutations: int = Field(default=99, ge=19)
    """Permutations of labels for condition-linked missingness."""
    subject: str | None = None
    """Column that names the subject, where the user says so; else it is found."""
    names_as_groups: bool = True
    """Read groups from sample names where the sample sheet has nothing to compare."""


@tool(
    "profile_dataset",
    version="1",
    summary="What the data set is: roles of columns, unit of analysis, what can be compared, and what would mislead.",
    outputs=(
        "dataset:dataset",
        "table:columns",
        "table:factors",
        "table:confounding",
        "table:contrasts",
        "table:associations",
        "table:variance",
        "table:samples",
        "table:features",
        "table:notices",
    ),
    seconds=2.0,
)
def profile_dataset(dataset: AnnData, params: ProfileParams, *, seed: int) -> Result:
    """Understand a data set before anything is decided.

    Rows that measure one subject repeatedly are found first (`profile.unit`); confounding, missingness,
    variance and contrasts are then judged over the units, so that repeats do not count twice.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features, with the sample sheet in obs.
    params
        See `ProfileParams`.
    seed
        Seed of the label permutations.

    Returns
    -------
    Result
        ``dataset``: the input with constructed columns (subject of each row, one-hot groups, groups read from
        names) added to obs. Tables:

        - ``columns``: column, role, n_levels, n_missing, reference, reference_known, levels, cue,
          usual_covariate, fixed_trait, related, constructed, why (see `profile.columns.Column`);
        - ``factors``: key, factor, level, n_subjects, n_samples, reference, missing_rate, median_shift, and
          per factor linked_missingness, missing_p, missing_r2, share_linked, n_exclusive, r2_adjusted;
        - ``confounding``: see `profile.confounding.confounding_table`;
        - ``contrasts``, ``associations``: see `profile.contrasts`;
        - ``variance``: column, role, r2_adjusted, r2_beyond (beyond the main factors, for batches);
        - ``samples``: see `quality.sample_statistics`; ``features``: feature, gene, n_detected, missing_rate,
          mean, sd;
        - ``notices``: notice, severity (info, warning, refuse), about, text, mend.

        Values name the unit of analysis, the subject column, batches, scale, missingness and counts.

    Raises
    ------
    InputError
        Fewer than two samples, infinite values, more than 80 % missing, or raw intensities.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> obs = pd.DataFrame({"genotype": ["wt"] * 9 + ["ko"] * 9}, index=[f"m{i // 3}_{i % 3}" for i in range(18)])
    >>> X = 20 + np.repeat(rng.normal(0, 1, (6, 40)), 3, axis=0) + rng.normal(0, 0.1, (18, 40))
    >>> result = profile_dataset(anndata.AnnData(X, obs=obs))
    >>> result.values["n_subjects"], result.values["repeats"], result.table("contrasts")["contrast"][0]
    (6, 'technical', 'genotype: ko vs wt')
    """
    X = abundance(dataset)
    _refuse(X)
    rng = np.random.default_rng(seed)
    notices: list[tuple[str, str, str, str, str]] = []
    facts = described(dataset)
    obs, columns, constructed = _columns(dataset, params, bool(facts.get("group_guessed", False)), notices)
    named = params.subject or (str(facts["subject"]) if facts.get("subject") else None)
    columns = _named_subject(columns, named)
    rows_pca = _components(X)
    unit = find_unit(obs, columns, None if rows_pca is None else rows_pca.scores)
    if unit.constructed and unit.column is not None:
        constructed[unit.column] = unit.labels
        obs = obs.assign(**{unit.column: unit.labels})
        columns.append(
            Column(
                unit.column,
                "subject",
                n_levels=unit.n_subjects,
                constructed=True,
                why=f"made by the profile: {unit.why}",
            )
        )
    columns = [
        replace(column, role="subject", why=unit.why)
        if column.name == unit.column and column.role in ("identifier", "factor", "ordered")
        else column
        for column in columns
    ]
    unit_X, unit_obs, subjects = _units(X, obs, unit, columns)
    levels = {column.name: as_levels(unit_obs[column.name]) for column in columns}
    pca = rows_pca if unit_X is X else _components(unit_X)
    confounding = confounding_table(unit_obs, columns, levels)
    variance = _variance(unit_obs, columns, pca)
    contrasts, n_contrasts = contrast_table(
        unit_X, columns, levels, subjects, unit, unit_obs, variance, params.max_contrasts
    )
    associations = association_table(unit_obs, columns, levels)
    linkage = _linkage(unit_X, columns, levels, unit, subjects, params, rng)
    samples = sample_statistics(X, list(map(str, dataset.obs_names)), params.outlier_mad)
    factors = _factors(unit_X, columns, levels, subjects, obs, linkage, variance)
    features = _features(X, dataset)
    scale, scale_why = _scale(X, dataset)
    _notice_design(notices, columns, contrasts, confounding, unit, obs)
    _notice_data(notices, X, samples, scale, scale_why, facts, dataset, linkage, unit)
    notice_table = pd.DataFrame(
        sorted(dict.fromkeys(notices), key=lambda row: (["refuse", "warning", "info"].index(row[1]), row[0])),
        columns=["notice", "severity", "about", "text", "mend"],
    ).drop_duplicates("notice", ignore_index=True)
    names = {
        role: [c.name for c in columns if c.role == role]
        for role in ("batch", "time", "event", "pair", "order")
    }
    batch_r2 = variance.loc[variance["role"] == "batch", "r2_beyond"].max() if len(variance) else np.nan
    modelled = variance.loc[
        (variance["role"] == "batch") & (variance["r2_beyond"] > COVARIATE_R2), "column"
    ].tolist()
    possible = contrasts[(contrasts["refused"] == "") & ~contrasts["descriptive"].astype(bool)]
    main = possible.iloc[0] if len(possible) else None
    outliers = samples.loc[samples["outlier"], "sample"].tolist()
    shared = _shared_shift(samples)
    missing_rate = float(np.isnan(X).mean())
    linked = [name for name, found in linkage.items() if found.linked]
    quantity = str(facts.get("quantity", "unknown"))
    line = f"profile_dataset: unit of analysis {unit.word}, {unit.n_subjects} of them"
    derived = derive(dataset, line) if constructed else dataset.copy()
    for name, texts in constructed.items():
        derived.obs[name] = texts.where(texts.notna(), np.nan).to_numpy()
    return Result(
        summary=_summary(X, unit, contrasts, associations, names["batch"], outliers),
        values={
            "n_features": int(X.shape[1]),
            "n_samples": int(X.shape[0]),
            "n_subjects": unit.n_subjects,
            "unit_of_analysis": unit.word,
            "unit_why": unit.why,
            "subject_column": unit.column,
            "subject_constructed": unit.constructed,
            "repeats": unit.repeats,
            "replicates_per_subject": unit.rows_per_subject,
            "most_replicates": unit.most_rows,
            "aggregate_by": unit.column if unit.repeats in ("technical", "mixed") else None,
            "keep_apart": ";".join(unit.varying),
            "missing_rate": missing_rate,
            "complete_features": float((~np.isnan(X)).all(axis=0).mean()),
            "condition_linked_missingness": bool(linked),
            "linked_factors": ";".join(linked),
            "scale": scale,
            "quantity": quantity,
            "recommended_quantity": _quantity(X, dataset, quantity),
            "alternative_quantities": ";".join(
                sorted(set(map(str, dataset.layers)) & {"intensity", "lfq", "ibaq", "top3"})
            ),
            "batch_columns": ";".join(names["batch"]),
            "batch_covariates": ";".join(modelled),
            "batch_r2": finite(batch_r2),
            "time_column": _time_of_event(names["time"], levels, names["event"]),
            "event_column": names["event"][0] if names["event"] else None,
            "n_events": _n_events(levels, names["event"]),
            "pair_column": names["pair"][0] if names["pair"] else None,
            "n_factors": sum(column.role in COMPARED and not column.composite for column in columns),
            "n_contrasts": n_contrasts,
            "n_testable_contrasts": len(possible),
            "main_factor": None if main is None else str(main["factor"]),
            "main_contrast": None if main is None else str(main["contrast"]),
            "n_variables": int(associations["testable"].sum()) if len(associations) else 0,
            "n_outliers": len(outliers),
            "outliers": ";".join(outliers),
            "sd_of_shifts": finite(shared),
            "global_shift_share": None if main is None else finite(main["share_p05"]),
            "global_shift_median": None if main is None else finite(main["median_effect"]),
            "residual_kurtosis": _residual_kurtosis(unit_X, columns, levels),
            "pc1_ratio": None if pca is None else finite(pca.ratio[0]),
            "organism": str(facts.get("organism", "unknown")),
            "id_space": str(facts.get("id_space", "unknown")),
            "gene_rate": _gene_rate(dataset),
            "n_notices": len(notice_table),
            "n_refusals": int((notice_table["severity"] == "refuse").sum()),
        },
        tables={
            "columns": _column_table(columns),
            "factors": factors,
            "confounding": confounding,
            "contrasts": contrasts,
            "associations": associations,
            "variance": variance,
            "samples": samples,
            "features": features,
            "notices": notice_table,
        },
        datasets={"dataset": derived},
        warnings=tuple(notice_table.loc[notice_table["severity"] != "info", "text"]),
        complete=n_contrasts == len(contrasts),
        n_total=n_contrasts,
        n_returned=len(contrasts),
    )


# ------------------------------------------------------------------------------------------------ parts of
# the tool


def _refuse(X: np.ndarray) -> None:
    """Refuse what no analysis can start from."""
    if X.shape[0] < 2:
        raise InputError(
            f"the data set has {X.shape[0]} sample",
            mend="nothing can be compared: check the orientation of the table",
        )
    missing = float(np.isnan(X).mean())
    if missing > MAX_MISSING:
        raise InputError(
            f"{missing:.0%} of the values are missing (limit {MAX_MISSING:.0%})",
            mend="leave sparse features out first (tool filter_features, max_missing), or check how missing is written",
        )
    if looks_logged(X)[0] == "raw":
        raise InputError(
            f"the matrix is not on the log scale: {looks_logged(X)[1]}",
            mend="load the table with scale=raw so that its logarithm is taken",
        )


def _named_subject(columns: list[Column], name: str | None) -> list[Column]:
    """The user's word on which column names the subject goes before any rule."""
    if name is None:
        return columns
    if name not in {column.name for column in columns}:
        raise InputError(
            f"there is no column {name!r}",
            where="subject",
            mend=f"columns are {[column.name for column in columns]}",
        )
    return [
        replace(column, role="subject", why="named by the user")
        if column.name == name
        else replace(column, role="identifier", why=f"{column.why}; the user named {name!r}")
        if column.role == "subject"
        else column
        for column in columns
    ]


def _columns(
    dataset: AnnData,
    params: ProfileParams,
    group_guessed: bool,
    notices: list[tuple[str, str, str, str, str]],
) -> tuple[pd.DataFrame, list[Column], dict[str, pd.Series]]:
    """Roles of the sheet's columns and of those made from one-hot groups or sample names."""
    obs = dataset.obs.copy()
    obs.columns = [str(column) for column in obs.columns]
    obs.index = obs.index.astype(str)
    columns, constructed = classify(obs, params.max_levels)
    compared = [column.name for column in columns if column.role in (*COMPARED, "continuous")]
    # The loader's guess is the name without its replicate number; its parts may say more (condition and batch).
    if params.names_as_groups and (not compared or (group_guessed and compared == ["group"])):
        found = columns_from_names(obs.index, set(obs.columns), params.max_levels)
        if group_guessed and len(found) < 2:
            found = {}
        if found:
            columns, constructed = classify(obs.assign(**found), params.max_levels)
            said_twice = {
                column.name for column in columns if column.name in found and column.role == "redundant"
            }
            found = {name: texts for name, texts in found.items() if name not in said_twice}
            columns = [
                replace(column, constructed=True, why=f"read from sample names; {column.why}")
                if column.name in found
                else column
                for column in columns
                if column.name not in said_twice
            ]
            constructed |= found
            names = ", ".join(map(repr, found))
            notices.append(
                (
                    "groups_from_names",
                    "warning",
                    "sample names",
                    f"the sample sheet has nothing to compare; read from the sample names: {names}",
                    "give a sample sheet with a column that names each sample's group",
                )
            )
    obs = obs.assign(**constructed)
    return obs, columns, constructed


def _components(X: np.ndarray) -> Components | None:
    if X.shape[0] < 3:
        return None
    try:
        return principal_components(X, N_COMPONENTS)
    except InputError:
        return None  # no feature varies: there is nothing that a column could explain


def _units(
    X: np.ndarray, obs: pd.DataFrame, unit: Unit, columns: list[Column]
) -> tuple[np.ndarray, pd.DataFrame, pd.Series]:
    """One row per subject and varying level: matrix, sheet (first row of each) and subject."""
    if unit.repeats in ("none", "paired") or unit.column is None:
        return X, obs, unit.labels
    keys = [unit.labels, *(as_levels(obs[name]).fillna("") for name in unit.varying)]
    groups, names = group_rows(keys)
    made = aggregate_rows(X, groups, len(names), "mean")
    first = [int(np.flatnonzero(groups == group)[0]) for group in range(len(names))]
    return made, obs.iloc[first], unit.labels.iloc[first]


def _variance(obs: pd.DataFrame, columns: list[Column], pca: Components | None) -> pd.DataFrame:
    """Share of the first five components that each column explains, adjusted for its number of levels."""
    rows = []
    main = [
        c for c in columns if c.role in COMPARED and not c.composite and not c.usual_covariate and c.cue > 0
    ]
    for column in columns:
        if pca is None or column.role not in (*COMPARED, "batch", "continuous", "event", "time", "order"):
            continue
        given = [obs[c.name] for c in main if c.name != column.name] if column.role == "batch" else []
        shares = share_beyond(pca.scores, pca.ratio, obs[column.name], given)
        alone = share_beyond(pca.scores, pca.ratio, obs[column.name], [])
        if shares is None and alone is None:
            continue
        rows.append(
            (
                column.name,
                column.role,
                np.nan if alone is None else alone[0],
                np.nan if shares is None else shares[1],
            )
        )
    table = pd.DataFrame(rows, columns=["column", "role", "r2_adjusted", "r2_beyond"])
    return table.sort_values(["r2_adjusted", "column"], ascending=[False, True]).reset_index(drop=True)


def _linkage(
    X: np.ndarray,
    columns: list[Column],
    levels: dict[str, pd.Series],
    unit: Unit,
    subjects: pd.Series,
    params: ProfileParams,
    rng: np.random.Generator,
) -> dict[str, Linkage]:
    """Missingness by factor; labels move within subjects, or within batches that hold several levels."""
    seen = ~np.isnan(X)
    found = {}
    batches = [column for column in columns if column.role == "batch"]
    for column in columns:
        if column.role not in COMPARED or column.composite:
            continue
        strata = np.zeros(X.shape[0], dtype=int)
        if column.name in unit.varying:
            strata = pd.factorize(subjects)[0]
        elif batches:
            strata = pd.factorize(levels[batches[0].name].fillna(""))[0]
        linkage = detection_linkage(seen, levels[column.name], strata, params.n_permutations, rng)
        if linkage is not None:
            found[column.name] = linkage
    return found


def _factors(
    X: np.ndarray,
    columns: list[Column],
    levels: dict[str, pd.Series],
    subjects: pd.Series,
    obs: pd.DataFrame,
    linkage: dict[str, Linkage],
    variance: pd.DataFrame,
) -> pd.DataFrame:
    """One row per level of everything that is compared."""
    explained = dict(zip(variance["column"], variance["r2_adjusted"], strict=True))
    means = np.nanmean(X[:, (~np.isnan(X)).any(axis=0)], axis=0)
    shifts = np.array(
        [
            np.nanmedian(row - means) if (~np.isnan(row)).any() else np.nan
            for row in X[:, (~np.isnan(X)).any(axis=0)]
        ]
    )
    rows = []
    for column in columns:
        if column.role not in COMPARED:
            continue
        in_rows = as_levels(obs[column.name])
        link = linkage.get(column.name)
        for level in column.levels:
            mask = (levels[column.name] == level).to_numpy()
            rows.append(
                {
                    "key": f"{column.name} = {level}",
                    "factor": column.name,
                    "level": level,
                    "n_subjects": int(subjects[mask].nunique()),
                    "n_samples": int((in_rows == level).sum()),
                    "reference": level == column.reference,
                    "kind": "composite"
                    if column.composite
                    else "covariate"
                    if column.usual_covariate
                    else "main",
                    "missing_rate": float(np.isnan(X[mask]).mean()) if mask.any() else np.nan,
                    "median_shift": float(pd.Series(shifts[mask]).median()),
                    "linked_missingness": bool(link.linked) if link else False,
                    "missing_p": link.p if link else np.nan,
                    "missing_r2": link.r2 - link.r2_null if link else np.nan,
                    "share_linked": link.share_linked if link else np.nan,
                    "n_exclusive": link.n_exclusive if link else 0,
                    "r2_adjusted": explained.get(column.name, np.nan),
                }
            )
    names = [
        "key", "factor", "level", "n_subjects", "n_samples", "reference", "kind", "missing_rate", "median_shift",
        "linked_missingness", "missing_p", "missing_r2", "share_linked", "n_exclusive", "r2_adjusted",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def _features(X: np.ndarray, dataset: AnnData) -> pd.DataFrame:
    seen = ~np.isnan(X)
    count = seen.sum(axis=0)
    mean, sd = np.full(X.shape[1], np.nan), np.full(X.shape[1], np.nan)
    mean[count > 0] = np.nanmean(X[:, count > 0], axis=0)
    sd[count > 1] = np.nanstd(X[:, count > 1], axis=0, ddof=1)
    genes = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(X.shape[1], "")
    return pd.DataFrame(
        {
            "feature": list(map(str, dataset.var_names)),
            "gene": genes,
            "n_detected": count,
            "missing_rate": 1 - count / X.shape[0],
            "mean": mean,
            "sd": sd,
        }
    )


def _scale(X: np.ndarray, dataset: AnnData) -> tuple[str, str]:
    return looks_logged(X)


def _quantity(X: np.ndarray, dataset: AnnData, quantity: str) -> str:
    """The quantity to compare: LFQ where it exists.

    Label-free quantities normalised over all pairs of samples are less biased by a changed composition than raw
    intensities; they are left only when they have fewer than half of the values that the intensities have.
    """
    layers = {
        name: int((~np.isnan(np.asarray(dataset.layers[name], dtype=float))).sum()) for name in dataset.layers
    }
    seen = int((~np.isnan(X)).sum())
    if quantity == "lfq" and layers.get("intensity", 0) > 2 * seen:
        return "intensity"
    if quantity == "intensity" and seen <= 2 * layers.get("lfq", 0):
        return "lfq"
    return quantity if quantity != "unknown" else "X"


def _time_of_event(times: list[str], levels: dict[str, pd.Series], events: list[str]) -> str | None:
    """The follow-up time that belongs to the event: survival where the event is death, else the first."""
    if not times:
        return None
    if events and set(levels[events[0]].dropna().str.lower()) & {
        "alive",
        "dead",
        "deceased",
        "died",
        "living",
        "death",
    }:
        for name in times:
            if "surviv" in name.lower() and "free" not in name.lower():
                return name
    return times[0]


def _shared_shift(samples: pd.DataFrame) -> float:
    return float(samples["shift"].std(ddof=0))


def _residual_kurtosis(X: np.ndarray, columns: list[Column], levels: dict[str, pd.Series]) -> float | None:
    """Excess kurtosis of pooled residuals around group means, each feature scaled to unit variance."""
    factor = next((c for c in columns if c.role in COMPARED and not c.composite and c.cue > 0), None)
    groups = levels[factor.name].fillna("") if factor is not None else pd.Series([""] * X.shape[0])
    residual = X.copy()
    for level in set(groups):
        rows = np.flatnonzero((groups == level).to_numpy())
        usable = (~np.isnan(X[rows])).sum(axis=0) >= 3
        residual[np.ix_(rows, ~usable)] = np.nan
        if usable.any():
            block = X[np.ix_(rows, usable)]
            residual[np.ix_(rows, usable)] = block - np.nanmean(block, axis=0)
    count = (~np.isnan(residual)).sum(axis=0)
    enough = count >= 6
    if not enough.any():
        return None
    spread = np.nanstd(residual[:, enough], axis=0)
    scaled = residual[:, enough][:, spread > 0] / spread[spread > 0]
    pooled = scaled[~np.isnan(scaled)]
    return finite(stats.kurtosis(pooled)) if pooled.size >= 100 else None


def _n_events(levels: dict[str, pd.Series], events: list[str]) -> int | None:
    if not events:
        return None
    quiet = {"alive", "living", "censored", "0", "no", "false"}
    known = levels[events[0]].dropna()
    return int((~known.str.lower().isin(quiet)).sum())


def _gene_rate(dataset: AnnData) -> float | None:
    if "gene" not in dataset.var:
        return None
    return finite((dataset.var["gene"].astype(str).str.len() > 0).mean())


def _column_table(columns: list[Column]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (
                column.name,
                column.role,
                column.n_levels,
                column.n_missing,
                column.reference,
                column.reference_known,
                ";".join(column.levels[:30]),
                column.cue,
                column.usual_covariate,
                column.fixed_trait,
                column.related,
                column.constructed,
                column.why,
            )
            for column in columns
        ],
        columns=[
            "column", "role", "n_levels", "n_missing", "reference", "reference_known", "levels", "cue",
            "usual_covariate", "fixed_trait", "related", "constructed", "why",
        ],
    )  # fmt: skip


def _notice_design(
    notices: list[tuple[str, str, str, str, str]],
    columns: list[Column],
    contrasts: pd.DataFrame,
    confounding: pd.DataFrame,
    unit: Unit,
    obs: pd.DataFrame,
) -> None:
    """What the design cannot answer."""
    for row in confounding[(confounding["verdict"] == "cannot separate")].itertuples():
        if row.kind == "factor-batch":
            notices.append(
                (
                    f"confounded: {row.pair}",
                    "refuse",
                    row.first,
                    f"cannot separate {row.first!r} from {row.second!r}: "
                    + str(row.why).removeprefix("cannot separate; "),
                    "only samples of both groups measured in one batch could tell them apart",
                )
            )
    for column in columns:
        if column.role not in COMPARED or column.composite:
            continue
        small = [level for level in column.levels if (as_levels(obs[column.name]) == level).sum() < 2]
        if small:
            notices.append(
                (
                    f"single: {column.name}",
                    "warning",
                    column.name,
                    f"levels of {column.name!r} with one sample are not compared: {', '.join(small[:5])}",
                    "measure replicates",
                )
            )
        share = column.n_missing / max(len(obs), 1)
        if share > 0:
            notices.append(
                (
                    f"unlabelled: {column.name}",
                    "info" if share < 0.2 else "warning",
                    column.name,
                    f"{column.n_missing} of {len(obs)} rows have no value in {column.name!r} and are left out of its contrasts",
                    "complete the sample sheet",
                )
            )
    for column in columns:
        if (wrong := _no_event(column, columns, obs)) is not None:
            sample, value = wrong
            notices.append(
                (
                    f"event_coding: {column.name}",
                    "refuse",
                    column.name,
                    f"sample {sample!r} has {value!r} in {column.name!r}, but an event is 0 or 1",
                    "write 1 where the event happened, 0 where it did not, or rename the column if it is no event",
                )
            )
    for column in columns:
        if column.role == "constant" and column.n_levels == 1 and column.cue == 2:
            notices.append(
                (
                    f"one_level: {column.name}",
                    "warning",
                    column.name,
                    f"factor {column.name!r} has one level: it cannot be compared",
                    "give samples of a second level",
                )
            )
    testable = contrasts[(contrasts["refused"] == "") & ~contrasts["descriptive"].astype(bool)]
    if testable.empty:
        if contrasts.empty:
            text = "no column of the sample sheet has two levels with two or more subjects each"
            mend = "give a sample sheet with a column that names each sample's group"
        elif (contrasts["refused"] != "").all():
            text, mend = (
                "every contrast is confounded with a batch",
                "a new measurement with mixed batches is needed",
            )
        else:
            text = f"no contrast has {INFER} subjects in both groups: description only, nothing is inferred"
            mend = f"measure at least {INFER} subjects per group"
        notices.append(("no_contrast", "refuse", "design", text, mend))
    if unit.repeats in ("technical", "mixed"):
        notices.append(
            (
                "technical_replicates",
                "warning",
                unit.column or "",
                f"{len(obs)} rows are {unit.n_subjects} {words.plural(unit.word)}, measured up to {unit.most_rows} times: "
                f"{unit.why}",
                "aggregate the rows of a subject before any test (tool aggregate_replicates)",
            )
        )
    guessed = [
        c.name
        for c in columns
        if c.role in COMPARED and not c.reference_known and not c.usual_covariate and not c.composite
    ]
    if guessed:
        notices.append(
            (
                "reference_guessed",
                "info",
                ";".join(guessed),
                f"nothing says which level of {', '.join(map(repr, guessed))} is the reference: the first in order is taken",
                "the sign of an effect depends on it; name the contrast in the question",
            )
        )


def _no_event(column: Column, columns: list[Column], obs: pd.DataFrame) -> tuple[str, str] | None:
    """First sample whose number under an event's name is neither 0 nor 1, where a follow-up time stands beside it."""
    if column.composite or column.constructed or not set(words.tokens(column.name)[-1:]) & words.EVENT_NAME:
        return None
    if not any(other.name != column.name and words.follows_up(other.name) for other in columns):
        return None
    numbers = pd.to_numeric(obs[column.name], errors="coerce")
    if numbers[obs[column.name].notna()].isna().any():
        return None
    wrong = numbers[numbers.notna() & ~numbers.isin([0, 1])]
    return None if wrong.empty else (str(wrong.index[0]), f"{wrong.iloc[0]:g}")


def _notice_data(
    notices: list[tuple[str, str, str, str, str]],
    X: np.ndarray,
    samples: pd.DataFrame,
    scale: str,
    scale_why: str,
    facts: dict[str, object],
    dataset: AnnData,
    linkage: dict[str, Linkage],
    unit: Unit,
) -> None:
    """What the matrix itself warns of."""
    for row in samples[samples["outlier"]].itertuples():
        notices.append(
            (
                f"outlier: {row.sample}",
                "warning",
                row.sample,
                f"sample {row.sample!r} lies far from the others: {row.why}",
                "compare the findings with and without it",
            )
        )
    for name, found in linkage.items():
        if found.linked:
            notices.append(
                (
                    f"missing_by: {name}",
                    "warning",
                    name,
                    f"values are missing by {name!r}: {found.n_exclusive} features are always seen in one level and "
                    f"never in another, {found.share_linked:.0%} of partly missing features follow it",
                    "test detection as well, and impute nothing before testing",
                )
            )
    if scale == "log ratio":
        notices.append(
            ("log_ratio", "info", "scale", f"the values look like log ratios: {scale_why}", "none needed")
        )
    if str(facts.get("id_space", "unknown")) == "unknown" and facts:
        notices.append(
            (
                "id_space_unknown",
                "info",
                "features",
                "the kind of feature ids is unknown: enrichment is not possible",
                "give UniProt accessions or gene symbols",
            )
        )
    if np.isnan(X).mean() > 0.5:
        notices.append(
            (
                "sparse",
                "warning",
                "matrix",
                f"{np.isnan(X).mean():.0%} of the values are missing",
                "filter features before testing",
            )
        )


def _summary(
    X: np.ndarray,
    unit: Unit,
    contrasts: pd.DataFrame,
    associations: pd.DataFrame,
    batches: list[str],
    outliers: list[str],
) -> str:
    rows = (
        f"{X.shape[0]} samples"
        if unit.repeats == "none"
        else f"{X.shape[0]} rows of {unit.n_subjects} {words.plural(unit.word)}"
    )
    parts = [f"{rows} x {X.shape[1]} features, {np.isnan(X).mean():.0%} missing"]
    parts.append(
        f"{len(contrasts)} candidate contrasts"
        + (f", first {contrasts['contrast'][0]!r}" if len(contrasts) else "")
    )
    if len(associations):
        parts.append(f"{len(associations)} continuous variables")
    if batches:
        parts.append(f"batch columns {', '.join(batches)}")
    if outliers:
        parts.append(f"{len(outliers)} outlier samples")
    return "; ".join(parts) + "."
