"""`nereus data list|fetch`, with a server on this machine in place of the network."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nereus.cli import app
from nereus.errors import InputError
from nereus.tools.knowledge import catalogue
from nereus.tools.knowledge.catalogue import ENTRIES, Entry, entry, of_use
from nereus.tools.knowledge.store import content_sha256, fetch, locate

CONTENT = b"source,target,weight\nA,B,1\n" * 50


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "net.csv").write_bytes(CONTENT)
    (folder / "net.csv.gz").write_bytes(gzip.compress(CONTENT, mtime=0))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", folder
        httpd.shutdown()


def listed(url: str | None, content: bytes = CONTENT, packed: bytes | None = None) -> Entry:
    return Entry(
        "net", "factor-target", "net.csv", url, hashlib.sha256(content).hexdigest(), len(content), "CC0", "nobody", "A net.",
        packed_sha256=None if packed is None else hashlib.sha256(packed).hexdigest(),
    )  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_download_is_checked_unpacked_and_kept(
    server: tuple[str, Path], tmp_path: Path, packed: bool
) -> None:
    url, folder = server
    name = "net.csv.gz" if packed else "net.csv"
    wanted = listed(f"{url}/{name}", packed=(folder / name).read_bytes() if packed else None)
    home = tmp_path / "home"
    place = fetch(wanted, home=home, data=None)
    assert place.state == "fetched"
    assert place.path is not None
    assert place.path.read_bytes() == CONTENT
    assert [path.name for path in place.path.parent.iterdir()] == ["net.csv"], "nothing half-made stays"
    (folder / name).unlink()
    assert fetch(wanted, home=home, data=None) == place, "a kept file needs no network"


def test_another_content_is_refused(server: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = server
    with pytest.raises(InputError, match="its hash differs") as caught:
        fetch(listed(f"{url}/net.csv", CONTENT + b"x"), home=tmp_path / "home", data=None)
    assert "NEREUS_DATA" in str(caught.value.mend)
    assert not list((tmp_path / "home").rglob("net.csv"))


def test_own_copies_go_first_and_only_with_the_right_content(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    url, _ = server
    data = tmp_path / "data" / "deep"
    data.mkdir(parents=True)
    wanted = listed(f"{url}/net.csv")
    (data / "net.csv").write_bytes(b"tampered with")
    assert locate(wanted, home=tmp_path, data=data.parent).state == "changed"
    assert fetch(wanted, home=tmp_path, data=data.parent).state == "fetched"
    (data / "net.csv.gz").write_bytes(gzip.compress(CONTENT))
    place = fetch(wanted, home=tmp_path, data=data.parent)
    assert place.state == "local"
    assert place.path == data / "net.csv.gz"


def test_offline_and_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be downloaded") as caught:
        fetch(listed("http://127.0.0.1:9/net.csv"), home=tmp_path, data=None)
    assert "without a network" in str(caught.value.mend)
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value.mend)
    with pytest.raises(InputError, match="no address"):
        fetch(listed(None), home=tmp_path, data=None)
    missing = listed("http://127.0.0.1:9/net.csv")
    assert locate(missing, home=tmp_path, data=tmp_path / "nowhere").state == "absent"


def test_an_archive_bomb_is_not_read_to_its_end(tmp_path: Path) -> None:
    bomb = tmp_path / "net.csv.gz"
    bomb.write_bytes(gzip.compress(b"\0" * 50_000_000))
    assert locate(listed(None), home=tmp_path / "home", data=tmp_path).state == "changed"
    broken = tmp_path / "net.csv"
    broken.write_bytes(b"\x1f\x8bnot gzip")
    assert locate(listed(None), home=tmp_path / "home", data=tmp_path).state == "changed"


def test_commands(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = server
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEREUS_DATA", raising=False)
    monkeypatch.setattr(catalogue, "ENTRIES", (listed(f"{url}/net.csv"),))
    runner = CliRunner()
    before = json.loads(runner.invoke(app, ["data", "list", "--json"]).stdout)
    assert before[0]["state"] == "absent"
    assert before[0]["licence"] == "CC0"
    fetched = runner.invoke(app, ["data", "fetch", "net"])
    assert fetched.exit_code == 0, fetched.output
    assert "licence: CC0" in runner.invoke(app, ["data", "list"]).stdout
    assert json.loads(runner.invoke(app, ["data", "list", "--json"]).stdout)[0]["state"] == "fetched"
    wrong = runner.invoke(app, ["data", "fetch", "nett"])
    assert wrong.exit_code == 1
    assert "perhaps net" in wrong.output


def test_catalogue_is_complete() -> None:
    assert len({one.name for one in ENTRIES}) == len(ENTRIES)
    for one in ENTRIES:
        assert len(one.sha256) == 64
        assert one.licence
        assert one.source
        assert one.url is None or one.url.startswith("https://")
        assert one.url is None or not one.url.endswith(".gz") or one.packed_sha256
    assert entry("dorothea").url is None
    assert [one.name for one in of_use("factor-target")] == ["dorothea"]


def test_shared_copies_are_the_files_that_are_listed(shared_data: Path, tmp_path: Path) -> None:
    places = {one.name: locate(one, home=tmp_path, data=shared_data) for one in ENTRIES}
    elsewhere = {"zinc_valid", "zinc_test", "diphtheria_genome"}  # a folder may hold them, and need not
    states = {name: place.state for name, place in places.items() if place.state != "local"}
    assert set(states) <= elsewhere
    assert set(states.values()) <= {"absent"}, "a file that shares a short name is not a changed copy"
    path = places["omnipath_ptms"].path
    assert path is not None
    assert content_sha256(path) == entry("omnipath_ptms").sha256


def test_another_file_of_a_short_name_is_no_changed_copy(tmp_path: Path) -> None:
    wanted = replace(listed(None), aliases=("test.txt",))
    (tmp_path / "test.txt").write_bytes(b"something else")
    assert locate(wanted, home=tmp_path / "home", data=tmp_path).state == "absent"
    (tmp_path / "test.txt").write_bytes(CONTENT)
    assert locate(wanted, home=tmp_path / "home", data=tmp_path).state == "local"


def test_sets_that_methods_were_measured_on_are_listed() -> None:
    assert {"tox21", "sider", "zinc_valid", "chebi20_test"} <= {one.name for one in of_use("molecules")}


def test_damaged_copies_and_pipes_are_passed_over(tmp_path: Path) -> None:
    data, wanted = tmp_path / "data", listed(None)
    data.mkdir()
    (data / "net.csv.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff\xff\xff\xff\x00\x12")
    assert locate(wanted, home=tmp_path / "home", data=data).state == "changed"
    os.mkfifo(data / "net.csv")  # reading it would wait for a writer
    assert locate(wanted, home=tmp_path / "home", data=data).path == data / "net.csv.gz"
