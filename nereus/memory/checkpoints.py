"""Where LangGraph keeps the state of a run's graph: a SQLite file of its own, or PostgreSQL by URL.

Checkpoints have their own file so that the checkpointer and the run database never wait for each other.
What is stored is plain JSON written as msgpack; nothing is ever pickled, and on reading only LangGraph's
own small types (messages, `Send`, `Interrupt`, dates, sets ...) are rebuilt.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from nereus.errors import StoreError

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from nereus.memory.progress import Mark

BUSY_S = 60.0
_SETUP_LOCK = 7306
_CHOICE = "branch:to:select"
"""Channel of LangGraph that holds something where the node `select` of the research graph is next."""
_UNUSED_VALUES = """
DELETE FROM checkpoint_blobs
WHERE thread_id = %s AND NOT EXISTS (
    SELECT 1 FROM checkpoints
    WHERE checkpoints.thread_id = checkpoint_blobs.thread_id
    AND checkpoints.checkpoint_ns = checkpoint_blobs.checkpoint_ns
    AND checkpoints.checkpoint -> 'channel_versions' ->> checkpoint_blobs.channel = checkpoint_blobs.version
)
"""
"""In PostgreSQL values lie beside the checkpoints that name them."""


def serializer() -> JsonPlusSerializer:
    """Make LangGraph's serializer without pickle; it rebuilds only classes on its list of safe ones."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None)


@contextmanager
def open_checkpoints(
    url: str, progress: Callable[[], Mark] | None = None
) -> Iterator[BaseCheckpointSaver[Any]]:
    """Open the checkpointer for ``graph.compile(checkpointer=...)``.

    Parameters
    ----------
    url
        ``sqlite:///file`` or ``postgresql://...`` (setting `checkpoint_url`).
    progress
        Tells how much of the run is recorded. It is kept with each checkpoint in SQLite, so that `ahead` finds a
        record that lost its end in a power cut. PostgreSQL writes through by itself.

    Raises
    ------
    StoreError
        The file or server cannot be used, or the driver is not installed.
    """
    scheme, _, path = url.partition("///")
    if scheme.startswith("sqlite"):
        with _sqlite(Path(path.partition("?")[0]).expanduser().absolute(), progress) as saver:
            yield saver
    else:
        with _postgres(url) as saver:
            yield saver


@contextmanager
def _sqlite(file: Path, progress: Callable[[], Mark] | None) -> Iterator[BaseCheckpointSaver[Any]]:
    from nereus.memory.ordered_saver import OrderedSaver

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # IMMEDIATE: a write takes the lock when it begins, and so waits instead of failing half-way.
        connection = sqlite3.connect(
            file, timeout=BUSY_S, check_same_thread=False, isolation_level="IMMEDIATE"
        )
    except (OSError, sqlite3.Error) as error:
        raise _broken(file, error) from error
    with closing(connection):
        saver = OrderedSaver(connection, serializer(), progress)
        try:
            # A killed process loses nothing; after a power cut the node of a lost checkpoint runs again (see `ahead`).
            connection.execute("PRAGMA synchronous=NORMAL")
            # Some builds overwrite with zeros what is deleted: four times the work of pruning a run.
            connection.execute("PRAGMA secure_delete=OFF")
            # Two processes may not switch to write-ahead at once.
            with FileLock(f"{file}.lock", timeout=BUSY_S):
                saver.setup()
        except (sqlite3.Error, OSError) as error:
            raise _broken(file, error) from error
        yield saver


@contextmanager
def _postgres(url: str) -> Iterator[BaseCheckpointSaver[Any]]:
    try:
        import langgraph.checkpoint.postgres  # noqa: F401
        from psycopg import OperationalError  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise StoreError(
            f"checkpoints in PostgreSQL need a driver: {error}",
            where="checkpoint_url",
            mend="pip install -e '.[postgres]'",
        ) from error
    from nereus.memory.server_saver import ServerSaver

    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        saver = ServerSaver(address, serializer())
    except OperationalError as error:
        raise StoreError(
            f"the checkpoints cannot be used: {error}",
            where="checkpoint_url",
            mend="check that the server runs and the URL is right",
        ) from error
    with closing(saver):
        try:
            _set_up_in_turn(saver, saver.conn)
            yield saver
        except OperationalError as error:
            raise StoreError(
                f"the checkpoints were lost on the way: {error}",
                where="checkpoint_url",
                mend="when the server runs again: nereus resume --last",
            ) from error


