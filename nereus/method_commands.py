"""`nereus methods`: list, show, train and ask the trainable methods."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nereus.assignments import assigned
from nereus.errors import InputError
from nereus.telling import told
from nereus.training_progress import training_progress

if TYPE_CHECKING:
    import pandas as pd

    from nereus.models.base import Method
    from nereus.models.card import Card

methods_app = typer.Typer(help="Trainable methods of the literature: train them on a table, and ask them.")

Where = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Folder that `fit` wrote, or a kept model: NAME or NAME@VERSION."),
]
Table = Annotated[
    Path, typer.Option(help="Table, one row an object: CSV, TSV, XLSX, Parquet, SDF, SMI, FASTA, GenBank.")
]
Smiles = Annotated[str | None, typer.Option(help="Column of SMILES.")]
Sequences = Annotated[str | None, typer.Option("--sequence", help="Column of sequences.")]
Text = Annotated[str | None, typer.Option(help="Column of texts.")]
Target = Annotated[
    list[str] | None, typer.Option(help="Column of the target; repeatable where a method takes several.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="Any other role, e.g. assay=assay_id; repeatable. See `nereus methods show`."
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, e.g. width=128 or training.epochs=50; repeatable."),
]


@methods_app.callback(invoke_without_command=True)
def methods(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """List the methods."""
    if context.invoked_subcommand is not None:
        return
    with told():
        from nereus import models

        cards = [models.card(name) for name in models.names()]
        if as_json:
            typer.echo(json.dumps([card.model_dump(mode="json") for card in cards], indent=2))
            return
        for card in cards:
            typer.echo(
                f"{card.name:<12} {card.status.value:<16} {card.year}  {card.task:<28} {', '.join(card.verbs)}"
            )


@methods_app.command("show")
def show(
    name: str, as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False
) -> None:
    """Show one method: what it is for, what it takes, what was measured, and its settings."""
    with told():
        from nereus import models
        from nereus.models.card_text import card_text
        from nereus.tools.methods.made import config_class

        card = models.card(name)
        if as_json:
            schema = config_class(card).model_json_schema()
            typer.echo(json.dumps({**card.model_dump(mode="json"), "settings": schema}, indent=2))
            return
        typer.echo(card_text(card, config_class(card)))


@methods_app.command("fit")
def fit(
    name: Annotated[str, typer.Argument(metavar="METHOD", help="A method of `nereus methods`.")],
    data: Table,
    out: Annotated[Path, typer.Option(help="Folder for the trained method, its metrics and figures.")],
    smiles: Smiles = None,
    sequence: Sequences = None,
    text: Text = None,
    target: Target = None,
    column: Columns = None,
    setting: Assignments = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    held_out: Annotated[float, typer.Option(help="Share of rows that judge; 0 judges nothing.")] = 0.2,
    split: Annotated[
        str, typer.Option(help="Who is held out together: scaffold, random or group.")
    ] = "scaffold",
    keep: Annotated[str | None, typer.Option(help="Also keep it in the model store under this name.")] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the state of training: the same command goes on from there when it was stopped."
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(min=1, help="Threads to compute with; other digits may come out with another number."),
    ] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a method on a table; rows that are held out judge it beside a baseline."""
    stopped = "interrupted: " + (
        "the same command goes on from the last epoch"
        if checkpoints
        else "with --checkpoints FOLDER the same command would go on from the last epoch"
    )
    with told(stopped):
        from nereus import models
        from nereus.models.card import Verb
        from nereus.models.store import require_name
        from nereus.tool_commands import read_rows, write_result
        from nereus.tools import registry
        from nereus.tools.methods.made import config_class

        card = models.card(name)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError("exists, and is not empty", where=str(out), mend="name another folder")
        _require_writable(out)
        if keep is not None:
            require_name(keep)
        settings = assigned(setting or [], model=config_class(card))
        if "random_state" in settings:
            raise InputError(
                "random_state is given by --seed", where="--set", mend=f"--seed {settings['random_state']}"
            )
        # Refuses what is no setting, with the nearest that is.
        config = models.get(name)(**settings).config.model_copy(update={"random_state": seed % 2**31})
        table, _ = read_rows(data)
        named = _columns(card, table, column, smiles=smiles, sequence=sequence, text=text, target=target)
        from nereus.models.files import with_contents

        if held_out and "target" in named and Verb.PREDICT in card.verbs and not quiet:
            typer.echo(
                f"trained twice: on {1 - held_out:.0%} of the rows to be judged by the others, and on all; "
                "--held-out 0 leaves the first out",
                err=True,
            )
        with training_progress(quiet, checkpoints) as session:
            from nereus.tools.methods.fitting import fit as train
            from nereus.tools.single_thread import single_thread

            asked = registry.get(f"fit_{name}").validate({**named, "held_out": held_out, "split": split})
            params = asked.model_copy(update={"settings": config})
            whole = with_contents(card, table, named, data.parent)
            with single_thread() if threads == 1 else _threads(threads):
                result = train(card, whole, params, seed, session=session)
        write_result(result, out)
        trained = result.models["model"].open()
        trained.save(out)
        (out / "columns.json").write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")
        typer.echo(result.summary)
        for warning in result.warnings:
            typer.echo(f"warning: {warning}")
        if keep is not None:
            entry = _store().keep(
                keep, trained, data_hash=_hash(data), data_name=data.name, columns=_listed(named),
                metrics={k: v for k, v in result.values.items() if isinstance(v, float)},
            )  # fmt: skip
            typer.echo(f"kept as {entry.name} version {entry.version}")
        typer.echo(f"the trained method, its metrics and figures are in {out}")


