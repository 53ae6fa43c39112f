"""What is looked at before an uploaded file is kept."""

from __future__ import annotations

import gzip
import io
import pickle
import stat
import zipfile
from pathlib import Path
from typing import IO

import pytest
from fastapi import UploadFile

from nereus.api import incoming
from nereus.api.incoming import kept, refuse_strange, safe_name
from nereus.errors import InputError
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("table.csv", "table.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\proteins.xlsx", "proteins.xlsx"),
        ("/absolute/path.tsv", "path.tsv"),
        ("a\x00b.csv", "ab.csv"),
        ("new\nline\r.csv", "newline.csv"),
        ("\u202ecsv.exe", "csv.exe"),
        ("<img src=x onerror=alert(1)>.csv", "<img src=x onerror=alert(1)>.csv"),
        ("Übersicht 2026.csv", "Übersicht 2026.csv"),
        ("x" * 400 + ".csv.gz", "x" * 197 + ".gz"),
        ("..hidden..", "hidden"),
    ],
)
def test_a_name_becomes_one_that_can_be_shown_and_written(given: str, kept: str) -> None:
    assert safe_name(given) == kept
    assert "/" not in kept
    assert len(kept) <= 200


@pytest.mark.parametrize("given", ["", ".", "..", "/", "\\", "\x00", "...", " "])
def test_a_name_of_which_nothing_is_left_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="no name of a file"):
        safe_name(given)


def archive(members: dict[str, bytes], link: str | None = None) -> IO[bytes]:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
        if link is not None:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(info, "/etc/passwd")
    return made


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (pickle.dumps({"a": 1}, protocol=4), "a pickle"),
        (b"\x7fELF\x02\x01\x01", "a program"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x1f\x8b\x08\x00broken", "the gzip file is damaged"),
        (gzip.compress(b"a,b\n" * 1000, mtime=0)[:-8], "the gzip file is damaged"),
        (b"PK\x03\x04broken", "the archive is damaged"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_is(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        refuse_strange(io.BytesIO(content), "file")


@pytest.mark.parametrize(
    "name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "..\\out.csv", "C:out.csv"]
)
def test_an_archive_whose_files_would_lie_outside_it_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="would lie outside it"):
        refuse_strange(archive({name: b"x"}), "file")


def test_an_archive_with_a_link_is_refused() -> None:
    with pytest.raises(InputError, match="holds a link: 'shadow'"):
        refuse_strange(archive({"a.csv": b"a,b\n"}, link="shadow"), "file")


def test_a_file_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incoming, "_ALWAYS_FINE", 2**20)
    zeros = bytes(2**26)
    for bomb in (io.BytesIO(gzip.compress(zeros)), archive({"a.csv": zeros})):
        with pytest.raises(InputError, match="would unpack to more than"):
            refuse_strange(bomb, "file")
    table = ("protein,a,b\n" + "P12345,1.25,2.5\n" * 50_000).encode()
    refuse_strange(io.BytesIO(table), "file")


def test_an_archive_of_very_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MAX_MEMBERS", 3)
    with pytest.raises(InputError, match="holds 4 files"):
        refuse_strange(archive({f"{number}.csv": b"a" for number in range(4)}), "file")


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"FCS3.1    ", b"\x89HDF\r\n\x1a\n", b"PAR1", gzip.compress(b"a,b\n", mtime=0)]
)
def test_what_may_be_a_table_is_kept_byte_by_byte(content: bytes, tmp_path: Path) -> None:
    with open_workspace(load_settings(home=tmp_path)) as workspace:
        ref = kept(workspace, UploadFile(io.BytesIO(content), filename="../a table.csv"))
        assert ref.name == "a table.csv"
        assert ref.size == len(content)
        assert workspace.artifacts.checked_path(ref).read_bytes() == content
