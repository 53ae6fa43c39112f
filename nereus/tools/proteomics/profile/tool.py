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
from nereus.tools.proteomics.profile.cells import SAMPLE, holds_cells, label_table, samples_of
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.confounding import confounding_table
from nereus.tools.proteomics.profile.contrasts import association_table, contrast_table
from nereus.tools.proteomics.profile.designs import (
    course_table,
    dose_table,
    interaction_table,
    number_columns,
    plex_table,
    speaks_of_labels,
)
from nereus.tools.proteomics.profile.explained import (
    components,
    explained_variance,
    factor_table,
    missing_by_factor,
)
from nereus.tools.proteomics.profile.kinds import Kind, kind_of, organelle_table
from nereus.tools.proteomics.profile.measured import (
    feature_table,
    gene_rate,
    recommended_quantity,
    residual_kurtosis,
)
from nereus.tools.proteomics.profile.notices import Notice, notice_data, notice_design
from nereus.tools.proteomics.profile.outcome import count_events, outcome_table, time_of_event
from nereus.tools.proteomics.profile.pulldowns import pulldown_table
from nereus.tools.proteomics.profile.shared_numbers import notice_shared_numbers
from nereus.tools.proteomics.profile.sheet import column_table, named_subject, sheet_columns
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
    version="5",
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
        "table:interactions",
        "table:courses",
        "table:doses",
        "table:outcomes",
        "table:pulldowns",
        "table:organelles",
        "table:plexes",
        "table:labels",
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
        Log2 abundance, samples x features, with the sample sheet in obs. Of a table of cells (``uns`` says so) the
        samples are profiled, by the medians of their cells.
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
        - ``interactions``, ``courses``, ``doses``, ``plexes``: see `profile.designs`; ``outcomes``: see
          `profile.outcome`; ``pulldowns``: see `profile.pulldowns`; ``organelles``: see `profile.kinds`;
          ``labels``: populations that cells came with, see `profile.cells`;
        - ``notices``: notice, severity (info, warning, refuse), about, text, mend.

        Values name the kind of data (`profile.kinds`), the unit of analysis, the subject column, batches, scale,
        missingness and counts.

    Raises
    ------
    InputError
        Fewer than two samples, cells without samples, infinite values, more than 80 % missing, or raw intensities.

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
    facts = described(dataset)
    cells = dataset if holds_cells(facts) else None
    dataset = samples_of(cells) if cells is not None else dataset
    X = abundance(dataset)
    _refuse(X, of_cells=cells is not None)
    rng = np.random.default_rng(seed)
    notices: list[Notice] = []
    obs, columns, constructed = sheet_columns(
        dataset, params, bool(facts.get("group_guessed", False)), notices
    )
    named = params.subject or (str(facts["subject"]) if facts.get("subject") else None)
    columns = named_subject(columns, named)
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
        else replace(column, role="continuous", why="a moment: it varies within subjects")
        if column.role == "time" and column.name in unit.varying
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
    numbers = number_columns(unit_obs, columns)
    interactions = interaction_table(columns, levels, subjects, unit)
    courses = course_table(unit_obs, columns, levels, subjects, unit, numbers)
    doses = dose_table(unit_obs, columns, numbers)
    outcomes = outcome_table(unit_obs, columns)
    plexes = plex_table(obs, columns)
    linkage = missing_by_factor(unit_X, columns, levels, unit, subjects, params, rng)
    samples = sample_statistics(X, list(map(str, dataset.obs_names)), params.outlier_mad)
    factors = factor_table(unit_X, columns, levels, subjects, obs, linkage, variance)
    features = feature_table(X, dataset)
    exclusive = {name: found.n_exclusive / X.shape[1] for name, found in linkage.items()}
    genes = set(features["gene"].str.upper()) - {""}
    pulldowns = pulldown_table(columns, levels, subjects, genes, exclusive)
    organelles = organelle_table(dataset)
    kind = kind_of(dataset, facts, organelles, pulldowns)
    scale, scale_why = looks_logged(X)
    notice_design(notices, columns, contrasts, confounding, unit, obs)
    notice_shared_numbers(notices, unit_X, unit_obs, columns, unit, seed)
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
    constructed |= dict(number_columns(obs, columns).values())
    derived = _with_columns(
        dataset if cells is None else cells, constructed, line, by_sample=cells is not None
    )
    return Result(
        summary=_summary(
            X,
            unit,
            contrasts,
            associations,
            names["batch"],
            outliers,
            kind,
            str(facts.get("organism", "unknown")),
        ),
        values={
            "data_kind": kind.name,
            "data_kind_why": kind.why,
            "n_cells": None if cells is None else int(cells.n_obs),
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
            "time_column": time_of_event(outcomes, names["time"]),
            "event_column": names["event"][0] if names["event"] else None,
            "n_events": count_events(levels, names["event"]),
            "pair_column": names["pair"][0] if names["pair"] else None,
            "n_factors": sum(column.role in COMPARED and not column.composite for column in columns),
            "n_contrasts": n_contrasts,
            "n_testable_contrasts": len(possible),
            "main_factor": None if main is None else str(main["factor"]),
            "main_contrast": None if main is None else str(main["contrast"]),
            "n_interactions": _testable(interactions),
            "n_courses": _testable(courses),
            "n_dose_series": _testable(doses),
            "n_outcomes": _testable(outcomes),
            "n_baits": _testable(pulldowns),
            "n_plexes": len(plexes),
            "isobaric": speaks_of_labels(facts, obs, plexes),
            "n_references": int(plexes["n_references"].sum()),
            "reference_samples": ";".join(
                one for text in plexes["references"] for one in text.split(";") if one
            ),
            "marker_column": str(organelles.iloc[0]["column"]) if _testable(organelles) else None,
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
            "columns": column_table(columns),
            "factors": factors,
            "confounding": confounding,
            "contrasts": contrasts,
            "associations": associations,
            "variance": variance,
            "interactions": interactions,
            "courses": courses,
            "doses": doses,
            "outcomes": outcomes,
            "pulldowns": pulldowns,
            "organelles": organelles,
            "plexes": plexes,
            "labels": label_table(cells),
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


def _refuse(X: np.ndarray, of_cells: bool) -> None:
    """Refuse what no analysis can start from; cells of one sample can be told apart, though no groups be compared."""
    if X.shape[0] < (1 if of_cells else 2):
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


def _testable(table: pd.DataFrame) -> int:
    return int(table["testable"].astype(bool).sum()) if len(table) else 0


def _with_columns(dataset: AnnData, made: dict[str, pd.Series], line: str, by_sample: bool) -> AnnData:
    """The data set with the constructed columns; cells take those of their sample."""
    derived = derive(dataset, line) if made else dataset.copy()
    samples = as_levels(dataset.obs[SAMPLE]) if by_sample else None
    for name, values in made.items():
        own = values if samples is None else samples.map(values.to_dict())
        derived.obs[name] = own.where(own.notna(), np.nan).to_numpy()
    return derived


def _summary(
    X: np.ndarray,
    unit: Unit,
    contrasts: pd.DataFrame,
    associations: pd.DataFrame,
    batches: list[str],
    outliers: list[str],
    kind: Kind,
    organism: str,
) -> str:
    rows = (
        f"{X.shape[0]} samples"
        if unit.repeats == "none"
        else f"{X.shape[0]} rows of {unit.n_subjects} {words.plural(unit.word)}"
    )
    parts = [f"{rows} x {X.shape[1]} features, {np.isnan(X).mean():.0%} missing"]
    parts.append(kind.name if organism == "unknown" else f"{kind.name} of {organism}")
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
