"""What a tool must not return: another thing than a result, and counts that no test stands behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nereus.errors import ToolError
from nereus.tools import registry
from nereus.tools.base import Result, Tool


def returning(result: Any) -> Tool:
    return replace(registry.get("load_dataset"), function=lambda **arguments: result)


def call(result: Any) -> Result:
    return returning(result).run({"data": "a file"}, {}, 0)


def of_p(p: list[float], n_tested: int) -> Result:
    table = pd.DataFrame({"feature": [f"P{i}" for i in range(len(p))], "p": p})
    return Result("tested", values={"n_tested": n_tested}, tables={"differential": table})


def test_only_a_result_is_a_result() -> None:
    with pytest.raises(ToolError, match="returned a str"):
        call("all is well")


def test_a_count_of_tests_needs_a_p_value() -> None:
    assert call(of_p([0.1, np.nan], 1)).values["n_tested"] == 1
    assert call(of_p([np.nan], 0)).values["n_tested"] == 0
    with pytest.raises(ToolError, match="2 features are said to be tested, but no p value is finite"):
        call(of_p([np.nan, np.nan], 2))
