"""An artifact that was lost or damaged is computed again from the calls that are recorded, back to the user's file."""

from __future__ import annotations

from pathlib import Path

from nereus.memory.artifacts import ArtifactStore
from nereus.tools.steps import MemoryLedger, StepRunner


def test_what_was_lost_is_computed_again_with_all_that_it_came_from(tmp_path: Path) -> None:
    given = tmp_path / "values.csv"
    rows = "\n".join(
        f"P{i}," + ",".join(str(1000 + 37 * i + 11 * j * i) for j in range(6)) for i in range(30)
    )
    given.write_text("protein," + ",".join(f"s{j}" for j in range(6)) + "\n" + rows + "\n")
    first = StepRunner(ArtifactStore(tmp_path / "artifacts"), MemoryLedger())
    file = first.artifacts.put_file(given)
    loaded = first.run("load_dataset", {}, {"data": file})
    shifted = first.run("normalise", {"method": "median"}, {"dataset": loaded.outputs["dataset"]})
    for call in (loaded, shifted):
        first.artifacts.path(call.outputs["dataset"]).write_bytes(b"damaged")
    again = StepRunner(ArtifactStore(tmp_path / "artifacts"), first.ledger)
    again.artifacts.make_again = lambda ref: again.make_again(ref, {file.id: file})
    assert again.artifacts.dataset(shifted.outputs["dataset"]).shape == (6, 30)
    assert all(again.artifacts.whole(call.outputs["dataset"]) for call in (loaded, shifted))
    assert len(again.artifacts.made_again) == 2
