"""Learning after a run has ended, by a process of its own: the run is over and told before it begins, and nobody waits for it.

What it learns is validated at most: it is used once a person approved it (`nereus actions list`, `approve`). One process
learns at a time; a run that ends meanwhile is looked at by the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nereus.errors import NereusError
from nereus.settings import PREFIX, Settings, load_settings

LOG = "learning.jsonl"
"""In the home folder: a line each time, what was learned or why nothing was."""
_LOCK = "learning.lock"
_NICE = 19
_PASSED = ("home", "database_url", "checkpoint_url", "artifact_root", "sandbox_grade")


def learn_later(settings: Settings) -> subprocess.Popen[bytes] | None:
    """Start the process and come back at once; None where it could not be started.

    Parameters
    ----------
    settings
        Of the run that ended: where its home and its stores are.
    """
    passed = {
        f"{PREFIX}{name.upper()}": str(value)
        for name in _PASSED
        if (value := getattr(settings, name)) is not None
    }
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "nereus.agents.learner.background"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **passed},
            start_new_session=True,
        )
    except OSError:  # the run is whole without it
        return None


def learn_now(settings: Settings) -> dict[str, Any] | None:
    """Learn from the ended runs of a home, and note what came of it; None where another process is at it.

    Returns
    -------
    dict
        ``accepted`` (names, validated and not approved) and ``notices``.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        told = _learned(settings)
        _noted(settings.home / LOG, told)
        return told


def _learned(settings: Settings) -> dict[str, Any]:
    from nereus.agents.learner.pipeline_learning import learn_pipelines
    from nereus.memory.workspace import open_workspace

    try:
        with open_workspace(settings) as workspace:
            library = learn_pipelines(workspace, approval="always")
    except NereusError as error:
        return {"accepted": [], "notices": [str(error)]}
    return {"accepted": list(library.state.get("accepted", ())), "notices": list(library.notices)}


def _noted(file: Path, told: Mapping[str, Any]) -> None:
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **told}
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    os.nice(_NICE)
    learn_now(load_settings())
