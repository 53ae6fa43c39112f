"""From feature identifiers to gene symbols, and from identifiers to the organism."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from nereus.tools.enrichment.collections import COLLECTIONS, DATA, load_sets, universe
from nereus.tools.proteomics.readers.accessions import organism_of as told_organism

# https://www.uniprot.org/help/accession_numbers, with an isoform suffix
ACCESSION = re.compile(
    r"(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-\d+)?(?![A-Z0-9])"
)
ENSEMBL = re.compile(r"ENS(?:MUS)?G\d{11}")
_MIN_VOTES = 0.1
_SPECIES_SUFFIX = {"HUMAN": "human", "MOUSE": "mouse", "YEAST": "yeast", "RAT": "rat"}
_LOCUS_NAMES = {
    "arabidopsis": re.compile(r"AT[1-5CM]G\d{5}(?:\.\d+)?\Z", re.IGNORECASE),
    "yeast": re.compile(r"(?:Y[A-P][LR]\d{3}[WC](?:-[A-Z])?|Q0\d{3})\Z"),
    "fruit fly": re.compile(r"FB(?:gn|pp|tr)\d{7}\Z"),
    "worm": re.compile(r"WBGene\d{8}\Z"),
    "human": re.compile(r"ENS[GPT]\d{11}(?:\.\d+)?\Z"),
    "mouse": re.compile(r"ENSMUS[GPT]\d{11}(?:\.\d+)?\Z"),
    "rat": re.compile(r"ENSRNO[GPT]\d{11}(?:\.\d+)?\Z"),
    "zebrafish": re.compile(r"ENSDAR[GPT]\d{11}(?:\.\d+)?\Z"),
}
"""Names of genes and proteins that only one organism's database gives."""


@dataclass(frozen=True)
class GeneMapping:
    """Genes of features.

    Attributes
    ----------
    genes
        One symbol a feature, "" where none was found.
    organism
        ``human``, ``mouse``, ``yeast``, ``rat``, another name that identifiers tell, or ``unknown``.
    rate
        Share of features whose gene occurs in a gene set of the organism (0 where it has no sets).
    """

    genes: tuple[str, ...]
    organism: str
    rate: float


@cache
def _known_identifiers() -> tuple[Mapping[str, str], Mapping[str, str]]:
    table = pd.read_parquet(DATA / "identifiers.parquet").astype(str)
    return dict(zip(table["id"], table["gene"], strict=True)), dict(
        zip(table["id"], table["organism"], strict=True)
    )


@cache
def _symbols(organism: str) -> frozenset[str]:
    """Symbols of an organism exactly as written."""
    gene_of, organism_of = _known_identifiers()
    listed = {gene for identifier, gene in gene_of.items() if organism_of[identifier] == organism}
    return frozenset(listed | set(load_sets(organism).genes if organism in COLLECTIONS else ()))


def identifiers_in(feature: str) -> list[str]:
    """UniProt accessions (without isoform suffix) and Ensembl genes in a feature identifier, in order.

    Examples
    --------
    >>> identifiers_in("sp|P04637-2|P53_HUMAN;Q00987")
    ['P04637', 'Q00987']
    """
    found: list[str] = []
    for part in re.split(r"[;,|\s:]+", feature):
        if match := ACCESSION.match(part):
            found.append(match.group().split("-")[0])
        elif match := ENSEMBL.match(part):
            found.append(match.group())
    return found


