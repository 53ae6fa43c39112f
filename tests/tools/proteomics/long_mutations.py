"""Valid long files (one row a measurement) whose content is known, and ways to damage or rewrite them.

As in `file_mutations`, every mutation knows what a reader may make of its file: the same values (``equal``) or nothing
but a typed error (``refuse``). The truth is computed anew from the rows after each rewriting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tests.tools.proteomics.file_mutations import written
from tests.tools.proteomics.valid_grids import DIGITS, Grid, accessions


@dataclass(frozen=True)
class Long:
    """A long table and how its rows become a matrix.

    Attributes
    ----------
    names
        Names of the sample in each row and value column, shape (rows, value columns).
    features
        Name of the feature in each row.
    value_columns, number_columns
        Positions of the values, and of other numbers (q-values, limits).
    sample_column, feature_column
        Positions of cells without which a row means nothing.
    merge
        ``same``, ``sum`` or ``max``: what several rows of one place become.
    """

    kind: str
    header: list[str]
    rows: list[list[str]]
    names: list[list[str]]
    features: list[str]
    value_columns: list[int]
    number_columns: list[int]
    sample_column: int
    feature_column: int
    text_column: int
    merge: str
    log: bool = False
    separator: str = "\t"
    encoding: str = "utf-8"
    newline: str = "\n"
    quote_all: bool = False
    end: bool = True
    before: tuple[str, ...] = ()
    blank_every: int = 0
    compress: bool = False
    expect: str = "equal"
    label: str = ""

    def truth(self, rows: list[int] | None = None) -> pd.DataFrame:
        """Samples x features as the rows say, raw or logarithmic as written; places without a value are NaN."""
        found: dict[tuple[str, str], list[float]] = {}
        for i in range(len(self.rows)) if rows is None else rows:
            for k, j in enumerate(self.value_columns):
                cell = self.rows[i][j].strip().replace(",", ".")
                try:
                    value = float(cell)
                except ValueError:
                    continue
                if not np.isnan(value) and (value != 0 or self.log):
                    found.setdefault((self.names[i][k], self.features[i]), []).append(value)
        merged = {key: sum(v) if self.merge == "sum" else max(v) for key, v in found.items()}
        series = pd.Series(merged, dtype=float)
        if series.empty:
            return pd.DataFrame()
        series.index = pd.MultiIndex.from_tuples(series.index)
        return series.unstack()

    def data(self) -> bytes:
        """The file's bytes."""
        grid = Grid(
            self.kind, self.header, self.rows, [], [], np.zeros((0, 0)), [],
            separator=self.separator, encoding=self.encoding, newline=self.newline, quote_all=self.quote_all, end=self.end,
            before=self.before, blank_every=self.blank_every, compress=self.compress,
        )  # fmt: skip
        return written(grid)


def _values(rng: np.random.Generator, n: int, log: bool = False) -> list[str]:
    level = rng.normal(20, 2.5, n)
    missing = rng.random(n) < 0.1
    return [
        "" if gone else (f"{v - 15:.5f}" if log else DIGITS % 2.0**v)
        for v, gone in zip(level, missing, strict=True)
    ]


