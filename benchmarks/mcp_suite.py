"""The conformance suite of the Model Context Protocol: how it is called, and what its answers come to."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A command line on which the suite's own command can be named."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--suite", default="npx @modelcontextprotocol/conformance", help="Command of the suite."
    )
    return parser


def ask(suite: str, asked: Iterable[str], seconds: float) -> None:
    """Run the suite; it writes what it checked into files."""
    command = [*shlex.split(suite), *asked]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=seconds)


def statuses(checks: Iterable[Path]) -> list[str]:
    """What the checks of such files came to."""
    return [one["status"] for file in checks for one in json.loads(file.read_text(encoding="utf-8"))]


def summed(suite: str, by_scenario: Mapping[str, list[str]]) -> dict[str, Any]:
    """Version of the suite, and checks passed and failed by scenario and in all."""
    version = subprocess.run([*shlex.split(suite), "--version"], capture_output=True, text=True, check=False)
    scenarios = {
        name: {"passed": found.count("SUCCESS"), "failed": found.count("FAILURE")}
        for name, found in by_scenario.items()
    }
    return {
        "suite": version.stdout.strip(),
        "scenarios": scenarios,
        "checks_passed": sum(one["passed"] for one in scenarios.values()),
        "checks_failed": sum(one["failed"] for one in scenarios.values()),
    }
