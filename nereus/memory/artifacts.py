"""The artifact store: everything that a step made, kept once under the hash of its content.

Layout below the root: ``objects/<first two digits>/<sha-256>.<suffix>``. Objects are written to a temporary file in
the same folder and renamed, so a killed process leaves no half object. Tables are Parquet, data sets h5ad, figures
SVG, the user's files are kept byte for byte. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nereus.errors import StoreError
from nereus.memory.records import ArtifactKind, ArtifactRef

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

SUFFIX = {
    ArtifactKind.FILE: ".bin",
    ArtifactKind.TABLE: ".parquet",
    ArtifactKind.DATASET: ".h5ad",
    ArtifactKind.FIGURE: ".svg",
}
_CACHE_OBJECTS = 64


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class ArtifactStore:
    """A folder of immutable objects under their content hash.

    Objects that were read are kept in memory and handed out again: callers must not change them (the contract suite
    checks that tools do not). What was just written is read back before it is used: a step then sees the same object
    whether its input was made in this process or in one that was killed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()

    # ------------------------------------------------------------------ writing

    def put_file(self, path: Path, name: str | None = None) -> ArtifactRef:
        """Keep a user's file byte for byte."""
        return self._keep(ArtifactKind.FILE, name or path.name, lambda target: _copy(path, target), "")

    def put_table(self, table: pd.DataFrame, name: str) -> ArtifactRef:
        """Keep a table as Parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        def write(target: Path) -> None:
            # Own schema metadata only: pandas' would put library versions into the hash.
            arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
            pq.write_table(arrow, target, compression="zstd", write_statistics=False)

        columns = ", ".join(str(column) for column in table.columns[:12])
        return self._keep(ArtifactKind.TABLE, name, write, f"{table.shape[0]} rows: {columns}")

    def put_dataset(self, dataset: AnnData, name: str) -> ArtifactRef:
        """Keep a data set as h5ad."""
        summary = f"{dataset.n_obs} samples x {dataset.n_vars} features"
        return self._keep(ArtifactKind.DATASET, name, lambda target: _write_h5ad(dataset, target), summary)

    def put_figure(self, svg: bytes, name: str, title: str = "") -> ArtifactRef:
        """Keep a drawing as SVG."""
        return self._keep(ArtifactKind.FIGURE, name, lambda target: target.write_bytes(svg) and None, title)

    def _keep(
        self, kind: ArtifactKind, name: str, write: Callable[[Path], object], summary: str
    ) -> ArtifactRef:
        handle, temporary_name = tempfile.mkstemp(dir=self._objects, prefix=".new-", suffix=SUFFIX[kind])
        os.close(handle)
        temporary = Path(temporary_name)
        try:
            write(temporary)
            identity = file_hash(temporary)
            size = temporary.stat().st_size
            target = self._path(identity, kind)
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                temporary.chmod(0o644)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return ArtifactRef(id=identity, kind=kind, name=name, size=size, summary=summary)

    # ------------------------------------------------------------------ reading

    def path(self, ref: ArtifactRef) -> Path:
        """Where the object lies; `StoreError` when it is gone."""
        path = self._path(ref.id, ref.kind)
        if not path.exists():
            raise StoreError(
                f"artifact {ref.id[:12]} ({ref.name!r}) is missing",
                where=str(path),
                mend="run the step again",
            )
        return path

    def has(self, ref: ArtifactRef) -> bool:
        """Whether the object is present."""
        return self._path(ref.id, ref.kind).exists()

    def table(self, ref: ArtifactRef) -> pd.DataFrame:
        """Read a table."""
        import pyarrow.parquet as pq

        return self._load(ref, lambda path: pq.read_table(path).to_pandas())

    def dataset(self, ref: ArtifactRef) -> AnnData:
        """Read a data set."""
        return self._load(ref, _read_h5ad)

    def figure(self, ref: ArtifactRef) -> bytes:
        """Read a drawing's SVG."""
        svg: bytes = self._load(ref, lambda path: path.read_bytes())
        return svg

    def _load(self, ref: ArtifactRef, read: Any) -> Any:
        with self._lock:
            if ref.id in self._cache:
                self._cache.move_to_end(ref.id)
                return self._cache[ref.id]
        live = read(self.path(ref))
        self._remember(ref.id, live)
        return live

    def _remember(self, identity: str, live: Any) -> None:
        with self._lock:
            self._cache[identity] = live
            self._cache.move_to_end(identity)
            while len(self._cache) > _CACHE_OBJECTS:
                self._cache.popitem(last=False)

    def _path(self, identity: str, kind: ArtifactKind) -> Path:
        return self._objects / identity[:2] / f"{identity}{SUFFIX[kind]}"


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


# HDF5 reads a slash in a name as a folder, so column names carry this look-alike on disk.
_SLASH, _ON_DISK = "/", "\N{DIVISION SLASH}"


def _write_h5ad(dataset: AnnData, target: Path) -> None:
    _renamed(dataset, _SLASH, _ON_DISK).write_h5ad(target)


def _read_h5ad(path: Path) -> AnnData:
    import anndata

    return _renamed(anndata.read_h5ad(path), _ON_DISK, _SLASH)


def _renamed(dataset: AnnData, old: str, new: str) -> AnnData:
    """The data set with `old` replaced in the column names of its sample and feature sheets; itself where nothing is."""
    if not any(old in str(column) for frame in (dataset.obs, dataset.var) for column in frame.columns):
        return dataset
    copy = dataset.copy()
    copy.obs = copy.obs.rename(columns=lambda column: str(column).replace(old, new))
    copy.var = copy.var.rename(columns=lambda column: str(column).replace(old, new))
    return copy
