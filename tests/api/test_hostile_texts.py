"""Texts that attack whoever shows, stores or opens them: in every field that reaches an export, a file name or a problem."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from nereus.agents.reporter.bundle import free_name, table_csv
from nereus.agents.reporter.bundle import safe_name as report_name
from nereus.agents.reporter.claims import COLUMNS, claims_csv
from nereus.api.app import create_app
from nereus.api.incoming import safe_name
from nereus.api.labs.shown import Listing, card
from nereus.api.problems import MEDIA_TYPE
from nereus.api.views import Dataset
from nereus.judge_commands import _write as write_scores
from nereus.memory.database import Database
from nereus.memory.uploads import Uploads
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from nereus.spreadsheets import guarded
from nereus.tool_commands import write_result
from nereus.tools.base import Result

SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "'-alert(1)-'",
    "</title></style></textarea><script>alert(1)</script>",
    "<iframe srcdoc='&lt;script&gt;alert(1)&lt;/script&gt;'>",
    "{{constructor.constructor('alert(1)')()}}",
    '<a href="&#106;avascript:alert(1)">x</a>',
    "\u2028<script>\u2029",
    "<math><mi xlink:href='data:x,<script>alert(1)</script>'>",
]
PATHS = [
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "C:\\boot.ini",
    "....//....//etc/passwd",
    "%2e%2e%2fetc%2fpasswd",
    "..%c0%af..%c0%afetc",
    "file:///etc/passwd",
    "a\x00.csv",
    "~root/.ssh/id_rsa",
    "\\\\server\\share\\x",
    ".../...",
    "nereus.sqlite/../../x",
]
QUERIES = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "1; ATTACH DATABASE '/tmp/x' AS y",
    "') UNION SELECT digest, owner FROM tokens --",
    "\\'; SELECT pg_sleep(10); --",
    "%' AND 1=0 UNION ALL SELECT 1 --",
    "x' AND (SELECT COUNT(*) FROM tokens) > 0 --",
    '{"$ne": null}',
    "NULL",
]
FORMULAS = [
    '=HYPERLINK("http://127.0.0.1/?"&A1,"x")',
    "=cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "|calc",
    '=1+1","=2+2',
]
HOSTILE = SCRIPTS + PATHS + QUERIES + FORMULAS


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = load_settings(home=tmp_path_factory.mktemp("hostile"))
    with TestClient(create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False) as made:
        yield made


def plain(answer: httpx.Response) -> None:
    """A problem that no browser takes for a page, whatever it quotes."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src" in answer.headers["content-security-policy"]
    assert set(json.loads(answer.text)) <= {"type", "title", "status", "detail", "where", "mend", "instance"}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_request_holds_becomes_no_page_no_path_and_no_query(client: TestClient, text: str) -> None:
    told = client.get("/api/usage").json()
    part = quote(text, safe="")
    for path in (
        f"/api/runs/{part}",
        f"/api/runs/r0123456789-1/evidence/{part}",
        f"/api/runs/r0123456789-1/artifacts/{part}/{part}",
        f"/api/runs/r0123456789-1/report/{part}",
        f"/api/runs?before={part}&limit={part}",
        f"/api/datasets/{part}",
        f"/api/jobs/{part}",
        f"/api/jobs?kind={part}",
        f"/api/tools/{part}",
        f"/api/methods/{part}",
        f"/api/comparisons?first={part}&second={part}",
        f"/{part}/{part}",
    ):
        answer = client.get(path)
        if answer.status_code == 200:  # a filter that takes any text, and finds nothing by it
            assert answer.headers["content-type"] == "application/json", path
        else:
            plain(answer)
    for path, body in (
        ("/api/runs", {"data": text, "question": text}),
        ("/api/runs", {"data": f"d{'0' * 16}", "layers": {text: "x"}}),
        ("/api/runs", {"data": f"d{'0' * 16}", "budget": [text]}),
        ("/api/runs/r0123456789-1/forks", {"at": text}),
        ("/api/runs/prune", {"keep": text}),
        (f"/api/tools/{part}/calls", {"inputs": {text: text}}),
        ("/api/tools/quality_control/calls", {"inputs": {"dataset": text}}),
        ("/api/tools/quality_control/calls", {"inputs": {text: text}, "params": {text: text}}),
    ):
        plain(client.post(path, json=body))
    assert client.get("/api/usage").json() == told, "nothing was begun, and every table is there"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_file_s_name_stays_within_its_folder_its_header_and_its_row(
    client: TestClient, text: str, tmp_path: Path
) -> None:
    name = f"{text}.csv"
    kept = safe_name(name)
    assert (tmp_path / kept).resolve().parent == tmp_path.resolve()
    assert kept.isprintable()
    assert (tmp_path / report_name(name)).resolve().parent == tmp_path.resolve()
    boundary = "x" * 30
    body = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; '
        f"filename*=utf-8''{quote(name, safe='')}\r\n\r\nprotein,a\nP1,2\n\r\n--{boundary}--\r\n"
    )
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    made = client.post("/api/datasets", content=body.encode(), headers=headers)
    if made.status_code == 422:  # the form's reader takes no such name
        plain(made)
        return
    dataset = made.json()
    assert "/" not in dataset["name"]
    assert "\\" not in dataset["name"]
    assert client.get(f"/api/datasets/{dataset['id']}").json() == dataset
    page = Listing([Dataset.model_validate(dataset)], ("name",), "data sets")._repr_html_()
    assert "<script" not in page
    assert "<img" not in page
    assert "<svg" not in page


