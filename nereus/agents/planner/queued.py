"""A run that is asked for now and worked on later, by another process: what the server does.

`discover` opens a run and drives it. Here the two halves are apart: `queue_run` records what is asked under the run's own
id, and `work_on` reads the data, refuses them or drives the run. Whoever follows the run's events sees one stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nereus.agents.planner.approval import RunWaits
from nereus.agents.planner.budget import parse_budget
from nereus.agents.planner.companions import refuse_equal_files
from nereus.agents.planner.discover import (
    Run,
    drive,
    header_of,
    header_parts,
    read_once,
    settings_as_started,
)
from nereus.agents.policies import make_policy
from nereus.errors import InputError, NereusError
from nereus.memory.fingerprint import check_resume
from nereus.memory.records import ArtifactRef, RunHeader, RunStatus
from nereus.memory.runs import RESUMABLE
from nereus.memory.workspace import Workspace
from nereus.settings import load_settings

QUEUED = "run_queued"
"""Event that a run which waits for a worker begins with."""


def queue_run(
    workspace: Workspace,
    inputs: Mapping[str, ArtifactRef],
    *,
    owner: str,
    reports: Path,
    question: str | None = None,
    budget: list[str] | None = None,
    load: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunHeader:
    """Record a run that is asked for; its status is ``queued``.

    Parameters
    ----------
    workspace
        Open stores; their settings are the server's.
    inputs
        ``data`` and what else `discover` takes, by role, as kept files.
    owner
        Whose run it is.
    reports
        Folder in which the run's report gets a folder of its own.
    question, budget, load
        See `discover`.
    **settings
        Settings of the run: ``seed``, ``policy``, ``approval`` ...

    Raises
    ------
    InputError
        What is asked contradicts itself.
    """
    # Nobody's run is told by what others ran: on a server nothing is learned, and nothing recalled.
    loaded = load_settings(
        **{**workspace.settings.model_dump(exclude_unset=True), **settings, "freeze": True}
    )
    limits = parse_budget(budget)
    policy = make_policy(loaded, limits)
    options = dict(load or {})
    refuse_equal_files(inputs)
    header = header_of(loaded, policy, question, options, limits, inputs, "queued")
    with workspace.database.write():
        made = workspace.repository.create_run(header, owner)
        made = workspace.repository.update_header(made.id, out_dir=str(reports / made.id))
        workspace.events.append(made.id, QUEUED, made.id, {"question": question or ""}, key="queued")
    return made


def work_on(workspace: Workspace, run_id: str) -> Run:
    """Work on a queued run until it ends or waits for an answer; goes on where another process died.

    Raises
    ------
    NereusError
        What ended it. Data that cannot be analysed end it as ``refused``, with the reason in its record.
    """
    header = workspace.repository.header(run_id)
    if header.status not in ("queued", *RESUMABLE):
        return Run(workspace.repository.load(run_id), workspace.artifacts)
    settings, policy = settings_as_started(header, workspace.settings, None, None, {"freeze": True})
    own = workspace.with_settings(settings)
    check_resume(header, header_parts(header, settings, policy, header.inputs))
    try:
        if header.status == "queued":
            read_once(own, header.inputs, header.settings.get("load", {}), header.seed)
        return drive(own, header, policy, _wait, None, new=header.status == "queued")
    except NereusError as error:
        now = workspace.repository.header(run_id)
        if now.status in ("queued", "running"):
            status: RunStatus = "refused" if isinstance(error, InputError) else "failed"
            workspace.repository.set_status(run_id, status, str(error))
        workspace.events.append(
            run_id,
            f"run_{workspace.repository.header(run_id).status}",
            run_id,
            {"reason": error.what},
            key="refused",
        )
        raise


def _wait(request: Mapping[str, Any]) -> Any:
    """At a gate nobody is there: the run waits, and goes on when the question has been answered."""
    del request
    raise RunWaits
