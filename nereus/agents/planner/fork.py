"""Forks: a recorded run goes another way from one of its questions on, as a run of its own.

The graph's thread is copied as it stood before the question was taken up, with what had been recorded until then. A
person's edits are answers at the gate of objectives and are carried out by the graph itself. Steps that were computed
are found by their keys; only what the edits change is computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nereus.agents.planner.approval import checked_answer, objectives_request
from nereus.agents.planner.driving import FORKED, Ask, drive
from nereus.agents.planner.header import header_parts, policy_and_settings, settings_as_started, versions
from nereus.agents.planner.research_graph import build_research_graph
from nereus.agents.planner.run import Run
from nereus.agents.planner.services import rows
from nereus.agents.policies.base import Policy, ProfileView
from nereus.agents.reporter.bundle import refuse_foreign_folder, refuse_unwritable_folder
from nereus.errors import InputError, ResumeRefused
from nereus.memory.checkpoints import before_choices, copy_checkpoint, open_checkpoints
from nereus.memory.database.models import LOCAL
from nereus.memory.events import Listener
from nereus.memory.fingerprint import check_resume, fingerprint
from nereus.memory.records import Decision, Objective, ObjectiveKind, RunHeader
from nereus.memory.rows import natural_order
from nereus.memory.workspace import Workspace, open_workspace

_FIELDS = ("covariates", "priority", "statement")
_CLOSED = ("done", "abandoned")


def fork(
    run_id: str,
    at: str,
    *,
    edit: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    ask: Ask | None = None,
    on_event: Listener | None = None,
    policy: Policy | str | None = None,
    **settings: Any,
) -> Run:
    """Go another way from a question of a run on, as a new run.

    Parameters
    ----------
    run_id
        The run; it stays as it is.
    at
        Objective, such as ``O2``: the fork begins before it was taken up.
    edit
        What is changed of the questions that are open there: ``{"drop": ["O3"], "edit": {"O2": {"covariates": ["age"]}},
        "add": [...]}``, as answers at the gate of objectives. None changes nothing.
    out
        Folder of the report; default the run's folder with ``-fork-O2`` behind it.
    ask, on_event, policy, **settings
        As those of `nereus.resume`; what changes results must equal the run's.

    Raises
    ------
    InputError
        The run has no such open question, or the edit names what is not there.
    ResumeRefused
        Version, settings or data differ from those of the run.

    Examples
    --------
    >>> import nereus
    >>> nereus.fork("r1a2b3c4d5e-1", "O2", edit={"edit": {"O2": {"covariates": ["age"]}}})  # doctest: +SKIP
    """
    _refuse_odd_edit(edit)
    given, loaded = policy_and_settings(policy, settings)
    with open_workspace(loaded) as workspace:
        origin = workspace.repository.header(run_id)
        same, chosen = settings_as_started(origin, loaded, given, policy, settings)
        check_resume(origin, header_parts(origin, same, chosen))
        own = workspace.with_settings(same)
        header = open_fork(own, origin, at, edit or {}, _folder(out, origin, at))
        return drive(own, header, chosen, ask, on_event)


def open_fork(
    workspace: Workspace,
    origin: RunHeader,
    at: str,
    edit: Mapping[str, Any],
    folder: Path | None,
    owner: str = LOCAL,
) -> RunHeader:
    """Record a fork with all that it begins with; it is gone on with like a run that was interrupted.

    Parameters
    ----------
    workspace
        Open stores, with the settings of the run.
    origin, at, edit
        See `fork`.
    folder
        Of the report; None where whoever asks names it afterwards.
    owner
        Whose fork it is.
    """
    _refuse_odd_edit(edit)
    with open_checkpoints(workspace.settings.checkpoint_url) as saver:
        found = _before(saver, origin, at)
        state = found.checkpoint["channel_values"]
        answer = _answer(workspace, state, edit)
        header = _opened(workspace, origin, at, answer, folder, owner)
        _copy_record(workspace, origin.id, header, state)
        saver.delete_thread(header.id)
        copy_checkpoint(saver, found, header.id)
        if answer:
            graph = build_research_graph(saver)
            graph.update_state(
                {"configurable": {"thread_id": header.id}}, {"answer": answer}, as_node="gate_objectives"
            )
    workspace.events.append(
        header.id, FORKED, header.id, {"from": origin.id, "at": at, "edit": answer}, key="forked"
    )
    return header


def read_edit(
    file: Path | None, drop: list[str] | None = None, assignments: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What is edited: a YAML or JSON file, objectives to drop, and assignments ``O2.covariates -> "age,sex"``.

    Raises
    ------
    InputError
        The file is no mapping, or an assignment names no field that can be set.
    """
    found: dict[str, Any] = {}
    if file is not None:
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"cannot be read: {error}", where=str(file), mend="write YAML or JSON") from None
        if not isinstance(read, dict):
            raise InputError(
                "an edit is a mapping", where=str(file), mend="write some of drop, edit and add as its keys"
            )
        found = dict(read)
    if isinstance(found.get("drop"), str):  # one objective, written without a list
        found["drop"] = [found["drop"]]
    if drop:
        _refuse_odd_shapes(found, str(file))
        found["drop"] = [*(found.get("drop") or []), *drop]
    _refuse_odd_shapes(found, str(file or "--set"))
    edits = {name: dict(one or {}) for name, one in (found.get("edit") or {}).items()}
    for name, text in (assignments or {}).items():
        objective, _, field = name.partition(".")
        if field not in _FIELDS:
            raise InputError(
                f"{name!r} cannot be set",
                where="--set",
                mend=f"write OBJECTIVE.FIELD=VALUE with a field of {', '.join(_FIELDS)}; contrasts go into --edit",
            )
        value: Any = text
        if field == "covariates":
            value = [one.strip() for one in text.split(",") if one.strip()]
        edits.setdefault(objective, {})[field] = value
    if edits:
        found["edit"] = edits
    return found