def _separator(out: Path, data: Path | None) -> str:
    """What parts the columns of the table of answers; refuses a place that no such table may go to."""
    if out.is_dir():
        raise InputError("is a folder", where=str(out), mend="name a file for the table of answers")
    if data is not None and out.exists() and out.samefile(data):
        raise InputError("is the table that is asked about", where=str(out), mend="name another file")
    ending = out.with_suffix("").suffix if out.suffix == ".gz" else out.suffix
    separators = {"": ",", ".csv": ",", ".txt": ",", ".tsv": "\t"}
    if ending.lower() not in separators:
        raise InputError(
            f"{ending!r} is no ending of a table of text", where=str(out), mend="name it .csv or .tsv"
        )
    return separators[ending.lower()]


def _asking(verb: str, about: str) -> None:
    """Add the command of a verb."""

    def command(
        model: Where,
        out: Annotated[Path, typer.Option(help="Table of answers: CSV.")],
        data: Annotated[
            Path | None,
            typer.Option(help="Table, one row an object: CSV, TSV, XLSX, Parquet, SDF, SMI, FASTA, GenBank."),
        ] = None,
        smiles: Smiles = None,
        sequence: Sequences = None,
        text: Text = None,
        column: Columns = None,
        option: Annotated[
            list[str] | None,
            typer.Option(
                "--option",
                "--set",
                help="An option of this question, e.g. n=100; repeatable. Settings of the method belong to `fit`.",
            ),
        ] = None,
        seed: Annotated[int | None, typer.Option(help="Seed of what is drawn.")] = None,
    ) -> None:
        with told():
            import pandas as pd

            from nereus.models.card import Verb
            from nereus.models.files import with_contents
            from nereus.models.tables import PROBLEM, REASON, answer
            from nereus.spreadsheets import harmless
            from nereus.tool_commands import read_rows
            from nereus.tools.single_thread import single_thread

            method, known = _open(model)
            if not method.can(Verb(verb)):
                raise InputError(
                    f"{method.card.name!r} does not {verb}",
                    where=str(model),
                    mend=f"it can {', '.join(method.card.verbs)}",
                )
            separator = _separator(out, data)
            _require_writable(out)
            table, written = (pd.DataFrame(), pd.DataFrame()) if data is None else read_rows(data)
            named = _columns(
                method.card, table, column, smiles=smiles, sequence=sequence, text=text, known=known
            )
            if seed is not None:
                method.set_params(random_state=seed)
            whole = table if data is None else with_contents(method.card, table, named, data.parent)
            with single_thread():
                found = answer(method, Verb(verb), whole, named, assigned(option or [], "--option"))
            if found.index.name == table.index.name and found.index.isin(table.index).all():
                # One answer a row, or some rows in an order: beside what the table says of them.
                replaced = [name for name in found if name in written]
                if replaced:
                    typer.echo(
                        f"warning: {', '.join(map(repr, replaced))} of the table gave way to the answer"
                    )
                found = pd.concat([written.drop(columns=replaced).loc[found.index], found], axis=1)
            out.parent.mkdir(parents=True, exist_ok=True)
            # Answers that are not one a row have an index of their own, which has a name.
            named_index = found.index.name is not None and not found.index.equals(table.index)
            harmless(found.reset_index(allow_duplicates=True) if named_index else found).to_csv(
                out, index=False, sep=separator
            )
            bad = int((found[PROBLEM] != "").sum()) if PROBLEM in found else 0
            if bad:
                typer.echo(f"warning: {bad} rows cannot be read; column {PROBLEM!r} says why")
            none = int((found[REASON].fillna("") != "").sum()) if REASON in found else 0
            if none:
                typer.echo(f"warning: {none} of what was made is no answer; column {REASON!r} says why")
            typer.echo(f"{len(found) - bad - none} answers are in {out}")

    methods_app.command(verb, help=about)(command)


