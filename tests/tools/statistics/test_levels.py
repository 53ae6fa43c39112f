from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nereus.tools.statistics.levels import as_levels, as_numbers, indicator, level_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (np.int64(3), "3"),
        (0.25, "0.25"),
        (" a b ", "a b"),
        ("NA", None),
        (np.nan, None),
        (None, None),
        (True, "True"),
        (pd.NA, None),
    ],
)
def test_level_text(value: object, text: str | None) -> None:
    assert level_text(value) == text


def test_categories_and_texts_of_numbers() -> None:
    column = pd.Series(["1", "2", None], dtype="category")
    assert list(as_levels(column)) == ["1", "2", None]
    numbers = as_numbers(column)
    assert numbers is not None
    assert numbers.tolist()[:2] == [1.0, 2.0]
    assert as_numbers(pd.Series(["1", "x"])) is None
    one_hot, names = indicator(as_levels(column))
    assert names == ["1", "2"]
    np.testing.assert_array_equal(one_hot, [[1, 0], [0, 1], [0, 0]])
