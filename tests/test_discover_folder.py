"""The main job on a folder of files of cells."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nereus
from nereus.errors import InputError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.folder_archive import archive_folder
from tests.tools.proteomics.cell_files import fcs_bytes

MARKERS = ["CD3", "CD19", "CD14", "CD56"]


@pytest.fixture(scope="module")
def folder_of_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight subjects, four of them with many more of the second population; counts of a mass cytometer."""
    folder = tmp_path_factory.mktemp("cells") / "run 1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file_name,subject,condition"]
    for i in range(8):
        share = np.array([0.5, 0.1, 0.3, 0.1]) if i % 2 else np.array([0.3, 0.4, 0.2, 0.1])
        population = rng.choice(4, 250, p=rng.dirichlet(60 * share))
        values = np.where(np.eye(4)[population] > 0, 120.0, 2.0) * rng.gamma(8, 1 / 8, (250, 4))
        (folder / f"donor{i}.fcs").write_bytes(
            fcs_bytes(values, [f"Ch{j}" for j in range(4)], markers=MARKERS)
        )
        lines.append(f"donor{i}.fcs,d{i},{'well' if i % 2 else 'ill'}")
    (folder / "sheet.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_folder_becomes_one_archive_of_equal_bytes(folder_of_cells: Path, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    first = store.put_file(folder_of_cells)
    assert first.name == "run 1.zip"
    other = tmp_path / "run 1"
    other.mkdir()
    (other / ".hidden").write_text("no part of it")
    for path in sorted(folder_of_cells.iterdir(), reverse=True):
        (other / path.name).write_bytes(path.read_bytes())
        os.utime(other / path.name, (1e9, 1e9))
    (other / "donor0.fcs").chmod(0o600)
    assert store.put_file(other).id == first.id
    with zipfile.ZipFile(store.path(first)) as archive:
        assert archive.namelist() == [*(f"donor{i}.fcs" for i in range(8)), "sheet.csv"]
    (other / "donor0.fcs").write_bytes((other / "donor1.fcs").read_bytes())
    archive_folder(other, tmp_path / "changed.zip")
    assert store.put_file(tmp_path / "changed.zip").id != first.id


def test_discover_takes_a_folder_of_cells(folder_of_cells: Path, tmp_path: Path) -> None:
    run = nereus.discover(
        folder_of_cells, out=tmp_path / "report", home=tmp_path / "home", seed=1, workers=1,
        budget=["objectives=2", "hypotheses=20"],
    )  # fmt: skip
    assert run.status in ("finished", "stopped")
    assert run.record.header.inputs["data"].name == "run 1.zip"
    assert (tmp_path / "report" / "inputs" / "run 1.zip").is_file()
    loaded = next(call for call in run.record.calls.values() if call.spec.tool == "load_dataset")
    assert loaded.values["n_samples"] == 8
    assert run.hypotheses


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no files"):
        nereus.discover(tmp_path / "empty", out=tmp_path / "out", home=tmp_path / "home")
    (tmp_path / "table.csv").write_text("Protein,A_1,A_2\nP02768,1,2\n")
    with pytest.raises(InputError, match="is a folder"):
        nereus.discover(
            tmp_path / "table.csv", tmp_path / "empty", out=tmp_path / "out", home=tmp_path / "home"
        )
