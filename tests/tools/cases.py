"""One small example of every tool on real data: what the contract suite runs.

A case is a function that gives the inputs, and the parameters. The data are every fifth sample and every fourth protein
of the cerebrospinal fluid set in `examples`, and twelve proteins of a spike-in series in `tests/data`. To register a
tool, add its case to `CASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from nereus.tools import registry
from nereus.tools.base import Result, SourceFile
from nereus.tools.methods.catalogue import CATALOGUE as METHOD_TOOLS
from tests.tools.cytometry.planted import STIMULATION, planted_cells
from tests.tools.methods.cases import method_inputs, method_params

EXAMPLE = Path(__file__).parents[2] / "examples" / "alzheimer_csf"
SPIKE_INS = Path(__file__).parents[1] / "data" / "bruderer_spikeins"

NETWORK = Path(__file__).parents[1] / "data" / "networks" / "kinases.csv"

DIAGNOSIS = "_primary biochemical AD classification"
SITE = "_collection site"
AGE = "_age at CSF collection"
CONTRAST = {"factor": DIAGNOSIS, "a": "biochemical AD", "b": "biochemical control", "covariates": (SITE,)}

CODE = """
import matplotlib.pyplot as plt
import numpy as np

_known = differential.dropna(subset=["effect"])
draws = np.random.default_rng().normal(size=100)
result = _known.assign(size=_known["effect"].abs()).nlargest(5, "size")[["feature", "effect", "p"]]
largest = float(result["effect"].abs().max()) if len(result) else None
jitter = float(draws.mean())
plt.scatter(_known["effect"], -np.log10(_known["p"]))
plt.title("Effects")
print(f"{len(_known)} proteins")
"""

OUTCOME = {"time": "followed", "event": "state"}


@dataclass(frozen=True)
class Case:
    """Inputs and parameters of one small run of a tool.

    Attributes
    ----------
    inputs
        Gives the inputs by name. They may share objects with other cases: no tool may change them.
    params
        Parameters.
    barren
        Whether the tool is also run on inputs without a single value (all NaN, tables without rows). False only where
        that is what the tool is made to accept without a word, with the reason in a comment.
    """

    inputs: Callable[[], Mapping[str, Any]]
    params: Mapping[str, Any] = field(default_factory=dict)
    barren: bool = True


@cache
def run(name: str) -> Result:
    """Result of a tool's case, computed once in a test session."""
    case = CASES[name]
    return registry.get(name).run(case.inputs(), case.params, seed=1)


@cache
def _loaded() -> anndata.AnnData:
    return run("load_dataset").dataset()


@cache
def csf() -> anndata.AnnData:
    """42 people x 386 protein groups with 20 % missing values; ``subject`` pairs people as if replicated."""
    small = _loaded()[::5, ::4].copy()
    small.obs["subject"] = [f"S{i // 2}" for i in range(small.n_obs)]
    small.obs["replicate"] = [f"R{i % 2}" for i in range(small.n_obs)]
    return registry.get("annotate_genes")(small).dataset()


@cache
def seen() -> anndata.AnnData:
    """The features of the set that have a value in these samples."""
    data = csf()
    return data[:, np.isfinite(np.asarray(data.X)).any(axis=0)].copy()


@cache
def fractions() -> anndata.AnnData:
    """The peptides of the spike-ins as if runs were fractions and proteins were organelles; every other one a marker."""
    data = peptides().copy()
    data.var["organelle_known"] = [
        name if i % 2 else "unknown" for i, name in enumerate(data.var["protein"].astype(str))
    ]
    return data


@cache
def sited() -> anndata.AnnData:
    """The people of the set whose collection site and age are known."""
    data = csf()
    return data[(data.obs[SITE].notna() & data.obs[AGE].notna()).to_numpy()].copy()


@cache
def peptides() -> anndata.AnnData:
    """24 runs x 90 peptides of 12 proteins, log2."""
    table = pd.read_csv(SPIKE_INS / "peptides.csv")
    var = (
        table[["protein", "gene"]]
        .astype(str)
        .set_index(pd.Index(table["peptide"].astype(str), name="feature"))
    )
    runs = table.columns[3:]
    obs = pd.DataFrame({"level": [str(run)[0] for run in runs]}, index=pd.Index(runs, name="sample"))
    uns = {"nereus": {"level": "peptide", "quantity": "intensity", "history": []}}
    return anndata.AnnData(np.log2(table[runs].to_numpy(float).T), obs=obs, var=var, uns=uns)


