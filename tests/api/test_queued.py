"""Runs that are asked for by one process and worked on by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.agents.planner.queued import carry_out, plan_of, queue_fork, queue_run, work_on
from nereus.errors import InputError, ResumeRefused
from nereus.memory.records import ObjectiveKind
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from tests.api.test_server import DONE, SMALL

OWNER = "ada"


def test_a_run_keeps_what_was_asked_whatever_the_server_s_settings_and_place(
    tmp_path: Path, table: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has a seed of its own, and its home is an argument, not in the environment."""
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "elsewhere"))
    (tmp_path / "table.csv").write_bytes(table)
    with open_workspace(load_settings(home=tmp_path / "home", seed=5)) as workspace:
        data = workspace.artifacts.put_file(tmp_path / "table.csv")
        header = queue_run(
            workspace,
            {"data": data},
            owner=OWNER,
            reports=tmp_path / "reports",
            budget=SMALL["budget"],
            told={"stop_at": "plan"},
            seed=3,
            approval="always",
        )
        assert (header.seed, header.status) == (3, "queued")
        assert plan_of(header) is None
        assert work_on(workspace, header.id).status == "waiting"
        plan = plan_of(workspace.repository.header(header.id))
        assert plan is not None
        document = plan.model_dump(mode="json")
        with pytest.raises(InputError, match="no plan of version"):
            carry_out(workspace, header.id, {})
        with pytest.raises(InputError, match="with other content"):
            carry_out(workspace, header.id, {**document, "sha256": "0" * 64})
        carry_out(workspace, header.id, document)
        run = work_on(workspace, header.id)
        assert run.status in DONE
        with pytest.raises(ResumeRefused, match="waits with no plan"):
            carry_out(workspace, header.id, document)
        main = next(one for one in run.record.objectives if one.kind is ObjectiveKind.DIFFERENTIAL)
        edit = {"edit": {main.id: {"priority": 0.3}}}
        fork = queue_fork(workspace, run.id, main.id, edit, owner=OWNER, reports=tmp_path / "reports")
        assert Path(fork.out_dir) == tmp_path / "reports" / fork.id
        assert [one.id for one in workspace.repository.list_runs(owner=OWNER)] == [fork.id, run.id]
        forked = work_on(workspace, fork.id)
        assert forked.status in DONE
        changed = next(one for one in forked.record.objectives if one.id == main.id)
        assert (changed.priority, "priority" in changed.by_person) == (0.3, True)
        assert (Path(fork.out_dir) / "report.html").is_file()
    assert not (tmp_path / "elsewhere").exists(), "nothing is kept where the settings do not say"
