"""AnnData files that are more than they seem."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = anndata.AnnData(
        np.random.default_rng(0).normal(20, 1, (4, 3)),
        obs=pd.DataFrame(index=list("abcd")),
        var=pd.DataFrame(index=["P02768", "P04264", "Q9H0R8"]),
    )
    data.write_h5ad(tmp_path / "data.h5ad")
    return tmp_path / "data.h5ad"


def load(path: Path, **params: object) -> anndata.AnnData:
    files = {"data": SourceFile(path, path.name), "samples": None, "annotation": None}
    return load_dataset.run(files, params, 0).dataset()


def replace_x(path: Path, **options: object) -> None:
    with h5py.File(path, "a") as file:
        del file["X"]
        made = file.create_dataset("X", **options)
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"


def test_an_ordinary_file_is_read(path: Path) -> None:
    assert load(path).shape == (4, 3)


def test_content_of_other_files_is_not_read(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(96)))
    replace_x(path, shape=(4, 3), dtype="f8", external=[(str(secret), 0, 96)])
    with pytest.raises(InputError, match="'/X' lies in another file"):
        load(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["X"] = np.ones((4, 3))
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/X")
    with pytest.raises(InputError, match="'/X' lies in another file"):
        load(path)
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "X", shape=(4, 3))
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_virtual_dataset("X", layout)
    with pytest.raises(InputError, match="'/X' lies in another file"):
        load(path)


def test_a_group_that_holds_itself_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["uns/again"] = file["uns"]
    with pytest.raises(InputError, match="holds itself"):
        load(path)


def test_content_that_unpacks_to_much_more_is_refused(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.create_dataset("uns/more", shape=(10_000_000,), dtype="f8", chunks=(10**6,), compression="gzip")
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="more than 50 MiB"):
        load(path, max_megabytes=50)
    anndata.AnnData(sparse.csr_matrix((3000, 3000))).write_h5ad(tmp_path / "empty.h5ad")
    with pytest.raises(InputError, match="more than 50 MiB"):
        load(tmp_path / "empty.h5ad", max_megabytes=50)
