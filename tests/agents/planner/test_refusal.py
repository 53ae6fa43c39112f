"""Which designs are refused before a run is opened, and that everything else goes on."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.agents.planner.refusal import refuse_design
from nereus.errors import InputError
from nereus.tools.proteomics.profile.tool import profile_dataset

X = np.random.default_rng(2).normal(24, 1, (24, 60))


def tables(obs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    obs.index = [f"s{number}" for number in range(len(obs))]
    return dict(profile_dataset(anndata.AnnData(X[: len(obs)], obs=obs)).tables)


@pytest.mark.parametrize(
    "obs",
    [
        pd.DataFrame(
            {"donor": [f"d{i % 6}" for i in range(12)], "treatment": ["before"] * 6 + ["after"] * 6}
        ),
        pd.DataFrame({"treatment": ["control"] * 2 + ["drug"] * 2}),
        pd.DataFrame({"group": ["a"] * 12, "age": np.linspace(20, 70, 12)}),
        pd.DataFrame({"event": [0, 1] * 6, "time": np.arange(12.0)}),
        pd.DataFrame({"note": [f"text {i}" for i in range(24)]}),
    ],
)
def test_designs_with_something_to_do_go_on(obs: pd.DataFrame) -> None:
    found = tables(obs)
    before = {name: table.copy() for name, table in found.items()}
    refuse_design(found, "sheet.csv")  # raises where it refuses
    assert all(table.equals(before[name]) for name, table in found.items())


def test_a_design_without_notices_goes_on() -> None:
    found = tables(pd.DataFrame({"treatment": ["control"] * 6 + ["drug"] * 6}))
    assert found["notices"].query("severity == 'refuse'").empty
    found["notices"] = found["notices"].iloc[:0]
    refuse_design(found, "sheet.csv")


def test_a_refusal_names_sheet_column_and_mend() -> None:
    with pytest.raises(InputError, match="column 'group'") as caught:
        refuse_design(tables(pd.DataFrame({"group": ["a"] * 12})), "sheet.csv")
    assert caught.value.where == "sheet.csv, column 'group'"
    assert caught.value.mend
