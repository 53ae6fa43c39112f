"""Valid wide tables whose content is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

DIGITS = "%.6g"


@dataclass(frozen=True)
class Grid:
    """A table and the values that it holds.

    `values` has shape (samples, features); `cells` are the rows below `header`; `columns` are the positions of the
    sample columns in the order of `samples`.
    """

    kind: str
    header: list[str]
    cells: list[list[str]]
    samples: list[str]
    features: list[str]
    values: np.ndarray
    columns: list[int]
    others: list[int] = field(default_factory=list)
    """Positions of columns of another quantity of the same samples."""
    separator: str = "\t"
    encoding: str = "utf-8"
    newline: str = "\n"
    quote_all: bool = False
    end: bool = True
    before: tuple[str, ...] = ()
    blank_every: int = 0
    compress: bool = False
    transposed: bool = False
    expect: str = "equal"
    names: bool = True
    """Whether sample and feature names must be equal, too."""
    label: str = ""


def _number(value: float, log: bool = False) -> str:
    return "" if np.isnan(value) else (f"{value:.5f}" if log else DIGITS % value)


def accessions(rng: np.random.Generator, n: int) -> list[str]:
    letters, digits = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), list("0123456789")
    found: list[str] = []
    while len(found) < n:
        name = (
            rng.choice(list("OPQ"))
            + rng.choice(digits)
            + "".join(rng.choice(letters, 3))
            + rng.choice(digits)
        )
        if name not in found:
            found.append(str(name))
    return found


def valid_grid(kind: str, rng: np.random.Generator, n_features: int = 14, n_samples: int = 6) -> Grid:
    """A small valid table of one of the kinds `KINDS`."""
    half = n_samples // 2
    samples = [f"C_R{i + 1}" for i in range(half)] + [f"D_R{i + 1}" for i in range(n_samples - half)]
    features = accessions(rng, n_features)
    level = rng.normal(22, 2.5, n_features)
    log = level + rng.normal(0, 0.4, (n_samples, n_features))
    log[rng.random(log.shape) < 0.15] = np.nan
    log[:, 0] = level[0]
    raw = np.round(2.0**log, 2)
    is_log = kind == "generic_log2"
    values = np.array([[float(_number(v, is_log) or "nan") for v in row] for row in (log if is_log else raw)])
    text = [[_number(v, is_log) for v in row] for row in values]
    if kind == "maxquant":
        other = np.round(values * 1.5, 1)
        header = ["Protein IDs", "Majority protein IDs", "Fasta headers", "Peptides"]
        header += [f"Razor + unique peptides {s}" for s in samples]
        start = len(header)
        header += [
            "Intensity",
            *[f"Intensity {s}" for s in samples],
            *[f"LFQ intensity {s}" for s in samples],
        ]
        header += ["Only identified by site", "Reverse", "Potential contaminant", "id"]
        cells = []
        for j, name in enumerate(features):
            total = float(np.nansum(other[:, j]))
            row = [
                f"{name};Q99999",
                name,
                f">sp|{name}|AB_YEAST Protein {j} OS=Saccharomyces cerevisiae GN=G{j}",
                "5",
            ]
            row += ["3"] * n_samples + [f"{total:.1f}"]
            row += ["0" if np.isnan(other[i, j]) else f"{other[i, j]:.1f}" for i in range(n_samples)]
            row += [text[i][j] or "0" for i in range(n_samples)]
            cells.append([*row, "", "", "", str(j)])
        lfq = list(range(start + 1 + n_samples, start + 1 + 2 * n_samples))
        raw_columns = list(range(start + 1, start + 1 + n_samples))
        return Grid(kind, header, cells, samples, features, values, lfq, raw_columns)
    if kind == "diann":
        header = ["Protein.Group", "Protein.Ids", "Protein.Names", "Genes", "First.Protein.Description"]
        cells = [
            [
                name,
                name,
                "AB_HUMAN",
                f"G{j}",
                f"Protein {j}, mitochondrial",
                *[text[i][j] for i in range(n_samples)],
            ]
            for j, name in enumerate(features)
        ]
        header += [f"D:\\data\\{s}.raw" for s in samples]
        return Grid(kind, header, cells, samples, features, values, list(range(5, 5 + n_samples)))
    if kind == "generic_annotated":
        header = ["Protein", "Gene names", *samples, "Score", "Description"]
        cells = [
            [name, f"G{j}", *[text[i][j] for i in range(n_samples)], f"{j + 0.5}", f"Protein {j}"]
            for j, name in enumerate(features)
        ]
        return Grid(kind, header, cells, samples, features, values, list(range(2, 2 + n_samples)))
    if kind == "paw":
        header = [
            "ProtGroup",
            "Accession",
            "Filter",
            "Description",
            *[f"TotInt_{c}_{s}" for c, s in _CHANNELS[:n_samples]],
        ]
        named = [f"{c.removesuffix('C') if c == '126C' else c}_{s}" for c, s in _CHANNELS[:n_samples]]
        cells = [
            [
                str(j),
                name,
                "",
                f"Protein {j} OS=Homo sapiens OX=9606",
                *[text[i][j] for i in range(n_samples)],
            ]
            for j, name in enumerate(features)
        ]
        return Grid(kind, header, cells, named, features, values, list(range(4, 4 + n_samples)))
    if kind == "fragpipe":
        header = ["Protein", "Gene", "Protein Length", "Organism", "Description", "Combined Total Peptides"]
        header += [f"{s} MaxLFQ Intensity" for s in samples]
        cells = [
            [
                f"sp|{name}|AB_HUMAN",
                f"G{j}",
                "105",
                "Homo sapiens",
                f"Protein {j}",
                "7",
                *[text[i][j] for i in range(n_samples)],
            ]
            for j, name in enumerate(features)
        ]
        names = [f"sp|{name}|AB_HUMAN" for name in features]
        return Grid(kind, header, cells, samples, names, values, list(range(6, 6 + n_samples)))
    if kind == "lfqbench":
        header = ["proteinID", "species", *samples]
        species = ("HUMAN", "YEAST", "ECOLI")
        cells = [
            [name, species[j % 3], *[text[i][j] for i in range(n_samples)]] for j, name in enumerate(features)
        ]
        return Grid(kind, header, cells, samples, features, values, list(range(2, 2 + n_samples)))
    if kind == "sites":
        header = ["site", *[f"Intensity.{s}" for s in samples]]
        names = [f"{name};G{j};S{j + 5};AAAADEFSPKKLMNP" for j, name in enumerate(features)]
        cells = [[name, *[text[i][j] for i in range(n_samples)]] for j, name in enumerate(names)]
        return Grid(kind, header, cells, samples, names, values, list(range(1, 1 + n_samples)))
    header = ["Protein", *samples]
    cells = [[name, *[text[i][j] for i in range(n_samples)]] for j, name in enumerate(features)]
    grid = Grid(kind, header, cells, samples, features, values, list(range(1, 1 + n_samples)))
    return replace(grid, separator=",") if kind == "generic_log2" else grid


_CHANNELS = [(channel, plex) for plex in ("A", "B") for channel in ("126C", "127N", "127C", "128N", "128C")]
KINDS = (
    "maxquant",
    "diann",
    "generic",
    "generic_log2",
    "generic_annotated",
    "paw",
    "fragpipe",
    "lfqbench",
    "sites",
)
