"""Protein identifiers: the strict UniProt grammar, contaminants, genes and organisms from FASTA headers.

The accession grammar is the one that UniProt publishes (https://www.uniprot.org/help/accession_numbers), with an
optional isoform number. A contaminant or decoy is never parsed as an accession.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

IdSpace = Literal["uniprot", "symbol", "ensembl", "panel", "unknown"]

_ACCESSION = r"(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})"
ACCESSION = re.compile(rf"{_ACCESSION}(?:-\d{{1,3}})?\Z", re.ASCII)
_PIPED = re.compile(rf"(?:\d+/)?(?:sp|tr)\|({_ACCESSION}(?:-\d{{1,3}})?)(?:\||\Z)", re.ASCII | re.IGNORECASE)
_ENTRY_NAME = re.compile(
    r"(?:^|\|)[A-Z0-9]{1,10}_([A-Z][A-Z0-9]{2,4}|[0-9][A-Z]{2,4})(?=\Z|[\s|;,])", re.ASCII
)
_ENSEMBL = re.compile(r"ENS[A-Z]{0,5}[GTP]\d{11}(\.\d+)?\Z", re.ASCII)
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}(?:[-.][A-Za-z0-9]{1,6}){0,2}\Z", re.ASCII)
CONTAMINANT = re.compile(
    r"(?:\A|(?<=[;,|\s]))(?:con__|cont_|contam[_|]|contaminant[_|]|crap[-_|]|cont\|)", re.IGNORECASE
)
DECOY = re.compile(r"\A(?:rev__|rev_|decoy_|xxx_|rrr?_|##|reverse_)", re.IGNORECASE)

_GENE = re.compile(r"\bGN=([^\s;|,]+)|\bGene_Symbol=([^\s;|,]+)")
_OS = re.compile(r"\bOS=(.+?)(?=\s+(?:OX|GN|PE|SV)=|;|$)")
_OX = re.compile(r"\b(?:OX|Tax_Id|TaxID)=(\d+)")

_BY_MNEMONIC = {
    "HUMAN": "human",
    "MOUSE": "mouse",
    "RAT": "rat",
    "YEAST": "yeast",
    "ECOLI": "ecoli",
    "DROME": "fly",
    "CAEEL": "worm",
    "DANRE": "zebrafish",
    "ARATH": "arabidopsis",
    "BOVIN": "bovine",
    "PIG": "pig",
    "CHICK": "chicken",
    "SCHPO": "fission yeast",
}
_BY_TAXON = {
    "9606": "human",
    "10090": "mouse",
    "10116": "rat",
    "4932": "yeast",
    "559292": "yeast",
    "562": "ecoli",
    "83333": "ecoli",
    "7227": "fly",
    "6239": "worm",
    "7955": "zebrafish",
    "3702": "arabidopsis",
    "9913": "bovine",
    "9823": "pig",
    "9031": "chicken",
    "4896": "fission yeast",
    "284812": "fission yeast",
}
_BY_NAME = {
    "homo sapiens": "human",
    "mus musculus": "mouse",
    "rattus norvegicus": "rat",
    "saccharomyces cerevisiae": "yeast",
    "escherichia coli": "ecoli",
    "drosophila melanogaster": "fly",
    "caenorhabditis elegans": "worm",
    "danio rerio": "zebrafish",
    "arabidopsis thaliana": "arabidopsis",
    "bos taurus": "bovine",
    "sus scrofa": "pig",
    "gallus gallus": "chicken",
    "schizosaccharomyces pombe": "fission yeast",
}


def is_contaminant(identifier: str) -> bool:
    """Whether one identifier (not a group) carries the mark of a contaminant database.

    >>> is_contaminant("CON__P04264"), is_contaminant("contam_sp|P00366|DHE3_BOVIN"), is_contaminant("P04264")
    (True, True, False)
    """
    return bool(CONTAMINANT.match(identifier.strip()))


def is_decoy(identifier: str) -> bool:
    """Whether one identifier is a reversed or decoy sequence.

    >>> is_decoy("REV__P04264"), is_decoy("REVOLUTION")
    (True, False)
    """
    return bool(DECOY.match(identifier.strip()))


def members(group: str) -> list[str]:
    """Identifiers of a protein group, in order.

    >>> members("P1;P2"), members("sp|P12345|A_HUMAN")
    (['P1', 'P2'], ['sp|P12345|A_HUMAN'])
    """
    return [part.strip() for part in re.split(r"[;,]", group) if part.strip()]


def accession(identifier: str) -> str | None:
    """The UniProt accession in one identifier, or None: contaminants, decoys and other text have none.

    >>> accession("sp|P02768-2|ALBU_HUMAN"), accession("Q9H0R8"), accession("CON__P02768"), accession("P02768ups")
    ('P02768-2', 'Q9H0R8', None, None)
    """
    identifier = identifier.strip()
    if is_contaminant(identifier) or is_decoy(identifier):
        return None
    if ACCESSION.match(identifier):
        return identifier
    found = _PIPED.match(identifier)
    return found.group(1).upper() if found else None


def first_protein(group: str) -> str:
    """The first member's accession, or its text as it is."""
    parts = members(group)
    if not parts:
        return ""
    return accession(parts[0]) or parts[0]