@cache
def blood() -> anndata.AnnData:
    """600 planted cells x 9 channels of 4 donors, stimulated and not: raw counts of a mass cytometer."""
    return planted_cells(n_donors=4, n_cells=75, seed=1)


@cache
def single_cell_peptides() -> anndata.AnnData:
    """Two runs of a carrier, a reference, eight cells and two blanks x 60 peptides of 15 proteins, intensities."""
    rng = np.random.default_rng(3)
    kinds = ["carrier", "reference"] + ["cell"] * 8 + ["blank"] * 2
    level = np.exp(rng.normal(7, 1, 60))
    size = np.array([100.0, 5.0, *np.ones(8), 0.1, 0.1])
    noise = np.array([0.1, 0.1, *np.full(8, 0.2), 1.0, 1.0])
    parts = [level * size[:, None] * np.exp(rng.normal(size=(12, 60)) * noise[:, None]) for _ in range(2)]
    X = np.vstack(parts)
    X[rng.random(X.shape) < 0.2] = np.nan
    obs = pd.DataFrame(
        {"type": kinds * 2, "run": np.repeat(["r1", "r2"], 12)}, index=[f"w{i}" for i in range(24)]
    )
    var = pd.DataFrame({"protein": [f"P{i // 4}" for i in range(60)]}, index=[f"pep{i}" for i in range(60)])
    return anndata.AnnData(X, obs=obs, var=var, uns={"nereus": {"level": "cell", "history": []}})


def _file(path: Path) -> SourceFile:
    return SourceFile(path, path.name)


def _dataset() -> dict[str, Any]:
    return {"dataset": csf()}


def _families() -> dict[str, pd.DataFrame]:
    return {
        "diagnosis abundance": run("differential_abundance").table("differential"),
        "diagnosis detection": run("detection_test").table("detection"),
    }


def _sites() -> dict[str, Any]:
    """The test of proteins as if each were a site, and a network over them."""
    table = run("differential_abundance").table("differential")
    named = [f"GENE{i}_S{i + 10}" for i in range(len(table))]
    return {
        "table": table.assign(feature=named, gene=""),
        "dataset": None,
        "network": run("load_network").table("network"),
    }


def _claims_inputs() -> dict[str, Any]:
    return {
        "findings": run("run_wide_fdr").table("findings"),
        "differential": run("differential_abundance").table("differential"),
        "detection": run("detection_test").table("detection"),
        "stability": run("stability").table("stability"),
        "confidence": run("calibrate_confidence").table("confidence"),
        "rank": run("rank_test").table("rank"),
        "rerun": None,
    }


