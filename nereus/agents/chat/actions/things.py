"""What there is: help, lists, what a file holds, what a tool does, and what was remembered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nereus.agents.chat.actions.base import Action, Args
from nereus.agents.chat.lookup import parts_of
from nereus.agents.chat.turn import Cost, Outcome, Turn
from nereus.errors import InputError, PlanError
from nereus.memory.threads import Note
from nereus.tools import registry

Things = Literal["datasets", "runs", "tools", "methods", "models", "actions", "notes"]
SHOWN, MOST_NOTES = 12, 5000

HELP = """I answer from recorded evidence, and every number that I say can be recomputed. You can say:

- `analyse this file` — start a run; `how is it going?`, `stop the run`
- `what is in this file?` — samples, groups, missing values, comparisons
- `what did you find?`, `why is APOE up?`, `how sure are you?`, `what could explain it?`
- `is it still there after adjusting for age?`, `without normalisation`, `leave out sample X` — a real re-analysis
- `show me`, `volcano plot`, `show MAPT` — figures
- `compare with the previous run`, `list runs`, `list tools`, `what does the tool stability do?`
- `draw CCO`, `predict its solubility`, `fit asgn on my table to predict log_solubility`
- `remember that ...`, `what do you remember?`

Small typos are fine, and `it` is what we talked about last."""


LIKE = 0.25
"""Similarity from which a finding of an earlier run is told."""


class NoArgs(Args):
    """Nothing to say."""


class ListArgs(Args):
    """What is listed."""

    what: Things = "runs"
    """Kind of thing."""


class DatasetArgs(Args):
    """Which data set."""

    dataset: str = ""
    """Id of the data set; empty: the one talked about."""


class NamedArgs(Args):
    """A name."""

    name: str = Field(max_length=200)
    """Name of the tool or method."""


class NoteArgs(Args):
    """A text."""

    text: str = Field(default="", max_length=4000)
    """What is to be remembered, or looked for."""


class ForgetArgs(Args):
    """Which notes."""

    note: str = Field(default="", max_length=40)
    """Id of the note."""
    about: str = Field(default="", max_length=400)
    """Words of the note, where its id is not known."""
    all_of_them: bool = False
    """All notes of this person."""


def _help(turn: Turn, args: NoArgs) -> Outcome:
    del turn, args
    return Outcome(text=HELP)


def _list(turn: Turn, args: ListArgs) -> Outcome:
    rows, names = _LISTS[args.what](turn)
    total = turn.book.cite("", f"count of {args.what}", f"{args.what} there are", len(rows))
    if not rows:
        return Outcome(text=_NONE[args.what])
    shown = rows[:SHOWN]
    text = f"{_TITLES[args.what]} ({total}):\n\n" + "\n".join(f"- {one}" for one in shown)
    notices: tuple[str, ...] = ()
    if len(rows) > len(shown):
        left = turn.book.cite("", f"{args.what} not shown", "not shown", len(rows) - len(shown))
        text += f"\n\n({left} more are not shown)"
    return Outcome(text=text, names=tuple(names), notices=notices)


def _datasets(turn: Turn) -> tuple[list[str], list[str]]:
    known = turn.desk.datasets()
    return [f"`{one.id}` {one.name}" for one in known], [part for one in known for part in (one.id, one.name)]


def _runs(turn: Turn) -> tuple[list[str], list[str]]:
    rows, names = [], []
    for one in turn.desk.runs():
        name = one.inputs["data"].name if "data" in one.inputs else "?"
        asked = (
            f": {turn.book.told(one.id, f'field:header/{one.id}/question', 'question', one.question)}"
            if one.question
            else ""
        )
        left = f" (follows `{one.forked_from}`)" if one.forked_from else ""
        rows.append(f"`{one.id}` {one.status}, {name}{asked}{left}")
        names += [one.id, name, one.forked_from]
    return rows, [one for one in names if one]


def _tools(turn: Turn) -> tuple[list[str], list[str]]:
    del turn
    names = list(registry.names())
    return [f"`{one}`" for one in names], names


def _methods(turn: Turn) -> tuple[list[str], list[str]]:
    del turn
    from nereus import models

    cards = [models.card(name) for name in models.names()]
    return [f"`{one.name}`: {one.task}" for one in cards], [
        part for one in cards for part in (one.name, one.task)
    ]


def _models(turn: Turn) -> tuple[list[str], list[str]]:
    known = turn.desk.models()
    return [f"`{one.name}` ({one.method}), trained on {one.data_name or 'a table'}" for one in known], [
        part for one in known for part in (one.name, one.method, one.data_name)
    ]


def _actions(turn: Turn) -> tuple[list[str], list[str]]:
    known = [(str(one.get("name", "")), str(one.get("summary", ""))) for one in turn.desk.actions()]
    return [f"`{name}`: {summary}" for name, summary in known], [part for one in known for part in one]


def _notes(turn: Turn) -> tuple[list[str], list[str]]:
    known = turn.desk.recall("", 100)
    return [_note_line(turn, one) for one in known], [one.id for one in known]


def _note_line(turn: Turn, one: Note) -> str:
    return f"`{one.id}` {turn.book.told('', f'note:{one.id}', 'note', one.text)}"


_LISTS = {
    "datasets": _datasets,
    "runs": _runs,
    "tools": _tools,
    "methods": _methods,
    "models": _models,
    "actions": _actions,
    "notes": _notes,
}
_TITLES = {
    "datasets": "Your data sets",
    "runs": "Your runs, newest first",
    "tools": "Tools",
    "methods": "Trainable methods",
    "models": "Trained models in the store",
    "actions": "Learned actions",
    "notes": "What I remember",
}
_NONE = {
    "datasets": "No file was given yet. In a terminal: `nereus chat FILE`; on the page drop a file.",
    "runs": "There is no run yet. Give a file and say `analyse it`.",
    "tools": "There is no tool.",
    "methods": "There is no method.",
    "models": "No trained model is kept yet. Say `fit METHOD on DATASET to predict COLUMN`.",
    "actions": "No action was learned yet.",
    "notes": "I remember nothing yet. Say `remember that ...`.",
}


def _profile(turn: Turn, args: DatasetArgs) -> Outcome:
    dataset = turn.dataset(args.dataset)
    turn.tell({"type": "progress", "text": f"reading {dataset.name}"})
    load, _, profile = turn.desk.profile(dataset)
    turn.move(dataset=dataset.id)
    book, values = turn.book, profile.values

    def cited(name: str, form: str = "") -> str:
        return book.of_call(profile, name, form=form)

    lines = [f"**{dataset.name}** was read as {values.get('data_kind') or 'a table'}: "]
    parts = []
    if values.get("n_samples") is not None:
        parts.append(f"{cited('n_samples')} samples")
    if values.get("n_features") is not None:
        parts.append(f"{cited('n_features')} features")
    if values.get("missing_rate") is not None:
        parts.append(f"{cited('missing_rate', '.0%')} of the values missing")
    if values.get("organism"):
        parts.append(f"organism {values['organism']}")
    lines[0] += ", ".join(parts) + "."
    names = [dataset.name, str(values.get("organism") or ""), str(values.get("data_kind") or "")]
    if "contrasts" in profile.outputs:
        table = turn.desk.table(profile.outputs["contrasts"])
        possible = [
            (str(row.a), str(row.b), str(row.factor))
            for row in table.itertuples()
            if not str(getattr(row, "refused", "") or "")
        ]
        if possible:
            lines.append("\nComparisons that the design allows:\n")
            lines += [f"- {a} vs {b} ({factor})" for a, b, factor in possible[:SHOWN]]
            names += [part for one in possible for part in one]
        else:
            lines.append(
                "\nNo two groups can be compared as it is. A sample sheet (one row a sample) names the groups."
            )
    told = [(call, place, text) for call in (load, profile) for place, text in enumerate(call.warnings)]
    lines += [
        f"\nNote: {book.told('', f'call:{call.key[:16]}/warning/{place}', 'warning', text)}"
        for call, place, text in told[:3]
    ]
    lines.append(
        "\nSay `analyse it` to start a run, or ask with a question: `analyse it: which proteins follow age?`"
    )
    return Outcome(text="\n".join(lines), names=tuple(one for one in names if one))


def _tool_info(turn: Turn, args: NamedArgs) -> Outcome:
    del turn
    try:
        tool = registry.get(args.name)
    except PlanError:
        return _method_info(args.name)
    first = (tool.__doc__ or "").strip().split("\n\n")[0].strip()
    fields = ", ".join(f"`{one}`" for one in tool.params_model.model_fields) or "none"
    inputs = ", ".join(f"`{one.name}` ({one.kind})" for one in tool.inputs) or "none"
    text = f"`{tool.name}`: {tool.summary}\n\n{first}\n\nInputs: {inputs}. Parameters: {fields}."
    return Outcome(text=text, names=(text,))


def _method_info(name: str) -> Outcome:
    from nereus import models

    if name not in models.names():
        raise InputError(
            f"there is neither a tool nor a method {name!r}", mend="`list tools` and `list methods` show all"
        )
    card = models.card(name)
    text = f"`{card.name}` ({card.title}): {card.task}. It can {', '.join(card.verbs)}."
    return Outcome(text=text, names=(text,))


def _remember(turn: Turn, args: NoteArgs) -> Outcome:
    note = turn.desk.remember(args.text, turn.thread_id)
    return Outcome(text=f"I will remember: {turn.book.told('', f'note:{note.id}', 'note', note.text)}")


def _recall(turn: Turn, args: NoteArgs) -> Outcome:
    if not args.text.strip():
        return _list(turn, ListArgs(what="notes"))
    notes = turn.desk.recall(args.text)
    found = [one for one in turn.desk.found_before(args.text) if one.similarity > LIKE]
    if not notes and not found:
        return Outcome(text="I remember nothing about that.")
    lines = ["What I remember about it:\n", *(f"- {_note_line(turn, one)}" for one in notes)] if notes else []
    if found:
        lines.append("\nWhat earlier runs found that is like it:\n")
        lines += [
            f"- {turn.book.told(one.id, f'memory:{one.id}', 'found by an earlier run', one.text)} (run `{one.id}`)"
            for one in found
        ]
    return Outcome(text="\n".join(lines), names=tuple(one.id for one in (*notes, *found)))


def _forget(turn: Turn, args: ForgetArgs) -> Outcome:
    notes = _to_forget(turn, args)
    for one in notes:
        turn.desk.forget(one.id)
    told = "\n".join(f"- {_note_line(turn, one)}" for one in notes[:SHOWN])
    more = "\n- ..." if len(notes) > SHOWN else ""
    return Outcome(
        text=f"Forgotten:\n\n{told}{more}\n\nWhat was said in conversations stays in them; a conversation can be "
        "deleted as a whole.",
        names=tuple(one.id for one in notes),
    )


def _to_forget(turn: Turn, args: ForgetArgs) -> list[Note]:
    """The notes that are meant.

    Raises
    ------
    InputError
        There is none, or several could be meant.
    """
    known = turn.desk.recall("", MOST_NOTES)
    if args.all_of_them:
        if not known:
            raise InputError("I remember nothing that could be forgotten")
        return known
    if args.note:
        if found := [one for one in known if one.id == args.note]:
            return found
        turn.desk.forget(args.note)  # says that there is none
    words = set(parts_of(args.about))
    hits = [one for one in known if words and words <= set(parts_of(one.text))]
    if len(hits) == 1:
        return hits
    raise InputError(
        f"{'several notes' if hits else 'no note'} could be meant by {args.about[:60]!r}",
        mend="say `what do you remember?`, and `forget` with the id of the note",
    )


def _forget_cost(turn: Turn, args: ForgetArgs) -> Cost:
    if not args.all_of_them:
        return Cost()
    return Cost(ask=True, why=f"Forget all notes ({len(_to_forget(turn, args))}).")


THINGS = (
    Action("help", "Say what can be asked.", NoArgs, _help),
    Action(
        "list",
        "List data sets, runs, tools, methods, trained models, learned actions or notes.",
        ListArgs,
        _list,
    ),
    Action(
        "profile", "Read a file and say what it holds and which comparisons it allows.", DatasetArgs, _profile
    ),
    Action("describe_tool", "Say what a tool or method does and takes.", NamedArgs, _tool_info),
    Action("remember", "Keep a note for all later conversations of this person.", NoteArgs, _remember),
    Action("recall", "Look up what was remembered; empty text lists all.", NoteArgs, _recall),
    Action(
        "forget", "Remove a note by its id or its words, or all notes.", ForgetArgs, _forget, _forget_cost
    ),
)
