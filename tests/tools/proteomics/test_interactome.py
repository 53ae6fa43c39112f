from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import special

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.interactome import score_interactome


def pulldowns(
    interactors: int = 25,
    *,
    seed: int = 0,
    p: int = 600,
    baits: tuple[str, ...] = ("BAIT1",),
    controls: int = 3,
) -> anndata.AnnData:
    """Three runs a bait, with weak values missing; the first proteins bind the first bait, many absent elsewhere."""
    rng = np.random.default_rng(seed)
    labels = [bait for bait in baits for _ in range(3)] + ["IgG"] * controls
    level = rng.normal(23.5, 2, p)
    X = level + rng.normal(0, 0.35, (len(labels), p)) + rng.normal(0, 0.3, len(labels))[:, None]
    # Pulldowns differ a little in everything, by bait: small differences that are no interactions.
    X += rng.normal(0, 0.25, (len(baits) + 1, p))[np.unique(labels, return_inverse=True)[1]]
    X[:3, :interactors] = 26 + rng.normal(0, 1.2, interactors) + rng.normal(0, 0.35, (3, interactors))
    X[3:, :interactors] = rng.normal(21, 1, interactors) + rng.normal(0, 0.35, (len(labels) - 3, interactors))
    X[rng.random(X.shape) < special.ndtr((21.5 - X) / 0.6)] = np.nan
    genes = [baits[0], *(f"G{i}" for i in range(1, p))]
    obs = pd.DataFrame({"bait": labels}, index=[f"r{i}" for i in range(len(labels))])
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame({"gene": genes}, index=[f"P{i}" for i in range(p)]))


def test_interactors_are_found_with_honest_probabilities() -> None:
    true, expected, positive, right = 0, 0.0, 0, 0
    for seed in range(5):
        data = pulldowns(seed=seed)
        table = score_interactome(data, factor="bait", controls=["IgG"], seed=seed).table("interactors")
        truth = table["feature"].isin([f"P{i}" for i in range(25)])
        found = table["q"] <= 0.05
        positive, right = positive + int(found.sum()), right + int((found & truth).sum())
        sure = table["probability"] >= 0.8
        true, expected = (
            true + int((sure & truth).sum()),
            expected + float(table.loc[sure, "probability"].sum()),
        )
    assert right / (5 * 25) > 0.6
    assert (positive - right) / positive < 0.05
    assert true >= 0.9 * expected


def test_no_interactor_no_finding() -> None:
    found = [
        score_interactome(pulldowns(0, seed=seed), factor="bait", controls=["IgG"], seed=1).values["n_found"]
        for seed in range(10)
    ]
    assert sum(int(str(n)) > 0 for n in found) <= 1


def test_several_baits_without_controls() -> None:
    data = pulldowns(baits=("BAIT1", "BAIT2", "BAIT3", "BAIT4"), controls=0)
    result = score_interactome(data, factor="bait", seed=2)
    table, baits = result.table("interactors"), result.table("baits").set_index("bait")
    assert result.values["reference"] == "other baits"
    assert baits.loc["BAIT1", "bait_rank"] <= 25  # one of its 25 interactors
    assert baits.loc["BAIT1", "n_found"] > 10
    assert baits.loc[["BAIT2", "BAIT3", "BAIT4"], "n_found"].sum() == 0
    assert baits.loc["BAIT2", "verdict"] == "bait not measured"
    assert table["interaction"].is_unique
    assert (table.groupby("bait")["rank"].min() == 1).all()
    renamed = score_interactome(data, factor="bait", bait_features={"BAIT2": "P300"}, seed=2)
    assert renamed.table("baits").set_index("bait").loc["BAIT2", "bait_feature"] == "P300"
    assert any("does not stand out" in text for text in renamed.warnings)


