"""Start and resume runs: what `nereus.discover`, `nereus resume` and the command line call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.agents.planner.budget import parse_budget, refuse_other_limits
from nereus.agents.planner.companions import named_files, refuse_equal_files, stem
from nereus.agents.planner.driving import Ask, drive
from nereus.agents.planner.header import header_of, header_parts, policy_and_settings, settings_as_started
from nereus.agents.planner.learned_plans import PIPELINES
from nereus.agents.planner.learning import learn
from nereus.agents.planner.reading import existing, read_once
from nereus.agents.planner.run import Run
from nereus.agents.policies import make_policy
from nereus.agents.policies.base import Mixed
from nereus.agents.reporter.bundle import refuse_foreign_folder, refuse_unwritable_folder
from nereus.errors import InputError, ResumeRefused
from nereus.memory.actions import Actions
from nereus.memory.events import Listener
from nereus.memory.fingerprint import check_resume
from nereus.memory.priors import NOTHING, Priors, facts
from nereus.memory.records import Budget
from nereus.memory.runs import RESUMABLE
from nereus.memory.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from nereus.agents.policies.base import Policy
    from nereus.settings import Settings


def discover(
    data: str | Path,
    samples: str | Path | None = None,
    *,
    cohort: str | Path | None = None,
    cohort_samples: str | Path | None = None,
    layers: Mapping[str, str | Path] | None = None,
    question: str | None = None,
    out: str | Path | None = None,
    budget: list[str] | Budget | None = None,
    load: Mapping[str, Any] | None = None,
    ask: Ask | None = None,
    on_event: Listener | None = None,
    policy: Policy | str | None = None,
    **settings: Any,
) -> Run:
    """Turn a raw proteomics table into ranked and traceable hypotheses.

    Parameters
    ----------
    data
        Table of intensities (MaxQuant, DIA-NN, any wide CSV/TSV/XLSX, h5ad) or of cells, or a folder of files of cells
        (FCS, CSV), which is kept as one archive; the software is recognised from content.
    samples
        Sample sheet: one row a sample. Without one, groups are guessed from the sample names.
    cohort
        A second cohort, in a file of the same kind: what is found is tested again there.
    cohort_samples
        Sample sheet of the cohort.
    layers
        Other layers of the same samples, name -> file (``{"rna": "counts.csv"}``), named by the same sample sheet:
        features are correlated with their own of each layer.
    question
        What you want to know, in your words; objectives that match it come first.
    out
        Folder of the report; default ``nereus-<data name>`` in the working directory.
    budget
        Limits: ``["steps=40", "wall_s=300"]`` or a `Budget`.
    load
        Parameters of the reader where it should not decide alone, e.g. ``{"subject": "MouseID"}``. They are also the
        cohort's; ``cohort.subject`` and ``rna.scale`` are for the cohort and for the layer of that name only.
    ask
        Answers approval gates; without one, every gate is answered with its default.
    on_event
        Called with every event of the run as it happens.
    policy
        ``rules`` or ``llm`` in place of the one that the settings name, or a policy object.
    **settings
        Any setting of `nereus.settings.Settings`: ``seed``, ``workers``, ``approval``, ``home`` ...

    Returns
    -------
    Run
        The record and its tables; the report is in ``run.directory``.

    Raises
    ------
    InputError
        When the data cannot be analysed; says which file, row or column, and what to do.
    """
    chosen, loaded = policy_and_settings(policy, settings)
    limits = budget if isinstance(budget, Budget) else parse_budget(budget)
    files = {"data": existing(data, "data")}
    if samples is not None:
        files["samples"] = existing(samples, "sample sheet")
    beside = named_files(cohort, cohort_samples, layers)
    files |= {role: existing(path, role.replace("_", " ")) for role, path in beside.items()}
    out_dir = Path(out) if out is not None else Path(f"nereus-{stem(files['data'].name) or 'report'}")
    refuse_foreign_folder(out_dir)
    refuse_unwritable_folder(out_dir)
    chosen = chosen or make_policy(loaded, limits)
    with open_workspace(loaded) as workspace:
        with workspace.artifacts.together():
            inputs = {role: workspace.artifacts.put_file(path) for role, path in files.items()}
        options = dict(load or {})
        refuse_equal_files(inputs)
        read_once(workspace, inputs, options, loaded.seed)
        priors = _learned(workspace, inputs["data"].id, chosen)
        folder = os.path.abspath(out_dir.expanduser())
        header = workspace.repository.create_run(
            header_of(loaded, chosen, question, options, limits, inputs, "running", folder, priors)
        )
        run = drive(workspace, header, chosen, ask, on_event, new=True)
    return _taught(run, loaded)


def resume(
    run_id: str | None = None,
    *,
    ask: Ask | None = None,
    on_event: Listener | None = None,
    policy: Policy | str | None = None,
    data: str | Path | None = None,
    samples: str | Path | None = None,
    budget: list[str] | Budget | None = None,
    **settings: Any,
) -> Run:
    """Go on with a run that was interrupted, stopped by a budget or waits for an approval.

    Parameters
    ----------
    run_id
        The run; None takes the newest that can be resumed.
    data
        The data file, where you want it checked against the one that the run was started with.
    samples
        The same of the sample sheet. Without one, the run goes on with the sheet that it kept, whatever became of yours.
    budget
        A new limit on wall time, over all processes that worked on the run: ``["wall_s=3600"]``. Every other limit
        decides what is found, and must be the run's.
    **settings
        Settings; one that changes results and differs from the run's is refused.

    Raises
    ------
    ResumeRefused
        Graph, settings, data or limits differ from those of the run, another process is working on it, or more time is
        given to a run that has ended.
    """
    given, loaded = policy_and_settings(policy, settings)
    with open_workspace(loaded) as workspace:
        header = (
            workspace.repository.header(run_id) if run_id else workspace.repository.last_run(resumable=True)
        )
        if header is None:
            raise InputError(
                "no run can be resumed", where=str(loaded.home), mend="start one with `nereus discover`"
            )
        if header.status not in (*RESUMABLE, "finished"):
            raise ResumeRefused(
                f"the run ended as {header.status!r}: {header.stop_reason}",
                where=f"run {header.id}",
                mend="start a new run",
            )
        limits = refuse_other_limits(header, budget)
        same, chosen = settings_as_started(header, loaded, given, policy, settings)
        inputs = dict(header.inputs)
        if data is not None:
            inputs["data"] = workspace.artifacts.put_file(existing(data, "data"))
        if samples is not None:
            inputs["samples"] = workspace.artifacts.put_file(existing(samples, "sample sheet"))
        check_resume(header, header_parts(header, same, chosen, inputs))
        if limits != header.budget:
            header = workspace.repository.update_header(header.id, budget=limits)
        run = drive(workspace.with_settings(same), header, chosen, ask, on_event)
    return _taught(run, loaded)


def _taught(run: Run, settings: Settings) -> Run:
    """A run; where it finished and the settings ask for it, it is learned from when everything else is done."""
    if settings.learn and run.record.header.status == "finished":
        from nereus.agents.learner.background import learn_later

        learn_later(settings)
    return run


def _learned(workspace: Workspace, data_id: str, policy: Policy) -> Priors:
    """What ended runs teach a run that begins; nothing where it is frozen."""
    if workspace.settings.freeze:
        return NOTHING
    policies = policy.policies if isinstance(policy, Mixed) else {"default": policy.id}
    priors = learn(facts(workspace.database), data_id, policies)
    known = Actions(workspace.database).usable(PIPELINES)
    actions = tuple(one for one in known if data_id not in one.provenance.get("data", ()))
    return priors.model_copy(update={"actions": actions}) if actions else priors
