"""Start, resume and look at runs: what `nereus.discover`, `nereus resume` and the command line call."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus import __version__
from nereus.agents.planner.approval import RunWaits, Stops, checked_answer, question_id
from nereus.agents.planner.budget import BudgetKeeper, parse_budget, refuse_other_limits
from nereus.agents.planner.companions import (
    companions,
    named_files,
    options_of,
    reader_params,
    refuse_equal_files,
    refuse_strange_layers,
    sheet_of,
    stem,
)
from nereus.agents.planner.learned_plans import PIPELINES, pipelines_of
from nereus.agents.planner.learning import Experience, learn
from nereus.agents.planner.refusal import refuse_design
from nereus.agents.planner.research_graph import GRAPH_VERSION, build_research_graph
from nereus.agents.planner.services import Services
from nereus.agents.policies import make_policy
from nereus.agents.policies.base import Metered, Mixed
from nereus.agents.reporter.bundle import refuse_foreign_folder, refuse_unwritable_folder, write_bundle
from nereus.errors import InputError, ResumeRefused, StoreError
from nereus.memory.actions import Actions
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.checkpoints import ahead, before_choices, open_checkpoints, prune
from nereus.memory.database import DatabaseLedger
from nereus.memory.events import Listener
from nereus.memory.fingerprint import check_resume, fingerprint, fingerprint_parts
from nereus.memory.folder_archive import files_of
from nereus.memory.locks import held
from nereus.memory.priors import NOTHING, Priors, facts
from nereus.memory.progress import Progress
from nereus.memory.records import (
    ArtifactRef,
    Budget,
    CallStatus,
    Hypothesis,
    RunHeader,
    RunRecord,
    RunStatus,
    ToolCall,
)
from nereus.memory.retention import LOCKS
from nereus.memory.runs import RESUMABLE
from nereus.memory.vectors import open_vectors
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import Settings, load_settings
from nereus.tools import registry
from nereus.tools.steps import StepRunner

if TYPE_CHECKING:
    import pandas as pd

    from nereus.agents.policies.base import Policy

Ask = Callable[[Mapping[str, Any]], Any]
"""Answers a question of an approval gate: True, False, or a dictionary of edits."""

FORKED = "run_forked"
"""Event that tells that a fork has all that it begins with: killed before it, the fork has lost a person's edit."""
_KILLED_S = 2.0

_ENDS_EARLY = (
    "the record ends before the checkpoints, as after a power cut: recorded steps are gone through again"
)

_VERSIONED = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "statsmodels",
    "anndata",
    "matplotlib",
    "langgraph",
)