def detect_organism(features: Sequence[str], genes: Sequence[str]) -> str:
    """Organism by vote of identifiers, of ``_HUMAN``-like entry names and of how symbols are written.

    Each feature votes for every organism that knows its accession, entry-name suffix, locus name or symbol (TP53 human,
    Trp53 mouse, At1g09210 arabidopsis). The winner needs votes of a tenth of the features; else ``unknown``.

    Examples
    --------
    >>> detect_organism(["P04637", "P68871", "P02768"], ["", "", ""])
    'human'
    >>> detect_organism(["1", "2"], ["Gapdh", "Actb"]), detect_organism(["At1g09210", "At1g21750"], ["", ""])
    ('mouse', 'arabidopsis')
    """
    _, organism_of = _known_identifiers()
    votes: dict[str, float] = dict.fromkeys(("human", "mouse", "yeast", "rat"), 0.0)
    votes |= dict.fromkeys(_LOCUS_NAMES, 0.0)
    symbols = {organism: _symbols(organism) for organism in ("human", "mouse", "yeast")}
    for feature, gene in zip(features, genes, strict=True):
        named = {name for suffix, name in _SPECIES_SUFFIX.items() if f"_{suffix}" in feature.upper()}
        named |= {
            name
            for part in re.split(r"[;,|\s]+", feature)
            for name, locus in _LOCUS_NAMES.items()
            if locus.match(part)
        }
        if not named and (told := told_organism(feature)):
            named = {told}
            votes.setdefault(told, 0.0)
        by_id = {
            organism_of[identifier] for identifier in identifiers_in(feature) if identifier in organism_of
        }
        first = first_symbol(gene) or feature
        by_symbol = {name for name, listed in symbols.items() if first in listed}
        # What names the species outright counts most, and a symbol that several species share counts least.
        for chosen, weight in ((named, 1.0), (by_id, 1.0), (by_symbol, 0.5)):
            for name in chosen:
                votes[name] += weight / len(chosen)
    winner = max(votes, key=lambda name: votes[name])
    return winner if features and votes[winner] >= _MIN_VOTES * len(features) else "unknown"


def first_symbol(gene: str) -> str:
    """First gene name of a list such as ``"ACTB;ACTG1"`` or ``"ACTB ACTG1"``; "" where there is none."""
    names = [name for name in re.split(r"[;,\s|]+", str(gene)) if name]
    return names[0] if names and names[0].lower() not in {"nan", "none", "na"} else ""


def map_genes(features: Sequence[str], genes: Sequence[str], organism: str = "auto") -> GeneMapping:
    """Give each feature one gene symbol.

    A protein group stands for one measurement, so it has one gene: the first of its gene names that occurs
    in a gene set, else the gene of its first known accession, else its identifier where that is itself a
    symbol.

    Parameters
    ----------
    features, genes
        Feature identifiers, and gene names as the data set has them ("" where unknown).
    organism
        ``auto`` or the name of an organism.
    """
    if organism in ("auto", "unknown", ""):
        organism = detect_organism(features, genes)
    gene_of, _ = _known_identifiers()
    known = (
        universe(organism) if organism in COLLECTIONS else frozenset(s.upper() for s in _symbols(organism))
    )
    mapped = tuple(
        _gene(feature, gene, gene_of, known) for feature, gene in zip(features, genes, strict=True)
    )
    in_sets = sum(gene.upper() in known for gene in mapped) if organism in COLLECTIONS else 0
    return GeneMapping(mapped, organism, in_sets / len(mapped) if mapped else 0.0)


def _gene(feature: str, gene: str, gene_of: Mapping[str, str], known: frozenset[str]) -> str:
    named = [
        name
        for name in re.split(r"[;,\s|]+", str(gene))
        if name and name.lower() not in {"nan", "none", "na"}
    ]
    by_id = [gene_of[identifier] for identifier in identifiers_in(feature) if identifier in gene_of]
    bare = re.split(r"[;,|~\s_]+", feature)[0]
    for candidate in (*named, *by_id, bare):
        if candidate.upper() in known:
            return candidate
    return (named or by_id or [""])[0]


def genes_of(accessions: Sequence[str]) -> list[str]:
    """Gene symbols of accessions by the shipped map; "" where one is unknown.

    Examples
    --------
    >>> genes_of(["P04637", "P04637-2", "nothing"])
    ['TP53', 'TP53', '']
    """
    gene_of, _ = _known_identifiers()
    return [gene_of.get(accession.split("-")[0], "") for accession in accessions]