for _verb, _about in {
    "predict": "Predict for every row of a table.",
    "embed": "Give a vector for every row of a table.",
    "generate": "Generate new objects, from the rows of a table where the method takes any.",
    "rank": "Rank the rows of a table within their groups.",
    "select": "Choose the rows that are worth measuring next.",
    "fragment": "Cut every row into its parts.",
    "explain": "Say on which parts of every row its prediction rests.",
    "score": "Give a likelihood for every row of a table.",
}.items():
    _asking(_verb, _about)


@methods_app.command("models")
def kept(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the trained methods that are kept."""
    with told():
        entries = _store().entries()
        for place in _store().damaged():
            typer.echo(f"warning: the entry of {place} is damaged", err=True)
        if as_json:
            typer.echo(json.dumps([one.model_dump(mode="json") for one in entries], indent=2))
            return
        if not entries:
            typer.echo("no trained method is kept: `nereus methods fit ... --keep NAME` keeps one")
        for one in entries:
            metrics = ", ".join(f"{k} {v:.3f}" for k, v in one.metrics.items() if v is not None)
            typer.echo(
                f"{one.name:<20} {one.version:>3}  {one.method:<12} {one.created}  {one.data_name}  {metrics}"
            )


@methods_app.command("delete")
def delete(
    name: str,
    version: Annotated[int | None, typer.Option(help="One version; by default all of them.")] = None,
) -> None:
    """Remove a kept model."""
    with told():
        gone = _store().delete(name, version)
        typer.echo(f"removed {name} version {', '.join(map(str, gone))}")


# ------------------------------------------------------------------ what the commands share


def _require_writable(out: Path) -> None:
    """Refuse, before anything is computed, a place where nothing can be written."""
    there = next(one for one in (out, *out.absolute().parents) if one.exists())
    if out != there and not there.is_dir():
        raise InputError(f"{str(there)!r} is a file, not a folder", where=str(out), mend="name another place")
    if not os.access(there, os.W_OK):
        raise InputError(
            f"nothing may be written at {str(there)!r}", where=str(out), mend="name another place"
        )


def _columns(
    card: Card,
    table: pd.DataFrame,
    others: list[str] | None,
    *,
    known: dict[str, Any] | None = None,
    **named: Any,
) -> dict[str, Any]:
    """Role to column: as named, else as in training, else the column that is called like the role."""
    found = {role: value for role, value in named.items() if value}
    for item in others or []:
        role, sign, name = item.partition("=")
        if not sign:
            raise InputError(f"{item!r} is no assignment", where="--column", mend="write role=column")
        found.setdefault(role, []).append(name) if card_takes_many(card, role) else found.update({role: name})
    for one in card.inputs:
        if one.name in found:
            continue
        trained_with = (known or {}).get(one.name)
        if trained_with and all(name in table.columns for name in _list(trained_with)):
            found[one.name] = trained_with
        elif one.name in table.columns:
            found[one.name] = one.name
    for role, value in found.items():
        if not card_takes_many(card, role) and isinstance(value, list):
            if len(value) > 1:
                raise InputError(f"{role!r} takes one column, got {value}", where=f"method {card.name!r}")
            found[role] = value[0]
        elif card_takes_many(card, role):
            found[role] = _list(value)
    return found


def card_takes_many(card: Card, role: str) -> bool:
    """Whether several columns may have a role; False for one that the card does not know, which is refused later."""
    return any(one.name == role and one.many for one in card.inputs)


def _list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _listed(named: dict[str, Any]) -> dict[str, list[str]]:
    return {role: _list(value) for role, value in named.items()}


def _open(place: Path) -> tuple[Method[Any], dict[str, Any]]:
    """A trained method from its folder or its name in the store, and the columns it was trained with."""
    from nereus import models

    if not place.exists() and len(place.parts) == 1:
        from nereus.models.store import parted

        entry, place = _store().find(*parted(place.name))
        return models.load(place), dict(entry.columns)
    file = place / "columns.json" if place.is_dir() else place.with_name("columns.json")
    return models.load(place), _columns_of_training(file) if file.exists() else {}


def _columns_of_training(file: Path) -> dict[str, Any]:
    """Role to columns, as `fit` wrote them."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(one, str | list) for one in found.values()):
            return found
    except ValueError:
        pass
    raise InputError(
        "the columns of training cannot be read", where=str(file), mend="remove the file and name the columns"
    )


def _store() -> Any:
    from nereus.models.store import ModelStore
    from nereus.settings import load_settings

    return ModelStore(load_settings().home / "models")


@contextmanager
def _threads(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _hash(file: Path) -> str:
    from nereus.memory.artifacts import file_hash

    return file_hash(file)