class Run:
    """A run and what came out of it, read from the record.

    Attributes
    ----------
    record
        The complete typed record.
    artifacts
        Where its tables, data sets and figures are.
    """

    def __init__(self, record: RunRecord, artifacts: ArtifactStore) -> None:
        self.record = record
        self.artifacts = artifacts

    @property
    def id(self) -> str:
        """Identifier, as `nereus show` and `nereus resume` take it."""
        return self.record.header.id

    @property
    def status(self) -> str:
        """``finished``, ``stopped`` (by a budget), ``waiting`` (for an approval), ``running``, ``refused`` or ``failed``."""
        return self.record.header.status

    @property
    def directory(self) -> Path:
        """Folder of the report."""
        return Path(self.record.header.out_dir)

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """All hypotheses, best first; refuted ones are kept."""
        return self.record.hypotheses

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every feature-level claim at the run's error level, with ``claims.csv``'s columns first."""
        import pandas as pd

        if "claims" not in self.record.outputs:
            return pd.DataFrame(
                columns=["contrast", "feature", "gene", "direction", "effect", "q", "confidence", "kind"]
            )
        return self.output("claims")

    def output(self, name: str) -> pd.DataFrame:
        """A well-known table of the run, by a name of ``run.record.outputs``."""
        step_id, _, output = self.record.outputs[name].partition("/")
        return self.table(step_id, output)

    def table(self, step_id: str, name: str) -> pd.DataFrame:
        """A table that a step made."""
        keys = {step.id: step.call_key for step in self.record.steps()}
        key = keys.get(step_id)
        if key is None:
            raise InputError(
                f"there is no finished step {step_id!r}",
                where=f"run {self.id}",
                mend="see run.record.steps()",
            )
        return self.artifacts.table(self.record.calls[key].outputs[name])

    def __repr__(self) -> str:
        supported = sum(one.status == "supported" for one in self.hypotheses)
        return f"<Run {self.id}: {self.status}, {supported} supported of {len(self.hypotheses)} hypotheses, {self.directory}>"

    def _repr_html_(self) -> str:
        from nereus.agents.reporter.card import card_html

        return card_html(self.record)


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
    files = {"data": _existing(data, "data")}
    if samples is not None:
        files["samples"] = _existing(samples, "sample sheet")
    beside = named_files(cohort, cohort_samples, layers)
    files |= {role: _existing(path, role.replace("_", " ")) for role, path in beside.items()}
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
        return drive(workspace, header, chosen, ask, on_event, new=True)


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
            inputs["data"] = workspace.artifacts.put_file(_existing(data, "data"))
        if samples is not None:
            inputs["samples"] = workspace.artifacts.put_file(_existing(samples, "sample sheet"))
        check_resume(header, header_parts(header, same, chosen, inputs))
        if limits != header.budget:
            header = workspace.repository.update_header(header.id, budget=limits)
        return drive(workspace.with_settings(same), header, chosen, ask, on_event)


def settings_as_started(
    header: RunHeader,
    loaded: Settings,
    given: Policy | None,
    policy: Policy | str | None,
    settings: Mapping[str, Any],
) -> tuple[Settings, Policy]:
    """Settings and policy with which a run was started, but for those that are given now."""
    explicit = loaded.model_fields_set
    started = {
        name: header.settings[name]
        for name in loaded.names_of_results()
        if name in header.settings and name not in explicit
    }
    named = {"policy": policy} if isinstance(policy, str) else {}
    if "approval" not in explicit and "approval" in header.settings:
        started["approval"] = header.settings["approval"]
    same = load_settings(**{**settings, **named, **started})
    return same, given or make_policy(same, header.budget)


def header_of(
    settings: Settings,
    policy: Policy,
    question: str | None,
    options: Mapping[str, Any],
    limits: Budget,
    inputs: Mapping[str, ArtifactRef],
    status: RunStatus,
    out_dir: str = "",
    priors: Priors = NOTHING,
) -> RunHeader:
    """Header of a run that is asked for: what it is asked, of what, and all that its result depends on."""
    parts = result_parts(settings, policy, question, options, limits, inputs) | _told_of(priors)
    return RunHeader(
        id="",
        status=status,
        question=question,
        seed=settings.seed,
        policy=policy.id,
        workers=settings.workers,
        out_dir=out_dir,
        inputs=dict(inputs),
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
        settings={**settings.public(), "load": dict(options)},
        versions=versions(),
        budget=limits,
        learned={} if priors == NOTHING else priors.model_dump(mode="json"),
    )


def header_parts(
    header: RunHeader, settings: Settings, policy: Policy, inputs: Mapping[str, ArtifactRef] | None = None
) -> dict[str, str]:
    """What a run's result depends on, as it would be gone on with now."""
    load = header.settings.get("load", {})
    inputs = header.inputs if inputs is None else inputs
    parts = result_parts(settings, policy, header.question, load, header.budget, inputs)
    parts |= _told_of(Priors.model_validate(header.learned))
    return parts | {name: text for name, text in header.fingerprint_parts.items() if name.startswith("fork ")}


def load_run(run_id: str | None = None, **settings: Any) -> Run:
    """A recorded run; None takes the newest."""
    with open_workspace(load_settings(**settings)) as workspace:
        header = workspace.repository.header(run_id) if run_id else workspace.repository.last_run()
        if header is None:
            raise InputError(
                "there is no run yet",
                where=str(workspace.settings.home),
                mend="start one with `nereus discover`",
            )
        return Run(workspace.repository.load(header.id), workspace.artifacts)


