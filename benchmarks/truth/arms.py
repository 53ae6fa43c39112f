"""The arms of a truth test: the whole product, its tools called in the planner's order, and the naive analysis."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from nereus.tools import registry
from nereus.tools.base import SourceFile

OPTIONS: dict[str, Any] = {"background": "auto", "prior_covariate": "auto", "min_per_group": 1}
LEVEL = 0.05


@dataclass(frozen=True)
class Outcome:
    """What an arm claims.

    Attributes
    ----------
    claims
        Columns contrast, feature, direction, effect, q, confidence, kind.
    top
        Features (id, contrast, direction, confidence) of the hypotheses, best first.
    unit
        Unit of analysis that the run declares; empty for arms that are told.
    """

    claims: pd.DataFrame
    top: list[tuple[str, str, str, float]]
    unit: str = ""


def load(data: Path, samples: Path | None, **options: Any) -> AnnData:
    """Read a table and its sample sheet by the product's reader."""
    sheet = None if samples is None else SourceFile(samples, samples.name)
    return registry.get("load_dataset")(SourceFile(data, data.name), sheet, **options).dataset()


def discover_arm(data: Path, samples: Path | None, folder: Path, seed: int) -> Outcome:
    """Run `nereus.discover` and read claims.csv, hypotheses.json and the unit of analysis that it declares."""
    import nereus

    out = folder / f"out-{data.name}-{seed}"
    if out.exists():
        shutil.rmtree(out)
    run = nereus.discover(data, samples, out=out, seed=seed, home=folder / "home")
    profiles = [c.values for c in run.record.calls.values() if c.spec.tool == "profile_dataset"]
    unit = f"{profiles[0].get('unit_of_analysis')} ({profiles[0].get('n_subjects')})" if profiles else ""
    claims = pd.read_csv(out / "claims.csv")
    hypotheses = json.loads((out / "hypotheses.json").read_text())["hypotheses"]
    top = []
    for h in sorted(hypotheses, key=lambda h: h["rank"]):
        if h.get("status") in ("refuted", "merged"):
            continue
        confidence = h.get("confidence")
        for entity in h["claim"]["entities"]:
            if entity["kind"] in ("protein", "gene"):
                direction = {"present": "up", "absent": "down"}.get(entity["direction"], entity["direction"])
                top.append((entity["id"], h["claim"]["contrast"], direction, float(confidence or 0.0)))
    return Outcome(claims, top, unit)


def tools_arm(
    prepared: AnnData,
    contrasts: list[dict[str, Any]],
    seed: int,
    *,
    n_permutations: int = 100,
    n_plantings: int = 10,
) -> Outcome:
    """Call the tools in the order of the planner, for every contrast, with one run-wide error rate."""
    call = registry.get
    tables: dict[str, pd.DataFrame] = {}
    made: list[dict[str, Any]] = []
    for index, contrast in enumerate(contrasts):
        options = {"contrast": contrast, **OPTIONS}
        tests = call("differential_abundance")(prepared, **options).table()
        detection = call("detection_test")(prepared, contrast=contrast).table()
        stable = call("stability")(prepared, seed=seed, **options).table()
        null = call("permutation_null")(prepared, seed=seed, n_permutations=n_permutations, **options).table()
        tables[f"{index} abundance"], tables[f"{index} detection"] = tests, detection
        made.append(
            {"options": options, "tests": tests, "detection": detection, "stable": stable, "null": null}
        )
    questions = {name: name.split()[0] for name in tables}
    findings = call("run_wide_fdr")(tables, level=LEVEL, questions=questions).table("findings")
    claims = []
    for index, parts in enumerate(made):
        contrast = parts["options"]["contrast"]
        sure = call("calibrate_confidence")(
            prepared,
            parts["tests"],
            parts["detection"],
            parts["stable"],
            parts["null"],
            seed=seed,
            n_plantings=n_plantings,
            **parts["options"],
        ).table("confidence")
        result = call("compose_claims")(
            findings,
            parts["tests"],
            parts["detection"],
            parts["stable"],
            sure,
            contrast=f"{contrast['a']} vs {contrast['b']}",
            abundance_family=f"{index} abundance",
            detection_family=f"{index} detection",
        )
        claims.append(result.table("claims"))
    table = pd.concat(claims, ignore_index=True).sort_values(
        ["confidence", "q_run"], ascending=[False, True], kind="stable"
    )
    top = [(r.feature, r.contrast, r.direction, r.confidence) for r in table.itertuples()]
    return Outcome(table, top)


def prepare(dataset: AnnData) -> AnnData:
    """Normalise and combine quantities, as the planner does."""
    shifted = registry.get("normalise")(dataset, method="median").dataset()
    return registry.get("combine_quantities")(shifted).dataset()


def naive_arm(values: np.ndarray, features: list[str], in_a: np.ndarray, contrast: str) -> Outcome:
    """Textbook analysis of raw log2 intensities: sample medians, moderated t, Benjamini-Hochberg.

    Parameters
    ----------
    values
        log2 intensities, shape (samples, features).
    features
        Their names.
    in_a
        Samples of group a.
    contrast
        ``a vs b``.
    """
    from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast

    centred = (values - np.nanmedian(values, axis=1, keepdims=True)).T
    enough = (np.isfinite(centred[:, in_a]).sum(axis=1) >= 2) & (
        np.isfinite(centred[:, ~in_a]).sum(axis=1) >= 2
    )
    design = np.column_stack([np.ones(len(in_a)), in_a.astype(float)])
    fit = fit_contrast(np.where(enough[:, None], centred, np.nan), design, np.array([0.0, 1.0]))
    q = benjamini_hochberg(fit.p)
    found = np.flatnonzero(q <= LEVEL)
    table = pd.DataFrame(
        {
            "contrast": contrast,
            "feature": [features[i] for i in found],
            "direction": np.where(fit.effect[found] > 0, "up", "down"),
            "effect": fit.effect[found],
            "q": q[found],
            "confidence": 1.0 - q[found],
            "kind": "abundance",
            "p": fit.p[found],
        }
    ).sort_values("p", kind="stable")
    return Outcome(table, [(r.feature, r.contrast, r.direction, r.confidence) for r in table.itertuples()])
