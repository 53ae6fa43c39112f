"""Figures: well-formed, self-contained, readable, and robust to what real tables hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools import registry
from nereus.tools.base import Figure
from nereus.tools.figures.labels import place_labels
from nereus.tools.figures.levels import OTHER, UNKNOWN, drawn_levels, level_colours
from nereus.tools.figures.style import DOWN, UP, drawing, feature_label, text_size
from tests.tools.cases import CONTRAST, DIAGNOSIS, SITE, csf, run

FIGURES = [name for name in registry.names() if name.startswith("plot_")]


def only(name: str) -> Figure:
    return next(iter(run(name).figures.values()))


def texts(svg: bytes) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_svg_is_well_formed_and_stands_alone(name: str) -> None:
    figure = only(name)
    svg = figure.svg.decode()
    root = ET.fromstring(svg)
    assert root.attrib["viewBox"].startswith("0 0 ")
    assert float(root.attrib["width"]) <= 600
    assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.title
    assert len(texts(figure.svg)) > 3, "text is kept as text"
    links = set(re.findall(r'(?:xlink:)?href="([^"]+)"', svg)) | set(re.findall(r"url\(([^)]+)\)", svg))
    assert all(link.startswith("#") for link in links), "nothing is fetched"
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    prefix = name.removeprefix("plot_")
    assert all(identity.startswith(prefix) for identity in ids)
    assert "<dc:date>" not in svg
    assert "Matplotlib" not in svg


@pytest.mark.parametrize("name", FIGURES)
def test_words_are_large_enough_to_read(name: str) -> None:
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", only(name).svg.decode())]
    assert sizes
    assert min(sizes) >= 6.5  # points; 8.7 pixels at 600 wide


def volcano_table(n: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    effect = rng.normal(0, 1, n)
    p = 10 ** -(np.abs(effect) * rng.uniform(0, 4, n))
    return pd.DataFrame(
        {
            "feature": [f"P{i}" for i in range(n)],
            "gene": [f"GENE{i}" for i in range(n)],
            "effect": effect,
            "p": p,
            "q": np.minimum(p * 5, 1),
        }
    )


def test_a_large_volcano_stays_small() -> None:
    figure = registry.get("plot_volcano")(volcano_table(9000)).figures["volcano"]
    assert len(figure.svg) < 900_000
    assert len(figure.data) == 9000


def test_volcano_labels_claims_and_sides() -> None:
    table = volcano_table(200)
    chosen = table.loc[table["q"] <= 0.05].sort_values("p").tail(1)["feature"].iloc[0]
    claims = table.loc[table["q"] <= 0.001, ["feature"]]
    contrast = Contrast(factor="group", a="tumour & stroma", b="<normal>")
    result = registry.get("plot_volcano")(table, claims, contrast=contrast, highlight=(chosen,))
    data = result.figures["volcano"].data.set_index("feature")
    assert data.loc[chosen, "labelled"]
    assert "not claimed" in data.loc[chosen, "group"]
    assert (data.loc[claims["feature"], "group"].isin(["up", "down"])).all()
    shown = texts(result.figures["volcano"].svg)
    assert any("higher in tumour & stroma" in text for text in shown)
    assert any("higher in <normal>" in text for text in shown)
    assert data.loc[data["labelled"], "gene"].isin(shown).all()


def test_volcano_draws_p_of_zero_and_skips_missing() -> None:
    table = volcano_table(50)
    table.loc[0, ["effect", "p", "q"]] = [3.0, 0.0, 0.0]
    table.loc[1, "p"] = np.nan
    data = registry.get("plot_volcano")(table).figures["volcano"].data
    assert len(data) == 49
    assert np.isfinite(data["y"]).all()
    assert data["y"].idxmax() == 0


def test_empty_tables_give_an_empty_figure_that_says_so() -> None:
    result = registry.get("plot_volcano")(volcano_table(3).iloc[:0])
    assert not result.complete
    assert result.warnings
    bars = registry.get("plot_set_bars")(run("enrichment_gsea").table("sets").iloc[:0])
    assert not bars.complete
    assert "no gene set" in texts(bars.figures["set_bars"].svg)


@pytest.mark.parametrize("name", ["plot_volcano", "plot_set_bars"])
def test_missing_columns_are_named(name: str) -> None:
    with pytest.raises(InputError, match="effect"):
        registry.get(name)(pd.DataFrame({"feature": ["a"], "set_id": ["a"], "p": [0.1], "q": [0.1]}))


def test_unknown_sample_columns_and_features_are_named() -> None:
    with pytest.raises(InputError, match="nope"):
        registry.get("plot_missingness")(csf(), factor="nope")
    with pytest.raises(InputError, match="nope"):
        registry.get("plot_heatmap")(csf(), factors=("nope",))
    with pytest.raises(InputError, match="nope"):
        registry.get("plot_feature")(csf(), feature="nope", factor=DIAGNOSIS)
    with pytest.raises(InputError, match="either"):
        registry.get("plot_feature")(csf(), feature=str(csf().var_names[0]))


def test_heatmap_groups_samples_and_keeps_missing_values() -> None:
    figure = only("plot_heatmap")
    drawn = figure.data.columns[2:]
    groups = csf().obs.loc[drawn, DIAGNOSIS].astype(str).tolist()
    assert groups == sorted(groups)  # a then b, which here is the order of the alphabet
    z = figure.data.iloc[:, 2:].to_numpy(float)
    raw = csf()[list(drawn), figure.data["feature"].tolist()].X.T
    np.testing.assert_array_equal(np.isnan(z), np.isnan(raw))
    np.testing.assert_allclose(np.nanmean(z, axis=1), 0, atol=1e-9)


def test_heatmap_of_hostile_names() -> None:
    rng = np.random.default_rng(0)
    names = ["a & b", "<script>", "$x_1$", "ü" * 60, 'quote"', "tab\tname"]
    obs = pd.DataFrame({"grp $a$": names}, index=[f"{name} {i}" for i, name in enumerate(names)])
    var = pd.DataFrame({"gene": ["<b>", "$y$", "", "A&B"]}, index=["f1", "f2", "P1;P2;P3", "f4"])
    data = anndata.AnnData(rng.normal(size=(6, 4)), obs=obs, var=var)
    for figure in (
        registry.get("plot_heatmap")(data, factors=("grp $a$",)).figures["heatmap"],
        registry.get("plot_feature")(data, feature="f2", factor="grp $a$").figures["feature"],
        registry.get("plot_missingness")(data, factor="grp $a$").figures["missingness"],
    ):
        ET.fromstring(figure.svg)
        assert b"<script>" not in figure.svg


def test_feature_counts_detection_and_joins_subjects() -> None:
    data = csf()
    feature = str(data.var_names[np.argmax(np.isnan(data.X).sum(axis=0))])
    result = registry.get("plot_feature")(data, feature=feature, factor=DIAGNOSIS)
    seen = int(np.isfinite(data[:, feature].X).sum())
    assert result.values["n_detected"] == seen
    shown = " ".join(texts(result.figures["feature"].svg))
    assert "detected" in shown
    by_subject = registry.get("plot_feature")(data, feature=feature, factor="replicate", subject="subject")
    assert by_subject.values["n_points"] == data.n_obs
    means = registry.get("plot_feature")(data, feature=feature, factor=SITE, subject=SITE)
    assert means.values["n_points"] == data.obs[SITE].nunique(dropna=False)


def test_feature_against_a_variable() -> None:
    figure = registry.get("plot_feature")(
        csf(), feature=str(csf().var_names[3]), variable="_age at CSF collection"
    ).figures["feature"]
    assert "age at CSF collection" in texts(figure.svg)


def test_missingness_of_a_complete_matrix() -> None:
    data = anndata.AnnData(np.random.default_rng(1).normal(20, 1, (6, 30)))
    result = registry.get("plot_missingness")(data)
    assert result.values["missing_rate"] == 0
    assert result.values["abundance_correlation"] is None


def test_labels_never_overlap() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 1, 80), rng.uniform(0, 1, 80)
    with drawing(600, 400, "test") as figure:
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        written = place_labels(axes, x, y, [f"LABEL{i}" for i in range(80)])
        boxes = []
        for label in axes.texts:
            middle = axes.transData.transform(label.get_position())
            width, height = text_size(label.get_text(), 7.0)
            boxes.append(
                (middle[0] - width / 2, middle[0] + width / 2, middle[1] - height / 2, middle[1] + height / 2)
            )
    assert sum(written) == len(boxes) > 20
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]


def test_levels_are_ordered_and_limited() -> None:
    levels, order = drawn_levels(pd.Series(["10", "9", None, "2"]))
    assert order == ["2", "9", "10", UNKNOWN]
    assert levels.tolist() == ["10", "9", UNKNOWN, "2"]
    _, many = drawn_levels(pd.Series([f"l{i:02d}" for i in range(30)]))
    assert len(many) == 10
    assert many[-1] == OTHER
    assert drawn_levels(pd.Series(["b", "a"]), first=("b",))[1] == ["b", "a"]


def test_sides_of_a_contrast_have_the_colours_of_up_and_down() -> None:
    contrast = Contrast(**CONTRAST)
    colours = level_colours([contrast.b, contrast.a, "third"], contrast)
    assert colours[contrast.a] == UP
    assert colours[contrast.b] == DOWN
    assert len(set(colours.values())) == 3


def test_names_of_features_are_short() -> None:
    assert feature_label("P1;P2;P3", "") == "P1…"
    assert feature_label("P1", "nan") == "P1"
    assert feature_label("P1", "TP53") == "TP53"
    assert len(feature_label("x" * 50, "")) == 16
