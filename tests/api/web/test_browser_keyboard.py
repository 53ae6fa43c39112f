"""The page by the keyboard alone: every stop has a name and can be seen, and nobody is left on nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api.conftest import Server
from tests.api.web.conftest import PHONE, Line, Visit

pytestmark = pytest.mark.long

STOP = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const name = one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText || one.title || "";
  return {
    what: one.outerHTML.slice(0, 150),
    name: name.trim(),
    framed: one.tagName === "IFRAME",
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none"
      || getComputedStyle(one.closest("label") ?? one).outlineStyle !== "none",
    shown: (box.width > 3 && box.height > 3) || one.closest("label") !== null,
    inside: box.bottom > 0 && box.top < innerHeight,
  };
}"""
MOST_STOPS = 60


def focused(page: Any) -> str:
    return str(
        page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )
    )


def focus(page: Any, role: str, name: str) -> Any:
    found = page.get_by_role(role, name=name)
    found.first.wait_for()
    found.first.focus()
    return found.first


def test_every_stop_has_a_name_and_can_be_seen(
    browser: Any, server: Server, dataset: str, finished: str
) -> None:
    places = ["", "runs", "talk", f"data/{dataset}", "library/tools/normalise", "library/methods"]
    places += [f"runs/{finished}{part}" for part in ("", "/plan", "/figures", "/tables", "/network")]
    wrong = []
    for place in places:
        visit = Visit(browser, server.url)
        page = visit.open(place)
        page.locator("h1").first.wait_for()
        page.wait_for_load_state("networkidle")
        stops = 0
        for _ in range(MOST_STOPS):
            page.keyboard.press("Tab")
            stop = page.evaluate(STOP)
            if stop is None:
                break
            stops += 1
            if not all(stop[one] for one in ("name", "seen", "shown", "inside")):
                wrong.append((place, stop))
        assert stops > 6, place
        visit.context.close()
    assert wrong == []


def test_what_is_closed_gives_the_keyboard_back(visit: Visit, finished: str) -> None:
    page = visit.open(f"runs/{finished}")
    focus(page, "button", "Ask about it")
    page.keyboard.press("Enter")
    page.get_by_label("Your question").wait_for()
    assert focused(page) == "Your question"
    page.keyboard.press("Escape")
    page.get_by_label("Your question").wait_for(state="detached")
    assert "Ask about it" in focused(page)

    page.locator(".menu > summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Notebook").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Notebook").wait_for(state="hidden")
    assert "Download" in focused(page)

    page.get_by_role("link", name="plan").focus()
    page.keyboard.press("Enter")
    question = page.locator("button.question-head").first
    question.focus()
    if question.get_attribute("aria-expanded") == "false":
        page.keyboard.press("Enter")
    step = page.locator("button.step-name").first
    step.focus()
    name = focused(page)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert focused(page) == "Close"
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert focused(page) == name


def test_a_question_whether_to_forget_a_run_is_left_by_escape(visit: Visit, finished: str) -> None:
    page = visit.open("runs")
    forget = focus(page, "button", f"Forget {finished}")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Forget it").wait_for()
    page.keyboard.press("Escape")
    forget.wait_for()
    assert focused(page) == f"Forget {finished}"
    page.keyboard.press("Enter")
    focus(page, "button", "Keep")
    page.keyboard.press("Enter")
    assert focused(page) == f"Forget {finished}"


def test_a_page_that_goes_hands_the_keyboard_to_the_next(visit: Visit, finished: str) -> None:
    page = visit.open("runs")
    page.locator(f'a[href="#/runs/{finished}"]').focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask about it").wait_for()
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_a_conversation_is_held_without_a_mouse(visit: Visit) -> None:
    page = visit.open("talk")
    suggestion = page.locator(".suggestions button").first
    suggestion.wait_for()
    suggestion.focus()
    page.keyboard.press("Enter")
    page.locator(".message.ai").first.wait_for()
    page.locator(".working").wait_for(state="detached")
    assert focused(page) == "Your question"
    page.keyboard.type("list methods")
    page.keyboard.press("Enter")
    page.locator(".message.ai").nth(1).wait_for()
    assert visit.faults == []


def test_a_conversation_over_a_phone_holds_the_keyboard(browser: Any, server: Server, finished: str) -> None:
    visit = Visit(browser, server.url, viewport=PHONE)
    page = visit.open(f"runs/{finished}")
    focus(page, "button", "Ask about it")
    page.keyboard.press("Enter")
    page.get_by_label("Your question").wait_for()
    assert page.locator(".run-main[inert]").count() == 1
    page.keyboard.press("Escape")
    assert "Ask about it" in focused(page)
    visit.context.close()


def test_a_server_that_is_gone_is_told_everywhere_and_a_question_stays(browser: Any, line: Line) -> None:
    visit = Visit(browser, line.url)
    page = visit.open("talk")
    page.get_by_label("Your question").fill("what can you do?")
    line.cut()
    page.keyboard.press("Enter")
    page.get_by_text("server not reached").wait_for()
    line.mend()
    page.get_by_text("server not reached").wait_for(state="detached")
    if page.locator(".failure").count():  # it was not taken in: what was written stays
        assert page.get_by_label("Your question").input_value() == "what can you do?"
        page.get_by_role("button", name="Send").click()
    page.locator(".message.ai").first.wait_for()
    assert page.locator(".message.human").count() == 1
    visit.context.close()


def test_a_run_that_was_cancelled_says_that_it_has_no_report(
    visit: Visit, server: Server, dataset: str
) -> None:
    with server.client() as client:
        run = client.post("/api/runs", json={"data": dataset, "approval": "always"}).json()["id"]
        client.post(f"/api/runs/{run}/cancel")
        while client.get(f"/api/runs/{run}").json()["status"] != "cancelled":
            time.sleep(0.1)
    page = visit.open(f"runs/{run}/report")
    page.get_by_text("There is no report of this run").wait_for()
    assert page.locator("iframe").count() == 0


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("data/d0000000000000000", "there is no data set"),
        ("runs/rffffffffff-1", "there is no run"),
        ("compare/rffffffffff-1/rffffffffff-2", "there is no run"),
        ("library/tools/nothing", "there is no tool"),
        ("library/nothing", "Analysis"),
        ("nowhere", "From a raw table to ranked hypotheses"),
    ],
)
def test_an_address_of_nothing_says_so_once(visit: Visit, place: str, told: str) -> None:
    page = visit.open(place)
    page.get_by_text(told).first.wait_for()
    page.wait_for_load_state("networkidle")
    assert page.locator(".failure").count() <= 1
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert visit.faults == []
