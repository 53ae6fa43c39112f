"""How a figure is stored: with the command, commit, seeds, versions and machine that made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "anndata")


def store(name: str, content: dict[str, Any], *, module: str, arguments: list[str], seconds: float) -> Path:
    """Write ``results/<name>.json`` and return its path."""
    shown = ["<data>" if Path(a).is_absolute() else a for a in arguments]
    record = {
        "name": name,
        "command": " ".join(["python", "-m", module, *shown]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {package: version(package) for package in _PACKAGES},
        "seconds": round(seconds, 1),
        **content,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(without_nan(record), indent=2) + "\n")
    return path


def commit() -> str | None:
    """The commit that is checked out, with a plus where product or benchmarks differ from it; None without git."""
    git = ["git", "-C", str(RESULTS.parent.parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True
        )
        parts = ["nereus", "benchmarks", ":!benchmarks/results"]
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *parts], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed else "")


def without_nan(value: Any) -> Any:
    """JSON without NaN and numpy types, floats with five significant digits."""
    if isinstance(value, dict):
        return {str(k): without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if value == value and abs(value) != float("inf") else None
    return value


def data_folder(given: str | None) -> Path:
    """The folder of the public data sets: the argument, or NEREUS_DATA."""
    folder = Path(given or os.environ.get("NEREUS_DATA", ""))
    if not str(folder) or not folder.is_dir():
        sys.exit("name the folder of the data sets: --data FOLDER, or the environment variable NEREUS_DATA")
    return folder
