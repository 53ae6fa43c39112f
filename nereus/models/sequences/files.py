"""FASTA and GenBank files as tables of sequences, in the columns that methods for sequences take.

A coding sequence of an annotated genome gives three rows (DNA of its coding strand with introns taken out, RNA, protein), a gene
of an RNA two, and the genome itself windows of both strands. What belongs together is told by three columns: ``gene`` (one
locus), ``related`` (its symbol, shared with its relatives of other records), ``document`` (its neighbourhood).
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pandas as pd

from nereus.errors import InputError
from nereus.models.files import ending
from nereus.models.sequences.alphabets import guess, reverse_complement

if TYPE_CHECKING:
    from Bio.SeqFeature import SeqFeature
    from Bio.SeqRecord import SeqRecord

COLUMNS = (
    "row",
    "sequence",
    "modality",
    "gene",
    "related",
    "document",
    "product",
    "record",
    "start",
    "end",
    "strand",
)
_GENBANK = (".gb", ".gbk", ".gbff", ".genbank")
_FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn", ".frn")
_RNA = ("tRNA", "rRNA", "ncRNA", "tmRNA", "misc_RNA")
WINDOW = 1000
"""Letters of a window of the genome."""
NEIGHBOURS = 4
"""Genes of a document: neighbours on the genome, such as an operon has."""


def is_sequence_file(path: Path) -> bool:
    """Whether the name is that of a FASTA or GenBank file, gzipped or not."""
    return ending(path) in (*_GENBANK, *_FASTA)


def read_sequence_file(path: Path) -> pd.DataFrame:
    """The table of a FASTA or GenBank file.

    Parameters
    ----------
    path
        The file, gzipped or not.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; ``row`` is unique. Positions count from zero, the end is beyond. Of a FASTA file: ``row, sequence,
        modality`` with the kind told from all letters of the file.

    Raises
    ------
    InputError
        The file is missing, has no record, or cannot be read.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path))
    if ending(path) in _GENBANK:
        return _genbank(path)
    if ending(path) in _FASTA:
        return _fasta(path)
    raise InputError(
        "this is no sequence file by its name",
        where=str(path),
        mend=f"names end in {', '.join((*_GENBANK, *_FASTA))}, with or without .gz",
    )


def _open(path: Path) -> TextIO:
    return gzip.open(path, "rt") if path.suffix.lower() == ".gz" else path.open(encoding="utf-8")


def _records(path: Path, kind: str) -> list[SeqRecord]:
    try:
        from Bio import BiopythonWarning, SeqIO
    except ModuleNotFoundError as error:
        raise InputError(
            "sequence files need biopython, which is not installed",
            where=str(path),
            mend="pip install -e '.[models]'",
        ) from error
    try:
        with _open(path) as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)  # spelling of the header, which is not used
            found = list(SeqIO.parse(opened, kind))
    except (ValueError, OSError, EOFError, UnicodeDecodeError, AssertionError) as error:
        raise InputError(f"the file cannot be read: {error}", where=str(path)) from error
    if not found:
        raise InputError("the file has no record", where=str(path), mend=f"it is read as {kind}")
    return found


def _fasta(path: Path) -> pd.DataFrame:
    records = _records(path, "fasta")
    modality = guess("".join(str(one.seq) for one in records))
    table = pd.DataFrame(
        {
            "row": [one.id for one in records],
            "sequence": [str(one.seq) for one in records],
            "modality": modality,
        }
    )
    table["row"] = _unique(table["row"].tolist())
    return table


def _genbank(path: Path) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for record in _records(path, "genbank"):
        if (
            record.annotations.get("molecule_type") == "protein"
            or record.seq is None
            or not record.seq.defined
        ):
            raise InputError(
                f"record {record.id!r} holds no nucleotides",
                where=str(path),
                mend="give a full nucleotide record",
            )
        rows += _genes(record)
        rows += _windows(record)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["row"] = _unique(table["row"].tolist())
    return table


def _genes(record: SeqRecord) -> Iterator[dict[str, Any]]:
    number = 0
    seen: dict[str, int] = {}
    for feature in record.features:
        made = _products(feature, record)
        location = feature.location
        if not made or location is None:
            continue
        symbol = (
            _first(feature, "gene")
            or _first(feature, "locus_tag")
            or _first(feature, "product")
            or str(number)
        )
        gene = f"{record.id}/{symbol}@{int(location.start)}"
        seen[gene] = seen.get(gene, 0) + 1
        if seen[gene] > 1:  # trans-spliced copies begin with the same exon
            gene = f"{gene}#{seen[gene]}"
        for modality, letters in made.items():
            yield {
                "row": f"{gene}/{modality}",
                "sequence": letters,
                "modality": modality,
                "gene": gene,
                "related": (_first(feature, "gene") or "").lower() or None,
                "document": f"{record.id}/{number // NEIGHBOURS}",
                "product": _first(feature, "product"),
                "record": record.id,
                "start": int(location.start),
                "end": int(location.end),
                "strand": {1: "+", -1: "-"}.get(location.strand or 0, "mixed"),
            }
        number += 1


def _products(feature: SeqFeature, record: SeqRecord) -> dict[str, str]:
    """DNA of the coding strand, RNA, and the protein of a coding sequence; none of pseudogenes and cut ones."""
    if (
        feature.type not in ("CDS", *_RNA)
        or "pseudo" in feature.qualifiers
        or "pseudogene" in feature.qualifiers
    ):
        return {}
    try:
        dna = str(feature.extract(record.seq)).upper()
    except (ValueError, TypeError):  # parts in another record
        return {}
    if not dna:
        return {}
    made = {"dna": dna, "rna": dna.replace("T", "U")}
    if feature.type == "CDS":
        start = int(_first(feature, "codon_start") or 1) - 1
        made = {kind: letters[start:] for kind, letters in made.items()}
        protein = _first(feature, "translation") or _translated(made["dna"], _first(feature, "transl_table"))
        if not protein:
            return {}
        made["protein"] = protein
    return made


def _translated(dna: str, code: str | None) -> str:
    from Bio.Seq import Seq

    return str(Seq(dna[: len(dna) // 3 * 3]).translate(table=int(code or 1), to_stop=True))


def _windows(record: SeqRecord) -> Iterator[dict[str, Any]]:
    """The genome in windows, every second of the other strand."""
    letters = str(record.seq).upper()
    for number, start in enumerate(range(0, len(letters), WINDOW)):
        window = letters[start : start + WINDOW]
        if len(window) < WINDOW // 2 and start:
            break
        strand = "-" if number % 2 else "+"
        yield {
            "row": f"{record.id}/{start}{strand}",
            "sequence": reverse_complement(window) if strand == "-" else window,
            "modality": "dna",
            "record": record.id,
            "start": start,
            "end": start + len(window),
            "strand": strand,
        }


def _first(feature: SeqFeature, name: str) -> str | None:
    values = feature.qualifiers.get(name)
    return str(values[0]) if values else None


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found
