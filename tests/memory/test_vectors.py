"""Recall: the same answers from the index, from the database, after a rebuild and after damage."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nereus.errors import StoreError
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.embedding import HashedEmbedder
from nereus.memory.records import RunHeader
from nereus.memory.remembered import memories_of
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import Memory, VectorIndex
from tests.memory.factories import call, evidence, header, hypothesis, objective, workflow

WORDS = (
    "liver", "tumour", "protein", "kinase", "insulin", "batch", "treated",
    "control", "mouse", "cortex", "plasma", "sepsis", "kidney", "response",
)  # fmt: skip
QUERIES = ("insulin kinase in liver", "sepsis", "respons of kidneys", "mouse mouse mouse cortex", "zzz qqq")


def finished(runs: RunRepository, number: int, statements: list[str]) -> RunHeader:
    run = runs.create_run(header(number))
    DatabaseLedger(runs.database, run.id).record_call(call(0))
    runs.save_evidence(run.id, [evidence(1)])
    runs.save_objectives(run.id, [objective(n, text) for n, text in enumerate(statements, start=1)])
    plan = workflow()
    steps = tuple(step.model_copy(update={"status": "done", "call_key": call(0).key}) for step in plan.steps)
    runs.save_workflow(run.id, plan.model_copy(update={"steps": steps}))
    runs.save_hypotheses(run.id, [hypothesis(1, statement=f"{statements[0]} {{{{E1|.2f}}}} higher")])
    return runs.set_status(run.id, "finished")


@pytest.fixture
def past(runs: RunRepository, tmp_path: Path) -> Path:
    """Twelve finished runs with some 120 texts, a fifth of them in several runs; returns the index's folder."""
    chance = random.Random(3)
    with VectorIndex(runs, tmp_path / "elsewhere") as index:
        for number in range(12):
            texts = [" ".join(chance.choices(WORDS, k=5)) for _ in range(9)]
            run = finished(runs, number, [*texts, f"protein kinase of group {number % 3}"])
            index._store(runs.load(run.id))  # the rows only: the index under test finds them by itself
    return tmp_path / "vectors"


def answers(index: VectorIndex, n: int = 7) -> list[list[Memory]]:
    return [
        index.recall(name, query, n)
        for name in ("objectives", "workflows", "hypotheses")
        for query in QUERIES
    ]


def test_the_index_the_database_and_a_rebuild_agree(runs: RunRepository, past: Path) -> None:
    with VectorIndex(runs, past) as owner, VectorIndex(runs, past) as other:
        from_index = answers(owner)
        assert owner._client is not None
        assert answers(other) == from_index
        assert other._client is None, "whoever does not own the folder leaves it alone"
        assert answers(owner) == from_index, "asked again"
        assert any(from_index)
        assert owner.rebuild() > 120
        assert answers(owner) == from_index
        assert owner.lag() == {"objectives": 0, "workflows": 0, "hypotheses": 0}
        assert owner.notices == other.notices == []
    with VectorIndex(runs, past) as reopened:
        assert answers(reopened) == from_index


def test_what_is_recalled(runs: RunRepository, past: Path) -> None:
    with VectorIndex(runs, past) as index:
        best = index.recall("objectives", "protein kinase of group 1", 3)
        assert best[0].text == "protein kinase of group 1"
        assert best[0].similarity == pytest.approx(1.0)
        assert best[0].metadata["times"] == 4, "one answer for a text that four runs have"
        assert best[0].run_id == runs.list_runs(data_id=header(10).inputs["data"].id)[0].id, (
            "the newest of them"
        )
        assert [one.similarity for one in best] == sorted((one.similarity for one in best), reverse=True)
        without = index.recall("objectives", "protein kinase of group 1", 3, exclude_run=best[0].run_id)
        assert without[0].metadata["times"] == 3
        assert without[0].run_id != best[0].run_id
        claims = index.recall("hypotheses", "insulin", 50)
        assert all("{{" not in one.text and "E1" not in one.text for one in claims), (
            "numbers of a run stay in it"
        )
        assert {"status", "confidence", "key", "data"} <= set(claims[0].metadata)
        done = index.recall("workflows", "normalise", 1)[0]
        assert done.text.endswith("normalise, normalise, normalise")
        assert index.recall("objectives", "", 3) == index.recall("objectives", "...", 3) == []
        assert index.recall("objectives", "liver", 0) == []
        with pytest.raises(StoreError, match="no collection 'genes'"):
            index.recall("genes", "x")


