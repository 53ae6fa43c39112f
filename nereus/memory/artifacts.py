"""The artifact store: everything that a step made, kept once under the hash of its content.

Layout below the root: ``objects/<first two digits>/<sha-256>.<suffix>``. Objects are written to a temporary file in
the same folder and renamed, so a killed process leaves no half object. Where the store is `durable`, the content is
written through to the disk before the renaming, and the folders after it, so that a power cut leaves none either.
An object is read only when its content still has the hash that it is named by: damage is never taken for data.
Tables are Parquet, data sets h5ad, figures SVG, trained methods safetensors, the user's files are kept byte for byte.
Nothing is pickled.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock, local
from typing import TYPE_CHECKING, Any

from nereus.errors import StoreError
from nereus.memory.folder_archive import archive_folder
from nereus.memory.records import ArtifactKind, ArtifactRef

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

SUFFIX = {
    ArtifactKind.FILE: ".bin",
    ArtifactKind.TABLE: ".parquet",
    ArtifactKind.DATASET: ".h5ad",
    ArtifactKind.FIGURE: ".svg",
    ArtifactKind.MODEL: ".safetensors",
}
_CACHE_OBJECTS = 64
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MEND = "a run makes it again from its recorded steps; a file of yours: `nereus resume RUN --data FILE`"
_SYNCS_AT_A_TIME = 8


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class ArtifactStore:
    """A folder of immutable objects under their content hash.

    Objects that were read are kept in memory and handed out again: callers must not change them (the contract suite
    checks that tools do not). What was just written is read back before it is used: a step then sees the same object
    whether its input was made in this process or in one that was killed.

    Parameters
    ----------
    root
        The folder; made when it is missing.
    durable
        Write through to the disk what is kept. `together` does so once for several objects.
    """

    def __init__(self, root: Path, durable: bool = False) -> None:
        self.root = root
        self._durable = durable
        self._thread = local()
        self._objects = root / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()
        self._mending = RLock()  # entered again for what a lost object was made of
        self.make_again: Callable[[ArtifactRef], bool] | None = None
        """Computes a lost or damaged object again, and says whether it could; set by a run that knows how."""
        self.made_again: list[str] = []
        """What was lost or damaged and was made again, a line an object."""

    # ------------------------------------------------------------------ writing

    def put_file(self, path: Path, name: str | None = None) -> ArtifactRef:
        """Keep a user's file byte for byte; a folder as one archive of its files, equal for equal files."""
        if path.is_dir():
            return self._keep(
                ArtifactKind.FILE,
                name or f"{path.resolve().name}.zip",
                lambda at: archive_folder(path, at),
                "",
            )
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

    def put_model(self, content: bytes, name: str) -> ArtifactRef:
        """Keep a trained method."""
        return self._keep(ArtifactKind.MODEL, name, lambda target: target.write_bytes(content) and None, "")

    def _keep(
        self, kind: ArtifactKind, name: str, write: Callable[[Path], object], summary: str
    ) -> ArtifactRef:
        with self.together() as written:
            handle, temporary_name = tempfile.mkstemp(dir=self._objects, prefix=".new-", suffix=SUFFIX[kind])
            os.close(handle)
            temporary = Path(temporary_name)
            written[temporary] = None
            write(temporary)
            identity = file_hash(temporary)
            size = temporary.stat().st_size
            target = self._path(identity, kind)
            # One of another size was cut short by a power cut, by a version that did not write it through. The user's
            # files cannot be made again, so that a copy which was damaged is replaced whenever they are given again.
            same = target.exists() and target.stat().st_size == size
            if not same or (kind is ArtifactKind.FILE and file_hash(target) != identity):
                written[temporary] = target
        return ArtifactRef(id=identity, kind=kind, name=name, size=size, summary=summary)

    @contextmanager
    def together(self) -> Iterator[dict[Path, Path | None]]:
        """Keep what this thread puts inside at the end, all at once; when the inside fails, nothing is kept.

        The objects can be read after the end. Gives the temporary files with the places that they get.
        """
        outer: dict[Path, Path | None] | None = getattr(self._thread, "written", None)
        if outer is not None:
            yield outer
            return
        written: dict[Path, Path | None] = {}
        self._thread.written = written
        try:
            yield written
            self._move({one: target for one, target in written.items() if target is not None})
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise StoreError(
                f"results cannot be kept: {error.strerror or error}",
                where=str(self.root),
                mend="make room and start again, or `nereus resume --last`: finished steps are kept",
            ) from error
        finally:
            self._thread.written = None
            for one in written:
                one.unlink(missing_ok=True)

    def _move(self, targets: dict[Path, Path]) -> None:
        if self._durable:
            _write_through(list(targets))
        fresh = {self._objects for target in targets.values() if not target.parent.exists()}
        for temporary, target in targets.items():
            target.parent.mkdir(exist_ok=True)
            temporary.chmod(0o644)
            temporary.replace(target)
        if self._durable:
            _write_through(sorted(fresh | {target.parent for target in targets.values()}))

    # ------------------------------------------------------------------ reading

    def path(self, ref: ArtifactRef) -> Path:
        """Where the object lies; `StoreError` when it is gone."""
        path = self._path(ref.id, ref.kind)
        if not path.exists():
            raise StoreError(
                f"artifact {ref.id[:12]} ({ref.name!r}) is missing",
                where=str(path),
                mend=_MEND,
            )
        return path

    def has(self, ref: ArtifactRef) -> bool:
        """Whether the object is present."""
        return self._path(ref.id, ref.kind).exists()

    def whole(self, ref: ArtifactRef) -> bool:
        """Whether the object is present with the content that it is named by; reads all of it."""
        try:
            return file_hash(self._path(ref.id, ref.kind)) == ref.id
        except FileNotFoundError:
            return False

    def set_aside(self, ref: ArtifactRef) -> None:
        """Take an object that is not whole out of the store, so that it can be made again."""
        path = self._path(ref.id, ref.kind)
        if ref.kind is not ArtifactKind.FILE and not self.whole(ref):
            path.unlink(missing_ok=True)
        with self._lock:
            self._cache.pop(ref.id, None)

    def checked_path(self, ref: ArtifactRef) -> Path:
        """Where the object lies, after its content was compared with its hash; made again where it can be.

        What is whole is read once for it. Of several threads that miss the same object one makes it again.

        Raises
        ------
        StoreError
            The object is missing or damaged.
        """
        if self.whole(ref):
            return self._path(ref.id, ref.kind)
        with self._mending:
            if not self.whole(ref):
                self._mend(ref)
        return self.path(ref)

    def _mend(self, ref: ArtifactRef) -> None:
        how = "damaged" if self.has(ref) else "missing"
        if self.make_again is not None:
            self.set_aside(ref)
            if self.make_again(ref):
                self.made_again.append(f"artifact {ref.name} was {how} and was made again")
        path = self.path(ref)
        if not self.whole(ref):
            raise StoreError(
                f"artifact {ref.id[:12]} ({ref.name!r}) is damaged: its content is not what was kept",
                where=str(path),
                mend=_MEND,
            )

    def table(self, ref: ArtifactRef) -> pd.DataFrame:
        """Read a table."""
        import pyarrow.parquet as pq

        def read(path: Path) -> pd.DataFrame:
            # Without the search for a data set of many files, and without threads: most tables are small.
            with pq.ParquetFile(path, pre_buffer=False) as file:
                return file.read(use_threads=False).to_pandas(use_threads=False)

        return self._load(ref, read)

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
        live = read(self.checked_path(ref))
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


def _write_through(paths: list[Path]) -> None:
    """Write files or folders through to the disk; several at a time, which a file system's log takes as one."""
    if len(paths) == 1:
        _sync(paths[0])
    elif paths:
        with ThreadPoolExecutor(min(len(paths), _SYNCS_AT_A_TIME)) as pool:
            list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # not every file system can write a folder through; its files are safe
            raise
    finally:
        os.close(handle)


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
