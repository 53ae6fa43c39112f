"""The studies that all arms analyse: the files, what each arm's user types, and what is true.

All arms read the same files (identifiers that tell the answer are tokens). The product gets the files alone; the
settings of the other arms are what their expert knows and types: which columns hold values, which rows to leave out,
which factor, contrasts, covariates and repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.data_sets.row import Files
from benchmarks.truth.data_sets.spike_ins import (
    cptac_expected,
    cptac_files,
    species_expected,
    species_files,
    ups1_expected,
    ups1_files,
)

Expected = Callable[[str, str], float | None]
CSF = Path("clinical_alzheimer_csf_bader")
MICE = Path("clinical_mouse_cortex_down_syndrome") / "Data_Cortex_Nuclear.csv.gz"
MICE_FACTORS = {
    "Genotype": ("Ts65Dn", "Control"),
    "Treatment": ("Memantine", "Saline"),
    "Behavior": ("S/C", "C/S"),
}
# From the README of the data sets: all higher in Alzheimer's disease.
CSF_MARKERS = ("P10636", "P04075", "P00338", "P63104", "P61981", "P14618", "P14174", "P00441")


@dataclass(frozen=True)
class Study:
    """One table with its truth.

    Attributes
    ----------
    name, truth
        What it is called, and what a correct analysis must find.
    files
        (folder of the data sets, work folder, seed) -> what every arm reads.
    expected
        (feature, contrast ``a vs b``) -> log2 effect; 0 where a claim is false, None where the truth says nothing.
        And how many (feature, contrast) pairs are true.
    limma, alphapeptstats
        What their users type.
    """

    name: str
    truth: str
    files: Callable[[Path, Path, int], Files]
    expected: Callable[[Files], tuple[Expected, int]]
    limma: Callable[[Files], dict[str, Any]]
    alphapeptstats: Callable[[Files], dict[str, Any]]


# ------------------------------------------------------------------------------------------------------ UPS1 in yeast


def _header(path: Path, words: str) -> str:
    """The column of a header whose letters are `words`, however they are joined."""
    names = path.open(encoding="utf-8").readline().rstrip("\n").split("\t")
    return next(n for n in names if "".join(c for c in n.lower() if c.isalnum()) == words)


def _ramus(name: str) -> Study:
    def groups(files: Files) -> list[str]:
        assert files.samples is not None
        return list(dict.fromkeys(pd.read_csv(files.samples, sep=r"\s+")["Condition"].astype(str)))

    def limma(files: Files) -> dict[str, Any]:
        marks = ("onlyidentifiedbysite", "reverse", "potentialcontaminant")
        return {
            "file": str(files.data),
            "sep": "\t",
            "id": _header(files.data, "majorityproteinids"),
            "values": "^LFQ[_. ][Ii]ntensity[_. ]",
            "strip": "^LFQ[_. ][Ii]ntensity[_. ]",
            "drop_marked": [_header(files.data, mark) for mark in marks],
            "sheet": str(_stripped(files)),
            "sheet_id": "sample",
            "factor": "Condition",
            "contrasts": [groups(files)],
            "normalise": "median",
        }

    def alpha(files: Files) -> dict[str, Any]:
        names = files.data.open(encoding="utf-8").readline().rstrip("\n").split("\t")
        columns = [
            n for n in names if n.lower().startswith("lfq")
        ]  # as a list: separators differ within a file
        sheet = pd.read_csv(_stripped(files))
        sheet["sample"] = [next(c for c in columns if c.endswith(f"sity_{bare}")) for bare in sheet["sample"]]
        path = files.data.with_name("named_samples.csv")
        sheet.to_csv(path, index=False)
        marks = ("onlyidentifiedbysite", "reverse", "potentialcontaminant")
        return {
            "loader": "maxquant",
            "file": str(files.data),
            "intensity_column": columns,
            "index_column": _header(files.data, "majorityproteinids"),
            "filter_columns": [_header(files.data, mark) for mark in marks],
            "sheet": str(path),
            "contrasts": [["Condition", *groups(files)]],
            "completeness": 0.5,
            "normalization": None,
        }

    def expected(files: Files) -> tuple[Expected, int]:
        return ups1_expected(files)

    return Study(
        f"UPS1 in yeast, {name}",
        "48 spiked proteins differ, the yeast does not",
        partial(ups1_files, name),
        expected,
        limma,
        alpha,
    )


def _stripped(files: Files) -> Path:
    """The sample sheet with bare sample names, as an analyst of R or AlphaPeptStats would make it."""
    assert files.samples is not None
    sheet = pd.read_csv(files.samples, sep=r"\s+")
    sheet["sample"] = sheet["Sample.name"].str.replace("Intensity_", "", regex=False)
    path = files.samples.with_name("bare_samples.csv")
    sheet[["sample", "Condition"]].to_csv(path, index=False)
    return path


# -------------------------------------------------------------------------------------------------------------- CPTAC

PAIRS = (("B", "A"), ("C", "A"), ("C", "B"))


def _cptac_limma(files: Files) -> dict[str, Any]:
    return {
        "file": str(files.data),
        "sep": "\t",
        "id": "Majority protein IDs",
        "values": "^LFQ intensity ",
        "strip": "^LFQ intensity ",
        "drop_marked": ["Only identified by site", "Reverse", "Potential contaminant"],
        "sheet": str(files.samples),
        "sheet_id": "sample",
        "factor": "spike",
        "covariates": ["lab"],
        "contrasts": [list(pair) for pair in PAIRS],
        "normalise": "median",
    }


def _cptac_alpha(files: Files) -> dict[str, Any]:
    return {
        "loader": "maxquant",
        "file": str(files.data),
        "index_column": "Majority protein IDs",
        "sheet": str(files.samples),
        "contrasts": [["spike", *pair] for pair in PAIRS],
        "completeness": 0.5,
        "normalization": None,
    }


def _cptac_expected(files: Files) -> tuple[Expected, int]:
    expected, spiked = cptac_expected(files)
    return expected, spiked * len(PAIRS)


# ------------------------------------------------------------------------------------------------------ three species


def _species(name: str, label: str) -> Study:
    def limma(files: Files) -> dict[str, Any]:
        return {
            "file": str(files.data),
            "sep": "\t",
            "id": "proteinID",
            "values": "^[AB][0-9]$",
            "groups": "^([AB]).*$",
            "factor": "group",
            "contrasts": [["A", "B"]],
            "normalise": "none",  # mixed by design: most proteins of two species differ, so nothing is centred
        }

    def alpha(files: Files) -> dict[str, Any]:
        return {
            "loader": "generic",
            "file": str(files.data),
            "sep": "\t",
            "id": "proteinID",
            "group_letters": 1,
            "contrasts": [["group", "A", "B"]],
            "completeness": 0.5,
            "normalization": None,
        }

    return Study(
        label,
        "yeast and E. coli proteins differ, human ones do not",
        partial(species_files, name),
        partial(species_expected, name),
        limma,
        alpha,
    )


# ----------------------------------------------------------------------------------------------------------- patients


def csf_files(folder: Path, work: Path, seed: int, *, exchanged: bool) -> Files:
    """Table and sheet; with `exchanged`, diagnoses are dealt out again among the patients of a site."""
    data, samples = work / "proteome.csv", work / "patients.csv"
    pd.read_csv(folder / CSF / "proteome.csv.gz", index_col=0).to_csv(data)
    meta = pd.read_csv(folder / CSF / "meta.csv")
    sheet = pd.DataFrame(
        {
            "sample": meta["Sample ID"],
            "site": meta["_collection site"],
            "age": meta["_age at CSF collection"],
            "sex": meta["_gender"],
            "diagnosis": meta["_primary biochemical AD classification"].map(
                {"biochemical AD": "AD", "biochemical control": "control"}
            ),
        }
    )
    if exchanged:
        rng = np.random.default_rng(seed)
        for _, rows in sheet.groupby("site").groups.items():
            sheet.loc[rows, "diagnosis"] = rng.permutation(sheet.loc[rows, "diagnosis"].to_numpy())
    sheet.to_csv(samples, index=False)
    return Files(data, samples)


def _csf_expected(files: Files, *, exchanged: bool) -> tuple[Expected, int]:
    def expected(feature: str, contrast: str) -> float | None:
        sides = contrast.split(" vs ")
        if sorted(sides) != ["AD", "control"]:
            return None
        if exchanged:
            return 0.0
        if not any(part.split("-")[0] in CSF_MARKERS for part in feature.split(";")):
            return None
        return 1.0 if sides[0] == "AD" else -1.0

    known = pd.read_csv(files.data, nrows=1).columns[1:]
    count = sum(any(p.split("-")[0] in CSF_MARKERS for p in name.split(";")) for name in known)
    return expected, 0 if exchanged else count


def _csf_limma(files: Files) -> dict[str, Any]:
    return {
        "file": str(files.data),
        "sep": ",",
        "id": "Sample ID",
        "samples_in_rows": True,
        "not_values": [],
        "sheet": str(files.samples),
        "sheet_id": "sample",
        "factor": "diagnosis",
        "covariates": ["site", "age", "sex"],
        "contrasts": [["AD", "control"]],
        "normalise": "median",
    }


def _csf_alpha(files: Files) -> dict[str, Any]:
    return {
        "loader": "generic",
        "file": str(files.data),
        "id": "Sample ID",
        "samples_in_rows": True,
        "sheet": str(files.samples),
        "contrasts": [["diagnosis", "AD", "control"]],
        "covariates": ["site", "age", "sex"],
        "completeness": 0.5,
        "normalization": "zscore",
    }


def _csf(*, exchanged: bool) -> Study:
    return Study(
        "CSF, diagnoses exchanged within sites" if exchanged else "CSF, Alzheimer's disease",
        "nothing differs by diagnosis" if exchanged else "known markers rise; three sites confound",
        partial(csf_files, exchanged=exchanged),
        partial(_csf_expected, exchanged=exchanged),
        _csf_limma,
        _csf_alpha,
    )


# --------------------------------------------------------------------------------------------------------------- mice


def mice_files(folder: Path, work: Path, seed: int, *, exchanged: bool) -> Files:
    """The table; with `exchanged`, the mice's factors are dealt out again, one deal for all repeats of a mouse."""
    data = work / "mice.csv"
    table = pd.read_csv(folder / MICE, sep=";")
    factors = [*MICE_FACTORS, "class"]
    if exchanged:
        mouse = table["MouseID"].str.rsplit("_", n=1).str[0]
        each = table.groupby(mouse, sort=False)[factors].first()
        order = np.random.default_rng(seed).permutation(len(each))
        dealt = pd.DataFrame(each.to_numpy()[order], index=each.index, columns=factors)
        table[factors] = dealt.loc[mouse].to_numpy()
    table.to_csv(data, sep=";", index=False)
    return Files(data)


