"""What each of some files is for, told from their contents: the data, its sample sheet, a second cohort, a further layer.

Names of samples decide: a sheet has a column that names the samples of a table; a layer has samples of the data, a cohort
has others. What files are called decides only between those that their contents allow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nereus.errors import InputError
from nereus.tools.cytometry.readers.cell_table import looks_like_cells
from nereus.tools.proteomics.readers import wide
from nereus.tools.proteomics.readers.accessions import feature_share
from nereus.tools.proteomics.readers.column_names import (
    is_annotation,
    is_metadata,
    is_summary,
    names_features,
    names_samples,
    quantity_and_sample,
)
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.formats import format_of
from nereus.tools.proteomics.readers.numbers import is_missing
from nereus.tools.proteomics.readers.sample_sheet import Match, best_match, stripped
from nereus.tools.proteomics.readers.source import Source, open_head
from nereus.tools.proteomics.readers.table import read_table

HEAD = 2 << 20
"""Bytes of a text that are looked at."""
WORKBOOK = 32 << 20
"""Largest workbook that is looked into."""
LEAST_NAMED = 2
"""Fewest samples that a sheet must name of a table."""
NAMED = 0.5
"""Smallest share of the smaller side (samples, rows) that a sheet must name."""
LEAST_SHARED = 6
"""Fewest samples that a layer shares with the data, as a run demands it."""
_SHEET = re.compile(r"sample|meta|clin|pheno|annot|design|sheet|sdrf", re.IGNORECASE)
_COHORT = re.compile(r"cohort|valid|replic|second|independent", re.IGNORECASE)
_LAYERS = (
    ("phospho", re.compile(r"phospho", re.IGNORECASE)),
    ("rna", re.compile(r"rna|transcript|counts|tpm|fpkm", re.IGNORECASE)),
    ("metabolites", re.compile(r"metabol", re.IGNORECASE)),
    ("lipids", re.compile(r"lipid", re.IGNORECASE)),
    ("methylation", re.compile(r"methyl", re.IGNORECASE)),
    ("copies", re.compile(r"(?:^|[\W_])cnv|copy.?number", re.IGNORECASE)),
    ("acetyl", re.compile(r"acetyl", re.IGNORECASE)),
    ("ubiquitin", re.compile(r"ubiq", re.IGNORECASE)),
    ("glyco", re.compile(r"glyco", re.IGNORECASE)),
)
_LOOKED_AT = 60
_NAMES = 400
"""Names of samples that are compared."""
_LONGEST, _WIDEST = 5000, 300
"""Rows and columns of the longest and the widest table that may be a sheet."""
_LEAST_WIDTH = 2
"""Fewest columns of numbers of a table of quantities."""


@dataclass
class Known:
    """What is known of a file.

    Attributes
    ----------
    id, name, size
        Which one it is.
    table
        Its first rows; None where it is no table of text.
    samples
        What may be names of samples: of its columns, and of its rows; the first ones.
    widths
        Columns of numbers that are no metadata of samples.
    plain
        Whether no software is known that wrote it: then names of samples are what the table says.
    sure
        Whether it can be nothing but a table of quantities.
    problem
        Why it cannot be read.
    """

    id: str
    name: str
    size: int
    table: Table | None = None
    samples: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    widths: int = 0
    plain: bool = False
    sure: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Role:
    """What a file is taken for.

    Attributes
    ----------
    role
        ``data``, ``samples``, ``cohort``, ``cohort_samples``, ``layer:<name>``; empty: it is left out.
    why
        Why it is taken for that.
    problem
        What will be wrong with it in this place; empty where nothing is seen.
    """

    role: str
    why: str
    problem: str = ""


def look_at(identity: str, path: Path, name: str) -> Known:
    """What the first rows of a file say."""
    known = Known(identity, name, path.stat().st_size if path.is_file() else 0, sure=True)
    if path.is_dir():
        return known
    try:
        known.table = table = _head(path, name)
    except InputError as error:
        known.problem = error.what
        return known
    if table is None:
        return known
    try:
        found = format_of(table)
    except InputError:
        found = wide.GENERIC
    numeric = [place for place, cells in enumerate(table.columns) if _numbers(cells)]
    named = [table.header[place] for place in numeric]
    columns = [one for one in named if not (is_annotation(one) or is_summary(one) or is_metadata(one))]
    rows = [
        cell
        for place, cells in enumerate(table.columns)
        if place == 0 or names_samples(table.header[place])
        for cell in dict.fromkeys(cells)
        if cell and not names_features(table.header[place])
    ]
    known.plain = found is wide.GENERIC
    of_features = looks_like_cells(table) or feature_share(columns) > NAMED
    names = [] if of_features else [quantity_and_sample(one)[1] for one in columns]
    known.samples = (names[:_NAMES], list(dict.fromkeys(rows))[:_NAMES])
    known.widths = len(columns)
    known.sure = of_features or not known.plain
    return known


def roles_of(files: Sequence[Known], given: Mapping[str, str] | None = None) -> dict[str, Role]:
    r"""What each file is taken for.

    Parameters
    ----------
    files
        What is known of them (`look_at`).
    given
        Roles that somebody said, by id; they stay, and are only looked at for what is wrong with them.

    Returns
    -------
    dict
        Role by id, in the order of the files.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("Protein,S1,S2,S3,S4\nP02768,8,16,4,4\nQ9H0R8,1024,2048,512,512\n")
    >>> _ = (folder / "b.csv").write_text("who,group\nS1,a\nS2,a\nS3,b\nS4,b\n")
    >>> [one.role for one in roles_of([look_at(name, folder / name, name) for name in ("b.csv", "a.csv")]).values()]
    ['samples', 'data']
    """
    said = dict(given or {})
    found: dict[str, Role] = {one: Role(role, "you said so") for one, role in said.items()}
    left = [one for one in files if one.id not in found]
    sheets = [one for one in left if _is_sheet(one, files)]
    tables = [one for one in left if one not in sheets and not one.problem]
    by_role = {role: one for one in files if (role := said.get(one.id))}
    _tables(files, tables, by_role, found)
    for role, owner in (("samples", "data"), ("cohort_samples", "cohort")):
        best = (
            max(sheets, key=lambda one: _named(one, by_role[owner]), default=None)
            if owner in by_role
            else None
        )
        if role not in by_role and best is not None and _named(best, by_role[owner]):
            found[best.id] = Role(role, f"a column of it names the samples of {by_role[owner].name}")
            by_role[role] = best
            sheets.remove(best)
    if len(sheets) == 1 and "samples" not in by_role and "data" in by_role:
        found[sheets[0].id] = Role("samples", "the only sheet")
        by_role["samples"] = sheets[0]
    for one in files:
        if one.id not in found:
            why = "it cannot be read" if one.problem else "no place was found for it"
            found[one.id] = Role("", why)
    return {one.id: _checked(one, found[one.id], by_role, found) for one in files}


def _tables(
    files: Sequence[Known], tables: list[Known], by_role: dict[str, Known], found: dict[str, Role]
) -> None:
    """Which table is the data, and what the others are beside it."""
    if "data" not in by_role and tables:
        sheets = [one for one in files if one not in tables]

        def fitness(one: Known) -> tuple[bool, bool, int]:
            plain = not _COHORT.search(one.name) and not _layer_word(one.name)
            return plain, any(_named(sheet, one) for sheet in sheets), one.size

        data = max(tables, key=fitness)
        why = "the only table of quantities" if len(tables) == 1 else "the main table, by its name and size"
        by_role["data"], found[data.id] = data, Role("data", why)
        tables.remove(data)
    data_file = by_role.get("data")
    for one in tables if data_file is not None else ():
        shared = _shared(one, data_file, files) if data_file is not None else 0
        cohort = bool(_COHORT.search(one.name)) or (shared < LEAST_SHARED and not _layer_word(one.name))
        if not cohort:
            taken = {role for role in by_role if role.startswith("layer:")}
            role = f"layer:{_free(layer_name(one.name), taken)}"
            why = "it has samples of the data" if shared else "by its name"
        elif "cohort" not in by_role:
            role, why = (
                "cohort",
                "by its name" if _COHORT.search(one.name) else "it has other samples than the data",
            )
        else:
            continue
        by_role[role], found[one.id] = one, Role(role, why)


def _checked(one: Known, role: Role, by_role: Mapping[str, Known], found: Mapping[str, Role]) -> Role:
    """The role, with what will be wrong in it."""
    data = by_role.get("data")
    problem = one.problem and f"{one.name} {one.problem}" if role.role else ""
    twice = [other for other, taken in found.items() if taken.role == role.role and other != one.id]
    if role.role and twice:
        problem = "another file has this place, too"
    elif role.role in ("samples", "cohort_samples") and not problem:
        owner = by_role.get("data" if role.role == "samples" else "cohort")
        if owner is None:
            problem = "the table that it belongs to is not among the files"
        elif owner.plain and one.table is not None and not _named(one, owner):
            problem = f"no column of it names the samples of {owner.name}"
    elif role.role.startswith("layer:") and data is not None and not problem:
        shared = _shared(one, data, list(by_role.values()))
        if one.plain and data.plain and shared < LEAST_SHARED:
            problem = (
                f"it shares {shared} samples with the data, and a layer needs {LEAST_SHARED}: give a sample sheet that "
                "names its samples, too, or take it for a second cohort"
            )
    return Role(role.role, role.why, problem)


def _head(path: Path, name: str) -> Table | None:
    """The first rows; None where the content is no table, which an HDF5 file and cells are."""
    source = open_head(path, name, HEAD)
    if source.content in ("workbook", "parquet"):
        if path.stat().st_size > WORKBOOK:
            return None
        source = Source(name, source.content, path.read_bytes())
        try:
            return read_table(source)
        except InputError:
            return None  # an archive of files of cells
    if source.content != "text" or source.data.startswith(b"MTD\t"):
        return None
    return read_table(source)


def _numbers(cells: Sequence[str]) -> bool:
    """Whether a column holds numbers for the most part."""
    seen = [one for one in cells[:_LOOKED_AT] if not is_missing(one)]
    return not seen or sum(
        bool(re.match(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?\Z", one)) for one in seen
    ) > NAMED * len(seen)


def _is_sheet(one: Known, files: Sequence[Known]) -> bool:
    """Whether a file tells of samples rather than of quantities."""
    others = [other for other in files if other is not one]
    if one.sure or one.table is None or not others:
        return False
    if one.widths < _LEAST_WIDTH:
        return True
    if any(_matched(one, other.samples[0]) for other in others):
        return True  # it names columns of another file
    if any(other.widths > 2 * one.widths and _matched(one, other.samples[1]) for other in others):
        return True  # both have samples in rows: the one with fewer numbers
    if any(_matched(other, one.samples[0]) for other in others):
        return False
    return bool(_SHEET.search(one.name))


def _match(sheet: Known, samples: Sequence[str]) -> Match | None:
    table = sheet.table
    if (
        table is None
        or len(samples) < LEAST_NAMED
        or not 0 < table.n_rows <= _LONGEST
        or len(table.header) > _WIDEST
    ):
        return None
    return best_match(table, list(samples))


def _matched(sheet: Known, samples: Sequence[str]) -> int:
    """Samples that a column of a sheet names; 0 where they are too few to count."""
    match = _match(sheet, samples)
    if match is None or sheet.table is None:
        return 0
    least = max(LEAST_NAMED, NAMED * min(len(samples), sheet.table.n_rows))
    return match.n_matched if match.n_matched >= least else 0


def _named(sheet: Known, table: Known) -> int:
    """Samples of a table that a sheet names."""
    return 0 if sheet is table else max(_matched(sheet, names) for names in table.samples)


def _shared(one: Known, data: Known, files: Sequence[Known]) -> int:
    """Samples that two tables have in common: by their names, or by the rows of a sheet that names both."""
    direct = max(
        len({stripped(name) for name in mine} & {stripped(name) for name in its})
        for mine in one.samples
        for its in data.samples
    )
    by_sheet = [
        len({row for row in mine.rows if row >= 0} & {row for row in its.rows if row >= 0})
        for sheet in files
        if sheet is not one and sheet is not data and not sheet.sure
        for names in one.samples
        for others in data.samples
        if _matched(sheet, names) and _matched(sheet, others)
        if (mine := _match(sheet, names)) is not None and (its := _match(sheet, others)) is not None
    ]
    return max([direct, *by_sheet])


def _layer_word(name: str) -> str:
    return next((word for word, pattern in _LAYERS if pattern.search(name)), "")


def layer_name(name: str) -> str:
    """What a layer of a file of this name is called.

    >>> layer_name("Tumour_RNAseq_counts.tsv.gz"), layer_name("3 Sites (v2).csv")
    ('rna', 'sites_v2')
    """
    if word := _layer_word(name):
        return word
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower().split(".")[0]).strip("_").lstrip("0123456789_")[:30]
    return (
        plain if plain and plain not in ("data", "samples", "cohort", "cohort_samples", "first") else "second"
    )


def _free(name: str, taken: set[str]) -> str:
    """A name that no other layer has."""
    number = 2
    free = name
    while f"layer:{free}" in taken:
        free, number = f"{name[:26]}_{number}", number + 1
    return free