@pytest.mark.parametrize("text", QUERIES + SCRIPTS)
def test_an_owner_of_any_name_has_only_their_own(tmp_path: Path, text: str) -> None:
    with open_workspace(load_settings(home=tmp_path)) as workspace:
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        ref = workspace.artifacts.put_file(tmp_path / "a.csv")
        uploads = Uploads(workspace.database)
        uploads.add("ada", ref)
        assert uploads.list(text[:60]) == []
        uploads.add(text[:60], ref)
        assert [one.owner for one in uploads.list(text[:60])] == [text[:60]]
        assert len(uploads.list("ada")) == 1
        assert workspace.repository.list_runs(owner=text) == []
    database = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar_one() == 0
    database.close()


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_a_report_is_a_formula(text: str) -> None:
    plain = text.replace("\r", "\n")
    safe = f"'{plain}" if not plain.startswith("\n") else f"'\n'{plain[1:]}"
    assert guarded(text) == safe
    assert guarded(safe) == safe
    table = pd.DataFrame({text: [text, "KRT1"], "value": [-1.5, 2.0], "grade": pd.Categorical([text, "b"])})
    read = list(csv.reader(io.StringIO(table_csv(table))))
    assert read[0] == [safe, "value", "grade"]
    assert read[1] == [safe, "-1.5", safe]
    claims = pd.DataFrame(
        [{**dict.fromkeys(COLUMNS, text), "effect": -0.5, "q": 0.01, "confidence": 0.9}],
        columns=list(COLUMNS),
    )
    row = list(csv.reader(io.StringIO(claims_csv(claims))))[1]
    assert row == [safe] * 4 + ["-0.5", "0.01", "0.9", safe]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\ufeff=1+1", "'\ufeff=1+1"),  # a spreadsheet takes the mark away where it begins the file
        ("\u200b=1+1", "'\u200b=1+1"),
        ("\xa0 @SUM(1)", "'\xa0 @SUM(1)"),
        ("  =1+1", "'  =1+1"),
        ('"=1+1"', '\'"=1+1"'),
        ("P1;=1+1", "P1;'=1+1"),  # columns that are separated by semicolons, as in half of Europe
        ("a; @SUM(1);-2;-x", "a;' @SUM(1);-2;'-x"),
        ("two\nlines\n=1+1", "two\nlines\n'=1+1"),
        ("two\r=1+1", "two\n'=1+1"),
        ("=a;=b", "'=a;'=b"),
    ],
)
def test_no_part_of_a_cell_is_a_formula_however_a_spreadsheet_reads_it(text: str, safe: str) -> None:
    assert guarded(text) == safe
    assert guarded(safe) == safe
    table = pd.DataFrame({"x": ["KRT1"], text: [text]})
    for separator in ",;":
        cells = [
            cell for row in csv.reader(io.StringIO(table_csv(table)), delimiter=separator) for cell in row
        ]
        assert not [one for one in cells if one.lstrip('\ufeff\u200b\xa0 "').startswith(("=", "@"))]


