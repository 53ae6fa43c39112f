"""A reader that loses its connection a hundred times, at any byte, has every event once and in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

import nereus
from nereus.api.labs import following
from nereus.errors import StoreError
from nereus.memory.records import RunHeader
from nereus.memory.workspace import Workspace, open_workspace
from nereus.settings import load_settings
from tests.api.conftest import Server

pytestmark = pytest.mark.long

EVENTS = 1500
DROPS = 100


class Cut(httpx.SyncByteStream):
    """What a server sends, up to a number of bytes: then the connection is gone."""

    def __init__(self, whole: httpx.SyncByteStream, left: int) -> None:
        self._whole = whole
        self._left = left

    def __iter__(self) -> Iterator[bytes]:
        for part in self._whole:
            yield part[: self._left]
            self._left -= len(part)
            if self._left <= 0:
                raise httpx.ReadError("the connection is gone")

    def close(self) -> None:
        self._whole.close()


class Cutting(httpx.HTTPTransport):
    """Cuts the first hundred streams somewhere; some already before a byte was read."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._choice = random.Random(seed)
        self.drops = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if "event-stream" in request.headers.get("accept", "") and self.drops < DROPS:
            self.drops += 1
            assert isinstance(answer.stream, httpx.SyncByteStream)
            answer.stream = Cut(answer.stream, self._choice.choice([0, 1, *range(40, 3000, 37)]))
        return answer


def written(workspace: Workspace, run: str) -> None:
    """Write the events of a run while it is read, in bursts, and end it."""
    choice = random.Random(1)
    for number in range(1, EVENTS + 1):
        workspace.events.append(run, "step_finished", f"S{number}", {"text": "é\nx: y\n\n" * (number % 7)})
        if choice.random() < 0.2:
            time.sleep(0.01)
    workspace.repository.set_status(run, "finished")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_drops_lose_and_double_nothing(
    server: Server, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE_S", 0.001)
    with open_workspace(load_settings(home=server.home)) as workspace:
        header = RunHeader(id="", status="running", out_dir="", fingerprint=f"{seed:064x}")
        run = workspace.repository.create_run(header).id
        writer = threading.Thread(target=written, args=(workspace, run))
        writer.start()
        cutting = Cutting(seed)
        with nereus.Client(server.url) as client:
            client.line.http = httpx.Client(base_url=server.url, transport=cutting, timeout=60)
            seen = list(client.runs.get(run).events())
        writer.join()
        kept = workspace.events.read(run)
    assert cutting.drops == DROPS
    assert [one.seq for one in seen] == list(range(1, EVENTS + 1))
    assert seen == kept


def test_a_stream_that_stays_away_is_told_with_how_to_go_on() -> None:
    reader = following.EventReader("r0123456789-1", 7)
    lost = httpx.ConnectError("refused")
    for _ in range(following.TRIES - 1):
        assert reader.pause_after(lost) > 0
    with pytest.raises(StoreError, match="after=7"):
        reader.pause_after(lost)
