"""Read a table of regulators and their targets: kinases and sites, transcription factors and genes, pathways and genes.

Such tables are often under licences that do not allow shipping, so the user gives them as a file.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Capability, Params, Result, SourceFile, tool
from nereus.tools.enrichment.identifiers import genes_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import is_missing, number_format, numeric_share, to_floats
from nereus.tools.proteomics.readers.source import open_source
from nereus.tools.proteomics.readers.table import read_table

COLUMNS = ("edge", "source", "target", "site", "weight")
"""Columns of a network; `site` is residue and position such as ``S473``, or "" where targets are genes."""

_NAMES = {
    "source": ("source", "tf", "kinase", "regulator", "enzyme", "gene_a", "pathway", "geneset"),
    "target": ("target", "substrate", "gene", "target_gene", "genesymbol", "gene_b"),
    "weight": ("weight", "mor", "mode", "likelihood_weight"),
    "site": ("site", "residue_site", "phosphosite", "mod_site"),
}
_MOST_MEGABYTES = 200
_NUMERIC = 0.5
"""Share of numbers from which a column of a matrix is meant to hold weights, so that its other cells are errors."""
_RESIDUES = {"ser": "S", "thr": "T", "tyr": "Y", "his": "H", "lys": "K", "arg": "R", "cys": "C"}
_SITE = re.compile(r"(?:p-?)?(ser|thr|tyr|his|lys|arg|cys|[A-Z])[-_ ]?(\d+)(?:-p)?\Z", re.IGNORECASE)


class NetworkParams(Params):
    """Parameters of `load_network`."""

    modification: str = "phosphorylation"
    """Kind of modification that is kept where a table holds several."""
    min_databases: int = 1
    """Least number of source databases of an edge, where the table names them."""
    confidence: tuple[str, ...] = ()
    """Levels of confidence that are kept, where the table has them (such as A, B, C); default all."""


@tool(
    "load_network",
    version="2",
    summary="Read a table of regulators and targets (kinase-substrate sites, factor-gene, pathway-gene weights).",
    outputs=("table:network",),
    capability=Capability.READ,
)
def load_network(data: SourceFile, params: NetworkParams, *, seed: int) -> Result:
    r"""Read regulators and targets from a table, whatever its column names.

    Understood are OmniPath enzyme-substrate tables (the enzyme's symbol is checked against its accession, because files
    with the two symbol columns swapped are about), DoRothEA and other long tables (source, target, optional weight and
    site), and matrices of weights with one gene a row and one source a column (PROGENy).

    Parameters
    ----------
    data
        Delimited text, plain or gzipped, or a workbook.
    params
        See `NetworkParams`.
    seed
        Not used.

    Returns
    -------
    Result
        Table ``network``: ``edge`` (source | target site), ``source``, ``target`` (gene symbols), ``site``, ``weight``
        (sign says whether the source raises or lowers the target; 1 where the table has none), in the order of
        sources and targets. Values: n_edges, n_sources, has_sites, swapped (whether symbol columns were swapped).

    Raises
    ------
    InputError
        The file is damaged, has no columns of sources and targets, text among its weights, or no edge is left.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.csv"
    >>> _ = path.write_text("tf,target,mor\nTP53,MDM2,1\nTP53,CDKN1A,1\nMYC,CDKN1A,-1\n")
    >>> load_network(SourceFile(path, "net.csv")).values["n_sources"]
    2
    """
    read = _read(data)
    frame = pd.DataFrame(dict(enumerate(read.columns)), dtype=object)
    frame.columns = pd.Index(read.header, dtype=object)
    swapped = False
    warnings: list[str] = []
    lower = {str(column).strip().lower(): str(column) for column in frame.columns}
    if {"uniprot_a", "uniprot_b", "residue_number"} <= set(lower):
        edges, swapped = _enzyme_substrate(frame, lower, params, data.name)
    elif {"source", "target"} <= {key for key in _NAMES if _find(lower, key)}:
        edges = _long(read, frame, lower, params, warnings)
    else:
        edges = _matrix(read, data.name)
    edges = edges[(edges["source"] != "") & (edges["target"] != "") & np.isfinite(edges["weight"])]
    edges = edges[edges["weight"] != 0]
    if swapped:
        warnings.append("the two columns of gene symbols were swapped in the file, as accessions show")
    if edges.empty:
        raise InputError("no regulator and target is left", where=data.name, mend="relax the filters")
    edges = edges.groupby(["source", "target", "site"], sort=True, as_index=False)["weight"].mean()
    edges = edges[edges["weight"] != 0].reset_index(drop=True)
    place = edges["target"] + np.where(edges["site"] == "", "", " ") + edges["site"]
    network = edges.assign(edge=edges["source"] + " | " + place)[list(COLUMNS)]
    n_sources, has_sites = int(network["source"].nunique()), bool((network["site"] != "").any())
    return Result(
        summary=f"{len(network)} {'sites' if has_sites else 'targets'} of {n_sources} regulators in {data.name}.",
        values={
            "n_edges": len(network),
            "n_sources": n_sources,
            "n_targets": int(network["target"].nunique()),
            "has_sites": has_sites,
            "signed": bool((network["weight"] < 0).any()),
            "swapped": swapped,
        },
        tables={"network": network},
        warnings=tuple(warnings),
        n_total=len(frame),
        n_returned=min(len(network), len(frame)),
    )


def check_network(network: pd.DataFrame) -> pd.DataFrame:
    """A network table, checked and without edges of no weight; `InputError` where a column or a weight is missing."""
    if lacking := [column for column in ("source", "target", "weight") if column not in network.columns]:
        raise InputError(
            f"columns {lacking} are missing", where="network", mend="read the file with tool load_network"
        )
    weights = network["weight"].to_numpy(float)
    if not np.isfinite(weights).all():
        raise InputError(
            f"{int((~np.isfinite(weights)).sum())} edges have no finite weight",
            where="network",
            mend="fill them in or leave them out",
        )
    kept = network[weights != 0]
    return kept if "site" in network.columns else kept.assign(site="")


def _read(data: SourceFile) -> Table:
    table = read_table(open_source(data.path, data.name, _MOST_MEGABYTES), max_megabytes=_MOST_MEGABYTES)
    names = [name.strip().lower() for name in table.header]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(f"columns {twice[:3]} stand twice", where=data.name, mend="name each column once")
    return table


def _numbers(table: Table, column: int) -> np.ndarray:
    """A column of weights; text among them is refused with its place."""
    return to_floats(table, column, number_format(table, [column]))


def _find(lower: dict[str, str], key: str) -> str | None:
    return next((lower[name] for name in _NAMES[key] if name in lower), None)


def _enzyme_substrate(
    frame: pd.DataFrame, lower: dict[str, str], params: NetworkParams, name: str
) -> tuple[pd.DataFrame, bool]:
    """Enzyme-substrate rows: A is the enzyme, B the substrate, with residue letter and number."""
    kept = frame
    if "ptm_type" in lower:
        kept = kept[kept[lower["ptm_type"]].str.lower() == params.modification.lower()]
        if kept.empty:
            kinds = sorted(set(frame[lower["ptm_type"]]))
            raise InputError(
                f"no row has modification {params.modification!r}", where=name, mend=f"there are {kinds[:12]}"
            )
    if "databases" in lower:
        kept = kept[kept[lower["databases"]].str.split(";").str.len() >= params.min_databases]
    symbol_a, symbol_b = lower.get("genesymbol_a"), lower.get("genesymbol_b")
    known = genes_of(kept[lower["uniprot_a"]].tolist())
    swapped = False
    if symbol_a is None or symbol_b is None:
        source, target = pd.Series(known), pd.Series(genes_of(kept[lower["uniprot_b"]].tolist()))
    else:
        upper = [gene.upper() for gene in known]
        agree = [
            sum(a == b.upper() for a, b in zip(upper, kept[column], strict=True) if a)
            for column in (symbol_a, symbol_b)
        ]
        swapped = agree[1] > agree[0]
        source, target = kept[symbol_b if swapped else symbol_a], kept[symbol_a if swapped else symbol_b]
    site = kept[lower["residue_letter"]].str.upper() + kept[lower["residue_number"]]
    return pd.DataFrame(
        {"source": source.to_numpy(), "target": target.to_numpy(), "site": site.to_numpy(), "weight": 1.0}
    ), swapped


def _long(
    table: Table, frame: pd.DataFrame, lower: dict[str, str], params: NetworkParams, warnings: list[str]
) -> pd.DataFrame:
    kept = frame
    weight, site = _find(lower, "weight"), _find(lower, "site")
    weights = pd.Series(1.0, index=frame.index)
    if weight:
        weights = pd.Series(_numbers(table, table.header.index(weight)), index=frame.index)
    if params.confidence and "confidence" in lower:
        kept = kept[kept[lower["confidence"]].isin(params.confidence)]
    if site:
        read = kept[site].map(_site)
        unread = read.isna()
        if unread.any():
            shown = list(dict.fromkeys(kept[site][unread]))[:3]
            warnings.append(
                f"{int(unread.sum())} edges whose sites are no residue and position were left out: {shown}"
            )
        kept, read = kept[~unread], read[~unread]
    sites = read if site else pd.Series("", index=kept.index)
    return pd.DataFrame(
        {
            "source": kept[_find(lower, "source")].str.strip(),
            "target": kept[_find(lower, "target")].str.strip(),
            "site": sites,
            "weight": weights[kept.index],
        }
    )


def _site(cell: str) -> str | None:
    """Residue and position: ``S473`` of S473, pS473, Ser473 or S473-p; "" where none is named, None where it is unclear."""
    if is_missing(cell):
        return ""
    found = _SITE.match(cell.strip())
    return f"{_RESIDUES.get(found[1].lower(), found[1].upper())}{found[2]}" if found else None


def _matrix(table: Table, name: str) -> pd.DataFrame:
    columns = [j for j in range(1, len(table.header)) if numeric_share(table.columns[j])[0] >= _NUMERIC]
    if not columns:
        raise InputError(
            "no columns of sources and targets were found",
            where=name,
            mend="name them source and target (and weight, site), or give a matrix of genes and weights",
        )
    parts = [
        pd.DataFrame(
            {
                "target": table.columns[0],
                "source": re.sub(r"\s+", " ", table.header[j]),
                "weight": _numbers(table, j),
            }
        )
        for j in columns
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="weight").assign(site="")