@pytest.mark.parametrize("text", FORMULAS)
def test_tables_that_commands_write_hold_no_formula(text: str, tmp_path: Path) -> None:
    table = pd.DataFrame({text: [text, "KRT1"], "effect": [-1.5, 2.0]})
    write_result(Result(summary="made", tables={"rows": table}), tmp_path)
    write_scores(table, tmp_path / "scores.csv")
    for file in ("rows.csv", "scores.csv"):
        read = list(csv.reader(io.StringIO((tmp_path / file).read_text())))
        assert read[0] == [guarded(text), "effect"]
        assert [row[0] for row in read[1:]] == [guarded(text), "KRT1"]
        assert read[1][1] == "-1.5"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("日" * 200 + ".csv", "日" * 52 + ".csv"),
        ("x" * 300 + ".tsv.gz", None),
        ("𝔊" * 300, None),
        ("CON.csv", "_CON.csv"),
        ("lpt1", "_lpt1"),
        ("a\u202evsc.exe", "avsc.exe"),
        (" .hidden. ", "hidden"),
        ("..", "input"),
        ("\ud800", "input"),
        ("e\u0301.csv", "\u00e9.csv"),
    ],
)
def test_a_name_in_a_report_is_one_that_every_system_takes(
    name: str, kept: str | None, tmp_path: Path
) -> None:
    found = report_name(name)
    assert kept is None or found == kept
    assert len(found.encode()) <= 160
    (tmp_path / found).write_text("x")
    assert report_name(found) == found


def test_inputs_of_one_name_do_not_overwrite_each_other() -> None:
    name = report_name("x" * 300 + ".csv")
    taken: set[str] = set()
    for role in ("data", "samples", "data", "samples"):
        found = free_name(name.upper() if role == "samples" else name, taken, role)
        assert found.casefold() not in taken
        assert found.casefold().endswith(".csv")
        assert len(found.encode()) <= 160
        taken.add(found.casefold())


@pytest.mark.parametrize(
    "text", ["-1.5", "+3", "-1e-05", "-inf", "-", "+", ".5", "-.5", "12%", "KRT1", "", "a=b"]
)
def test_numbers_signs_and_names_are_written_as_they_are(text: str) -> None:
    assert guarded(text) == text


@pytest.mark.parametrize("text", SCRIPTS)
def test_a_notebook_shows_texts_as_texts(text: str) -> None:
    page = card(text, {text: text, "list": [text], "mapping": {text: text}})
    assert "<script" not in page
    assert "<img" not in page
    assert "<iframe" not in page
    assert "<a href" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_a_header_that_is_quoted_back_makes_no_page_and_no_header(client: TestClient, text: str) -> None:
    quoted = quote(text, safe="=+@<>'() ")
    for name in ("origin", "host"):
        plain(client.get("/api/runs", headers={name: quoted}))
    answer = client.get("/api/runs", headers={"x-api-key": quoted})  # on loopback any key will do
    assert answer.headers["content-type"] == "application/json"
    assert quoted not in answer.text
    assert quoted not in str(answer.headers)
