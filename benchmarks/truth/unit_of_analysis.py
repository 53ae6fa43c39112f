"""S3: 1,080 rows are 72 mice. The unit of analysis must be the mouse, without being told.

Claim: APP (in the triplicated segment) is the first claim for genotype; no claim for genotype or treatment fails at mouse
level; ITSN1 is reported and tentative (aim). With the discover arm also: the run itself declares the mouse as its unit.

    python -m benchmarks.truth.unit_of_analysis --data FOLDER [--arm discover|tools] [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.truth.arms import Outcome, discover_arm, load, naive_arm, tools_arm
from benchmarks.truth.mouse_cortex import FACTORS, FILE, contrasts, mice
from benchmarks.truth.results import data_folder, store
from nereus.tools import registry

LEVEL = 0.05


def factor_of(contrast: str, obs: pd.DataFrame) -> str | None:
    """The factor whose levels a contrast names."""
    sides = {side.strip() for side in contrast.split(" (")[0].split(" vs ")}
    return next((f for f in FACTORS if sides == set(obs[f].astype(str))), None)


def mouse_level_q(dataset: AnnData) -> dict[str, pd.Series]:
    """q of each factor by the moderated t on mouse means, given the other factors."""
    found = {}
    for contrast in contrasts(dataset.obs):
        table = registry.get("differential_abundance")(dataset, contrast=contrast).table()
        found[str(contrast["factor"])] = table.set_index("feature")["q"]
    return found


def score(outcome: Outcome, dataset: AnnData) -> dict[str, object]:
    q = mouse_level_q(dataset)
    claims = outcome.claims.assign(
        factor=[factor_of(str(c), dataset.obs) for c in outcome.claims["contrast"]]
    )
    checked = claims[claims["factor"].isin(["Genotype", "Treatment"])]
    failing = [
        f"{row.feature} ({row.factor})"
        for row in checked.itertuples()
        if not q[row.factor].get(row.feature, 1.0) <= LEVEL
    ]
    genotype = claims[claims["factor"] == "Genotype"].sort_values(
        "confidence", ascending=False, kind="stable"
    )
    itsn1 = genotype[genotype["feature"].str.startswith("ITSN1")]
    return {
        "first_for_genotype": str(genotype["feature"].iloc[0]) if len(genotype) else None,
        "app_first": bool(len(genotype) and str(genotype["feature"].iloc[0]).startswith("APP")),
        "genotype_claims": len(genotype),
        "treatment_claims": int((claims["factor"] == "Treatment").sum()),
        "behaviour_claims": int((claims["factor"] == "Behavior").sum()),
        "other_claims": int(claims["factor"].isna().sum()),
        "failing_at_mouse_level": failing,
        "itsn1_confidence": float(itsn1["confidence"].iloc[0]) if len(itsn1) else None,
        "itsn1_tentative": bool(len(itsn1) and 0.4 <= float(itsn1["confidence"].iloc[0]) < 0.7),
        "confident_treatment_claims": int(
            (checked[checked["factor"] == "Treatment"]["confidence"] >= 0.7).sum()
        ),
    }


def pseudo_replicated(folder: Path, dataset: AnnData) -> dict[str, int]:
    """Naive hits when the 1,080 rows are taken for independent, and how many of them hold at mouse level."""
    rows = load(folder / FILE, None)
    values, q = np.asarray(rows.X), mouse_level_q(dataset)
    found: dict[str, int] = {}
    for factor in FACTORS:
        labels = rows.obs[factor].astype(str).to_numpy()
        naive = naive_arm(values, list(rows.var_names), labels == sorted(set(labels))[1], factor)
        found[f"{factor}_hits"] = len(naive.claims)
        found[f"{factor}_hold_at_mouse_level"] = sum(
            q[factor].get(f, 1.0) <= LEVEL for f in naive.claims["feature"]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--arm", choices=["discover", "tools"], default="discover")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    folder = data_folder(options.data)
    start = time.perf_counter()
    dataset = mice(folder)
    scored = []
    for seed in options.seeds:
        if options.arm == "tools":
            scored.append(score(tools_arm(dataset, contrasts(dataset.obs), seed), dataset))
            continue
        with tempfile.TemporaryDirectory() as work:
            copy = Path(work) / FILE.name
            shutil.copy(folder / FILE, copy)
            outcome = discover_arm(copy, None, Path(work), seed)
        scored.append({**score(outcome, dataset), "unit_declared": outcome.unit})
    naive = pseudo_replicated(folder, dataset)
    content = {
        "claim": "S3",
        "arm": options.arm,
        "seeds": options.seeds,
        "runs": scored,
        "naive": naive,
    }
    path = store(
        f"unit_of_analysis_{options.arm}",
        content,
        module="benchmarks.truth.unit_of_analysis",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(scored[0], naive, path.name, sep="\n")


if __name__ == "__main__":
    main()