def versions() -> dict[str, str]:
    """Versions of everything that computes."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"nereus": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# ---------------------------------------------------------------------------------------------------------- driving


def drive(
    workspace: Workspace,
    header: RunHeader,
    policy: Policy,
    ask: Ask | None,
    on_event: Listener | None,
    new: bool = False,
) -> Run:
    """Run the graph from its last checkpoint to its end, write the report, and remember the run."""
    settings, repository = workspace.settings, workspace.repository
    keeper = BudgetKeeper(header.budget, header.wall_s)
    with ExitStack() as stack:
        stack.enter_context(_only_process(workspace, header.id))
        if on_event is not None:
            stack.callback(workspace.events.subscribe(on_event))
        progress = Progress(repository.mark(header.id), workspace.events.kept)
        saver = stack.enter_context(open_checkpoints(settings.checkpoint_url, progress))
        if new:  # what a run with this id left whose record is gone
            saver.delete_thread(header.id)
        elif ahead(saver, progress()):
            saver.delete_thread(header.id)
            workspace.events.append(header.id, "checkpoints_dropped", header.id, {"reason": _ENDS_EARLY})
        index = stack.enter_context(open_vectors(settings, repository))
        services = Services(
            run_id=header.id,
            question=header.question,
            seed=header.seed,
            approval=settings.approval,
            repository=repository,
            events=workspace.events,
            artifacts=workspace.artifacts,
            runner=StepRunner(
                workspace.artifacts,
                DatabaseLedger(workspace.database, header.id),
                header.seed,
                # What led to a computation is shown and kept before it begins.
                on_compute=lambda tool: workspace.database.settle(),
            ),
            policy=policy,
            budget=keeper,
            inputs=header.inputs,
            load=header.settings.get("load", {}),
            progress=progress,
            recall=None if settings.freeze else index,
            experience=Experience(Priors.model_validate(header.learned)),
            pipelines=pipelines_of(header.learned, settings),
            reason=settings.reason,
        )
        given = {ref.id: ref for ref in header.inputs.values()}
        workspace.artifacts.make_again = lambda ref: services.runner.make_again(ref, given)
        graph = build_research_graph(saver)
        config = {
            "configurable": {"thread_id": header.id},
            "max_concurrency": max(1, settings.workers),
            "recursion_limit": 20 + 12 * int(header.budget.steps),
        }
        if isinstance(policy, Metered):
            policy.go_on(repository.decisions(header.id))
        repository.set_status(header.id, "running")
        started = bool(graph.get_state(config).values)
        whole = not header.forked_from or any(one.type == FORKED for one in workspace.events.read(header.id))
        if header.forked_from and not (started and whole):
            raise ResumeRefused(
                "the state from which this fork began is lost",
                where=f"run {header.id}",
                mend=f"fork {header.forked_from} again at {header.forked_at}",
            )
        payload: Any = None if started else {"limits": _limits(header.budget, settings.approval)}
        while True:
            state = graph.invoke(payload, config, context=services)
            questions = state.get("__interrupt__") or ()
            if not questions:
                break
            try:
                answers = {one.id: _answer(workspace, header.id, one.value, ask) for one in questions}
            except RunWaits:
                repository.set_status(header.id, "waiting")
                if isinstance(ask, Stops):
                    ask.stopped(services, graph.get_state(config).values)
                return Run(repository.load(header.id), workspace.artifacts)
            from langgraph.types import Command

            payload = Command(resume=answers)
        if state["status"] == "refused":
            repository.set_status(header.id, "refused", state["stop_reason"], wall_s=keeper.wall_s)
            raise InputError(state["stop_reason"], where=header.inputs["data"].name)
        repository.update_header(header.id, used=state.get("used", {}), wall_s=round(keeper.wall_s, 3))
        repository.set_status(header.id, state["status"], state.get("stop_reason", ""))
        record = repository.load(header.id)
        if index is not None:
            index.remember_run(record)
        # Before the report is written, which tells what was found damaged.
        damaged = () if index is None else [one.partition(" (")[0] for one in index.notices]  # without codes
        if told := (*workspace.artifacts.made_again, *damaged):
            for notice in told:
                repository.add_notice(header.id, notice)
            record = repository.load(header.id)
        try:
            write_bundle(record, workspace.artifacts, header.out_dir)
        except OSError as error:
            raise InputError(
                f"the report cannot be written: {error.strerror or error}",
                where=header.out_dir,
                mend=f"make room or give write access, then `nereus resume {header.id}`",
            ) from error
        prune(saver, header.id, keep=[one.checkpoint["id"] for one in before_choices(saver, header.id)])
        return Run(record, workspace.artifacts)


def policy_and_settings(
    policy: Policy | str | None, settings: Mapping[str, Any]
) -> tuple[Policy | None, Settings]:
    """The policy object, where one was given, and the settings; a policy's name is a setting."""
    if isinstance(policy, str):
        return None, load_settings(**settings, policy=policy)
    return policy, load_settings(**settings)