def test_detection_counts_measured_values_only() -> None:
    data = pulldowns()
    table = (
        score_interactome(data, factor="bait", controls=["IgG"], seed=1)
        .table("interactors")
        .set_index("feature")
    )
    seen = np.isfinite(np.asarray(data.X))
    for feature in table.index[:20]:
        column = data.var_names.get_loc(feature)
        assert table.loc[feature, "n_seen_bait"] == seen[:3, column].sum()
        assert table.loc[feature, "n_seen_reference"] == seen[3:, column].sum()
    lone = table[(table["n_seen_bait"] == 3) & (table["n_seen_reference"] == 0)]
    np.testing.assert_allclose(lone["detection_p"], 1 / 20)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"factor": "nothing"}, "no sample column"),
        ({"factor": "bait", "controls": ["IgM"]}, "no level 'IgM'"),
        ({"factor": "bait", "controls": ["IgG"], "baits": ["IgG"]}, "no bait is left"),
        ({"factor": "bait", "controls": ["single"]}, "has 1 runs"),
        ({"factor": "bait", "controls": ["IgG"], "bait_features": {"BAIT1": "nobody"}}, "is not in the data"),
    ],
)
def test_bad_input(options: dict[str, object], text: str) -> None:
    data = pulldowns(controls=4)
    data.obs["bait"] = ["BAIT1"] * 3 + ["IgG"] * 3 + ["single"]
    if options.get("controls") == ["IgG"]:
        options = {**options, "baits": options.get("baits", ["BAIT1"])}
    with pytest.raises(InputError, match=text):
        score_interactome(data, **options)


def test_baits_of_a_mitochondrial_loop_top_their_own_pulldown(shared_data: Path) -> None:
    """Six baits of Singh et al. 2020 lead their pulldowns; ribosomal baits bring the ribosome down with them."""
    from nereus.tools.proteomics.load import load_dataset

    name = "proteinGroups.txt.gz"
    file = SourceFile(shared_data / "cell_bait_ip_yeast_mito" / name, name)
    for quantity in ("lfq", "intensity"):
        data = load_dataset(file, quantity=quantity).dataset()
        result = score_interactome(data, factor="group", seed=1)
        baits = result.table("baits").set_index("bait")
        for bait in ("Cbp1", "Cbp2", "Cbp3", "Cbs1", "Cbs2", "Ifm1"):
            assert baits.loc[bait, "bait_rank"] == 1, (quantity, bait)
        assert int(str(result.values["n_baits_on_top"])) >= 8
        found = result.table("interactors")
        own = found[found["is_bait"] & (found["rank"] == 1)]
        assert (own["probability"] > 0.8).all()
    # The ribosome binds its own subunits: their names are a description of the annotation, not of the data.
    small = found[(found["bait"] == "Mrp51") & (found["q"] <= 0.05)]
    assert small["gene"].str.contains("MRP|RSM|MRPS", regex=True).mean() > 0.5


def test_ubiquitin_chains_bind_the_proteasome(shared_data: Path) -> None:
    """Ubiquitin chains against empty beads (Zhang et al. 2017): IKBKG and the proteasome, not with one ubiquitin."""
    from nereus.tools.proteomics.load import load_dataset

    folder = shared_data / "cell_ubiquitin_interactors_ubilength"
    files = [SourceFile(folder / name, name) for name in ("UbiLength.csv.gz", "UbiLength_ExpDesign.csv")]
    data = load_dataset(*files).dataset()
    result = score_interactome(data, factor="condition", controls=["Ctrl"], seed=1)
    counts = result.table("baits").set_index("bait")["n_found"]
    assert counts["Ubi1"] < 0.2 * counts["Ubi6"]
    table = result.table("interactors")
    found = table[(table["bait"] == "Ubi6") & (table["q"] <= 0.05)]
    assert "IKBKG" in set(found["gene"])
    assert found["gene"].str.startswith("PSM").sum() >= 6
    one = table[(table["bait"] == "Ubi1") & (table["q"] <= 0.05)]
    assert not one["gene"].str.startswith("PSM").any()
    gentle = score_interactome(data, factor="condition", controls=["Ctrl"], min_effect=0.0, seed=1)
    binders = gentle.table("interactors")
    binders = binders[(binders["bait"] == "Ubi6") & (binders["q"] <= 0.05)]
    assert {"USP15", "IKBKG"} <= set(binders["gene"])


def test_scores_belong_to_names_not_to_places() -> None:
    data = pulldowns()
    rng = np.random.default_rng(1)
    other = data[rng.permutation(data.n_obs)][:, rng.permutation(data.n_vars)].copy()
    first, second = (score_interactome(one, factor="bait", controls=["IgG"]) for one in (data, other))
    pd.testing.assert_frame_equal(first.table("interactors"), second.table("interactors"), rtol=1e-6)
