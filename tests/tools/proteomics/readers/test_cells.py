"""Files of cells: FCS, tables, folders and archives, with panel and sample sheet."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import anndata
import flowio
import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.base import Result, SourceFile
from nereus.tools.proteomics.load import load_dataset, read
from tests.tools.proteomics.cell_files import CHANNELS, archive_bytes, cells, fcs_bytes, table_bytes

VALUES = cells(np.random.default_rng(0))
PANEL = "fcs_colname,antigen,marker_class\nCD3(Er170)Di,CD3,type\nCD19(Nd142)Di,CD19,type\npS6(Lu175)Di,pS6,state\n"


def load(data: Path, sheet: Path | None = None, second: Path | None = None, **params: object) -> Result:
    files = {
        role: None if path is None else SourceFile(path, path.name)
        for role, path in (("data", data), ("samples", sheet), ("annotation", second))
    }
    return load_dataset.run(files, params, 0)


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def folder_of_files(folder: Path) -> Path:
    for i, name in enumerate(("p1_Ref", "p1_Stim", "p2_Ref", "p2_Stim")):
        put(folder / f"{name}.fcs", fcs_bytes(VALUES[: 20 + i]))
    return folder


def test_an_fcs_file_keeps_values_and_names(tmp_path: Path) -> None:
    path = put(tmp_path / "donor.fcs", fcs_bytes(VALUES, markers=["", "CD3", "CD19", "pS6"]))
    result = load(path)
    data = result.dataset()
    np.testing.assert_allclose(data.X, VALUES, atol=1e-4)
    assert (data.X < 0).any()
    assert list(data.var_names) == ["FSC-A", "CD3", "CD19", "pS6"]
    assert data.var["channel"].tolist() == CHANNELS
    assert data.obs["sample"].unique().tolist() == ["donor"]
    assert data.obs_names[0] == "donor:1"
    facts = data.uns["nereus"]
    assert (facts["level"], facts["data_kind"], facts["scale"]) == ("cell", "cells", "raw")
    assert result.values["n_cells"] == len(VALUES)
    data.write_h5ad(tmp_path / "cells.h5ad")
    again = read(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(again.X, data.X)
    assert again.obs["sample"].tolist() == data.obs["sample"].tolist()
    assert again.uns["nereus"]["level"] == "cell"
    assert again.uns["nereus"]["scale"] == "raw"


def test_a_folder_with_its_sheet_and_panel(tmp_path: Path) -> None:
    folder = folder_of_files(tmp_path / "run")
    sheet = put(tmp_path / "md.csv", "file_name,sample_id,condition\n" + "".join(
        f"{name}.fcs,{name[3:]}{name[:2]},{name[3:]}\n" for name in ("p2_Stim", "p2_Ref", "p1_Ref", "p1_Stim")
    ))  # fmt: skip
    panel = put(tmp_path / "panel.csv", PANEL)
    for first, second in ((sheet, panel), (panel, sheet)):
        data = load(folder, first, second).dataset()
        assert data.n_obs == 20 + 21 + 22 + 23
        assert data.obs.groupby("sample", observed=True).size().to_dict() == {
            "Refp1": 20,
            "Stimp1": 21,
            "Refp2": 22,
            "Stimp2": 23,
        }
        assert set(data.obs["condition"].astype(str)) == {"Ref", "Stim"}
        assert data.var.loc["pS6", "marker_class"] == "state"
        assert data.var.loc["FSC-A", "marker_class"] == "none"
    assert load(folder, panel).dataset().var.loc["CD3", "marker_class"] == "type"


def test_sheets_beside_the_files_are_found(tmp_path: Path) -> None:
    folder = folder_of_files(tmp_path / "run")
    put(folder / "samples.csv", "file,arm\np1_Ref.fcs,a\np1_Stim.fcs,b\np2_Ref.fcs,a\np2_Stim.fcs,b\n")
    put(folder / "panel.csv", PANEL)
    result = load(folder)
    assert result.dataset().obs.groupby("sample", observed=True)["arm"].first().tolist() == [
        "a",
        "b",
        "a",
        "b",
    ]
    assert any("sample sheet found in run/samples.csv" in warning for warning in result.warnings)
    assert any("panel found in run/panel.csv" in warning for warning in result.warnings)
    put(folder / "other.csv", "file,arm\np1_Ref.fcs,a\np1_Stim.fcs,b\np2_Ref.fcs,a\np2_Stim.fcs,b\n")
    with pytest.raises(InputError, match="2 tables could be the sample sheet"):
        load(folder)


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    folder = folder_of_files(tmp_path / "run")
    put(folder / "panel.csv", PANEL)
    parts = {f"deep/{path.name}": path.read_bytes() for path in folder.iterdir()}
    archive = put(tmp_path / "cells.bin", archive_bytes({**parts, "__MACOSX/._x": b"junk"}))
    one, other = load(folder).dataset(), load(archive).dataset()
    np.testing.assert_array_equal(one.X, other.X)
    assert list(one.obs_names) == list(other.obs_names)
    assert list(one.var_names) == list(other.var_names)


def test_gates_in_file_names(tmp_path: Path) -> None:
    for sample in ("s1", "s2"):
        for gate in ("B", "T", "NK"):
            put(tmp_path / "gates" / f"{sample}_{gate}.csv", table_bytes(VALUES[:9]))
    plain = load(tmp_path / "gates")
    assert plain.values["n_samples"] == 6
    assert any("sample_pattern" in warning for warning in plain.warnings)
    sheet = put(tmp_path / "sheet.csv", "sample,arm\ns1,a\ns2,b\n")
    data = load(tmp_path / "gates", sheet, sample_pattern="(?P<sample>.+)_(?P<gate>.+)").dataset()
    assert data.obs.groupby(["sample", "gate"], observed=True).size().tolist() == [9] * 6
    assert data.obs.groupby("sample", observed=True)["arm"].first().to_dict() == {"s1": "a", "s2": "b"}
    for pattern, word in (
        ("(", "no regular expression"),
        ("(?P<gate>.+)", "no group named sample"),
        ("x(?P<sample>.)", "does not fit"),
    ):
        with pytest.raises(InputError, match=word):
            load(tmp_path / "gates", sample_pattern=pattern)


def test_a_table_of_cells_with_a_column_of_samples(tmp_path: Path) -> None:
    names = [f"V{i % 3 + 1}" for i in range(len(VALUES))]
    path = put(tmp_path / "cells.csv", table_bytes(VALUES, samples=names))
    sheet = put(tmp_path / "md.csv", "file,arm\nx.fcs,a\ny.fcs,b\nz.fcs,a\n")
    result = load(path, sheet)
    data = result.dataset()
    assert data.obs["sample"].tolist() == names
    assert data.obs.groupby("sample", observed=True)["arm"].first().to_dict() == {
        "V1": "a",
        "V2": "b",
        "V3": "a",
    }
    assert any("in their order" in warning for warning in result.warnings)
    assert list(data.var_names) == ["FSC-A", "CD3", "CD19", "pS6"]


def test_numbers_without_names_are_cells_on_request(tmp_path: Path) -> None:
    path = put(tmp_path / "cells.csv", table_bytes(VALUES, ["0", "1", "2", "3"]))
    result = load(path, level="cell")
    assert result.values["level"] == "cell"
    assert any("channels have no names" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (
            {"b.csv": table_bytes(VALUES, ["FSC-A", "CD3(Er170)Di", "CD8(Nd142)Di", "pS6(Lu175)Di"])},
            "channels differ",
        ),
        ({"deeper/a.csv": table_bytes(VALUES)}, "same name"),
        (
            {"b.csv": b"FSC-A,CD3(Er170)Di,CD19(Nd142)Di,pS6(Lu175)Di\n1,2,3,4\n1,high,3,4\n1,2,3,4\n"},
            "'high'",
        ),
        ({"b.csv": b"FSC-A,CD3(Er170)Di,CD19(Nd142)Di,pS6(Lu175)Di\n1,2,3,4\n1,,3,4\n1,2,3,4\n"}, "no value"),
        ({"b.fcs": b"FCS3.1" + bytes(60)}, "cannot be read"),
        ({"b.fcs": fcs_bytes(VALUES)[:900]}, "cannot be read"),
        ({"b.csv": b""}, "empty"),
        ({"b.png": b"\x89PNG\r\n"}, "image"),
    ],
)
def test_one_bad_file_among_many_is_named(tmp_path: Path, change: dict[str, bytes], word: str) -> None:
    path = put(tmp_path / "cells.zip", archive_bytes({"a.csv": table_bytes(VALUES), **change}))
    with pytest.raises(InputError) as caught:
        load(path)
    assert word in caught.value.what
    assert caught.value.mend
    assert "cells.zip" in str(caught.value.where)


def test_archives_are_not_trusted(tmp_path: Path) -> None:
    bomb = archive_bytes({"a.csv": b"a,b\n" + b"1,2\n" * 600_000})
    with pytest.raises(InputError, match="more than 1 MiB"):
        load(put(tmp_path / "bomb.zip", bomb), max_megabytes=1)
    many = archive_bytes({f"{i}.csv": b"a,b\n1,2\n" for i in range(2001)})
    with pytest.raises(InputError, match="2001 files"):
        load(put(tmp_path / "many.zip", many))
    outside = archive_bytes({"../../etc/x.csv": table_bytes(VALUES)})
    with pytest.raises(InputError, match="leads out of the archive"):
        load(put(tmp_path / "outside.zip", outside))
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(InputError):
        load(tmp_path / "empty.zip")


def test_packed_files_cannot_add_up_beyond_the_limit(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 150_000)  # 0.6 MB each, a few kB packed
    for i in range(4):
        put(tmp_path / "many" / f"{i}.csv.gz", packed)
    archive = put(tmp_path / "many.zip", archive_bytes({f"{i}.csv.gz": packed for i in range(4)}))
    for path in (archive, tmp_path / "many"):
        with pytest.raises(InputError, match="more than 1 MiB"):
            load(path, max_megabytes=1)


def test_a_sheet_that_names_other_files(tmp_path: Path) -> None:
    folder = folder_of_files(tmp_path / "run")
    sheet = put(tmp_path / "md.csv", "file,arm\np1_Ref.fcs,a\np1_Stim.fcs,b\nq2_Ref.fcs,a\nq2_Stim.fcs,b\n")
    with pytest.raises(InputError, match="2 of 4 samples") as caught:
        load(folder, sheet)
    assert "min_match" in str(caught.value.mend)
    data: anndata.AnnData = load(folder, sheet, min_match=0.5).dataset()
    assert data.n_obs == 41
    with pytest.raises(InputError, match="neither of the two sheets is a panel"):
        load(folder, sheet, sheet)


def spilt_file(matrix: str | None, values: np.ndarray) -> bytes:
    """An FCS file of two fluorochromes beside a scatter, with a spillover matrix."""
    stream = io.BytesIO()
    metadata = {} if matrix is None else {"SPILL": matrix}
    flowio.create_fcs(
        stream, values.astype(float).ravel().tolist(), ["FSC-A", "FITC-A", "PE-A"], metadata_dict=metadata
    )
    return stream.getvalue()


def test_spillover_is_taken_out_on_request(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = rng.gamma(2, 500, (50, 3))
    spill = np.array([[1.0, 0.2], [0.05, 1.0]])  # FITC into PE, PE into FITC
    seen = truth.copy()
    seen[:, 1:] = truth[:, 1:] @ spill
    path = put(tmp_path / "a.fcs", spilt_file("2,FITC-A,PE-A,1,0.2,0.05,1", seen))
    as_written = load(path)
    np.testing.assert_allclose(as_written.dataset().X, seen, rtol=1e-5)
    assert as_written.dataset().uns["nereus"]["spillover"] is True
    result = load(path, compensate=True)
    np.testing.assert_allclose(result.dataset().X, truth, rtol=1e-4)
    assert result.dataset().uns["nereus"]["spillover"] == "applied"
    flowutils = pytest.importorskip("flowutils")
    own = flowutils.compensate.compensate(seen, spill, fluoro_indices=[1, 2])
    np.testing.assert_allclose(result.dataset().X, own, rtol=1e-4)
    # In an archive each file is compensated by its own matrix, whatever the order of its channels.
    other = spilt_file("2,PE-A,FITC-A,1,0.05,0.2,1", seen)
    archive = put(tmp_path / "two.zip", archive_bytes({"a.fcs": path.read_bytes(), "b.fcs": other}))
    both = load(archive, compensate=True).dataset()
    np.testing.assert_allclose(both.X, np.concatenate([truth, truth]), rtol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (None, "holds no spillover matrix"),
        ("2,FITC-A,PE-A,1,0.2,0.05", "is not n, n names"),
        ("2,FITC-A,APC-A,1,0.2,0.05,1", "does not have"),
        ("2,FITC-A,PE-A,1,1,1,1", "cannot be solved"),
        ("2,FITC-A,FITC-A,1,0,0,1", "twice"),
        ("x", "is not n, n names"),
    ],
)
def test_spillover_that_cannot_be_used(tmp_path: Path, matrix: str | None, word: str) -> None:
    path = put(tmp_path / "a.fcs", spilt_file(matrix, np.ones((5, 3)) * np.arange(1, 6)[:, None]))
    with pytest.raises(InputError, match=word):
        load(path, compensate=True)
