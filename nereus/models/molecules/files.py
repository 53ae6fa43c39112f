"""SD and SMILES files as tables of molecules, in the columns that methods for molecules take."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nereus.errors import InputError
from nereus.models.files import ending

if TYPE_CHECKING:
    from rdkit import Chem

_SD = (".sdf", ".sd")
_SMILES = (".smi", ".smiles")
STRUCTURE = "structure"
"""Column of mol blocks with coordinates, there where a record has any."""


def is_molecule_file(path: Path) -> bool:
    """Whether the name is that of an SD file or of a SMILES file, gzipped or not."""
    return ending(path) in (*_SD, *_SMILES)


def read_molecule_file(path: Path) -> pd.DataFrame | None:
    """The table of an SD file, or of a SMILES file without a header.

    Parameters
    ----------
    path
        The file, gzipped or not.

    Returns
    -------
    DataFrame or None
        One row a record: ``name``, ``smiles`` (missing where the record is no molecule), of an SD file ``structure`` (mol block,
        Angstrom, missing without 3D coordinates; no column where no record has any) and one column a data field, as numbers
        where all its values are. None of a SMILES file whose first line is a header: that is a table like any other.

    Raises
    ------
    InputError
        The file is missing or has no record, or RDKit is not installed.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), mend="check the path")
    try:
        from rdkit import rdBase
    except ModuleNotFoundError as error:
        raise InputError(
            "files of molecules need RDKit, which is not installed",
            where=str(path),
            mend="pip install -e '.[molecules]'",
        ) from error
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise InputError(
            f"the file cannot be read: {error}", where=str(path), mend="copy it again"
        ) from error
    text = raw.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    with rdBase.BlockLogs():
        return _of_records(text, str(path)) if ending(path) in _SD else _of_lines(text, str(path))


def _of_records(text: str, where: str) -> pd.DataFrame:
    from rdkit import Chem

    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    records = [one for one in text.split("$$$$") if one.strip()]
    if not records or "M  END" not in text:
        raise InputError("the file has no record", where=where, mend="it is read as an SD file")
    rows: list[dict[str, Any]] = []
    for record, molecule in zip(records, supplier, strict=False):
        row: dict[str, Any] = {"name": record.removeprefix("\n").split("\n", 1)[0].strip() or None}
        row["smiles"] = None if molecule is None else Chem.MolToSmiles(Chem.RemoveHs(molecule))
        row[STRUCTURE] = (
            None if molecule is None or not _is_placed(molecule) else Chem.MolToMolBlock(molecule)
        )
        for name, value in _fields(record).items():
            row[f"{name} (field)" if name in ("name", "smiles", STRUCTURE) else name] = value
        rows.append(row)
    table = pd.DataFrame(rows)
    if table[STRUCTURE].isna().all():
        table = table.drop(columns=STRUCTURE)
    return _typed(table)


def _is_placed(molecule: Chem.Mol) -> bool:
    """Whether it has coordinates in space."""
    return bool(molecule.GetNumConformers()) and bool(
        abs(molecule.GetConformer().GetPositions()[:, 2]).max() > 0
    )


def _fields(record: str) -> dict[str, str]:
    """Data fields of a record, also of one that is no molecule."""
    found: dict[str, str] = {}
    name = ""
    for line in record.split("M  END", 1)[-1].split("\n"):
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">")]
            found[name] = ""
        elif name and line.strip():
            found[name] = f"{found[name]}\n{line.strip()}".lstrip("\n")
        else:
            name = ""
    return found


def _of_lines(text: str, where: str) -> pd.DataFrame | None:
    from rdkit import Chem

    lines = [line.split(maxsplit=1) for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(
            "the file has no record", where=where, mend="write one SMILES a line, a name behind it"
        )
    if Chem.MolFromSmiles(lines[0][0]) is None:
        return None
    names = [line[1].strip() if len(line) > 1 else None for line in lines]
    table = pd.DataFrame({"smiles": [line[0] for line in lines]})
    return table if not any(names) else table.assign(name=names)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers as numbers."""
    for name in table.columns.drop(["name", "smiles"]):
        cells = table[name].replace("", None)
        numbers = pd.to_numeric(cells, errors="coerce")
        if numbers.notna().equals(cells.notna()) and cells.notna().any():
            table[name] = numbers.astype(float)
    return table
