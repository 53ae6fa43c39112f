"""Servers that we start: what is composed, watched, started again and stopped whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereus.errors import InputError, ToolError
from nereus.models.llm.serving import Plan, Served, plan
from tests.models.llm import tiny

STAND_IN = """#!{python}
import http.server, json, os, subprocess, sys
given = sys.argv[1:]
port = int(given[given.index("--port") + 1])
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # as vLLM has an engine beside it
kept = {{name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "NEREUS_OFFLINE")}}
with open({log!r}, "a") as stream:
    stream.write(json.dumps({{"argv": given, "environment": kept, "pids": [os.getpid(), worker.pid]}}) + "\\n")
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404); self.end_headers()
    def do_POST(self):
        os._exit(7)
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", port), H).serve_forever()
"""


def test_vllm_is_started_as_documented_watched_and_stopped_whole(tmp_path: Path) -> None:
    """A program that stands where vLLM would, since vLLM itself needs a GPU."""
    program = tmp_path / "vllm-env" / "bin" / "vllm"
    program.parent.mkdir(parents=True)
    log = tmp_path / "started.jsonl"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    folder = _folder(tmp_path, tiny.TEMPLATE)
    command = [
        sys.executable,
        "-m",
        "nereus.cli",
        "llm",
        "serve",
        str(folder),
        "--engine",
        "vllm",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, "--", "--max-model-len", "4096"],
        env={**os.environ, "NEREUS_HOME": str(tmp_path), "NEREUS_OFFLINE": "true", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first, ready = process.stdout.readline(), process.stdout.readline()
        assert first.startswith(f"vllm: {folder}; tool calls are read by hermes; log {tmp_path}"), first
        url = ready.split()[1].partition("=")[2]
        assert ready == f"ready: NEREUS_LLM_BASE_URL={url} NEREUS_LLM_MODEL={folder}\n"
        port = url.rpartition(":")[2].removesuffix("/v1")
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"http://127.0.0.1:{port}/die")
        assert process.stdout.readline() == "the server died (status 7); starting it again\n"
        assert process.stdout.readline() == f"ready again: {url}\n"
        started: list[Any] = [json.loads(line) for line in log.read_text().splitlines()]
        assert len(started) == 2
        assert started[0]["argv"] == started[1]["argv"] == [
            "serve", str(folder), "--host", "127.0.0.1", "--port", port,
            "--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--max-model-len", "4096",
        ]  # fmt: skip
        assert set(started[0]["environment"].values()) == {"1", "true"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 130
        left = [one for each in started for one in each["pids"] if _runs(one)]
        assert not left, "none of its processes is left, also not those of the one that died"
    finally:
        process.kill()


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.long
def test_a_server_that_dies_is_started_again_and_stops_whole(tiny_folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "NEREUS_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "nereus.cli",
        "llm",
        "serve",
        str(tiny_folder),
        "--port",
        "0",
        "--engine",
        "transformers",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first.startswith("transformers:"), first
        ready = process.stdout.readline()
        assert ready.startswith("ready: NEREUS_LLM_BASE_URL=http://127.0.0.1:"), ready
        url = ready.split()[1].partition("=")[2]
        log = next((tmp_path / "llm").glob("server-*.log"))
        children = _children(process.pid)
        assert children
        os.kill(children[0], signal.SIGKILL)
        assert "died (signal 9); starting it again" in process.stdout.readline()
        assert process.stdout.readline().startswith("ready again: ")
        assert httpx.get(url.removesuffix("/v1") + "/health").status_code == 200
        children = _children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 130
        assert not any(Path(f"/proc/{one}").exists() for one in children)
        assert log.stat().st_size > 0
    finally:
        process.kill()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.long
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    server = Served(
        plan(str(tmp_path), port=0, engine="transformers", gpu=False), tmp_path / "log.txt", ready_s=120
    )
    with pytest.raises(ToolError, match="ended before it was ready"):
        server.start()
    assert server.pid is None or not Path(f"/proc/{server.pid}").exists()


def fake_plan(tmp_path: Path, script: str) -> Plan:
    file = tmp_path / "server.py"
    file.write_text(script)
    how = plan(str(_folder(tmp_path)), port=0, engine="transformers", gpu=False)
    return Plan("vllm", (sys.executable, str(file), str(how.port)), "m", how.host, how.port)


ANSWERS_ONCE = """
import sys, http.server, os, threading
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); threading.Timer(0.1, os._exit, [3]).start()
    def log_message(self, *a): pass
print("weights are loaded", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""


def test_restarts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nereus.models.llm.serving.MOST_RESTARTS", 2)
    told: list[str] = []
    server = Served(fake_plan(tmp_path, ANSWERS_ONCE), tmp_path / "log.txt", ready_s=30, tell=told.append)
    server.start()
    with pytest.raises(ToolError, match=r"(?s)died 3 times.*weights are loaded"):
        server.watch()
    assert len([one for one in told if "starting it again" in one]) == 2
    server.stop()


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    server = Served(fake_plan(tmp_path, "import time\ntime.sleep(600)"), tmp_path / "log.txt", ready_s=2)
    start = time.monotonic()
    with pytest.raises(ToolError, match="did not answer within 2 s"):
        server.start()
    assert time.monotonic() - start < 20
    assert not Path(f"/proc/{server.pid}").exists()


def _folder(tmp_path: Path, template: str | None = None) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize(
    ("template", "parser"),
    [
        (tiny.TEMPLATE, "hermes"),
        ("<tool_call><function=x><parameter=y>", "qwen3_coder"),
        ("{{ '[TOOL_CALLS]' }}", "mistral"),
        ("{{ '<|start_header_id|>' }} {\"parameters\": 1}", "llama3_json"),
        ("{{ message.content }}", None),
    ],
)
def test_the_parser_is_told_by_the_template(template: str, parser: str | None, tmp_path: Path) -> None:
    program = tmp_path / "vllm"
    program.write_text("")
    how = plan(
        str(_folder(tmp_path, template)),
        engine="vllm",
        vllm=program,
        port=8123,
        further=["--max-model-len", "9"],
    )
    assert how.parser == parser
    assert how.command[:2] == (str(program), "serve")
    assert ("--tool-call-parser" in how.command) is (parser is not None)
    assert how.command[-2:] == ("--max-model-len", "9")


def test_vllm_that_is_not_here_and_names_without_it_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="pip install vllm"):
        plan(str(_folder(tmp_path)), engine="vllm", home=tmp_path)
    with pytest.raises(InputError, match="names at the hub need vLLM"):
        plan("some/model", engine="auto", home=tmp_path, gpu=False)
    environment = tmp_path / "vllm-env" / "bin"
    environment.mkdir(parents=True)
    (environment / "vllm").write_text("")
    assert plan("some/model", home=tmp_path, gpu=True).engine == "vllm"
    assert plan(str(_folder(tmp_path)), home=tmp_path, gpu=False).engine == "transformers"