CASES: dict[str, Case] = {
    # readers ---------------------------------------------------------------------------------
    "load_dataset": Case(
        lambda: {"data": _file(EXAMPLE / "proteome.csv.gz"), "samples": _file(EXAMPLE / "samples.csv")}
    ),
    "summarise_peptides": Case(lambda: {"dataset": peptides()}),
    "annotate_genes": Case(_dataset, barren=False),  # works on names, not on values
    # understanding and preparing a matrix ----------------------------------------------------
    "profile_dataset": Case(_dataset, {"n_permutations": 19}),
    "quality_control": Case(_dataset),
    "filter_features": Case(_dataset, {"factor": DIAGNOSIS, "max_missing": 0.5}),
    "normalise": Case(_dataset, {"method": "median"}),
    "combine_quantities": Case(lambda: {"dataset": _two_quantities()}),
    "internal_reference_scaling": Case(lambda: {"dataset": sited()}, {"plex": SITE}),
    "correct_batch": Case(
        lambda: {"dataset": sited()}, {"batch": SITE, "factors": (DIAGNOSIS,), "covariates": (AGE,)}
    ),
    "impute": Case(lambda: {"dataset": seen()}, {"method": "mixed"}),
    "aggregate_replicates": Case(_dataset, {"by": "subject"}),
    "remove_samples": Case(
        lambda: {"dataset": csf()}, {"samples": ("Sample_005",)}, barren=False
    ),  # works on names, not on values
    # exploring ---------------------------------------------------------------------------------
    "screen_factors": Case(_dataset, {"factors": (DIAGNOSIS,), "variables": (AGE,), "n_permutations": 39}),
    "batch_check": Case(_dataset, {"batch": (SITE,), "factors": (DIAGNOSIS,)}),
    "pca_variance": Case(_dataset, {"n_components": 4}),
    "variable_features": Case(_dataset, {}),
    # testing -----------------------------------------------------------------------------------
    "differential_abundance": Case(_dataset, {"contrast": CONTRAST}),
    "detection_test": Case(_dataset, {"contrast": CONTRAST}),
    "rank_test": Case(_dataset, {"contrast": CONTRAST}),
    "continuous_association": Case(_dataset, {"variable": AGE, "covariates": (SITE,)}),
    "interaction_test": Case(
        lambda: {"dataset": crossed()},
        {
            "contrast": {"factor": DIAGNOSIS, "a": "biochemical AD", "b": "biochemical control"},
            "by": "arm",
            "by_a": "x",
            "by_b": "y",
            "n_permutations": 3,
            "n_subsamples": 3,
        },
    ),
    "longitudinal_test": Case(
        lambda: {"dataset": crossed()},
        {"time": "visit", "subject": "patient", "n_permutations": 3, "n_subsamples": 3},
    ),
    "dose_response": Case(
        lambda: {"dataset": dosed()}, {"dose": "dose", "n_permutations": 2, "n_subsamples": 2}
    ),
    "limited_proteolysis": Case(
        lambda: {"dataset": halved(), "proteins": summed()},
        {"contrast": {"factor": "half", "a": "late", "b": "early"}, "n_permutations": 2, "n_subsamples": 2},
    ),
    "dose_targets": Case(
        lambda: {"dataset": dosed()}, {"dose": "dose", "n_permutations": 2, "n_subsamples": 2}
    ),
    "survival_screen": Case(
        lambda: {"dataset": followed()},
        {**OUTCOME, "covariates": (SITE,), "n_permutations": 3, "n_subsamples": 3},
    ),
    "check_hazards": Case(lambda: {"dataset": followed()}, OUTCOME),
    "permutation_null": Case(_dataset, {"contrast": CONTRAST, "n_permutations": 20}),
    "stability": Case(_dataset, {"contrast": CONTRAST, "n_subsamples": 10}),
    "power": Case(_dataset, {"contrast": CONTRAST}),
    "run_wide_fdr": Case(lambda: {"tables": _families()}),
    "calibrate_confidence": Case(
        lambda: {
            "dataset": csf(),
            "differential": run("differential_abundance").table("differential"),
            "detection": None,
            "stability": run("stability").table("stability"),
            "null": run("permutation_null").table("null"),
        },
        {"contrast": CONTRAST, "n_plantings": 3, "n_subsamples": 4},
    ),
    "compose_claims": Case(
        _claims_inputs,
        {
            "contrast": "biochemical AD vs biochemical control",
            "abundance_family": "diagnosis abundance",
            "detection_family": "diagnosis detection",
            "min_confidence": 0.0,
        },
    ),
    "gather_claims": Case(
        lambda: {"tables": {"O2": run("compose_claims").table("claims")}}, barren=False
    ),  # no claims is an answer, and the summary counts them by objective
    "peptide_model": Case(
        lambda: {"dataset": _two_mixes()}, {"contrast": {"factor": "mix", "a": "late", "b": "early"}}
    ),
    # predicting, grouping, comparing layers and cohorts ------------------------------------------
    "discover_formula": Case(
        lambda: {"table": pd.read_csv(EXAMPLE / "samples.csv")},
        {
            "target": "_Abeta-42/Abeta-40 ratio",
            "columns": ("_Abeta-42 [ng/L]", "_Abeta-40 [ng/L]", "_t-tau [ng/L]", "_gender"),
            "max_terms": 500,
        },
    ),
    "biomarker_panel": Case(
        _dataset,
        {"contrast": CONTRAST, "subject": None, "n_folds": 3, "n_repeats": 1, "n_permutations": 3},
    ),
    "consensus_clusters": Case(_dataset, {"max_k": 3, "n_resamples": 10, "n_null": 19}),
    "coexpression_modules": Case(_dataset, {"covariates": (SITE,), "n_halves": 2}),
    "cross_layer_correlation": Case(
        lambda: {"dataset": csf(), "other": _two_quantities()},
        {"covariates": (SITE,), "n_permutations": 5},
    ),
    "replicate_externally": Case(
        lambda: {"table": run("differential_abundance").table("differential"), "dataset": csf()},
        {"contrast": CONTRAST, "discovery_level": 0.5, "n_permutations": 5},
    ),
    "split_cohort": Case(_dataset, {"by": (DIAGNOSIS,)}, barren=False),  # works on the sheet, not on values
    "score_interactome": Case(
        _dataset, {"factor": DIAGNOSIS, "controls": ("biochemical control",), "n_imputations": 2}
    ),
    "classify_organelles": Case(
        lambda: {"dataset": fractions()}, {"markers": "organelle_known", "n_folds": 3, "min_markers": 4}
    ),
    # sets ----------------------------------------------------------------------------------------
    "enrichment_ora": Case(
        lambda: {"table": run("differential_abundance").table("differential"), "dataset": csf()},
        {"n_top": 30},
    ),
    "enrichment_gsea": Case(
        lambda: {"table": run("differential_abundance").table("differential"), "dataset": csf()},
        {"contrast": CONTRAST, "n_permutations": 500},
    ),
    "load_network": Case(lambda: {"data": _file(NETWORK)}, barren=False),  # reads a file
    "kinase_activity": Case(_sites, {"n_permutations": 500}),
    "factor_activity": Case(
        lambda: {
            "table": run("differential_abundance").table("differential"),
            "dataset": csf(),
            "network": None,
        },
        {"n_permutations": 500, "min_targets": 2},
    ),
    # cells -----------------------------------------------------------------------------------------
    "transform_cells": Case(lambda: {"dataset": blood()}),
    "cell_quality": Case(lambda: {"dataset": run("transform_cells").dataset()}, {"min_cells": 20}),
    "single_cell_quality": Case(
        lambda: {"dataset": single_cell_peptides()}, {"type_column": "type", "run": "run"}
    ),
    "cluster_cells": Case(
        lambda: {"dataset": run("cell_quality").dataset()}, {"min_k": 4, "max_k": 6, "n_subsamples": 3}
    ),
    "annotate_clusters": Case(lambda: {"dataset": run("cluster_cells").dataset(), "markers": None}),
    "classify_cells": Case(lambda: {"dataset": run("transform_cells").dataset()}, {"label": "gate"}),
    "cell_abundance_test": Case(
        lambda: {"dataset": run("annotate_clusters").dataset()},
        {"contrast": STIMULATION, "unit": "donor"},
        barren=False,
    ),  # counts cells, whatever their values
    "population_markers": Case(lambda: {"dataset": run("annotate_clusters").dataset()}, {"unit": "donor"}),
    "cell_state_test": Case(
        lambda: {"dataset": run("annotate_clusters").dataset()}, {"contrast": STIMULATION, "unit": "donor"}
    ),
    # figures -------------------------------------------------------------------------------------
    "plot_volcano": Case(
        lambda: {
            "table": run("differential_abundance").table("differential"),
            "claims": run("compose_claims").table("claims"),
        },
        {"contrast": CONTRAST},
    ),
    "plot_heatmap": Case(
        lambda: {"dataset": csf(), "table": run("differential_abundance").table("differential")},
        {"contrast": CONTRAST, "factors": (SITE,), "n_features": 12},
    ),
    "plot_pca": Case(
        lambda: {
            "scores": run("pca_variance").table("scores"),
            "variance": run("pca_variance").table("variance"),
            "dataset": csf(),
        },
        {"factor": DIAGNOSIS, "batch": SITE},
    ),
    "plot_missingness": Case(_dataset, {"factor": DIAGNOSIS}),
    "plot_set_bars": Case(lambda: {"table": run("enrichment_gsea").table("sets")}),
    "plot_roc": Case(
        lambda: {
            "roc": run("biomarker_panel").table("roc"),
            "performance": run("biomarker_panel").table("performance"),
            "calibration": run("biomarker_panel").table("calibration"),
        }
    ),
    "plot_parity": Case(lambda: {"predictions": run("discover_formula").table("predictions")}),
    "plot_activities": Case(
        lambda: {
            "table": run("factor_activity").table("activities"),
            "targets": run("factor_activity").table("targets"),
        },
        {"contrast": CONTRAST},
    ),
    "plot_localisation": Case(
        lambda: {"dataset": fractions(), "table": run("classify_organelles").table("localisation")}
    ),
    "plot_feature": Case(
        lambda: {"dataset": csf()},
        {"feature": "A0A024QZX5;A0A087X1N8;P35237", "contrast": CONTRAST, "batch": SITE},
    ),
    "plot_dose_response": Case(
        lambda: {"dataset": dosed()}, {"dose": "dose", "feature": str(peptides().var_names[0])}
    ),
    "plot_survival": Case(
        lambda: {"dataset": followed()}, {**OUTCOME, "feature": "A0A024QZX5;A0A087X1N8;P35237"}
    ),
    "plot_embedding": Case(
        lambda: {"dataset": run("annotate_clusters").dataset()},
        {"method": "pca", "colour": ("population", "group"), "n_cells": 200},
    ),
    "plot_populations": Case(
        lambda: {
            "dataset": run("cell_abundance_test").dataset("shares"),
            "table": run("cell_abundance_test").table("abundance"),
        },
        {"contrast": STIMULATION, "join": "donor"},
    ),
    "plot_markers": Case(lambda: {"dataset": run("annotate_clusters").dataset()}),
    "plot_learning_curve": Case(lambda: {"history": run("fit_unimatch").table("history")}),
    "plot_molecules": Case(
        lambda: {"table": method_inputs("fit_unimatch")()["table"]}, {"smiles": "structure"}
    ),
    # code ------------------------------------------------------------------------------------------
    "run_code": Case(
        lambda: {"tables": {"differential": run("differential_abundance").table("differential")}},
        {"code": CODE},
    ),
    **{name: Case(method_inputs(name), method_params(name)) for name in METHOD_TOOLS},
}


