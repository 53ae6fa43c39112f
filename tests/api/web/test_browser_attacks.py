"""The page under attack: hostile answers, lost answers, two tabs, wrong clocks, huge lists, bad files, the keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Server
from tests.api.web.conftest import Line, Visit
from tests.api.web.test_browser import PAYLOADS, progress, wait_for_status

pytestmark = pytest.mark.long


def answered(document: object, status: int = 200) -> Callable[[Any], None]:
    """A route that answers in the server's place."""
    return lambda route: route.fulfill(
        status=status, content_type="application/json", body=json.dumps(document)
    )


def test_answers_of_a_conversation_are_text(visit: Visit, server: Server, finished: str) -> None:
    """Links, HTML, tables and names in an answer are shown as they are written; a picture cannot run anything."""
    hostile = "\n\n".join(
        [
            *PAYLOADS,
            "[click](javascript:window.hurt=1) ![x](x onerror=window.hurt=1) <a href='javascript:window.hurt=1'>a</a>",
            f"| name |\n|---|\n| {PAYLOADS[0]} |",
            f"```html\n{PAYLOADS[1]}\n```",
            f"- **{PAYLOADS[0]}** `{PAYLOADS[1]}`",
        ]
    )
    shown = {"run_id": finished, "id": "a" * 64, "kind": "figure", "title": PAYLOADS[0]}
    cited = {"run_id": finished, "id": PAYLOADS[0], "label": PAYLOADS[1], "value": 1}
    message = {
        "role": "ai",
        "content": hostile,
        "nereus": {"evidence": [cited], "artifacts": [shown], "notices": [PAYLOADS[4]]},
    }
    events = [
        {"seq": 1, "type": "message", "payload": {"role": "human", "content": PAYLOADS[0]}},
        {"seq": 2, "type": "message", "payload": message},
        {"seq": 3, "type": "end", "payload": {}},
    ]
    page = visit.page
    page.route("**/api/threads/t1/messages*", answered(events))
    page.route(
        "**/api/threads?*", answered([{"id": "t1", "title": PAYLOADS[0], "status": "idle", "updated_at": ""}])
    )
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" onload="top.hurt=1"><script>top.hurt=1</script></svg>'
    page.route(
        "**/api/threads/t1/artifacts/*",
        lambda route: route.fulfill(content_type="image/svg+xml", body=drawing),
    )
    visit.open("talk/t1")
    page.locator(".message.ai").wait_for()
    page.locator(".message.ai img").wait_for(state="attached")
    page.wait_for_timeout(300)
    assert PAYLOADS[0] in page.locator(".message.ai").inner_text()
    assert page.locator(".message a[href^='javascript']").count() == 0
    assert page.locator(".message img[src=x], .message script, .message svg[onload]").count() == 0
    page.locator(".message.ai .chip").first.click()
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("window.hurt") is None
    assert visit.faults == []
    assert visit.left_the_origin() == []


def test_a_drawing_that_is_opened_by_itself_runs_nothing(server: Server, finished: str) -> None:
    """Figures are kept as they were drawn; what serves them forbids scripts."""
    with server.client() as client:
        made = client.get(f"/api/runs/{finished}/artifacts").json()
        figure = next(one for one in made if one["kind"] == "figure")
        answer = client.get(f"/api/runs/{finished}/artifacts/{figure['step']}/{figure['name']}")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_question_whose_answer_was_lost_is_not_asked_twice(
    visit: Visit, server: Server, finished: str
) -> None:
    """The line breaks after the server took the question: the page finds the answer, and does not ask again."""
    posts: list[str] = []

    def lose_the_first(route: Any) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        posts.append(route.request.post_data)
        route.fetch()
        route.abort()

    page = visit.page
    page.route(re.compile(r"/api/threads/[^/]+/messages"), lose_the_first)
    visit.open(f"runs/{finished}")
    page.get_by_role("button", name="Ask about it").click()
    page.get_by_label("Your question").fill("what did you find?")
    page.keyboard.press("Enter")
    page.locator(".message.ai").first.wait_for()
    page.locator(".working").wait_for(state="detached")
    assert len(posts) == 1
    assert page.locator(".message.human").count() == 1


