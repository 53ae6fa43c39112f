"""What files that are given together are taken for, by their contents."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nereus.tools.proteomics.readers.file_roles import Role, look_at, roles_of


def table(path: Path, samples: list[str], prefix: str = "P1", n: int = 40, rows: bool = False) -> Path:
    """Quantities of proteins, with samples in columns or in rows."""
    values = np.random.default_rng(len(prefix)).lognormal(10, 1, (n, len(samples))).round(2)
    names = [f"{prefix}{number:04d}" for number in range(n)]
    if rows:
        lines = [",".join(["id", *names])] + [
            ",".join([name, *map(str, values[:, place])]) for place, name in enumerate(samples)
        ]
    else:
        lines = [",".join(["protein", *samples])] + [
            ",".join([name, *map(str, values[place])]) for place, name in enumerate(names)
        ]
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def sheet(path: Path, *columns: list[str]) -> Path:
    """A sheet with the given columns of names, and a group."""
    head = ",".join([*(f"n{place}" for place in range(len(columns))), "group"])
    lines = [",".join([*names, "ab"[place % 2]]) for place, names in enumerate(zip(*columns, strict=True))]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def told(given: dict[str, str] | None = None, **files: Path) -> dict[str, Role]:
    return roles_of([look_at(name, path, path.name) for name, path in files.items()], given)


def roles(given: dict[str, str] | None = None, **files: Path) -> dict[str, str]:
    return {name: one.role for name, one in told(given, **files).items()}


SAMPLES = [f"S{number}" for number in range(1, 9)]
OTHERS = [f"V{number}" for number in range(1, 9)]


@pytest.mark.parametrize("rows", [False, True])
def test_a_sheet_is_known_by_the_samples_it_names_whatever_it_is_called(tmp_path: Path, rows: bool) -> None:
    a = table(tmp_path / "sample_values.csv.gz", SAMPLES, rows=rows)
    b = sheet(tmp_path / "big.csv", SAMPLES)
    found = told(b=b, a=a)
    assert {name: one.role for name, one in found.items()} == {"b": "samples", "a": "data"}
    assert "names the samples of sample_values.csv.gz" in found["b"].why
    assert not any(one.problem for one in found.values())


def test_layers_and_a_cohort_with_their_sheets(tmp_path: Path) -> None:
    rna = [f"{name}_rna" for name in SAMPLES]
    files = {
        "sheet": sheet(tmp_path / "clinic.csv", SAMPLES, rna),
        "second": sheet(tmp_path / "more.csv", OTHERS),
        "rna": table(tmp_path / "RNAseq_counts.csv", rna, "ENSG0000000", n=90),
        "phospho": table(tmp_path / "phospho.csv", SAMPLES, "Q2", n=50),
        "other": table(tmp_path / "proteins_B.csv", OTHERS),
        "data": table(tmp_path / "proteins_A.csv", SAMPLES, n=60),
    }
    assert roles(None, **files) == {
        "sheet": "samples",
        "second": "cohort_samples",
        "rna": "layer:rna",
        "phospho": "layer:phospho",
        "other": "cohort",
        "data": "data",
    }


def test_what_was_said_stays_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    files = {
        "data": table(tmp_path / "a.csv", SAMPLES),
        "other": table(tmp_path / "b.csv", OTHERS, n=30),
        "sheet": sheet(tmp_path / "c.csv", OTHERS),
    }
    said = {"data": "data", "other": "layer:rna", "sheet": "samples"}
    found = told(said, **files)
    assert {name: one.role for name, one in found.items()} == said
    assert "shares 0 samples with the data" in found["other"].problem
    assert "no column of it names the samples of a.csv" in found["sheet"].problem
    mended = told({"data": "data"}, **files)
    assert {name: one.role for name, one in mended.items()} == {
        "data": "data",
        "other": "cohort",
        "sheet": "cohort_samples",
    }
    assert not any(one.problem for one in mended.values())
    twice = told({"data": "data", "other": "data"}, **files)
    assert "another file" in twice["data"].problem


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4 nothing")
    found = told(data=table(tmp_path / "a.csv", SAMPLES), bad=tmp_path / "x.pdf")
    assert found["bad"].role == ""
    assert "cannot be read" in found["bad"].why
    assert found["data"].role == "data"
    assert "PDF" in told({"bad": "samples"}, bad=tmp_path / "x.pdf")["bad"].problem


def test_a_long_table_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv.gz", SAMPLES, n=60)
    with gzip.open(path, "ab") as more:
        more.write(b"P9,1,2,3,4,5,6,7,8\n" * 200_000)
    known = look_at("a", path, path.name)
    assert known.table is not None
    assert known.table.n_rows < 150_000
    assert known.samples[0] == SAMPLES
