"""Compare recorded runs, and write what was found to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nereus.agents.planner.run import Run, load_run
from nereus.agents.reporter.comparison.differences import Comparison, compare_records
from nereus.agents.reporter.comparison.page import comparison_html
from nereus.errors import InputError
from nereus.memory.records import ArtifactRef
from nereus.spreadsheets import harmless


def compare(first: Run | str, second: Run | str, **settings: Any) -> Comparison:
    """What differs between two runs: inputs, settings, versions, questions, steps, claims and hypotheses.

    Parameters
    ----------
    first, second
        Runs, or their ids.
    **settings
        Settings that say where ids are looked up: ``home``, ``database_url``.

    Returns
    -------
    Comparison
        ``differences`` (one row each), ``claims`` (all of both), ``effects`` (of what both tested), and in a notebook the
        whole page.

    Raises
    ------
    StoreError
        There is no such run.

    Examples
    --------
    >>> import nereus
    >>> nereus.compare("r1a2b3c4d5e-1", "r6f7a8b9c0d-1").of("claims")  # doctest: +SKIP
    """
    runs = [one if isinstance(one, Run) else load_run(one, **settings) for one in (first, second)]
    stores = {
        ref.id: run.artifacts
        for run in runs
        for call in run.record.calls.values()
        for ref in call.outputs.values()
    }

    def table(ref: ArtifactRef) -> Any:
        return stores[ref.id].table(ref)

    return compare_records(runs[0].record, runs[1].record, table)


def write_comparison(found: Comparison, file: Path) -> None:
    """Write the page (``.html``) or the table of differences (``.csv``).

    Raises
    ------
    InputError
        Another ending, or the file cannot be written.
    """
    ending = file.suffix.lower()
    if ending not in (".html", ".htm", ".csv"):
        raise InputError(
            f"{file.name!r} ends neither in .html nor in .csv", where="--out", mend="name the file so"
        )
    text = (
        harmless(found.differences).to_csv(index=False, lineterminator="\n")
        if ending == ".csv"
        else comparison_html(found)
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}", where=str(file), mend="name another file"
        ) from error
