"""What the first page shows of the example is what a run of it comes to."""

from __future__ import annotations

import json
import runpy
import time
from pathlib import Path

import pytest

from tests.api.conftest import Server

RUN_S = 900
SCRIPT = Path(__file__).parents[3] / "scripts" / "page_example.py"


@pytest.mark.long
def test_the_first_page_tells_what_the_example_comes_to(server: Server) -> None:
    script = runpy.run_path(str(SCRIPT))
    with server.client() as client:
        (example,) = client.get("/api/examples").json()
        taken = client.post(f"/api/examples/{example['name']}").json()
        asked = {
            "data": taken["data"]["id"],
            "samples": taken["samples"]["id"],
            "question": taken["question"],
        }
        run = str(client.post("/api/runs", json=asked).json()["id"])
        ends = time.monotonic() + RUN_S
        while (seen := client.get(f"/api/runs/{run}").json())["status"] in ("queued", "running"):
            assert time.monotonic() < ends
            time.sleep(0.5)
        assert seen["status"] == "finished"
        found = script["told"](client, run)
    kept = json.loads(script["FILE"].read_text())
    assert kept["cards"] == found["cards"], "run scripts/page_example.py, and `make web`"
    assert kept["figure"]["params"] == found["figure"]["params"]
    points = {row[0]: row[2] for row in found["figure"]["rows"]}
    assert {row[0] for row in kept["figure"]["rows"]} == set(points)
    far = [
        row[0] for row in kept["figure"]["rows"] if abs(row[2] - points[row[0]]) > 0.02 + 0.02 * abs(row[2])
    ]
    assert far == []
    for name in ("question", "n_found", "n_refuted"):
        assert kept[name] == found[name]
