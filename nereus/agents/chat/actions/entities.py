"""One entity of a run: what was found about it, what speaks for and against it, and every number's source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.runs import hypothesis_text, row_of
from nereus.agents.chat.follow_up import is_follow_up
from nereus.agents.chat.lookup import Entities, Found, objective_named, tests
from nereus.agents.chat.turn import Outcome, Shown, Turn
from nereus.agents.reporter.render import known_names
from nereus.agents.reporter.sources import path, plain
from nereus.errors import InputError
from nereus.memory.records import ArtifactKind, Hypothesis, Objective, ObjectiveKind

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
MOST_ROWS = 20
_UNIT = {
    ObjectiveKind.DIFFERENTIAL: "log2 difference",
    ObjectiveKind.ASSOCIATION: "log2 change per standard deviation",
}
_VERDICT = {"holds": "holds", "fails": "does not hold", "assumed": "is assumed, not tested"}


class EntityArgs(Args):
    """Which entity."""

    entity: str = Field(default="", max_length=200)
    """Gene, protein or other name as the person wrote it; empty: the one talked about."""
    about: str = Field(default="", max_length=300)
    """Groups or variable that are meant, in words, or the id of a question such as O2."""
    direction: str = Field(default="", pattern="^(up|down|)$")
    """What the person takes for granted: ``up`` or ``down``; said so where it is otherwise."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


class EvidenceArgs(Args):
    """Which piece of evidence."""

    id: str = Field(max_length=40)
    """Such as E12, or of a hypothesis such as H3."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


class TopArgs(Args):
    """Which rows of a test."""

    n: int = Field(default=10, ge=1, le=MOST_ROWS)
    """How many rows."""
    direction: str = Field(default="", pattern="^(up|down|)$")
    """Only those that are higher (up) or lower (down)."""
    about: str = Field(default="", max_length=300)
    """Groups or variable that are meant, or the id of a question."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


def found_entity(turn: Turn, args: EntityArgs) -> Found:
    """The entity that is meant.

    Raises
    ------
    InputError
        None is named, or the run did not test it; says what is near.
    """
    sources = turn.sources(args.run)
    entities = Entities.of(sources)
    if not args.entity:
        if turn.focus.entity:
            return Found(
                turn.focus.entity, turn.focus.entity_name or turn.focus.entity, turn.focus.entity_name
            )
        raise InputError("no protein or gene was named", mend="name one: why is APOE up?")
    hits = entities.find(args.entity)
    if not hits:
        near = entities.near(args.entity)
        raise InputError(
            f"run {sources.record.header.id} tested nothing called {args.entity[:60]!r}",
            mend=f"did you mean {', '.join(near)}?" if near else "`top proteins` lists what stands out",
        )
    return min(hits, key=lambda one: (_strength(turn, one.key, args.run), one.key))


def _strength(turn: Turn, row: str, run: str) -> tuple[int, float]:
    """Rows of one gene: the one with a hypothesis first, then the smallest p."""
    ranked = [
        one.rank
        for one in turn.record(run).hypotheses
        if one.status in ("supported", "tentative") and any(entity.id == row for entity in one.claim.entities)
    ]
    best = 1.0
    for _, _, table in tests(turn.sources(run)):
        if "p" in table.columns:
            found = table.loc[table.iloc[:, 0].astype(str) == row, "p"]
            values = [float(one) for one in found if one == one]
            best = min([best, *values])
    return (min(ranked) if ranked else 10_000, best)


def question_for(turn: Turn, row: str, about: str, run: str = "") -> tuple[Objective, str, pd.DataFrame]:
    """The question that an entity is talked about under: the one named, the one talked about, or where it stands out.

    Raises
    ------
    InputError
        No question of the run tested it.
    """
    sources = turn.sources(run)
    holding = [one for one in tests(sources) if not row or (one[2].iloc[:, 0].astype(str) == row).any()]
    if not holding:
        raise InputError(f"no question of run {sources.record.header.id} tested it")
    if about and (named := objective_named(about, sources)) is not None:
        for one in holding:
            if one[0].id == named.id:
                return one
    for one in holding:
        if one[0].id == turn.focus.objective and not about:
            return one
    claimed = {
        hypothesis.claim.contrast
        for hypothesis in sources.record.hypotheses
        if hypothesis.status in ("supported", "tentative")
        and any(entity.id == row for entity in hypothesis.claim.entities)
    }
    return next((one for one in holding if one[0].about in claimed), holding[0])


