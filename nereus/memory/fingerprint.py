"""What a run's result depends on: a run is resumed with the same, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nereus.errors import ResumeRefused
from nereus.memory.records import RunHeader


def fingerprint_parts(
    graph_version: str, settings: Mapping[str, Any], data: Mapping[str, str]
) -> dict[str, str]:
    """Everything a run's result depends on, one readable line a part.

    Parameters
    ----------
    graph_version
        Version of the research graph.
    settings
        Settings that may change what is found, by name (seed, policy, question, options ...).
    data
        Input name -> hash of its content.
    """
    parts = {"graph version": graph_version}
    parts |= {
        f"setting {name}": json.dumps(value, sort_keys=True) for name, value in sorted(settings.items())
    }
    return parts | {f"input {name}": identity for name, identity in sorted(data.items())}


def fingerprint(parts: Mapping[str, str]) -> str:
    """SHA-256 of the parts, hexadecimal."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_resume(header: RunHeader, parts: Mapping[str, str]) -> None:
    """Refuse to go on with another graph, other settings or other data than a run was started with.

    Parameters
    ----------
    header
        The run as it was started.
    parts
        `fingerprint_parts` of what it would be resumed with.

    Raises
    ------
    ResumeRefused
        Names every part that differs, with both values.
    """
    before = header.fingerprint_parts
    changed = [name for name in sorted({*before, *parts}) if before.get(name) != parts.get(name)]
    if not changed and header.fingerprint == fingerprint(parts):
        return
    told = "; ".join(
        f"{name} was {_short(before.get(name))}, now {_short(parts.get(name))}" for name in changed
    )
    raise ResumeRefused(
        told or "its fingerprint does not belong to its own parts: the record was changed",
        where=f"run {header.id}",
        mend="resume with what it was started with, or start a new run with `nereus discover`",
    )


def _short(value: str | None) -> str:
    return "not set" if value is None else value if len(value) <= 40 else f"{value[:12]}..."