def test_a_conversation_goes_on_over_a_cut_line_and_in_another_tab(
    browser: Any, line: Line, finished: str
) -> None:
    visit = Visit(browser, line.url)
    page = visit.open(f"runs/{finished}")
    page.get_by_role("button", name="Ask about it").click()
    line.cut()
    page.get_by_label("Your question").fill("what can you do?")
    page.keyboard.press("Enter")
    # The page's own look at the server may fail first: it is the question that must have failed before it is asked again.
    page.locator(".chat .failure").get_by_text("cannot be reached").wait_for()
    assert (
        page.get_by_label("Your question").input_value() == "what can you do?"
    )  # nothing that was written is lost
    line.mend()
    page.keyboard.press("Enter")
    page.locator(".message.ai").first.wait_for()
    page.locator(".working").wait_for(state="detached")

    other = visit.context.new_page()  # the same conversation, in a second tab of the browser
    other.goto(f"{line.url}/#/runs/{finished}")
    other.get_by_role("button", name="Ask about it").click()
    other.locator(".message.ai").first.wait_for()
    other.get_by_label("Your question").fill("what did you find?")
    other.keyboard.press("Enter")
    other.locator(".message.ai").nth(1).wait_for()
    other.locator(".working").wait_for(state="detached")
    page.get_by_label("Your question").fill("how many findings?")
    page.keyboard.press("Enter")
    page.locator(".message.human").nth(2).wait_for()
    page.locator(".working").wait_for(state="detached")
    told = page.locator(".message.human").all_inner_texts()
    assert told == ["what can you do?", "what did you find?", "how many findings?"]
    visit.context.close()


def test_an_answer_in_one_tab_moves_the_other_on(visit: Visit, server: Server, dataset: str) -> None:
    with server.client() as client:
        asked = {"data": dataset, "approval": "always", "budget": ["objectives=1", "steps=20"]}
        run = client.post("/api/runs", json=asked).json()["id"]
    first = visit.open(f"runs/{run}")
    second = visit.context.new_page()
    second.goto(f"{server.url}/#/runs/{run}")
    for page in (first, second):
        page.get_by_text("how the question would be answered").wait_for()
    first.get_by_role("button", name="Approve", exact=True).click()
    for page in (first, second):
        page.get_by_text("This step needs your word").wait_for()
    second.get_by_role("button", name="Cancel").click()
    assert wait_for_status(second, "cancelled") == "cancelled"
    first.bring_to_front()
    first.evaluate("window.dispatchEvent(new Event('focus'))")
    assert wait_for_status(first, "cancelled") == "cancelled"


def test_a_clock_that_is_hours_off_changes_no_time(visit: Visit, server: Server, dataset: str) -> None:
    visit.context.add_init_script("{ const real = Date.now; Date.now = () => real() + 3 * 3600e3; }")
    with server.client() as client:
        asked = {"data": dataset, "budget": ["objectives=1", "steps=20"], "seed": 5}
        run = client.post("/api/runs", json=asked).json()["id"]
    page = visit.open(f"runs/{run}")
    page.locator(".progress").wait_for()
    told = []
    while progress(page, "status") in ("queued", "running"):
        told.append(page.locator(".progress-line").inner_text())
        page.wait_for_timeout(150)
    assert told
    assert not [one for one in told if re.search(r"\d h\b|\b\d{3} min", one)]


def test_files_that_are_no_good_are_told_before_and_after_the_upload(visit: Visit) -> None:
    page = visit.page
    page.route("**/api/session", lambda route: _limited(route, 2**20))
    visit.open()
    page.get_by_label("Data", exact=True).set_input_files(
        {"name": "large.csv", "mimeType": "text/csv", "buffer": b"x," * 2**20}
    )
    page.get_by_role("button", name="See what it is").click()
    page.get_by_role("alert").get_by_text("this server takes files of up to 1 MiB").wait_for()
    page.get_by_role("button", name="Remove large.csv").click()
    page.get_by_label("Data", exact=True).set_input_files(
        {"name": "none.csv", "mimeType": "text/csv", "buffer": b""}
    )
    page.get_by_role("button", name="See what it is").click()
    page.get_by_role("alert").get_by_text("none.csv is empty").wait_for()
    page.get_by_role("button", name="Remove none.csv").click()
    page.get_by_label("Data", exact=True).set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"this is not a table at all\njust words\n"}
    )
    page.get_by_role("button", name="See what it is").click()
    page.get_by_role("alert").get_by_text("What to do").wait_for()
    page.get_by_text("Read it differently").wait_for()  # it can be read in another way, or given a sheet
    assert visit.faults == []


def _limited(route: Any, most: int) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, body=json.dumps(answer.json() | {"upload_bytes": most}))


def test_what_is_looked_at_has_an_address_and_the_way_back_closes_it(visit: Visit, finished: str) -> None:
    """By the keyboard alone: a number is followed to its cell, and closed again with the focus where it was."""
    page = visit.open(f"runs/{finished}")
    number = page.locator(".card .figure-number").first
    number.wait_for()
    number.focus()
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    sheet.locator("td.cell-marked").wait_for()
    address = page.url
    assert "?source=" in address
    page.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    assert page.evaluate("document.activeElement.className").find("figure-number") >= 0
    page.keyboard.press("Enter")
    sheet.wait_for()
    page.go_back()
    sheet.wait_for(state="detached")
    assert page.url.endswith(f"runs/{finished}")
    page.goto(address)
    page.reload()
    sheet.locator("td.cell-marked").wait_for()  # the address alone leads there
    page.get_by_role("button", name="Close", exact=True).click()
    sheet.wait_for(state="detached")
    visit.open(f"runs/{finished}/nosuchpart")
    page.locator(".card").first.wait_for()  # a part that does not exist is no blank page