def row_text(
    turn: Turn,
    run: str,
    objective: Objective,
    step: str,
    table: pd.DataFrame,
    row: str,
    name: str,
    short: bool = False,
) -> str:
    """What a test says of one row, each number with its source."""
    sources = turn.sources(run)
    from nereus.agents.planner.questions import TESTED

    main = TESTED[objective.kind].main
    place = table[table.iloc[:, 0].astype(str) == row].iloc[0]

    def cell(column: str, form: str) -> str:
        if column not in table.columns or plain(place[column]) is None:
            return ""
        source = evidence_at(turn, run, step, main, row, column)
        return turn.book.of_run(sources, source, f"{column.replace('_', ' ')} of {name}", form)

    parts = []
    if effect := cell("effect", "+.2f"):
        parts.append(f"{_UNIT.get(objective.kind, 'effect')} {effect}")
        low, high = cell("ci_low", "+.2f"), cell("ci_high", "+.2f")
        if low and high:
            parts[-1] += f" (interval {low} to {high})"
    if p := cell("p", "p"):
        parts.append(f"p {p}")
    if q := cell("q", "p"):
        parts.append(f"q {q}")
    told = ", ".join(parts) or "it could not be tested"
    if short:
        return f"{name}: {told}"
    covariates = objective.covariates or (objective.contrast.covariates if objective.contrast else ())
    adjusted = f"adjusted for {', '.join(covariates)}" if covariates else "not adjusted for anything"
    return f"{name} in {objective.about}, {adjusted}: {told}"


def evidence_at(turn: Turn, run: str, step: str, table: str, row: str, column: str) -> str:
    """The evidence that a cell is recorded as, else its source path."""
    sources = turn.sources(run)
    key = sources.call_of_step.get(step)
    for one in sources.record.evidence.values():
        if (one.call_key, one.table, one.row, one.column) == (key, table, row, column):
            return one.id
    return path("cell", step, table, row, column)


def _explain(turn: Turn, args: EntityArgs) -> Outcome:
    found = found_entity(turn, args)
    run = turn.run_id(args.run)
    sources = turn.sources(run)
    objective, step, table = question_for(turn, found.key, args.about, run)
    turn.move(run=run, entity=found.key, entity_name=found.name, objective=objective.id)
    about = [
        one
        for one in sources.record.hypotheses
        if one.status != "merged"
        and one.grain == "entity"
        and any(entity.id == found.key for entity in one.claim.entities)
    ]
    mine = [one for one in about if one.claim.contrast == objective.about] or (
        about if not args.about else []
    )
    names = [*known_names(sources.record), found.name, found.key, found.written, run]
    lines: list[str] = []
    if not found.exact:
        lines.append(f"I took {found.written!r} for {found.name}.")
    effect = _effect(table, found.key)
    lines += _otherwise(found.name, args.direction, effect)
    artifacts: list[Shown] = []
    if mine:
        for one in mine[:2]:
            lines += _told(turn, one, run)
        artifacts += [
            Shown(run_id=run, id=figure, kind=ArtifactKind.FIGURE.value, title=found.name)
            for figure in mine[0].figures[:1]
        ]
    else:
        lines.append(f"{row_text(turn, run, objective, step, table, found.key, found.name)}.")
        lines.append(
            "This is one test asked again; claims are made by whole runs."
            if is_follow_up(sources.record.header)
            else "The run makes no claim about it: it does not pass the error level of the whole run, or was not stable. "
            "A missing claim is no proof of no change."
        )
    return Outcome(
        text="\n".join(one for one in lines if one),
        artifacts=tuple(artifacts),
        names=tuple(dict.fromkeys(names)),
        run_id=run,
    )


def _effect(table: pd.DataFrame, row: str) -> float | None:
    if "effect" not in table.columns:
        return None
    value = plain(table.loc[table.iloc[:, 0].astype(str) == row, "effect"].iloc[0])
    return float(value) if isinstance(value, int | float) else None


def _otherwise(name: str, taken: str, effect: float | None) -> list[str]:
    """What is said where somebody takes the wrong direction for granted."""
    if not taken or effect is None or (effect > 0) == (taken == "up"):
        return []
    return [f"{name} is not {taken}: it goes the other way."]