def test_nothing_stored_costs_nothing(runs: RunRepository, tmp_path: Path) -> None:
    with VectorIndex(runs, tmp_path / "vectors") as index:
        assert index.recall("objectives", "anything") == []
        assert index.owner() is None
    assert not (tmp_path / "vectors").exists()
    code = (
        "import sys; from nereus.memory.vectors import VectorIndex; from nereus.memory.runs import RunRepository\n"
        "from nereus.memory.database import Database; from pathlib import Path\n"
        "index = VectorIndex(RunRepository(Database(sys.argv[1])), Path(sys.argv[2]))\n"
        "assert index.recall('objectives', 'x') == []\n"
        "print(sorted({'chromadb', 'sklearn', 'torch', 'pandas'} & set(sys.modules)))"
    )
    arguments = [f"sqlite:///{tmp_path / 'new.sqlite'}", str(tmp_path / "vectors")]
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\n"


def test_a_run_is_remembered_once_and_forgotten_with_its_run(runs: RunRepository, tmp_path: Path) -> None:
    first, second = finished(runs, 1, ["liver and tumour"]), finished(runs, 2, ["kidney and plasma"])
    with VectorIndex(runs, tmp_path / "vectors") as index:
        assert index.remember_run(runs.load(first.id)) == 3
        assert index.remember_run(runs.load(second.id)) == 3
        index.remember_run(runs.load(first.id))
        assert [one.text for one in index.recall("objectives", "liver kidney", 9)] == [
            one.text
            for one in sorted(index.recall("objectives", "liver kidney", 9), key=lambda m: -m.similarity)
        ]
        assert index.count() == 6
        runs.delete_run(first.id)
        assert [one.run_id for one in index.recall("objectives", "liver kidney", 9)] == [second.id]
        assert index.lag()["objectives"] == 0


def test_what_another_process_remembers_is_found_by_the_owner(runs: RunRepository, tmp_path: Path) -> None:
    first, second = finished(runs, 1, ["liver and tumour"]), finished(runs, 2, ["kidney and plasma"])
    with VectorIndex(runs, tmp_path / "vectors") as owner, VectorIndex(runs, tmp_path / "vectors") as other:
        owner.remember_run(runs.load(first.id))
        other.remember_run(runs.load(second.id))
        assert [one.run_id for one in owner.recall("objectives", "kidney", 1)] == [second.id]
        third = finished(runs, 3, [f"{first} {last}" for first in WORDS for last in WORDS])
        other.remember_run(runs.load(third.id))
        assert set(owner._in_step["objectives"]) != set(owner._texts("objectives"))
        assert [one.run_id for one in owner.recall("objectives", "kidney batch", 1)] == [third.id]
        assert set(owner._in_step["objectives"]) == set(owner._texts("objectives"))


@pytest.mark.parametrize("damage", ["garbage", "truncated", "emptied", "metadata gone"])
def test_a_damaged_index_is_made_anew(runs: RunRepository, past: Path, damage: str) -> None:
    with VectorIndex(runs, past) as index:
        before = answers(index)
    for file in sorted(past.rglob("*")):
        if file.is_file() and damage == "garbage":
            file.write_bytes(b"garbage" * 100)
        elif file.is_file() and damage == "truncated":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        elif file.is_file() and damage == "emptied":
            file.write_bytes(b"")
        elif file.name == "chroma.sqlite3":
            file.unlink()
    with VectorIndex(runs, past) as index:
        assert answers(index) == before
        assert not any("cannot be used" in notice for notice in index.notices)
        assert damage in ("emptied", "metadata gone") or "made anew" in index.notices[0]
        assert index.lag() == {"objectives": 0, "workflows": 0, "hypotheses": 0}
    with VectorIndex(runs, past) as index:
        assert answers(index) == before
        assert index.notices == []


def test_vectors_of_two_embedders_are_not_mixed(runs: RunRepository, past: Path) -> None:
    class Other(HashedEmbedder):
        id = "other-v1"

    with VectorIndex(runs, past) as index:
        before = answers(index)
    with VectorIndex(runs, past, embedder=Other()) as index:
        assert answers(index) == before
        assert "hashed-words-chars-512-v1" in index.notices[0]
        assert index._collections["objectives"].metadata == {"embedder": "other-v1"}


