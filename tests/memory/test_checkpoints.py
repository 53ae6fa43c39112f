"""Graph checkpoints: a file of their own, no pickle, resumable, pruned."""

from __future__ import annotations

import operator
import pickle
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from nereus.errors import StoreError
from nereus.memory.checkpoints import ahead, open_checkpoints, prune, serializer, size
from nereus.memory.progress import Mark, Progress


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[str], operator.add]
    item: str


def count(state: State) -> State:
    return {"n": state.get("n", 0) + 1, "log": [f"n{state.get('n', 0)}"]}


def spread(state: State) -> list[Send]:
    return [Send("work", {"item": name}) for name in ("a", "b")]


def work(state: State) -> State:
    return {"log": [state["item"]]}


def gate(state: State) -> State:
    return {"log": [interrupt({"ask": "go on?"})]}


def graph() -> Any:
    made: Any = StateGraph(State)
    for name, node in (("count", count), ("work", work), ("gate", gate)):
        made.add_node(name, node)
    made.add_edge(START, "count")
    made.add_conditional_edges(
        "count", lambda state: "count" if state["n"] < 5 else spread(state), ["count", "work"]
    )
    made.add_edge("work", "gate")
    made.add_edge("gate", END)
    return made


def config(run_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": run_id}}


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'made' / 'checkpoints.sqlite'}"
    return str(request.getfixturevalue("postgres"))


def test_a_run_waits_and_goes_on_in_another_process_s_place(address: str) -> None:
    with open_checkpoints(address) as saver:
        state = graph().compile(checkpointer=saver).invoke({"log": []}, config("r1"), durability="sync")
        assert state["__interrupt__"][0].value == {"ask": "go on?"}
    with open_checkpoints(address) as saver:
        compiled = graph().compile(checkpointer=saver)
        assert compiled.get_state(config("r1")).next == ("gate",)
        final = compiled.invoke(Command(resume="yes"), config("r1"), durability="sync")
    assert final["n"] == 5
    assert final["log"][-3:] == ["a", "b", "yes"]


def test_pruning_keeps_the_last_state_of_this_run_and_all_of_others(address: str) -> None:
    with open_checkpoints(address) as saver:
        compiled = graph().compile(checkpointer=saver)
        for run_id in ("r1", "r2"):
            compiled.invoke({"log": []}, config(run_id))
        before = len(list(saver.list(config("r2"))))
        assert prune(saver, "r1") == before - 1 > 3
        assert prune(saver, "r1") == 0
        assert len(list(saver.list(config("r2")))) == before
        assert compiled.invoke(Command(resume="yes"), config("r1"))["log"][-1] == "yes", "it still goes on"


def test_checkpoints_that_a_power_cut_left_ahead_of_the_record_are_told(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'checkpoints.sqlite'}"
    kept = {"other": 90}
    progress = Progress(Mark("r1", 3, 1), lambda run_id: kept.get(run_id, 0))

    def heard(state: State) -> State:
        kept["r1"] = progress().events + 1
        progress.decided()
        return {"n": 5}

    made: Any = StateGraph(State)
    made.add_node("heard", heard)
    made.add_edge(START, "heard")
    made.add_edge("heard", END)
    with open_checkpoints(address) as saver:
        made.compile(checkpointer=saver).invoke({"log": []}, config("r1"))
        assert not ahead(saver, Mark("r1", 0, 0)), "nobody counted"
    with open_checkpoints(address, progress) as saver:
        assert not ahead(saver, Mark("r1", 0, 0))
        made.compile(checkpointer=saver).invoke({"log": []}, config("r1"), durability="sync")
        assert progress() == Mark("r1", 5, 3)
    with open_checkpoints(address) as saver:
        assert not ahead(saver, Mark("r1", 5, 3)), "all of it is there"
        assert not ahead(saver, Mark("r1", 9, 9))
        assert ahead(saver, Mark("r1", 4, 3))
        assert ahead(saver, Mark("r1", 5, 2))
        assert not ahead(saver, Mark("r2", 0, 0))
        saver.delete_thread("r1")
        assert not ahead(saver, Mark("r1", 0, 0))
        assert not list(saver.list(config("r1")))


