"""Small tools with which a complete record is made in milliseconds."""

from __future__ import annotations

import io

import anndata
import numpy as np
import pandas as pd

from nereus.errors import ToolError
from nereus.tools.base import Figure, Params, Result, SourceFile, tool

SVG = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 20"
width="40pt" height="20pt">
 <defs><style type="text/css">*{{stroke-linejoin: round}}</style><clipPath id="clip"><rect width="40"
 height="20"/></clipPath></defs> <g id="points" clip-path="url(#clip)"><circle id="c1" cx="5" cy="5"
 r="2"/><use xlink:href="#c1" x="4"/></g> <text x="2" y="18">{label}</text>
</svg>
"""


class NoParams(Params):
    """Nothing to choose."""


class CompareParams(Params):
    """How two groups are compared."""

    factor: str = "group"
    a: str = "case"
    b: str = "control"
    centre: bool = False


@tool("toy_load", version="1", summary="Read.", outputs=("dataset:dataset", "table:removed_rows"))
def toy_load(data: SourceFile, params: NoParams, *, seed: int) -> Result:
    """Read a small table."""
    frame = pd.read_csv(io.BytesIO(data.path.read_bytes()), index_col=0)
    values = np.log2(frame.to_numpy(float).T)
    obs = pd.DataFrame(
        {"group": ["case" if n.startswith("case") else "control" for n in frame.columns]}, index=frame.columns
    )
    dataset = anndata.AnnData(
        values, obs=obs, var=pd.DataFrame({"gene": list(frame.index)}, index=list(frame.index))
    )
    removed = pd.DataFrame({"feature": ["CON__P1"], "reason": ["contaminant"]})
    return Result(
        "Read the table.",
        values={"software": "generic table", "n_features": len(frame), "n_samples": frame.shape[1]},
        tables={"removed_rows": removed},
        datasets={"dataset": dataset},
    )


@tool("toy_compare", version="2", summary="Compare.", outputs=("table:differential",))
def toy_compare(dataset: anndata.AnnData, params: CompareParams, *, seed: int) -> Result:
    """Compare two groups."""
    group = dataset.obs[params.factor].astype(str).to_numpy()
    if params.a not in group:
        raise ToolError(f"there is no level {params.a!r}", where=params.factor, mend="name a level")
    a, b = dataset.X[group == params.a], dataset.X[group == params.b]
    effect = a.mean(0) - b.mean(0)
    se = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
    p = 2.0 ** -np.abs(effect / se)
    p[-1] = np.nan
    table = pd.DataFrame(
        {
            "feature": list(dataset.var_names),
            "gene": list(dataset.var["gene"]),
            "effect": effect,
            "se": se,
            "ci_low": effect - 2 * se,
            "ci_high": effect + 2 * se,
            "p": p,
            "q": np.minimum(1, p * 2),
            "n_a": len(a),
            "n_b": len(b),
        }
    )
    return Result(
        f"Tested {len(table)} features.",
        values={
            "n_tested": len(table),
            "n_significant": int((table.q < 0.2).sum()),
            "median_effect": float(np.median(effect)),
        },
        tables={"differential": table},
        warnings=("a warning with a name: " + str(dataset.var_names[0]),),
    )


@tool("toy_claims", version="1", summary="Claims.", outputs=("table:claims",))
def toy_claims(table: pd.DataFrame, params: NoParams, *, seed: int) -> Result:
    """Make the final claim table."""
    kept = table[table.q < 0.2]
    claims = pd.DataFrame(
        {
            "claim_id": [f"case vs control|{f}|abundance" for f in kept.feature],
            "contrast": "case vs control",
            "feature": kept.feature,
            "gene": kept.gene,
            "direction": np.where(kept.effect > 0, "up", "down"),
            "effect": kept.effect,
            "ci_low": kept.ci_low,
            "ci_high": kept.ci_high,
            "p": kept.p,
            "q": kept.q,
            "confidence": 0.9,
            "kind": "abundance",
            "stability": 0.98,
        }
    ).reset_index(drop=True)
    return Result(f"{len(claims)} claims.", values={"n_claims": len(claims)}, tables={"claims": claims})


@tool("toy_plot", version="1", summary="Draw.", outputs=("figure:volcano",))
def toy_plot(table: pd.DataFrame, params: NoParams, *, seed: int) -> Result:
    """Draw one figure."""
    label = table.feature[0].replace("&", "&amp;").replace("<", "&lt;")
    figure = Figure(
        SVG.format(label=label).encode(),
        table[["feature", "effect", "p"]],
        "Volcano",
        "Each point is a protein.",
    )
    return Result("Drawn.", figures={"volcano": figure})


CATALOGUE = {
    name: f"tests.agents.reporter.toy_tools:{name}"
    for name in ("toy_load", "toy_compare", "toy_claims", "toy_plot")
}
