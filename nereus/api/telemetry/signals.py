"""Traces and metrics of a server and its workers (OpenTelemetry), where the settings name a collector.

Nothing of this is imported, and nothing stands in between, where they do not. Spans hold methods, routes, states, names of
tools and ids: never a question, a file name, a parameter or an address with its query.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nereus import __version__
from nereus.errors import SettingsError
from nereus.memory.jobs import Job
from nereus.memory.records import Event
from nereus.memory.workspace import Workspace
from nereus.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

_ENDS = {"step_finished": "ok", "step_failed": "failed"}


class Signals:
    """What is measured in one process.

    Parameters
    ----------
    tracers, meters
        Where spans and measurements go.
    """

    def __init__(self, tracers: TracerProvider, meters: MeterProvider) -> None:
        self._providers: tuple[Any, ...] = (tracers, meters)
        self.tracer = tracers.get_tracer("nereus", __version__)
        meter = meters.get_meter("nereus", __version__)
        self.requests = meter.create_histogram(
            "http.server.request.duration", "s", "Seconds until an answer was sent"
        )
        self.jobs = meter.create_histogram("nereus.job.duration", "s", "Seconds of work on a job")
        self.steps = meter.create_histogram("nereus.step.duration", "s", "Seconds of a step of a run")

    def close(self) -> None:
        """Send what was not sent yet."""
        for provider in self._providers:
            provider.shutdown()

    @contextmanager
    def job(self, workspace: Workspace, job: Job) -> Iterator[None]:
        """Measure the work on a job; of a run also its steps, as its event stream tells them."""
        told = {"nereus.job.kind": job.kind}
        began = time.perf_counter()
        ids: dict[str, str | int] = {"nereus.job.id": job.id, "nereus.job.attempt": job.attempts}
        if job.run_id is not None:
            ids["nereus.run.id"] = job.run_id
        with self.tracer.start_as_current_span(f"job {job.kind}", attributes={**told, **ids}) as span:
            steps = _Steps(self, span, job.run_id)
            end = workspace.events.subscribe(steps.read)
            try:
                yield
            finally:
                end()
                self.jobs.record(time.perf_counter() - began, told)


class _Steps:
    """Makes spans of the steps that the events of a run tell of."""

    def __init__(self, signals: Signals, parent: Span, run_id: str | None) -> None:
        from opentelemetry.trace import set_span_in_context

        self._signals = signals
        self._context = set_span_in_context(parent)
        self._run_id = run_id
        self._open: dict[str, tuple[Span, float]] = {}

    def read(self, event: Event) -> None:
        """Begin or end a span."""
        if event.run_id != self._run_id:
            return
        tool = {"nereus.tool": str(event.payload.get("tool", ""))}
        if event.type == "step_started":
            span = self._signals.tracer.start_span(
                f"step {tool['nereus.tool']}",
                context=self._context,
                attributes={**tool, "nereus.step.id": event.subject},
            )
            self._open[event.subject] = (span, time.perf_counter())
        elif event.type in _ENDS and event.subject in self._open:
            span, began = self._open.pop(event.subject)
            span.set_attribute("nereus.step.status", _ENDS[event.type])
            span.end()
            told = {**tool, "nereus.step.status": _ENDS[event.type]}
            self._signals.steps.record(time.perf_counter() - began, told)


class MeasuredRequests:
    """Measures requests, by the form of their route.

    Parameters
    ----------
    app
        What answers.
    signals
        Where measurements go.
    """

    def __init__(self, app: ASGIApp, signals: Signals) -> None:
        self._app = app
        self._signals = signals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"]
        with self._signals.tracer.start_as_current_span(method) as span:
            try:
                await self._app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", "unknown")
                told = {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                }
                span.update_name(f"{method} {route}")
                span.set_attributes(told)
                self._signals.requests.record(time.perf_counter() - began, told)


def open_signals(settings: Settings, service: str) -> Signals | None:
    """What measures this process; None where the settings name no collector.

    Parameters
    ----------
    settings
        ``telemetry``: address of a collector that takes OTLP over gRPC.
    service
        ``nereus-server`` or ``nereus-worker``.

    Raises
    ------
    SettingsError
        A collector is named, and OpenTelemetry is not installed.
    """
    if settings.telemetry is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name!r} is not installed",
            where="setting 'telemetry'",
            mend="pip install -e '.[telemetry]', or unset it",
        ) from error
    resource = Resource.create({"service.name": service, "service.version": __version__})
    insecure = settings.telemetry.startswith("http://")
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.telemetry, insecure=insecure))
    )
    exporter = OTLPMetricExporter(endpoint=settings.telemetry, insecure=insecure)
    meters = MeterProvider([PeriodicExportingMetricReader(exporter)], resource, shutdown_on_exit=False)
    return Signals(tracers, meters)
