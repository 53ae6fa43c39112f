"""Settings: one class, a known precedence, no silent winner, no secret told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nereus.errors import SettingsError
from nereus.settings import Settings, load_settings, mask_password, sqlite_file


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory, an empty home, and no NEREUS_ variable but the home's."""
    for name in list(os.environ):
        if name.startswith("NEREUS_"):
            monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NEREUS_HOME", str(tmp_path / "home"))
    return tmp_path


def test_defaults_lie_in_the_home(clean: Path) -> None:
    settings, home = load_settings(), clean / "home"
    assert settings.home == home
    assert settings.database_url == f"sqlite:///{home / 'nereus.sqlite'}"
    assert settings.checkpoint_url == f"sqlite:///{home / 'checkpoints.sqlite'}"
    assert (settings.artifact_root, settings.vector_path) == (home / "artifacts", home / "vectors")
    assert (settings.policy, settings.workers, settings.approval, settings.offline) == (
        "rules",
        2,
        "never",
        False,
    )


def test_the_home_has_a_default_by_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEREUS_HOME")
    assert load_settings().home.name == "nereus"
    assert load_settings().home.is_absolute()


def test_the_first_place_that_names_a_setting_wins(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seed(**given: Any) -> int:
        return load_settings(**given).seed

    assert seed() == 0
    (clean / "home" / "nereus.toml").write_text("seed = 1\nworkers = 5\n")
    assert seed() == 1
    (clean / "work" / "nereus.toml").write_text("seed = 2\n")
    assert seed() == 2
    (clean / "work" / ".env").write_text("NEREUS_SEED=3\nOTHER=x\n")
    assert seed() == 3
    monkeypatch.setenv("NEREUS_SEED", "4")
    assert seed() == 4
    assert seed(seed=5) == 5
    assert seed(seed=None) == 4, "None means not given"
    assert load_settings().workers == 5, "what the stronger places leave open comes from the weaker"
    assert Settings().seed == 4, "the class itself reads the same places"


def test_the_home_may_be_named_by_any_place(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEREUS_HOME")
    other = clean / "other"
    other.mkdir()
    (other / "nereus.toml").write_text("seed = 9\n")
    (clean / "work" / "nereus.toml").write_text(f'home = "{other}"\n')
    settings = load_settings()
    assert (settings.home, settings.seed) == (other, 9)
    assert settings.artifact_root == other / "artifacts"
    assert load_settings(home=clean / "home").seed == 0


def test_paths_are_absolute_and_know_the_user(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(clean))
    settings = load_settings(home="~/mine", artifact_root="things")
    assert settings.home == clean / "mine"
    assert settings.artifact_root == clean / "work" / "things"


@pytest.mark.parametrize(
    ("given", "told", "where"),
    [
        ({"seed": -1}, "greater than or equal to 0 (got -1)", "setting 'seed' (argument)"),
        ({"workers": 0}, "greater than or equal to 1", "setting 'workers' (argument)"),
        (
            {"policy": "magic"},
            "write rules, llm, or hybrid:<kind of decision>=llm,... (got 'magic')",
            "setting 'policy'",
        ),
        ({"approval": "sometimes"}, "'never', 'costly' or 'always'", "setting 'approval'"),
        (
            {"database_url": "mysql://x/y"},
            "sqlite:///path/to/file or postgresql://",
            "setting 'database_url'",
        ),
        ({"database_url": "sqlite://"}, "must be a file", "setting 'database_url'"),
        ({"llm_base_url": "127.0.0.1:8000"}, "write an address", "setting 'llm_base_url'"),
        ({"polcy": "rules"}, "no setting 'polcy'", "argument"),
    ],
)
def test_a_bad_value_is_named_with_its_place(given: dict[str, Any], told: str, where: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert told in caught.value.what
    assert where in str(caught.value.where)
    assert caught.value.mend


def test_the_place_of_a_bad_value_is_where_it_was_set(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / "home" / "nereus.toml").write_text('seed = "x"\n')
    with pytest.raises(SettingsError, match=r"home/nereus\.toml"):
        load_settings()
    (clean / "work" / ".env").write_text("NEREUS_SEED=y\n")
    with pytest.raises(SettingsError, match=r"\(\.env\)"):
        load_settings()
    monkeypatch.setenv("NEREUS_SEED", "z")
    with pytest.raises(SettingsError, match=r"NEREUS_SEED in the environment"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"policy": "llm"}, "needs llm_model"),
        ({"policy": "llm", "llm_model": "m"}, "needs llm_base_url"),
        (
            {"vector_path": "/v", "vector_url": "http://127.0.0.1:1"},
            "vector_path and vector_url are both set",
        ),
        ({"database_url": "sqlite:////d/a", "checkpoint_url": "sqlite:////d/a"}, "one SQLite file"),
        ({"checkpoint_url": "postgresql://h/n"}, "put both into PostgreSQL"),
        ({"offline": True, "llm_base_url": "https://api.example.org/v1"}, "offline is set but llm_base_url"),
        ({"offline": True, "vector_url": "http://chroma:8000"}, "names the host 'chroma'"),
        ({"offline": True, "database_url": "postgresql://u:secret@db/n"}, "names the host 'db'"),
        ({"offline": True, "policy": "llm", "llm_model": "m", "llm_api_key": "k"}, "calls the provider"),
    ],
)
def test_settings_that_contradict_each_other_fail_at_once(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert told in caught.value.what
    assert "secret" not in str(caught.value)


def test_contradicting_settings_are_named_with_their_places(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean / "work" / "nereus.toml").write_text('vector_url = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("NEREUS_VECTOR_PATH", "/v")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.where == "vector_path (environment), vector_url (nereus.toml)"


def test_checkpoints_are_where_the_runs_are_unless_set() -> None:
    server = "postgresql+psycopg://nereus@localhost/nereus"
    assert load_settings(database_url=server).checkpoint_url == server
    assert load_settings(database_url="sqlite:////d/a").checkpoint_url.endswith("/checkpoints.sqlite")
    beside = load_settings(database_url=server, checkpoint_url="sqlite:////d/c")
    assert beside.checkpoint_url == "sqlite:////d/c"


def test_offline_allows_this_machine() -> None:
    local = load_settings(
        offline=True,
        policy="llm",
        llm_model="m",
        llm_base_url="http://127.0.0.1:8000/v1",
        database_url="postgresql://nereus@localhost/nereus",
        vector_url="http://[::1]:8000",
    )
    assert local.offline


@pytest.mark.parametrize("file", ["nereus.toml", ".env"])
def test_an_unknown_name_in_a_file_is_refused(clean: Path, file: str) -> None:
    text = {"nereus.toml": 'polcy = "rules"\n', ".env": "NEREUS_POLCY=rules\n"}[file]
    (clean / "work" / file).write_text(text)
    with pytest.raises(SettingsError, match="polcy") as caught:
        load_settings()
    assert "policy" in str(caught.value.mend).lower()


def test_a_misspelt_variable_is_refused_and_a_foreign_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEREUS_SOMETHING_ELSE", "1")
    load_settings()
    monkeypatch.setenv("NEREUS_WORKER", "1")
    with pytest.raises(SettingsError, match="NEREUS_WORKER is no setting") as caught:
        load_settings()
    assert caught.value.mend == "did you mean NEREUS_WORKERS?"


@pytest.mark.parametrize("content", [b"seed = = 1", b"seed = 1\nseed = 2", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml_is_named(clean: Path, content: bytes) -> None:
    (clean / "work" / "nereus.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"nereus\.toml: not readable as TOML"):
        load_settings()


def test_secrets_are_not_told(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEREUS_LLM_API_KEY", "sk-canary")
    settings = load_settings(
        llm_model="m",
        database_url="postgresql://u:canary@127.0.0.1:5432/n?sslmode=require",
        llm_base_url="http://u:canary@127.0.0.1/v1",
        policy="llm",
    )
    told = repr(settings) + str(settings.llm_api_key) + str(settings.public()) + str(settings.of_results())
    assert "sk-canary" not in told
    assert "canary" not in str(settings.public()) + str(settings.of_results())
    assert settings.public()["database_url"] == "postgresql://u:***@127.0.0.1:5432/n?sslmode=require"
    assert settings.llm_api_key is not None
    assert settings.llm_api_key.get_secret_value() == "sk-canary"
    monkeypatch.setenv("NEREUS_SEED", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().seed = 3  # type: ignore[misc]


def test_what_changes_results_is_told_apart() -> None:
    same = load_settings(workers=1, approval="always").of_results()
    assert load_settings(workers=8, home="/elsewhere").of_results() == same
    assert load_settings(seed=1).of_results() != same
    asked = load_settings(policy="llm", llm_model="m", llm_base_url="http://127.0.0.1:1").of_results()
    assert asked["llm_model"] == "m"


def test_addresses() -> None:
    assert sqlite_file("sqlite:////a/b.sqlite?timeout=3") == Path("/a/b.sqlite")
    assert sqlite_file("sqlite://") is None
    assert sqlite_file("postgresql://h/n") is None
    assert mask_password("http://127.0.0.1:8000") == "http://127.0.0.1:8000"
