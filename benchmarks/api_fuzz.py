"""Requests that nobody would write, made from the server's own description: none may find a defect.

    pip install schemathesis
    python -m benchmarks.api_fuzz [--examples 5000] [--seed 0] [--only /api]

Every operation of ``/openapi.json`` gets requests that fit its schema and requests that do not, half of them about things that
exist (a finished run, its steps, a data set, a job). Each answer is compared with the description: its status, its type of
content, its headers and its body. What is counted are answers of 500 and above, and answers that the description does not allow.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from benchmarks.server_load import BUDGET, table
from benchmarks.truth.results import store
from tests.api.conftest import Server, end, start

PERMITTED_WAIT_S = 0.1
NOT_JUDGED = [positive_data_acceptance, negative_data_rejection]
"""What a schema cannot say (a column that does not exist, an objective that is closed) is refused with 422, which the description
names; parameters of a query that nobody knows are ignored."""
SHOWN = 40


def known(server: Server) -> dict[str, str]:
    """Things that exist, under the names of the parameters of paths."""
    with server.client() as client:
        data = client.post("/api/datasets", files={"file": ("table.csv", table(0))}).json()["id"]
        run = client.post("/api/runs", json={"data": data, "budget": BUDGET}).json()["id"]
        while client.get(f"/api/runs/{run}").json()["status"] in ("queued", "running"):
            time.sleep(0.3)
        step = client.get(f"/api/runs/{run}/artifacts").json()[0]
        job = client.post(f"/api/datasets/{data}/profile?wait=60", json={}).json()["id"]
        evidence = [
            name
            for one in client.get(f"/api/runs/{run}/hypotheses").json()
            for name in one["evidence_ids"][:1]
        ]
    return {
        "run_id": run,
        "dataset_id": data,
        "job_id": job,
        "step": step["step"],
        "name": step["name"],
        "evidence_id": evidence[0] if evidence else "E1",
        "file": "claims.csv",
    }


def tamed(case: Any, method: str, path: str, things: dict[str, str], choice: random.Random) -> None:
    """Point half of the requests at what exists; wait for nothing, and remove nothing that is needed."""
    if choice.random() < 0.5 and method != "DELETE" and isinstance(case.path_parameters, dict):
        for name in case.path_parameters:
            thing = "quality_control" if path.startswith("/api/tools") else things.get(name)
            if thing is not None:
                case.path_parameters[name] = thing
    for name in ("wait", "patience"):
        if isinstance(case.query, dict) and isinstance(case.query.get(name), int | float):
            case.query[name] = min(case.query[name], PERMITTED_WAIT_S)
    if path.endswith("/prune") and isinstance(case.body, dict):
        case.body["dry_run"] = True
    if isinstance(case.body, dict) and choice.random() < 0.5:
        for name in ("data", "samples"):
            if isinstance(case.body.get(name), str):
                case.body[name] = things["dataset_id"]


def fuzz(server: Server, examples: int, start_seed: int, only: str) -> dict[str, Any]:
    """Ask, and compare each answer with the description."""
    things = known(server)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations()]
    operations = [one for one in operations if one.path.startswith(only) or one.path == "/healthz"]
    each = -(-examples // (2 * len(operations))) + 1
    asked: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    faults: list[dict[str, Any]] = []

    def asker(label: str, choice: random.Random) -> Callable[[Any], None]:
        def ask(case: Any) -> None:
            method, _, path = label.partition(" ")
            tamed(case, method, path, things, choice)
            try:
                answer = case.call(base_url=server.url, timeout=30)
            except Exception as error:  # noqa: BLE001  (what breaks the connection is a finding)
                faults.append({"operation": label, "what": f"{type(error).__name__}: {error}"[:500]})
                return
            asked[label] += 1
            statuses[answer.status_code] += 1
            try:
                case.validate_response(answer, excluded_checks=NOT_JUDGED)
            except FailureGroup as group:
                for one in group.exceptions:
                    faults.append(
                        {
                            "operation": label,
                            "what": f"{type(one).__name__}: {one}"[:900],
                            "status": answer.status_code,
                            "curl": case.as_curl_command()[:600],
                        }
                    )

        return ask

    for number, operation in enumerate(operations):
        label = f"{operation.method.upper()} {operation.path}"
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            choice = random.Random(f"{start_seed} {label} {mode}")

            try:
                strategy = operation.as_strategy(generation_mode=mode)
                whole = settings(
                    max_examples=each,
                    deadline=None,
                    database=None,
                    phases=[Phase.explicit, Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                seed(start_seed + number)(whole(given(strategy)(asker(label, choice))))()
            except Exception as error:  # (an operation without parameters has no wrong requests)
                if mode is GenerationMode.POSITIVE:
                    raise
                if "negat" not in str(error).lower() and "unsatisf" not in type(error).__name__.lower():
                    faults.append({"operation": label, "what": f"{type(error).__name__}: {error}"[:500]})
    with server.client() as client:
        healthy = client.get("/healthz").status_code == httpx.codes.OK
    kinds = Counter(one["what"].partition(":")[0] for one in faults)
    return {
        "operations": len(operations),
        "examples": sum(asked.values()),
        "fewest_of_an_operation": min(asked.values()),
        "statuses": {str(code): count for code, count in sorted(statuses.items())},
        "server_errors": sum(count for code, count in statuses.items() if code >= 500),
        "schema_violations": len(faults),
        "kinds_of_faults": dict(kinds),
        "faults": faults[:SHOWN],
        "healthy_afterwards": healthy,
    }


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="/", help="beginning of the paths that are asked for")
    parser.add_argument("--keep", action="store_true", help="print, and store nothing")
    given_ = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder), workers=1)
        try:
            found = fuzz(server, given_.examples, given_.seed, given_.only)
        finally:
            end(server)
    print(json.dumps(found, indent=1))
    if given_.keep:
        return
    arguments = ["--examples", str(given_.examples), "--seed", str(given_.seed), "--only", given_.only]
    store(
        "api_fuzz",
        {"seeds": [given_.seed], "schemathesis": version("schemathesis"), **found},
        module="benchmarks.api_fuzz",
        arguments=arguments,
        seconds=time.perf_counter() - began,
    )


if __name__ == "__main__":
    main()
