"""Recall through a real Chroma server on this machine: the same answers as without one, whoever shares it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.doctor import check_vectors
from nereus.errors import StoreError
from nereus.memory import vectors
from nereus.memory.database import Database
from nereus.memory.embedding import HashedEmbedder
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import COLLECTIONS, VectorIndex
from nereus.settings import load_settings
from scripts.local_postgres import free_port
from tests.memory.test_vectors import WORDS, answers, finished

NO_LAG = dict.fromkeys(COLLECTIONS, 0)
TEXTS = [f"{first} {last}" for first in WORDS for last in WORDS]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = Path(sys.executable).with_name("chroma")
    if not program.exists():
        pytest.skip("the program `chroma` is not installed beside Python")
    folder, port = tmp_path_factory.mktemp("chroma"), free_port()
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                with urlopen(f"{url}/api/v2/heartbeat", timeout=5):
                    break
            except (URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < ends, (folder / "log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def past(runs: RunRepository) -> RunRepository:
    """Three finished runs with some 200 texts, remembered in SQL only."""
    with VectorIndex(runs, Path("/nowhere")) as index:
        for number in range(3):
            run = finished(runs, number, [*TEXTS[number::3], f"protein kinase of group {number}"])
            index._store(runs.load(run.id))
    return runs


def held(url: str) -> dict[str, int]:
    """Number of vectors by collection of the server."""
    import chromadb

    client = chromadb.HttpClient(host="127.0.0.1", port=int(url.rpartition(":")[2]))
    return {
        one.name: client.get_collection(one.name, embedding_function=None).count()
        for one in client.list_collections()
    }


def test_the_server_gives_the_answers_of_the_embedded_index(
    past: RunRepository, server: str, tmp_path: Path
) -> None:
    before = held(server)
    with (
        VectorIndex(past, tmp_path / "embedded") as embedded,
        VectorIndex(past, tmp_path / "unused", server) as index,
    ):
        assert sum(index.lag().values()) == index.count(), "nothing is there yet"
        assert answers(index) == answers(embedded)
        assert index._client is not None
        assert index.lag() == NO_LAG
        assert index.owner() is None
        assert index.notices == []
        assert not (tmp_path / "unused").exists()
        new = {name: count for name, count in held(server).items() if name not in before}
        assert sum(new.values()) == index.count()
        # What another process remembered is found, and what was forgotten goes.
        run = finished(past, 9, ["cortex of the mouse", *TEXTS])
        with VectorIndex(past, tmp_path / "unused", server) as other:
            other.remember_run(past.load(run.id))
        assert index.recall("objectives", "cortex of the mouse", 1)[0].run_id == run.id
        past.delete_run(run.id)
        assert index.recall("objectives", "cortex of the mouse", 1)[0].run_id != run.id
        assert answers(index) == answers(embedded)
        assert index.lag() == NO_LAG


def test_two_databases_share_a_server_and_do_not_see_each_other(
    past: RunRepository, server: str, tmp_path: Path
) -> None:
    other = RunRepository(Database(f"sqlite:///{tmp_path / 'other.sqlite'}"))
    with VectorIndex(past, tmp_path, server) as one, VectorIndex(other, tmp_path, server) as two:
        mine = answers(one)
        run = finished(other, 5, [f"{text} sepsis" for text in TEXTS])
        two.remember_run(other.load(run.id))
        assert {found.run_id for found in two.recall("objectives", "liver sepsis", 20)} == {run.id}
        assert answers(one) == mine
        one.rebuild()
        assert one.lag() == NO_LAG
        assert two.lag() == NO_LAG, "making one anew leaves the other alone"


def test_reindex_fills_a_server_that_lost_everything(
    past: RunRepository, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chromadb

    url = past.database.engine.url.render_as_string(hide_password=False)
    for name, value in {"HOME": str(tmp_path / "home"), "DATABASE_URL": url, "VECTOR_URL": server}.items():
        monkeypatch.setenv(f"NEREUS_{name}", value)
    monkeypatch.chdir(tmp_path)
    first = CliRunner().invoke(app, ["memory", "reindex"])
    assert first.exit_code == 0, first.output
    assert f"are in the index {server}" in first.output
    with VectorIndex(past, tmp_path, server) as index:
        expected, names, count = answers(index), [index._name(name) for name in COLLECTIONS], index.count()
    client = chromadb.HttpClient(host="127.0.0.1", port=int(server.rpartition(":")[2]))
    for name in names:
        client.delete_collection(name)
    check = check_vectors(load_settings())
    assert check.ok
    assert check.figures == {"texts": count, "lag": count}
    assert f"{count} not yet in the index" in check.detail
    again = CliRunner().invoke(app, ["memory", "reindex"])
    assert again.exit_code == 0, again.output
    assert check_vectors(load_settings()).figures == {"texts": count, "lag": 0}
    with VectorIndex(past, tmp_path, server) as index:
        assert answers(index) == expected


def test_vectors_of_another_embedder_on_a_server_are_refused_until_they_are_made_anew(
    past: RunRepository, server: str, tmp_path: Path
) -> None:
    class Other(HashedEmbedder):
        id = "other-v1"

    with VectorIndex(past, tmp_path, server) as index:
        expected = answers(index)
    with VectorIndex(past, tmp_path, server, Other()) as index:
        with pytest.raises(StoreError, match="another server"):
            answers(index)
        index.rebuild()
        assert answers(index) == expected
        assert index.lag() == NO_LAG


def test_a_server_that_goes_away_or_hangs_costs_only_the_index(
    past: RunRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_ANSWER_S", 0.5)
    with VectorIndex(past, tmp_path / "embedded") as embedded:
        expected = answers(embedded)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        taken: list[socket.socket] = []
        threading.Thread(target=lambda: taken.append(silent.accept()[0]), daemon=True).start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with VectorIndex(past, tmp_path / "unused", url) as index:
            before = time.monotonic()
            assert answers(index) == expected
            assert time.monotonic() - before < 5, "it was asked once, not at every question"
            assert "cannot be used" in index.notices[0]
    url = past.database.engine.url.render_as_string(hide_password=False)
    settings = load_settings(home=tmp_path, database_url=url, vector_url="http://127.0.0.1:9")
    check = check_vectors(settings)
    assert not check.ok
    assert "NEREUS_VECTOR_URL" in check.mend
    assert check.figures["lag"] == check.figures["texts"] > 0
    told = CliRunner().invoke(
        app,
        ["memory", "reindex"],
        env={
            "NEREUS_DATABASE_URL": url,
            "NEREUS_VECTOR_URL": "http://127.0.0.1:9",
            "NEREUS_HOME": str(tmp_path),
        },
    )
    assert told.exit_code == 1
    assert "the index lacks" in told.output
