"""Fixtures that every test may use."""

from __future__ import annotations

import os

# Before anything loads a library with threads of its own: tests run side by side, and threads that wait for each other on
# processors that are taken cost minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nereus.memory.artifacts import ArtifactStore
from nereus.tools.steps import MemoryLedger, StepRunner
from scripts.local_postgres import NoServerError, temporary_server

if TYPE_CHECKING:
    from nereus.models.llm.serving import Served

POSTGRES = "NEREUS_TEST_POSTGRES_URL"
"""Names a PostgreSQL that the tests may fill and empty, in place of one that they start."""
TEST_DATA = Path(__file__).parent / "data"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter and number: what a compressor writes holds the time, and two processes that run
    the tests side by side must call each test the same.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger public data sets (setting NEREUS_DATA); tests that need it are skipped without it."""
    folder = Path(os.environ.get("NEREUS_DATA", ""))
    if not os.environ.get("NEREUS_DATA") or not folder.is_dir():
        pytest.skip("NEREUS_DATA names no folder: larger public data sets are not here")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained Qwen2 of a quarter million weights and its tokenizer, made once."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.models.llm import tiny

    return tiny.shared(tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tiny model behind transformers' own server, in a process of its own."""
    pytest.importorskip("openai")
    from nereus.models.llm.serving import served

    log = tmp_path_factory.mktemp("server") / "log.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # a model this small is slower on several
        server = served(tiny_folder, log=log, engine="transformers", gpu=False, ready_s=180)
        started = server.__enter__()
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def runner(tmp_path: Path) -> StepRunner:
    """A step runner over a fresh artifact store and an in-memory ledger."""
    return StepRunner(ArtifactStore(tmp_path / "artifacts"), MemoryLedger(), run_seed=1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL, started for the tests; skipped with the reason where none can be."""
    if POSTGRES in os.environ:
        yield os.environ[POSTGRES]
        return
    pytest.importorskip("psycopg", reason="PostgreSQL needs its driver: pip install -e '.[postgres]'")
    with ExitStack() as stack:
        try:
            url = stack.enter_context(temporary_server())
        except NoServerError as error:
            pytest.skip(str(error))
        yield url


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database on the server."""
    empty(postgres_server)
    yield postgres_server
    empty(postgres_server)


def empty(url: str) -> None:
    """Drop everything in a PostgreSQL database, and send away who is still there."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
