"""Files that stand beside the data of a run: a second cohort, and other layers of the same samples.

A file has a *role*: ``data``, ``samples``, ``cohort``, ``cohort_samples`` or ``layer:<name>``. A workflow reads it as
``run/<role>``, and shares what it makes of it as ``<role>:loaded`` (profiled) and ``<role>:prepared``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nereus.errors import InputError
from nereus.memory.records import ArtifactRef

COHORT = "cohort"
COHORT_SAMPLES = "cohort_samples"
LAYER = "layer:"
FIRST_LAYER = "first"
"""What the layer of the data itself is called in its record."""
LEAST_SHARED = 6
"""Fewest samples that a layer must share with the data."""
LOADED, PREPARED = "loaded", "prepared"
_FILES = ("data", "samples", COHORT, COHORT_SAMPLES)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}\Z")


def is_file(role: str) -> bool:
    """Whether a name is that of a file of a run."""
    return role in _FILES or (role.startswith(LAYER) and role.count(":") == 1)


def companions(roles: Iterable[str]) -> list[str]:
    """The tables beside the data, in order: the cohort, then the layers."""
    return sorted(
        (one for one in roles if one == COHORT or one.startswith(LAYER)), key=lambda r: (r != COHORT, r)
    )


def sheet_of(role: str) -> str:
    """Role of the sample sheet that belongs to a table."""
    return COHORT_SAMPLES if role == COHORT else "samples"


def owner(shared: str) -> str:
    """Role of the companion that a shared result (``cohort:prepared``) was made of; empty where it is none."""
    role, _, what = shared.rpartition(":")
    return role if what in (LOADED, PREPARED) and is_file(role) and role not in ("data", "samples") else ""


def stem(name: str) -> str:
    """A file's name without its endings: what a cohort is called."""
    while (suffix := Path(name).suffix) and len(suffix) <= 8 and len(suffix) < len(name):
        name = name[: -len(suffix)]
    return name


def reader_params(role: str, roles: Iterable[str]) -> dict[str, Any]:
    """Parameters of the reader that follow from the files of the run: layers take the sample names of their sheet."""
    if role.startswith(LAYER):
        return {"layer": role.removeprefix(LAYER)}
    layered = any(one.startswith(LAYER) for one in roles)
    return {"layer": FIRST_LAYER} if role == "data" and layered else {}


def options_of(role: str, options: Mapping[str, Any], roles: Iterable[str]) -> dict[str, Any]:
    """Parameters of the reader that the user gave for one table.

    Plain names are for the data and for the cohort, which is a file of the same kind; ``cohort.subject`` and
    ``rna.scale`` are for the cohort and for the layer of that name only.
    """
    prefixes = {one: f"{one.removeprefix(LAYER)}." for one in companions(roles)}
    own = prefixes.get(role, "")
    plain = {
        name: value
        for name, value in options.items()
        if not any(name.startswith(prefix) for prefix in prefixes.values())
    }
    meant = {name.removeprefix(own): value for name, value in options.items() if own and name.startswith(own)}
    return meant if role.startswith(LAYER) else {**plain, **meant}


def named_files(
    cohort: str | Path | None, cohort_samples: str | Path | None, layers: Mapping[str, str | Path] | None
) -> dict[str, str | Path]:
    """Role -> path of what was given beside the data.

    Raises
    ------
    InputError
        A sheet without its cohort, or a name that no layer can have.
    """
    if cohort is None and cohort_samples is not None:
        raise InputError(
            "a sample sheet of a cohort was given without the cohort",
            where="cohort samples",
            mend="give the cohort's table as well (--cohort FILE)",
        )
    found: dict[str, str | Path] = {}
    if cohort is not None:
        found[COHORT] = cohort
    if cohort_samples is not None:
        found[COHORT_SAMPLES] = cohort_samples
    for name, path in (layers or {}).items():
        if not _NAME.match(name) or name in (*_FILES, FIRST_LAYER):
            raise InputError(
                f"{name!r} is no name of a layer",
                where="layers",
                mend="use letters, digits, '-' and '_', beginning with a letter, such as rna=FILE",
            )
        found[f"{LAYER}{name}"] = path
    return found


def refuse_equal_files(inputs: Mapping[str, ArtifactRef]) -> None:
    """Refuse a sample sheet, a cohort or a layer that is the data itself.

    Raises
    ------
    InputError
        Naming the file. One table with two sample sheets may hold two cohorts.
    """
    if "samples" in inputs and inputs["samples"].id == inputs["data"].id:
        raise InputError(
            "the sample sheet is the data table itself",
            where=inputs["samples"].name,
            mend="give a table with one row a sample, or none",
        )
    for role in companions(inputs):
        same_sheet = inputs.get(sheet_of(role)) == inputs.get("samples") or sheet_of(role) not in inputs
        if inputs[role].id == inputs["data"].id and same_sheet:
            raise InputError(
                f"the {role.replace(':', ' ')} is the data table itself",
                where=inputs[role].name,
                mend="give another file, or leave it out",
            )


def refuse_strange_layers(samples: Mapping[str, Sequence[str]]) -> None:
    """Refuse a layer that shares too few samples with the data for anything to be said across them.

    Raises
    ------
    InputError
        Naming samples of both.
    """
    for role, names in samples.items():
        shared = set(names) & set(samples["data"])
        if role.startswith(LAYER) and len(shared) < LEAST_SHARED:
            raise InputError(
                f"the layer shares {len(shared)} samples with the data; the data have {list(samples['data'][:3])}, "
                f"the layer has {list(names[:3])}",
                where=role,
                mend="give a sample sheet that names the samples of each layer in a column of its own",
            )