def valid_long(kind: str, rng: np.random.Generator, n_features: int = 9, n_samples: int = 4) -> Long:
    """A small valid long table of one of the kinds `LONG_KINDS`."""
    proteins = accessions(rng, n_features)
    half = n_samples // 2
    runs = [f"C_R{i + 1}" for i in range(half)] + [f"D_R{i + 1}" for i in range(n_samples - half)]
    letters = list("ADEFGHILNPQSTVWY")
    peptides = ["".join(rng.choice(letters, 8)) + "K" for _ in range(n_features)]
    rows: list[list[str]] = []
    names: list[list[str]] = []
    features: list[str] = []

    def add(sample: list[str], feature: str, cells: list[str]) -> None:
        rows.append(cells)
        names.append(sample)
        features.append(feature)

    if kind == "spectronaut":
        header = [
            "R.Condition",
            "R.FileName",
            "PG.ProteinGroups",
            "PG.Quantity",
            "PG.Qvalue",
            "EG.PrecursorId",
            "EG.IsDecoy",
        ]
        for run in runs:
            for protein, peptide, value in zip(proteins, peptides, _values(rng, n_features), strict=True):
                for charge in (2, 3):
                    cells = [
                        run[0],
                        f"{run}.raw",
                        protein,
                        value,
                        "1.5E-05",
                        f"_{peptide}_.{charge}",
                        "False",
                    ]
                    add([run], protein, cells)
        return Long(kind, header, rows, names, features, [3], [4], 1, 2, 5, "same")
    if kind == "spectronaut_fragments":
        header = [
            "R.FileName",
            "PG.ProteinGroups",
            "EG.ModifiedSequence",
            "FG.Charge",
            "F.FrgIon",
            "F.Charge",
            "F.PeakArea",
        ]
        for run in runs:
            for protein, peptide in zip(proteins, peptides, strict=True):
                for ion, value in zip(("y3", "y4"), _values(rng, 2), strict=True):
                    add([run], f"_{peptide}_.2_{ion}_1", [run, protein, f"_{peptide}_", "2", ion, "1", value])
        return Long(kind, header, rows, names, features, [6], [], 0, 2, 1, "max")
    if kind == "diann_report":
        header = ["Run", "Protein.Group", "Genes", "Precursor.Id", "Q.Value", "PG.MaxLFQ"]
        for run in runs:
            for j, (protein, peptide, value) in enumerate(
                zip(proteins, peptides, _values(rng, n_features), strict=True)
            ):
                for charge in (2, 3):
                    add([run], protein, [run, protein, f"G{j}", f"{peptide}{charge}", "0.0015", value])
        return Long(kind, header, rows, names, features, [5], [4], 0, 1, 2, "same")
    if kind == "evidence":
        header = ["Sequence", "Modified sequence", "Proteins", "Leading razor protein", "Raw file", "Charge", "Retention time",
                  "Intensity", "Reverse", "Potential contaminant"]  # fmt: skip
        for run in runs:
            for protein, peptide in zip(proteins, peptides, strict=True):
                for value in _values(rng, int(rng.integers(1, 3))):
                    cells = [peptide, f"_{peptide}_", protein, protein, run, "2", "17.858", value, "", ""]
                    add([run], f"_{peptide}_2", cells)
        return Long(kind, header, rows, names, features, [7], [], 4, 1, 2, "max")
    if kind == "msstats":
        header = ["ProteinName", "PeptideSequence", "PrecursorCharge", "FragmentIon", "ProductCharge", "Condition",
                  "BioReplicate", "Run", "Intensity"]  # fmt: skip
        for run in runs:
            for protein, peptide in zip(proteins, peptides, strict=True):
                for ion, value in zip(("y3", "y4"), _values(rng, 2), strict=True):
                    cells = [protein, peptide, "2", ion, "1", run[0], run, run, value]
                    add([run], f"{peptide}_2", cells)
        return Long(kind, header, rows, names, features, [8], [], 7, 1, 5, "sum")
    if kind == "msstats_tmt":
        header = [
            "ProteinName",
            "PeptideSequence",
            "Charge",
            "Mixture",
            "Run",
            "Channel",
            "Condition",
            "BioReplicate",
            "Intensity",
        ]
        for mixture in ("Mix1", "Mix2"):
            for channel in ("126", "127N", "128C"):
                for protein, peptide, value in zip(proteins, peptides, _values(rng, n_features), strict=True):
                    name = f"{mixture}_{channel}"
                    cells = [
                        protein,
                        peptide,
                        "2",
                        mixture,
                        f"{mixture}.raw",
                        channel,
                        channel[:2],
                        name,
                        value,
                    ]
                    add([name], f"{peptide}_2", cells)
        return Long(kind, header, rows, names, features, [8], [], 5, 1, 6, "sum")
    if kind == "skyline":
        header = ["Protein Name", "Peptide Modified Sequence", "Precursor Charge", "Fragment Ion", "Product Charge",
                  "Isotope Label Type", "Condition", "File Name", "Area", "Standard Type"]  # fmt: skip
        for run in runs:
            for protein, peptide in zip(proteins, peptides, strict=True):
                for ion, value in zip(("precursor", "precursor [M+1]"), _values(rng, 2), strict=True):
                    cells = [protein, peptide, "2", ion, "2", "light", run[0], f"{run}.raw", value, ""]
                    add([run], f"{peptide}_2", cells)
        return Long(kind, header, rows, names, features, [8], [], 7, 1, 6, "sum")
    if kind == "olink":
        header = ["SampleID", "UniProt", "Assay", "Panel", "NPX", "LOD", "QC_Warning"]
        for run in runs:
            for j, (protein, value) in enumerate(
                zip(proteins, _values(rng, n_features, log=True), strict=True)
            ):
                add([run], protein, [run, protein, f"G{j}", "CVD", value, "0.51", "Pass"])
        return Long(kind, header, rows, names, features, [4], [5], 0, 1, 3, "same", log=True)
    header = ["Annotated Sequence", "Modifications", "PSM Ambiguity", "Master Protein Accessions", "Charge", "Rank", "First Scan",
              "Spectrum File", "File ID", "Isolation Interference [%]", "Abundance: 126", "Abundance: 127N",
              "Abundance: 128C"]  # fmt: skip
    for plex in ("F1", "F2"):
        for protein, peptide in zip(proteins, peptides, strict=True):
            for fraction in range(int(rng.integers(1, 3))):
                values = _values(rng, 3)
                if not any(values):
                    continue
                names_here = [f"{plex}_{channel}" for channel in ("126", "127N", "128C")]
                cells = [f"[K].{peptide}.[A]", "N-Term(TMT6plex)", "Unambiguous", protein, "2", "1", "2786", f"{plex}.raw",
                         f"{plex}.{fraction + 1}", "12.5", *values]  # fmt: skip
                add(names_here, peptide, cells)
    return Long("psms", header, rows, names, features, [10, 11, 12], [9], 8, 0, 3, "sum")


