"""`nereus verify`: an untouched report is reproduced in a clean process; a changed one is found, and the place named."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nereus.agents.reporter import write_bundle
from nereus.agents.reporter.cells import different_cells
from nereus.agents.reporter.verify import Verification, report_text, verify, verify_here
from nereus.errors import InputError
from nereus.tools import registry


@pytest.fixture
def report(toy_run, tmp_path) -> Path:
    return write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "report")


def test_an_untouched_report_is_reproduced(report):
    found = verify_here(report)
    assert found.differences == []
    assert found.ok
    assert found.n_total > 250
    assert report_text(found).splitlines()[-1] == f"{found.n_total}/{found.n_total} values reproduced"


def test_every_kind_of_value_is_counted(report):
    """Taking a part of the report away takes its values out of the count: none is counted for nothing."""
    whole = verify_here(report).n_total
    page = (report / "report.html").read_text()
    numbers = len(re.findall(r"data-(?:evidence|source)=", page))
    assert whole > numbers + len((report / "claims.csv").read_text().split(","))


def test_in_a_clean_process_with_the_products_own_tools(real_report, tmp_path):
    steps: list[str] = []
    found = verify(real_report, progress=steps.append)
    assert found.differences == []
    assert found.ok
    assert len(steps) == 7
    assert found.n_total > 1000
    moved = tmp_path / "elsewhere"
    shutil.copytree(real_report, moved)
    text = (moved / "claims.csv").read_text()
    (moved / "claims.csv").write_text(text.replace(",up,", ",down,", 1))
    command = [sys.executable, "-m", "nereus.agents.reporter.verify", str(moved)]
    process = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ), cwd=tmp_path, check=False
    )
    assert process.returncode == 1
    assert "claims.csv: row 'drug vs ctrl', direction: stored 'down', recomputed 'up'" in process.stdout
    assert re.fullmatch(r"(\d+)/(\d+) values reproduced", process.stdout.splitlines()[-1])


def _edit(name: str, old: str, new: str):
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def _json(name: str, edit):
    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        edit(document)
        (folder / name).write_text(json.dumps(document), encoding="utf-8")

    return change


def _set(*path_and_value):
    *path, last, value = path_and_value

    def edit(document) -> None:
        for part in path:
            document = document[part]
        assert document[last] != value
        document[last] = value

    return edit


def _digit(pattern: str, name: str):
    """Change the digit that a pattern's first group ends with."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        match = re.search(pattern, text)
        assert match, pattern
        end = match.end(1)
        text = text[: end - 1] + str((int(text[end - 1]) + 1) % 10) + text[end:]
        (folder / name).write_text(text, encoding="utf-8")

    return change


TABLE = "tables/O1.W1.S2-toy_compare-differential.csv"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_edit("claims.csv", "SOD1", "SOD2"), "claims.csv: row 'case vs control', feature: stored 'SOD2'"),
        (_digit(r"SOD1,SOD1,up,(\d\.\d+)", "claims.csv"), "effect: stored"),
        (_digit(r"SOD1,SOD1,(\d\.\d\d)", TABLE), f"{TABLE}: row 'SOD1', effect: stored"),
        (
            _json("hypotheses.json", _set("hypotheses", 0, "numbers", 0, "value", 9.0)),
            "hypotheses.json, hypotheses[H1].numbers[0].value",
        ),
        (_json("hypotheses.json", _set("hypotheses", 0, "evidence", 1, "value", 0.5)), "hypotheses[H1].evidence[E2].value"),
        (_edit("hypotheses.json", "is higher in case", "is lower in case"), "hypotheses[H1].statement"),
        (_json("hypotheses.json", _set("hypotheses", 0, "confidence", 0.99)), "hypotheses[H1].confidence"),
        (_digit(r'data-evidence="E1"[^>]*>\+?(\d\.\d\d)', "report.html"), "report.html, E1: the page says"),
        (_digit(r'data-evidence="E1"[^>]*data-value="(\d\.\d\d)', "report.html"), "report.html, E1: the page holds"),
        (_digit(r'data-source="count:steps"[^>]*>(\d)', "report.html"), "report.html, count:steps: the page says"),
        (_edit("report.html", "The antibody is specific", "The antibody is superb"), "report.html: line"),
        (_edit("report.html", 'cx="5" cy="5"', 'cx="6" cy="5"'), "report.html: line"),
        (_edit("report.html", "What it stands on", "What it stands on: 17 studies"), "'17' stands on the page without a source"),
        (_edit("report.html", "Tested 4 features.", "Tested 9 features."), "report.html, summary:O1.W1.S2: the page says"),
        (
            _json("steps.json", _set("steps", 1, "values", "n_tested", 5)),
            "step O1.W1.S2 (toy_compare), value 'n_tested': stored 5, recomputed 4",
        ),
        (_json("steps.json", _set("steps", 1, "params", "centre", True)), "parameters, inputs or seed are not those of its key"),
        (_json("steps.json", _set("steps", 1, "seed", 1)), "parameters, inputs or seed are not those of its key"),
        (_json("steps.json", _set("steps", 1, "version", "1")), "tool 'toy_compare' has version 2 here, 1 in the report"),
        (_json("plan.json", _set("evidence", "E1", "value", 3.0)), "plan.json, evidence E1 (log2 fold change): stored 3.0"),
        (_edit("inputs/table.csv", "20,21,22", "20,21,29"), "inputs/table.csv: the input is not the one that was analysed"),
        (lambda folder: (folder / "inputs" / "table.csv").unlink(), "inputs/table.csv: the input is missing"),
        (_edit("figures/O1.W1.S4-toy_plot-volcano.svg", 'cx="5"', 'cx="9"'), "O1.W1.S4-toy_plot-volcano.svg: the drawing is not"),
        (lambda folder: (folder / TABLE).unlink(), f"{TABLE}: the file is missing"),
        (_edit("analysis.ipynb", "seed=", "seed=1"), "analysis.ipynb: the file is not the one that the manifest names"),
        (_json("run.json", _set("seed", 99)), "run.json: the file is not the one that the manifest names"),
        (lambda folder: (folder / "ro-crate-metadata.json").unlink(), "the manifest is missing"),
    ],
)  # fmt: skip
def test_what_was_changed_is_found_and_named(report, change, named):
    change(report)
    found = verify_here(report)
    assert not found.ok
    assert found.n_reproduced < found.n_total
    assert any(named in difference for difference in found.differences), found.differences


