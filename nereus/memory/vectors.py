"""What earlier runs asked, did and found, recalled by similarity of text.

The texts are rows of the table ``memories``: SQL is the truth. Chroma holds one vector for each distinct text
and proposes candidates; similarities, order and what is returned are computed from SQL. So the index can be
lost, damaged or owned by another process, and what is recalled stays the same. Where there are no more texts than
it would propose, it is not asked: all of them are candidates.

One process at a time owns the folder of the embedded index (`nereus.memory.index_owner`). Any other process searches
the texts of SQL exactly, with the same embedder, and does not touch the folder. What it remembers meanwhile enters the
index when the owner looks next.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import urlopen

from sqlalchemy import Table, bindparam, delete, func, select

from nereus.errors import StoreError
from nereus.memory.database.engine import now
from nereus.memory.database.models import MemoryRow, RunRow
from nereus.memory.embedding import Embedder, HashedEmbedder
from nereus.memory.index_owner import Owner, Ownership
from nereus.memory.records import Record, RunRecord, Scalar
from nereus.memory.remembered import memories_of
from nereus.memory.rows import natural_order
from nereus.memory.runs import RunRepository

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nereus.settings import Settings

COLLECTIONS = ("objectives", "workflows", "hypotheses")

_MEMORIES = cast(Table, MemoryRow.__table__)
_RUNS = cast(Table, RunRow.__table__)
# Built once: a statement costs more to build than to run. No run has an empty id.
_HEAD = select(func.count(), func.max(_MEMORIES.c.created_at)).where(
    _MEMORIES.c.collection == bindparam("collection")
)
_TEXTS = (
    select(_MEMORIES.c.text_id, func.min(_MEMORIES.c.text))
    .where(_MEMORIES.c.collection == bindparam("collection"))
    .group_by(_MEMORIES.c.text_id)
)
_OF_RUN = (
    select(_MEMORIES.c.text_id)
    .where(_MEMORIES.c.collection == bindparam("collection"), _MEMORIES.c.run_id == bindparam("run"))
    .distinct()
)
_OF_OTHERS = (
    select(_MEMORIES.c.text_id)
    .where(
        _MEMORIES.c.collection == bindparam("collection"),
        _MEMORIES.c.text_id.in_(bindparam("wanted", expanding=True)),
        _MEMORIES.c.run_id != bindparam("run"),
    )
    .distinct()
)
_WANTED = (
    select(_MEMORIES, _RUNS.c.created_at.label("run_made"))
    .join(_RUNS, _RUNS.c.id == _MEMORIES.c.run_id)
    .where(
        _MEMORIES.c.collection == bindparam("collection"),
        _MEMORIES.c.text_id.in_(bindparam("wanted", expanding=True)),
        _MEMORIES.c.run_id != bindparam("excluded"),
    )
)
_CANDIDATES = 64  # asked of Chroma at least; the exact order is found among them
_ANSWER_S = 5.0
_DIGITS = 6  # similarities are equal when they agree to this many decimals; ties go by the text's hash

T = TypeVar("T")


class Memory(Record):
    """Something that an earlier run asked, did or found."""

    id: str
    """Id of the objective, workflow or hypothesis within its run."""
    run_id: str
    """The newest run with this text."""
    text: str
    similarity: float
    """Cosine of the two texts' vectors, at most 1."""
    metadata: dict[str, Scalar]
    """Columns of the record, and `times`: how many runs have this text."""


