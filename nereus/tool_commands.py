"""`nereus tools`: list the tools, show one, and run one on files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nereus.assignments import assigned
from nereus.errors import InputError, PlanError
from nereus.telling import told

if TYPE_CHECKING:
    import pandas as pd

    from nereus.tools.base import InputSpec, Result, Tool
    from nereus.tools.proteomics.readers.delimited import Table

tools_app = typer.Typer(help="The tools that agents and people can call.", no_args_is_help=False)


@tools_app.callback(invoke_without_command=True)
def tools(context: typer.Context) -> None:
    """List the tools."""
    if context.invoked_subcommand is not None:
        return
    with told():
        from nereus.tools import registry

        for tool in registry.all_tools():
            typer.echo(f"{tool.name:<24} {tool.summary}")


@tools_app.command("show")
def show(name: str) -> None:
    """Show one tool: its inputs, parameters and outputs."""
    with told():
        from nereus.tools import registry

        tool = registry.get(name)
        typer.echo(f"{tool.name} (version {tool.version}): {tool.summary}\n")
        for spec in tool.inputs:
            typer.echo(f"input   {spec.name}: {spec.kind}{' (optional)' if spec.optional else ''}")
        for output in tool.outputs:
            kind, _, output_name = output.partition(":")
            typer.echo(f"output  {output_name}: {kind}")
        for field_name, field in tool.params_model.model_fields.items():
            default = (
                "required" if field.is_required() else f"= {field.get_default(call_default_factory=True)!r}"
            )
            typer.echo(f"param   {field_name} {default}: {field.description or ''}")
        if tool.__doc__:
            typer.echo(f"\n{tool.__doc__}")


@tools_app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="TOOL", help="A tool of `nereus tools`.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="Its inputs, in their order; or input=FILE. Tables are CSV, TSV, XLSX or Parquet; data sets are what "
            "`nereus discover` reads.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A parameter, e.g. target=yield or settings.training.epochs=5; repeatable."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables, figures and values.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the named values as JSON.")] = False,
) -> None:
    """Run one tool on files. Nothing is recorded: for a recorded analysis see `nereus discover`."""
    with told():
        from nereus.tools import registry
        from nereus.tools.base import Capability

        tool = registry.get(name)
        if tool.capability in (Capability.NETWORK, Capability.EXEC):
            raise PlanError(
                f"tool {name!r} reaches beyond its inputs ({tool.capability.value})",
                where="nereus tools run",
                mend="it runs only within a recorded run, where it can be approved",
            )
        params = tool.validate(assigned(parameters or [], model=tool.params_model))
        inputs = _inputs(tool, files or [])
        if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError("exists, and is not empty", where=str(out), mend="name another folder")
        result = tool.run(inputs, params, seed)
        if out is not None:
            write_result(result, out)
        if as_json:
            typer.echo(json.dumps(dict(result.values), indent=2))
            return
        typer.echo(result.summary)
        for value, shown in result.values.items():
            typer.echo(f"  {value} = {shown}")
        for warning in result.warnings:
            typer.echo(f"warning: {warning}")
        if out is not None:
            typer.echo(f"tables, figures and values are in {out}")


def _inputs(tool: Tool, given: list[str]) -> dict[str, Any]:
    """Inputs from files by position or name, read as the tool wants them."""
    specs = {spec.name: spec for spec in tool.inputs}
    waiting = list(specs)
    named: list[tuple[str, str | None, Path]] = []
    for item in given:
        before, sign, after = item.partition("=")
        slot, _, key = before.partition(":")
        if sign and slot in specs and not Path(item).exists():
            named.append((slot, key or None, Path(after)))
            waiting = [one for one in waiting if one != slot]
            continue
        if not waiting:
            raise InputError(
                f"{item!r} is one file more than there are inputs",
                where=f"tool {tool.name!r}",
                mend=f"inputs are {sorted(specs)}",
            )
        named.append((waiting.pop(0), None, Path(item)))
    found: dict[str, Any] = {}
    for slot, given_name, path in named:
        if specs[slot].kind == "tables":
            found.setdefault(slot, {})[given_name or path.stem] = read_table_file(path)
        elif slot in found:
            raise InputError(
                f"input {slot!r} is given twice", where=f"tool {tool.name!r}", mend="give it once"
            )
        else:
            found[slot] = _read(specs[slot], path)
    return found


def _read(spec: InputSpec, path: Path) -> Any:
    from nereus.tools.base import SourceFile

    if spec.kind == "file":
        if not path.exists():
            raise InputError("there is no such file", where=str(path), mend="check the path")
        return SourceFile(path, path.name)
    if spec.kind == "dataset":
        from nereus import load_dataset

        return load_dataset(path)
    if spec.kind == "model":
        from nereus.models.storage import model_file
        from nereus.tools.base import TrainedMethod

        return TrainedMethod(model_file(path).read_bytes())
    return read_table_file(path)


def read_table_file(path: Path) -> pd.DataFrame:
    """A table of any kind, one row an observation: also the sequences of a FASTA or GenBank file, the molecules of an SD file.

    Numbers are float, anything else is text, what is missing is NaN.
    """
    from nereus.tools.proteomics.readers.source import open_source
    from nereus.tools.proteomics.readers.table import read_table

    special = _special_table(path)
    return _frame(read_table(open_source(path))) if special is None else special


def read_rows(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table as `read_table_file` reads it, and as it is written; row by row, also rows whose cells are all empty.

    Returns
    -------
    table, written : DataFrame
        Of equal rows. In the second, cells are texts as they stand in the file (007, 12345678901234567890, NA), but for numbers
        in another language's notation; cells of several lines, as mol blocks are, are left out with their column.
    """
    import pandas as pd

    from nereus.tools.proteomics.readers.source import open_source
    from nereus.tools.proteomics.readers.table import read_table

    special = _special_table(path)
    if special is not None:
        long = [name for name in special if special[name].astype(str).str.contains("\n", regex=False).any()]
        return special, special.drop(columns=long)
    cells = read_table(open_source(path))
    table = _frame(cells)
    texts = {
        name or f"column_{j + 1}": cells.columns[j] for j, name in reversed(list(enumerate(cells.header)))
    }
    written = pd.DataFrame({name: _as_written(table[name], texts[name]) for name in table})
    if cells.empty:
        lines = sorted([*cells.lines, *cells.empty])
        known = set(cells.lines)
        places = [row for row, line in enumerate(lines) if line in known]
        table, written = (one.set_axis(places).reindex(range(len(lines))) for one in (table, written))
    return table, written


