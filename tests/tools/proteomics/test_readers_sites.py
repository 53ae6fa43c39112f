"""MaxQuant's tables of sites, and ratios of SILAC labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import Result, SourceFile
from nereus.tools.enrichment.activity import kinase_activity
from nereus.tools.enrichment.site_names import read_sites
from nereus.tools.proteomics.load import load_dataset

FIXED = [
    "Proteins", "Positions within proteins", "Leading proteins", "Protein", "Protein names", "Gene names",
    "Fasta headers", "Localization prob", "Amino acid", "Sequence window", "Position",
]  # fmt: skip
LAST = ["Reverse", "Potential contaminant", "id"]
WINDOW = "AAAAAAAPEPTIDEKSPEPTIDEKAAAAAAA"
SITES = [
    ("P31749", "473", "P31749", "AKT1", "0.99", "S", "473", "", ""),
    # The protein that stands for the site is the second of those that hold it.
    ("O60861;P02768", "12;77", "P02768", "ALB", "1", "T", "77", "", ""),
    ("Q9H0R8", "5", "Q9H0R8", "GABARAPL1", "0.74", "S", "5", "", ""),  # not localised
    ("P35579", "9", "P35579", "MYH9", "NaN", "S", "9", "", ""),
    ("CON__P00761", "3", "CON__P00761", "", "1", "S", "3", "", "+"),
    ("REV__P12345", "3", "REV__P12345", "", "1", "S", "3", "+", ""),
    ("P04264", "21", "P04264", "KRT1", "0.80", "Y", "21", "", ""),
]
VALUES = {  # by multiplicity: sites x samples
    "___1": [[8e5, 16e5], [4e5, 0], [1e5, 1e5], [1e5, 1e5], [1e5, 1e5], [1e5, 1e5], [0, 0]],
    "___2": [[2e5, 4e5], [0, 0], [1e5, 1e5], [0, 0], [0, 0], [0, 0], [3e5, 6e5]],
    "___3": [[0, 0]] * 7,
}


def rows(columns: list[str], cells: dict[str, list[str]], decimal: str = ".") -> str:
    """A table of the sites with these columns of values."""
    lines = ["\t".join([*FIXED, *columns, *LAST])]
    for i, (proteins, places, protein, gene, prob, residue, place, reverse, contaminant) in enumerate(SITES):
        fixed = [proteins, places, protein, protein, "a name", gene, f">sp|{protein}|X_HUMAN", prob, residue]
        line = [*fixed, f"{WINDOW};{WINDOW}", place, *(cells[name][i] for name in columns)]
        lines.append("\t".join([*line, reverse, contaminant, str(i)]).replace(".", decimal))
    return "\n".join(lines) + "\n"


def label_free(decimal: str = ".") -> str:
    cells: dict[str, list[str]] = {"Ratio mod/base": ["0.1"] * 7}
    for at, sample in enumerate(("Ctrl_1", "Drug_1")):
        for rest, values in VALUES.items():
            cells[f"Intensity {sample}{rest}"] = [f"{row[at]:.1f}" for row in values]
        total = np.sum([[row[at] for row in values] for values in VALUES.values()], axis=0)
        cells[f"Intensity {sample}"] = [f"{one:.1f}" for one in total]
    for rest in VALUES:
        cells[f"Intensity{rest}"] = ["9000000"] * 7
    cells["Intensity"] = ["9000000"] * 7
    return rows(list(cells), cells, decimal)


def load(folder: Path, text: str, **params: object) -> Result:
    path = folder / "Phospho (STY)Sites.txt"
    path.write_text(text)
    return load_dataset.run(
        {"data": SourceFile(path, path.name), "samples": None, "annotation": None}, params, 0
    )


@pytest.mark.parametrize("decimal", [".", ","])
def test_sites_by_number_of_modifications(tmp_path: Path, decimal: str) -> None:
    result = load(tmp_path, label_free(decimal))
    data = result.dataset()
    assert (result.values["software"], result.values["level"]) == ("MaxQuant", "site")
    assert result.values["data_kind"] == "sites"
    assert list(data.obs_names) == ["Ctrl_1", "Drug_1"]
    assert list(data.var_names) == [
        f"P31749;AKT1;S473;{WINDOW}",
        f"P31749;AKT1;S473;{WINDOW};x2",
        f"P02768;ALB;T77;{WINDOW}",
        f"P04264;KRT1;Y21;{WINDOW};x2",
    ]
    expected = np.log2([[8e5, 2e5, 4e5, 3e5], [16e5, 4e5, np.nan, 6e5]])
    np.testing.assert_allclose(data.X, expected)
    assert data.var["site"].tolist() == ["S473", "S473", "T77", "Y21"]
    assert data.var["n_modifications"].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert data.var["localisation"].tolist() == [0.99, 0.99, 1.0, 0.8]
    assert (result.values["n_removed_contaminant"], result.values["n_removed_reverse"]) == (1, 1)
    assert any("2 sites localised with a probability below" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="level 'protein'"):
        load(tmp_path, label_free(), level="protein")


def test_kinases_understand_the_sites(tmp_path: Path) -> None:
    data = load(tmp_path, label_free()).dataset()
    found = read_sites(list(data.var_names), list(data.var["gene"]), data)
    assert [(one[0].gene, one[0].residue, one[0].position) for one in found] == [
        ("AKT1", "S", 473), ("AKT1", "S", 473), ("ALB", "T", 77), ("KRT1", "Y", 21)
    ]  # fmt: skip
    by_name = read_sites(list(data.var_names), [""] * 4)
    assert [one[0].position for one in by_name] == [473, 473, 77, 21]
    assert {one[0].gene for one in by_name} == {"AKT1", "ALB", "KRT1"}
    table = pd.DataFrame(
        {"feature": data.var_names, "effect": [1.0, 0.5, 0.1, -0.2], "p": [0.01, 0.2, 0.5, 0.6]}
    )
    network = pd.DataFrame({"source": "KIN", "target": ["AKT1"], "site": ["S473"], "weight": 1.0})
    result = kinase_activity(table, data, network, evidence="substrates")
    assert result.values["n_features"] == 3  # two features of one site are one target


def test_channels_of_sites(tmp_path: Path) -> None:
    cells = {
        f"Reporter intensity corrected {channel} {mix}{rest}": [f"{channel * 1e4 * (i + 1):.0f}"] * 7
        for i, mix in enumerate(("MixA", "MixB"))
        for channel in (1, 2)
        for rest in ("___1", "___2")
    }
    cells |= {f"Reporter intensity corrected {channel}___1": ["5"] * 7 for channel in (1, 2)}
    cells |= {f"Intensity {mix}___1": ["7"] * 7 for mix in ("MixA", "MixB")}
    data = load(tmp_path, rows(list(cells), cells)).dataset()
    assert data.shape == (4, 6)
    assert data.obs["plex"].tolist() == ["MixA", "MixA", "MixB", "MixB"]
    np.testing.assert_allclose(data.X[:, 0], np.log2([1e4, 2e4, 2e4, 4e4]))


def test_ratios_of_labels(tmp_path: Path) -> None:
    cells = {
        f"Ratio {pair} {word}{sample}{rest}": [number] * 7
        for pair in ("H/L", "M/L", "H/M")
        for word, number in (("", "9"), ("normalized ", {"H/L": "4", "M/L": "0.5", "H/M": "8"}[pair]))
        for sample in ("A", "B")
        for rest in ("", "___1")
    }
    cells |= {"Ratio H/L normalized": ["3"] * 7, "Ratio H/L normalized___1": ["3"] * 7}
    cells |= {f"Intensity {name}___1": ["100000"] * 7 for name in ("A", "B", "L A", "L B", "H A", "H B")}
    result = load(tmp_path, rows(list(cells), cells))
    data = result.dataset()
    assert list(data.obs_names) == ["A H/L", "B H/L", "A M/L", "B M/L"]
    np.testing.assert_allclose(data.X[:, 0], [2, 2, -1, -1])
    assert result.values["quantity"] == "ratio"
    only = {name: cell for name, cell in cells.items() if name.startswith("Intensity")}
    with pytest.raises(InputError, match="SILAC labels"):
        load(tmp_path, rows(list(only), only))


def test_sites_without_single_samples(tmp_path: Path) -> None:
    cells = {
        name: ["1000000"] * 7 for name in ("Intensity", "Intensity___1", "Intensity___2", "Intensity L___1")
    }
    with pytest.raises(InputError, match="no intensity columns of single samples"):
        load(tmp_path, rows(list(cells), cells))
    cells = {f"Intensity {name}": ["1000000"] * 7 for name in ("A___1", "B___1", "A___2")}
    with pytest.raises(InputError, match="other samples for each number"):
        load(tmp_path, rows(list(cells), cells))


def test_protein_groups_of_a_silac_experiment(tmp_path: Path) -> None:
    samples = ["A", "B"]
    header = ["Protein IDs", "Majority protein IDs", "Gene names", "Ratio H/L", "Ratio H/L normalized"]
    header += [
        f"Ratio H/L{word} {s}" for s in samples for word in ("", " normalized", " variability [%]", " count")
    ]
    header += [f"Intensity {label}{s}" for s in samples for label in ("", "L ", "H ")]
    lines = ["\t".join(header)]
    for protein, ratio in (("P31749", "2"), ("P02768", "0.25"), ("P04264", "NaN")):
        numbers = ["1", "1", *(["9", ratio, "5", "3"] * 2), *(["900000", "300000", "600000"] * 2)]
        lines.append("\t".join([protein, protein, "G", *numbers]))
    result = load(tmp_path, "\n".join(lines) + "\n")
    assert list(result.dataset().obs_names) == samples
    np.testing.assert_allclose(result.dataset().X, [[1, -2, np.nan]] * 2)
    assert any("label swap" in warning for warning in result.warnings)
    # Samples that begin with H and L are no labels.
    names = ["L_1", "L_2", "H_1", "H_2"]
    table = ["\t".join(["Protein IDs", "Majority protein IDs", *(f"Intensity {n}" for n in names)])]
    table += ["\t".join([p, p, "1000000", "2000000", "3000000", "4000000"]) for p in ("P31749", "P02768")]
    assert list(load(tmp_path, "\n".join(table) + "\n").dataset().obs_names) == names
