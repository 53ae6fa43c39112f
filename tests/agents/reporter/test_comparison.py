"""Two runs side by side: what was changed on purpose is named, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import nereus
from nereus.agents.reporter.comparison import comparison_html
from nereus.agents.reporter.comparison.differences import same
from nereus.agents.reporter.comparison.page import scatter
from nereus.cli import app

N, FEATURES, CHANGED = 24, 120, 12
TURNED, LOST, GAINED, SHIFTED = "P00001", "P00002", "P00050", "P00003"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


def values() -> pd.DataFrame:
    """Twelve of a hundred and twenty proteins differ by three standard deviations."""
    rng = np.random.default_rng(5)
    made = 20 + rng.normal(0, 0.5, size=(N, FEATURES))
    made[: N // 2, :CHANGED] += 1.5
    return pd.DataFrame(
        made, index=[f"S{i:02}" for i in range(N)], columns=[f"P{i:05}" for i in range(FEATURES)]
    )


def discovered(home: Path, name: str, table: pd.DataFrame, workers: int = 1) -> nereus.Run:
    folder = home / name
    folder.mkdir()
    (2**table).to_csv(folder / "values.csv", index_label="sample")
    sheet = pd.DataFrame({"group": ["case"] * (N // 2) + ["control"] * (N // 2)}, index=table.index)
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    return nereus.discover(
        folder / "values.csv",
        folder / "samples.csv",
        out=folder / "report",
        home=home / "home",
        budget=["objectives=1"],
        seed=2,
        workers=workers,
    )


@pytest.fixture(scope="module")
def runs(home: Path) -> tuple[nereus.Run, nereus.Run]:
    """A run, and one in which one effect was turned, one taken away, one added and one made smaller."""
    first = values()
    second = first.copy()
    case = second.index[: N // 2]
    second.loc[case, TURNED] -= 3.0
    second.loc[case, LOST] -= 1.5
    second.loc[case, GAINED] += 1.5
    second.loc[case, SHIFTED] -= 0.25
    return discovered(home, "first", first), discovered(home, "second", second)


def test_a_run_is_equal_to_its_repetition_with_more_workers(
    home: Path, runs: tuple[nereus.Run, nereus.Run]
) -> None:
    again = discovered(home, "again", values(), workers=2)
    found = nereus.compare(runs[0], again)
    assert found.same_findings
    assert found.differences.empty
    assert found.equal["claims"] == len(runs[0].claims) > 5
    assert (found.effects["first"] == found.effects["second"]).all()


def test_what_became_of_each_claim_is_named(runs: tuple[nereus.Run, nereus.Run]) -> None:
    found = nereus.compare(*runs)
    changes = found.claims.set_index("feature")["change"]
    assert (changes[TURNED], changes[LOST], changes[GAINED], changes[SHIFTED]) == (
        "sign",
        "lost",
        "gained",
        "kept",
    )
    assert set(changes.index[changes == "sign"]) == {TURNED}
    row = found.claims.set_index("feature").loc[TURNED]
    assert (row["direction_first"], row["direction_second"]) == ("up", "down")
    smaller = found.claims.set_index("feature").loc[SHIFTED]
    assert smaller["effect_first"] - smaller["effect_second"] == pytest.approx(0.25, abs=0.1)
    listed = found.of("claims")
    assert {"gained", "lost", "sign", "effect"} <= set(listed["change"])
    assert listed["key"].is_unique
    told = found.of("hypotheses")
    assert told.loc[told["subject"].str.startswith(GAINED), "change"].tolist() == ["gained"]
    assert set(found.of("inputs")["change"]) == {"content"}
    assert found.of("versions").empty
    assert found.of("settings").empty
    assert len(found.effects) == FEATURES
    assert not found.same_findings


def test_the_terminal_lists_it_and_files_hold_all_of_it(
    home: Path, runs: tuple[nereus.Run, nereus.Run]
) -> None:
    environment = {"NEREUS_HOME": str(home / "home"), "COLUMNS": "200"}
    ids = [one.id for one in runs]
    page, table = home / "both.html", home / "both.csv"
    shown = CliRunner().invoke(app, ["compare", *ids, "--out", str(page)], env=environment)
    assert shown.exit_code == 0, shown.output
    assert "the findings differ" in shown.output
    assert "gained" in shown.output
    html = page.read_text()
    assert html.count("<path d=") >= FEATURES
    assert f"{TURNED}: " in html
    assert "<script" not in html
    assert CliRunner().invoke(app, ["compare", *ids, "--out", str(table)], env=environment).exit_code == 0
    assert len(pd.read_csv(table)) == len(nereus.compare(*ids, home=home / "home").differences)
    wrong = CliRunner().invoke(app, ["compare", *ids, "--out", str(home / "both.pdf")], env=environment)
    assert wrong.exit_code == 1
    absent = CliRunner().invoke(app, ["compare", ids[0], "r0-1"], env=environment)
    assert absent.exit_code == 1
    assert "there is no run" in absent.output


def test_columns_with_equal_levels_are_told_apart(home: Path) -> None:
    """Of "yes vs no" there may be one in every column of a sheet."""
    folder = home / "levels"
    folder.mkdir()
    rng = np.random.default_rng(8)
    table = values() - values() + 20 + rng.normal(0, 0.5, size=(N, FEATURES))
    first, second = np.repeat(["yes", "no"], N // 2), np.tile(["yes", "no"], N // 2)
    table.loc[first == "yes", table.columns[:CHANGED]] += 1.6
    table.loc[second == "yes", table.columns[:CHANGED]] -= 1.6
    (2**table).to_csv(folder / "values.csv", index_label="sample")
    sheet = pd.DataFrame({"smoker": first, "diabetes": second}, index=table.index)
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    run = nereus.discover(
        folder / "values.csv",
        folder / "samples.csv",
        out=folder / "report",
        home=home / "home",
        question="what differs by smoker, and what by diabetes?",  # else one comparison, then other kinds of question
        budget=["objectives=2"],
        seed=2,
    )
    found = nereus.compare(run, run)
    assert found.differences.empty
    assert run.claims["contrast"].nunique() < run.claims["objective"].nunique()
    assert found.equal["claims"] == len(found.claims) == len(run.claims)
    assert found.claims["key"].is_unique
    assert (found.effects["change"] == "kept").sum() == len(run.claims)


def test_runs_about_other_data_have_little_in_common(home: Path, runs: tuple[nereus.Run, nereus.Run]) -> None:
    folder = home / "other"
    folder.mkdir()
    table = values().add_prefix("Q").iloc[:, :40]
    (2**table).to_csv(folder / "values.csv", index_label="sample")
    sheet = pd.DataFrame({"arm": ["x"] * (N // 2) + ["y"] * (N // 2)}, index=table.index)
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    other = nereus.discover(
        folder / "values.csv",
        folder / "samples.csv",
        out=folder / "report",
        home=home / "home",
        budget=["objectives=1"],
        seed=2,
    )
    found = nereus.compare(runs[0], other)
    assert found.effects.empty
    assert found.equal["claims"] == 0
    assert set(found.claims["change"]) == {"lost", "gained"}
    assert found.of("objectives")["change"].isin(["lost", "gained"]).any()
    assert comparison_html(found).startswith("<!")
    backwards = nereus.compare(other, runs[0])
    assert len(backwards.differences) == len(found.differences)


def test_names_from_data_are_text_on_the_page(runs: tuple[nereus.Run, nereus.Run]) -> None:
    rows = pd.DataFrame(
        {
            "feature": ["<script>x</script>"],
            "gene": [""],
            "first": [1.0],
            "second": [-1.0],
            "change": ["sign"],
        }
    )
    assert "<script>" not in scatter(rows)
    assert "&lt;script&gt;" in scatter(rows)
    assert comparison_html(nereus.compare(*runs), whole=False).startswith("<div")


def test_numbers_are_equal_up_to_rounding_and_missing_ones_too() -> None:
    assert same(1.0, 1.0 + 1e-12)
    assert not same(1.0, 1.001)
    assert same(float("nan"), float("nan"))
    assert not same(float("nan"), 1.0)
    assert not same(True, 0)
    assert same("a", "a")