def _refuse_odd_edit(edit: Any) -> None:
    if edit is not None and not isinstance(edit, Mapping):
        raise InputError(
            "an edit is a mapping", where="edit", mend="give some of drop, edit and add as its keys"
        )
    _refuse_odd_shapes(edit or {}, "edit")


def _refuse_odd_shapes(edit: Mapping[str, Any], where: str) -> None:
    """`InputError` where a part of an edit is not of its form."""
    parts = edit.get("edit") or {}
    wrong = (
        "drop is no list of objectives"
        if not isinstance(edit.get("drop") or [], list)
        else "add is no list of objectives"
        if not isinstance(edit.get("add") or [], list)
        else "edit is no mapping of objectives to their changes"
        if not isinstance(parts, Mapping) or any(not isinstance(one or {}, Mapping) for one in parts.values())
        else ""
    )
    if wrong:
        raise InputError(
            wrong, where=where, mend="write drop: [O3], or edit: {O2: {covariates: [age]}}, or add: [...]"
        )


# --------------------------------------------------------------------------------------------------- the way there


def _before(saver: Any, origin: RunHeader, at: str) -> Any:
    """The newest checkpoint at which the question is open and the next ones are about to be chosen."""
    kept = list(before_choices(saver, origin.id))
    if not kept:
        raise InputError(
            "the states of this run were not kept",
            where=f"run {origin.id}",
            mend="start it again with `nereus discover`: finished steps are not computed again",
        )
    known: set[str] = set()
    for one in kept:
        objectives = one.checkpoint["channel_values"].get("objectives", {})
        opened = {
            name
            for name, value in objectives.items()
            if value["status"] == "open" and value["kind"] != ObjectiveKind.DATA
        }
        if at in opened:
            return one
        known |= opened
    raise InputError(
        f"{at!r} is no question before which this run can be forked",
        where=f"run {origin.id}",
        mend=f"name one of {', '.join(sorted(known, key=natural_order))}"
        if known
        else "it ended before a question was open: start it again with `nereus discover`",
    )


