"""What leaves the server beside its answers: logs, traces and metrics; and that no secret is among it."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nereus.agents.planner.queued import queue_run
from nereus.api.app import create_app
from nereus.api.telemetry.logs import write_logs
from nereus.api.telemetry.secrets import HIDDEN, Redactor
from nereus.api.telemetry.signals import Signals, open_signals
from nereus.api.workers import child
from nereus.errors import SettingsError
from nereus.memory.database.models import LOCAL
from nereus.memory.jobs import Jobs
from nereus.memory.tokens import Tokens
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from tests.api.test_server import SMALL

CANARY = "canary-7f3a91c2"


@pytest.fixture
def loggers() -> Iterator[None]:
    """Loggers as they were."""
    kept = {name: logging.getLogger(name) for name in ("nereus", "uvicorn")}
    before = {name: (one.handlers, one.propagate, one.level) for name, one in kept.items()}
    yield
    for name, one in kept.items():
        one.handlers, one.propagate, one.level = before[name]


class Seen:
    """Signals that are kept in memory."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.metrics = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.signals = Signals(tracers, MeterProvider([self.metrics]))

    def measured(self) -> dict[str, list[dict[str, Any]]]:
        data = self.metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: [dict(point.attributes or {}) for point in metric.data.data_points]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self) -> str:
        return "".join(one.to_json() for one in self.spans.get_finished_spans()) + str(self.measured())


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"token=nrs_{CANARY}xyz and on",
        f"key sk-{CANARY}",
        f"postgresql://ada:{CANARY}@db.example.org/runs failed",
        f'{{"api_key": "{CANARY}", "x": 1}}',
        f"NEREUS_LLM_API_KEY={CANARY}",
        f"https://example.org/v1?access_token={CANARY}&page=2",
        f"password: '{CANARY} {CANARY}'",
        f"Basic {CANARY}==",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"eyJhbGciOiJI.eyJzdWIiOiIx{CANARY}.sig{CANARY}",
        f"hf_{CANARY}abcdef",
    ],
)
def test_a_secret_is_known_by_its_form(text: str) -> None:
    cleaned = Redactor().clean(text)
    assert CANARY not in cleaned
    assert HIDDEN in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "step O2.W1.S3 of run r1a2b3c4d5e-1 failed: 12 tokens were spent",
        "the file samples.tsv has no column 'group'",
        "https://example.org:8080/path?page=2",
        "sample KRT1_control_3 is missing in 4 of 8",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().clean(text) == text


