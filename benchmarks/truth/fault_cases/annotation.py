"""Annotation tables and identifiers that do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.fault_cases.scene import Scene, case
from benchmarks.truth.fault_cases.tools import broken, changed

WITH_SETS = ["objectives=3", "hypotheses=8"]


@case(
    "annotation",
    r"table of gene sets is missing",
    same_data=False,
    alone=True,
)
def gene_set_tables_missing(scene: Scene) -> Any:
    from nereus.tools.enrichment import collections

    real, collections.DATA = collections.DATA, scene.out.parent / "tables"
    shutil.copytree(real, collections.DATA, ignore=shutil.ignore_patterns("sets.parquet"))
    collections.load_sets.cache_clear()
    for name in (
        "annotate_genes",
        "enrichment_ora",
        "enrichment_gsea",
    ):  # all that reads them is computed anew
        broken(name, changed(lambda result: result))
    return scene.start(budget=WITH_SETS)


def _renamed(scene: Scene, name: Callable[[int], str]) -> Path:
    table = pd.read_csv(scene.values, index_col=0)
    table.columns = [name(i) for i in range(table.shape[1])]
    target = scene.out.parent / "renamed.csv"
    table.to_csv(target)
    return target


@case(
    "annotation",
    r"(identifier|gene|organism|map)[^.]{0,120}(unknown|not|no |disabled|could)",
    same_data=False,
)
def identifiers_unmappable(scene: Scene) -> Any:
    rng = np.random.default_rng(0)
    letters = np.array(list("QWZXKJ"))
    names = ["".join(rng.choice(letters, 7)) + f"#{i}" for i in range(5000)]
    return scene.start(data=_renamed(scene, lambda i: names[i]), budget=WITH_SETS)


@case("annotation", r"organism|no gene sets|sets are", same_data=False)
def organism_unknown(scene: Scene) -> Any:
    return scene.start(data=_renamed(scene, lambda i: f"AT{1 + i % 5}G{10000 + 10 * i}"), budget=WITH_SETS)