def gene_of_header(header: str) -> str:
    """First gene name in FASTA headers (``GN=``), "" where there is none.

    >>> gene_of_header(">sp|P26570|PPZ1_YEAST ... OS=Saccharomyces cerevisiae GN=PPZ1 PE=1 SV=5")
    'PPZ1'
    """
    found = _GENE.search(header)
    return (found.group(1) or found.group(2)) if found else ""


def first_gene(genes: str) -> str:
    """First of a list of gene names."""
    return re.split(r"[;,\s]", genes.strip())[0] if genes.strip() else ""


def organism_of(text: str) -> str:
    """Organism named by a FASTA header, an entry name or an organism column, "" where it cannot be told.

    >>> organism_of("sp|P1|A_YEAST x OS=Saccharomyces cerevisiae (strain S288c)"), organism_of("P04264")
    ('yeast', '')
    """
    if (found := _OX.search(text)) and (known := _BY_TAXON.get(found.group(1))):
        return known
    if found := _OS.search(text):
        return organism_by_name(found.group(1))
    if found := _ENTRY_NAME.search(text):
        return _BY_MNEMONIC.get(found.group(1), "")
    return ""


def organism_by_name(name: str) -> str:
    """Common word for an organism's name, mnemonic or taxon id; the Latin name where we have no word."""
    name = name.strip()
    if known := _BY_MNEMONIC.get(name.upper()) or _BY_TAXON.get(name):
        return known
    if found := _OX.search(name):
        return _BY_TAXON.get(found.group(1), "")
    latin = " ".join(name.lower().split("(")[0].split()[:2])
    if name.lower() in _BY_MNEMONIC.values():
        return name.lower()
    return _BY_NAME.get(latin, latin if len(latin.split()) == 2 else "")


def main_organism(organisms: Iterable[str], n_total: int) -> str:
    """The organism of most features, "unknown" unless a tenth of them name one and 60 % of those agree."""
    known = Counter(organism for organism in organisms if organism)
    if not known or sum(known.values()) < max(0.1 * n_total, 1):
        return "unknown"
    organism, count = known.most_common(1)[0]
    return organism if count >= 0.6 * sum(known.values()) else "mixed"


def id_space(features: list[str], genes: list[str]) -> IdSpace:
    """The name space that at least half of the features belong to."""
    n = max(len(features), 1)
    firsts = [(members(feature) or [""])[0] for feature in features]
    if sum(accession(first) is not None for first in firsts) >= 0.5 * n:
        return "uniprot"
    if sum(bool(_ENSEMBL.match(first)) for first in firsts) >= 0.5 * n:
        return "ensembl"
    if sum(bool(gene) for gene in genes) >= 0.5 * n:
        return "symbol"
    if sum(looks_like_symbol(first) for first in firsts) >= 0.5 * n:
        return "symbol"
    if len(features) <= 500 and sum(bool(re.match(r"[A-Za-z]", first)) for first in firsts) >= 0.5 * n:
        return "panel"
    return "unknown"


def looks_like_symbol(text: str) -> bool:
    """Whether a text may be a gene symbol: short, starting with a letter, without underscores."""
    return bool(_SYMBOL.match(text)) and len(text) >= 2


def is_feature_id(text: str) -> bool:
    """Whether a text is an accession, a piped identifier, an entry name or an Ensembl id: never a sample's name."""
    first = (members(text) or [""])[0]
    if accession(first) is not None or is_contaminant(first) or _ENSEMBL.match(first):
        return True
    entry = _ENTRY_NAME.search(first)
    return entry is not None and entry.group(1) in _BY_MNEMONIC


def feature_share(names: Sequence[str]) -> float:
    """Share of names that are identifiers of features."""
    return sum(map(is_feature_id, names)) / max(len(names), 1)
