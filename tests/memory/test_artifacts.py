"""Artifacts: whole or absent, several at once, written through where the store is durable."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest

from nereus.errors import StoreError
from nereus.memory import artifacts
from nereus.memory.artifacts import ArtifactStore, file_hash
from nereus.memory.records import ArtifactRef


def files(store: ArtifactStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def put_three(store: ArtifactStore) -> list[ArtifactRef]:
    before = [name for name in files(store) if not name.startswith(".new")]
    with store.together():
        made = [store.put_table(pd.DataFrame({"feature": ["a"], "n": [number]}), "t") for number in (1, 2, 1)]
        assert [name for name in files(store) if not name.startswith(".new")] == before, "not before the end"
    return made


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_put_together_is_kept_at_once(tmp_path: Path, durable: bool) -> None:
    store = ArtifactStore(tmp_path / "artifacts", durable=durable)
    made = put_three(store)
    assert made[0].id == made[2].id != made[1].id
    assert files(store) == sorted({f"{ref.id}.parquet" for ref in made}), "and no temporary file is left"
    assert [store.table(ref)["n"].tolist() for ref in made] == [[1], [2], [1]]
    assert put_three(ArtifactStore(tmp_path / "other", durable=not durable)) == made


def test_a_failure_keeps_nothing_and_ends_the_batch(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts", durable=True)

    def fail() -> None:
        with store.together():
            store.put_figure(b"<svg/>", "one")
            store.put_file(tmp_path / "missing.csv")

    with pytest.raises(FileNotFoundError):
        fail()
    assert files(store) == []
    assert store.has(store.put_figure(b"<svg/>", "one"))


def test_content_is_written_through_before_it_gets_its_name_and_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(tmp_path / "artifacts", durable=True)
    order: list[tuple[str, int]] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        order.append(("sync", os.fstat(handle).st_ino))
        sync(handle)

    def replaced(self: Path, target: Path) -> Path:
        order.append(("name", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    made = put_three(store)
    named = [number for what, number in order if what == "name"]
    first, last = order.index(("name", named[0])), order.index(("name", named[-1]))
    assert {number for _, number in order[:first]} == set(named), "every content, before the first name"
    folders = {store.path(ref).parent for ref in made} | {tmp_path / "artifacts" / "objects"}
    assert {number for _, number in order[last + 1 :]} == {folder.stat().st_ino for folder in folders}
    order.clear()
    put_three(store)
    assert order == [], "what is there already costs nothing"
    put_three(ArtifactStore(tmp_path / "quick"))
    assert {what for what, _ in order} == {"name"}


def test_an_object_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    ref = store.put_figure(b"<svg>a drawing</svg>", "one")
    store.path(ref).write_bytes(b"")
    assert store.put_figure(b"<svg>a drawing</svg>", "one") == ref
    assert store.figure(ref) == b"<svg>a drawing</svg>"
    store.path(ref).unlink()
    with pytest.raises(StoreError, match="missing"):
        ArtifactStore(tmp_path / "artifacts").figure(ref)


def test_an_object_that_is_damaged_is_never_taken_for_data(tmp_path: Path) -> None:
    ref = ArtifactStore(tmp_path).put_table(pd.DataFrame({"feature": ["a"], "n": [1]}), "t")
    store = ArtifactStore(tmp_path)
    content = bytearray(store.path(ref).read_bytes())
    content[len(content) // 2] ^= 0xFF
    store.path(ref).write_bytes(content)
    assert store.has(ref)
    assert not store.whole(ref)
    with pytest.raises(StoreError, match="is damaged"):
        store.table(ref)
    store.set_aside(ref)
    assert not store.has(ref)
    assert store.put_table(pd.DataFrame({"feature": ["a"], "n": [1]}), "t") == ref
    assert store.whole(ref)
    assert store.table(ref)["n"].tolist() == [1]


def test_a_users_file_that_was_damaged_is_replaced_when_it_is_given_again(tmp_path: Path) -> None:
    given = tmp_path / "values.csv"
    given.write_text("feature,s1\nP1,3\n")
    store = ArtifactStore(tmp_path / "artifacts")
    ref = store.put_file(given)
    store.path(ref).write_text("feature,s1\nP1,4\n")
    with pytest.raises(StoreError, match="is damaged"):
        store.checked_path(ref)
    assert store.put_file(given) == ref
    assert store.checked_path(ref).read_text() == given.read_text()


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def full() -> None:
        with store.together():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match=r"No space left[\s\S]*make room"):
        full()
    with pytest.raises(OSError, match="Permission"), store.together():
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_lost_or_damaged_object_is_made_again_where_somebody_knows_how(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    made = pd.DataFrame({"feature": ["a"], "n": [1]})
    ref = store.put_table(made, "t")
    store.make_again = lambda one: store.put_table(made, "t") == one
    store.path(ref).unlink()
    assert store.table(ref)["n"].tolist() == [1]
    other = ArtifactStore(tmp_path)
    other.path(ref).write_bytes(b"damaged")
    other.make_again = lambda one: False
    with pytest.raises(StoreError, match="is missing"):
        other.table(ref)
    assert store.made_again == ["artifact t was missing and was made again"]
    assert other.made_again == []


def test_what_is_whole_is_hashed_once_for_a_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets hold gigabytes, and a run reads each of its results at least once."""
    ref = ArtifactStore(tmp_path).put_table(pd.DataFrame({"feature": ["a"], "n": [1]}), "t")
    read: list[Path] = []
    monkeypatch.setattr(artifacts, "file_hash", lambda path: read.append(path) or file_hash(path))
    store = ArtifactStore(tmp_path)
    store.make_again = lambda one: False
    for _ in range(3):
        store.table(ref)
    assert read == [store.path(ref)]


def test_threads_that_miss_the_same_object_make_it_again_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"feature": ["a"], "n": [1]})
    ref = ArtifactStore(tmp_path).put_table(frame, "t")
    for _ in range(20):
        store = ArtifactStore(tmp_path)
        store.path(ref).write_bytes(b"damaged")
        made: list[str] = []
        start = Barrier(4)

        def again(one: ArtifactRef, store: ArtifactStore = store, made: list[str] = made) -> bool:
            made.append(one.id)
            return store.put_table(frame, "t") == one

        def read(_: int, store: ArtifactStore = store, start: Barrier = start) -> list[int]:
            start.wait()
            return list(store.table(ref)["n"])

        store.make_again = again
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, range(4))) == [[1]] * 4
        assert made == [ref.id]
        assert len(store.made_again) == 1