class VectorIndex:
    """Recall over all runs of a database.

    Parameters
    ----------
    repository
        The runs; the truth.
    path
        Folder of the embedded index.
    url
        A Chroma server to use instead; it has no owner. Several databases may share it.
    embedder
        Turns texts into vectors.
    """

    def __init__(
        self, repository: RunRepository, path: Path, url: str | None = None, embedder: Embedder | None = None
    ) -> None:
        self._repository = repository
        self._database = repository.database
        self._path = path
        self._url = url
        self._embedder = embedder or HashedEmbedder()
        self._lock = threading.RLock()
        self._ownership = Ownership(path, self._note)
        self._process = os.getpid()
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._known: dict[str, tuple[Any, dict[str, str]]] = {}
        self._in_step: dict[str, dict[str, str]] = {}
        self._opened = False
        self._away = False
        """The server failed; it is left alone until the index is opened again."""
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self.notices: list[str] = []
        """What went wrong with the index and was mended; nothing that changes what is recalled."""

    # ------------------------------------------------------------------ remembering and recalling

    def remember_run(self, record: RunRecord) -> int:
        """Keep the objectives, workflows and hypotheses of an ended run; return how many texts.

        Remembering a run again replaces what it had. The rows are kept even when the index cannot be written.
        """
        count = self._store(record)
        with self._lock:
            self._bring_all_in_step()
        return count

    def recall(self, collection: str, text: str, n: int = 5, exclude_run: str | None = None) -> list[Memory]:
        """Find the `n` texts most similar to `text`, most similar first; equal texts of many runs are one.

        Parameters
        ----------
        collection
            ``objectives``, ``workflows`` or ``hypotheses``.
        text
            What to look for.
        n
            How many at most. A text that shares nothing is not returned.
        exclude_run
            A run whose own texts do not count.

        Raises
        ------
        StoreError
            There is no such collection, or the Chroma server holds vectors of another embedder.
        """
        if collection not in COLLECTIONS:
            raise StoreError(
                f"there is no collection {collection!r}",
                where="vectors",
                mend=f"one of {', '.join(COLLECTIONS)}",
            )
        with self._lock:
            known = self._texts(collection)
            own = self._only_of(collection, exclude_run) if exclude_run else set()
            if n < 1 or len(known) == len(own):
                return []
            query = self._embedder.embed([text])[0]
            candidates = self._candidates(collection, query, n, known, own)
            ranked = sorted((-self._similarity(query, one, known[one]), one) for one in candidates)
            best = [(-similarity, one) for similarity, one in ranked if similarity < 0][:n]
            return self._memories(collection, best, exclude_run)

    def rebuild(self) -> int:
        """Make everything anew from the recorded runs; return how many texts there are.

        Raises
        ------
        StoreError
            Another process owns the index; the message names it.
        """
        with self._lock:
            if self._url is None and not self._ownership.take():
                raise self._ownership.refusal()
            count, ended = 0, []
            for header in reversed(self._repository.list_runs()):
                if header.status in ("finished", "stopped"):
                    count += self._store(
                        self._repository.load(header.id)
                    )  # one transaction a run: others may write
                    ended.append(header.id)
            with self._database.write() as connection:
                remembered = set(connection.execute(select(_MEMORIES.c.run_id).distinct()).scalars())
                for run_id in sorted(remembered - set(ended)):
                    connection.execute(delete(_MEMORIES).where(_MEMORIES.c.run_id == run_id))
            self._away = False
            try:
                self._start_afresh()
            except Exception as error:  # noqa: BLE001 - foreign storage: told below, where it is used
                self._failed(error, last=True)
            self._bring_all_in_step()
            return count

    def owner(self) -> Owner | None:
        """Who owns the embedded index now; None when nobody does."""
        with self._lock:
            return self._ownership.owner() if self._url is None else None

    def count(self) -> int:
        """Count the texts that can be recalled."""
        return sum(len(self._texts(name)) for name in COLLECTIONS)

    def lag(self) -> dict[str, int]:
        """Count, by collection, the texts of SQL that the index does not hold; opens the index."""
        with self._lock:
            missing: dict[str, int] = {}
            for name in COLLECTIONS:
                wanted = set(self._texts(name))
                held = self._with_collection(
                    name, lambda collection: set(collection.get(include=[])["ids"]), in_step=False
                )
                missing[name] = len(wanted - (held or set()))
            return missing

    def close(self) -> None:
        """Let go of the index, so that another process can own it."""
        with self._lock:
            self._let_go()
            self._ownership.release()

    def __enter__(self) -> Self:
        """Use as a context manager; nothing is opened before it is needed."""
        return self

    def __exit__(self, *exception: object) -> None:
        """See `close`."""
        self.close()

    # ------------------------------------------------------------------ SQL: the truth

    def _store(self, record: RunRecord) -> int:
        run_id = record.header.id
        rows = [
            {
                "collection": name,
                "run_id": run_id,
                "id": identity,
                "text_id": hashlib.sha256(text.encode()).hexdigest()[:32],
                "text": text,
                "document": json.dumps(metadata, sort_keys=True),
            }
            for name, identity, text, metadata in memories_of(record)
        ]
        with self._database.write() as connection:
            connection.execute(delete(_MEMORIES).where(_MEMORIES.c.run_id == run_id))
            stamp = now()
            self._database.put(connection, _MEMORIES, [{**row, "created_at": stamp} for row in rows])
        return len(rows)

    def _texts(self, collection: str) -> dict[str, str]:
        """Text id -> text; read again when their number or the time of the newest is another one."""
        asked = {"collection": collection}
        with self._database.read(settled=False) as connection:
            head = tuple(connection.execute(_HEAD, asked).one())
            held, texts = self._known.get(collection, (None, {}))
            if held != head:
                texts = {row[0]: row[1] for row in connection.execute(_TEXTS, asked)}
                self._known[collection] = (head, texts)
        return texts

    def _only_of(self, collection: str, run_id: str) -> set[str]:
        """Texts that no other run has."""
        asked = {"collection": collection, "run": run_id}
        with self._database.read(settled=False) as connection:
            own = set(connection.execute(_OF_RUN, asked).scalars())
            if not own:
                return own
            return own - set(connection.execute(_OF_OTHERS, {**asked, "wanted": list(own)}).scalars())

    def _memories(
        self, collection: str, best: list[tuple[float, str]], exclude_run: str | None
    ) -> list[Memory]:
        asked = {
            "collection": collection,
            "wanted": [text_id for _, text_id in best],
            "excluded": exclude_run or "",
        }
        rows: dict[str, list[Any]] = {}
        with self._database.read(settled=False) as connection:
            for row in connection.execute(_WANTED, asked):
                rows.setdefault(row.text_id, []).append(row)
        found: list[Memory] = []
        for similarity, text_id in best:
            if text_id not in rows:  # its run was deleted a moment ago
                continue
            newest = max(
                rows[text_id],
                key=lambda row: (row.run_made, natural_order(row.run_id), natural_order(row.id)),
            )
            times = len({row.run_id for row in rows[text_id]})
            found.append(
                Memory(
                    id=newest.id,
                    run_id=newest.run_id,
                    text=newest.text,
                    similarity=similarity,
                    metadata={**json.loads(newest.document), "times": times},
                )
            )
        return found

    # ------------------------------------------------------------------ similarity

    def _similarity(self, query: NDArray[np.float32], text_id: str, text: str) -> float:
        vector = self._vector_of({text_id: text})[0]
        return round(float(query.astype("float64") @ vector.astype("float64")), _DIGITS)

    def _vector_of(self, texts: dict[str, str]) -> list[NDArray[np.float32]]:
        new = {text_id: text for text_id, text in texts.items() if text_id not in self._vectors}
        if new:
            self._vectors |= dict(zip(new, self._embedder.embed(list(new.values())), strict=True))
        return [self._vectors[text_id] for text_id in texts]

    def _candidates(
        self, collection: str, query: NDArray[np.float32], n: int, known: dict[str, str], own: set[str]
    ) -> Iterable[str]:
        """Find texts that can be among the `n` best: from the index where they are many, else all."""
        wanted = max(_CANDIDATES, 8 * n)
        # A query without words has no direction.
        number = len(known) - len(own)
        if number > wanted and float(query @ query) > 0:

            def nearest(index: Any) -> list[str]:
                # Texts of the excluded run are in the index too, so more may be needed than are kept.
                for ask in (wanted, 4 * wanted, index.count()):
                    reply = index.query(
                        query_embeddings=[query.tolist()], n_results=min(ask, index.count()), include=[]
                    )
                    kept = [one for one in reply["ids"][0] if one in known and one not in own]
                    if len(kept) >= min(wanted, number) or ask >= index.count():
                        return kept
                return kept

            found = self._with_collection(collection, nearest)
            if found is not None:
                return found
        fitting = {one: text for one, text in known.items() if one not in own}
        self._vector_of(fitting)
        return fitting

    # ------------------------------------------------------------------ Chroma: the index

    def _with_collection(self, name: str, use: Callable[[Any], T], in_step: bool = True) -> T | None:
        """Use a collection that holds the texts of SQL; None when the index is not ours or beyond repair."""
        if os.getpid() != self._process or self._away or (self._url is None and not self._ownership.take()):
            return None
        for attempt in (1, 2):
            try:
                if in_step:
                    for one in (name,) if self._opened else COLLECTIONS:
                        self._bring_in_step(one, self._collection(one))
                    self._opened = True
                return use(self._collection(name))
            except StoreError:
                raise
            except BaseException as error:  # foreign storage: a failure must only cost the index
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                self._failed(error, last=attempt == 2)
        return None

    def _failed(self, error: BaseException, last: bool) -> None:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if self._url is not None or last:
            self._away = self._url is not None
            self._note(f"the vector index cannot be used ({reason}); the database was searched")
            self._let_go()
        else:
            self._note(f"the vector index was damaged ({reason}) and was made anew from the database")
            self._start_afresh()

    def _note(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _collection(self, name: str) -> Any:
        if name not in self._collections:
            self._collections[name] = self._open_collection(name)
        return self._collections[name]

    def _open_collection(self, name: str) -> Any:
        client = self._open_client()
        collection = client.get_or_create_collection(
            self._name(name),
            embedding_function=None,  # vectors are always given; Chroma's default would fetch a model
            metadata={"embedder": self._embedder.id},
            configuration={
                "hnsw": {
                    "space": "cosine",
                    "ef_construction": 256,
                    "ef_search": 512,
                    "max_neighbors": 32,
                    "num_threads": 1,  # the graph then depends on the order of the texts only
                }
            },
        )
        found = (collection.metadata or {}).get("embedder")
        if found == self._embedder.id:
            return collection
        if self._url is not None:
            raise StoreError(
                f"collection {name!r} holds vectors of embedder {found!r}, not {self._embedder.id!r}",
                where=self._url,
                mend="vectors of two embedders are not mixed: name another server, or set the embedder back",
            )
        self._note(
            f"the vector index was made by embedder {found!r} and was made anew by {self._embedder.id!r}"
        )
        self._start_afresh()
        return self._open_collection(name)

    def _open_client(self) -> Any:
        if self._client is not None:
            return self._client
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        quiet = ChromaSettings(anonymized_telemetry=False)
        if self._url is None:
            folder = self._folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._client = chromadb.PersistentClient(path=str(folder), settings=quiet)
        else:
            parts = urlsplit(self._url)
            secure = parts.scheme == "https"
            host, port = parts.hostname or "", parts.port or (443 if secure else 8000)
            # Chroma's client waits for ever; a server that hangs is found out here, before it is asked anything.
            shown = f"[{host}]" if ":" in host else host
            with urlopen(f"{parts.scheme}://{shown}:{port}/api/v2/heartbeat", timeout=_ANSWER_S):
                pass
            self._client = chromadb.HttpClient(host=host, port=port, ssl=secure, settings=quiet)
        return self._client

    def _name(self, collection: str) -> str:
        """Name of a collection in Chroma: several databases may share one server."""
        if self._url is None:
            return collection
        return f"nereus-{hashlib.sha256(self._database.identity.encode()).hexdigest()[:12]}-{collection}"

    def _bring_all_in_step(self) -> None:
        for name in COLLECTIONS:
            self._with_collection(name, lambda index: index.count())

    def _bring_in_step(self, name: str, collection: Any) -> None:
        """Add the texts that SQL has and the index lacks, and drop the others."""
        wanted = self._texts(name)
        if self._in_step.get(name) is wanted:
            return
        held = set(collection.get(include=[])["ids"])
        for part in _batches(sorted(held - wanted.keys())):
            collection.delete(ids=list(part))
        for part in _batches(sorted(wanted.keys() - held)):
            texts = {text_id: wanted[text_id] for text_id in part}
            collection.add(ids=list(part), embeddings=[vector.tolist() for vector in self._vector_of(texts)])
        self._in_step[name] = wanted

    def _folder(self) -> Path:
        """Find the newest generation: a damaged index is left behind, as Chroma may still hold its files."""
        return self._path / f"index-{max(self._generations(), default=1)}"

    def _generations(self) -> list[int]:
        names = (one.name.removeprefix("index-") for one in self._path.glob("index-*"))
        return [int(name) for name in names if name.isdigit()]

    def _start_afresh(self) -> None:
        self._opened = False
        if self._url is not None:
            client = self._open_client()
            held = {one.name for one in client.list_collections()}
            for name in map(self._name, COLLECTIONS):
                if name in held:
                    client.delete_collection(name)
            self._collections, self._in_step = {}, {}
            return
        self._let_go()
        before = self._generations()
        (self._path / f"index-{max(before, default=0) + 1}").mkdir(parents=True, exist_ok=True)
        for number in before:
            shutil.rmtree(self._path / f"index-{number}", ignore_errors=True)

    def _let_go(self) -> None:
        self._collections, self._in_step, self._opened = {}, {}, False
        client, self._client = self._client, None
        if client is not None and os.getpid() == self._process:
            try:
                client.close()
            except Exception as error:  # noqa: BLE001 - a damaged index may fail to close; it is given up anyway
                self._note(f"the vector index did not close: {type(error).__name__}")


@contextmanager
def open_vectors(settings: Settings, repository: RunRepository) -> Iterator[VectorIndex]:
    """Open the index that the settings name; nothing is read or locked before it is used."""
    index = VectorIndex(repository, settings.vector_path, settings.vector_url)
    try:
        yield index
    finally:
        index.close()


def _batches(items: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
