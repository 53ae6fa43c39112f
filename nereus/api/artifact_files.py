"""Artifacts as answers: as they are kept, or a table as CSV or JSON rows."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import FileResponse, JSONResponse

from nereus.errors import InputError
from nereus.memory.artifacts import SUFFIX, ArtifactStore
from nereus.memory.records import ArtifactKind, ArtifactRef
from nereus.spreadsheets import harmless

if TYPE_CHECKING:
    import pandas as pd

_TYPES = {
    ArtifactKind.FILE: "application/octet-stream",
    ArtifactKind.TABLE: "application/vnd.apache.parquet",
    ArtifactKind.DATASET: "application/x-hdf5",
    ArtifactKind.FIGURE: "image/svg+xml",
    ArtifactKind.MODEL: "application/octet-stream",
}
_SANDBOXED = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def content(artifacts: ArtifactStore, ref: ArtifactRef, form: str = "file") -> Response:
    """An artifact as an answer.

    Parameters
    ----------
    artifacts
        Where it is.
    ref
        Which.
    form
        ``file`` as it is kept; ``csv`` or ``json`` for tables.

    Raises
    ------
    InputError
        It is no table, and a table's form is asked for.
    """
    if form == "file":
        headers = _SANDBOXED if ref.kind is ArtifactKind.FIGURE else {}
        name = ref.name if ref.kind is ArtifactKind.FILE else f"{ref.name}{SUFFIX[ref.kind]}"
        shown = "inline" if ref.kind is ArtifactKind.FIGURE else "attachment"
        return FileResponse(
            artifacts.checked_path(ref),
            media_type=_TYPES[ref.kind],
            filename=name,
            content_disposition_type=shown,
            headers=headers,
        )
    if ref.kind is not ArtifactKind.TABLE:
        raise InputError(
            f"{ref.name!r} is a {ref.kind.value}, no table", where="form", mend="ask for the form 'file'"
        )
    table = artifacts.table(ref)
    if form == "json":
        return JSONResponse(rows(table))
    text = io.StringIO()
    harmless(table).to_csv(text, index=False, quoting=csv.QUOTE_NONNUMERIC)
    disposition = f"attachment; filename*=utf-8''{quote(ref.name)}.csv"
    return Response(text.getvalue(), media_type="text/csv", headers={"content-disposition": disposition})


def rows(table: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON: its columns, and its rows in order; a missing or infinite number is null."""
    return {
        "columns": [str(one) for one in table.columns],
        "rows": [[_plain(one) for one in row] for row in table.itertuples(index=False, name=None)],
        "n_total": len(table),
    }


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)