def _as_written(values: pd.Series, texts: list[str]) -> pd.Series:
    """The texts of a column, or its numbers where these are not written in Python's way."""
    import pandas as pd

    plain = pd.Series(texts, dtype=object)
    if str(values.dtype) == "object":
        return plain
    return plain if all(map(_is_written, texts, values)) else values


def _is_written(text: str, value: float) -> bool:
    """Whether Python reads a cell as the number that we took it for; a cell that stands for no value is as it is."""
    try:
        return value != value or float(text) == value
    except ValueError:
        return False


def _special_table(path: Path) -> pd.DataFrame | None:
    """The table of a file that is none by its cells: sequences, molecules, a single column; None of any other."""
    from nereus.models.molecules.files import is_molecule_file, read_molecule_file
    from nereus.models.sequences.files import is_sequence_file, read_sequence_file

    if is_sequence_file(path):
        return read_sequence_file(path)
    if is_molecule_file(path) and (molecules := read_molecule_file(path)) is not None:
        return molecules
    return _one_column(path)


def _frame(table: Table) -> pd.DataFrame:
    from nereus.tools.proteomics.readers.sample_sheet import sheet_columns

    frame = sheet_columns(table, range(table.n_rows))
    for name in frame.columns:
        if str(frame[name].dtype) == "category":  # as written, so that no order of levels is taken for one
            frame[name] = frame[name].astype(object)
    return frame


def _one_column(path: Path) -> pd.DataFrame | None:
    """A text file of one column under its name, as molecules or instructions often are; None for any other file."""
    import pandas as pd

    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".smi") or not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if len(lines) < 2 or any(sign in lines[0] for sign in "\t,;| "):
        return None
    if any(sign in line for line in lines for sign in '\t,; "'):  # texts, as a CSV quotes them
        try:
            records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error:
            return None
        if path.suffix.lower() != ".csv" or any(len(record) > 1 for record in records):
            return None
        lines = [record[0].strip() for record in records if record]
    return pd.DataFrame({lines[0]: pd.Series([line or None for line in lines[1:]], dtype=object)})


def write_result(result: Result, folder: Path) -> None:
    """Tables as CSV, figures as SVG with the table they were drawn from, data sets as h5ad, and values as JSON."""
    from nereus.spreadsheets import harmless

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in result.tables.items():
        harmless(table).to_csv(folder / f"{name}.csv", index=False)
    for name, figure in result.figures.items():
        (folder / f"{name}.svg").write_bytes(figure.svg)
        harmless(figure.data).to_csv(folder / f"{name}_drawn.csv", index=False)
    for name, dataset in result.datasets.items():
        dataset.write_h5ad(folder / f"{name}.h5ad")
    for name, model in result.models.items():
        (folder / f"{name}.safetensors").write_bytes(model.content)
    said: Mapping[str, Any] = {
        "summary": result.summary,
        "values": dict(result.values),
        "warnings": list(result.warnings),
        "complete": result.complete,
    }
    (folder / "result.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
