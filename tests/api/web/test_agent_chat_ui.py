"""LangChain's own page, agent-chat-ui, unmodified, against this server: a message is answered, a costly step is approved.

Its source comes from the package registry; docs/web.md tells how it is built. AGENT_CHAT_UI names the folder that came out.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import end, start
from tests.api.web.test_browser import Visit

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def their_page() -> Iterator[str]:
    """Address of agent-chat-ui."""
    folder = os.environ.get("AGENT_CHAT_UI")
    if not folder or not (Path(folder) / "index.html").is_file():
        pytest.skip("AGENT_CHAT_UI names no built agent-chat-ui (docs/web.md)")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()


def test_their_page_gets_an_answer_and_the_thread_is_still_there_after_a_reload(
    browser: Any, their_page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEREUS_SERVE_ORIGINS", f'["{their_page}"]')
    server = start(tmp_path, workers=1)
    visit = Visit(browser, their_page)
    try:
        page = visit.page
        page.goto(f"{their_page}/?apiUrl={quote(server.url, safe='')}&assistantId=chat")
        page.get_by_placeholder("Type your message").fill("what can you do?")
        page.get_by_role("button", name="Send").click()
        answer = page.get_by_text(re.compile("I can|you can ask|I answer", re.IGNORECASE)).first
        answer.wait_for()
        page.wait_for_url(re.compile("threadId="))
        page.reload()
        answer.wait_for()
        page.get_by_placeholder("Type your message").fill("draw CC(=O)Oc1ccccc1C(=O)O")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Here is").first.wait_for()
        assert [
            one for one in visit.asked if not one.startswith((their_page, server.url, "data:", "blob:"))
        ] == []
        assert visit.faults == []
    finally:
        visit.context.close()
        end(server)
