"""Two runs side by side, in words."""

from __future__ import annotations

import re

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.turn import Outcome, Turn
from nereus.agents.reporter.comparison import Comparison, compare_records
from nereus.agents.reporter.render import known_names
from nereus.errors import InputError

SHOWN = 6
RUN_ID = re.compile(r"r[0-9a-f]{10}-\d{1,9}")
_SAID = {
    "kept": "claims are in both",
    "gained": "claims are only in the second",
    "lost": "claims are only in the first",
    "sign": "claims change their direction",
}


class CompareArgs(Args):
    """Which runs."""

    first: str = Field(default="", max_length=80)
    """Id of a run; empty: the one talked about before."""
    second: str = Field(default="", max_length=80)
    """Id of another; empty: the one talked about."""


def _compare(turn: Turn, args: CompareArgs) -> Outcome:
    first, second = _two(turn, args)
    found = compare_records(turn.record(first), turn.record(second), turn.desk.table)
    turn.move(run=second, earlier_run=first)
    names = [
        first,
        second,
        *known_names(found.first),
        *known_names(found.second),
    ]
    lines = [f"First `{first}`, second `{second}`.\n"]
    lines += _counts(turn, found, first, second)
    lines += _changes(found, names)
    for part in ("settings", "objectives", "inputs"):
        rows = found.of(part)
        for row in rows.head(SHOWN).itertuples():
            told = f"{row.subject}: {row.change}"
            names.append(told)
            lines.append(f"- {part}: {told}")
        if len(rows) > SHOWN:
            left = turn.book.cite(
                second, f"differences in {part} with {first} not shown", "not shown", len(rows) - SHOWN
            )
            lines.append(f"- {part}: {left} more are not shown")
    if found.differences.empty:
        lines.append("Nothing differs.")
    return Outcome(text="\n".join(lines), names=tuple(dict.fromkeys(names)), run_id=second)


def _two(turn: Turn, args: CompareArgs) -> tuple[str, str]:
    """Ids of two runs.

    Raises
    ------
    InputError
        There are no two.
    """
    headers = turn.desk.runs(limit=20)
    for name in (args.first, args.second):
        if name and not RUN_ID.fullmatch(name):
            newest = [one.id for one in headers[:2]]
            raise InputError(
                f"no run is called {name[:40]!r}",
                mend=f"name runs by their ids; the newest are {' and '.join(newest)}"
                if newest
                else "start one first",
            )
    known = [one.id for one in headers if one.status in ("finished", "stopped")]
    second = args.second or (turn.focus.run if args.first != turn.focus.run else "")
    second = second or next((one for one in known if one != args.first), "")
    origin = turn.record(second).header.forked_from if second else ""
    first = args.first or next(
        (one for one in (turn.focus.earlier_run, origin, *known) if one and one != second),
        "",
    )
    if not first or not second:
        raise InputError("there are no two runs to compare", mend="`list runs` shows which there are")
    if first == second:
        raise InputError("that is one run, not two", mend="name two: `compare RUN and RUN`")
    return turn.run_id(first), turn.run_id(second)


def _counts(turn: Turn, found: Comparison, first: str, second: str) -> list[str]:
    lines = []
    counts = found.claims["change"].value_counts().to_dict() if len(found.claims) else {}
    for change, said in _SAID.items():
        if counts.get(change):
            number = turn.book.cite(
                second, f"claims {change} against {first}", f"{said} ({first}, {second})", int(counts[change])
            )
            lines.append(f"- {number} {said}")
    if not counts:
        lines += _effects(turn, found, first, second)
    return lines


def _effects(turn: Turn, found: Comparison, first: str, second: str) -> list[str]:
    """Without claims, as in a follow-up: the effects of what both tested."""
    if found.effects.empty:
        return ["Neither makes claims, and no test is in both."]
    both = turn.book.cite(second, f"tested in {first} and {second}", "tested in both", len(found.effects))
    same = int((found.effects["first"].astype(float) * found.effects["second"].astype(float) > 0).sum())
    kept = turn.book.cite(second, f"same direction as in {first}", "of the same direction in both", same)
    return [f"- {both} were tested in both, {kept} of them have the same direction"]


def _changes(found: Comparison, names: list[str]) -> list[str]:
    lines = []
    for change in ("gained", "lost", "sign"):
        rows = found.claims[found.claims["change"] == change] if len(found.claims) else found.claims
        if len(rows):
            shown = [str(row.gene or row.feature) for row in rows.head(SHOWN).itertuples()]
            names += shown
            more = ", ..." if len(rows) > SHOWN else ""
            lines.append(f"- {change}: {', '.join(shown)}{more}")
    return lines


COMPARING = (
    Action(
        "compare_runs",
        "Say what differs between two runs: claims, questions, settings.",
        CompareArgs,
        _compare,
    ),
)
