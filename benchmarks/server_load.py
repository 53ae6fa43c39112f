"""The server under load: first event of a stream, answers while many runs wait, lost and doubled events, cancelling.

    python -m benchmarks.server_load [--runs 50] [--readers 20] [--clients 20]

A real server with one worker of two slots on SQLite. Runs have a small budget, so that all of them end. Clients ask for a
stream twice a second each; ``first_event_without_pause`` is how it is when each asks again at once, which is a measure of
how many streams a second can be begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.truth.results import store
from benchmarks.wire import wire
from tests.api.conftest import Server, end, start

BUDGET = ["objectives=1", "steps=8", "hypotheses=4"]
ENDED = ("finished", "stopped")


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


async def first_event(
    server: Server, run: str, clients: int, rounds: int, pause_s: float
) -> dict[str, float]:
    """Time from asking for a stream, with a connection of its own, to its first event; clients ask anew after a pause."""
    seconds: list[float] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(pause_s * number / clients)
        for _ in range(rounds):
            began = time.perf_counter()
            async with wire(server.url) as opened:
                async for line in opened.lines(f"/api/runs/{run}/events"):
                    if line.startswith(b"data:"):
                        break
            spent = time.perf_counter() - began
            seconds.append(spent)
            await asyncio.sleep(max(0.0, pause_s - spent))

    await asyncio.gather(*(ask(number) for number in range(clients)))
    return percentiles(seconds)


async def follow(server: Server, run: str) -> list[int]:
    """Follow a run to its end; numbers of its events."""
    numbers: list[int] = []
    async with wire(server.url) as opened:
        async for line in opened.lines(f"/api/runs/{run}/events"):
            if line.startswith(b"id:"):
                numbers.append(int(line[3:]))
            if line == b"event: end":
                break
    return numbers


async def queued(server: Server, data: str, runs: int, readers: int) -> dict[str, Any]:
    """Many runs at once, each followed, while readers look."""
    stop = asyncio.Event()
    seconds: list[float] = []
    faults: list[str] = []

    async def read() -> None:
        async with wire(server.url) as opened:
            while not stop.is_set():
                for path in ("/api/runs", f"/api/datasets/{data}", "/api/usage"):
                    began = time.perf_counter()
                    status, body = await opened.get(path)
                    seconds.append(time.perf_counter() - began)
                    if status != 200:
                        faults.append(body.decode()[:300])
                await asyncio.sleep(0.5)

    began = time.perf_counter()
    with server.client() as client:
        ids = [
            client.post("/api/runs", json={"data": data, "seed": seed, "budget": BUDGET}).json()["id"]
            for seed in range(runs)
        ]
        asked_s = time.perf_counter() - began
        reading = [asyncio.create_task(read()) for _ in range(readers)]
        seen = dict(zip(ids, await asyncio.gather(*(follow(server, run) for run in ids)), strict=True))
        stop.set()
        await asyncio.gather(*reading)
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
            asyncio.run(follow(server, run))
        figures: dict[str, Any] = {
            "healthy_s": round(healthy_s, 2),
            "first_event": asyncio.run(first_event(server, run, asked.clients, 20, pause_s=0.5)),
            "first_event_without_pause": asyncio.run(first_event(server, run, asked.clients, 20, 0.0)),
            "cancel": cancelled(server, data, 10),
            "queued": asyncio.run(queued(server, data, asked.runs, asked.readers)),
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