def test_a_row_of_a_test_is_drawn_in_every_sample(visit: Visit, finished: str) -> None:
    page = visit.open(f"runs/{finished}/tables")
    choice = page.locator(".table-choice select")
    tests = choice.locator("option", has_text="differential_abundance: differential")
    choice.select_option(tests.first.get_attribute("value", timeout=10_000))
    page.locator("th[aria-sort=ascending]").wait_for()  # the smallest p first
    page.locator("button.row-key").first.click()
    page.locator(".drawn-row canvas").wait_for()
    page.get_by_role("button", name="As in the report").click()
    assert page.locator(".drawn-row img").evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    assert visit.faults == []


def test_thousands_of_points_and_long_names_are_drawn_at_once(visit: Visit, finished: str) -> None:
    long = "N" * 300
    rows = [
        [
            f"P{at:05d}{long}",
            f"{PAYLOADS[0]}{at}",
            (at % 200 - 100) / 25,
            10.0 ** -(at % 40),
            0.01,
            at % 40,
            "up" if at % 9 == 0 else "not significant",
        ]
        for at in range(9000)
    ]
    figure = {
        "tool": "plot_volcano",
        "params": {"contrast": {"factor": "g", "a": long, "b": PAYLOADS[1]}},
        "values": {}, "inputs": {}, "groups": {},
        "columns": ["feature", "gene", "effect", "p", "q", "y", "group"],
        "rows": rows,
    }  # fmt: skip
    page = visit.page
    page.route("**/figures/**", answered(figure))
    told = visit.context.new_cdp_session(page)
    # Seconds of the processor, whatever else is at work on the machine.
    told.send("Performance.enable", {"timeDomain": "threadTicks"})
    visit.open(f"runs/{finished}/figures")
    page.locator(".figure canvas").first.wait_for()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    spent = {one["name"]: one["value"] for one in told.send("Performance.getMetrics")["metrics"]}
    assert 0 < spent["TaskDuration"] < 5
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert visit.faults == []


def test_hundreds_of_runs_are_listed_searched_and_chosen(visit: Visit) -> None:
    def run(number: int) -> dict[str, Any]:
        return {
            "id": f"r{number:010x}-1", "status": "failed" if number % 50 == 0 else "finished", "stop_reason": "",
            "question": f"{PAYLOADS[0]} question {number} {'long ' * 60}", "inputs": {"data": f"file-{number}.csv"},
            "seed": 0, "policy": "rules", "started": "2026-01-01T00:00:00+00:00", "finished": None,
            "wall_s": 12.5, "used": {}, "last_event": 1,
        }  # fmt: skip

    page = visit.page
    page.route(re.compile(r"/api/runs\?limit=100$"), answered([run(at) for at in range(250, 150, -1)]))
    page.route(re.compile(r"/api/runs\?limit=100&before="), answered([run(at) for at in range(150, 90, -1)]))
    visit.open("runs")
    page.get_by_text("100 runs so far").wait_for()
    page.get_by_role("button", name="Show older runs").click()
    page.get_by_text("160 runs").wait_for()
    assert page.get_by_role("button", name="Show older runs").count() == 0
    page.get_by_label("Search runs").fill("file-101.csv")
    page.get_by_text("1 of 160").wait_for()
    page.get_by_label("Search runs").fill("")
    page.get_by_label("Status", exact=True).select_option("failed")
    page.get_by_text("4 of 160").wait_for()
    page.locator("tbody input[type=checkbox]").nth(0).check()
    page.locator("tbody input[type=checkbox]").nth(1).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url(re.compile("#/compare/"))
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_a_server_that_went_away_is_told_and_found_again(browser: Any, line: Line) -> None:
    visit = Visit(browser, line.url)
    page = visit.open()
    page.get_by_role("button", name="Run it").wait_for()
    line.cut()
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_text("the server cannot be reached").first.wait_for()
    line.mend()
    page.get_by_text("the server cannot be reached").first.wait_for(state="detached")
    assert visit.faults == []
    visit.context.close()


def test_the_first_visit_shows_what_the_example_comes_to(visit: Visit) -> None:
    page = visit.page
    page.route(re.compile(r"/api/runs\?limit=5"), answered([]))
    visit.open()
    page.get_by_role("heading", name="What the example comes to").wait_for()
    page.locator(".example-findings canvas").wait_for()
    assert "MAPT" in page.locator(".example-cards").inner_text()
    assert visit.left_the_origin() == []
