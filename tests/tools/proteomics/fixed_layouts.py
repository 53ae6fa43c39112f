"""Files whose layout is fixed by their format (mzTab, Progenesis, two header lines), and ways to damage them."""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nereus.errors import NereusError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset
from tests.tools.proteomics.file_mutations import damage_bytes
from tests.tools.proteomics.valid_grids import DIGITS, accessions

FIXED_KINDS = ("mztab", "progenesis", "two_header_lines")


@dataclass
class Fixed:
    """Lines of cells; `values` has shape (samples, features), and stands in `body` rows and `columns`."""

    lines: list[list[str]]
    body: list[int]
    columns: list[int]
    values: np.ndarray
    samples: list[str]
    separator: str


def valid_fixed(kind: str, rng: np.random.Generator) -> Fixed:
    """A small valid file of one of the kinds `FIXED_KINDS`."""
    n = 24
    proteins = accessions(rng, n)
    runs = ["C_1", "C_2", "D_1", "D_2"]
    raw = np.round(2.0 ** rng.normal(20, 2, (4, n)), 1)
    text = [[DIGITS % v for v in row] for row in raw]
    if kind == "mztab":
        lines = [
            ["MTD", "mzTab-version", "1.0.0"],
            ["MTD", "mzTab-mode", "Summary"],
            ["MTD", "mzTab-type", "Quantification"],
        ]
        lines += [["MTD", f"assay[{i + 1}]-description", run] for i, run in enumerate(runs)]
        lines += [
            ["COM", "a remark"],
            [
                "PRH",
                "accession",
                "description",
                "taxid",
                *[f"protein_abundance_assay[{i + 1}]" for i in range(4)],
            ],
        ]
        start = len(lines)
        lines += [
            ["PRT", name, f"Protein {j}", "9606", *[text[i][j] for i in range(4)]]
            for j, name in enumerate(proteins)
        ]
        columns, separator = list(range(4, 8)), "\t"
    elif kind == "progenesis":
        lines = [
            [*[""] * 5, "Normalized abundance", "", "", "", "Raw abundance", "", "", ""],
            [*[""] * 5, "C", "", "D", "", "C", "", "D", ""],
            ["#", "Charge", "Sequence", "Accession", "Use in quantitation", *runs, *runs],
        ]
        start = 3
        for j, name in enumerate(proteins):
            peptide = "".join(rng.choice(list("ADEFGHILNPQSTVWY"), 9)) + "K"
            twice = [DIGITS % (2 * raw[i, j]) for i in range(4)]
            lines.append([str(j), "2", peptide, name, "True", *twice, *[text[i][j] for i in range(4)]])
        columns, separator = list(range(9, 13)), ","
    else:
        parts = rng.dirichlet(np.ones(4) * 3, n).T
        text = [[f"{v:.6f}" for v in row] for row in parts]
        raw = parts
        lines = [
            [
                "UniProt accession",
                "Quantified peptides",
                "",
                "Distribution of reporter ions (Replicate 1)",
                "",
                "",
                "",
                "Curation",
            ],
            ["", "Experiment 1", "Experiment 2", "126", "127N", "127C", "128N", "SVM marker set"],
        ]
        start = 2
        lines += [
            [name, "5", "7", *[text[i][j] for i in range(4)], ("ER", "Golgi", "")[j % 3]]
            for j, name in enumerate(proteins)
        ]
        runs = [f"Replicate 1 {channel}" for channel in ("126", "127N", "127C", "128N")]
        columns, separator = list(range(3, 7)), ","
    values = np.array([[float(cell) for cell in row] for row in text])
    return Fixed(lines, list(range(start, start + n)), columns, values, runs, separator)


def fixed_bytes(file: Fixed) -> bytes:
    """The file's bytes."""
    return ("\n".join(file.separator.join(cells) for cells in file.lines) + "\n").encode()


def try_fixed(kind: str, seed: int) -> tuple[str, str, str]:
    """Verdict, label and detail of one damaged or rewritten file."""
    rng = np.random.default_rng(seed)
    file = valid_fixed(kind, rng)
    how = str(
        rng.choice(
            [
                "untouched",
                "rows",
                "missing",
                "gzip",
                "cr_lf",
                "ragged",
                "text",
                "infinite",
                "negative",
                "header",
                "bytes",
            ]
        )
    )
    expect = "equal"
    row, column = int(rng.choice(file.body)), int(rng.choice(file.columns))
    truth = file.values.copy()
    if how == "rows":
        order = [int(i) for i in rng.permutation(len(file.body))]
        body = [file.lines[i] for i in file.body]
        file.lines[file.body[0] :] = [body[i] for i in order]
        truth = truth[:, order]
    elif how == "missing":
        file.lines[row][column] = "null" if kind == "mztab" else str(rng.choice(["", "NA"]))
        truth[file.columns.index(column), file.body.index(row)] = np.nan
    elif how == "ragged":
        if rng.random() < 0.5:
            del file.lines[row][column]
        else:
            file.lines[row].insert(column, "7")
        expect = "refuse"
    elif how in ("text", "infinite", "negative"):
        file.lines[row][column] = {"text": "high", "infinite": "inf", "negative": "-12.5"}[how]
        expect = "refuse" if how != "negative" or kind != "two_header_lines" else "no_crash"
    elif how == "header":
        del file.lines[file.body[0] - 1]
        expect = "refuse"
    data = fixed_bytes(file)
    if how == "gzip":
        data = gzip.compress(data, mtime=0)
    elif how == "cr_lf":
        data = data.replace(b"\n", b"\r\n")
    elif how == "bytes":
        data, expect, more = damage_bytes(data, rng)
        how = f"bytes:{more}"
        expect = "refuse" if expect == "refuse" else "no_crash"
    label = f"{kind}:{how}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.txt"
        path.write_bytes(data)
        try:
            result = load_dataset(SourceFile(path, path.name))
        except NereusError as error:
            fine = error.mend and error.where and path.name in error.where
            return (
                ("refused", label, error.what)
                if fine
                else ("wrong", label, f"an error without place or mend: {error}")
            )
        except Exception as error:  # noqa: BLE001 - any other exception is the failure that is looked for
            return "crash", label, f"{type(error).__name__}: {error}"
    if expect == "refuse":
        return "wrong", label, "read although it had to be refused"
    if expect == "no_crash":
        return "equal", label, "only crashes are judged"
    read = result.dataset()
    if list(read.obs_names) != file.samples or read.shape != truth.shape:
        return "wrong", label, f"{read.shape} {list(read.obs_names)}"
    same = np.allclose(np.asarray(read.X), np.log2(truth), rtol=1e-9, equal_nan=True)
    return ("equal", label, "") if same else ("wrong", label, "values")
