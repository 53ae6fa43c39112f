"""mzTab 1.0: the protein section (or else the peptide section) and what the metadata say of its samples.

Source: Griss et al. 2014, Mol Cell Proteomics 13:2765, and the specification of version 1.0 by HUPO-PSI.
"""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.source import Source, decode

_SECTIONS = {"PRH": "PRT", "PEH": "PEP", "PSH": "PSM", "SMH": "SML"}
_ABUNDANCE = re.compile(r"(?:protein|peptide)_abundance_(assay|study_variable)\[(\d+)\]$")
_DESCRIPTION = re.compile(r"(assay|study_variable|sample|ms_run)\[(\d+)\]-(\w+)")


def is_mztab(data: bytes) -> bool:
    """Whether a file begins as an mzTab file does, and has its metadata."""
    head = data.removeprefix(b"\xef\xbb\xbf")[:65536].lstrip(b'\r\n\t "')
    return head[:4] in (b"MTD\t", b"COM\t") and b"mzTab-version" in head


def read_mztab(source: Source, options: ReadOptions) -> Quantification:
    """Proteins (or peptides) x assays where there are assays, else x study variables.

    Raises
    ------
    InputError
        An identification file without quantities, lines of a section that disagree in length, text among numbers.
    """
    text, notes = decode(source)
    metadata, sections = _sections(text, source.where, list(notes))
    if "mzTab-version" not in metadata:
        raise InputError(
            "has no mzTab-version", where=source.where, mend="copy the file again; its metadata are damaged"
        )
    available = {
        "protein": _quantities(sections.get("PRT")),
        "peptide": _quantities(sections.get("PEP")),
    }
    levels = [level for level, columns in available.items() if columns]
    if not levels:
        kind = metadata.get("mzTab-type", "Identification")
        raise InputError(
            f"holds no protein or peptide abundances (mzTab-type {kind}; sections {sorted(sections)})",
            where=source.where,
            mend="export an mzTab file of type Quantification, or the search engine's own protein table",
        )
    level = wanted_level(options, levels, source.where)
    table = sections["PRT" if level == "protein" else "PEP"]
    columns = available[level]
    what = "assay" if any(kind == "assay" for kind, _, _ in columns) else "study_variable"
    chosen = [(number, j) for kind, number, j in columns if kind == what]
    if what == "study_variable":
        table.notes.append("there are no assays, only means of study variables: each is taken as one sample")
    form = number_format(table, [j for _, j in chosen], options.decimal)
    values = np.stack([to_floats(table, j, form) for _, j in chosen])
    samples, obs = _samples(what, [number for number, _ in chosen], metadata)
    accession = cells_of(table, "accession") or []
    if level == "peptide":
        charge = cells_of(table, "charge") or [""] * table.n_rows
        modifications = cells_of(table, "modifications") or [""] * table.n_rows
        sequence = cells_of(table, "sequence") or [""] * table.n_rows
        features = [
            "_".join(part for part in parts if part and part not in ("null", "0"))
            for parts in zip(sequence, modifications, charge, strict=True)
        ]
    else:
        features = list(accession)
    if "" in features:
        row = features.index("")
        raise InputError(
            "the row has no identifier",
            where=f"{table.where}, row {table.lines[row]}",
            mend="fill it in or delete the row",
        )
    description = [_known(cell) for cell in cells_of(table, "description") or [""] * table.n_rows]
    species = cells_of(table, "taxid") or cells_of(table, "species")
    var = describe(
        accession,
        headers=description,
        organisms=None if species is None else [_known(cell) for cell in species],
        descriptions=description,
        n_peptides=[1.0] * table.n_rows if level == "peptide" else None,
    )
    if level == "peptide":
        var["protein_group"] = pd.Series([_known(cell) for cell in accession], dtype=object)
    decoy = (
        cells_of(table, *(n for n in map(canonical, table.header) if "decoy" in n))
        if any("decoy" in canonical(name) for name in table.header)
        else None
    )
    nothing = np.zeros(table.n_rows, dtype=bool)
    contaminant, shared = contaminants(accession, nothing)
    software = metadata.get("software[1]", "")
    name = software.strip("[]").split(",")[2].strip() if software.count(",") >= 2 else ""
    return Quantification(
        software=f"{name} (mzTab)" if name else "mzTab",
        level=level,  # type: ignore[arg-type]
        orientation="samples_in_columns",
        samples=samples,
        features=features,
        quantities={"abundance": values},
        var=var,
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(accession, flag(decoy, table.n_rows)),
        notes=table.notes,
        where=source.where,
    )


