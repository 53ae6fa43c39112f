"""Files that cells of a table name, and their content, which may stand in the cell itself.

A cell of a role of kind ``file`` is a path, also of a gzipped file; ``poses.sdf#lig_31`` names the record of that title of an
SDF, ``poses.sdf#0`` a record by number. A text of several lines is the content. Recorded runs read contents only: what a tool
reads is then what its input's hash tells.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nereus.errors import InputError
from nereus.models.card import Card

if TYPE_CHECKING:
    import pandas as pd

_RECORD_END = "$$$$\n"


def ending(path: Path) -> str:
    """What a file's name ends in, lower case; of what is inside where it is gzipped.

    Examples
    --------
    >>> ending(Path("library.SDF.gz"))
    '.sdf'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


def content(given: str | Path, folder: Path | None = None) -> str:
    """The content of what a cell names.

    Parameters
    ----------
    given
        Path, path with a record, or content.
    folder
        Where relative paths begin; by default the current folder.

    Raises
    ------
    InputError
        There is no such file or record.
    """
    text = str(given)
    if _is_content(text):
        return text
    name, _, record = text.strip().partition("#")
    try:
        raw = (Path(name) if folder is None else folder / name).read_bytes()
    except OSError as error:
        raise InputError(f"file {name!r} cannot be read: {error.strerror or 'no file'}") from None
    whole = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8", errors="replace")
    return _record(whole, record, text) if record else whole


def with_contents(
    card: Card, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], folder: Path
) -> pd.DataFrame:
    """The table with contents in place of the files that its cells name; a cell whose file cannot be read stays as it is."""
    chosen = [name for name in _file_columns(card, columns) if name in table.columns]
    if not chosen:
        return table
    known: dict[str, str] = {}

    def replaced(cell: object) -> object:
        if not isinstance(cell, str) or not cell.strip():
            return cell
        if cell not in known:
            try:
                known[cell] = content(cell, folder)
            except InputError:
                known[cell] = cell
        return known[cell]

    return table.assign(**{name: table[name].map(replaced) for name in chosen})


def require_contents(
    card: Card, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], where: str
) -> None:
    """Refuse a table whose cells name files.

    Raises
    ------
    InputError
        A cell names a file.
    """
    for name in _file_columns(card, columns):
        cells = table[name].dropna().astype(str) if name in table.columns else ()
        for cell in cells:
            if cell.strip() and not _is_content(cell):
                raise InputError(
                    f"column {name!r} names the file {cell!r}: a tool reads only what is in its table",
                    where=where,
                    mend="put the files' contents into the column (`nereus.models.files.with_contents`), or use `nereus methods`",
                )


def _file_columns(card: Card, columns: Mapping[str, str | Sequence[str]]) -> list[str]:
    named = [columns[one.name] for one in card.inputs if one.kind == "file" and columns.get(one.name)]
    return [name for one in named for name in ([one] if isinstance(one, str) else one)]


def _is_content(text: str) -> bool:
    return "\n" in text


def _record(whole: str, wanted: str, told: str) -> str:
    """One record of an SDF by title or number."""
    records = [one for one in whole.replace("\r\n", "\n").split(_RECORD_END) if one.strip()]
    titles = [one.split("\n", 1)[0].strip() for one in records]
    if wanted in titles:
        return records[titles.index(wanted)] + _RECORD_END
    if wanted.isdigit() and int(wanted) < len(records):
        return records[int(wanted)] + _RECORD_END
    raise InputError(
        f"there is no record {wanted!r} in {told!r}",
        mend=f"records are {titles[:5]}, numbers 0 to {len(records) - 1}",
    )