def test_a_consistent_forgery_of_value_and_text_is_found(report):
    """Changing a number in every file that shows it still disagrees with what the inputs give."""
    table = (report / TABLE).read_text()
    value = re.search(r"SOD1,SOD1,(\d\.\d+)", table)[1]
    forged = str(float(value) + 1)
    for name in (TABLE, "report.html", "hypotheses.json", "plan.json", "ro-crate-metadata.json"):
        path = report / name
        path.write_text(path.read_text().replace(value, forged).replace(value[:4], forged[:4]))
    text = "\n".join(verify_here(report).differences)
    for name in (TABLE, "report.html", "hypotheses.json", "plan.json"):
        assert name in text


def _last_digit(number: str) -> str:
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def test_rounding_in_the_last_bit_is_no_difference(report):
    """Another processor may round otherwise: the sixteenth digit is within the tolerance, in tables and on the page."""
    manifest = report / "ro-crate-metadata.json"
    value = re.search(r"SOD1,SOD1,(\d\.\d{12,})", (report / TABLE).read_text())[1]
    for name in (TABLE, "report.html", "plan.json", "hypotheses.json"):
        path = report / name
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        assert value in path.read_text()
        path.write_text(path.read_text().replace(value, _last_digit(value)))
        manifest.write_text(
            manifest.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest())
        )
    assert verify_here(report).differences == []


def test_a_tool_that_is_gone_is_said_so(report, monkeypatch):
    monkeypatch.delitem(registry.CATALOGUE, "toy_plot")
    found = verify_here(report)
    assert any("tool 'toy_plot' is not known" in difference for difference in found.differences)


def test_a_file_outside_the_report_is_not_read(report):
    _json("steps.json", _set("inputs", "data", "file", "../../etc/passwd"))(report)
    assert any("lies outside the report" in difference for difference in verify_here(report).differences)


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_what_is_no_report_is_refused(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(InputError):
        verify(tmp_path / "x")


@pytest.mark.parametrize("name", ["steps.json", "plan.json", "hypotheses.json"])
def test_broken_json_is_one_clear_error(report, name):
    (report / name).write_text("{")
    with pytest.raises(InputError, match=name):
        verify_here(report)


def test_cells():
    stored = "k,x,y\na,1.0,u\nb,2.0,v\n"
    assert different_cells(stored, stored, 0).equal == 9
    close = different_cells(stored, "k,x,y\na,1.0000000000001,u\nb,2.0,v\n", 1e-9)
    assert (close.total, close.equal) == (9, 9)
    far = different_cells(stored, "k,x,y\na,1.1,u\nb,2.0,v\nc,3.0,w\n", 1e-9)
    assert (far.total, far.equal) == (12, 8)
    assert far.differences[0] == "row 'a', x: stored '1.0', recomputed '1.1'"


def test_the_line_counts_misses():
    found = Verification()
    found.count(True)
    found.count(False, "x")
    assert found.line() == "1/2 values reproduced"
    assert not found.ok