def _told(turn: Turn, one: Hypothesis, run: str) -> list[str]:
    """A hypothesis with what was tested about it."""
    sources, book = turn.sources(run), turn.book
    lines = [hypothesis_text(turn, one, run) + f" Status: {one.status}."]
    if one.atoms:
        lines.append("\nWhat was tested about it:\n")
        row = row_of(one)
        lines += [
            f"- {book.carried_over(atom.statement, sources, row)}: {_VERDICT[atom.verdict]}"
            for atom in one.atoms
        ]
    if one.alternatives:
        lines.append("\nWhat else could explain it:\n")
        lines += [f"- {book.carried_over(text, sources)}" for text in one.alternatives]
    if one.caveats:
        lines.append("\nCaveats:\n")
        lines += [f"- {book.carried_over(text, sources)}" for text in one.caveats]
    if one.experiment:
        lines.append(f"\nWhat would test it: {book.carried_over(one.experiment, sources)}")
    lines.append(
        "\nThis says that it differs, not why: the data are observations, and a cause needs an experiment."
    )
    return lines


def _evidence(turn: Turn, args: EvidenceArgs) -> Outcome:
    sources = turn.sources(args.run)
    record = sources.record
    identity = args.id.strip().upper()
    names = (*known_names(record), identity, record.header.id)
    for hypothesis in record.hypotheses:
        if hypothesis.id == identity:
            entity = hypothesis.claim.entities[0] if hypothesis.claim.entities else None
            if entity is not None:
                turn.move(entity=entity.id, entity_name=entity.name)
            return Outcome(
                text="\n".join(_told(turn, hypothesis, record.header.id)),
                names=names,
                run_id=record.header.id,
            )
    if identity not in record.evidence:
        raise InputError(
            f"run {record.header.id} has no evidence {args.id[:40]!r}", mend="answers name theirs: E12, H3"
        )
    found = record.evidence[identity]
    call = sources.call_behind(found)
    where = (
        f"row {found.row}, column {found.column} of table {found.table}"
        if found.row is not None
        else f"the named value {found.name}"
    )
    value = turn.book.of_run(sources, identity)
    text = (
        f"**{identity}** is the {found.quantity}: {value}. It is {where} of step {found.step_id}, made by "
        f"`{call.spec.tool}` from the data of run `{record.header.id}`. `nereus verify` recomputes it."
    )
    return Outcome(text=text, names=(*names, *((found.row or "").split())), run_id=record.header.id)


def _top(turn: Turn, args: TopArgs) -> Outcome:
    run = turn.run_id(args.run)
    sources = turn.sources(run)
    objective, step, table = question_for(turn, "", args.about, run)
    turn.move(run=run, objective=objective.id)
    ranked = table
    if args.direction and "effect" in table.columns:
        ranked = table[table["effect"] > 0] if args.direction == "up" else table[table["effect"] < 0]
    if "p" in ranked.columns:
        ranked = ranked.sort_values(["p", str(table.columns[0])], kind="stable")
    entities = Entities.of(sources)
    rows = [str(one) for one in ranked.iloc[:, 0].head(args.n)]
    count = (
        turn.book.cite(
            run,
            f"rows of {objective.id} with q at most the level",
            "significant in this test",
            int((table["q"] <= LEVEL).sum()),
        )
        if "q" in table.columns
        else ""
    )
    tested = turn.book.of_run(sources, path("rows", step, _main(objective)), "tested")
    lines = [
        f"{objective.about}: {count} of {tested} are significant in this test alone "
        "(the claims of the run are fewer: they hold over all its tests).\n"
        if count
        else f"{objective.about}: {tested} were tested.\n"
    ]
    lines += [
        f"- {row_text(turn, run, objective, step, table, row, entities.name_of(row), short=True)}"
        for row in rows
    ]
    if rows:
        turn.move(entity=rows[0], entity_name=entities.name_of(rows[0]))
    names = (*known_names(sources.record), run, *rows, *(entities.name_of(row) for row in rows))
    return Outcome(text="\n".join(lines), names=names, run_id=run)


def _main(objective: Objective) -> str:
    from nereus.agents.planner.questions import TESTED

    return TESTED[objective.kind].main


ENTITIES = (
    Action(
        "explain",
        "Say what a run found about one gene or protein: effect, interval, what was tested, caveats, alternatives.",
        EntityArgs,
        _explain,
    ),
    Action(
        "evidence",
        "Say where a piece of evidence (E12) or a hypothesis (H3) comes from.",
        EvidenceArgs,
        _evidence,
    ),
    Action(
        "top",
        "List the rows of a test that stand out most, and count those that are significant.",
        TopArgs,
        _top,
    ),
)
