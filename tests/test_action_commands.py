"""`nereus actions` on an action that was really learned, and on what nobody should type."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("unified_planning", reason="pip install -e '.[learner]'")

from sqlalchemy import text

from nereus.agents.learner import ActionLearner, MiningAuthor, SearchAgent
from nereus.agents.learner.environments.generators import instance
from nereus.cli import app
from nereus.memory.actions import Actions
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings


def said(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["actions", *arguments])
    return done.exit_code, done.output


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def learned(home: Path) -> str:
    """The name of an action of gripper, validated and not approved yet."""
    training = [instance("gripper", 3 + i % 2, 400 + i) for i in range(4)]
    held_out = [instance("gripper", 5, 500 + i) for i in range(3)]
    agent = SearchAgent(training[0].domain)
    with open_workspace(load_settings()) as workspace:
        kept = Actions(workspace.database)
        library = ActionLearner(
            agent, MiningAuthor(training[0].domain), training, held_out, repository=kept, approval="always"
        ).learn()
        agent.close()
        names: list[str] = library.state["accepted"]
        assert names
        assert kept.get(names[0]).status == "validated"
    return names[0]


def test_a_learned_action_from_the_list_to_its_revocation(learned: str, home: Path, tmp_path: Path) -> None:
    code, out = said("list", "--domain", "gripper", "--json")
    assert code == 0, out
    row = next(one for one in json.loads(out) if one["name"] == learned)
    assert row["status"] == "validated"
    assert said("list", "--domain", "barman")[1].startswith("nothing is learned yet")

    code, out = said("show", learned)
    assert code == 0, out
    assert f"def {learned}(" in out
    assert f"sha256 {row['sha256']}" in out
    assert "learned from" in out

    code, out = said("test", learned)
    assert code == 0, out
    assert out.count("ok     gripper-5-9") >= 1
    assert "FAILED" not in out

    code, out = said("approve", learned, "--sha256", "0000")
    assert code == 1, "what was looked at is another"
    assert row["sha256"][:16] in out
    code, out = said("approve", learned, "--sha256", row["sha256"][:12])
    assert code == 0, out
    assert out.strip() == f"{learned} v1 is active"

    file = tmp_path / "action.py"
    assert said("export", learned, str(file))[0] == 0
    source = json.loads(said("show", learned, "--json")[1])["source"]
    assert file.read_text(encoding="utf-8").endswith(source)
    assert row["sha256"] in file.read_text(encoding="utf-8")
    code, out = said("export", learned, str(file))
    assert code != 0
    assert "the file exists" in out
    document = tmp_path / "action.json"
    assert said("export", learned, str(document), "--json")[0] == 0
    exported = json.loads(document.read_text(encoding="utf-8"))
    assert exported["source"] == source
    _import_into_another_home(exported, learned, tmp_path)

    code, out = said("revoke", learned, "--reason", "a try")
    assert code == 0, out
    assert "revoked" in out
    assert "a try" in said("show", learned)[1]
    code, out = said("approve", learned)
    assert code != 0, "what was revoked is not approved again"
    assert json.loads(said("show", learned, "--json")[1])["status"] == "revoked"


def _import_into_another_home(exported: dict[str, Any], name: str, folder: Path) -> None:
    """It is a candidate there, whatever it was here; what was changed on the way is refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEREUS_HOME", str(folder / "other"))
        file = folder / "sent.json"
        for changes, says in (
            ({"source": exported["source"] + "# more\n"}, "not the one that was exported"),
            ({"sha256": "0"}, "not the one that was exported"),
            ({"status": "good"}, "no exported action"),
            (
                evil_source(f'def {name}(a: ball) -> None:\n    open("/etc/passwd")\n'),
                "the name 'open' is forbidden",
            ),
        ):
            file.write_text(json.dumps({**exported, **changes}), encoding="utf-8")
            code, out = said("import", str(file))
            assert code == 1, out
            assert says in out
        file.write_text(json.dumps(exported), encoding="utf-8")
        code, out = said("import", str(file))
        assert code == 0, out
        assert f"{name} v1 is candidate" in out
        assert said("approve", name)[0] == 1
        assert said("test", name)[0] == 0
        assert said("approve", name)[0] == 0


def evil_source(source: str) -> dict[str, str]:
    return {"source": source, "sha256": hashlib.sha256(source.encode()).hexdigest()}


@pytest.mark.parametrize("verb", ["show", "test", "approve", "revoke", "export"])
@pytest.mark.parametrize("name", ["no_such_action", "", "../../etc/passwd", "x'; DROP TABLE actions; --"])
def test_a_name_that_is_none_is_an_error_in_words(home: Path, verb: str, name: str) -> None:
    code, out = said(verb, name)
    assert code == 1, out
    assert "there is no action" in out
    assert "Traceback" not in out


def test_versions_that_are_none(learned: str) -> None:
    code, out = said("show", learned, "--version", "7")
    assert code == 1
    assert "has no version 7" in out
    assert said("show", learned, "--version", "0")[0] == 2


def test_a_source_that_was_changed_behind_its_back_is_neither_shown_nor_run(learned: str) -> None:
    with open_workspace(load_settings()) as workspace, workspace.database.write() as connection:
        connection.execute(text("update action_versions set source = source || '# more'"))
    for verb in ("show", "test", "approve", "export"):
        code, out = said(verb, learned)
        assert code == 1, out
        assert "is not the one that was kept" in out
    assert "CHANGED since it was kept" in said("list")[1]
    assert said("revoke", learned)[0] == 0, "the mend that is named works"