HOLDER = """
import sys
from pathlib import Path
from nereus.memory.database import Database
from nereus.memory.runs import RunRepository
from nereus.memory.vectors import VectorIndex
index = VectorIndex(RunRepository(Database(sys.argv[1])), Path(sys.argv[2]))
print(len(index.recall("objectives", "liver", 3)), flush=True)
sys.stdin.read()
"""


def test_one_process_owns_the_folder_and_a_dead_one_does_not(runs: RunRepository, past: Path) -> None:
    database = runs.database.shown_url
    if not database.startswith("sqlite"):
        pytest.skip("the lock is about the folder, not about the database")
    arguments = [sys.executable, "-c", HOLDER, database, str(past)]
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "3\n"
    with VectorIndex(runs, past) as index:
        owner = index.owner()
        assert owner is not None
        assert owner.pid == holder.pid
        with pytest.raises(StoreError, match=f"in use by process {holder.pid} on "):
            index.rebuild()
        shared = answers(index)
        assert index._client is None
        holder.kill()
        holder.wait()
        assert index.owner() is None, "the operating system freed the lock"
        assert answers(index) == shared
        assert index._client is not None, "now it is ours"


def test_texts_become_the_same_vectors_everywhere() -> None:
    embedder = HashedEmbedder()
    vectors = embedder.embed(
        ["Insulin signalling", "insulin SIGNALLING", "insulin signaling", "batch effect", ""]
    )
    assert vectors.shape == (5, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert float(vectors[0] @ vectors[2]) > 0.6 > 0.2 > abs(float(vectors[0] @ vectors[3]))
    assert (vectors < 0).any(), "hashing is signed"
    fixed = np.flatnonzero(embedder.embed(["p53"])[0])
    assert fixed.tolist() == [56, 171, 247, 306, 409, 464, 506], (
        "a stored vector must stay comparable: raise the embedder's version instead"
    )


def test_a_run_leaves_plain_columns(runs: RunRepository) -> None:
    run = finished(runs, 1, ["liver"])
    for name, identity, text, columns in memories_of(runs.load(run.id)):
        assert name in ("objectives", "workflows", "hypotheses")
        assert identity
        assert text
        assert all(value is None or isinstance(value, str | int | float | bool) for value in columns.values())


def test_a_server_that_is_away_costs_only_the_index(runs: RunRepository, tmp_path: Path) -> None:
    run = finished(runs, 1, ["liver and tumour"])
    index = VectorIndex(runs, tmp_path / "unused", url="http://127.0.0.1:9")
    index.remember_run(runs.load(run.id))
    assert [one.run_id for one in index.recall("objectives", "liver", 3)] == [run.id]
    assert "cannot be used" in index.notices[0]
    index.close()


def test_databases_have_memories_of_their_own(runs: RunRepository, past: Path, tmp_path: Path) -> None:
    empty = RunRepository(Database(f"sqlite:///{tmp_path / 'empty.sqlite'}"))
    with VectorIndex(empty, past) as index:
        assert index.recall("objectives", "liver", 3) == [], "texts of another database are not recalled"


def test_few_texts_are_compared_without_the_index(runs: RunRepository, tmp_path: Path) -> None:
    """As many candidates as the index would propose are all that there are: the answer is the same."""
    texts = [f"{first} {last}" for first in WORDS for last in WORDS][:64]
    with VectorIndex(runs, tmp_path / "elsewhere") as index:
        index._store(runs.load(finished(runs, 1, texts).id))
    with VectorIndex(runs, tmp_path / "vectors") as index:
        few = index.recall("objectives", "insulin of the liver", 8)
        assert len(few) == 8
        assert index._client is None
        assert index.recall("objectives", "insulin of the liver", 9)[:8] == few
        assert index._client is None, "eight candidates for each that is wanted"
        index._store(runs.load(finished(runs, 2, ["batch 7 of the plasma", *texts]).id))
        assert [one.text for one in index.recall("objectives", "insulin of the liver", 8)] == [
            one.text for one in few
        ]
        assert index._client is not None
