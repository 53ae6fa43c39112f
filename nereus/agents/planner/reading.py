"""What is read before a run is opened: the files that are named, once, so that bad input leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nereus.agents.planner.companions import (
    companions,
    options_of,
    reader_params,
    refuse_strange_layers,
    sheet_of,
)
from nereus.agents.planner.refusal import refuse_design
from nereus.errors import InputError
from nereus.memory.database import DatabaseLedger
from nereus.memory.folder_archive import files_of
from nereus.memory.records import ArtifactRef, CallStatus, ToolCall
from nereus.memory.workspace import Workspace
from nereus.tools import registry
from nereus.tools.steps import StepRunner


def read_once(
    workspace: Workspace, inputs: Mapping[str, ArtifactRef], options: Mapping[str, Any], seed: int
) -> None:
    """Read and profile the data before a run is opened: bad input leaves nothing behind, the run finds the steps recorded."""
    runner = StepRunner(workspace.artifacts, DatabaseLedger(workspace.database), seed)
    call, *beside = (_read(runner, role, inputs, options) for role in ("data", *companions(inputs)))
    layers = {"data": call, **dict(zip(companions(inputs), beside, strict=True))}
    refuse_strange_layers(
        {
            role: [str(name) for name in workspace.artifacts.dataset(one.outputs["dataset"]).obs_names]
            for role, one in layers.items()
            if len(layers) > 1
        }
    )
    if "samples" not in inputs:
        return
    for name in ("annotate_genes", "profile_dataset"):
        call = runner.run(registry.get(name), {}, {"dataset": call.outputs["dataset"]})
        if call.status is CallStatus.FAILED:
            raise InputError(call.error or call.summary, where=inputs["data"].name)
    tables = {
        one: workspace.artifacts.table(call.outputs[one])
        for one in ("columns", "samples", "contrasts", "associations", "notices")
    }
    refuse_design(tables, inputs["samples"].name)


def _read(
    runner: StepRunner, role: str, inputs: Mapping[str, ArtifactRef], options: Mapping[str, Any]
) -> ToolCall:
    """Read one table with its sheet, as the run will."""
    files = {"data": inputs[role]}
    if sheet_of(role) in inputs:
        files["samples"] = inputs[sheet_of(role)]
    params = {**reader_params(role, inputs), **options_of(role, options, inputs)}
    call = runner.run(registry.get("load_dataset"), params, files)
    if call.status is CallStatus.FAILED:
        raise InputError(call.error or call.summary, where=None if role == "data" else role)
    return call


def existing(path: str | Path, what: str) -> Path:
    """The file (or, of the data only, the folder that holds files) that was named; raises where there is none."""
    found = Path(path).expanduser()
    if not found.exists():
        raise InputError(f"there is no file {os.fspath(path)!r}", where=what, mend="check the path")
    if found.is_dir() and what != "data":
        raise InputError(f"{os.fspath(path)!r} is a folder", where=what, mend="name the table inside it")
    if found.is_dir() and not files_of(found):
        raise InputError(
            f"the folder {os.fspath(path)!r} holds no files",
            where=what,
            mend="name the folder of the files itself",
        )
    return found
