"""Runs: started, followed, ended, and what they found as a whole."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.turn import ASKED_IN, Cost, Outcome, Shown, Turn
from nereus.agents.planner.budget import parse_budget
from nereus.agents.reporter.render import known_names
from nereus.errors import InputError
from nereus.memory.records import Event, Hypothesis

BEST = 5
_ENDED = ("finished", "stopped", "cancelled", "refused", "failed")


class StartArgs(Args):
    """What is analysed."""

    dataset: str = ""
    """Id of the data set; empty: the one talked about."""
    samples: str = ""
    """Id of the data set with the sample sheet, where it is a file of its own."""
    question: str = Field(default="", max_length=2000)
    """What the person wants to know, in their words."""
    budget: list[str] = Field(default_factory=list, max_length=20)
    """Limits, as ``steps=40`` or ``objectives=2``."""


class RunArgs(Args):
    """Which run."""

    run: str = ""
    """Id of the run; empty: the one talked about."""


class FindingsArgs(Args):
    """Which findings."""

    run: str = ""
    """Id of the run; empty: the one talked about."""
    n: int = Field(default=BEST, ge=1, le=40)
    """How many at most."""
    refuted: bool = False
    """Whether those that did not hold are shown instead."""


def _start(turn: Turn, args: StartArgs) -> Outcome:
    if args.samples:
        turn.move(samples=args.samples)
    dataset = turn.dataset(args.dataset)
    run_id = turn.begun() or turn.desk.start_run(
        dataset, args.question or None, args.budget, told={ASKED_IN: turn.call}
    )
    turn.desk.go_on(run_id)
    turn.move(run=run_id, dataset=dataset.id, objective="", entity="", entity_name="")
    return followed(turn, run_id)


def _start_cost(turn: Turn, args: StartArgs) -> Cost:
    dataset = turn.dataset(args.dataset)
    limits = parse_budget(args.budget)
    about = f" about {args.question!r}" if args.question else ""
    sheet = " with its sample sheet" if dataset.samples or args.samples or turn.focus.samples else ""
    return Cost(
        ask=True,
        why=f"Start a run on {dataset.name}{sheet}{about}: at most {limits.objectives} questions, "
        f"{limits.steps} steps and {limits.wall_s:.0f} s.",
    )


def followed(turn: Turn, run_id: str) -> Outcome:
    """Follow a run until it ends or patience does, and say what came of it."""
    import time

    ends = time.monotonic() + turn.patience_s
    for event in turn.desk.follow(run_id, stop=lambda: turn.stopped() or time.monotonic() > ends):
        turn.tell(event_of(event))
    turn.again(run_id)
    if turn.stopped() and turn.desk.header(run_id).status not in _ENDED:
        turn.desk.cancel(run_id)  # whoever stops an answer stops what it began
    header = turn.desk.header(run_id)
    if header.status not in _ENDED:
        return _status(turn, RunArgs(run=run_id))
    return _findings(turn, FindingsArgs(run=run_id))


def event_of(event: Event) -> dict[str, Any]:
    """An event of a run as those who listen to the conversation get it."""
    return {"type": "run_event", "run_id": event.run_id, "event": event.model_dump(mode="json")}


def _status(turn: Turn, args: RunArgs) -> Outcome:
    run_id = turn.run_id(args.run or turn.unended())
    turn.again(run_id)
    sources = turn.sources(run_id)
    header = sources.record.header
    turn.move(run=run_id)
    steps = turn.book.of_run(sources, "count:steps", "steps that have run")
    done = turn.book.of_run(sources, "count:objectives.done", "questions answered")
    asked = turn.book.of_run(sources, "count:objectives", "questions")
    text = f"Run `{run_id}` is {header.status}: {done} of {asked} questions done, {steps} steps."
    if header.stop_reason:
        text += f" {_reason(turn, run_id)}."
    if header.status == "waiting":
        text += " It waits for an answer: see its approvals."
    elif header.status not in _ENDED and turn.desk.at_work(run_id):
        text += " Ask `how is it going?` again later; it goes on by itself."
    elif header.status not in _ENDED:
        text += f" Nobody works on it now: `nereus resume {run_id}` goes on with it."
    return Outcome(text=text, names=(run_id,), run_id=run_id)


def _findings(turn: Turn, args: FindingsArgs) -> Outcome:
    sources = turn.sources(turn.whole_run(args.run))
    record = sources.record
    header = record.header
    turn.move(run=header.id)
    if header.status in ("refused", "failed"):
        return Outcome(
            text=f"Run `{header.id}` ended as {header.status}: {_reason(turn, header.id)}.",
            names=(header.id,),
            failed=True,
            run_id=header.id,
        )
    wanted = ("refuted",) if args.refuted else ("supported", "tentative")
    live = [one for one in record.hypotheses if one.status in wanted]
    names = [header.id, *known_names(record)]
    total = turn.book.of_run(sources, f"count:hypotheses.{wanted[0]}", f"{wanted[0]} hypotheses")
    lines = [f"Run `{header.id}` ({header.status}) found {total} {wanted[0]} hypotheses."]
    if header.stop_reason and header.status == "stopped":
        lines[0] += f" It stopped early: {_reason(turn, header.id)}."
    artifacts: list[Shown] = []
    for one in live[: args.n]:
        lines.append(f"- {hypothesis_text(turn, one, header.id)}")
    if len(live) > args.n:
        left = turn.book.cite(header.id, f"findings beyond {args.n}", "further findings", len(live) - args.n)
        lines.append(f"\n{left} more hold; say `show more findings` or open the report.")
    if not live:
        lines.append("Nothing held at the error level of the run.")
        lines += [
            f"- {turn.book.told(header.id, f'notice {place + 1}', 'notice of the run', notice)}"
            for place, notice in enumerate(record.notices[:3])
        ]
    if live and not args.refuted:
        first = live[0]
        entity = first.claim.entities[0] if first.claim.entities else None
        if entity is not None:
            turn.move(entity=entity.id, entity_name=entity.name)
            lines.append(
                f"\nAsk `why is {entity.name} {_way(first)}?`, `show me`, or `is it still there after adjusting for ...?`"
            )
        artifacts += [
            Shown(run_id=header.id, id=figure, kind="figure", title=entity.name if entity else "figure")
            for figure in first.figures[:1]
        ]
    return Outcome(text="\n".join(lines), artifacts=tuple(artifacts), names=tuple(names), run_id=header.id)


def _reason(turn: Turn, run_id: str) -> str:
    """Why a run ended, as its record says."""
    text = turn.desk.header(run_id).stop_reason.strip().rstrip(".")
    return turn.book.told(run_id, f"field:header/{run_id}/stop_reason", "why it ended", text)


def _way(one: Hypothesis) -> str:
    direction = one.claim.entities[0].direction if one.claim.entities else "none"
    return {"up": "up", "positive": "up", "down": "down", "negative": "down"}.get(direction, "there")


def row_of(one: Hypothesis) -> str:
    """The protein that a hypothesis is about; empty where it is about several, or a set."""
    return one.claim.entities[0].id if len(one.claim.entities) == 1 and one.grain == "entity" else ""


def hypothesis_text(turn: Turn, one: Hypothesis, run_id: str) -> str:
    """A hypothesis with its references as those of the conversation."""
    sources = turn.sources(run_id)
    text = f"**{one.id}** {turn.book.carried_over(one.statement, sources, row_of(one))}"
    if one.confidence is not None:
        cited = turn.book.of_run(
            sources, f"field:hypothesis/{one.id}/confidence", f"confidence of {one.id}", ".2f"
        )
        text += f" Confidence {cited}" + (f" ({one.confidence_word})." if one.confidence_word else ".")
    return text


def _cancel(turn: Turn, args: RunArgs) -> Outcome:
    run_id = turn.run_id(args.run or turn.unended())
    header = turn.desk.header(run_id)
    if header.status in _ENDED:
        raise InputError(f"the run has ended as {header.status!r}", where=f"run {run_id}")
    turn.desk.cancel(run_id)
    turn.again(run_id)
    return Outcome(
        text=f"Run `{run_id}` is ended; what it found stays. `nereus resume {run_id}` goes on with it.",
        names=(run_id,),
        run_id=run_id,
    )


def _report(turn: Turn, args: RunArgs) -> Outcome:
    header = turn.desk.header(turn.run_id(args.run))
    return Outcome(
        text=f"The report of run `{header.id}` is `{header.out_dir}/report.html`; over REST it is "
        f"`/api/runs/{header.id}/report`.",
        names=(header.id, header.out_dir),
        run_id=header.id,
    )


def _plan(turn: Turn, args: RunArgs) -> Outcome:
    sources = turn.sources(args.run)
    record = sources.record
    turn.move(run=record.header.id)
    lines = [f"Run `{record.header.id}` asked and did:"]
    for one in record.objectives:
        tools = [step.tool for step in record.steps() if step.id.startswith(f"{one.id}.")]
        done = f": {', '.join(dict.fromkeys(tools))}" if tools else ""
        lines.append(f"- **{one.id}** ({one.status}) {one.statement}{done}")
    return Outcome(
        text="\n".join(lines),
        names=(record.header.id, *known_names(record), *(one.statement for one in record.objectives)),
        run_id=record.header.id,
    )


RUNS = (
    Action(
        "start_run",
        "Analyse a data set: an autonomous run that ends in ranked hypotheses.",
        StartArgs,
        _start,
        _start_cost,
    ),
    Action("run_status", "Say how a run is going.", RunArgs, _status),
    Action("findings", "Say what a run found, best first.", FindingsArgs, _findings),
    Action("plan", "Say what a run asked and which steps it took.", RunArgs, _plan),
    Action(
        "cancel_run",
        "End a run.",
        RunArgs,
        _cancel,
        lambda turn, args: Cost(ask=True, why=f"End run {args.run}."),
        lambda turn, args: {"run": args.run or turn.unended() or turn.run_id()},
    ),
    Action("report", "Say where the report of a run is.", RunArgs, _report),
)
