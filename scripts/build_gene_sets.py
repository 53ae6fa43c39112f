"""Builds the gene sets and identifier maps that ship in `nereus/tools/enrichment/data`.

Usage: ``NEREUS_DATA=<folder> python scripts/build_gene_sets.py --go-sqlite GO.sqlite --more <folder>``

``NEREUS_DATA/genesets`` and the folder of ``--more`` hold the sources (see
`nereus/tools/enrichment/data/README.md`); ``GO.sqlite`` is the term database of Bioconductor's GO.db 3.16
(GO release 2022-07-01; Debian package r-bioc-go.db), from which only term names and is-a / part-of parents are
taken. The output is deterministic: the same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

OUT = Path(__file__).parent.parent / "nereus" / "tools" / "enrichment" / "data"

GMT_FILES = {  # (organism, collection) -> file
    ("human", "hallmark"): "hallmark_h.all.v7.0.symbols.gmt",
    ("human", "reactome"): "Reactome_human.gmt.gz",
    ("human", "wikipathways"): "wikipathways-20260410-gmt-Homo_sapiens.gmt.gz",
    ("human", "go_bp"): "GO_BP_human.gmt.gz",
    ("human", "go_mf"): "GO_MF_human.gmt.gz",
    ("human", "go_cc"): "GO_CC_human.gmt.gz",
    ("mouse", "wikipathways"): "wikipathways-20260410-gmt-Mus_musculus.gmt",
    ("mouse", "go_bp"): "GO_BP_mouse.gmt.gz",
    ("mouse", "go_cc"): "GO_CC_mouse.gmt",
    ("mouse", "go_mf"): "GO_MF_mouse.gmt",
}
PROGENY = "progeny_human_model_14pathways.csv"
PREFIX = {"wikipathways": "WP", "hallmark": "H"}
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/'()-]*\Z")
KEEP_CAPITALS = {
    "TNFA",
    "NFKB",
    "UV",
    "DNA",
    "MYC",
    "KRAS",
    "WNT",
    "TGF",
    "PI3K",
    "AKT",
    "MTOR",
    "JAK",
    "STAT3",
    "STAT5",
}


def read_gmt(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, note and genes of each line."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            name, note, *genes = line.rstrip("\n").split("\t")
            yield name.strip(), note.strip(), sorted({gene.strip() for gene in genes if gene.strip()})


def hallmark_name(name: str) -> str:
    """Write the name in plain words."""
    words = name.removeprefix("HALLMARK_").split("_")
    kept = [w if w in KEEP_CAPITALS or re.search(r"\d", w) else w.lower() for w in words]
    text = " ".join(kept)
    return text[0].upper() + text[1:]


class Ontology:
    """Names and is-a / part-of parents of GO terms."""

    def __init__(self, path: Path) -> None:
        with sqlite3.connect(path) as base:
            rows = base.execute("select _id, go_id, term from go_term").fetchall()
            by_number = {number: term for number, term, _ in rows}
            self.names = {term: name for _, term, name in rows}
            self.parents: list[tuple[str, str]] = []
            for part in ("bp", "mf", "cc"):
                kinds = "('isa', 'part of')"
                query = f"select _id, _parent_id from go_{part}_parents where relationship_type in {kinds}"
                for child, parent in base.execute(query):
                    self.parents.append((by_number[child], by_number[parent]))


def write(frame: pd.DataFrame, name: str) -> None:
    """Write one file of the package."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, OUT / name, compression="zstd", compression_level=19, write_statistics=False)
    sys.stdout.write(f"{name}: {len(frame)} rows, {(OUT / name).stat().st_size / 1000:.0f} kB\n")


def propagated_sizes(
    terms: list[str], members: list[list[str]], parents: Iterable[tuple[str, str]]
) -> np.ndarray:
    """Count the genes of each term by the true-path rule: those of its descendants are its own."""
    place = {term: i for i, term in enumerate(terms)}
    genes = sorted({gene for group in members for gene in group})
    column = {gene: i for i, gene in enumerate(genes)}
    rows = np.repeat(np.arange(len(terms)), [len(group) for group in members])
    columns = np.array([column[gene] for group in members for gene in group])
    sets = sparse.csr_matrix(
        (np.ones(len(rows), dtype=bool), (rows, columns)), shape=(len(terms), len(genes))
    )
    edges = [(place[parent], place[child]) for child, parent in parents if child in place and parent in place]
    up = sparse.csr_matrix(
        (np.ones(len(edges), dtype=bool), tuple(np.array(edges).T)), shape=(len(terms),) * 2
    )
    while True:
        grown = (sets + up @ sets).astype(bool)
        if grown.nnz == sets.nnz:
            return np.asarray(sets.sum(axis=1)).ravel().astype(int)
        sets = grown


