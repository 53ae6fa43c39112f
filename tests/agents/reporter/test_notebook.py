"""The notebook computes the analysis again in a clean process and agrees with the stored tables."""

from __future__ import annotations

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

import nereus.tools
from nereus.agents.reporter.notebook import compare
from nereus.errors import NereusError
from nereus.tools import registry
from nereus.tools.base import Result


def _execute(folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(folder / "analysis.ipynb", as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def test_it_reproduces_the_tables(real_report):
    done = _execute(real_report)
    last = done.cells[-1].outputs[-1]["data"]["text/plain"]
    assert re.search(r"\d+ tables with \d+ cells agree with the report", last), last
    code = "\n".join(cell.source for cell in done.cells if cell.cell_type == "code")
    assert "tools.differential_abundance(" in code
    assert sum(cell.cell_type == "markdown" for cell in done.cells) == 9
    shown = [
        o
        for cell in done.cells
        if cell.cell_type == "code"
        for o in cell.outputs
        if "text/html" in o.get("data", {})
    ]
    assert len(shown) == 7, "every step displays its tables and figures"


def test_comparing_names_the_cell_that_differs(toy_run, tmp_path):
    call = next(
        call for call in toy_run.record.calls.values() if call.spec.tool == "toy_compare" and call.outputs
    )
    table = toy_run.artifacts.table(call.outputs["differential"])
    text = table.to_csv(index=False, lineterminator="\n")
    (tmp_path / "t.csv").write_text(text.replace("MAPT,MAPT", "MAPT,TAU", 1))
    results = {"S2-toy_compare": Result("", tables={"differential": table})}
    with pytest.raises(NereusError, match="gene: stored 'TAU', recomputed 'MAPT'"):
        compare(results, {"S2-toy_compare/differential": "t.csv"}, tmp_path)
    (tmp_path / "t.csv").write_text(text)
    assert compare(results, {"S2-toy_compare/differential": "t.csv"}, tmp_path).startswith(
        "1 tables with 50 cells agree"
    )


def test_tools_are_attributes_and_load_lazily():
    assert nereus.tools.filter_features is registry.get("filter_features")
    assert set(registry.names()) <= set(dir(nereus.tools))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nereus.tools.nothing
