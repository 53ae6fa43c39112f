"""Figures as data, and figures that are drawn later from what a run made."""

from __future__ import annotations

import time

import pytest

from tests.api.conftest import Server

pytestmark = pytest.mark.long

RUN_S = 180


@pytest.fixture(scope="module")
def finished(server: Server, dataset: str) -> str:
    with server.client() as client:
        asked = {"data": dataset, "question": "What differs?", "budget": ["objectives=1", "steps=20"]}
        run = str(client.post("/api/runs", json=asked).json()["id"])
        ends = time.monotonic() + RUN_S
        while client.get(f"/api/runs/{run}").json()["status"] in ("queued", "running"):
            assert time.monotonic() < ends
            time.sleep(0.3)
    return run


def test_a_figure_tells_what_it_takes_to_draw_it_anew(server: Server, finished: str) -> None:
    with server.client() as client:
        made = client.get(f"/api/runs/{finished}/artifacts").json()
        figures = {one["tool"]: one for one in made if one["kind"] == "figure"}
        pca = figures["plot_pca"]
        told = client.get(f"/api/runs/{finished}/figures/{pca['step']}/{pca['name']}").json()
        assert {"x", "y"} <= set(told["columns"])
        assert 0 < told["values"]["ratio_x"] <= 1
        heat = figures["plot_heatmap"]
        shown = client.get(f"/api/runs/{finished}/figures/{heat['step']}/{heat['name']}").json()
        assert shown["groups"]["treated_1"] == "treated"
        assert set(shown["groups"]) <= set(shown["columns"])
        for place in ("no/volcano", f"{pca['step']}/no", f"{pca['step']}/{pca['name']}_data"):
            assert client.get(f"/api/runs/{finished}/figures/{place}").status_code == 404
        assert client.get("/api/runs/r0000000000-1/figures/a/b").status_code == 404


def test_one_more_figure_is_drawn_and_nothing_else_is_called(server: Server, finished: str) -> None:
    with server.client() as client:
        plan = client.get(f"/api/runs/{finished}/plan").json()
        steps = [step for one in plan["objectives"] for flow in one["workflows"] for step in flow["steps"]]
        test = next(step for step in steps if step["tool"] == "differential_abundance")
        asked = {
            "tool": "plot_feature",
            "inputs": {"dataset": test["inputs"]["dataset"]},
            "params": {"feature": "P10000", "contrast": test["params"]["contrast"]},
        }
        url = f"/api/runs/{finished}/drawings?wait=60"
        before = client.get(f"/api/runs/{finished}").json()
        job = client.post(url, json=asked).json()
        assert job["status"] == "finished", job
        drawn = client.get(f"/api/jobs/{job['id']}/outputs/feature")
        assert drawn.headers["content-type"] == "image/svg+xml"
        data = client.get(f"/api/jobs/{job['id']}/outputs/feature_data?form=json").json()
        assert data["n_total"] == 8
        assert client.get(f"/api/runs/{finished}").json() == before

        shared = asked | {"inputs": {"dataset": "run/prepared"}}
        assert client.post(url, json=shared).json()["status"] == "finished"
        for change, status in (
            ({"tool": "load_dataset"}, 422),
            ({"tool": "plot_nothing"}, 404),
            ({"inputs": {"dataset": "O9.W9.S9/dataset"}}, 404),
            ({"inputs": {"dataset": "../../etc/passwd"}}, 404),
            ({"inputs": {"other": test["inputs"]["dataset"]}}, 422),
            ({"inputs": {}}, 422),
            ({"params": {"feature": 1, "no": 2}}, 422),
        ):
            assert client.post(url, json=asked | change).status_code == status, change
        wrong = client.post(url, json=asked | {"params": {"feature": "none", "factor": "group"}}).json()
        assert wrong["status"] == "failed"
        assert "no feature" in wrong["result"]["error"]["what"]