def _limits(budget: Budget, approval: str) -> dict[str, float]:
    asked = float(approval == "always")
    return {
        "steps": float(budget.steps),
        "tool_calls": float(budget.tool_calls),
        "objectives": float(budget.objectives),
        "hypotheses": float(budget.hypotheses),
        "gate_objectives": asked,
        "gate_report": asked,
    }


def _answer(workspace: Workspace, run_id: str, request: Mapping[str, Any], ask: Ask | None) -> Any:
    """Ask through the approvals table, so that a page or another process could answer as well."""
    identity = question_id(request)
    approval = workspace.repository.request_approval(run_id, identity, str(request.get("gate", "")), request)
    workspace.events.append(run_id, "approval_requested", identity, dict(request), key=f"ask {identity}")
    if approval.answer is None:
        answer = checked_answer(request, ask(request) if ask is not None else True)
        approval = workspace.repository.answer_approval(
            run_id, identity, answer, by="person" if ask else "default"
        )
    workspace.events.append(
        run_id, "approval_given", identity, dict(approval.answer or {}), key=f"answer {identity}"
    )
    return approval.answer


@contextmanager
def _only_process(workspace: Workspace, run_id: str) -> Iterator[None]:
    folder = workspace.settings.home / LOCKS
    # A killed process may take a moment to be gone.
    with held(workspace.database, folder, run_id, wait_s=_KILLED_S) as mine:
        if not mine:
            raise ResumeRefused(
                "another process is working on it",
                where=f"run {run_id}",
                mend="wait for it, or end that process",
            )
        yield


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


def result_parts(
    settings: Settings,
    policy: Policy,
    question: str | None,
    options: Mapping[str, Any],
    limits: Budget,
    inputs: Mapping[str, ArtifactRef],
) -> dict[str, str]:
    """What a run's result depends on, by name: what its fingerprint is made of."""
    chosen = {
        **settings.of_results(),
        "policy": f"{policy.id} {policy.version}",
        "question": question,
        "load": dict(options),
        "budget": limits.model_dump(exclude={"wall_s"}),
    }
    return fingerprint_parts(
        f"{__version__} graph {GRAPH_VERSION}", chosen, {role: ref.id for role, ref in inputs.items()}
    )


def _learned(workspace: Workspace, data_id: str, policy: Policy) -> Priors:
    """What ended runs teach a run that begins; nothing where it is frozen."""
    if workspace.settings.freeze:
        return NOTHING
    policies = policy.policies if isinstance(policy, Mixed) else {"default": policy.id}
    priors = learn(facts(workspace.database), data_id, policies)
    known = Actions(workspace.database).usable(PIPELINES)
    actions = tuple(one for one in known if data_id not in one.provenance.get("data", ()))
    return priors.model_copy(update={"actions": actions}) if actions else priors


def _told_of(priors: Priors) -> dict[str, str]:
    """What was learned as a part of the fingerprint; none where it decides nothing."""
    return {} if priors.decisive == NOTHING.decisive else {"learned": priors.digest}


def _existing(path: str | Path, what: str) -> Path:
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


__all__ = ["Run", "StoreError", "discover", "load_run", "resume", "versions"]
