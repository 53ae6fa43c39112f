"""The page in a real browser: from an upload to a report, with the connection cut in between; approval, cancel, hostile names."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Server
from tests.api.web.conftest import PHONE, STEP_MS, Line, Visit

pytestmark = pytest.mark.long

PAYLOADS = (
    "<img src=x onerror=window.hurt=1>",
    '"><script>window.hurt=1</script>',
    "javascript:window.hurt=1",
    "{{constructor.constructor('window.hurt=1')()}}",
    "</title><svg onload=window.hurt=1>",
)


def progress(page: Any, name: str) -> str:
    return str(page.locator(".progress").first.get_attribute(f"data-{name}"))


def wait_for_status(page: Any, *wanted: str) -> str:
    ends = time.monotonic() + STEP_MS / 1000
    while time.monotonic() < ends:
        if (seen := progress(page, "status")) in wanted:
            return seen
        page.wait_for_timeout(100)
    raise AssertionError(f"the run is {seen}, not one of {wanted}")


def test_from_an_upload_to_the_report(
    browser: Any, server: Server, line: Line, table: bytes, tmp_path: Path
) -> None:
    """A first visit: a file is given, understood, corrected; the run is watched while the line is cut; a number is followed."""
    visit = Visit(browser, line.url, accept_downloads=True)
    page = visit.open()
    page.get_by_role("heading", name="From a raw table to ranked hypotheses").wait_for()
    page.get_by_role(
        "button", name="Run it"
    ).wait_for()  # something to see before a key or a file is asked for
    page.get_by_text("nothing is sent anywhere").wait_for()

    page.get_by_label("Data", exact=True).set_input_files(
        {"name": "table.csv", "mimeType": "text/csv", "buffer": table}
    )
    page.get_by_role("button", name="See what it is").click()
    page.get_by_text("Samples and groups").wait_for()
    tiles = page.locator(".tiles").inner_text()
    assert "160" in tiles
    assert "raw → log₂" in tiles
    assert "the groups were read from the sample names" in page.locator(".sheet-editor").inner_text()

    page.get_by_text("Correct single samples").click()
    for number in range(1, 5):
        page.get_by_label(f"group of control_{number}").fill("untreated")
    page.get_by_role("button", name="Use the corrected sheet").click()
    page.get_by_text("with the sample sheet samples-corrected.csv").wait_for()
    page.locator(".contrasts").get_by_text("untreated").first.wait_for()

    page.get_by_label("What do you want to know?").fill("What differs in treated cells?")
    page.get_by_label("How far").select_option("quick")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".step-row").first.wait_for()
    run = page.url.split("#/runs/")[1].split("/")[0]

    line.cut()
    page.get_by_text("connection lost, trying again").wait_for()
    line.mend()
    page.get_by_text("connection lost, trying again").wait_for(state="detached")
    assert wait_for_status(page, "finished", "stopped") == "finished"
    with server.client() as client:
        last = client.get(f"/api/runs/{run}").json()["last_event"]
    page.wait_for_selector(f'.progress[data-events="{last}"][data-connection="ended"]')  # each event once

    card = page.locator(".card").first
    card.wait_for()
    card.locator("button.num").first.click()
    sheet = page.get_by_role("dialog")
    sheet.locator("td.cell-marked").wait_for()  # the cell of the table that the number is read from
    assert "untreated" in sheet.inner_text()
    page.keyboard.press("Escape")
    sheet.wait_for(state="detached")

    page.get_by_role("button", name="Ask about it").click()
    page.get_by_label("Your question").fill("what did you find?")
    page.keyboard.press("Enter")
    answer = page.locator(".message.ai")
    answer.first.wait_for()
    page.locator(".working").wait_for(state="detached")
    assert "higher in treated" in answer.first.inner_text()
    page.reload()
    page.get_by_role("button", name="Ask about it").click()
    answer.first.wait_for()  # what was said is still there
    page.get_by_role("button", name="Close the conversation").click()

    page.get_by_role("link", name="figures").click()
    page.locator(".figure canvas").first.wait_for()
    page.get_by_role("link", name="report", exact=True).click()
    page.frame_locator("iframe.report").locator("h1").first.wait_for()
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as given:
        page.get_by_role("link", name="Notebook").click()
    given.value.save_as(tmp_path / "analysis.ipynb")
    assert '"cells"' in (tmp_path / "analysis.ipynb").read_text()

    assert visit.left_the_origin() == []
    assert visit.faults == []
    visit.context.close()
    look_as_everybody(browser, server.url, f"runs/{run}", "light", ".card")
    look_as_everybody(browser, server.url, f"runs/{run}/plan", "dark", ".question")


def test_a_plan_is_edited_and_approved_and_the_run_cancelled_and_gone_on_with(
    visit: Visit, server: Server, dataset: str
) -> None:
    with server.client() as client:
        asked = {"data": dataset, "approval": "always", "budget": ["objectives=3", "steps=25"]}
        run = client.post("/api/runs", json=asked).json()["id"]
    page = visit.open(f"runs/{run}")
    question = page.get_by_role("region", name="A question of the run")
    steps = question.locator(".gate-list > li")
    question.get_by_text("how the question would be answered").wait_for()
    steps.last.get_by_role("checkbox").uncheck()
    question.get_by_role("button", name="Go on with my changes").click()
    question.get_by_text("how the question would be answered").wait_for(state="detached")
    with server.client() as client:
        first = next(
            one for one in client.get(f"/api/runs/{run}/approvals").json() if one["kind"] == "workflow"
        )
    assert first["answer"]["drop"] == [first["request"]["workflow"]["steps"][-1]["id"]]

    question.get_by_text("This step needs your word").wait_for()
    question.get_by_role("button", name="Approve all further steps").click()
    question.get_by_text(
        "Prepare the matrix and judge its quality"
    ).wait_for()  # the next plan, with no step asked about
    with server.client() as client:
        steps = [one for one in client.get(f"/api/runs/{run}/approvals").json() if one["kind"] == "tool"]
    assert len(steps) == len(first["request"]["workflow"]["steps"]) - 1
    assert all(one["answer"] == {"approve": True} for one in steps)
    page.get_by_role("button", name="Cancel").click()
    assert wait_for_status(page, "cancelled") == "cancelled"
    page.get_by_role("button", name="Go on", exact=True).click()
    assert wait_for_status(page, "queued", "running", "waiting")
    page.get_by_role("button", name="Cancel").click()
    assert wait_for_status(page, "cancelled") == "cancelled"
    assert visit.faults == []


def test_hostile_names_are_shown_and_do_nothing(visit: Visit, table: bytes) -> None:
    """Names of columns, samples, proteins and files are text, wherever they are shown; nothing leaves the origin."""
    lines = table.decode().splitlines()
    header = lines[0].split(",")
    samples = [
        f'"{payload.replace(chr(34), chr(34) * 2)} {at}"'
        for at, payload in enumerate((*PAYLOADS, *PAYLOADS)[:8])
    ]
    lines[0] = ",".join([header[0], *samples])
    lines[1] = "<b onmouseover=window.hurt=1>P1</b>," + lines[1].split(",", 1)[1]
    hurt = PAYLOADS[0]
    names = ",".join(samples).split(",")
    sheet = [f'sample,"{hurt}",group'] + [
        f"{name},{hurt} {at % 3},{'ab'[at % 2]}{hurt}" for at, name in enumerate(names)
    ]
    page = visit.open()
    page.get_by_label("Data", exact=True).set_input_files(
        {"name": f"{hurt}.csv".replace("/", ""), "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    )
    page.get_by_label("Sample sheet").set_input_files(
        {"name": "sheet<script>.csv", "mimeType": "text/csv", "buffer": "\n".join(sheet).encode()}
    )
    page.get_by_role("button", name="See what it is").click()
    page.get_by_text("Samples and groups").wait_for()
    page.get_by_text("Correct single samples").click()
    page.get_by_label(re.compile("^group of ")).first.wait_for()
    assert hurt in page.locator("main").inner_text()
    page.get_by_label("What do you want to know?").fill(PAYLOADS[4])
    page.get_by_label("Ask me before").select_option("always")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("heading", name=PAYLOADS[4]).wait_for()
    page.get_by_role("region", name="A question of the run").wait_for()
    page.get_by_role("button", name="Cancel").click()
    wait_for_status(page, "cancelled")
    visit.open("runs")
    page.get_by_text(PAYLOADS[4]).first.wait_for()
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img[src=x], main script, main svg[onload]").count() == 0
    assert visit.faults == []
    assert visit.left_the_origin() == []


def look_as_everybody(browser: Any, url: str, place: str, scheme: str, ready: str) -> None:
    """No violation of WCAG A and AA that axe finds, at the width of a phone; nothing runs over its edge."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    visit = Visit(browser, url, color_scheme=scheme, viewport=PHONE, bypass_csp=True)
    page = visit.open(place)
    page.locator(ready).first.wait_for()
    page.wait_for_load_state("networkidle")
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = axe.Axe().run(page, options=rules).response["violations"]
    told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
    assert told == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    visit.context.close()


