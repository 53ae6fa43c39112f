"""What explains the values and their absence: shares of variance, missingness by factor, and the table of levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.missing import Linkage, detection_linkage
from nereus.tools.proteomics.profile.unit import Unit
from nereus.tools.statistics.batch import share_beyond
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.pca import Components, principal_components

if TYPE_CHECKING:
    from nereus.tools.proteomics.profile.tool import ProfileParams

N_COMPONENTS = 5


def components(X: np.ndarray) -> Components | None:
    """The first principal components; None with too few samples or where no feature varies."""
    if X.shape[0] < 3:
        return None
    try:
        return principal_components(X, N_COMPONENTS)
    except InputError:
        return None


def explained_variance(obs: pd.DataFrame, columns: list[Column], pca: Components | None) -> pd.DataFrame:
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


def missing_by_factor(
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


def factor_table(
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
