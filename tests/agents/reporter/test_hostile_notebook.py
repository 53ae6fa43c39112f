"""What the data say never becomes code of the notebook: file names, parameters and purposes are literals or quoted."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from nereus.agents.reporter.bundle import table_files
from nereus.agents.reporter.notebook import notebook_text
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import RunRecord
from tests.agents.reporter.conftest import HOSTILE, ToyRun

CODE = [
    "'); __import__('os').system('id') #",
    '"""); __import__("os").system("id") #',
    "\\'); exec('1') #",
    "x\n!id\n%%bash\nid",
    "x\u2028import os\u2029os.system('id')",
    "{exec('1')}{{exec('1')}}",
    "\\N{LATIN SMALL LETTER A}\\x41\\",
    "x\r\nexec('1')",
    "```\nexec('1')\n```",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1)) ![y](http://127.0.0.1/z)",
]


def cells_of(run: ToyRun, text: str) -> tuple[list[str], list[str]]:
    """(code, Markdown) of the notebook of a run in whose texts, parameters and file names a text stands."""
    swapped = run.record.model_dump_json().replace(json.dumps(HOSTILE)[1:-1], json.dumps(text)[1:-1])
    record = RunRecord.model_validate_json(swapped)
    header = record.header.model_copy(update={"question": text})
    calls = {
        key: call.model_copy(
            update={"spec": call.spec.model_copy(update={"params": {**call.spec.params, "x": text}})}
        )
        for key, call in record.calls.items()
    }
    workflows = tuple(
        one.model_copy(
            update={"steps": tuple(step.model_copy(update={"purpose": text}) for step in one.steps)}
        )
        for one in record.workflows
    )
    record = record.model_copy(update={"header": header, "calls": calls, "workflows": workflows})
    sources = Sources(record, run.artifacts.table)
    inputs = {ref.id: f"inputs/{text}" for ref in record.header.inputs.values()}
    cells: list[dict[str, Any]] = json.loads(notebook_text(sources, inputs, table_files(sources)))["cells"]
    by_kind = [
        ["".join(one["source"]) for one in cells if one["cell_type"] == kind] for kind in ("code", "markdown")
    ]
    return by_kind[0], by_kind[1]


@pytest.mark.parametrize("text", CODE)
def test_a_text_is_a_literal_in_code_and_quoted_in_words(hostile_run: ToyRun, text: str) -> None:
    code, words = cells_of(hostile_run, text)
    plain, _ = cells_of(hostile_run, "plain")
    assert len(code) == len(plain)
    literals = []
    for one, other in zip(code, plain, strict=True):
        tree = ast.parse(one)
        assert shape(tree) == shape(ast.parse(other)), (
            "the same statements and calls, whatever is in the texts"
        )
        literals += [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
        assert not [line for line in one.splitlines() if line.lstrip().startswith(("!", "%"))], (
            "IPython would run it"
        )
    assert any(isinstance(each, str) and text in each for each in literals), "it does stand there"
    for one in words:
        assert "<script" not in one.replace("\\<script", "")
        assert "](" not in one.replace("\\](", "")
        assert "\n```" not in one


def shape(tree: ast.AST) -> list[str]:
    """Kinds of all nodes and names that are called, without what constants hold."""
    return [
        ast.unparse(one.func) if isinstance(one, ast.Call) else type(one).__name__ for one in ast.walk(tree)
    ]
