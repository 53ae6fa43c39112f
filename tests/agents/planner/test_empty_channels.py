"""Reporter channels that were left empty are no samples: a run never compares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import nereus


def test_empty_channels_are_left_out_of_a_run(tmp_path: Path) -> None:
    """Two plexes of eight channels with three cases, three controls and two channels that only leakage fills."""
    rng = np.random.default_rng(0)
    level = rng.uniform(12, 20, 120)
    columns: dict[str, np.ndarray] = {}
    for plex in ("P1", "P2"):
        for name in ("case1", "case2", "case3", "ctrl1", "ctrl2", "ctrl3", "unused1", "unused2"):
            empty = name.startswith("unused")
            values = 2.0 ** (level + rng.normal(0, 0.1, 120) - (8 if empty else 0))
            columns[f"{plex}_{name}"] = values.round(1)
    channels = ["126C", "127N", "127C", "128N", "128C", "129N", "129C", "130N"]
    data, sheet = tmp_path / "tmt.csv", tmp_path / "sheet.csv"
    named = {old: f"TotInt_{channels[i % 8]}_{old.split('_')[0]}" for i, old in enumerate(columns)}
    proteins = [f"P{10000 + i}" for i in range(120)]
    table = {"Accession": proteins, **{named[old]: values for old, values in columns.items()}}
    pd.DataFrame(table).to_csv(data, index=False)
    read = nereus.load_dataset(data)
    assert read.obs["blank"].sum() == 4
    group = ["case" if i % 8 < 3 else "control" if i % 8 < 6 else "empty" for i in range(16)]
    pd.DataFrame({"sample": read.obs_names, "group": group}).to_csv(sheet, index=False)
    run = nereus.discover(
        data,
        sheet,
        out=tmp_path / "report",
        home=tmp_path / "home",
        budget=["objectives=2", "steps=20"],
        workers=1,
    )
    loaded = next(call for call in run.record.calls.values() if call.spec.tool == "load_dataset")
    assert loaded.values["n_samples"] == 12
    assert any("4 blank channels removed" in text for text in loaded.warnings)
    compared = {one.contrast.label for one in run.record.objectives if one.contrast}
    assert compared
    assert not any("empty" in label or "True" in label for label in compared)
