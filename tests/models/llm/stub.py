"""An endpoint on loopback that answers as a test says, over real sockets, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What is sent back."""

    body: Any = None
    """JSON, or bytes as they are."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[Any] | None = None
    """Deltas of a stream, in place of a body; the last one ends it."""
    finish: str = "stop"
    pause_s: float = 0.0
    """Seconds between the pieces of a stream."""


Script = Callable[[dict[str, Any], int], Answer]
"""(what was asked, how many questions came before) -> the answer."""


@dataclass
class Stub:
    """The endpoint while it listens."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the questions for a reply, in their order."""
    other: list[str] = field(default_factory=list)
    """Paths that were asked beside them."""
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)


def message(content: Any = "Hello there", tokens: tuple[int, int] = (9, 3), **more: Any) -> dict[str, Any]:
    """A completion with one choice."""
    finish = more.pop("finish", "stop")
    prompt, reply = tokens
    said = {"role": "assistant", "content": content, **more}
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": said}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply},
    }  # fmt: skip


def says(text: Any = "Hello there", **more: Any) -> Answer:
    """A completion, or the same as a stream of one piece."""
    return Answer(message(text, **more))


def refuses(status: int, text: str, **headers: str) -> Answer:
    """An error in OpenAI's form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"error": {"message": text}}, status, named)


@contextmanager
def stub(script: Script, get: Callable[[str], Answer] | None = None) -> Iterator[Stub]:
    """Listen for as long as a block lasts.

    Parameters
    ----------
    script
        Answers questions for a reply.
    get
        Answers what else is asked by path; None knows nothing.
    """
    found = Stub("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.other.append(self.path)
            self._send(get(self.path) if get is not None else Answer({}, 404))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not self.path.endswith("/chat/completions"):
                found.other.append(self.path)
                self._send(Answer({}, 404))
                return
            asked = json.loads(body)
            with found._lock:
                before = len(found.asked)
                found.asked.append(asked)
                found._now += 1
                found.most_at_once = max(found.most_at_once, found._now)
            try:
                self._send(script(asked, before), stream=bool(asked.get("stream")))
            finally:
                with found._lock:
                    found._now -= 1

        def _send(self, answer: Answer, stream: bool = False) -> None:
            if stream and answer.status == 200 and answer.pause_s:
                self._send_slowly(answer)
                return
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            kind = "application/json"
            if stream and answer.status == 200 and not isinstance(answer.body, bytes):
                content, kind = _streamed(answer), "text/event-stream"
            self.send_response(answer.status)
            for name, value in (
                {"content-type": kind, "content-length": str(len(content))} | dict(answer.headers)
            ).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _send_slowly(self, answer: Answer) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for line in _lines(answer):
                self.wfile.write(line)
                self.wfile.flush()
                time.sleep(answer.pause_s)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            """Clients that leave are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _streamed(answer: Answer) -> bytes:
    return b"".join(_lines(answer))


def _lines(answer: Answer) -> list[bytes]:
    pieces = answer.pieces
    finish = answer.finish
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    if pieces is None:
        choice = answer.body["choices"][0]
        said, finish, usage = choice["message"], choice["finish_reason"], answer.body["usage"]
        pieces = [said]
    lines = [_line([{"index": 0, "delta": one, "finish_reason": None}]) for one in pieces]
    lines.append(_line([{"index": 0, "delta": {}, "finish_reason": finish}]))
    lines.append(_line([], usage))
    return [*lines, b"data: [DONE]\n\n"]


def _line(choices: list[Any], usage: Any = None) -> bytes:
    one = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps(one | ({"usage": usage} if usage else {})).encode() + b"\n\n"
