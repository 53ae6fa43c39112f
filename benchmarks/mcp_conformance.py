"""The conformance suite of the Model Context Protocol against the product's server.

``npm install @modelcontextprotocol/conformance`` (it needs Node 22), then::

    python -m benchmarks.mcp_conformance --suite node_modules/.bin/conformance

The suite asks for tools, resources and prompts by name: `tests.api.mcp.everything` offers them beside the product's own.
Claim: every scenario of the suite ``active`` passes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks import mcp_suite
from benchmarks.truth.results import store

PORT = 8779
HEALTHY_S = 120


def measured(suite: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nereus-conformance-") as folder:
        command = [sys.executable, "-m", "tests.api.mcp.everything", str(PORT), f"{folder}/home"]
        server = subprocess.Popen(command)
        try:
            _healthy(f"http://127.0.0.1:{PORT}/healthz")
            out = Path(folder) / "results"
            url = f"http://127.0.0.1:{PORT}/mcp"
            mcp_suite.ask(suite, ["server", "--url", url, "--suite", "active", "-o", str(out)], 600)
            checked = {
                file.parent.name.removeprefix("server-").rsplit("-20", 1)[0]: mcp_suite.statuses([file])
                for file in sorted(out.glob("server-*/checks.json"))
            }
            return mcp_suite.summed(suite, checked)
        finally:
            server.terminate()
            server.wait(30)


def _healthy(url: str) -> None:
    ends = time.monotonic() + HEALTHY_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)


def main() -> None:
    given = mcp_suite.arguments(__doc__).parse_args()
    began = time.perf_counter()
    found = measured(given.suite)
    claim = "Every scenario of the protocol's conformance suite 'active' passes against the product's server."
    content = {"claim": claim, **found}
    place = store(
        "mcp_conformance",
        content,
        module="benchmarks.mcp_conformance",
        arguments=[],
        seconds=time.perf_counter() - began,
    )
    print(place, found["checks_passed"], "passed", found["checks_failed"], "failed")


if __name__ == "__main__":
    main()
