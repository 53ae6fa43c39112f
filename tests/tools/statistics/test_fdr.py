from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.statistics.fdr import run_wide_fdr


def family(p: list[float], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"feature": [f"P{i}" for i in range(len(p))], "effect": 1.0, "p": p, **columns})


NOTHING = [0.2, 0.5, 0.9, 0.7]


def test_empty_families_cost_level() -> None:
    something = family([1e-6, 0.009, 0.5, 0.9])
    alone = run_wide_fdr({"x": something})
    among = run_wide_fdr({"x": something, **{f"n{i}": family(NOTHING) for i in range(3)}})
    assert alone.table("findings")["key"].tolist() == ["P0", "P1"]
    assert among.values["level_within"] == pytest.approx(0.0125)
    assert among.table("findings")["key"].tolist() == ["P0"]
    assert among.table("findings")["q_run"][0] == pytest.approx(4e-6 * 4)


def test_families_of_one_question_are_selected_together() -> None:
    tables = {"x abundance": family([1e-6, 0.009, 0.5, 0.9]), "x detection": family(NOTHING)}
    result = run_wide_fdr(tables, questions={"x abundance": "x", "x detection": "x"})
    assert result.values["level_within"] == pytest.approx(0.05)
    assert result.table("families")["simes_q"].tolist() == pytest.approx([8e-6, 8e-6])
    assert len(result.table("findings")) == 2


def test_a_tables_own_q_counts() -> None:
    own = family([0.004, 0.02, 1.0, 1.0], q=[0.001, 0.03, 1.0, 1.0])
    assert len(run_wide_fdr({"d": own}).table("findings")) == 2
    assert len(run_wide_fdr({"d": own}, adjust="bh").table("findings")) == 2
    assert run_wide_fdr({"d": own}).table("findings")["q"].tolist() == [0.001, 0.03]


def test_set_tables_and_untested_rows() -> None:
    sets = pd.DataFrame(
        {"set_id": ["S1", "S2"], "effect": [2.0, -1.5], "direction": ["up", "down"], "p": [1e-5, np.nan]}
    )
    result = run_wide_fdr({"sets": sets})
    assert result.table("findings")["finding"].tolist() == ["sets|S1"]
    assert result.table("findings")["direction"].tolist() == ["up"]
    assert result.table("families")["n_tests"].tolist() == [1]


def test_nothing_at_all() -> None:
    result = run_wide_fdr({"x": family(NOTHING), "y": family([np.nan] * 4)})
    assert result.values["n_findings"] == 0
    assert result.values["n_families"] == 1
    assert result.table("findings").columns[0] == "finding"
    assert run_wide_fdr({}).warnings == ("no family has a test",)


def test_rate_over_a_run() -> None:
    # 20 null families and 5 with effects: the share of false findings over the run stays at the level.
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(15):
        tables = {f"n{i}": family(list(rng.uniform(size=200))) for i in range(20)}
        for i in range(5):
            tables[f"t{i}"] = family([*rng.uniform(0, 1e-4, 10), *rng.uniform(size=190)])
        found = run_wide_fdr(tables).table("findings")
        false = found["family"].str.startswith("n") | (found["key"].str[1:].astype(int) >= 10)
        shares.append(float(false.mean()))
    assert np.mean(shares) <= 0.05


def test_a_table_without_p() -> None:
    with pytest.raises(InputError, match="family 'x' has no column 'p'"):
        run_wide_fdr({"x": pd.DataFrame({"feature": ["A"]})})