def main() -> None:
    """Read the sources and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--go-sqlite", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    given = parser.parse_args()
    source = Path(os.environ["NEREUS_DATA"]) / "genesets"
    ontology = Ontology(given.go_sqlite)

    sets: list[dict[str, object]] = []
    pairs: list[pd.DataFrame] = []
    parents: set[tuple[str, str]] = set()
    for (organism, collection), file in GMT_FILES.items():
        names: list[str] = []
        members: list[list[str]] = []
        folder = source if (source / file).exists() else given.more
        for name, note, genes in read_gmt(folder / file):
            if collection.startswith("go_"):
                if (
                    name not in ontology.names
                ):  # withdrawn, merged or newer than the names: it could not be shown
                    continue
                set_id, text = name, ontology.names[name]
            elif collection == "reactome":
                set_id, text = note, name
            elif collection == "hallmark":
                set_id, text = f"H:{name.removeprefix('HALLMARK_')}", hallmark_name(name)
            else:  # the WikiPathways file has no identifiers, so the name is one
                set_id, text = f"WP:{name}", name
            sets.append({"organism": organism, "collection": collection, "set_id": set_id, "name": text})
            names.append(set_id)
            members.append(genes)
        if collection.startswith("go_"):
            # Terms without own genes that link two terms with genes must stay, or the chain would break.
            known = ancestors_of(names, ontology.parents)
            empty = sorted(known - set(names))
            for term in empty:
                sets.append(
                    {
                        "organism": organism,
                        "collection": collection,
                        "set_id": term,
                        "name": ontology.names[term],
                    }
                )
            names += empty
            members += [[] for _ in empty]
            parents |= {
                (child, parent) for child, parent in ontology.parents if child in known and parent in known
            }
            sizes = propagated_sizes(names, members, parents)
        else:
            sizes = np.array([len(group) for group in members])
        for entry, size in zip(sets[-len(names) :], sizes, strict=True):
            entry["n_set"] = int(size)
        number = len(sets) - len(names)
        rows = np.repeat(np.arange(number, len(sets)), [len(group) for group in members])
        pairs.append(pd.DataFrame({"set": rows, "gene": [gene for group in members for gene in group]}))

    table = pd.DataFrame(sets)
    for column in ("organism", "collection"):
        table[column] = table[column].astype("category")
    write(table.astype({"n_set": "int32"}), "sets.parquet")
    edges = pd.DataFrame(sorted(parents), columns=["child", "parent"]).astype("category")
    write(edges, "go_parents.parquet")
    members_all = pd.concat(pairs, ignore_index=True).astype({"set": "int32", "gene": "category"})
    write(members_all, "members.parquet")
    write(identifiers(source, set(members_all["gene"])), "identifiers.parquet")
    write(pathway_weights(source / PROGENY), "progeny.parquet")


def pathway_weights(path: Path) -> pd.DataFrame:
    """Source, target and weight of the genes that respond to a pathway."""
    wide = pd.read_csv(path, index_col="gene").rename_axis("target")
    long = wide.rename_axis(columns="source").stack().rename("weight").reset_index()
    long = long[long["weight"] != 0].sort_values(["source", "target"], ignore_index=True)
    return long[["source", "target", "weight"]].astype({"source": "category", "weight": "float32"})


def ancestors_of(terms: list[str], edges: list[tuple[str, str]]) -> set[str]:
    """Terms and all that lies above them."""
    above: dict[str, list[str]] = {}
    for child, parent in edges:
        above.setdefault(child, []).append(parent)
    found, queue = set(terms), list(terms)
    while queue:
        for parent in above.get(queue.pop(), []):
            if parent not in found and parent != "all":
                found.add(parent)
                queue.append(parent)
    return found


def identifiers(source: Path, genes: set[str]) -> pd.DataFrame:
    """List accessions and Ensembl genes with their symbols."""
    uniprot = pd.read_csv(
        source / "uniprot_gene_map.csv.gz", names=["id", "gene", "organism"], header=0, dtype=str
    )
    uniprot = uniprot[uniprot["gene"].map(lambda gene: bool(SYMBOL.match(str(gene))))].assign(kind="uniprot")
    # An isoform has the gene of its canonical entry, so isoform rows are dropped where that entry is listed.
    canonical = uniprot["id"].str.replace(r"-\d+$", "", regex=True)
    uniprot = uniprot.assign(id=canonical).drop_duplicates("id")
    parts = [uniprot]
    for organism, file, identifier in (
        ("human", "hsapiens_gene_ensembl_background.txt.gz", "ensembl_gene_id"),
        ("mouse", "mmusculus_gene_ensembl_background.txt.gz", "gene_id"),
    ):
        frame = pd.read_csv(source / file, sep="\t", dtype=str)
        frame = frame[[identifier, "external_gene_name"]].dropna().drop_duplicates(identifier)
        frame = frame[frame["external_gene_name"].isin(genes)]
        frame.columns = pd.Index(["id", "gene"])
        parts.append(frame.assign(organism=organism, kind="ensembl"))
    table = pd.concat(parts, ignore_index=True).sort_values(["kind", "organism", "id"], ignore_index=True)
    return table.astype({"organism": "category", "kind": "category", "gene": "category"})


if __name__ == "__main__":
    main()
