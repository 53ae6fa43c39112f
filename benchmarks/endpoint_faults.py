"""Every call of a faulty endpoint ends within its limit with a stated reason: 300 faults, by a real server over real sockets.

    python -m benchmarks.endpoint_faults [--calls 300] [--limit 1.5] [--side 12]

Each call is made in one of four ways (invoke, stream, a tool offered, the `llm` policy's question) against a server on loopback
that hangs, drips, closes, cuts, lies or breaks. Held: the call ends within its limit and a second, an error of ours says why
(and names no key), or the text that came is whole; a policy leaves the decision to the rules and says why. A policy's question is
up to three calls (asked, with the tools in text, repaired), each with the limit. Calls are made side by side: they mostly wait.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.truth.results import store
from nereus.agents.policies import make_policy
from nereus.agents.policies.base import DecisionContext, DecisionKind
from nereus.errors import NereusError
from nereus.memory.records import Budget, Objective, ObjectiveKind
from nereus.models.llm import chat_model
from nereus.settings import Settings, load_settings

KEY = "sk-canary-3141592653"
GRACE_S = 1.0
TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "adds",
                 "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}  # fmt: skip


def _body(content: Any = "Hello there", **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more}
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
    ).encode()  # fmt: skip


def _answer(
    body: bytes, status: str = "200 OK", kind: str = "application/json", length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()
        + body
    )


def _piece(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    one = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(one).encode() + b"\n\n"


def _stream(*pieces: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + b"".join(
        pieces
    )


Fault = Callable[[socket.socket, bool, threading.Event], None]


def _says(plain: bytes, streamed: bytes | None = None) -> Fault:
    def fault(client: socket.socket, stream: bool, ended: threading.Event) -> None:
        client.sendall(streamed if stream and streamed is not None else plain)

    return fault


def _hang(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    ended.wait(30)


def _hang_after(part: bytes) -> Fault:
    def fault(client: socket.socket, stream: bool, ended: threading.Event) -> None:
        client.sendall(part)
        ended.wait(30)

    return fault


def _drip(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    """A byte at a time, for ever: no read ever waits long."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not ended.wait(0.02):
        client.sendall(b"1\r\n \r\n")


