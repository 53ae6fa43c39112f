"""What learning costs when a run begins: no tool is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nereus.agents.planner.learning import Experience
from nereus.memory.priors import Duration, Priors
from nereus.tools import registry

LEARN = """
import sys
from nereus.agents.planner.learning import learn
from nereus.memory.priors import RunFacts, StepFact
from nereus.memory.records import ArtifactKind, ArtifactRef, RunHeader
from nereus.tools.registry import CATALOGUE
data = ArtifactRef(id="d", kind=ArtifactKind.FILE, name="d.csv", size=1)
header = RunHeader(
    id="r", status="finished", out_dir="", seed=0, fingerprint="", fingerprint_parts={}, inputs={"data": data}
)
before = set(sys.modules)
steps = [StepFact("O1", f"O1.W1.S{n}", name, "1", "ok", 1.0, {}, {}, False) for n, name in enumerate(CATALOGUE)]
assert len(learn([RunFacts(header, steps=steps)], "other", {"default": "rules"}).durations) == len(CATALOGUE)
print(sorted({one.split(":")[0] for one in CATALOGUE.values()} & (set(sys.modules) - before)))
"""


def test_learning_loads_no_tool() -> None:
    """A run about proteins must not wait for the libraries of every tool that this home ever used."""
    told = subprocess.run([sys.executable, "-c", LEARN], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_seconds_are_those_of_the_tool_s_own_version() -> None:
    def took(version: str, seconds: float) -> Duration:
        return Duration(tool="stability", version=version, calls=3, failed=0, seconds=seconds, cells=1e5)

    old, own = took("0.0.1", 90.0), took(registry.get("stability").version, 2.0)
    assert Experience(Priors(durations=(old, own))).seconds("stability", 1e5) == pytest.approx(2.0)
    assert Experience(Priors(durations=(old,))).seconds("stability", 1e5) == registry.get("stability").seconds
