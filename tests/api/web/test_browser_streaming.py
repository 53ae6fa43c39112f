"""An answer on the page while a language model writes it: it grows in place, and the whole answer takes its place."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import served_here
from tests.api.web.conftest import Visit
from tests.models.llm.stub import Answer, Stub, stub

pytestmark = pytest.mark.long

WORDS = (
    "Nereus reads a table 🧪 and tests it. It questions its **own results**, and says what it rests on. " * 4
)
INVENTED = "It rises 3.7 fold in all of them. So there."
CHECKED = "Nothing was computed yet."


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Stub]:
    def scripted(asked: dict[str, Any], before: int) -> Answer:
        said = json.dumps(asked["messages"][-1]["content"])
        text = CHECKED if "cannot be shown" in said else WORDS + (INVENTED if "invent" in said else "")
        return Answer(pieces=[{"content": f"{word} "} for word in text.split()], pause_s=0.06)

    with stub(scripted) as found:
        yield found


@pytest.fixture
def visit(browser: Any, endpoint: Stub, tmp_path: Path) -> Iterator[Visit]:
    settings = {"llm_base_url": endpoint.url, "llm_model": "m", "llm_api_key": "k"}
    with served_here(tmp_path / "home", **settings) as url:
        opened = Visit(browser, url)
        yield opened
        opened.context.close()


def watched(page: Any, question: str) -> list[str]:
    """Ask, and note what the page shows of the answer until it is whole."""
    page.get_by_label("Your question").fill(question)
    page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver(() => {
            const shown = document.querySelector(".message.draft")?.textContent;
            if (shown !== undefined && shown !== window.seen.at(-1)) window.seen.push(shown);
          }).observe(document.querySelector(".messages"), { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.keyboard.press("Enter")
    page.locator(".message.ai:not(.draft)").last.wait_for()
    page.locator(".working").wait_for(state="detached")
    return list(page.evaluate("window.seen"))


def test_an_answer_grows_in_place_and_is_replaced_by_the_whole_one(visit: Visit) -> None:
    page = visit.open("talk")
    seen = watched(page, "what is this?")
    assert len(seen) > 15
    assert all(later.startswith(one) for one, later in itertools.pairwise(seen))
    answers = page.locator(".message.ai")
    assert answers.count() == 1
    assert answers.first.inner_text().startswith(seen[-1])
    assert answers.first.locator("strong").first.inner_text() == "own results"
    assert visit.faults == []


def test_a_number_without_evidence_is_never_on_the_page(visit: Visit) -> None:
    page = visit.open("talk")
    seen = watched(page, "invent a number")
    assert len(seen) > 15
    assert not [one for one in seen if "3.7" in one or "So there" in one]
    assert any("taken back" in one for one in seen)
    assert page.locator(".message.ai").all_inner_texts() == [CHECKED]


def test_who_reloads_in_the_middle_of_an_answer_sees_what_was_written(visit: Visit) -> None:
    page = visit.open("talk")
    page.get_by_label("Your question").fill("what is this?")
    page.keyboard.press("Enter")
    page.locator(".message.draft strong").first.wait_for()
    page.reload()
    page.locator(".message.draft").get_by_text("Nereus reads a table 🧪").first.wait_for()
    assert page.locator(".message.ai").count() == 1
    page.locator(".message.draft").wait_for(state="detached")
    page.locator(".message.ai").first.wait_for()
    assert page.locator(".message.ai").count() == 1


def test_who_stops_an_answer_is_told_so(visit: Visit) -> None:
    page = visit.open("talk")
    page.get_by_label("Your question").fill("what is this?")
    page.keyboard.press("Enter")
    page.locator(".message.draft").wait_for()
    done = threading.Event()
    page.on("response", lambda answer: done.set() if answer.url.endswith("/cancel") else None)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("You stopped this answer.").wait_for()
    page.locator(".message.draft").wait_for(state="detached")
    assert done.is_set()
    page.get_by_label("Your question").fill("again")
    page.keyboard.press("Enter")
    page.locator(".message.draft").wait_for()
