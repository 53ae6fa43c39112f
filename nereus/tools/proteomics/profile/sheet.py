"""The sample sheet as the profile reads it: roles of its columns, and columns made from names or one-hot groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.profile.columns import COMPARED, Column, classify
from nereus.tools.proteomics.profile.names import columns_from_names
from nereus.tools.proteomics.profile.notices import Notice

if TYPE_CHECKING:
    from anndata import AnnData

    from nereus.tools.proteomics.profile.tool import ProfileParams


def named_subject(columns: list[Column], name: str | None) -> list[Column]:
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


def sheet_columns(
    dataset: AnnData,
    params: ProfileParams,
    group_guessed: bool,
    notices: list[Notice],
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


def column_table(columns: list[Column]) -> pd.DataFrame:
    """One row a column."""
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