def _mice_expected(files: Files, *, exchanged: bool) -> tuple[Expected, int]:
    named = {frozenset(pair) for pair in MICE_FACTORS.values()}

    def expected(feature: str, contrast: str) -> float | None:
        sides = frozenset(contrast.split(" (")[0].split(" vs "))
        return 0.0 if exchanged and sides in named else None

    return expected, 0


def _mice_limma(factor: str, files: Files) -> dict[str, Any]:
    return {
        "file": str(files.data),
        "sep": ";",
        "id": "MouseID",
        "samples_in_rows": True,
        "not_values": [*MICE_FACTORS, "class"],
        "repeat_pattern": "_[0-9]+$",
        "factor": factor,
        "covariates": [other for other in MICE_FACTORS if other != factor],
        "contrasts": [list(MICE_FACTORS[factor])],
        "normalise": "none",
    }


def _mice_alpha(files: Files) -> dict[str, Any]:
    return {
        "loader": "generic",
        "file": str(files.data),
        "sep": ";",
        "id": "MouseID",
        "samples_in_rows": True,
        "not_values": [*MICE_FACTORS, "class"],
        "repeat_pattern": "_[0-9]+$",
        "contrasts": [[factor, *pair] for factor, pair in MICE_FACTORS.items()],
        "completeness": 0.5,
        "normalization": None,
    }


def _mice(factor: str) -> Study:
    return Study(
        f"Mouse cortex, factors exchanged ({factor.lower()})",
        "nothing differs; 15 repeats of a mouse are not 15 mice",
        partial(mice_files, exchanged=True),
        partial(_mice_expected, exchanged=True),
        partial(_mice_limma, factor),
        _mice_alpha,
    )


STUDIES = (
    *(_ramus(name) for name in ("Exp1_R25", "Exp1_R2", "Exp2_R100", "Exp2_R10", "Exp2_R2")),
    Study(
        "CPTAC study 6",
        "40 spiked proteins rise from A to B to C, the yeast does not; three labs",
        cptac_files,
        _cptac_expected,
        _cptac_limma,
        _cptac_alpha,
    ),
    _species("hye124_spectronaut_proteins.tsv", "HYE124, Spectronaut"),
    _species("hye124_peakview_proteins.tsv", "HYE124, PeakView"),
    _species("hye110_isoquant_proteins.tsv", "HYE110, ISOQuant"),
    _csf(exchanged=False),
    _csf(exchanged=True),
    _mice("Genotype"),
)
