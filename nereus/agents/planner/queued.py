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
from nereus.agents.planner.driving import Ask, drive
from nereus.agents.planner.fork import open_fork
from nereus.agents.planner.header import header_of, header_parts
from nereus.agents.planner.plan_file import Plan, PlanAnswers, PlanWriter, checked_plan
from nereus.agents.planner.reading import read_once
from nereus.agents.planner.run import Run
from nereus.agents.policies import make_policy
from nereus.agents.policies.base import Policy
from nereus.errors import InputError, NereusError, ResumeRefused
from nereus.memory.fingerprint import check_resume
from nereus.memory.records import ArtifactRef, RunHeader, RunStatus
from nereus.memory.runs import RESUMABLE
from nereus.memory.workspace import Workspace
from nereus.settings import load_settings

QUEUED = "run_queued"
"""Event that a run which waits for a worker begins with."""
_ASKED = ("seed", "policy", "embedder", "freeze", "approval")
STOP_AT = "stop_at"
"""Among the settings of a run: where it stops, and waits."""
PLAN, PLANNED = "plan", "planned"
"""Among the settings of a run: the plan with which it waits, and the plan by which it goes on."""


def queue_run(
    workspace: Workspace,
    inputs: Mapping[str, ArtifactRef],
    *,
    owner: str,
    reports: Path,
    question: str | None = None,
    budget: list[str] | None = None,
    load: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
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
    told
        What `work_on` must know beside: ``{"stop_at": "plan"}``.
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
    header = header.model_copy(update={"settings": {**header.settings, **(told or {})}})
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
    own, policy = _as_asked(workspace, header)
    check_resume(header, header_parts(header, own.settings, policy, header.inputs))
    try:
        if header.status == "queued":
            read_once(own, header.inputs, header.settings.get("load", {}), header.seed)
        ask = _who_answers(header)
        run = drive(own, header, policy, ask, None, new=header.status == "queued")
        if isinstance(ask, PlanWriter) and ask.plan is not None:
            _keep(workspace, run_id, PLAN, ask.plan)
        return run
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


def queue_fork(
    workspace: Workspace, run_id: str, at: str, edit: Mapping[str, Any], *, owner: str, reports: Path
) -> RunHeader:
    """Record a fork of a run (see `nereus.fork`) that another process goes on with.

    Raises
    ------
    InputError
        The run has no such open question, or the edit names what is not there.
    ResumeRefused
        Version, settings or data differ from those of the run.
    """
    origin = workspace.repository.header(run_id)
    own, policy = _as_asked(workspace, origin)
    check_resume(origin, header_parts(origin, own.settings, policy))
    header = open_fork(own, origin, at, edit, None, owner)
    return workspace.repository.update_header(header.id, out_dir=str(reports / header.id))


def _as_asked(workspace: Workspace, header: RunHeader) -> tuple[Workspace, Policy]:
    """The stores under the settings that were asked for with a run, whatever the server's own are; and its policy."""
    own = workspace.settings.model_dump(exclude_unset=True)
    asked = {name: header.settings[name] for name in _ASKED if name in header.settings}
    settings = load_settings(**{**own, **asked})
    return workspace.with_settings(settings), make_policy(settings, header.budget)


def plan_of(header: RunHeader) -> Plan | None:
    """The plan with which a run waits, as it was edited; None where it has none."""
    found = header.settings.get(PLANNED) or header.settings.get(PLAN)
    return None if found is None else Plan.model_validate(found)


def carry_out(workspace: Workspace, run_id: str, document: Mapping[str, Any]) -> RunHeader:
    """Let a run that waits with a plan go on by an edited one.

    Raises
    ------
    InputError
        It is no plan, or one of other data.
    ResumeRefused
        The run does not wait with a plan.
    """
    with workspace.database.write():
        header = workspace.repository.header(run_id)
        if header.status != "waiting" or PLAN not in header.settings:
            raise ResumeRefused(
                f"the run is {header.status}, and waits with no plan",
                where=f"run {run_id}",
                mend="ask for a run with stop_at: plan",
            )
        plan = checked_plan(document, "plan")
        if plan.sha256 != header.inputs["data"].id:
            raise InputError(
                f"the plan was made for {plan.data!r} with other content",
                where="plan",
                mend="edit the plan of this run",
            )
        return _keep(workspace, run_id, PLANNED, plan)


def _keep(workspace: Workspace, run_id: str, name: str, plan: Plan) -> RunHeader:
    with workspace.database.write():
        header = workspace.repository.header(run_id)
        return workspace.repository.update_header(
            run_id, settings={**header.settings, name: plan.model_dump(mode="json")}
        )


def _who_answers(header: RunHeader) -> Ask:
    """Who answers the questions of a run that nobody sits beside: its plan, or those who find it waiting."""
    if PLANNED in header.settings:
        return PlanAnswers(Plan.model_validate(header.settings[PLANNED]))
    return PlanWriter() if header.settings.get(STOP_AT) == PLAN else _wait


def _wait(request: Mapping[str, Any]) -> Any:
    """At a gate nobody is there: the run waits, and goes on when the question has been answered."""
    del request
    raise RunWaits
