"""Locks: one holder alone, or several that share; a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from nereus.errors import StoreError
from nereus.memory.database import Database
from nereus.memory.locks import held

HOLDER = """
import sys
from pathlib import Path
from nereus.memory.database import Database
from nereus.memory.locks import held
with held(Database(sys.argv[1]), Path(sys.argv[2]), "r1", shared=sys.argv[3] == "shared") as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def holder(url: str, folder: Path, kind: str) -> subprocess.Popen[str]:
    made = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url, str(folder), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "True\n"
    return made


@pytest.mark.parametrize("kind", ["alone", "shared"])
def test_a_lock_of_another_process_holds_until_it_is_killed(
    database: Database, url: str, tmp_path: Path, kind: str
) -> None:
    other = holder(url, tmp_path, kind)
    with held(database, tmp_path, "r1", shared=True) as mine:
        assert mine is (kind == "shared")
    with held(database, tmp_path, "r1") as mine:
        assert not mine
    with held(database, tmp_path, "r2") as mine:
        assert mine, "another name is another lock"
    before = time.monotonic()
    with held(database, tmp_path, "r1", wait_s=0.3) as mine:
        assert not mine
    assert time.monotonic() - before >= 0.3
    other.kill()
    other.wait()
    with held(database, tmp_path, "r1", wait_s=10) as mine:
        assert mine


def test_what_was_let_go_is_free(database: Database, url: str, tmp_path: Path) -> None:
    other = Database(url)
    for shared in (False, True):
        with (
            held(database, tmp_path, "store", shared=shared) as mine,
            held(other, tmp_path, "store") as second,
        ):
            assert mine
            assert not second
    with held(other, tmp_path, "store") as mine:
        assert mine
    other.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="lock cannot be made"), held(database, tmp_path / "file", "r1"):
        pass