def _drip_stream(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    client.sendall(_stream())
    while not ended.wait(0.02):
        client.sendall(_piece({"content": "a"}))


def _drip_header(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while not ended.wait(0.02):
        client.sendall(b"X-More: 1\r\n")


def _flood(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"id": "')
    while not ended.is_set():
        client.sendall(b"x" * 65536)


def _reset(client: socket.socket, stream: bool, ended: threading.Event) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


_HELLO = _piece({"role": "assistant", "content": "Hel"})
_CALL = _piece(
    {
        "tool_calls": [
            {"index": 0, "id": "1", "type": "function", "function": {"name": "add", "arguments": '{"x": '}}
        ]
    }
)
_END = _piece({}, "stop") + b"data: [DONE]\n\n"
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
FAULTS: dict[str, Fault] = {
    "hang": _hang,
    "hang after the head": _hang_after(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n"),
    "hang in the body": _hang_after(_answer(_body()[:60], length=400)),
    "hang in the stream": _hang_after(_stream(_HELLO)),
    "a byte at a time": _drip,
    "a stream without end": _drip_stream,
    "a head without end": _drip_header,
    "a body without end": _flood,
    "closed at once": _says(b""),
    "reset": _reset,
    "no HTTP": _says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "500": _says(_answer(b'{"error": {"message": "out of memory"}}', "500 Internal Server Error")),
    "500 without a body": _says(_answer(b"", "500 Internal Server Error")),
    "502 as HTML": _says(_answer(_HTML, "502 Bad Gateway", "text/html")),
    "503": _says(_answer(b"{}", "503 Service Unavailable")),
    "429": _says(_answer(b'{"error": {"message": "slow down"}}', "429 Too Many Requests")),
    "401": _says(_answer(f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode(), "401 Unauthorized")),
    "404": _says(_answer(b'{"error": {"message": "no such model"}}', "404 Not Found")),
    "400": _says(_answer(b'{"error": {"message": "context length exceeded"}}', "400 Bad Request")),
    "redirect to itself": _says(_answer(b"", "307 Temporary Redirect\r\nLocation: /v1/chat/completions")),
    "HTML as success": _says(_answer(_HTML, kind="text/html")),
    "HTML as JSON": _says(_answer(_HTML)),
    "HTML as a stream": _says(_answer(_HTML, kind="text/event-stream")),
    "broken JSON": _says(_answer(_body()[:-9]), _stream(b'data: {"id": "x", "choi\n\n')),
    "JSON cut by the network": _says(_answer(_body()[:80], length=len(_body())), _stream(_HELLO)),
    "no choices": _says(_answer(b'{"id": "x", "choices": []}'), _stream(b'data: {"id": "x", "choices": []}\n\n')),
    "choices null": _says(_answer(b'{"id": "x", "choices": null}'), _stream(b'data: {"choices": null}\n\n')),
    "a list": _says(_answer(b"[1, 2]"), _stream(b"data: [1, 2]\n\n")),
    "null": _says(_answer(b"null"), _stream(b"data: null\n\n")),
    "an error as success": _says(
        _answer(b'{"error": {"message": "overloaded", "code": 529}}'), _stream(b'data: {"error": {"message": "overloaded"}}\n\n')
    ),
    "message without content": _says(_answer(b'{"choices": [{"index": 0, "message": {}}]}'), _stream(_piece({}))),
    "bytes that are no text": _says(_answer(b"\xff\xfe\x00\x80"), _stream(b"data: \xff\xfe\n\n")),
    "a stream cut in a word": _says(_answer(_body()[:80], length=len(_body())), _stream(_HELLO, b"data: {")),
    "a stream cut in a call": _says(_answer(_body()[:80], length=len(_body())), _stream(_HELLO, _CALL)),
    "a stream of comments": _says(_answer(b""), _stream(b": ping\n\n" * 50)),
    "gzip that is none": _says(_answer(_body(), "200 OK\r\nContent-Encoding: gzip")),
}  # fmt: skip


_SILENT = (_hang, _drip, _drip_header, _reset)
"""Faults that questions for the context window meet as well."""


@contextmanager
def faulty(fault: Fault) -> Iterator[str]:
    """The address of a server with a fault."""
    ended = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)

    def one(client: socket.socket) -> None:
        with client:
            client.settimeout(5)
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = client.recv(65536)
                    if not part:
                        return
                    request += part
                head, _, body = request.partition(b"\r\n\r\n")
                if (
                    head.startswith(b"GET") and fault not in _SILENT
                ):  # its window and models: it tells nothing
                    client.sendall(_answer(b"{}", "404 Not Found"))
                    return
                size = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length")
                    ),
                    0,
                )
                while len(body) < size:
                    body += client.recv(65536)
                fault(client, b'"stream":true' in body.replace(b" ", b""), ended)
            except OSError:
                return

    def serve() -> None:
        while not ended.is_set():
            try:
                client, _ = listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        ended.set()
        listening.close()


CONTEXT = DecisionContext(
    objectives=tuple(
        Objective(id=f"O{n}", kind=ObjectiveKind.DIFFERENTIAL, statement=f"question {n}", priority=0.1 * n)
        for n in (2, 3)
    )
)
CALLS = {"invoke": 1, "stream": 1, "tool": 1, "policy": 3}
"""Ways to ask, and how many calls each makes at most."""
WAYS = tuple(CALLS)


def _settings(home: Path, url: str, limit: float) -> Settings:
    return load_settings(home=home, policy="llm", llm_base_url=url, llm_model="m", llm_api_key=KEY, llm_timeout_s=limit,
                         llm_retries=1, llm_max_tokens=10**8)  # fmt: skip


def asked(way: str, url: str, home: Path, limit: float) -> tuple[str, str, float]:
    """(how it ended: ``error``, ``fallback`` or ``text``, the reason or the text, seconds)."""
    settings = _settings(home, url, limit)
    if way == "policy":
        policy = make_policy(settings, Budget())
        start = time.monotonic()
        verdict = policy.decide(DecisionKind.CHOOSE_OBJECTIVES, CONTEXT, seed=0)
        took = time.monotonic() - start
        return (
            ("fallback", verdict.fallback_reason, took)
            if verdict.fallback
            else ("text", str(verdict.payload), took)
        )
    model = chat_model(settings)
    assert model is not None
    bound: Any = model.bind_tools([TOOL]) if way == "tool" else model
    start = time.monotonic()
    try:
        text = (
            "".join(str(one.content) for one in bound.stream("Hello"))
            if way == "stream"
            else str(bound.invoke("Hello").content)
        )
    except NereusError as error:
        return "error", str(error), time.monotonic() - start
    return "text", text, time.monotonic() - start


def judged(fault: str, way: str, limit: float, home: Path) -> dict[str, Any]:
    """One call, and whether it kept to what is promised."""
    with faulty(FAULTS[fault]) as url:
        try:
            ended, said, seconds = asked(way, url, home, limit)
        except BaseException as error:  # noqa: BLE001 - what is not ours is the finding
            ended, said, seconds = "foreign", f"{type(error).__name__}: {error}", 0.0
    allowed = limit * CALLS[way] + GRACE_S
    kept = (
        ended in ("error", "fallback", "text")
        and bool(said or ended == "text")
        and seconds <= allowed
        and KEY not in said
    )
    return {
        "fault": fault,
        "way": way,
        "ended": ended,
        "seconds": round(seconds, 2),
        "kept": kept,
        "said": said[:160],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--limit", type=float, default=1.5)
    parser.add_argument("--side", type=int, default=12, help="calls side by side")
    given = parser.parse_args()
    start = time.time()
    rng = random.Random(0)
    plan = [(fault, way) for fault in FAULTS for way in WAYS]
    plan = (plan * (given.calls // len(plan) + 1))[: given.calls]
    rng.shuffle(plan)
    with TemporaryDirectory() as home:
        asked("invoke", "http://127.0.0.1:9/v1", Path(home), 5.0)  # imports
        with ThreadPoolExecutor(given.side) as pool:
            rows = []
            for row in pool.map(lambda one: judged(*one, given.limit, Path(home)), plan):
                rows.append(row)
                if len(rows) % 25 == 0 or not row["kept"]:
                    print(len(rows), row, flush=True)
    broken = [one for one in rows if not one["kept"]]
    figures = {
        "calls": len(rows),
        "kept": sum(one["kept"] for one in rows),
        "ended": dict(Counter(one["ended"] for one in rows)),
        "longest_s": {way: max((one["seconds"] for one in rows if one["way"] == way), default=0.0) for way in WAYS},
        "limit_s": given.limit,
        "allowed_s": {way: given.limit * calls + GRACE_S for way, calls in CALLS.items()},
        "broken": broken,
        "reasons": {fault: next(one["said"].splitlines()[0] if one["said"] else "" for one in rows if one["fault"] == fault)
                    for fault in FAULTS if any(one["fault"] == fault for one in rows)},
    }  # fmt: skip
    baseline = "none: what is held is a promise for every call"
    print(json.dumps({name: figures[name] for name in ("calls", "kept", "ended", "longest_s")}))
    store("endpoint_faults", {"baseline": baseline, "seeds": [0], "figures": figures}, module="benchmarks.endpoint_faults",
          arguments=sys.argv[1:], seconds=time.time() - start)  # fmt: skip


if __name__ == "__main__":
    main()
