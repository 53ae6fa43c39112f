"""The sample sheet as it was joined to the data: what a person sees and may correct before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nereus.tools.proteomics.profile.cells import COUNT, SAMPLE, holds_cells

if TYPE_CHECKING:
    from anndata import AnnData


def sheet_table(dataset: AnnData) -> pd.DataFrame:
    """One row a sample: ``sample`` and the columns of the sheet.

    Of a table of cells the columns that are constant within every sample, and ``n_cells``.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> data = anndata.AnnData(np.zeros((2, 1)), obs=pd.DataFrame({"group": ["a", "b"]}, index=["s1", "s2"]))
    >>> sheet_table(data)
      sample group
    0     s1     a
    1     s2     b
    """
    obs = dataset.obs.copy()
    obs.columns = [str(one) for one in obs.columns]
    if holds_cells(dict(dataset.uns.get("nereus", {}))) and SAMPLE in obs.columns:
        by_sample = obs.groupby(obs[SAMPLE].astype(str), observed=True, sort=True)
        constant = [one for one in obs.columns if one != SAMPLE and (by_sample[one].nunique() <= 1).all()]
        return (
            by_sample[constant].first().assign(**{COUNT: by_sample.size()}).rename_axis(SAMPLE).reset_index()
        )
    names = pd.Series(obs.index.astype(str), index=obs.index)
    kept = obs.drop(columns=[one for one in obs.columns if one == SAMPLE])
    kept.insert(0, SAMPLE, names)
    return kept.reset_index(drop=True)
