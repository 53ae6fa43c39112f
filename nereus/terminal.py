"""A run as seen in a terminal: a live tree of objectives, workflows and steps, made from the event stream alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from shlex import quote
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from nereus.agents.planner.run import Run
    from nereus.memory.records import Event

_MARK = {
    "open": "·",
    "running": "▸",
    "done": "✓",
    "failed": "✗",
    "abandoned": "–",
    "planned": "·",
    "skipped": "–",
}
_STYLE = {"running": "bold", "done": "green", "failed": "red", "abandoned": "dim", "skipped": "dim"}


class LiveView:
    """Folds events into a tree. Replaying a stream rebuilds the same tree."""

    def __init__(self) -> None:
        self.objectives: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, dict[str, Any]] = {}
        self.hypotheses = 0
        self.now = ""
        self.started = time.monotonic()
        self._live: Live | None = None
        self._plain: Console | None = None
        self._lock = Lock()

    # ------------------------------------------------------------------------- events

    def show(self, event: Event) -> None:
        """Take in one event and redraw."""
        with self._lock:
            self._fold(event)
        if self._live is not None:
            self._live.update(self.render())
        elif self._plain is not None and (line := plain_line(event)):
            self._plain.print(escape(line), highlight=False, soft_wrap=True)

    def _fold(self, event: Event) -> None:
        payload, subject = event.payload, event.subject
        if event.type in ("objective_proposed", "objective_selected"):
            status = "open" if event.type == "objective_proposed" else "running"
            self.objectives.setdefault(subject, {"statement": payload.get("statement", subject)})[
                "status"
            ] = status
        elif event.type == "objective_closed":
            self.objectives.setdefault(subject, {"statement": subject})["status"] = payload["status"]
        elif event.type in ("workflow_planned", "workflow_refined"):
            planned = {step[0] for step in payload["steps"]}
            for known in [one for one in self.steps if one.startswith(f"{subject}.") and one not in planned]:
                del self.steps[known]
            for step_id, tool, purpose in payload["steps"]:
                self.steps.setdefault(step_id, {"tool": tool, "purpose": purpose, "status": "planned"})
        elif event.type in ("step_started", "step_finished", "step_failed"):
            status = {"step_started": "running", "step_finished": "done", "step_failed": "failed"}[event.type]
            step = self.steps.setdefault(
                subject, {"tool": payload.get("tool", ""), "purpose": payload.get("purpose", "")}
            )
            step["status"] = status
            self.now = payload.get("summary") or payload.get("purpose") or self.now
        elif event.type == "hypothesis_proposed":
            self.hypotheses += 1

    # ------------------------------------------------------------------------ drawing

    def render(self) -> Group:
        """The tree as it stands."""
        done = sum(step["status"] == "done" for step in self.steps.values())
        elapsed = time.monotonic() - self.started
        head = Text(
            f"{done}/{len(self.steps)} steps · {self.hypotheses} hypotheses · {elapsed:.0f} s", style="cyan"
        )
        tree = Tree(head, guide_style="dim")
        for identity, objective in sorted(self.objectives.items(), key=lambda item: int(item[0][1:])):
            status = objective["status"]
            branch = tree.add(
                Text(f"{_MARK[status]} {identity} {objective['statement']}", style=_STYLE.get(status, ""))
            )
            if status != "running":
                continue
            for step_id, step in self.steps.items():
                if step_id.startswith(f"{identity}."):
                    branch.add(
                        Text(
                            f"{_MARK[step['status']]} {step['tool']}: {step['purpose']}",
                            style=_STYLE.get(step["status"], ""),
                        )
                    )
        return Group(tree, Text(self.now[:200], style="dim"))

    def pause(self) -> AbstractContextManager[Any]:
        """Stop redrawing while a person is asked."""
        return _paused(self._live) if self._live is not None else nullcontext()


@contextmanager
def _paused(live: Live) -> Iterator[None]:
    live.stop()
    try:
        yield
    finally:
        live.start(refresh=True)


@contextmanager
def live_view(quiet: bool = False) -> Iterator[LiveView]:
    """A view on stderr: a live tree on a terminal, one line an event elsewhere, nothing when quiet."""
    view = LiveView()
    console = Console(file=sys.stderr)
    if quiet:
        yield view
    elif not console.is_terminal:
        view._plain = console
        yield view
    else:
        with Live(view.render(), console=console, refresh_per_second=8, transient=False) as live:
            view._live = live
            yield view
            live.update(view.render())
            view._live = None


def plain_line(event: Event) -> str:
    """An event as a progress line, or nothing for events that are no progress."""
    payload = event.payload
    if event.type == "objective_selected":
        return f"[{event.subject}] {payload.get('statement', '')}"
    if event.type == "step_finished":
        return f"  {event.subject} {payload.get('tool')}: {payload.get('summary')}"
    if event.type == "step_failed":
        return f"  {event.subject} {payload.get('tool')} FAILED: {payload.get('error')}"
    if event.type == "workflow_refined":
        return f"  {event.subject} refined: version {payload.get('version')}"
    if event.type == "budget_warning":
        return f"  budget: {payload.get('reason')}"
    return ""


def event_line(event: Event) -> str:
    """An event as one line of the replayed stream."""
    details = "  ".join(f"{name}={value}" for name, value in event.payload.items())
    return f"{event.seq:5d}  {event.ts[:19]}  {event.type:22}  {event.subject:14}  {details[:160]}"


def run_tree(run: Run) -> Tree:
    """A recorded run as a tree: objectives with their steps, then the hypotheses."""
    record, header = run.record, run.record.header
    tree = Tree(Text(f"{header.id} · {header.status} · seed {header.seed} · {header.out_dir}", style="cyan"))
    if header.forked_from:
        tree.add(Text(f"forked from {header.forked_from} at {header.forked_at}", style="dim"))
    for objective in record.objectives:
        branch = tree.add(
            Text(
                f"{_MARK[objective.status]} {objective.id} {objective.statement}",
                style=_STYLE.get(objective.status, ""),
            )
        )
        for workflow in record.workflows:
            if workflow.objective_id != objective.id:
                continue
            twig = branch.add(
                Text(f"{workflow.id} {workflow.template or ''} (version {workflow.version})", style="dim")
            )
            for step in workflow.steps:
                call = record.calls.get(step.call_key or "")
                twig.add(
                    Text(
                        f"{_MARK[step.status]} {step.tool}: {call.summary if call else step.note}",
                        style=_STYLE.get(step.status, ""),
                    )
                )
    shown = tree.add(Text("hypotheses", style="cyan"))
    for one in record.hypotheses:
        confidence = f"{one.confidence:.2f}" if one.confidence is not None else "-"
        shown.add(Text(f"{one.rank}. [{one.status}, confidence {confidence}] {filled(run, one.statement)}"))
    return tree


def closing_lines(run: Run) -> list[str]:
    """What a person reads when a run has ended."""
    record, header = run.record, run.record.header
    supported = [one for one in record.hypotheses if one.status in ("supported", "tentative")]
    refuted = sum(one.status == "refuted" for one in record.hypotheses)
    lines = [
        f"run {header.id} {header.status} in {header.wall_s:.0f} s: {len(supported)} hypotheses, {refuted} refuted"
    ]
    if header.stop_reason and header.status == "stopped":
        lines.append(f"stopped: {header.stop_reason}")
    if not supported:
        lines += [f"  note: {one}" for one in record.notices[:5]]
    lines += [f"  {one.rank}. {filled(run, one.statement)}" for one in supported[:5]]
    lines += [
        f"report: {header.out_dir}/report.html",
        f"check every number: nereus verify {quote(header.out_dir)}",
    ]
    return lines


def filled(run: Run, statement: str) -> str:
    """A statement with its numbers."""
    from nereus.agents.reporter.render import render_text
    from nereus.agents.reporter.sources import Sources

    return render_text(statement, Sources(run.record, run.artifacts.table))