def test_pickles_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        serializer().dumps_typed(object())
    with pytest.raises(NotImplementedError):
        serializer().loads_typed(("pickle", pickle.dumps([1])))
    file = tmp_path / "checkpoints.sqlite"
    with open_checkpoints(f"sqlite:///{file}") as saver:
        graph().compile(checkpointer=saver).invoke({"log": []}, config("r1"))
    with sqlite3.connect(file) as connection:
        kinds = {
            row[0] for row in connection.execute("SELECT type FROM checkpoints UNION SELECT type FROM writes")
        }
    assert kinds <= {"msgpack", "null", "bytes"}


class Planted:
    touched = False

    def __init__(self, *_: object, **__: object) -> None:
        Planted.touched = True


def test_a_planted_checkpoint_builds_no_class_of_its_choice() -> None:
    import ormsgpack

    named = ormsgpack.packb((Planted.__module__, "Planted", ["x"]))
    for code in (0, 1):
        data = ormsgpack.packb(ormsgpack.Ext(code, named))
        assert not isinstance(serializer().loads_typed(("msgpack", data)), Planted)
    assert Planted.touched is False


def test_state_is_plain_json_both_ways() -> None:
    state = {"objectives": {"O1": {"p": 0.1, "none": None, "list": [1, "é", True]}}}
    assert serializer().loads_typed(serializer().dumps_typed(state)) == state


def test_several_runs_write_one_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'checkpoints.sqlite'}"

    def run(number: int) -> int:
        with open_checkpoints(url) as saver:
            state = (
                graph()
                .compile(checkpointer=saver)
                .invoke({"log": []}, config(f"r{number}"), durability="sync")
            )
            return int(state["n"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(8))) == [5] * 8
    assert (size(url) or 0) > 0


def test_a_broken_file_and_a_missing_driver_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "checkpoints.sqlite"
    file.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match="checkpoints cannot be used"), open_checkpoints(f"sqlite:///{file}"):
        pass
    monkeypatch.setitem(__import__("sys").modules, "langgraph.checkpoint.postgres", None)
    with (
        pytest.raises(StoreError, match="need a driver") as caught,
        open_checkpoints("postgresql://a:secret@h/x"),
    ):
        pass
    assert ".[postgres]" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unreachable_server_is_explained() -> None:
    pytest.importorskip("langgraph.checkpoint.postgres")
    with (
        pytest.raises(StoreError, match="cannot be used"),
        open_checkpoints("postgresql://nobody@127.0.0.1:1/none"),
    ):
        pass


def test_a_connection_that_the_server_closes_is_opened_again(postgres: str) -> None:
    """Whatever the call, and in the middle of a graph: nothing is lost, and nobody has to open it anew."""
    import psycopg

    def cut() -> None:
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def cutting(state: State) -> State:
        cut()
        return count(state)

    made: Any = StateGraph(State)
    made.add_node("count", cutting)
    made.add_edge(START, "count")
    made.add_conditional_edges("count", lambda state: "count" if state["n"] < 3 else END, ["count", END])
    with open_checkpoints(postgres) as saver:
        compiled = made.compile(checkpointer=saver)
        assert compiled.invoke({"log": []}, config("r1"), durability="sync")["n"] == 3
        for call in (
            lambda: compiled.get_state(config("r1")),
            lambda: saver.copy_thread("r1", "r2"),
            lambda: saver.copy_thread("r1", "r2"),  # as one whose answer was lost is made again
            lambda: saver.prune(["r1"]),
            lambda: saver.delete_for_runs(["none"]),
            lambda: saver.delete_thread("r1"),
        ):
            cut()
            call()
        cut()
        assert len(list(saver.list(config("r2")))) == 5
        assert not list(saver.list(config("r1")))


def test_a_server_that_stays_away_is_told(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nereus.memory import server_saver

    monkeypatch.setattr(server_saver, "PATIENCE_S", 0.3)
    with open_checkpoints(postgres) as saver:
        saver._address = "postgresql://nobody@127.0.0.1:1/none"  # type: ignore[attr-defined]
        saver.conn.close()  # type: ignore[attr-defined]
        with pytest.raises(StoreError, match="cannot be reached"):
            saver.get_tuple(config("r1"))
