"""All claims of a run in one table."""

from __future__ import annotations

import pandas as pd

from nereus.tools.base import Params, Result, tool


class GatherParams(Params):
    """`gather_claims` has no parameters."""


@tool(
    "gather_claims",
    version="1",
    summary="Every claim of the run in one table, best supported first.",
    outputs=("table:claims",),
    seconds=0.1,
)
def gather_claims(tables: dict[str, pd.DataFrame], params: GatherParams, *, seed: int) -> Result:
    """Put the claim tables of all objectives under each other.

    Parameters
    ----------
    tables
        Objective id -> table ``claims`` of `compose_claims`.
    params
        None.
    seed
        Not used: nothing is random.

    Returns
    -------
    Result
        Table ``claims``: the columns of the parts and ``objective``; `compose_claims` with a ``prefix`` makes its ids
        unique.

    Examples
    --------
    >>> import pandas as pd
    >>> part = pd.DataFrame({"claim_id": ["O2|abundance|P1"], "feature": ["P1"], "p": [0.01]})
    >>> from nereus.tools.statistics.gather import gather_claims
    >>> gather_claims({"O2": part}).table()["objective"].tolist()
    ['O2']
    """
    parts = [tables[objective].assign(objective=objective) for objective in sorted(tables)]
    # From rows, so that a part without rows, or a column without values in it, does not change the type of the others.
    rows = [row for part in parts for row in part.to_dict("records")]
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    claims = pd.DataFrame(rows, columns=columns or ["claim_id", "feature", "p"])
    counts = {objective: len(tables[objective]) for objective in sorted(tables)}
    told = (
        ", ".join(f"{objective}: {count}" for objective, count in counts.items())
        or "no comparison was tested"
    )
    return Result(
        summary=f"{len(claims)} claims at the run's error level ({told}).",
        values={"n_claims": len(claims), "n_objectives": len(tables)},
        tables={"claims": claims},
        n_total=len(claims),
        n_returned=len(claims),
    )
