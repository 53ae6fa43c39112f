"""Search by likeness among items: as exact as comparing all of them anew, whoever changed them meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langgraph.store.base import PutOp, SearchOp

from nereus.memory.database.engine import Database
from nereus.memory.embedding import HashedEmbedder
from nereus.memory.langgraph import item_vectors as kept
from nereus.memory.langgraph.items import ItemStore

WORDS = ("liver", "plasma", "batch", "kinase", "rises", "falls", "frozen", "plate", "age", "sex")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'items.sqlite'}")
    yield opened
    opened.close()


def texts(number: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 3)) for _ in range(number)]


def put(store: ItemStore, told: dict[str, str], space: tuple[str, ...] = ("notes",)) -> None:
    store.batch([PutOp(space, key, {"text": text, "odd": len(text) % 2}) for key, text in told.items()])


def is_all(given: list[tuple[str, float]], told: dict[str, str], asked: str, odd: int | None = None) -> bool:
    """Whether these are all texts with their likeness, compared one by one, the most alike first, equal ones by key."""
    chosen = {key: text for key, text in told.items() if odd is None or len(text) % 2 == odd}
    vectors = HashedEmbedder().embed([asked, *chosen.values()])
    likeness = dict(zip(chosen, (float(one) for one in vectors[1:] @ vectors[0]), strict=True))
    return dict(given) == pytest.approx(likeness, abs=2e-6) and given == sorted(
        given, key=lambda one: (-one[1], one[0])
    )


def found(
    store: ItemStore, asked: str, limit: int = 10, offset: int = 0, **wanted: int
) -> list[tuple[str, float]]:
    items = store.batch([SearchOp(("notes",), wanted or None, limit, offset, asked)])[0]
    return [(one.key, one.score) for one in items]  # type: ignore[union-attr]


def test_it_finds_what_comparing_all_finds_page_by_page(database: Database) -> None:
    store = ItemStore(database, "ann")
    told = {f"n{at:03d}": text for at, text in enumerate(texts(300))}
    put(store, told)
    for asked in ("kinase in plasma", "frozen plate", "nothing alike"):
        everything = found(store, asked, 300)  # ties by key, also beyond the first part
        assert is_all(everything, told, asked)
        assert found(store, asked, 7, 130) == everything[130:137]
        some = found(store, asked, 300, odd=1)
        assert is_all(some, told, asked, odd=1)
        assert found(store, asked, 9, 3, odd=1) == some[3:12]


def test_what_changes_elsewhere_is_seen(database: Database, tmp_path: Path) -> None:
    """Another process's connection writes: new, changed, forgotten, run out of time, and all back again."""
    mine = ItemStore(database, "ann")
    other_database = Database(f"sqlite:///{tmp_path / 'items.sqlite'}")
    other = ItemStore(other_database, "ann")
    told = {f"n{at}": text for at, text in enumerate(texts(40))}
    put(mine, told)
    assert is_all(found(mine, "kinase", 50), told, "kinase")
    told["n3"], told["new"] = "kinase kinase", "kinase of the liver"
    put(other, {"n3": told["n3"], "new": told["new"]})
    assert is_all(found(mine, "kinase", 50), told, "kinase")
    del told["n3"]
    other.batch([PutOp(("notes",), "n3", None)])
    assert is_all(found(mine, "kinase", 50), told, "kinase")
    other.batch([PutOp(("notes",), "brief", {"text": "kinase kinase kinase"}, ttl=0.2 / 60)])
    assert found(mine, "kinase", 1)[0][0] == "brief"
    time.sleep(0.3)
    assert is_all(found(mine, "kinase", 50), told, "kinase")
    other_database.close()


def test_a_change_that_is_taken_back_is_forgotten(database: Database) -> None:
    store = ItemStore(database, "ann")
    told = {"a": "liver", "b": "plasma"}
    put(store, told)

    def change() -> None:
        with database.write():
            put(store, {"a": "kinase"})
            assert found(store, "kinase")[0][0] == "a"
            raise RuntimeError("taken back")

    with pytest.raises(RuntimeError, match="taken back"):
        change()
    assert is_all(found(store, "kinase"), told, "kinase")


def test_only_what_changed_is_embedded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(HashedEmbedder):
        texts = 0

        def embed(self, texts):  # type: ignore[no-untyped-def]
            Counting.texts += len(texts)
            return super().embed(texts)

    store = ItemStore(database, "ann", Counting())
    put(store, {f"n{at}": text for at, text in enumerate(texts(60))})
    found(store, "kinase")
    assert Counting.texts == 61
    found(store, "plasma")
    assert Counting.texts == 62
    put(store, {"n5": "quite another"})
    found(store, "plasma")
    assert Counting.texts == 64
    monkeypatch.setattr(kept, "MOST_BYTES", 1)  # what is too much goes, and is made again
    store.batch([SearchOp(("others",), None, 1, 0, "plasma")])
    found(store, "plasma")
    assert Counting.texts == 64 + 1 + 61


def test_owners_and_namespaces_are_apart(database: Database) -> None:
    ann, bob = ItemStore(database, "ann"), ItemStore(database, "bob")
    put(ann, {"mine": "kinase of the liver"})
    put(ann, {"below": "kinase of the liver"}, ("notes", "old"))
    put(ann, {"beside": "kinase of the liver"}, ("notes_too",))
    put(bob, {"his": "kinase of the liver"})
    assert [key for key, _ in found(ann, "kinase")] == ["below", "mine"]
    assert [key for key, _ in found(bob, "kinase")] == ["his"]


def test_vectors_that_are_no_numbers_or_unequally_long(database: Database) -> None:
    store = ItemStore(database, "ann")
    put(store, {"a": "x", "b": "y", "c": "z"})
    odd = {"a": [0.0, 2.0], "b": [np.inf, np.nan], "c": [-np.inf, 1.0]}  # b is nothing then, and like nothing
    vectors = kept.item_vectors(
        database, "ann", ("notes",), "odd", lambda rows: np.array([odd[row.key] for row in rows], "float32")
    )
    with database.read() as connection:
        order = [key for (_, key), _ in vectors.nearest(connection, np.array([0.0, 1.0], "float32"))]
        assert order == ["a", "c", "b"]
        with pytest.raises(ValueError, match="have 2 numbers, the question's 3"):
            next(vectors.nearest(connection, np.zeros(3, "float32")))
