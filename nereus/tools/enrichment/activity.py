"""Activity of kinases, transcription factors and pathways, inferred from what their targets do in a test table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Result, tool
from nereus.tools.enrichment.activity_table import ActivityParams, activities
from nereus.tools.enrichment.collections import DATA
from nereus.tools.enrichment.gene_level import gene_level, signed_z
from nereus.tools.enrichment.identifiers import detect_organism
from nereus.tools.enrichment.kinase_motifs import MOTIFS
from nereus.tools.enrichment.network import check_network
from nereus.tools.enrichment.site_names import Site, read_sites

if TYPE_CHECKING:
    from anndata import AnnData

_OTHER_SPECIES = 5
"""Residues by which a conserved site may be shifted between orthologues; substrates whose two nearest known sites are as
near are left out."""


class KinaseParams(ActivityParams):
    """Parameters of `kinase_activity`."""

    min_targets: int = Field(3, ge=2)
    """Smallest number of tested sites of a kinase."""
    evidence: Literal["auto", "substrates", "motifs"] = "auto"
    """``substrates``: known sites of the network; ``motifs``: consensus motifs of kinase families in the sites' sequence
    windows; ``auto``: substrates where a network is given and knows enough of the sites, else motifs."""
    position_tolerance: int | None = Field(None, ge=0, le=20)
    """Residues by which a site may differ from the network's, in the same gene and of the same amino acid; default 0 for
    human data and 5 for others, because known sites are human."""


class FactorParams(ActivityParams):
    """Parameters of `factor_activity`."""

    min_targets: int = Field(5, ge=2)
    """Smallest number of tested targets of a factor."""
    organism: Literal["auto", "human", "mouse", "yeast", "rat", "unknown"] = "auto"
    """Organism of the data; targets of other species are found by equal symbols."""


@tool(
    "kinase_activity",
    version="3",
    summary="Which kinases are more or less active, from the sites that they are known to phosphorylate.",
    outputs=("table:activities", "table:targets"),
)
def kinase_activity(
    table: pd.DataFrame,
    dataset: AnnData | None,
    network: pd.DataFrame | None,
    params: KinaseParams,
    *,
    seed: int,
) -> Result:
    """Infer kinase activities from a test of phosphorylation sites.

    The statistics of a kinase's sites are summed up by weight and compared with those of all tested sites, exchanged at
    random. Methods: ``weighted_mean`` (KSEA with weights), ``ulm`` (regression of statistics on weights) and ``rank``
    (normal scores of ranks, as VIPER). Without a network, consensus motifs tell kinase families.

    Parameters
    ----------
    table
        Test table of sites: feature, effect, p; gene where known. Features spell the site, such as
        ``Q9D1F4;AKT1S1;T247;sequence`` or ``AKT1_S473``.
    dataset
        Data set of the test; its columns ``site``, ``sequence`` and ``gene`` go before the features' names.
    network
        Sites of kinases, from tool `load_network`.
    params
        See `KinaseParams`.
    seed
        Seed of the exchanges.

    Returns
    -------
    Result
        Table ``activities``, by p: feature and gene (the kinase), name (families of a motif), effect (weighted mean log2
        change of the sites beyond all sites), se, 95 % interval, statistic (z), p, q, n_targets, n_agreeing (targets that
        move with the activity), direction, representative (False where a better kinase shares half of the targets),
        told_apart_from (kinases with which it shares half or more), leading_targets. Table ``targets``: target (source |
        feature), source, feature, gene, site, weight, effect, z, p. Values: n_sources, n_significant, n_up, n_down,
        top, top_direction, n_tested (regulators; None where there are none), n_features (tested sites), n_matched (sites that
        are a target), match_rate, evidence, organism, correlation (``estimated from residuals`` or ``preset``).

    Raises
    ------
    InputError
        A needed column is missing, no feature spells a site, or motifs are asked for without sequences.

    Notes
    -----
    Casado et al. 2013, Sci Signal 6:rs6 (KSEA); Badia-i-Mompel et al. 2022, Bioinform Adv 2:vbac016 (decoupler); Alvarez
    et al. 2016, Nat Genet 48:838 (VIPER); Wu & Smyth 2012, Nucleic Acids Res 40:e133 (correlation). Exchange tests whether a
    kinase's sites stand out among all sites; activities of kinases with the same substrates cannot be told apart. Exchange
    alone takes sites that vary together among the samples for an effect: give `dataset` and `contrast`, and the p-value is
    the larger of that of the exchange and of one that allows for their correlation, read from the residuals.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(0, 0.3, 60); effect[:6] += 2
    >>> sites = pd.DataFrame({"feature": [f"GENE{i}_S{i + 1}" for i in range(60)], "effect": effect})
    >>> sites["p"] = np.where(np.arange(60) < 6, 1e-4, 0.5)
    >>> known = pd.DataFrame({"source": "KIN", "target": [f"GENE{i}" for i in range(6)], "weight": 1.0})
    >>> known["site"] = [f"S{i + 1}" for i in range(6)]
    >>> kinase_activity(sites, None, known).table("activities").loc[0, ["feature", "direction"]].tolist()
    ['KIN', 'up']
    """
    tested = _tested(table)
    features = tested["feature"].tolist()
    sites = read_sites(features, tested["gene"].tolist(), dataset)
    if not any(sites):
        raise InputError(
            "no feature spells a site",
            where="test table",
            mend="features need gene, residue and position, such as AKT1_S473, or a data set with a column site",
        )
    known = (
        str(dataset.uns.get("nereus", {}).get("organism", "unknown")) if dataset is not None else "unknown"
    )
    genes = [found[0].gene if found else "" for found in sites]
    organism = known if known not in ("unknown", "") else detect_organism(features, tested["gene"].tolist())
    evidence = params.evidence
    warnings: list[str] = []
    windows = any(site.window for found in sites for site in found)
    edges: list[tuple[str, int, float]] = []
    names: dict[str, str] = {}
    if network is not None and evidence != "motifs":
        checked = check_network(network)
        if not (checked["site"].astype(str) != "").any():
            raise InputError(
                "the network names no sites",
                where="input network",
                mend="give sites, such as S473, of substrates",
            )
        tolerance = params.position_tolerance
        if tolerance is None:
            tolerance = 0 if organism == "human" else _OTHER_SPECIES
        edges = _known_edges(sites, checked, tolerance)
        if tolerance:
            warnings.append(
                f"sites of {organism} data were matched to human ones within {tolerance} residues of the same gene"
            )
    elif evidence == "substrates":
        raise InputError(
            "no kinase-substrate table is given",
            where="input network",
            mend="read one with load_network (`nereus data list` names sources), or use evidence=motifs",
        )
    if evidence == "motifs" and not windows:
        raise InputError(
            "no feature has a sequence window",
            where="evidence=motifs",
            mend="give a network of kinases and sites, or windows centred on the site in a column sequence",
        )
    if evidence == "auto":
        # Too few known sites, as in an organism far from human: families by motif say more than nothing.
        evidence = "substrates" if _most_targets(edges) >= params.min_targets else "motifs"
        if evidence == "motifs" and edges:
            warnings = ["too few tested sites are known substrates: motifs were used instead"]
    if evidence == "motifs":
        edges = [
            (motif.source, row, 1.0)
            for motif in MOTIFS
            for row, found in enumerate(sites)
            if any(site.window and motif.fits(site.window) for site in found)
        ]
        names = {motif.source: motif.kinases for motif in MOTIFS}
        warnings.append(
            "motifs tell kinase families, not single kinases"
            if windows
            else "no sequence window tells a motif; give a network of kinases and sites"
        )
    described = tested.assign(
        gene=genes, site=["/".join(f"{s.residue}{s.position}" for s in found) for found in sites]
    )
    described = described.assign(row=np.arange(len(described)))
    # Several features of one site (by multiplicity, or by peptide) are one target: the clearest stands for it.
    key = np.where(described["site"] == "", described["feature"], described["gene"] + " " + described["site"])
    order = described.assign(key=key, size=described["z"].abs()).sort_values(
        ["size", "feature"], ascending=[False, True], kind="stable"
    )
    kept = np.sort(order.drop_duplicates("key")["row"].to_numpy())
    place = {int(row): i for i, row in enumerate(kept)}
    return activities(
        described.iloc[kept].reset_index(drop=True),
        [(source, place[row], weight) for source, row, weight in edges if row in place],
        params, params.min_targets, names, warnings, seed,
        dataset=dataset, what="kinases" if evidence == "substrates" else "kinase motifs", targets="sites",
        extra={"evidence": evidence, "organism": organism},
    )  # fmt: skip


@tool(
    "factor_activity",
    version="3",
    summary="Which transcription factors or pathways are more or less active, from the genes that they regulate.",
    outputs=("table:activities", "table:targets"),
)
def factor_activity(
    table: pd.DataFrame,
    dataset: AnnData | None,
    network: pd.DataFrame | None,
    params: FactorParams,
    *,
    seed: int,
) -> Result:
    """Infer activities of transcription factors, or of pathways, from a test of genes or proteins.

    As `kinase_activity`, with genes as targets and signed weights: a target that a factor represses counts against it.
    Without a network, the responsive genes of fourteen signalling pathways are used, which ship with the package (PROGENy:
    Schubert et al. 2018, Nat Commun 9:20).

    Parameters
    ----------
    table
        Test table: feature, effect, p; gene where known.
    dataset
        Data set of the test, for its organism and genes.
    network
        Targets of factors, from tool `load_network`.
    params
        See `FactorParams`.
    seed
        Seed of the exchanges.

    Returns
    -------
    Result
        Tables and values as `kinase_activity`.

    Raises
    ------
    InputError
        A needed column is missing.

    Notes
    -----
    Targets were found in transcripts: protein abundances follow them only in part.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(0, 0.3, 80); effect[:8] -= 2
    >>> genes = pd.DataFrame({"feature": [f"GENE{i}" for i in range(80)], "effect": effect})
    >>> genes = genes.assign(gene=genes["feature"], p=np.where(np.arange(80) < 8, 1e-4, 0.5))
    >>> known = pd.DataFrame({"source": "TF", "target": [f"GENE{i}" for i in range(8)], "weight": 1.0})
    >>> factor_activity(genes, None, known).table("activities").loc[0, ["feature", "direction"]].tolist()
    ['TF', 'down']
    """
    level = gene_level(table, dataset, params.organism)
    tested = level.table.assign(site="").reset_index(drop=True)
    given = network is not None
    checked = check_network(network) if network is not None else pd.read_parquet(DATA / "progeny.parquet")
    place = {str(gene).upper(): row for row, gene in enumerate(tested["gene"])}
    edges = [
        (str(source), place[str(target).upper()], float(weight))
        for source, target, weight in zip(
            checked["source"], checked["target"], checked["weight"], strict=True
        )
        if str(target).upper() in place
    ]
    warnings = []
    if level.organism not in ("human", "unknown"):
        warnings.append(f"targets are human genes, found in {level.organism} data by equal symbols")
    return activities(
        tested, edges, params, params.min_targets, {}, warnings, seed,
        dataset=dataset, what="factors" if given else "pathways", targets="genes",
        extra={"evidence": "network" if given else "progeny", "organism": level.organism},
    )  # fmt: skip


def _most_targets(edges: list[tuple[str, int, float]]) -> int:
    """Targets of the regulator that has most."""
    counts: dict[str, int] = {}
    for source, _, _ in edges:
        counts[source] = counts.get(source, 0) + 1
    return max(counts.values(), default=0)


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    """Tested rows with feature, gene, effect, z and p."""
    if lacking := [column for column in ("feature", "effect", "p") if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="test table",
            mend="give the table of a test, one row a feature",
        )
    p, effect = table["p"].to_numpy(float), table["effect"].to_numpy(float)
    kept = np.flatnonzero(np.isfinite(p) & np.isfinite(effect))
    gene = table["gene"].fillna("").astype(str) if "gene" in table else pd.Series("", index=table.index)
    return pd.DataFrame(
        {
            "feature": table["feature"].astype(str).to_numpy()[kept],
            "gene": gene.to_numpy()[kept],
            "effect": effect[kept],
            "z": signed_z(effect[kept], p[kept]),
            "p": p[kept],
        }
    )


def _known_edges(
    sites: list[tuple[Site, ...]], network: pd.DataFrame, tolerance: int
) -> list[tuple[str, int, float]]:
    """(kinase, row, weight) of every tested site that is a known substrate site, or within `tolerance` of just one."""
    known: dict[tuple[str, str], dict[int, list[tuple[str, float]]]] = {}
    columns = (network[name] for name in ("source", "target", "site", "weight"))
    for source, target, site, weight in zip(*columns, strict=True):
        text = str(site)
        if len(text) > 1 and text[1:].isdigit():
            at = known.setdefault((str(target).upper(), text[0]), {})
            at.setdefault(int(text[1:]), []).append((str(source), float(weight)))
    # Of tested sites that lie near one known site, only the nearest can be its orthologue.
    claims: dict[tuple[str, str, int], list[tuple[int, int, int]]] = {}
    for row, found in enumerate(sites):
        for site in found:
            at = known.get((site.gene, site.residue), {})
            near = sorted((abs(position - site.position), position) for position in at)
            if not near or near[0][0] > tolerance or (len(near) > 1 and near[1][0] == near[0][0]):
                continue
            claims.setdefault((site.gene, site.residue, near[0][1]), []).append(
                (near[0][0], site.position, row)
            )
    edges: dict[tuple[str, int], float] = {}
    for (gene, residue, position), rows in claims.items():
        nearest = min(distance for distance, _, _ in rows)
        if len({here for distance, here, _ in rows if distance == nearest}) > 1:
            continue
        for distance, _, row in rows:
            if distance == nearest:
                for source, weight in known[gene, residue][position]:
                    edges[source, row] = weight
    return [(source, row, weight) for (source, row), weight in edges.items()]
