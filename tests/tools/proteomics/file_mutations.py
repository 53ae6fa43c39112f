"""Valid quantification files whose content is known, and ways to damage or rewrite them.

Every mutation knows what a reader may make of its file: the same values (``equal``), nothing but a typed error
(``refuse``), or the same values in all but the cell that the cut went through (``cut``). An error is always allowed.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.tools.proteomics.valid_grids import Grid

# ------------------------------------------------------------------------------------------ rewriting, same content


def _set(grid: Grid, row: int, column: int, text: str) -> list[list[str]]:
    cells = [list(r) for r in grid.cells]
    cells[row][column] = text
    return cells


def separator(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, separator=str(rng.choice(["\t", ",", ";", "|"])))


def decimal_comma(grid: Grid, rng: np.random.Generator) -> Grid:
    numeric = {*grid.columns, *grid.others}
    cells = [[c.replace(".", ",") if j in numeric else c for j, c in enumerate(row)] for row in grid.cells]
    return replace(grid, cells=cells)


def thousands(grid: Grid, rng: np.random.Generator) -> Grid:
    """Groups of three digits, in every number."""
    mark = str(rng.choice([",", " ", "'", "\u00a0"]))
    numeric = {*grid.columns, *grid.others}

    def group(cell: str) -> str:
        try:
            return f"{float(cell):,.2f}".replace(",", mark)
        except ValueError:
            return cell

    rounded = np.vectorize(lambda value: float(f"{value:.2f}"))(grid.values)
    cells = [[group(c) if j in numeric else c for j, c in enumerate(row)] for row in grid.cells]
    return replace(grid, cells=cells, values=rounded)


def encoding(grid: Grid, rng: np.random.Generator) -> Grid:
    chosen = str(rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]))
    text_columns = [
        j
        for j, name in enumerate(grid.header)
        if name in ("Description", "First.Protein.Description", "Fasta headers")
    ]
    cells = [list(r) for r in grid.cells]
    for j in text_columns[:1]:
        cells[0][j] += " \u00b5\u00e4"
    return replace(grid, encoding=chosen, cells=cells)


def line_ends(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, newline=str(rng.choice(["\r\n", "\r"])), end=bool(rng.random() < 0.7))


def quotes(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, quote_all=True)


def blank_lines(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, blank_every=int(rng.integers(1, 5)))


def banner(grid: Grid, rng: np.random.Generator) -> Grid:
    lines = ("Results of a program, version 1.2", "run on Friday", "")
    return replace(grid, before=lines[: int(rng.integers(1, 4))])


def compressed(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, compress=True)


def shuffled_columns(grid: Grid, rng: np.random.Generator) -> Grid:
    order = [int(i) for i in rng.permutation(len(grid.header))]
    place = {old: new for new, old in enumerate(order)}
    # Samples come in the order of their columns; with LFQ and raw intensities, in that of the raw ones.
    lead = grid.others or grid.columns
    rank = sorted(range(len(grid.samples)), key=lambda i: place[lead[i]])
    return replace(
        grid,
        header=[grid.header[i] for i in order],
        cells=[[row[i] for i in order] for row in grid.cells],
        samples=[grid.samples[i] for i in rank],
        values=grid.values[rank],
        columns=[place[grid.columns[i]] for i in rank],
        others=[place[grid.others[i]] for i in rank] if grid.others else [],
    )


def shuffled_rows(grid: Grid, rng: np.random.Generator) -> Grid:
    order = [int(i) for i in rng.permutation(len(grid.cells))]
    return replace(
        grid,
        cells=[grid.cells[i] for i in order],
        features=[grid.features[i] for i in order],
        values=grid.values[:, order],
    )


def missing_words(grid: Grid, rng: np.random.Generator) -> Grid:
    word = str(rng.choice(["NA", "NaN", "nan", "n/a", "#N/A", "NULL", "-"]))
    numeric = {*grid.columns, *grid.others}
    cells = [
        [word if j in numeric and c in ("", "0") else c for j, c in enumerate(row)] for row in grid.cells
    ]
    return replace(grid, cells=cells)


def trailing_separator(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, header=[*grid.header, ""], cells=[[*row, ""] for row in grid.cells])


def padded_cells(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(
        grid, cells=[[f" {c} " for c in row] for row in grid.cells], header=[f"{h} " for h in grid.header]
    )


def punctuation(grid: Grid, rng: np.random.Generator) -> Grid:
    """Rewritten column names, as R and hand editing leave them."""
    if grid.kind != "maxquant":
        return grid
    marks = ["_", ".", " "]
    words = ("Razor", "unique", "LFQ", "intensity", "Protein", "Majority")

    def rewrite(name: str) -> str:
        for word in words:
            name = name.replace(f"{word} ", f"{word}{rng.choice(marks)}")
        return name.replace(" + ", str(rng.choice(["...", "_"])))

    return replace(grid, header=[rewrite(h) for h in grid.header])


def zeros(grid: Grid, rng: np.random.Generator) -> Grid:
    """Missing values written as 0 in a raw table."""
    if grid.kind == "generic_log2":
        return grid
    numeric = {*grid.columns, *grid.others}
    return replace(
        grid, cells=[["0" if j in numeric and not c else c for j, c in enumerate(row)] for row in grid.cells]
    )


def transposed(grid: Grid, rng: np.random.Generator) -> Grid:
    return replace(grid, transposed=True) if grid.kind in ("generic", "generic_log2") else grid


def duplicate_rows(grid: Grid, rng: np.random.Generator) -> Grid:
    row = int(rng.integers(len(grid.cells)))
    return replace(
        grid,
        cells=[*grid.cells, list(grid.cells[row])],
        features=[*grid.features, f"{grid.features[row]}~2"],
        values=np.concatenate([grid.values, grid.values[:, [row]]], axis=1),
    )


# ---------------------------------------------------------------------------------------------------- damage


def _some_cell(grid: Grid, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(len(grid.cells))), int(rng.choice(grid.columns))


def ragged(grid: Grid, rng: np.random.Generator) -> Grid:
    row = int(rng.integers(len(grid.cells)))
    cells = [list(r) for r in grid.cells]
    where = int(rng.integers(len(cells[row])))
    if rng.random() < 0.5:
        del cells[row][where]
    else:
        cells[row].insert(where, "7")
    return replace(grid, cells=cells, expect="refuse")


def header_lost_a_name(grid: Grid, rng: np.random.Generator) -> Grid:
    header = list(grid.header)
    del header[int(rng.choice([j for j, name in enumerate(header) if j and name.strip()]))]
    return replace(grid, header=header, expect="refuse")


def no_finite_number(grid: Grid, rng: np.random.Generator) -> Grid:
    i, j = _some_cell(grid, rng)
    word = str(rng.choice(["inf", "-inf", "Infinity", "1e308", "1e400", "-1E+308"]))
    return replace(grid, cells=_set(grid, i, j, word), expect="refuse")


def text_in_numbers(grid: Grid, rng: np.random.Generator) -> Grid:
    i, j = _some_cell(grid, rng)
    word = str(
        rng.choice(
            [
                "high",
                "12 apples",
                "0x1F",
                "1_000",
                "<5",
                "12%",
                "\u0664\u0662",
                "1.2.3",
                "5-6",
                "True",
                "1e",
                "#REF!",
            ]
        )
    )
    return replace(grid, cells=_set(grid, i, j, word), expect="refuse")


def negative_intensity(grid: Grid, rng: np.random.Generator) -> Grid:
    if grid.kind == "generic_log2":
        return grid
    i, j = _some_cell(grid, rng)
    return replace(grid, cells=_set(grid, i, j, "-1234.5"), expect="refuse")


def mixed_decimals(grid: Grid, rng: np.random.Generator) -> Grid:
    i, j = _some_cell(grid, rng)
    values = grid.values.copy()
    values[grid.columns.index(j), i] = 15.25
    return replace(grid, cells=_set(grid, i, j, "15,25"), values=values)


def ambiguous_comma(grid: Grid, rng: np.random.Generator) -> Grid:
    i, j = _some_cell(grid, rng)
    return replace(grid, cells=_set(grid, i, j, "1,234"), expect="refuse")


def repeated_sample(grid: Grid, rng: np.random.Generator) -> Grid:
    first, second = (int(j) for j in rng.choice(grid.columns, 2, replace=False))
    header = list(grid.header)
    header[second] = header[first]
    # With a second quantity beside it, the reader may fall back to that one.
    return replace(grid, header=header, expect="refuse")


def empty_sample_name(grid: Grid, rng: np.random.Generator) -> Grid:
    header = list(grid.header)
    header[int(rng.choice(grid.columns))] = ""
    return replace(grid, header=header, expect="refuse" if grid.kind != "maxquant" else "other_quantity")


def no_header(grid: Grid, rng: np.random.Generator) -> Grid:
    if grid.transposed:
        return grid  # then the first row still names the features
    return replace(grid, header=[], expect="refuse")


def one_sample(grid: Grid, rng: np.random.Generator) -> Grid:
    keep = {grid.columns[0], *(grid.others[:1])}
    gone = {*grid.columns, *grid.others} - keep
    left = [j for j in range(len(grid.header)) if j not in gone]
    return replace(
        grid,
        header=[grid.header[j] for j in left],
        cells=[[row[j] for j in left] for row in grid.cells],
        columns=[0],
        others=[],
        expect="refuse",
    )


def no_identifier(grid: Grid, rng: np.random.Generator) -> Grid:
    """A row in which nothing names the feature any more."""
    cells = [list(r) for r in grid.cells]
    row = int(rng.integers(len(cells) - 1))
    name = cells[row][_id_column(grid)]
    for j, cell in enumerate(cells[row]):
        if cell.strip() and cell.strip() in (name.strip(), f"{name.strip()};Q99999"):
            cells[row][j] = ""
    return replace(grid, cells=cells, expect="refuse")


def _id_column(grid: Grid) -> int:
    words = ("Majority", "Protein.Group", "Accession", "proteinID", "site", "Protein")
    names = [name.strip() for name in grid.header]
    return next(
        names.index(name)
        for word in words
        for name in names
        if name == word or (word == "Majority" and word in name)
    )


REWRITES: tuple[Callable[[Grid, np.random.Generator], Grid], ...] = (
    separator,
    decimal_comma,
    thousands,
    encoding,
    line_ends,
    quotes,
    blank_lines,
    banner,
    compressed,
    shuffled_columns,
    shuffled_rows,
    missing_words,
    trailing_separator,
    padded_cells,
    punctuation,
    zeros,
    transposed,
    duplicate_rows,
)
DAMAGES: tuple[Callable[[Grid, np.random.Generator], Grid], ...] = (
    ragged,
    header_lost_a_name,
    no_finite_number,
    text_in_numbers,
    negative_intensity,
    mixed_decimals,
    ambiguous_comma,
    repeated_sample,
    empty_sample_name,
    no_header,
    one_sample,
    no_identifier,
)
BYTE_DAMAGES = ("cut", "binary", "stray", "empty", "garbage", "gzip_cut")


def mutate(grid: Grid, rng: np.random.Generator) -> Grid:
    """Up to three rewrites, and in half of the cases one damage."""
    applied = []
    for _ in range(int(rng.integers(0, 4))):
        rewrite = REWRITES[int(rng.integers(len(REWRITES)))]
        if rewrite.__name__ in applied or ({"decimal_comma", "thousands"} <= {rewrite.__name__, *applied}):
            continue
        grid = rewrite(grid, rng)
        applied.append(rewrite.__name__)
    if rng.random() < 0.5:
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        if damage is ambiguous_comma and {"decimal_comma", "thousands"} & set(applied):
            damage = ragged  # beside such numbers "1,234" is not ambiguous
        grid = damage(grid, rng)
        applied.append(damage.__name__)
    return replace(grid, label="+".join(applied) or "untouched")


# -------------------------------------------------------------------------------------------------- writing


def written(grid: Grid) -> bytes:
    """The file's bytes."""
    table = [grid.header, *grid.cells] if grid.header else list(grid.cells)
    if grid.transposed and len({len(row) for row in table}) == 1:
        table = [list(column) for column in zip(*table, strict=True)]
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if grid.quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=grid.separator, quoting=quoting, lineterminator="\n")
    for line in grid.before:
        text.write(line + "\n")
    for number, row in enumerate(table):
        writer.writerow(row)
        if grid.blank_every and number % grid.blank_every == 0:
            text.write("\n")
    content = text.getvalue() if grid.end else text.getvalue().rstrip("\n")
    data = content.replace("\n", grid.newline).encode(grid.encoding, errors="replace")
    return gzip.compress(data, mtime=0) if grid.compress else data


def damage_bytes(data: bytes, rng: np.random.Generator) -> tuple[bytes, str, str]:
    """Damaged bytes, what may be made of them, and how they were damaged."""
    how = str(rng.choice(BYTE_DAMAGES))
    if how == "empty":
        return b"" if rng.random() < 0.5 else b" \n\n", "refuse", how
    if how == "garbage":
        return rng.bytes(int(rng.integers(1, 400))), "garbage", how
    if how == "gzip_cut":
        packed = gzip.compress(data, mtime=0)
        return packed[: int(rng.integers(3, len(packed) - 1))], "refuse", how
    if how == "cut":
        return data[: int(rng.integers(1, len(data)))], "cut", how
    place = int(rng.integers(len(data)))
    stray = b"\x00\x01\x07" if how == "binary" else b'\xff\xfe"\n\rx\t,; '
    mark = stray[int(rng.integers(len(stray)))]
    around = data[max(place - 1, 0) : place] + data[place + 1 : place + 2]
    if chr(mark).isspace() and not (len(around) == 2 and around.isalnum()):
        mark = ord("x")  # white space at the ends of a cell is padding: nobody could tell
    return data[:place] + bytes([mark]) + data[place + 1 :], "stray", how
