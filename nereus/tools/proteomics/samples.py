"""Leave samples out by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, tool
from nereus.tools.proteomics.matrix import abundance, derive

if TYPE_CHECKING:
    from anndata import AnnData


class RemoveSamplesParams(Params):
    """Parameters of `remove_samples`."""

    samples: tuple[str, ...] = Field(min_length=1)
    """Names of the samples to leave out."""


@tool("remove_samples", version="1", summary="Leave samples out by name.", outputs=("dataset:dataset",))
def remove_samples(dataset: AnnData, params: RemoveSamplesParams, *, seed: int) -> Result:
    """Leave samples out, for instance outliers, and features that have no value any more.

    Parameters
    ----------
    dataset
        Samples x features.
    params
        See `RemoveSamplesParams`.
    seed
        Unused.

    Returns
    -------
    Result
        ``dataset`` without the samples.

    Raises
    ------
    InputError
        A name is unknown, or fewer than 2 samples would stay.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> data = anndata.AnnData(np.ones((3, 2)), obs=pd.DataFrame(index=["a", "b", "c"]))
    >>> list(remove_samples(data, samples=["b"]).dataset().obs_names)
    ['a', 'c']
    """
    names = list(map(str, dataset.obs_names))
    unknown = sorted(set(params.samples) - set(names))
    if unknown:
        raise InputError(f"there is no sample {unknown[:3]}", mend=f"names are like {names[:3]}")
    stays = np.array([name not in set(params.samples) for name in names])
    if stays.sum() < 2:
        raise InputError(f"{int(stays.sum())} samples would stay", mend="leave fewer samples out")
    X = abundance(dataset)
    seen = ~np.isnan(X[stays]).all(axis=0)
    lost = int((~seen).sum())
    if not seen.any():
        raise InputError("the samples that stay have no value", mend="leave other samples out")
    line = f"remove_samples: left out {', '.join(sorted(set(params.samples)))}"
    removed = len(set(params.samples))
    return Result(
        summary=f"Left {removed} of {len(names)} samples out; {lost} features have no value in the others.",
        values={
            "n_before": len(names),
            "n_samples": int(stays.sum()),
            "n_removed": removed,
            "n_features_lost": lost,
        },
        datasets={"dataset": derive(dataset[stays][:, seen], line)},
        n_total=len(names),
        n_returned=int(stays.sum()),
    )
