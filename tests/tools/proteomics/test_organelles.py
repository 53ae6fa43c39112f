from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.organelles import classify_organelles, fraction_profiles

PLACES = ("ER", "Golgi", "lysosome", "mitochondrion", "nucleus")


def fractions(
    seed: int = 0, n: int = 60, novel: int = 30, mixed: int = 30, noise: float = 0.25
) -> anndata.AnnData:
    """Two replicates of ten fractions; proteins of five places, of a sixth without a marker, and of two at once."""
    rng = np.random.default_rng(seed)
    centres = rng.dirichlet(np.full(10, 0.7), 6) + 0.01
    truth = np.repeat(np.arange(5), n).tolist() + [5] * novel
    shares = centres[truth]
    pairs = (centres[rng.integers(0, 5, mixed)] + centres[rng.integers(0, 5, mixed)]) / 2
    shares = np.vstack([shares, pairs])
    profiles = [shares * np.exp(rng.normal(0, noise, shares.shape)) for _ in range(2)]
    X = np.log2(np.hstack(profiles)).T + rng.normal(20, 1.5, len(shares))
    names = [PLACES[code] if code < 5 else "novel" for code in truth] + ["mixed"] * mixed
    marker = [name if name in PLACES and i % 3 == 0 else "unknown" for i, name in enumerate(names)]
    var = pd.DataFrame({"truth": names, "marker": marker}, index=[f"P{i}" for i in range(len(names))])
    obs = pd.DataFrame({"replicate": ["1"] * 10 + ["2"] * 10}, index=[f"f{i}" for i in range(20)])
    return anndata.AnnData(X, obs=obs, var=var)


def test_places_are_found_and_strangers_stay_unknown() -> None:
    data = fractions()
    result = classify_organelles(data, markers="marker", replicate="replicate", seed=1)
    table = result.table("localisation")
    truth = data.var["truth"].to_numpy()
    assert result.values["macro_f1"] > 0.95
    assert result.values["calibration_error"] < 0.1
    free = table["verdict"] != "marker"
    placed = free & np.isin(truth, PLACES)
    assigned = placed & (table["organelle"] != "unknown")
    assert assigned.sum() > 0.85 * placed.sum()
    assert (table.loc[assigned, "organelle"] == truth[assigned]).mean() > 0.98
    novel = table[truth == "novel"]
    assert (novel["organelle"] == "unknown").mean() > 0.9
    assert (table.loc[table["marker"] != "", "organelle"] == table.loc[table["marker"] != "", "marker"]).all()
    assert result.dataset().var["organelle"].tolist() == table["organelle"].tolist()


def test_shuffled_markers_give_no_performance() -> None:
    data = fractions()
    known = data.var["marker"] != "unknown"
    shuffled = data.var["marker"].to_numpy().copy()
    shuffled[known] = np.random.default_rng(1).permutation(shuffled[known])
    data.var["marker"] = shuffled
    result = classify_organelles(data, markers="marker", seed=1)
    assert result.values["macro_f1"] < 0.4
    assert any("cannot be trusted" in text for text in result.warnings)
    assert result.values["n_assigned"] < 20


def test_typical_markers_of_an_organelle_are_rarely_called_atypical() -> None:
    rates = []
    for seed in range(4):
        data = fractions(seed, novel=0, mixed=0)
        table = classify_organelles(data, markers="marker", seed=1, min_probability=0.01).table(
            "localisation"
        )
        rates.append(float((table.loc[table["verdict"] != "marker", "verdict"] == "atypical").mean()))
    assert np.mean(rates) < 0.12


def test_profiles_sum_to_one_in_each_replicate() -> None:
    data = fractions()
    X = np.asarray(data.X).copy()
    X[3, 0] = np.nan
    X[10:, 1] = np.nan
    codes = np.repeat([0, 1], 10)
    made = fraction_profiles(X, codes)
    np.testing.assert_allclose(made[2:, :10].sum(axis=1), 1)
    np.testing.assert_allclose(made[2:, 10:].sum(axis=1), 1)
    assert made[0, 3] == 0
    assert np.isnan(made[1, 10:]).all()
    assert np.isfinite(made[1, :10]).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"markers": "nothing"}, "no feature column"),
        ({"markers": "one"}, "1 organelles have"),
        ({"markers": "marker", "min_markers": 50}, "0 organelles have"),
        ({"markers": "marker", "replicate": "nothing"}, "no sample column"),
    ],
)
def test_bad_input(options: dict[str, object], text: str) -> None:
    data = fractions()
    data.var["one"] = ["ER"] * 20 + [""] * (data.n_vars - 20)
    with pytest.raises(InputError, match=text):
        classify_organelles(data, **options)
    with pytest.raises(InputError, match="too few for a profile"):
        classify_organelles(data[:2].copy(), markers="marker")


def test_small_classes_and_missing_profiles_are_named() -> None:
    data = fractions()
    X = np.asarray(data.X)
    X[:15, -1] = np.nan
    data.var.loc[data.var_names[-3:], "marker"] = "peroxisome"
    result = classify_organelles(data, markers="marker", seed=1)
    assert any("peroxisome" in text for text in result.warnings)
    assert result.table("localisation")["verdict"].iloc[-1] == "not measured"


@pytest.mark.parametrize(
    ("name", "markers", "replicate", "f1"),
    [("Dunkley2006.csv.gz", "pd.markers", None, 0.93),
     ("hyperLOPIT-SIData-ms3-rep12-intersect.csv.gz", "SVM marker set", "replicate", 0.85)],
)  # fmt: skip
def test_organelle_maps(shared_data: Path, name: str, markers: str, replicate: str | None, f1: float) -> None:
    """Arabidopsis organelles (Dunkley et al. 2006) and mouse stem cells (Christoforou et al. 2016)."""
    from nereus.tools.proteomics.load import load_dataset

    data = load_dataset(SourceFile(shared_data / "spatial_hyperlopit" / name, name)).dataset()
    result = classify_organelles(data, markers=markers, replicate=replicate, seed=1)
    assert result.values["macro_f1"] > f1
    assert result.values["calibration_error"] < 0.03
    table = result.table("localisation")
    free = table[table["verdict"] == "assigned"]
    if replicate:
        final = data.var["Final Localization Assignment"].astype(str).to_numpy()[free.index]
        told = ~np.isin(final, ["unclassified", "unknown"])
        assert told.sum() > 1400
        assert (free["organelle"].to_numpy()[told] == final[told]).mean() > 0.97
    else:
        final = data.var["pd.2013"].astype(str).to_numpy()[free.index]
        same = {"ER": {"ER membrane", "ER lumen"}, "PM": {"PM"}, "Golgi": {"Golgi", "TGN"}, "vacuole": {"vacuole"},
                "mit/plastid": {"Mitochondrion", "Plastid"}}  # fmt: skip
        told = np.isin(final, list(same))
        right = [
            organelle in same[place]
            for organelle, place in zip(free["organelle"][told], final[told], strict=True)
        ]
        assert told.sum() > 150
        assert np.mean(right) > 0.9


def test_map_shows_organelles() -> None:
    data = fractions()
    table = classify_organelles(data, markers="marker", seed=1).table("localisation")
    drawn = registry.get("plot_localisation")(data, table)
    assert drawn.values["n_organelles"] == 5
    assert b"mitochondrion" in drawn.figures["localisation"].svg
    with pytest.raises(InputError, match="columns"):
        registry.get("plot_localisation")(data, table.drop(columns="verdict"))
