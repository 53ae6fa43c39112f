"""Mutated files: either exactly the values that were written, or one typed error with place and mend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset
from tests.tools.proteomics.file_mutations import DAMAGES, REWRITES, written
from tests.tools.proteomics.long_mutations import LONG_DAMAGES, LONG_KINDS, LONG_REWRITES, valid_long
from tests.tools.proteomics.reading_oracle import EVERY_KIND, judge, judge_long, try_file
from tests.tools.proteomics.valid_grids import KINDS, Grid, valid_grid


def read_bytes(data: bytes, folder, name: str = "data.txt"):
    path = folder / name
    path.write_bytes(data)
    return load_dataset(SourceFile(path, name))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(EVERY_KIND), seed=st.integers(0, 2**31 - 1))
def test_a_mutated_file_is_read_right_or_refused(kind: str, seed: int) -> None:
    outcome = try_file(kind, seed)
    assert outcome.verdict in ("equal", "refused"), outcome


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_rewritten_file_holds_the_same_values(kind: str, rewrite, tmp_path) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        grid = rewrite(valid_grid(kind, rng), rng)
        outcome = judge(grid, read_bytes(written(grid), tmp_path), "equal", rewrite.__name__)
        assert outcome.verdict == "equal", outcome


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_named_with_its_place(kind: str, damage, tmp_path) -> None:
    rng = np.random.default_rng(3)
    grid = damage(valid_grid(kind, rng), rng)
    if grid.expect != "refuse":
        pytest.skip("this damage leaves a valid table of this kind")
    with pytest.raises(InputError) as caught:
        read_bytes(written(grid), tmp_path)
    assert caught.value.mend
    assert "data.txt" in str(caught.value.where)


@pytest.mark.parametrize("kind", LONG_KINDS)
@pytest.mark.parametrize("rewrite", LONG_REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_rewritten_long_file_holds_the_same_values(kind: str, rewrite, tmp_path) -> None:
    rng = np.random.default_rng(0)
    table = rewrite(valid_long(kind, rng), rng)
    data = table.data()
    outcome = judge_long(table, data, data, read_bytes(data, tmp_path), "equal", rewrite.__name__)
    assert outcome.verdict == "equal", outcome


@pytest.mark.parametrize("kind", LONG_KINDS)
@pytest.mark.parametrize("damage", LONG_DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_of_long_files_is_named_with_its_place(kind: str, damage, tmp_path) -> None:
    rng = np.random.default_rng(3)
    table = damage(valid_long(kind, rng), rng)
    if table.expect != "refuse":
        pytest.skip("this damage leaves a valid table of this kind")
    with pytest.raises(InputError) as caught:
        read_bytes(table.data(), tmp_path)
    assert caught.value.mend
    assert "data.txt" in str(caught.value.where)


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_the_oracle_of_long_files_sees_a_wrong_value(kind: str, tmp_path) -> None:
    table = valid_long(kind, np.random.default_rng(0))
    result = read_bytes(table.data(), tmp_path)
    row = next(i for i, cells in enumerate(table.rows) if cells[table.value_columns[0]])
    column = table.value_columns[0]
    for i, feature in enumerate(
        table.features
    ):  # all rows of the place, so that the largest or the sum changes
        if (
            feature == table.features[row]
            and table.names[i][0] == table.names[row][0]
            and table.rows[i][column]
        ):
            table.rows[i][column] = f"{float(table.rows[i][column]) * 1.001:.9g}"
    assert judge_long(table, b"", b"", result, "equal", "").verdict == "wrong"


def test_the_oracle_sees_a_wrong_value(tmp_path) -> None:
    grid = valid_grid("generic", np.random.default_rng(0))
    result = read_bytes(written(grid), tmp_path)
    assert judge(grid, result, "equal", "").verdict == "equal"
    values = grid.values.copy()
    values[0, 0] *= 1.001
    wrong = Grid(**{**grid.__dict__, "values": values})
    assert judge(wrong, result, "equal", "").verdict == "wrong"
