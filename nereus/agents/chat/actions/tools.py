"""Any tool of the platform, and the rest of what did not fit into an answer."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import ToolMessage
from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.agents.planner.services import rows
from nereus.agents.reporter.sources import path
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind, ArtifactRef
from nereus.tools import registry
from nereus.tools.base import Capability

COSTLY_S = 60.0
SHOWN_VALUES, SHOWN_ROWS, SHOWN_COLUMNS = 12, 20, 10
PAGE = 3000
"""Characters of one page of a longer result."""


class ToolArgs(Args):
    """A tool call."""

    tool: str = Field(max_length=80)
    """Name of the tool."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Input -> id of a data set, name of a run's output such as ``prepared``, or ``RUN/prepared``."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters; defaults hold for those that are not named."""


class TableArgs(Args):
    """A part of a run's table."""

    table: str = Field(max_length=120)
    """Name of a run's output, such as ``claims`` or ``O2:differential``."""
    start: int = Field(default=0, ge=0)
    """First row."""
    n: int = Field(default=SHOWN_ROWS, ge=1, le=SHOWN_ROWS)
    """Rows."""
    order_by: str = Field(default="", max_length=120)
    """Column to order by, smallest first; a minus before it: largest first."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


class MoreArgs(Args):
    """The rest of a result."""

    call: str = Field(max_length=80)
    """Id of the call whose result was cut."""
    start: int = Field(default=0, ge=0)
    """First character."""


def _input(turn: Turn, given: str) -> ArtifactRef:
    """What a reference names; the owner's own in any case."""
    run, slash, output = given.rpartition("/")
    if not slash and given.startswith("d") and len(given) == 17:
        return turn.desk.dataset(given).artifact
    sources = turn.sources(run)
    where = sources.output(output)
    if where is None:
        raise InputError(
            f"run {sources.record.header.id} has no output {output[:60]!r}",
            mend=f"it has {', '.join(sorted(sources.record.outputs)[:40])}",
        )
    return sources.call(where[0]).outputs[where[1]]


def _call(turn: Turn, args: ToolArgs) -> Outcome:
    tool = registry.get(args.tool)
    tool.validate(args.params)
    call = turn.desk.call_tool(
        args.tool,
        {name: _input(turn, one) for name, one in args.inputs.items()},
        args.params,
        stop=turn.stopped,
    )
    said = [
        f"- {name}: {turn.book.of_call(call, name)}"
        for name, value in call.values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    lines = [f"`{args.tool}` has run."]
    lines += said[:SHOWN_VALUES]
    if len(said) > SHOWN_VALUES:
        left = turn.book.cite(
            "", f"call:{call.key[:16]} values not shown", "not shown", len(said) - SHOWN_VALUES
        )
        lines.append(f"- ({left} more are not shown)")
    lines += [
        f"\nNote: {turn.book.told('', f'call:{call.key[:16]}/warning/{place}', 'warning', text)}"
        for place, text in enumerate(call.warnings[:3])
    ]
    made = ", ".join(f"`{name}`" for name in call.outputs)
    if made:
        lines.append(f"\nIt made {made}.")
    artifacts = tuple(turn.shown(ref, f"{args.tool}: {name}") for name, ref in call.outputs.items())
    return Outcome(
        text="\n".join(lines),
        artifacts=artifacts,
        names=(args.tool, *call.values, *call.outputs),
    )


def _call_cost(turn: Turn, args: ToolArgs) -> Cost:
    tool = registry.get(args.tool)
    risky = tool.capability in (Capability.NETWORK, Capability.EXEC)
    why = f"Call {tool.name}: {tool.summary}"
    if risky:
        why += f" It reaches beyond its inputs ({tool.capability.value})."
    return Cost(ask=risky or tool.seconds >= COSTLY_S or tool.name.startswith("fit_"), why=why)


def _table(turn: Turn, args: TableArgs) -> Outcome:
    run = turn.run_id(args.run)
    if args.table not in turn.record(run).outputs:
        run = turn.whole_run(run)
    sources = turn.sources(run)
    where = sources.output(args.table)
    if where is None:
        raise InputError(
            f"run {run} has no table {args.table!r}",
            mend=f"it has {', '.join(sorted(sources.record.outputs)[:60])}",
        )
    step, output = where
    if sources.call(step).outputs[output].kind is not ArtifactKind.TABLE:
        raise InputError(f"{args.table!r} is no table", where=f"run {run}")
    whole = sources.table(sources.call(step), output)
    if args.order_by:
        column = args.order_by.lstrip("-")
        if column not in whole.columns:
            raise InputError(
                f"there is no column {column!r}", mend=f"there are {', '.join(map(str, whole.columns))}"
            )
        whole = whole.sort_values(column, ascending=not args.order_by.startswith("-"), kind="stable")
    shown = whole.iloc[args.start : args.start + args.n, :SHOWN_COLUMNS]
    names: list[str] = [run, args.table, *map(str, whole.columns)]
    total = turn.book.of_run(sources, path("rows", step, output), f"rows of {args.table}")
    lines = [
        f"Table `{args.table}` of run `{run}`, {total} rows:\n",
        "| " + " | ".join(map(str, shown.columns)) + " |",
    ]
    lines.append("|" + "---|" * len(shown.columns))
    for row in rows(shown):
        key = str(next(iter(row.values())))
        cells = []
        for column, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and column != shown.columns[0]:
                form = ".3g" if isinstance(value, float) else ""
                cells.append(
                    turn.book.of_run(
                        sources, path("cell", step, output, key, column), f"{column} of {key}", form
                    )
                )
            else:
                names.append(str(value))
                cells.append("" if value is None else str(value).replace("|", "\\|")[:80])
                names.append(cells[-1])
        lines.append("| " + " | ".join(cells) + " |")
    left = len(whole) - args.start - len(shown)
    if left > 0:
        cited = turn.book.cite(
            run, f"rows of {args.table} after {args.start + len(shown)}", "rows not shown", left
        )
        lines.append(f"\n({cited} rows are not shown; read_table with another start shows them)")
    if whole.shape[1] > SHOWN_COLUMNS:
        lines.append(f"\n(further columns: {', '.join(map(str, whole.columns[SHOWN_COLUMNS:]))})")
    return Outcome(text="\n".join(lines), names=tuple(dict.fromkeys(names)), run_id=run)


def _more(turn: Turn, args: MoreArgs) -> Outcome:
    for message in turn.messages:
        if isinstance(message, ToolMessage) and message.tool_call_id == args.call:
            kept = Outcome.model_validate(message.additional_kwargs["nereus"])
            part = kept.text[args.start : args.start + PAGE]
            if not part:
                raise InputError("the result ends before", where=f"call {args.call}")
            return kept.model_copy(update={"text": part, "artifacts": ()})
    raise InputError(f"this conversation has no call {args.call!r}", mend="name the call that a notice names")


TOOLS = (
    Action(
        "call_tool",
        "Call any tool of the platform on a data set or on what a run made.",
        ToolArgs,
        _call,
        _call_cost,
    ),
    Action(
        "read_table",
        "Read rows of a table that a run made, with a source for every number.",
        TableArgs,
        _table,
    ),
    Action("read_more", "Read on in a result that was cut.", MoreArgs, _more),
)
