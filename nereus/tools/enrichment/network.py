"""Read a table of regulators and their targets: kinases and sites, transcription factors and genes, pathways and genes.

Such tables are often under licences that do not allow shipping, so the user gives them as a file.
"""

from __future__ import annotations

import gzip
import io
import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.base import Capability, Params, Result, SourceFile, tool
from nereus.tools.enrichment.identifiers import genes_of

COLUMNS = ("edge", "source", "target", "site", "weight")
"""Columns of a network; `site` is residue and position such as ``S473``, or "" where targets are genes."""

_NAMES = {
    "source": ("source", "tf", "kinase", "regulator", "enzyme", "gene_a", "pathway", "geneset"),
    "target": ("target", "substrate", "gene", "target_gene", "genesymbol", "gene_b"),
    "weight": ("weight", "mor", "mode", "likelihood_weight"),
    "site": ("site", "residue_site", "phosphosite", "mod_site"),
}
_MOST_BYTES = 200_000_000


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
    version="1",
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
        CSV or TSV, plain or gzipped.
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
        The file is empty, has no columns of sources and targets, or no edge is left.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.csv"
    >>> _ = path.write_text("tf,target,mor\nTP53,MDM2,1\nTP53,CDKN1A,1\nMYC,CDKN1A,-1\n")
    >>> load_network(SourceFile(path, "net.csv")).values["n_sources"]
    2
    """
    frame = _read(data)
    swapped = False
    lower = {str(column).strip().lower(): str(column) for column in frame.columns}
    if {"uniprot_a", "uniprot_b", "residue_number"} <= set(lower):
        edges, swapped = _enzyme_substrate(frame, lower, params, data.name)
    elif {"source", "target"} <= {key for key in _NAMES if _find(lower, key)}:
        edges = _long(frame, lower, params)
    else:
        edges = _matrix(frame, data.name)
    edges = edges[(edges["source"] != "") & (edges["target"] != "") & np.isfinite(edges["weight"])]
    edges = edges[edges["weight"] != 0]
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
        warnings=("the two columns of gene symbols were swapped in the file, as accessions show",)
        if swapped
        else (),
        n_total=len(frame),
        n_returned=min(len(network), len(frame)),
    )


def check_network(network: pd.DataFrame) -> pd.DataFrame:
    """A network table with its columns checked; `InputError` where one is missing."""
    if lacking := [column for column in ("source", "target", "weight") if column not in network.columns]:
        raise InputError(
            f"columns {lacking} are missing", where="network", mend="read the file with tool load_network"
        )
    return network if "site" in network.columns else network.assign(site="")


def _read(data: SourceFile) -> pd.DataFrame:
    raw = data.path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        with gzip.open(io.BytesIO(raw)) as stream:
            raw = stream.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise InputError("the file is too large for a network", where=data.name, mend="give the edges only")
    text = raw.decode("utf-8-sig", errors="replace")
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise InputError("the file is empty", where=data.name, mend="give a table of sources and targets")
    separator = "\t" if first.count("\t") >= first.count(",") and "\t" in first else ","
    try:
        return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, ValueError) as error:
        raise InputError(f"not a table: {error}", where=data.name, mend="give CSV or TSV") from None


def _find(lower: dict[str, str], key: str) -> str | None:
    return next((lower[name] for name in _NAMES[key] if name in lower), None)


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype(float)


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


def _long(frame: pd.DataFrame, lower: dict[str, str], params: NetworkParams) -> pd.DataFrame:
    kept = frame
    if params.confidence and "confidence" in lower:
        kept = kept[kept[lower["confidence"]].isin(params.confidence)]
    weight, site = _find(lower, "weight"), _find(lower, "site")
    sites = kept[site].str.strip().str.upper() if site else pd.Series("", index=kept.index)
    return pd.DataFrame(
        {
            "source": kept[_find(lower, "source")].str.strip(),
            "target": kept[_find(lower, "target")].str.strip(),
            "site": sites.where(sites.str.fullmatch(r"[A-Z]\d+"), ""),
            "weight": _numbers(kept[weight]) if weight else 1.0,
        }
    )


def _matrix(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    numbers = frame.iloc[:, 1:].apply(_numbers)
    if numbers.shape[1] == 0 or numbers.isna().to_numpy().all() or frame.shape[0] == 0:
        raise InputError(
            "no columns of sources and targets were found",
            where=name,
            mend="name them source and target (and weight, site), or give a matrix of genes and weights",
        )
    numbers.insert(0, "target", frame.iloc[:, 0].str.strip())
    edges = numbers.melt(id_vars="target", var_name="source", value_name="weight").dropna(subset="weight")
    edges["source"] = edges["source"].map(lambda text: re.sub(r"\s+", " ", str(text)).strip())
    return edges.assign(site="")
