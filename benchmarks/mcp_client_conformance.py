"""The conformance suite of the Model Context Protocol against the client with which chat reaches external servers.

``npm install @modelcontextprotocol/conformance`` (it needs Node 22), then::

    python -m benchmarks.mcp_client_conformance --suite node_modules/.bin/conformance

The suite starts ``python -m benchmarks.mcp_client_conformance ask URL``, which lists the server's tools and calls each, as an
approved call of chat does. Not asked: ``auth`` (tokens are set in the settings, nobody logs in) and elicitation (servers
cannot ask Nereus for input; by design).
Claim: every other scenario passes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import mcp_suite
from benchmarks.truth.results import store
from nereus.agents.external.offered import ExternalTools
from nereus.settings import load_settings

SCENARIOS = ("initialize", "tools_call", "sse-retry")
_VALUES = {"number": 2, "integer": 3, "boolean": True, "string": "text", "array": [], "object": {}}


def ask(url: str) -> None:
    """Do with a server what chat does: see which tools it has, and call them."""
    with tempfile.TemporaryDirectory(prefix="nereus-client-") as home:
        settings = load_settings(home=home, mcp_servers={"suite": {"url": url, "timeout_s": 20}})
        tools = ExternalTools(settings, "suite")
        found, troubles = tools.offered()
        print(sorted(found), troubles)
        for one in found.values():
            shape = one.tool.arguments.get("properties", {})
            arguments = {name: _VALUES[str(kind.get("type", "string"))] for name, kind in shape.items()}
            print(tools.call(one, arguments, approved=True))


def measured(suite: str) -> dict[str, Any]:
    checked: dict[str, list[str]] = {}
    client = f"{sys.executable} -m benchmarks.mcp_client_conformance ask"
    for name in SCENARIOS:
        with tempfile.TemporaryDirectory() as out:
            asked = ["client", "--command", client, "--scenario", name, "--timeout", "90000", "-o", out]
            mcp_suite.ask(suite, asked, 200)
            checked[name] = mcp_suite.statuses(Path(out).rglob("checks.json"))
    return mcp_suite.summed(suite, checked)


def main() -> None:
    parser = mcp_suite.arguments(__doc__)
    parser.add_argument("ask", nargs="*", help="ask URL: be the client of one scenario.")
    given = parser.parse_args()
    if given.ask:
        ask(given.ask[-1])
        return
    began = time.monotonic()
    figures = measured(given.suite)
    passed = figures["checks_failed"] == 0 and all(one["passed"] for one in figures["scenarios"].values())
    content = {
        "claim": "Every scenario of the conformance suite for clients that does not log in or ask for input passes.",
        **figures,
        "passed": passed,
    }
    path = store(
        "mcp_client_conformance",
        content,
        module="benchmarks.mcp_client_conformance",
        arguments=[],
        seconds=time.monotonic() - began,
    )
    print(json.dumps(content, indent=1), path)


if __name__ == "__main__":
    main()
