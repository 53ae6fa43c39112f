"""A question asked again in another way: adjusted, prepared otherwise, or without some samples. Computed, not guessed."""

from __future__ import annotations

import time
from typing import Any, Literal, get_args, get_origin

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.actions.entities import EntityArgs, found_entity, question_for, row_text
from nereus.agents.chat.actions.runs import event_of
from nereus.agents.chat.desk import FollowUp
from nereus.agents.chat.follow_up import planned
from nereus.agents.chat.lookup import columns_named, columns_of, level_named, levels_of, nearest, tests
from nereus.agents.chat.turn import ASKED_IN, Cost, Outcome, Turn
from nereus.agents.planner.questions import TESTED
from nereus.agents.reporter.render import known_names
from nereus.agents.reporter.sources import path
from nereus.errors import InputError
from nereus.memory.records import Objective
from nereus.tools import registry

COSTLY_S = 60.0
"""Estimated seconds from which a person is asked first."""
LEVEL = 0.05


class AgainArgs(Args):
    """What is asked again, and how."""

    adjust_for: list[str] = Field(default_factory=list, max_length=12)
    """Columns to adjust for beside those that were; as the person wrote them."""
    not_for: list[str] = Field(default_factory=list, max_length=12)
    """Columns not to adjust for any more; ``all`` for none at all."""
    without: list[str] = Field(default_factory=list, max_length=6)
    """Tools whose steps are left out: ``impute``, ``correct_batch``, ``normalise`` ..."""
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Tool -> parameters to set otherwise: ``{"normalise": {"method": "vsn"}}``."""
    exclude_samples: list[str] = Field(default_factory=list, max_length=200)
    """Samples to leave out."""
    only: dict[str, str] = Field(default_factory=dict, max_length=4)
    """Column -> value: test only these samples, as ``{"sex": "f"}``; an empty column is found by the value."""
    entity: str = Field(default="", max_length=200)
    """Gene or protein that is asked about; empty: the one talked about, where there is one."""
    about: str = Field(default="", max_length=300)
    """Groups or variable that are meant, or the id of a question."""
    run: str = ""
    """Id of the run; empty: the one talked about."""


def _request(turn: Turn, args: AgainArgs) -> tuple[FollowUp, Objective, str, list[str]]:
    """What is to be computed, the question behind it, the entity, and what is to be told beside."""
    run = turn.run_id(args.run)
    row = name = ""
    if args.entity or turn.focus.entity:
        found = found_entity(turn, EntityArgs(entity=args.entity, run=run))
        row, name = found.key, found.name
    objective, _, _ = question_for(turn, row, args.about, run)
    origin_run = run
    whole = turn.whole_run(run)
    columns = columns_of(turn.record(whole), turn.sources(whole))
    told: list[str] = []
    covariates: tuple[str, ...] | None = None
    before = objective.contrast.covariates if objective.contrast is not None else objective.covariates
    if args.adjust_for or args.not_for:
        kept = [] if "all" in args.not_for else list(before)
        for written in args.not_for:
            if written == "all":
                continue
            exact = [one for one in columns if one == written]
            hits = columns_named(written, exact or kept)
            if not hits or hits[0].key not in kept:
                raise InputError(
                    f"it was not adjusted for {written!r}",
                    mend=f"it was adjusted for {', '.join(kept) or 'nothing'}",
                )
            kept = [one for one in kept if one not in {hit.key for hit in hits}]
        for written in args.adjust_for:
            hits = columns_named(written, columns)
            if not hits:
                raise InputError(
                    f"the samples have no column {written[:60]!r}",
                    mend=f"they have {', '.join(columns)}" if columns else "give a sample sheet with one",
                )
            for hit in hits[:1]:
                if hit.key in _asked_about(objective):
                    raise InputError(
                        f"{hit.key!r} is what is asked about: adjusted for it, nothing would be left",
                        mend="name another column",
                    )
                if hit.key in kept:
                    told.append(
                        f"It was adjusted for {hit.key} before; it is computed again as it was asked."
                    )
                else:
                    kept.append(hit.key)
        covariates = tuple(kept)
    subset = _subset(turn, whole, objective, args.only)
    left_out = _left_out(turn, whole, args.exclude_samples)
    args = args.model_copy(update={"exclude_samples": left_out})
    _refuse_unknown_samples(turn, whole, left_out)
    _refuse_odd_params(turn, run, args.params)
    statement = _statement(objective, name, covariates, args, subset)
    follow = FollowUp(
        run_id=origin_run,
        objective_id=objective.id,
        statement=statement,
        covariates=covariates,
        without=tuple(args.without),
        params=args.params,
        exclude_samples=tuple(args.exclude_samples),
        subset=subset,
        rows=(row,) if row else (),
    )
    return follow, objective, name, told


def _refuse_unknown_samples(turn: Turn, run: str, names: list[str]) -> None:
    """`InputError` where a sample is not there: before anything is computed."""
    sources = turn.sources(run)
    where = sources.output("O0:samples")
    if not names or where is None:
        return
    known = {str(one) for one in sources.table(sources.call(where[0]), where[1]).iloc[:, 0]}
    if unknown := [one for one in names if one not in known]:
        near = [name for one in unknown for name in nearest(one, known)][:3] or sorted(known)[:3]
        raise InputError(f"there is no sample {unknown[0][:60]!r}", mend=f"names are like {', '.join(near)}")


def _refuse_odd_params(turn: Turn, run: str, params: dict[str, dict[str, Any]]) -> None:
    """`PlanError` where a tool knows no such setting: before anything is computed."""
    for call in turn.record(run).calls.values():
        if call.spec.tool in params:
            registry.get(call.spec.tool).validate({**call.spec.params, **params[call.spec.tool]})


def _asked_about(objective: Objective) -> set[str]:
    contrast = objective.contrast
    return {contrast.factor} if contrast is not None else {objective.variable or ""}


def _subset(turn: Turn, run: str, objective: Objective, only: dict[str, str]) -> dict[str, str]:
    """Columns and values as the data have them; `InputError` where there are none such."""
    levels = levels_of(turn.record(run), turn.sources(run)) if only else {}
    found: dict[str, str] = {}
    for column, value in only.items():
        known = {name: part for name, part in levels.items() if not column or name == column}
        if column and not known:
            named = columns_named(column, list(levels))
            known = {named[0].key: levels[named[0].key]} if named else {}
        hit = level_named(value, known)
        if hit is None:
            shown = [f"{name}: {', '.join(part[:6])}" for name, part in (known or levels).items()]
            raise InputError(
                f"no column of the sample sheet has the value {value[:60]!r}, or several have",
                mend=f"values are {'; '.join(shown)[:600]}"
                if shown
                else "give a sample sheet with such a column",
            )
        if hit[0] in _asked_about(objective):
            raise InputError(
                f"{hit[0]!r} is what is compared: within {hit[1]!r} alone there is nothing to compare it with",
                mend="name a value of another column",
            )
        found[hit[0]] = hit[1]
    return found


OUTLIERS = "outliers"


def _left_out(turn: Turn, run: str, names: list[str]) -> list[str]:
    """Samples to leave out; ``outliers`` stands for those that the run's profile tells of.

    Raises
    ------
    InputError
        It tells of none.
    """
    if OUTLIERS not in names:
        return names
    sources = turn.sources(run)
    where = sources.output("profile")
    told = "" if where is None else str(sources.call(where[0]).values.get(OUTLIERS) or "")
    if not told:
        raise InputError(
            "the profile of the data tells of no outliers, so it is not clear which samples are meant",
            mend="name them: `leave out SAMPLE`",
        )
    return [one for one in dict.fromkeys([*names, *told.split(";")]) if one and one != OUTLIERS]


def _statement(
    objective: Objective,
    name: str,
    covariates: tuple[str, ...] | None,
    args: AgainArgs,
    subset: dict[str, str],
) -> str:
    how = [f"only where {column} is {value}" for column, value in subset.items()]
    if covariates is not None:
        how.append(f"adjusted for {', '.join(covariates)}" if covariates else "not adjusted for anything")
    how += [f"without {tool}" for tool in args.without]
    how += [
        f"with {tool} {', '.join(f'{key} = {value}' for key, value in params.items())}"
        for tool, params in args.params.items()
    ]
    if args.exclude_samples:
        how.append(
            f"without {', '.join(args.exclude_samples[:3])}"
            + (" ..." if len(args.exclude_samples) > 3 else "")
        )
    return f"{name or objective.about} in {objective.about}, {'; '.join(how) or 'once more'}"


def _again(turn: Turn, args: AgainArgs) -> Outcome:
    return compared_with_before(turn, *_request(turn, args))


def compared_with_before(
    turn: Turn, follow: FollowUp, objective: Objective, name: str, told: list[str]
) -> Outcome:
    """Compute a follow-up, and set its evidence beside that of the run that it follows."""
    origin = follow.run_id
    before = next(one for one in tests(turn.sources(origin)) if one[0].id == objective.id)
    run_id = turn.begun() or turn.desk.start_follow_up(follow, {ASKED_IN: turn.call})
    turn.desk.go_on(run_id)
    ends = time.monotonic() + turn.patience_s
    for event in turn.desk.follow(run_id, stop=lambda: turn.stopped() or time.monotonic() > ends):
        turn.tell(event_of(event))
    turn.again(run_id)
    if turn.stopped() and turn.desk.header(run_id).status in ("queued", "running"):
        turn.desk.cancel(run_id)
    header = turn.desk.header(run_id)
    if header.status != "finished":
        reason = turn.book.told(
            run_id, f"field:header/{run_id}/stop_reason", "why it ended", header.stop_reason or header.status
        )
        return Outcome(
            text=f"The re-analysis `{run_id}` did not finish: {reason}",
            names=(run_id,),
            failed=True,
            run_id=run_id,
        )
    after = tests(turn.sources(run_id))[0]
    row = follow.rows[0] if follow.rows else ""
    turn.move(run=run_id, objective=after[0].id, entity=row, entity_name=name)
    names = [
        origin,
        run_id,
        name,
        row,
        follow.statement,
        *known_names(turn.record(origin)),
        *known_names(turn.record(run_id)),
    ]
    lines = [*told, f"I computed it again as run `{run_id}`: {follow.statement}.\n"]
    if row:
        lines.append(f"- before: {row_text(turn, origin, *before, row, name)}")
        if not (after[2].iloc[:, 0].astype(str) == row).any():
            lines.append(f"- now: {name} is no longer tested (too few values are left).")
        else:
            lines.append(f"- now: {row_text(turn, run_id, *after, row, name)}")
            fewer = bool(follow.subset or follow.exclude_samples)
            lines.append("\n" + _verdict(before[2], after[2], row, name, fewer))
    sources = turn.sources(run_id)
    if "q" in after[2].columns:
        now_significant = turn.book.cite(
            run_id, "rows with q at most the level", "significant now", int((after[2]["q"] <= LEVEL).sum())
        )
        was = turn.book.cite(
            origin, f"rows of {objective.id} with q at most the level", "significant before",
            int((before[2]["q"] <= LEVEL).sum()),
        )  # fmt: skip
        lines.append(f"\nIn all, {now_significant} are significant in this test alone; before it were {was}.")
    step = after[1]
    for place in range(min(2, len(sources.call(step).warnings))):
        lines.append(f"\nNote: {turn.book.of_run(sources, path('warning', step, place), 'warning')}")
    notices = (
        "This is one test. Claims of a whole run hold over all its tests, and are checked for stability as well.",
    )
    return Outcome(text="\n".join(lines), names=tuple(dict.fromkeys(names)), notices=notices, run_id=run_id)


def _verdict(before: Any, after: Any, row: str, name: str, fewer: bool = False) -> str:
    """Whether it is still there, in words. With fewer samples, what is not significant is not shown to be gone."""

    def value(table: Any, column: str) -> float | None:
        found = table.loc[table.iloc[:, 0].astype(str) == row, column] if column in table.columns else []
        values = [float(one) for one in found if one == one]
        return values[0] if values else None

    was, now_ = value(before, "effect"), value(after, "effect")
    q_was, q_now = value(before, "q"), value(after, "q")
    if was is None or now_ is None or q_now is None:
        return f"{name} cannot be judged: a value is missing."
    if (was > 0) != (now_ > 0):
        return f"**No.** {name} turns the other way."
    if q_now <= LEVEL:
        size = "about as large" if abs(now_) >= 0.75 * abs(was) else "smaller"
        if q_was is not None and q_was > LEVEL:
            return "**It is there now** and was not before; the direction is the same."
        return f"**Yes.** {name} still goes the same way and is significant; the effect is {size}."
    if q_was is not None and q_was > LEVEL:
        return f"**It was not there before, and is not now**: {name} is significant in neither."
    if fewer:
        size = "about as large" if abs(now_) >= 0.75 * abs(was) else "smaller"
        return (
            f"**It cannot be told from fewer samples**: {name} keeps its direction and the effect is {size}, but it is not "
            "significant there. That is no proof that it is gone."
        )
    return f"**Not any more.** {name} keeps its direction but is no longer significant."


def _again_cost(turn: Turn, args: AgainArgs) -> Cost:
    follow, objective, _, _ = _request(turn, args)
    _, workflow, _ = planned(turn.record(follow.run_id), follow)
    known = turn.record(follow.run_id).calls
    seconds = sum(
        max(
            [one.wall_s for one in known.values() if one.spec.tool == step.tool]
            or [registry.get(step.tool).seconds]
        )
        for step in workflow.steps[-2:]
    )
    tested = TESTED[objective.kind].tool
    return Cost(
        ask=seconds >= COSTLY_S,
        why=f"Compute again: {follow.statement} ({tested}, about {seconds:.0f} s).",
    )


def methods_of(tool: str, field: str = "method") -> tuple[str, ...]:
    """The choices that a tool's parameter has."""
    found = registry.get(tool).params_model.model_fields.get(field)
    annotation = None if found is None else found.annotation
    return tuple(str(one) for one in get_args(annotation)) if get_origin(annotation) is Literal else ()


AGAIN = (
    Action(
        "reanalyse",
        "Compute a question of a run again: other covariates, another preparation, or without some samples; "
        "gives new evidence beside the old.",
        AgainArgs,
        _again,
        _again_cost,
    ),
)
