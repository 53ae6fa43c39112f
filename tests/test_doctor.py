"""The doctor: says what is there, and what to do about what is not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from nereus import doctor
from nereus.doctor import Check, check_gpu, check_llm, checks
from nereus.memory.database import Database
from nereus.memory.database.engine import SCHEMA
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import VectorIndex
from nereus.settings import Settings, load_settings
from tests.memory.factories import header, objective


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("NEREUS_DATA", raising=False)
    return load_settings(home=tmp_path / "home")


def named(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_a_fresh_machine_is_well(settings: Settings) -> None:
    loaded = "torch" in sys.modules
    found = named(checks(settings))
    assert list(found) == [
        "python", "packages", "home", "database", "checkpoints", "vectors", "data", "language model", "sandbox", "gpu",
    ]  # fmt: skip
    assert [check for name, check in found.items() if not check.ok and name != "gpu"] == []
    assert all(check.detail for check in found.values())
    assert all(check.mend == "" for check in found.values() if check.ok)
    assert str(settings.home) in found["home"].detail
    assert f"schema {SCHEMA}, 0 runs" in found["database"].detail
    assert "nothing is remembered yet" in found["vectors"].detail
    assert found["language model"].detail.startswith("no:")
    assert ("torch" in sys.modules) is loaded, "looking for a GPU loads no torch"


def test_settings_that_are_wrong_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEREUS_SEED", "x")
    last = checks()[-1]
    assert (last.name, last.ok) == ("settings", False)
    assert "NEREUS_SEED" in last.detail
    assert last.mend


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    found = named(checks(load_settings(home=tmp_path / "file" / "home")))
    for name in ("home", "database", "checkpoints", "vectors"):
        assert not found[name].ok, name
        assert found[name].mend, name


def test_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5 * 2**20})())
    check = doctor.check_home(settings)
    assert not check.ok
    assert "0.0 GiB free" in check.detail


@pytest.mark.parametrize("name", ["database", "checkpoints"])
def test_a_broken_file_is_found(settings: Settings, name: str) -> None:
    settings.home.mkdir()
    url = settings.database_url if name == "database" else settings.checkpoint_url
    Path(url.removeprefix("sqlite:///")).write_bytes(b"garbage" * 900)
    check = named(checks(settings))[name]
    assert not check.ok
    assert check.mend


def test_a_damaged_page_is_found(settings: Settings) -> None:
    database = Database(settings.database_url)
    runs = RunRepository(database)
    for number in range(40):
        runs.create_run(header(number, question="why? " * 200))
    database.close()
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    content = bytearray(file.read_bytes())
    for page in range(60, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 200] = b"\x07" * 200
    file.write_bytes(content)
    check = doctor.check_database(settings)
    assert not check.ok
    assert check.mend


def test_the_owner_of_the_index_is_named(settings: Settings) -> None:
    with VectorIndex(RunRepository(Database(settings.database_url)), settings.vector_path) as index:
        run = index._repository.create_run(header())
        index._repository.save_objectives(run.id, [objective()])
        index.remember_run(index._repository.load(run.id))
        check = doctor.check_vectors(settings)
        assert check.ok
        assert "owned by process " in check.detail
    assert "1 texts remembered" in doctor.check_vectors(settings).detail


def test_the_data_folder(settings: Settings, tmp_path: Path) -> None:
    assert doctor.check_data(settings).ok
    assert not doctor.check_data(settings.model_copy(update={"data": tmp_path / "none"})).ok
    assert "entries" in doctor.check_data(settings.model_copy(update={"data": tmp_path})).detail


class Endpoint(BaseHTTPRequestHandler):
    status = 200
    keys: list[str] = []  # noqa: RUF012 - filled by the server, read by the test

    def do_GET(self) -> None:
        Endpoint.keys.append(self.headers.get("Authorization", ""))
        self.send_response(Endpoint.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "ok"), [(200, True), (500, True), (404, True), (401, False)])
def test_the_language_model_is_asked_only_on_request(
    settings: Settings, endpoint: str, status: int, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    Endpoint.status, Endpoint.keys = status, []
    asked = load_settings(
        home=settings.home, policy="llm", llm_model="tiny", llm_base_url=endpoint, llm_api_key="sk-canary"
    )
    assert check_llm(asked).ok
    assert Endpoint.keys == []
    check = check_llm(asked, reach=True)
    assert (check.ok, Endpoint.keys) == (ok, ["Bearer sk-canary"])
    assert "canary" not in check.detail + check.mend
    assert bool(check.mend) is not ok


def test_a_language_model_that_is_away_or_lacks_its_client(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = load_settings(
        home=settings.home, policy="llm", llm_model="tiny", llm_base_url="http://127.0.0.1:9/v1"
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    assert "does not answer" in check_llm(asked, reach=True).detail
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert ".[llm]" in check_llm(asked).mend


@pytest.mark.parametrize(
    ("answers", "ok", "told"),
    [
        ([(True, '{"version": "2.1", "gpus": ["H200"], "mps": false}')], True, "yes: H200 (torch 2.1)"),
        ([(True, '{"version": "2.1", "gpus": [], "mps": false}')], True, "no: models run on the processor"),
        ([(False, "OSError: libcuda")], False, "torch does not import: OSError: libcuda"),
        (
            [
                (True, '{"version": "2.1", "gpus": [], "mps": false}'),
                (False, "RuntimeError: operator torchvision::nms does not exist"),
            ],
            False,
            "torchvision does not fit this torch",
        ),
    ],
)
def test_the_gpu(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[bool, str]], ok: bool, told: str
) -> None:
    present = {"torch"} | ({"torchvision"} if len(answers) == 2 else set())
    monkeypatch.setattr(doctor, "find_spec", lambda name: object() if name in present else None)
    replies = iter(answers)
    monkeypatch.setattr(doctor, "_in_a_process", lambda code: next(replies))
    check = check_gpu()
    assert check.ok is ok
    assert told in check.detail
    assert bool(check.mend) is not ok


def test_a_broken_import_costs_only_its_own_process() -> None:
    assert doctor._in_a_process("print('a'); print('b')") == (True, "b")
    ok, told = doctor._in_a_process("raise RuntimeError('operator torchvision::nms does not exist')")
    assert not ok
    assert told == "RuntimeError: operator torchvision::nms does not exist"
    assert doctor._in_a_process("import os; os._exit(3)") == (False, "ended with code 3")


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=999", "no-such-package>=1", 'win-only>=1; sys_platform == "nowhere"', "scipy>=1"]
    monkeypatch.setattr(doctor, "_requirements", lambda: lines)
    check = doctor.check_packages()
    assert not check.ok
    assert "needed is >=999" in check.detail
    assert "no-such-package is not installed" in check.detail
    assert "win-only" not in check.detail