LONG_KINDS = (
    "spectronaut",
    "spectronaut_fragments",
    "diann_report",
    "evidence",
    "msstats",
    "msstats_tmt",
    "skyline",
    "olink",
    "psms",
)


# ------------------------------------------------------------------------------------------ rewriting, same content


def separator(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, separator=str(rng.choice(["\t", ",", ";", "|"])))


def decimal_comma(table: Long, rng: np.random.Generator) -> Long:
    numeric = {*table.value_columns, *table.number_columns}
    return replace(
        table,
        rows=[[c.replace(".", ",") if j in numeric else c for j, c in enumerate(row)] for row in table.rows],
    )


def encoding(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, encoding=str(rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])))


def line_ends(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, newline=str(rng.choice(["\r\n", "\r"])), end=bool(rng.random() < 0.7))


def quotes(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, quote_all=True)


def blank_lines(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, blank_every=int(rng.integers(1, 5)))


def banner(table: Long, rng: np.random.Generator) -> Long:
    return replace(
        table, before=("Results of a program, version 1.2", "run on Friday", "")[: int(rng.integers(1, 4))]
    )


def compressed(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, compress=True)


def shuffled_columns(table: Long, rng: np.random.Generator) -> Long:
    order = [int(i) for i in rng.permutation(len(table.header))]
    place = {old: new for new, old in enumerate(order)}
    return replace(
        table,
        header=[table.header[i] for i in order],
        rows=[[row[i] for i in order] for row in table.rows],
        value_columns=[place[j] for j in table.value_columns],
        number_columns=[place[j] for j in table.number_columns],
        sample_column=place[table.sample_column],
        feature_column=place[table.feature_column],
        text_column=place[table.text_column],
    )


def _chosen_rows(table: Long, order: list[int]) -> Long:
    return replace(
        table,
        rows=[list(table.rows[i]) for i in order],
        names=[table.names[i] for i in order],
        features=[table.features[i] for i in order],
    )


def shuffled_rows(table: Long, rng: np.random.Generator) -> Long:
    return _chosen_rows(table, [int(i) for i in rng.permutation(len(table.rows))])


def repeated_row(table: Long, rng: np.random.Generator) -> Long:
    order = list(range(len(table.rows)))
    return _chosen_rows(table, [*order, int(rng.integers(len(order)))])


def lost_rows(table: Long, rng: np.random.Generator) -> Long:
    """Measurements that were not made have no row. Rows of one place are left together."""
    return _chosen_rows(table, [i for i in range(len(table.rows)) if i % 7 != 3 or table.merge == "same"])


def missing_words(table: Long, rng: np.random.Generator) -> Long:
    word = str(rng.choice(["NA", "NaN", "n/a", "#N/A", "NULL"]))
    columns = set(table.value_columns)
    return replace(
        table, rows=[[word if j in columns and not c else c for j, c in enumerate(row)] for row in table.rows]
    )


def trailing_separator(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, header=[*table.header, ""], rows=[[*row, ""] for row in table.rows])


def padded_cells(table: Long, rng: np.random.Generator) -> Long:
    return replace(
        table,
        rows=[[f" {c} " for c in row] for row in table.rows],
        header=[f"{name} " for name in table.header],
    )


def punctuation(table: Long, rng: np.random.Generator) -> Long:
    """Names of columns as R leaves them, or in another case."""
    if table.kind.startswith("spectronaut"):
        return table  # its prefixes are read in two spellings only
    style: Callable[[str], str] = (str.lower, str.upper, lambda name: name.replace(" ", "."))[
        int(rng.integers(3))
    ]
    return replace(table, header=[style(name) for name in table.header])


def zeros(table: Long, rng: np.random.Generator) -> Long:
    if table.log:
        return table
    columns = set(table.value_columns)
    return replace(
        table, rows=[["0" if j in columns and not c else c for j, c in enumerate(row)] for row in table.rows]
    )


def another_column(table: Long, rng: np.random.Generator) -> Long:
    return replace(
        table, header=[*table.header, "remark"], rows=[[*row, "seen twice, once"] for row in table.rows]
    )


# ---------------------------------------------------------------------------------------------------- damage


def _change(table: Long, row: int, column: int, text: str) -> Long:
    rows = [list(cells) for cells in table.rows]
    rows[row][column] = text
    return replace(table, rows=rows, expect="refuse")


