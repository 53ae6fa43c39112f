"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nereus.memory.artifacts import ArtifactStore
from nereus.tools.steps import MemoryLedger, StepRunner

TEST_DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger public data sets (setting NEREUS_DATA); tests that need it are skipped without it."""
    folder = Path(os.environ.get("NEREUS_DATA", ""))
    if not os.environ.get("NEREUS_DATA") or not folder.is_dir():
        pytest.skip("NEREUS_DATA names no folder: larger public data sets are not here")
    return folder


@pytest.fixture
def runner(tmp_path: Path) -> StepRunner:
    """A step runner over a fresh artifact store and an in-memory ledger."""
    return StepRunner(ArtifactStore(tmp_path / "artifacts"), MemoryLedger(), run_seed=1)