def _set_up_in_turn(saver: Any, connection: Any) -> None:
    """Make the tables; processes that start at once do so one after the other.

    They ask again and again in place of waiting at the lock: LangGraph makes an index beside running transactions, for
    which PostgreSQL waits until every statement that runs now has ended, that of a waiting process, too.
    """
    ends = time.monotonic() + BUSY_S
    while not connection.execute("SELECT pg_try_advisory_lock(%s) AS mine", (_SETUP_LOCK,)).fetchone()[
        "mine"
    ]:
        if time.monotonic() > ends:
            raise StoreError(
                "another process has been making the tables of the checkpoints for a minute",
                where="checkpoint_url",
                mend="end that process, then try again",
            )
        time.sleep(0.02)
    try:
        saver.setup()
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_SETUP_LOCK,))


def ahead(saver: BaseCheckpointSaver[Any], recorded: Mark) -> bool:
    """Whether the checkpoints of a run rest on more than is recorded, as a power cut may leave them.

    Their thread is then to be deleted: the run begins again, finds its recorded steps and computes only the others.
    """
    from nereus.memory.ordered_saver import OrderedSaver

    return isinstance(saver, OrderedSaver) and saver.ahead(recorded)


def before_choices(saver: BaseCheckpointSaver[Any], run_id: str) -> list[CheckpointTuple]:
    """Checkpoints of a run at which the next objectives are about to be chosen, newest first: there it can be forked."""
    history = saver.list({"configurable": {"thread_id": run_id, "checkpoint_ns": ""}})
    return [one for one in history if _CHOICE in one.checkpoint["channel_values"]]


def copy_checkpoint(saver: BaseCheckpointSaver[Any], found: CheckpointTuple, run_id: str) -> None:
    """Begin the thread of another run with one checkpoint."""
    to: RunnableConfig = {"configurable": {"thread_id": run_id, "checkpoint_ns": ""}}
    saver.put(to, found.checkpoint, found.metadata, found.checkpoint["channel_versions"])


def prune(saver: BaseCheckpointSaver[Any], run_id: str, keep: Collection[str] = ()) -> int:
    """Drop all but the newest checkpoint of a run (of each of its subgraphs); returns how many were dropped.

    A finished run needs no history but the states in `keep` (ids of checkpoints): the database has its record. The
    graph's state must not use LangGraph's delta channels, whose values are spread over the history; ours does not.
    """
    mark, writes = _dialect(saver)
    dropped = 0
    with saver.cursor() if mark == "?" else saver.conn.transaction(), closing(saver.conn.cursor()) as cursor:  # type: ignore[attr-defined]
        cursor.execute(
            "SELECT checkpoint_ns, MAX(checkpoint_id) AS newest"  # ids are ordered by time
            f" FROM checkpoints WHERE thread_id = {mark} GROUP BY checkpoint_ns",
            (run_id,),
        )
        for row in cursor.fetchall():
            space, newest = row.values() if isinstance(row, dict) else row
            kept = [newest, *(keep if space == "" else ())]
            marks = ", ".join([mark] * len(kept))
            for table in (writes, "checkpoints"):
                cursor.execute(
                    f"DELETE FROM {table}"
                    f" WHERE thread_id = {mark} AND checkpoint_ns = {mark} AND checkpoint_id NOT IN ({marks})",
                    (run_id, space, *kept),
                )
            dropped += cursor.rowcount
        if mark == "%s":
            cursor.execute(_UNUSED_VALUES, (run_id,))
    return dropped


def _dialect(saver: BaseCheckpointSaver[Any]) -> tuple[str, str]:
    """Tell the placeholder and the table of pending writes, by kind of saver."""
    return ("?", "writes") if type(saver).__name__ == "OrderedSaver" else ("%s", "checkpoint_writes")


def size(url: str) -> int | None:
    """Bytes on disk with the write-ahead log; None for a server."""
    if not url.startswith("sqlite"):
        return None
    file = Path(url.partition("///")[2]).expanduser()
    parts = (file, file.with_name(file.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _broken(file: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the checkpoints cannot be used: {error}",
        where=str(file),
        mend="check the folder, or move the file away: finished runs do not need it",
    )