@cache
def crossed() -> anndata.AnnData:
    """The set with an invented second factor, and people taken for three visits of fourteen patients."""
    data = csf().copy()
    data.obs["arm"] = ["xy"[(i // 2) % 2] for i in range(data.n_obs)]
    data.obs["patient"] = [f"P{i // 3}" for i in range(data.n_obs)]
    data.obs["visit"] = [float(i % 3) for i in range(data.n_obs)]
    return data


@cache
def halved() -> anndata.AnnData:
    """The peptides of the spike-in series, its first half against its second."""
    data = peptides().copy()
    data.obs["half"] = ["early" if int(str(run)[1:]) <= 12 else "late" for run in data.obs_names]
    return data


@cache
def summed() -> anndata.AnnData:
    """Proteins of the same runs."""
    return registry.get("summarise_peptides")(halved()).dataset()


@cache
def dosed() -> anndata.AnnData:
    """The peptides of the spike-in series, its eight mixes taken for eight doses."""
    data = peptides().copy()
    data.obs["dose"] = [10.0 * 3.0 ** ((int(str(run)[1:]) - 1) // 3) for run in data.obs_names]
    return data


@cache
def followed() -> anndata.AnnData:
    """The set with an invented follow-up: the age is the time, and four of five people have the event."""
    data = csf().copy()
    data.obs["followed"] = data.obs[AGE].astype(float)
    data.obs["state"] = ["alive" if i % 5 == 0 else "dead" for i in range(data.n_obs)]
    return data


@cache
def _two_mixes() -> anndata.AnnData:
    """The first and the last six runs of the spike-in series."""
    data = peptides()[[*range(6), *range(18, 24)]].copy()
    data.obs["mix"] = ["early"] * 6 + ["late"] * 6
    return data


@cache
def _two_quantities() -> anndata.AnnData:
    """The set with a second quantity beside the first, as a file with LFQ and raw intensities has."""
    data = csf().copy()
    shift = np.linspace(-0.3, 0.3, data.n_obs)[:, None]
    data.layers["intensity"] = np.asarray(data.X) + shift
    data.uns["nereus"] = {**data.uns["nereus"], "quantity": "lfq"}
    return data