def _value_place(table: Long, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(len(table.rows))), int(rng.choice(table.value_columns))


def ragged(table: Long, rng: np.random.Generator) -> Long:
    row = int(rng.integers(len(table.rows)))
    rows = [list(cells) for cells in table.rows]
    where = int(rng.integers(len(rows[row])))
    if rng.random() < 0.5:
        del rows[row][where]
    else:
        rows[row].insert(where, "7")
    return replace(table, rows=rows, expect="refuse")


def header_lost_a_name(table: Long, rng: np.random.Generator) -> Long:
    header = list(table.header)
    del header[int(rng.choice([j for j, name in enumerate(header) if name.strip()]))]
    return replace(table, header=header, expect="refuse")


def no_finite_number(table: Long, rng: np.random.Generator) -> Long:
    return _change(
        table, *_value_place(table, rng), str(rng.choice(["inf", "-Infinity", "1e400", "-1E+308"]))
    )


def text_in_numbers(table: Long, rng: np.random.Generator) -> Long:
    word = str(rng.choice(["high", "12 apples", "0x1F", "1_000", "<5", "12%", "1.2.3", "5-6", "True", "1e"]))
    return _change(table, *_value_place(table, rng), word)


def negative_value(table: Long, rng: np.random.Generator) -> Long:
    return table if table.log else _change(table, *_value_place(table, rng), "-1234567.5")


def contradiction(table: Long, rng: np.random.Generator) -> Long:
    """One of the rows that repeat a quantity says another one."""
    if table.merge != "same":
        return table
    row, column = _value_place(table, rng)
    number = table.rows[row][column].strip().replace(",", ".")
    if table.kind == "olink" or not number or not number[0].isdigit():
        return table
    other = f"{float(number) * 3:.6g}"
    if float(other) == float(number):
        return table
    twins = sum(
        name == table.names[row] and feature == table.features[row]
        for name, feature in zip(table.names, table.features, strict=True)
    )
    comma = any("," in cells[column] for cells in table.rows)
    return _change(table, row, column, other.replace(".", ",") if comma else other) if twins > 1 else table


def no_sample(table: Long, rng: np.random.Generator) -> Long:
    row = int(rng.integers(len(table.rows)))
    if not all(table.rows[row][j].strip() for j in table.value_columns):
        return table  # without a value nobody misses the sample
    return _change(table, row, table.sample_column, "")


def no_header(table: Long, rng: np.random.Generator) -> Long:
    return replace(table, header=[], expect="refuse")


def one_sample(table: Long, rng: np.random.Generator) -> Long:
    if len(table.value_columns) > 1:
        return table
    first = table.names[0]
    return replace(
        _chosen_rows(table, [i for i, name in enumerate(table.names) if name == first]), expect="refuse"
    )


def lost_column(table: Long, rng: np.random.Generator) -> Long:
    """The column of values is gone, from header and rows alike."""
    gone = set(table.value_columns)
    keep = [j for j in range(len(table.header)) if j not in gone]
    return replace(
        table,
        header=[table.header[j] for j in keep],
        rows=[[row[j] for j in keep] for row in table.rows],
        value_columns=[],
        number_columns=[],
        expect="refuse",
    )


Mutation = Callable[[Long, np.random.Generator], Long]
LONG_REWRITES: tuple[Mutation, ...] = (
    separator, decimal_comma, encoding, line_ends, quotes, blank_lines, banner, compressed, shuffled_columns, shuffled_rows,
    repeated_row, lost_rows, missing_words, trailing_separator, padded_cells, punctuation, zeros, another_column,
)  # fmt: skip
LONG_DAMAGES: tuple[Mutation, ...] = (
    ragged, header_lost_a_name, no_finite_number, text_in_numbers, negative_value, contradiction, no_sample, no_header,
    one_sample, lost_column,
)  # fmt: skip


def mutate_long(table: Long, rng: np.random.Generator) -> Long:
    """Up to three rewrites, and in half of the cases one damage."""
    applied: list[str] = []
    for _ in range(int(rng.integers(0, 4))):
        rewrite = LONG_REWRITES[int(rng.integers(len(LONG_REWRITES)))]
        if rewrite.__name__ not in applied:
            table = rewrite(table, rng)
            applied.append(rewrite.__name__)
    if rng.random() < 0.5:
        damage = LONG_DAMAGES[int(rng.integers(len(LONG_DAMAGES)))]
        table = damage(table, rng)
        applied.append(damage.__name__)
    return replace(table, label="+".join(applied) or "untouched")


def rows_before(table: Long, data: bytes, place: int) -> int:
    """How many rows of an unchanged text file are complete before this byte."""
    text = data[:place].decode("utf-8", errors="replace")
    complete = text.count("\n") - 1
    return max(min(complete, len(table.rows)), 0)
