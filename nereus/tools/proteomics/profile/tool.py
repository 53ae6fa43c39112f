"""The tool that answers what a data set is. Everything a planner decides rests on its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.aggregate import aggregate_rows, group_rows
from nereus.tools.proteomics.matrix import abundance, derive, described
from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column, classify
from nereus.tools.proteomics.profile.confounding import confounding_table
from nereus.tools.proteomics.profile.contrasts import association_table, contrast_table
from nereus.tools.proteomics.profile.explained import (
    components,
    explained_variance,
    factor_table,
    missing_by_factor,
)
from nereus.tools.proteomics.profile.measured import (
    feature_table,
    gene_rate,
    recommended_quantity,
    residual_kurtosis,
)
from nereus.tools.proteomics.profile.names import columns_from_names
from nereus.tools.proteomics.profile.notices import notice_data, notice_design
from nereus.tools.proteomics.profile.outcome import count_events, time_of_event
from nereus.tools.proteomics.profile.unit import Unit, find_unit
from nereus.tools.proteomics.quality import looks_logged, sample_statistics
from nereus.tools.statistics.batch import COVARIATE_R2
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

MAX_MISSING = 0.8


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
    rows_pca = components(X)
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
    pca = rows_pca if unit_X is X else components(unit_X)
    confounding = confounding_table(unit_obs, columns, levels)
    variance = explained_variance(unit_obs, columns, pca)
    contrasts, n_contrasts = contrast_table(
        unit_X, columns, levels, subjects, unit, unit_obs, variance, params.max_contrasts
    )
    associations = association_table(unit_obs, columns, levels)
    linkage = missing_by_factor(unit_X, columns, levels, unit, subjects, params, rng)
    samples = sample_statistics(X, list(map(str, dataset.obs_names)), params.outlier_mad)
    factors = factor_table(unit_X, columns, levels, subjects, obs, linkage, variance)
    features = feature_table(X, dataset)
    scale, scale_why = looks_logged(X)
    notice_design(notices, columns, contrasts, confounding, unit, obs)
    notice_data(notices, X, samples, scale, scale_why, facts, dataset, linkage, unit)
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
    shared = float(samples["shift"].std(ddof=0))
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
            "recommended_quantity": recommended_quantity(X, dataset, quantity),
            "alternative_quantities": ";".join(
                sorted(set(map(str, dataset.layers)) & {"intensity", "lfq", "ibaq", "top3"})
            ),
            "batch_columns": ";".join(names["batch"]),
            "batch_covariates": ";".join(modelled),
            "batch_r2": finite(batch_r2),
            "time_column": time_of_event(names["time"], levels, names["event"]),
            "event_column": names["event"][0] if names["event"] else None,
            "n_events": count_events(levels, names["event"]),
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
            "residual_kurtosis": residual_kurtosis(unit_X, columns, levels),
            "pc1_ratio": None if pca is None else finite(pca.ratio[0]),
            "organism": str(facts.get("organism", "unknown")),
            "id_space": str(facts.get("id_space", "unknown")),
            "gene_rate": gene_rate(dataset),
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
