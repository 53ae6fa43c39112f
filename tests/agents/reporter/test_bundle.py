"""The folder that comes out: complete, atomic, never over somebody's files, equal for equal seeds."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from nereus.agents.reporter import bundle, claims, hypotheses, write_bundle
from nereus.agents.reporter.crate import listed_files
from nereus.errors import InputError, UnresolvedNumber

FILES = {
    "report.html",
    "analysis.ipynb",
    "hypotheses.json",
    "claims.csv",
    "steps.json",
    "plan.json",
    "run.json",
    "ro-crate-metadata.json",
}


def _digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_folder_is_complete_and_manifest_names_every_file(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    digests = _digests(folder)
    assert set(digests) >= FILES
    assert {Path(name).parts[0] for name in digests if "/" in name} == {"tables", "figures", "inputs"}
    listed = listed_files(folder / bundle.MANIFEST)
    assert listed == {name: digest for name, digest in digests.items() if name != bundle.MANIFEST}
    assert (folder / "inputs" / "table.csv").read_bytes() == (tmp_path / "toy" / "table.csv").read_bytes()
    assert not list(tmp_path.glob(".out*")), "nothing temporary is left"


def test_no_time_outside_run_json_and_no_secret_anywhere(toy_run, tmp_path):
    one = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "one")
    later = toy_run.record.header.model_copy(
        update={
            "started": "2027",
            "finished": "2028",
            "wall_s": 77.0,
            "id": "rother",
            "used": {"tool_calls": 5.0, "wall_s": 3.0},
        }
    )
    slower = {
        key: call.model_copy(update={"wall_s": 99.0}) for key, call in reversed(toy_run.record.calls.items())
    }
    record = toy_run.record.model_copy(update={"header": later, "calls": slower})
    two = write_bundle(record, toy_run.artifacts, tmp_path / "two")
    first, second = _digests(one), _digests(two)
    assert {name for name in first if first[name] != second[name]} == {"run.json", bundle.MANIFEST}
    text = "".join(
        p.read_text(encoding="utf-8") for p in one.rglob("*") if p.is_file() and p.parent.name != "inputs"
    )
    assert "sk-secret" not in text
    assert "me:pass" not in text
    assert str(tmp_path) not in text


def test_a_folder_that_is_no_report_is_left_alone(toy_run, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="no Nereus report"):
        write_bundle(toy_run.record, toy_run.artifacts, folder)
    assert [p.name for p in folder.iterdir()] == ["chapter.txt"]
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        write_bundle(toy_run.record, toy_run.artifacts, file)
    assert file.read_text() == "x"


def test_an_older_report_is_replaced_and_added_files_are_kept(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    (folder / "tables" / "my notes.txt").write_text("keep me")
    (folder / "report.html").write_text("edited")
    write_bundle(toy_run.record, toy_run.artifacts, folder)
    assert (folder / "tables" / "my notes.txt").read_text() == "keep me"
    assert (folder / "report.html").read_text() != "edited"


def test_a_failure_leaves_the_older_report_and_nothing_half_written(toy_run, tmp_path, monkeypatch):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    before = _digests(folder)

    def broken(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(bundle.crate, "manifest", broken)
    with pytest.raises(RuntimeError):
        write_bundle(toy_run.record, toy_run.artifacts, folder)
    with pytest.raises(RuntimeError):
        write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "fresh")
    assert _digests(folder) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "toy"]


def test_killed_between_the_two_renames_the_older_report_comes_back(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    folder.rename(tmp_path / ".out.nereus-old")
    (tmp_path / ".out.nereus-new").mkdir()
    write_bundle(toy_run.record, toy_run.artifacts, folder)
    assert bundle.is_report(folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "toy"]


def test_evidence_that_its_step_does_not_bear_out_is_refused(toy_run, tmp_path):
    wrong = toy_run.record.evidence["E1"].model_copy(update={"value": 9.9})
    record = toy_run.record.model_copy(update={"evidence": toy_run.record.evidence | {"E1": wrong}})
    with pytest.raises(UnresolvedNumber, match=r"E1 says 9\.9"):
        write_bundle(record, toy_run.artifacts, tmp_path / "out")


def test_claims_are_sorted_rounded_and_stable(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    text = (folder / "claims.csv").read_text()
    assert text.splitlines()[0] == "contrast,feature,gene,direction,effect,q,confidence,kind"
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["feature"] for row in rows] == ["SOD1", "ACTB"] or [row["feature"] for row in rows] == [
        "ACTB",
        "SOD1",
    ]
    assert {row["direction"] for row in rows} == {"up", "down"}
    again = pd.read_csv(folder / "claims.csv", float_precision="round_trip", keep_default_na=False)
    assert claims.claims_csv(again) == text, "reading and writing again changes nothing"
    assert claims.claims_csv(again.sample(frac=1, random_state=0)) == text


def test_claims_without_rows_are_a_header():
    assert claims.claims_csv(None) == claims.HEADER + "\n"
    assert claims.claims_csv(pd.DataFrame(columns=["x"])) == claims.HEADER + "\n"


def test_hypotheses_fit_the_schema_and_statements_their_numbers(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    document = json.loads((folder / "hypotheses.json").read_text())
    jsonschema.Draft202012Validator.check_schema(hypotheses.schema())
    jsonschema.validate(document, hypotheses.schema())
    first = document["hypotheses"][0]
    assert first["id"] == "H1"
    table = toy_run.artifacts.table(
        next(c for c in toy_run.record.calls.values() if c.spec.tool == "toy_compare" and c.outputs).outputs[
            "differential"
        ]
    )
    row = table.set_index("feature").loc["SOD1"]
    expected = (
        f"SOD1 is higher in case than in control: {row.effect:+.2f} log2 "
        f"[{row.ci_low:.2f}, {row.ci_high:.2f}], q {row.q:.2g}, 4 tested."
    )
    assert first["statement"] == expected
    assert [n["reference"] for n in first["numbers"] if n["in"] == "statement"] == [
        "E1",
        "E3",
        "E4",
        "E2",
        "E5",
    ]
    assert first["evidence"][0]["row"] == "SOD1"


def test_the_schema_refuses_what_is_not_in_it(toy_run, tmp_path):
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "out")
    document = json.loads((folder / "hypotheses.json").read_text())
    document["hypotheses"][0]["confidence"] = 1.2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, hypotheses.schema())