def test_secrets_of_the_settings_and_the_environment_are_known_by_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_SERVICE_API_KEY", "environment-canary")
    settings = load_settings(
        home=tmp_path,
        llm_api_key="key-canary",
        llm_base_url="http://ada:url-canary@127.0.0.1:1/v1",
        mcp_servers={"lab": {"url": "http://127.0.0.1:2", "headers": {"x-own": "header-canary"}}},
    )
    redactor = Redactor.of(settings)
    for secret in ("environment-canary", "key-canary", "url-canary", "header-canary"):
        assert secret not in redactor.clean(f"it said {secret}!")
        assert secret not in json.dumps(settings.public())


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize("form", ["json", "text"])
def test_logs_are_lines_without_secrets(form: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    write_logs(load_settings(home=tmp_path, log_format=form, log_level="info", llm_api_key=CANARY), stream)
    log = logging.getLogger("nereus.api")
    log.debug("not this")
    try:
        raise RuntimeError(f"refused with {CANARY}\nand a second line")
    except RuntimeError:
        log.exception("call %s failed", f"https://x/?key={CANARY}", extra={"run": "r1", "header": CANARY})
    log.info("plain")
    written = stream.getvalue()
    assert CANARY not in written
    assert "not this" not in written
    assert "RuntimeError" in written
    if form == "json":
        first, second = map(json.loads, written.splitlines())
        assert (first["level"], first["logger"], first["run"]) == ("error", "nereus.api", "r1")
        assert first["header"] == HIDDEN
        assert "RuntimeError" in first["error"]
        assert second["message"] == "plain"


def test_requests_are_measured_by_route_and_without_what_they_hold(tmp_path: Path) -> None:
    seen = Seen()
    settings = load_settings(home=tmp_path, serve_tokens="always")
    with open_workspace(settings) as workspace:
        secret, _ = Tokens(workspace.database).create("ada", ("read",))
    app = create_app(settings, signals=seen.signals)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        headers = {"authorization": f"Bearer {secret}"}
        assert client.get(f"/api/runs/r0123456789-1?q={CANARY}", headers=headers).status_code == 404
        assert client.get(f"/nothing/{CANARY}").status_code == 404
        assert client.get("/api/runs", headers={"authorization": f"Bearer nrs_{CANARY}"}).status_code == 401
        names = {one.name for one in seen.spans.get_finished_spans()}
        assert {"GET /api/runs/{run_id}", "GET /api/runs"} <= names
        told = seen.measured()["http.server.request.duration"]
        assert {
            "http.request.method": "GET",
            "http.route": "/api/runs/{run_id}",
            "http.response.status_code": 404,
        } in told
        text = seen.text()
    assert CANARY not in text
    assert secret not in text
    assert not re.search(r"\bada\b", text)  # as a word: numbers of spans are hexadecimal


def test_a_run_is_one_trace_of_its_steps(tmp_path: Path, table: bytes) -> None:
    seen = Seen()
    (tmp_path / f"{CANARY}.csv").write_bytes(table)
    settings = load_settings(home=tmp_path / "home")
    with open_workspace(settings) as workspace:
        data = workspace.artifacts.put_file(tmp_path / f"{CANARY}.csv")
        header = queue_run(
            workspace,
            {"data": data},
            owner=LOCAL,
            reports=tmp_path / "reports",
            question=f"what of {CANARY}?",
            budget=SMALL["budget"],
        )
        jobs = Jobs(workspace.database)
        jobs.add(LOCAL, "run", run_id=header.id)
        job = jobs.lease("w1")
        assert job is not None
        child.do(settings, job, seen.signals)
        assert jobs.get(job.id).status == "finished"
        finished = sum(one.type == "step_finished" for one in workspace.events.read(header.id))
    spans = seen.spans.get_finished_spans()
    (whole,) = (one for one in spans if one.name == "job run")
    steps = [one for one in spans if one.name.startswith("step ")]
    assert whole.attributes is not None
    assert whole.attributes["nereus.run.id"] == header.id
    assert len(steps) == finished > 3
    assert {one.context.trace_id for one in spans} == {whole.context.trace_id}
    assert {one.parent.span_id for one in steps if one.parent} == {whole.context.span_id}
    assert {"nereus.job.kind": "run"} in seen.measured()["nereus.job.duration"]
    assert {one["nereus.tool"] for one in seen.measured()["nereus.step.duration"]} >= {"load_dataset"}
    assert CANARY not in seen.text()


def test_off_it_costs_nothing(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    assert open_signals(settings, "nereus-server") is None
    names = [one.cls.__name__ for one in create_app(settings).user_middleware]
    assert "MeasuredRequests" not in names
    measured = [one.cls.__name__ for one in create_app(settings, signals=Seen().signals).user_middleware]
    assert "MeasuredRequests" in measured
    code = (
        "import sys; import nereus.api.app, nereus.api.workers.child, nereus.api.workers.worker;"
        "print([name for name in sys.modules if name == 'nereus.api.telemetry.signals'])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_collector_without_the_library_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    settings = load_settings(home=tmp_path, telemetry="http://127.0.0.1:4317")
    with pytest.raises(SettingsError, match=r"\.\[telemetry\]"):
        open_signals(settings, "nereus-server")


def test_offline_sends_nothing_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"collector\.example\.org"):
        load_settings(home=tmp_path, offline=True, telemetry="https://collector.example.org:4317")
    assert load_settings(home=tmp_path, offline=True, telemetry="http://127.0.0.1:4317").telemetry
