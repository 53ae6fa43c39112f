"""The server under load: first event of a stream, answers while many runs wait, lost and doubled events, cancelling.

    python -m benchmarks.server_load [--runs 50] [--readers 20] [--clients 20]

A real server with one worker of two slots on SQLite. Runs have a small budget, so that all of them end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.truth.results import store
from tests.api.conftest import Server, end, start

BUDGET = ["objectives=1", "steps=8", "hypotheses=4"]
ENDED = ("finished", "stopped")
STREAM = {"accept": "text/event-stream"}


def table(seed: int) -> bytes:
    """Intensities of 160 proteins in eight samples, twelve of them changed."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(20, 2, (160, 1)) + rng.normal(0, 0.25, (160, 8))
    logs[:12, 4:] += 2
    names = [f"{group}_{number}" for group in ("control", "treated") for number in range(1, 5)]
    rows = [",".join([f"P{10000 + row}", *(f"{2**value:.3f}" for value in logs[row])]) for row in range(160)]
    return "\n".join([",".join(["protein", *names]), *rows, ""]).encode()


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, in milliseconds."""
    ms = np.array(seconds) * 1000
    return {
        "p50_ms": round(float(np.percentile(ms, 50)), 2),
        "p95_ms": round(float(np.percentile(ms, 95)), 2),
        "max_ms": round(float(ms.max()), 2),
        "n": len(seconds),
    }


def first_event(server: Server, run: str, clients: int, rounds: int) -> dict[str, float]:
    """Time from asking for a stream to its first event, of many clients at once."""
    seconds: list[float] = []

    def ask(opened: httpx.Client) -> None:
        for _ in range(rounds):
            began = time.perf_counter()
            with opened.stream("GET", f"/api/runs/{run}/events", headers=STREAM) as answer:
                next(line for line in answer.iter_lines() if line.startswith("data:"))
            seconds.append(time.perf_counter() - began)

    opened = [server.client() for _ in range(clients)]
    for one in opened:
        one.get("/healthz")
    threads = [threading.Thread(target=ask, args=(one,)) for one in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in opened:
        one.close()
    return percentiles(seconds)


def follow(server: Server, run: str, into: dict[str, list[int]]) -> None:
    """Follow a run to its end, and keep the numbers of its events."""
    numbers: list[int] = []
    with (
        server.client() as client,
        client.stream("GET", f"/api/runs/{run}/events", headers=STREAM, timeout=3600) as answer,
    ):
        numbers.extend(int(line.partition(":")[2]) for line in answer.iter_lines() if line.startswith("id:"))
    into[run] = numbers


def queued(server: Server, data: str, runs: int, readers: int) -> dict[str, Any]:
    """Many runs at once, each followed, while readers look."""
    stop = threading.Event()
    seconds: list[float] = []
    faults: list[str] = []
    seen: dict[str, list[int]] = {}

    def read() -> None:
        with server.client() as client:
            while not stop.is_set():
                for path in ("/api/runs", f"/api/datasets/{data}", "/api/usage"):
                    began = time.perf_counter()
                    answer = client.get(path)
                    seconds.append(time.perf_counter() - began)
                    if answer.status_code != 200:
                        faults.append(answer.text[:300])
                time.sleep(0.5)

    began = time.perf_counter()
    with server.client() as client:
        ids = [
            client.post("/api/runs", json={"data": data, "seed": seed, "budget": BUDGET}).json()["id"]
            for seed in range(runs)
        ]
        asked_s = time.perf_counter() - began
        threads = [threading.Thread(target=read) for _ in range(readers)]
        followers = [threading.Thread(target=follow, args=(server, run, seen)) for run in ids]
        for thread in (*threads, *followers):
            thread.start()
        for follower in followers:
            follower.join()
        stop.set()
        for thread in threads:
            thread.join()
        states = [client.get(f"/api/runs/{run}").json() for run in ids]
    gaps = [
        run
        for run, one in zip(ids, states, strict=True)
        if seen[run] != list(range(1, one["last_event"] + 1))
    ]
    return {
        "runs": runs,
        "readers": readers,
        "asked_s": round(asked_s, 2),
        "wall_s": round(time.perf_counter() - began, 1),
        "ended": sum(one["status"] in ENDED for one in states),
        "streams_with_a_gap_or_a_double": len(gaps),
        "events": sum(len(one) for one in seen.values()),
        "answers_that_were_faults": len(faults),
        "faults": faults[:3],
        "get": percentiles(seconds),
    }


def cancelled(server: Server, data: str, times: int) -> dict[str, float]:
    """Time from asking to cancel a run at work to its being told as cancelled."""
    seconds: list[float] = []
    with server.client() as client:
        for seed in range(times):
            run = client.post("/api/runs", json={"data": data, "seed": 1000 + seed}).json()["id"]
            while client.get(f"/api/runs/{run}").json()["last_event"] < 6:
                time.sleep(0.05)
            began = time.perf_counter()
            client.post(f"/api/runs/{run}/cancel")
            while client.get(f"/api/runs/{run}").json()["status"] != "cancelled":
                time.sleep(0.01)
            seconds.append(time.perf_counter() - began)
    return percentiles(seconds)


def main() -> None:
    """Measure, and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--clients", type=int, default=20)
    asked = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        server = start(Path(folder), workers=1)
        healthy_s = time.perf_counter() - began
        with server.client() as client:
            data = client.post("/api/datasets", files={"file": ("table.csv", table(7))}).json()["id"]
            run = client.post("/api/runs", json={"data": data, "budget": BUDGET}).json()["id"]
            follow(server, run, {})
        figures: dict[str, Any] = {
            "healthy_s": round(healthy_s, 2),
            "first_event": first_event(server, run, asked.clients, rounds=20),
            "cancel": cancelled(server, data, 10),
            "queued": queued(server, data, asked.runs, asked.readers),
        }
        end(server)
    limits = {
        "healthy_s": 4,
        "first_event_p50_ms": 30,
        "first_event_p95_ms": 100,
        "get_p95_ms": 250,
        "cancel_ms": 2000,
    }
    content = {"claim": __doc__.splitlines()[0], "limits": limits, "figures": figures}
    arguments = [f"--{name}={value}" for name, value in vars(asked).items()]
    path = store(
        "server_load",
        content,
        module="benchmarks.server_load",
        arguments=arguments,
        seconds=time.perf_counter() - started,
    )
    print(json.dumps(figures, indent=2), path)


if __name__ == "__main__":
    main()
