"""The client, against a real server."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

import nereus
from nereus.errors import InputError, NotFound, StoreError
from nereus.memory.records import Event
from tests.api.conftest import Server, free_port
from tests.api.test_server import DONE, SMALL


@pytest.fixture
def file(tmp_path: Path, table: bytes) -> Path:
    made = tmp_path / "table.csv"
    made.write_bytes(table)
    return made


def test_a_file_becomes_hypotheses_tables_and_a_report(server: Server, file: Path) -> None:
    events: list[Event] = []
    with nereus.Client(server.url) as client:
        run = client.discover(file, seed=11, on_event=events.append, **SMALL)
        assert run.status in DONE
        assert [one.seq for one in events] == list(range(1, run.look()["last_event"] + 1))
        assert run.hypotheses
        evidence = run.evidence(run.hypotheses[0]["evidence_ids"][0])
        assert evidence["call"]["key"] == evidence["evidence"]["call_key"]
        made = next(
            one
            for one in run.artifacts()
            if one["tool"] == "differential_abundance" and one["kind"] == "table"
        )
        assert len(run.table(made["step"], made["name"])) == 160
        assert b"<html" in run.report()[:200].lower()
        assert run.id in [one["id"] for one in client.runs()]
        assert client.run(run.id).status == run.status
        assert client.usage()["runs"] >= 1
        run.delete()
        with pytest.raises(NotFound, match="there is no run"):
            client.run(run.id)


def test_a_tool_is_called_on_a_file_and_its_table_read(server: Server, file: Path) -> None:
    with nereus.Client(server.url) as client:
        assert {"load_dataset", "differential_abundance"} <= {one["name"] for one in client.tools()}
        assert client.tool("quality_control")["parameters"]["type"] == "object"
        assert "unimatch" in {one["name"] for one in client.methods()}
        loaded = client.call("load_dataset", {"data": file})
        assert "dataset" in loaded.outputs
        profile = client.profile(file)
        assert profile.values["n_samples"] == 8
        assert len(profile.table("contrasts")) == 1
        with pytest.raises(InputError, match="input 'dataset' is missing"):
            client.call("quality_control", {})
        with pytest.raises(NotFound, match="there is no tool"):
            client.call("no_such_tool", {})


def test_what_the_server_refuses_is_raised_in_its_words(server: Server, tmp_path: Path) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("no table\nat all\n")
    with nereus.Client(server.url) as client:
        with pytest.raises(InputError, match=r"poem\.txt"):
            client.discover(poem)
        with pytest.raises(InputError, match="cannot be read"):
            client.upload(tmp_path / "nowhere.csv")
        with pytest.raises(NotFound, match="there is no data set"):
            client.discover(f"d{'0' * 16}")


def test_a_question_is_answered(server: Server, file: Path) -> None:
    with nereus.Client(server.url) as client:
        run = client.discover(file, seed=12, approval="always", **SMALL)
        rounds = 0
        while run.status == "waiting":
            for one in run.approvals():
                run.answer(one["id"])
            rounds += 1
            run.wait(after=run.look()["last_event"])
            assert run.status in ("waiting", *DONE)
        assert run.status in DONE
        assert rounds >= 2


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    url = f"http://127.0.0.1:{free_port()}"
    with nereus.Client(url) as client, pytest.raises(StoreError, match="cannot be reached") as told:
        client.runs()
    assert url in str(told.value)
    assert "nereus serve" in str(told.value)


def test_what_is_no_nereus_server_is_told_so() -> None:
    client = nereus.Client("http://127.0.0.1")
    answers = httpx.MockTransport(lambda request: httpx.Response(502, text="<html>bad gateway</html>"))
    client._http = httpx.Client(base_url="http://127.0.0.1", transport=answers)
    with pytest.raises(StoreError, match="answered 502"):
        client.runs()