def _known(cell: str) -> str:
    return "" if cell == "null" else cell


def _sections(text: str, where: str, notes: list[str]) -> tuple[dict[str, str], dict[str, Table]]:
    metadata: dict[str, str] = {}
    headers: dict[str, list[str]] = {}
    rows: dict[str, list[list[str]]] = {}
    lines: dict[str, list[int]] = {}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    for number, raw in enumerate(reader, start=1):
        cells = [cell.strip().strip('"') for cell in raw]
        kind = cells[0] if cells else ""
        if kind in ("", "COM"):
            continue
        if kind == "MTD":
            if len(cells) >= 3:
                metadata[cells[1]] = cells[2]
        elif kind in _SECTIONS:
            section = _SECTIONS[kind]
            if section in headers:
                raise InputError(
                    f"has a second line {kind}", where=f"{where}, line {number}", mend="give one mzTab file"
                )
            headers[section] = [_SPACES.sub("_", cell) for cell in cells[1:]]
            rows[section], lines[section] = [], []
        elif kind in _SECTIONS.values():
            if kind not in headers:
                raise InputError(
                    f"a {kind} line stands before its header",
                    where=f"{where}, line {number}",
                    mend="copy the file again",
                )
            width, found = len(headers[kind]), cells[1:]
            if len(found) > width and not any(found[width:]):
                found = found[:width]
            if len(found) != width:
                raise InputError(
                    f"the {kind} line has {len(found)} fields, its header has {width}",
                    where=f"{where}, line {number}",
                    mend="make all lines of a section equally long (a cut-off file?)",
                )
            rows[kind].append(["" if cell == "null" else cell for cell in found])
            lines[kind].append(number)
        else:
            raise InputError(
                f"the line begins with {kind[:20]!r}, which mzTab does not know",
                where=f"{where}, line {number}",
                mend="copy the file again; each line begins with MTD, COM or the name of a section",
            )
    if not text.endswith("\n"):
        notes.append("the last line has no line end: check that the file is complete")
    tables = {}
    for section, header in headers.items():
        found_rows = rows[section]
        columns = [list(column) for column in zip(*found_rows, strict=True)] or [[] for _ in header]
        if found_rows:
            tables[section] = Table(where, header, columns, lines[section], list(notes))
    return metadata, tables


_SPACES = re.compile(r"\s+")


def _quantities(table: Table | None) -> list[tuple[str, int, int]]:
    """(assay or study_variable, number, column) of columns that hold a value."""
    if table is None:
        return []
    found = [
        (m.group(1), int(m.group(2)), j)
        for j, name in enumerate(table.header)
        if (m := _ABUNDANCE.match(name))
    ]
    return [(kind, number, j) for kind, number, j in found if any(table.columns[j])]


def _samples(
    what: str, numbers: list[int], metadata: dict[str, str]
) -> tuple[list[str], pd.DataFrame | None]:
    """Names of the assays or study variables, and what the metadata say of them."""
    said: dict[str, dict[int, str]] = {}
    for key, value in metadata.items():
        if (m := _DESCRIPTION.match(key)) and m.group(1) == what:
            said.setdefault(m.group(3), {})[int(m.group(2))] = value
    names = [said.get("description", {}).get(number, "") for number in numbers]
    samples = (
        names if all(names) and len(set(names)) == len(names) else [f"{what}[{number}]" for number in numbers]
    )
    if what == "study_variable":
        return samples, None
    groups = [_variable_of(number, metadata) for number in numbers]
    if not all(groups):
        return samples, None
    return samples, pd.DataFrame(
        {"study_variable": groups}, index=pd.Index(samples, dtype=object), dtype=object
    )


def _variable_of(assay: int, metadata: dict[str, str]) -> str:
    """The study variable that refers to an assay."""
    for key, value in metadata.items():
        found = re.fullmatch(r"study_variable\[(\d+)\]-assay_refs", key)
        if found and re.search(rf"assay\[{assay}\]", value):
            return metadata.get(
                f"study_variable[{found.group(1)}]-description", f"study_variable[{found.group(1)}]"
            )
    return ""
