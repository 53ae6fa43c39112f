"""Several files over REST: what each is for is found out by the worker, corrected, and given to a run."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Server
from tests.tools.proteomics.readers.test_file_roles import OTHERS, SAMPLES, sheet, table


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "sheet": sheet(tmp_path / "clinic.csv", SAMPLES),
        "layer": table(tmp_path / "phospho.csv", SAMPLES, "Q2", n=50),
        "cohort": table(tmp_path / "proteins_B.csv", OTHERS),
        "data": table(tmp_path / "proteins_A.csv", SAMPLES, n=60),
    }


def uploaded(client: httpx.Client, files: dict[str, Path]) -> dict[str, str]:
    return {
        name: client.post("/api/datasets", files={"file": (path.name, path.read_bytes())}).json()["id"]
        for name, path in files.items()
    }


def test_files_are_told_apart_and_taken_as_they_were_told(server: Server, files: dict[str, Path]) -> None:
    with server.client() as client:
        ids = uploaded(client, files)
        asked = {"files": dict.fromkeys(ids.values())}
        job = client.post("/api/datasets/roles", json=asked, params={"wait": 60})
        assert job.status_code in (200, 202), job.text
        assert job.json()["status"] == "finished"
        found = {one["id"]: one["role"] for one in job.json()["result"]["files"]}
        assert found == {
            ids["sheet"]: "samples",
            ids["layer"]: "layer:phospho",
            ids["cohort"]: "cohort",
            ids["data"]: "data",
        }
        said = {ids["data"]: "data", ids["cohort"]: "layer:rna"}
        told = client.post("/api/datasets/roles", json={"files": said}, params={"wait": 60}).json()
        problems = {one["id"]: one["problem"] for one in told["result"]["files"]}
        assert "shares 0 samples" in problems[ids["cohort"]]
        assert problems[ids["data"]] == ""


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"files": {}}, 422),
        ({"files": {"d0000000000000000": None}}, 404),
        ({"files": {"d0000000000000000": "layer:../x"}}, 422),
        ({"files": {"d0000000000000000": "annotation"}}, 422),
        ({"files": {f"d{number:016x}": None for number in range(13)}}, 422),
    ],
)
def test_what_cannot_be_asked_is_refused(server: Server, asked: dict[str, object], status: int) -> None:
    with server.client() as client:
        assert client.post("/api/datasets/roles", json=asked).status_code == status
