"""``analysis.ipynb``: the analysis as a person would write it, through the public Python API.

One cell a step, in order, each reading what earlier cells made and the files in ``inputs/``; the last cell
compares every table with the ones in the report. Cells hold parameters and seeds as literals, so the
notebook needs nothing but the folder it lies in and the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

from nereus.agents.reporter.record_files import execution_order
from nereus.agents.reporter.sources import Sources
from nereus.errors import NereusError
from nereus.memory.records import ArtifactKind, CallStatus, ToolCall

if TYPE_CHECKING:
    from nereus.tools.base import Result

_OPENING = """\
from pathlib import Path

from nereus import tools
from nereus.agents.reporter.notebook import compare
from nereus.tools.base import SourceFile

folder = Path.cwd()  # the report's folder: start Jupyter there"""


def notebook_text(sources: Sources, input_files: dict[str, str], files: dict[tuple[str, str], str]) -> str:
    """The notebook as JSON text (nbformat 4), equal bytes for equal records."""
    record = sources.record
    question = f"\n\n> {_quoted(record.header.question)}" if record.header.question else ""
    cells = [
        _markdown(
            "# Analysis, step by step\n\n"
            "This notebook computes the analysis of this report again through the Python API "
            "of Nereus and ends by comparing every table with the stored one. Run it in the report's folder."
            + question
        ),
        _code(_OPENING),
    ]
    purposes = {step.call_key: step for step in record.steps()}
    made: dict[str, str] = {}
    compared: dict[str, str] = {}
    for call in execution_order(record):
        step_id = sources.step_of_call[call.key]
        step = purposes.get(call.key)
        why = (
            _quoted(step.purpose)
            if step is not None and step.purpose
            else "A step of an earlier version of the plan."
        )
        cells.append(_markdown(f"## {step_id} · `{call.spec.tool}`\n\n{why}"))
        if call.status is CallStatus.FAILED:
            cells.append(
                _markdown(
                    "This step failed in the run, and nothing was built on it:\n\n"
                    + _indented(call.error or "")
                )
            )
            continue
        variable = step_id.lower().replace(".", "_")
        cells.append(_code(_step_code(variable, call, made, input_files)))
        for name, ref in call.outputs.items():
            if ref.kind is not ArtifactKind.FIGURE:
                made.setdefault(ref.id, _access(variable, call, name, ref.kind))
        if any((call.key, name) in files for name in call.outputs):
            compared[variable] = f"{step_id}-{call.spec.tool}"
    results = ",\n".join(f'    "{stem}": {variable}' for variable, stem in compared.items())
    tables = {
        f"{sources.step_of_call[key]}-{sources.record.calls[key].spec.tool}/{name}": file
        for (key, name), file in files.items()
        if file.endswith(".csv")
    }
    cells.append(
        _markdown("## Compare with the report\n\nEvery table made above against its copy in the report.")
    )
    cells.append(
        _code(
            f"results = {{\n{results}\n}}\n"
            f"stored = {pformat(tables, width=100)}\n"
            "compare(results, stored, folder)"
        )
    )
    document = {
        "cells": [cell | {"id": f"cell-{number:03d}"} for number, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _step_code(variable: str, call: ToolCall, made: dict[str, str], input_files: dict[str, str]) -> str:
    arguments: list[str] = []
    for name, value in call.spec.inputs.items():
        if value is None:
            continue
        if isinstance(value, str):
            arguments.append(f"{name}={_input(value, made, input_files)}")
        else:
            inner = ", ".join(f"{key!r}: {_input(one, made, input_files)}" for key, one in value.items())
            arguments.append(f"{name}={{{inner}}}")
    arguments += [f"{name}={pformat(value, width=90)}" for name, value in call.spec.params.items()]
    arguments.append(f"seed={call.spec.seed}")
    inside = ",\n".join("    " + argument.replace("\n", "\n    ") for argument in arguments)
    return f"{variable} = tools.{call.spec.tool}(\n{inside},\n)\n{variable}"


def _input(artifact: str, made: dict[str, str], input_files: dict[str, str]) -> str:
    if artifact in made:
        return made[artifact]
    file = input_files.get(artifact)
    if file is None:
        return "None  # an input that no step of this run made"
    return f"SourceFile(folder / {file!r}, {file.partition('/')[2]!r})"


def _access(variable: str, call: ToolCall, name: str, kind: ArtifactKind) -> str:
    if kind is ArtifactKind.DATASET:
        return f"{variable}.dataset({name!r})"
    figure = name.removesuffix("_data")
    drawn = figure != name and figure in call.outputs and call.outputs[figure].kind is ArtifactKind.FIGURE
    return f"{variable}.figures[{figure!r}].data" if drawn else f"{variable}.table({name!r})"


def compare(results: dict[str, Result], stored: dict[str, str], folder: Path, tolerance: float = 1e-9) -> str:
    """Compare computed tables with the CSV copies in a report.

    Parameters
    ----------
    results
        Step name -> result of the step.
    stored
        ``<step name>/<table>`` -> path of the CSV in the report.
    folder
        Folder of the report.
    tolerance
        Largest relative difference of two numbers that count as equal.

    Returns
    -------
    A line that says how many tables agree.

    Raises
    ------
    NereusError
        Naming the first cell that differs.
    """
    from nereus.agents.reporter.bundle import table_csv
    from nereus.agents.reporter.cells import different_cells

    compared = cells = 0
    for name, file in sorted(stored.items()):
        step, _, table = name.partition("/")
        if step not in results:
            continue
        result = results[step]
        figure = table.removesuffix("_data")
        frame = result.figures[figure].data if table not in result.tables else result.table(table)
        found = different_cells((folder / file).read_text(encoding="utf-8"), table_csv(frame), tolerance)
        if found.differences:
            raise NereusError(
                found.differences[0], where=file, mend="run the notebook with the versions named in run.json"
            )
        compared, cells = compared + 1, cells + found.total
    return f"{compared} tables with {cells} cells agree with the report"


def _quoted(text: str | None) -> str:
    """Text from data or people as Markdown that shows it and does nothing else."""
    flat = " ".join((text or "").split())
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>#|!" else c for c in flat)


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def _markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source, "execution_count": None, "outputs": []}
