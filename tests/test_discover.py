"""The main job end to end, on a small part of the shipped clinical data set."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nereus
from nereus.agents.planner.run import load_run
from nereus.errors import InputError, NereusError, ResumeRefused, SettingsError
from nereus.memory.database import Database
from nereus.memory.events import EventStream
from nereus.memory.records import Event
from nereus.memory.runs import RunRepository

EXAMPLE = Path(__file__).parent.parent / "examples" / "alzheimer_csf"
CLASS = "_primary biochemical AD classification"
# Enough to test one comparison and one follow-up in seconds.
SMALL = ["objectives=2", "hypotheses=20"]


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All people who were classified and every fourth well-measured protein, in the published layout."""
    folder = tmp_path_factory.mktemp("small")
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    chosen = sheet[sheet[CLASS].notna() & sheet["_collection site"].isin(["Sweden", "Magdeburg"])]
    values = values.loc[chosen.index]
    kept = values.columns[values.notna().mean() > 0.6][::5]
    values[kept].to_csv(folder / "values.csv")
    chosen[["_collection site", "_age at CSF collection", "_gender", CLASS]].to_csv(folder / "samples.csv")
    return folder / "values.csv", folder / "samples.csv"


@pytest.fixture(scope="session")
def finished(
    small_data: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[nereus.Run, list[Event], Path]:
    """One finished run with one worker, its events, and its home."""
    home = tmp_path_factory.mktemp("home")
    events: list[Event] = []
    run = nereus.discover(
        *small_data, out=home / "report", home=home, seed=3, workers=1, budget=SMALL, on_event=events.append
    )
    return run, events, home


OUTPUTS = ("claims.csv", "hypotheses.json", "graph.json", "edges.csv", "steps.json")


def outputs(folder: Path) -> dict[str, bytes]:
    """What must not differ between equal runs."""
    found = {name: (folder / name).read_bytes() for name in OUTPUTS if name != "steps.json"}
    return found | {path.name: path.read_bytes() for path in sorted((folder / "tables").glob("*.csv"))}


def test_everything_comes_out(finished: tuple[nereus.Run, list[Event], Path]) -> None:
    run, _, home = finished
    folder = home / "report"
    for name in (
        "report.html",
        "analysis.ipynb",
        "hypotheses.json",
        "claims.csv",
        "run.json",
        "ro-crate-metadata.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert any((folder / "figures").glob("*.svg"))
    assert run.status == "finished"
    claims = pd.read_csv(folder / "claims.csv")
    assert list(claims.columns) == [
        "contrast",
        "feature",
        "gene",
        "direction",
        "effect",
        "q",
        "confidence",
        "kind",
    ]
    assert set(claims["direction"]) <= {"up", "down"}
    assert (claims["q"] <= 0.05).all()
    tested = {one.contrast.label if one.contrast else one.variable for one in run.record.objectives}
    assert len(claims)
    assert set(claims["contrast"]) <= tested


def test_the_known_marker_is_found_and_the_site_is_modelled(
    finished: tuple[nereus.Run, list[Event], Path],
) -> None:
    run, _, _ = finished
    objective = next(one for one in run.record.objectives if one.contrast is not None)
    assert objective.contrast is not None
    assert "_collection site" in objective.contrast.covariates
    assert run.hypotheses, "no hypothesis was composed"


def test_every_number_of_a_statement_is_a_reference(finished: tuple[nereus.Run, list[Event], Path]) -> None:
    run, _, home = finished
    document = json.loads((home / "report" / "hypotheses.json").read_text())
    for one in run.hypotheses:
        for atom in one.atoms:
            assert set(atom.evidence_ids) <= set(run.record.evidence)
        assert set(one.evidence_ids) <= set(run.record.evidence)
    assert len(document["hypotheses"]) == len(run.hypotheses)


def test_refuted_hypotheses_are_kept_and_ranked_last(finished: tuple[nereus.Run, list[Event], Path]) -> None:
    run, _, _ = finished
    statuses = [one.status for one in run.hypotheses]
    assert [one.rank for one in run.hypotheses] == list(range(1, len(statuses) + 1))
    order = {"supported": 0, "tentative": 1, "refuted": 3, "merged": 4}
    assert [order[one] for one in statuses] == sorted(order[one] for one in statuses)


def test_no_claim_is_made_twice(finished: tuple[nereus.Run, list[Event], Path]) -> None:
    run, _, _ = finished
    keys = Counter(one.key for one in run.hypotheses if one.status != "merged")
    assert max(keys.values()) == 1


def test_the_event_stream_has_no_gap_and_rebuilds_the_plan(
    finished: tuple[nereus.Run, list[Event], Path],
) -> None:
    from nereus.terminal import LiveView

    run, events, _ = finished
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    view = LiveView()
    for event in events:
        view.show(event)
    assert set(view.objectives) == {one.id for one in run.record.objectives}
    assert {step.id for step in run.record.steps()} <= set(view.steps)


def test_two_workers_and_a_fresh_home_give_equal_bytes(
    finished: tuple[nereus.Run, list[Event], Path], small_data: tuple[Path, Path], tmp_path: Path
) -> None:
    _, _, home = finished
    nereus.discover(
        *small_data, out=tmp_path / "report", home=tmp_path / "home", seed=3, workers=2, budget=SMALL
    )
    assert outputs(tmp_path / "report") == outputs(home / "report")


def test_verify_reproduces_every_value(finished: tuple[nereus.Run, list[Event], Path]) -> None:
    _, _, home = finished
    done = subprocess.run(
        [sys.executable, "-m", "nereus.cli", "verify", str(home / "report")],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    reproduced, _, total = last.removesuffix(" values reproduced").partition("/")
    assert reproduced == total
    assert int(total) > 1000


# --------------------------------------------------------------------------------------------- interrupted and stopped

_KILLED = """
import os, signal, sys
import nereus
from nereus.tools.steps import StepRunner
log, limit = open(sys.argv[1], "a"), int(sys.argv[2])
compute = StepRunner._compute
def counted(self, tool, spec, inputs):
    result = compute(self, tool, spec, inputs)
    log.write(tool.name + " " + str(spec.seed) + "\\n"); log.flush()
    return result
StepRunner._compute = counted
def on_event(event):
    if event.seq == limit:
        os.kill(os.getpid(), signal.SIGKILL)
arguments = dict(home=sys.argv[3], on_event=on_event, workers=2)
if sys.argv[4] == "resume":
    nereus.resume(**arguments)
else:
    arguments |= dict(out=sys.argv[3] + "/report", seed=3, budget=["objectives=2", "hypotheses=20"])
    nereus.discover(sys.argv[4], sys.argv[5], **arguments)
"""


@pytest.mark.parametrize("kill_at", [11, 45])
def test_a_killed_run_ends_as_if_it_had_not_been(
    kill_at: int,
    finished: tuple[nereus.Run, list[Event], Path],
    small_data: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    log = tmp_path / "computed"
    environment = {**os.environ, "NEREUS_HOME": str(tmp_path)}

    def run(*arguments: str) -> int:
        command = [sys.executable, "-c", _KILLED, str(log), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert run(str(kill_at), str(tmp_path / "home"), *map(str, small_data)) == -signal.SIGKILL
    assert not (tmp_path / "home" / "report").exists()
    assert run("0", str(tmp_path / "home"), "resume") == 0
    _, _, home = finished
    assert outputs(tmp_path / "home" / "report") == outputs(home / "report")
    computed = Counter(log.read_text().splitlines())
    # A step is lost only where the kill fell between its computation and its record: at most one a worker.
    assert sum(count - 1 for count in computed.values()) <= 2


def test_a_record_that_lost_its_end_in_a_power_cut_is_gone_through_again(
    finished: tuple[nereus.Run, list[Event], Path], small_data: tuple[Path, Path], tmp_path: Path
) -> None:
    """Both files are whole after a power cut, but the record may end earlier than the checkpoints."""
    first, told, kept = finished
    home, early = tmp_path / "home", tmp_path / "early.sqlite"
    shutil.copytree(kept, home)
    shutil.rmtree(home / "report")
    database = Database(f"sqlite:///{home / 'nereus.sqlite'}")
    RunRepository(database).delete_run(first.id)  # only its computed steps are left
    database.close()

    def on_event(event: Event) -> None:
        if event.seq == 60:
            with (
                closing(sqlite3.connect(home / "nereus.sqlite")) as live,
                closing(sqlite3.connect(early)) as copy,
            ):
                live.backup(copy)
        if event.seq == 110:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nereus.discover(
            *small_data, out=home / "report", home=home, seed=3, workers=1, budget=SMALL, on_event=on_event
        )
    for file in home.glob("nereus.sqlite*"):
        file.unlink()
    early.rename(home / "nereus.sqlite")
    database = Database(f"sqlite:///{home / 'nereus.sqlite'}")
    kept_events = EventStream(database).last(first.id)
    database.close()
    assert 60 <= kept_events < 110
    stream: list[Event] = []
    run = nereus.resume(home=home, on_event=stream.append, budget=["wall_s=2400"])
    assert (run.id, run.status) == (first.id, "finished")
    assert run.record.header.budget == first.record.header.budget.model_copy(update={"wall_s": 2400})
    assert outputs(home / "report") == outputs(kept / "report")
    assert stream[0].type == "checkpoints_dropped"
    assert [one.seq for one in stream] == list(range(kept_events + 1, len(told) + 2))
    assert [one.id for one in run.record.decisions] == [one.id for one in first.record.decisions]


def test_resuming_with_another_seed_or_other_data_is_refused(
    finished: tuple[nereus.Run, list[Event], Path], small_data: tuple[Path, Path]
) -> None:
    run, _, home = finished
    with pytest.raises(ResumeRefused, match="seed"):
        nereus.resume(run.id, home=home, seed=4)
    with pytest.raises(NereusError, match="policy"):
        nereus.resume(run.id, home=home, policy="llm")
    with pytest.raises(ResumeRefused, match="data"):
        nereus.resume(run.id, home=home, data=small_data[1])
    with pytest.raises(ResumeRefused, match="steps was 60, now 70"):
        nereus.resume(run.id, home=home, budget=["steps=70"])


def test_a_budget_stops_gracefully_and_still_reports(small_data: tuple[Path, Path], tmp_path: Path) -> None:
    run = nereus.discover(*small_data, out=tmp_path / "report", home=tmp_path / "home", budget=["steps=16"])
    assert run.status == "stopped"
    assert (tmp_path / "report" / "report.html").exists()
    assert any("budget" in notice for notice in run.record.notices)
    assert sum(step.status == "done" for step in run.record.steps()) <= 20


def test_the_smallest_budget_still_reports_what_was_read(
    small_data: tuple[Path, Path], tmp_path: Path
) -> None:
    run = nereus.discover(*small_data, out=tmp_path / "report", home=tmp_path / "home", budget=["steps=3"])
    assert run.status == "stopped"
    assert sum(step.status == "done" for step in run.record.steps()) == 3
    assert (tmp_path / "report" / "report.html").exists()


def test_every_gate_can_be_answered_and_a_refusal_holds(
    small_data: tuple[Path, Path], tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []

    def ask(request: Any) -> Any:
        asked.append(dict(request))
        return not (request["gate"] == "tool" and request["tool"] == "plot_pca")

    run = nereus.discover(
        *small_data, out=tmp_path / "report", home=tmp_path / "home", budget=SMALL, approval="always", ask=ask
    )
    gates = Counter(request["gate"] for request in asked)
    assert {"objectives", "workflow", "tool", "report"} <= set(gates)
    pca = [step for step in run.record.steps() if step.tool == "plot_pca"]
    assert not pca
    assert any("refused at the approval gate" in notice for notice in run.record.notices)


def test_a_model_that_garbles_every_reply_changes_nothing_that_is_found(
    finished: tuple[nereus.Run, list[Event], Path], small_data: tuple[Path, Path], tmp_path: Path
) -> None:
    from nereus.agents.policies import RulesPolicy
    from nereus.agents.policies.llm import LLMPolicy
    from tests.agents.policies.test_llm import scripted

    model = LLMPolicy(scripted("I would rather not say"), RulesPolicy(), max_calls=6, max_tokens=10**6)
    run = nereus.discover(
        *small_data, out=tmp_path / "report", home=tmp_path / "home", seed=3, budget=SMALL, policy=model
    )
    assert run.status == "finished"
    assert any(decision.fallback for decision in run.record.decisions)
    assert (tmp_path / "report" / "claims.csv").read_bytes() == (
        finished[2] / "report" / "claims.csv"
    ).read_bytes()


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def sheet(small_data: tuple[Path, Path], tmp_path: Path, **changes: Any) -> Path:
    table = pd.read_csv(small_data[1])
    for name, value in changes.items():
        table[name] = value
    table.to_csv(tmp_path / "sheet.csv", index=False)
    return tmp_path / "sheet.csv"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02\xff" * 100, "mend"),
        (b"Protein,Gene\nP1,A\nP2,B\n", "numeric"),
        (b"Protein,s1,s2\nP1,1,2,3\nP2,1,2\n", "row"),
    ],
)
def test_bad_tables_are_refused_and_leave_nothing(
    content: bytes, told: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        nereus.discover(tmp_path / "bad.csv", out=tmp_path / "report", home=home)
    assert told in str(caught.value)
    assert "bad.csv" in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_a_sheet_of_other_samples_is_refused_with_examples_of_both_sides(
    small_data: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(small_data[1])
    table.iloc[:, 0] = [f"other_{number}" for number in range(len(table))]
    table.to_csv(tmp_path / "sheet.csv", index=False)
    with pytest.raises(InputError) as caught:
        nereus.discover(small_data[0], tmp_path / "sheet.csv", out=tmp_path / "report", home=home)
    assert "other_0" in str(caught.value)
    assert "Sample_" in str(caught.value)


def test_missing_files_foreign_folders_and_bad_budgets_are_refused(
    small_data: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no file"):
        nereus.discover(tmp_path / "nowhere.csv", home=home)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="no Nereus report"):
        nereus.discover(*small_data, out=tmp_path / "mine", home=home)
    assert (tmp_path / "mine" / "thesis.doc").read_text() == "years of work"
    with pytest.raises(InputError, match="budget"):
        nereus.discover(*small_data, out=tmp_path / "report", home=home, budget=["steps=0"])
    with pytest.raises(InputError, match="cannot be written"):
        nereus.discover(*small_data, out=small_data[0] / "report", home=home)
    with pytest.raises(InputError, match="the data table itself"):
        nereus.discover(small_data[0], small_data[0], out=tmp_path / "report", home=home)
    with pytest.raises(SettingsError, match="policy"):
        nereus.discover(*small_data, out=tmp_path / "report", home=home, policy="nonsense")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"group": ["a"] * 12}, "column 'group': factor 'group' has one level"),
        ({"group": ["a"] * 11 + ["b"]}, "column 'group': levels of 'group' with one sample"),
        ({"group": [f"g{number}" for number in range(12)]}, "'group' (identifier"),
        ({"group": ["a"] * 6 + ["b"] * 6, "batch": ["x"] * 6 + ["y"] * 6}, "from 'batch': Cramér's V = 1.00"),
        ({"event": [0, 1, 2] * 4, "time": range(12), "group": ["a", "b"] * 6}, "'S03' has '2' in 'event'"),
    ],
)
def test_a_design_without_any_test_is_refused_and_leaves_no_run(
    columns: dict[str, Any], told: str, home: Path, tmp_path: Path
) -> None:
    names = [f"S{number:02d}" for number in range(1, 13)]
    rng = np.random.default_rng(0)
    values = pd.DataFrame(np.round(2 ** rng.normal(22, 2, (60, 12))), columns=names)
    values.insert(0, "Protein", [f"P{number:05d}" for number in range(60)])
    values.to_csv(tmp_path / "values.csv", index=False)
    pd.DataFrame({"sample": names, **columns}).to_csv(tmp_path / "sheet.csv", index=False)
    with pytest.raises(InputError) as caught:
        nereus.discover(tmp_path / "values.csv", tmp_path / "sheet.csv", out=tmp_path / "report", home=home)
    assert told in str(caught.value)
    assert str(caught.value).startswith("sheet.csv")
    assert "mend:" in str(caught.value)
    assert not (tmp_path / "report").exists()
    with pytest.raises(InputError, match="no run yet"):
        load_run(home=home)