def _answer(workspace: Workspace, state: Mapping[str, Any], edit: Mapping[str, Any]) -> dict[str, Any]:
    """The edit as a checked answer at the gate of objectives; empty where nothing is edited."""
    if not edit:
        return {}
    step = str(state.get("outputs", {}).get("profile", "")).partition("/")[0]
    calls = workspace.repository.calls([state["calls"][step]]) if step else {}
    tables = {
        name: rows(workspace.artifacts.table(call.outputs[name]))
        for call in calls.values()
        for name in ("columns", "factors")
        if name in call.outputs
    }
    opened = [
        one
        for one in (Objective.model_validate(value) for value in state["objectives"].values())
        if one.status == "open"
    ]
    request = objectives_request(opened, int(state.get("proposals", 0)), ProfileView(tables=tables))
    return checked_answer(request, dict(edit))


def _folder(out: str | Path | None, origin: RunHeader, at: str) -> Path:
    if out is not None:
        folder = Path(out).expanduser()
    else:
        stem, number = f"{origin.out_dir}-fork-{at}", 1
        folder = Path(stem)
        while folder.exists():
            number += 1
            folder = Path(f"{stem}-{number}")
    if os.path.realpath(folder) == os.path.realpath(origin.out_dir):
        raise InputError(
            "this is the folder of the run itself", where=str(folder), mend="name another one with --out"
        )
    refuse_foreign_folder(folder)
    refuse_unwritable_folder(folder)
    return folder


def _opened(
    workspace: Workspace,
    origin: RunHeader,
    at: str,
    answer: Mapping[str, Any],
    folder: Path | None,
    owner: str,
) -> RunHeader:
    told = {"fork of": origin.id, "fork at": at, "fork edit": json.dumps(dict(answer), sort_keys=True)}
    parts = {**origin.fingerprint_parts, **told}
    return workspace.repository.create_run(
        origin.model_copy(
            update={
                "id": "",
                "status": "running",
                "stop_reason": "",
                "out_dir": "" if folder is None else os.path.abspath(folder),
                "fingerprint": fingerprint(parts),
                "fingerprint_parts": parts,
                "versions": versions(),
                "used": {},
                "started": "",
                "finished": None,
                "wall_s": 0.0,
                "forked_from": origin.id,
                "forked_at": at,
                "forked_edit": dict(answer),
            }
        ),
        owner,
    )


def _copy_record(workspace: Workspace, origin: str, header: RunHeader, state: Mapping[str, Any]) -> None:
    """What was recorded until there: questions as they stood, workflows of the closed ones, their decisions."""
    repository = workspace.repository
    objectives = [Objective.model_validate(value) for value in state["objectives"].values()]
    closed = {one.id for one in objectives if one.status in _CLOSED}
    repository.save_objectives(header.id, objectives)
    for workflow in repository.load(origin).workflows:
        if workflow.objective_id not in closed:
            continue
        for version in repository.workflow_versions(origin, workflow.id):
            if version.template != "verification":  # its steps come after the synthesis
                repository.save_workflow(header.id, version)
    repository.save_decisions(
        header.id, [one for one in repository.decisions(origin) if _was_made(one, closed, state)]
    )
    workspace.events.append(header.id, "run_started", header.id, {"question": header.question})
    told = {
        "objective_proposed": set(state["objectives"]),
        "objective_selected": closed,
        "objective_closed": closed,
    }
    for event in workspace.events.read(origin):
        if event.subject in told.get(event.type, ()):
            workspace.events.append(header.id, event.type, event.subject, event.payload)


def _was_made(one: Decision, closed: set[str], state: Mapping[str, Any]) -> bool:
    """Whether a decision was made before the fork."""
    word, _, number = one.subject.partition(" ")
    if word in ("proposal", "round") and number.isdigit():
        made = int(state.get("proposals" if word == "proposal" else "round", 0))
        return int(number) <= made
    return one.subject.partition(".")[0].partition("#")[0] in closed


__all__ = ["ResumeRefused", "fork", "read_edit"]