@pytest.mark.parametrize(
    ("place", "scheme"),
    [("", "light"), ("runs", "dark"), ("library/tools/normalise", "light"), ("library/methods", "dark")],
)
def test_everybody_can_use_it(browser: Any, server: Server, place: str, scheme: str) -> None:
    look_as_everybody(browser, server.url, place, scheme, "h1")


def test_the_page_asks_for_a_token_where_the_server_does(browser: Any, tmp_path: Path) -> None:
    import threading

    import uvicorn

    from nereus.api.app import create_app
    from nereus.memory.database import Database
    from nereus.memory.tokens import Tokens
    from nereus.settings import load_settings
    from tests.api.conftest import free_port

    settings = load_settings(home=tmp_path / "home", serve_tokens="always")
    database = Database(settings.database_url)
    secret = Tokens(database).create("ada")[0]
    database.close()
    port = free_port()
    served = uvicorn.Server(uvicorn.Config(create_app(settings), port=port, log_level="error"))
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    while not served.started:
        time.sleep(0.05)
    visit = Visit(browser, f"http://127.0.0.1:{port}")
    try:
        page = visit.open()
        page.get_by_label("Access token").fill("nrs_wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").get_by_text("What to do").wait_for()
        page.get_by_label("Access token").fill(secret)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="From a raw table to ranked hypotheses").wait_for()
        page.reload()
        page.get_by_role("button", name="Sign out").wait_for()
        database = Database(settings.database_url)
        tokens = Tokens(database)
        tokens.revoke(tokens.list()[0].id)  # while the page is open
        again = tokens.create("ada")[0]
        database.close()
        page.get_by_role("link", name="Library").click()
        page.get_by_label("Access token").fill(again)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Library").wait_for()  # where the reader was
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Access token").wait_for()
        assert page.evaluate("document.cookie") == ""
    finally:
        visit.context.close()
        served.should_exit = True
        thread.join(timeout=10)
