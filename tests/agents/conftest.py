"""One small run by the rules, and a home in which other runs find its steps computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nereus

EXAMPLE = Path(__file__).parents[2] / "examples" / "alzheimer_csf"
CLASS = "_primary biochemical AD classification"
SMALL = ["objectives=1", "hypotheses=12"]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All people who were classified at two sites, and every sixth well-measured protein."""
    folder = tmp_path_factory.mktemp("data")
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    chosen = sheet[sheet[CLASS].notna() & sheet["_collection site"].isin(["Sweden", "Magdeburg"])]
    values = values.loc[chosen.index]
    values[values.columns[values.notna().mean() > 0.6][::6]].to_csv(folder / "values.csv")
    chosen[["_collection site", "_age at CSF collection", CLASS]].to_csv(folder / "samples.csv")
    return folder / "values.csv", folder / "samples.csv"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home: a step that one run computed is not computed again by the next."""
    return tmp_path_factory.mktemp("home")


def start(data: tuple[Path, Path], home: Path, name: str, **options: Any) -> nereus.Run:
    """A run in the shared home, with its report in a folder of its own."""
    return nereus.discover(
        *data, out=home / name, home=home, **{"seed": 3, "workers": 1, "budget": SMALL, **options}
    )


@pytest.fixture(scope="session")
def by_rules(data: tuple[Path, Path], home: Path) -> nereus.Run:
    """What the rules find."""
    return start(data, home, "rules")
