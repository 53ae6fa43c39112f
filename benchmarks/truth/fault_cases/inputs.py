"""Data, sheets and cohorts that do not fit or change under a run, and fetched files that are not what they should be."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.truth.fault_cases.scene import CLASS, Scene, case


@case("input", r"cohort[^.]{0,200}(no|none|fewer|share|match)", same_data=False)
def cohort_without_matching_features(scene: Scene) -> Any:
    table = pd.read_csv(scene.values, index_col=0)
    table.columns = [f"other{i}" for i in range(table.shape[1])]
    cohort = scene.out.parent / "cohort.csv"
    (table * 1.01).to_csv(cohort)
    budget = ["objectives=4", "hypotheses=8"]
    return scene.start(cohort=cohort, cohort_samples=scene.samples, budget=budget)


@case("input", r"sample sheet|samples")
def sheet_changed_before_a_resume(scene: Scene) -> Any:
    """The run goes on with the sheet that it was started with; the changed one, when given, is refused."""
    scene.killed("step_started O2.W1.S3")
    sheet = pd.read_csv(scene.samples, index_col=0)
    changed = scene.out.parent / "changed.csv"
    sheet.assign(**{CLASS: sheet[CLASS].to_numpy()[::-1]}).to_csv(changed)
    scene.first_fails(lambda: scene.resume(samples=changed))
    return scene.resume()


@case("input", r"input data was|data[^.]{0,60}now")
def data_changed_before_a_resume(scene: Scene) -> Any:
    scene.killed("step_started O2.W1.S3")
    changed = scene.out.parent / "changed.csv"
    (pd.read_csv(scene.values, index_col=0) * 2).to_csv(changed)
    scene.first_fails(lambda: scene.resume(data=changed))
    return scene.resume()


@case("input", r"match|unmatched|not in", same_data=False)
def sheet_of_other_samples(scene: Scene) -> Any:
    sheet = pd.read_csv(scene.samples, index_col=0)
    sheet.index = [f"person{i}" for i in range(len(sheet))]
    other = scene.out.parent / "other.csv"
    sheet.to_csv(other)
    return scene.start(samples=other)


@case("input", r"gzip|end of|cut|truncated|compressed|unpack", same_data=False)
def data_file_cut_short(scene: Scene) -> Any:
    cut = scene.out.parent / "cut.csv.gz"
    packed = gzip.compress(scene.values.read_bytes())
    cut.write_bytes(packed[: len(packed) // 2])
    return scene.start(data=cut)


@case("knowledge", r"another content|hash differs|content differs")
def fetched_file_with_another_checksum(scene: Scene) -> Any:
    """A file of the right name and another content is not taken, and said so; nothing is fetched in its place."""
    from nereus.tools.knowledge.catalogue import ENTRIES
    from nereus.tools.knowledge.store import fetch, locate

    data = scene.out.parent / "data"
    data.mkdir()
    wanted = next(one for one in ENTRIES if one.url is not None)
    (data / wanted.file).write_bytes(b"not what was listed")
    place = locate(wanted, home=scene.home, data=data)
    listed = _command(scene, ["data", "list"], data)
    if place.state != "changed" or "has another content" not in listed:
        raise RuntimeError(f"it was taken: {place}")
    scene.said.append(listed)
    offline = wanted.__class__(**{**vars(wanted), "url": "http://127.0.0.1:9/file"})
    scene.first_fails(lambda: fetch(offline, home=scene.home, data=data))
    return scene.start()


def _command(scene: Scene, words: list[str], data: Path) -> str:
    environment = {**os.environ, "NEREUS_HOME": str(scene.home), "NEREUS_DATA": str(data)}
    command = [sys.executable, "-m", "nereus.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
