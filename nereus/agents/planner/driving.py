"""Driving a run: the graph from its last checkpoint to its end, the questions on the way, the report, the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from nereus.agents.planner.approval import RunWaits, Stops, checked_answer, question_id
from nereus.agents.planner.budget import BudgetKeeper
from nereus.agents.planner.learned_plans import pipelines_of
from nereus.agents.planner.learning import Experience
from nereus.agents.planner.research_graph import build_research_graph
from nereus.agents.planner.run import Run
from nereus.agents.planner.services import Services
from nereus.agents.policies.base import Metered
from nereus.agents.reporter.bundle import write_bundle
from nereus.errors import InputError, ResumeRefused
from nereus.memory.checkpoints import ahead, before_choices, open_checkpoints, prune
from nereus.memory.database import DatabaseLedger
from nereus.memory.events import Listener
from nereus.memory.locks import held
from nereus.memory.priors import Priors
from nereus.memory.progress import Progress
from nereus.memory.records import Budget, RunHeader
from nereus.memory.retention import LOCKS
from nereus.memory.vectors import open_vectors
from nereus.memory.workspace import Workspace
from nereus.tools.steps import StepRunner

if TYPE_CHECKING:
    from nereus.agents.policies.base import Policy

Ask = Callable[[Mapping[str, Any]], Any]
"""Answers a question of an approval gate: True, False, or a dictionary of edits."""

FORKED = "run_forked"
"""Event that tells that a fork has all that it begins with: killed before it, the fork has lost a person's edit."""
_KILLED_S = 2.0
_ENDS_EARLY = (
    "the record ends before the checkpoints, as after a power cut: recorded steps are gone through again"
)


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
            pipelines=pipelines_of(header.learned, settings, workspace.database),
            reason=settings.reason,
        )
        if services.pipelines is not None:
            stack.callback(services.pipelines.close)
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
