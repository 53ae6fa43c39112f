"""Every tool, registered once: one line each. Listing names imports nothing; a tool's module loads on first use."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from nereus.errors import PlanError
from nereus.tools.base import Tool
from nereus.tools.methods.catalogue import CATALOGUE as METHOD_TOOLS

CATALOGUE: dict[str, str] = {
    # readers ---------------------------------------------------------------------------------
    "load_dataset": "nereus.tools.proteomics.load:load_dataset",
    "summarise_peptides": "nereus.tools.proteomics.summarise:summarise_peptides",
    "annotate_genes": "nereus.tools.proteomics.annotate:annotate_genes",
    # understanding and preparing a matrix ----------------------------------------------------
    "profile_dataset": "nereus.tools.proteomics.profile:profile_dataset",
    "quality_control": "nereus.tools.proteomics.quality:quality_control",
    "filter_features": "nereus.tools.proteomics.filter:filter_features",
    "normalise": "nereus.tools.proteomics.normalise:normalise",
    "combine_quantities": "nereus.tools.proteomics.quantities:combine_quantities",
    "internal_reference_scaling": "nereus.tools.proteomics.reference_scaling:internal_reference_scaling",
    "correct_batch": "nereus.tools.proteomics.correct_batch:correct_batch",
    "impute": "nereus.tools.proteomics.impute:impute",
    "aggregate_replicates": "nereus.tools.proteomics.aggregate:aggregate_replicates",
    "remove_samples": "nereus.tools.proteomics.samples:remove_samples",
    # exploring ---------------------------------------------------------------------------------
    "screen_factors": "nereus.tools.statistics.screen:screen_factors",
    "batch_check": "nereus.tools.statistics.batch:batch_check",
    "pca_variance": "nereus.tools.statistics.pca:pca_variance",
    "variable_features": "nereus.tools.statistics.variable_features:variable_features",
    # testing -----------------------------------------------------------------------------------
    "differential_abundance": "nereus.tools.statistics.differential:differential_abundance",
    "detection_test": "nereus.tools.statistics.detection:detection_test",
    "rank_test": "nereus.tools.statistics.rank:rank_test",
    "continuous_association": "nereus.tools.statistics.association:continuous_association",
    "interaction_test": "nereus.tools.statistics.interaction:interaction_test",
    "longitudinal_test": "nereus.tools.statistics.longitudinal:longitudinal_test",
    "dose_response": "nereus.tools.statistics.dose_response:dose_response",
    "limited_proteolysis": "nereus.tools.proteomics.limited_proteolysis:limited_proteolysis",
    "dose_targets": "nereus.tools.proteomics.dose_targets:dose_targets",
    "survival_screen": "nereus.tools.statistics.survival.screen:survival_screen",
    "check_hazards": "nereus.tools.statistics.survival.hazards:check_hazards",
    "permutation_null": "nereus.tools.statistics.permutation:permutation_null",
    "stability": "nereus.tools.statistics.stability:stability",
    "power": "nereus.tools.statistics.power:power",
    "run_wide_fdr": "nereus.tools.statistics.fdr:run_wide_fdr",
    "calibrate_confidence": "nereus.tools.statistics.calibration:calibrate_confidence",
    "compose_claims": "nereus.tools.statistics.claims:compose_claims",
    "gather_claims": "nereus.tools.statistics.gather:gather_claims",
    "peptide_model": "nereus.tools.statistics.peptide_model:peptide_model",
    # predicting, grouping, comparing layers and cohorts ------------------------------------------
    "discover_formula": "nereus.tools.statistics.formula.discover:discover_formula",
    "biomarker_panel": "nereus.tools.statistics.panel:biomarker_panel",
    "consensus_clusters": "nereus.tools.statistics.consensus:consensus_clusters",
    "coexpression_modules": "nereus.tools.statistics.modules:coexpression_modules",
    "cross_layer_correlation": "nereus.tools.statistics.cross_layer:cross_layer_correlation",
    "replicate_externally": "nereus.tools.statistics.replication:replicate_externally",
    "split_cohort": "nereus.tools.statistics.split_cohort:split_cohort",
    "score_interactome": "nereus.tools.proteomics.interactome:score_interactome",
    "classify_organelles": "nereus.tools.proteomics.organelles:classify_organelles",
    # sets ----------------------------------------------------------------------------------------
    "enrichment_ora": "nereus.tools.enrichment.ora:enrichment_ora",
    "enrichment_gsea": "nereus.tools.enrichment.gsea:enrichment_gsea",
    # cells -----------------------------------------------------------------------------------------
    "transform_cells": "nereus.tools.cytometry.transform:transform_cells",
    "cell_quality": "nereus.tools.cytometry.quality:cell_quality",
    "single_cell_quality": "nereus.tools.singlecell.proteome_quality:single_cell_quality",
    "cluster_cells": "nereus.tools.cytometry.cluster:cluster_cells",
    "annotate_clusters": "nereus.tools.cytometry.annotate:annotate_clusters",
    "classify_cells": "nereus.tools.cytometry.classify:classify_cells",
    "population_markers": "nereus.tools.cytometry.population_markers:population_markers",
    "cell_abundance_test": "nereus.tools.cytometry.abundance:cell_abundance_test",
    "cell_state_test": "nereus.tools.cytometry.state:cell_state_test",
    "load_network": "nereus.tools.enrichment.network:load_network",
    "kinase_activity": "nereus.tools.enrichment.activity:kinase_activity",
    "factor_activity": "nereus.tools.enrichment.activity:factor_activity",
    # figures -------------------------------------------------------------------------------------
    "plot_volcano": "nereus.tools.figures.volcano:plot_volcano",
    "plot_heatmap": "nereus.tools.figures.heatmap:plot_heatmap",
    "plot_pca": "nereus.tools.figures.pca:plot_pca",
    "plot_missingness": "nereus.tools.figures.missingness:plot_missingness",
    "plot_set_bars": "nereus.tools.figures.set_bars:plot_set_bars",
    "plot_roc": "nereus.tools.figures.roc:plot_roc",
    "plot_activities": "nereus.tools.figures.activity_bars:plot_activities",
    "plot_localisation": "nereus.tools.figures.localisation_map:plot_localisation",
    "plot_feature": "nereus.tools.figures.feature:plot_feature",
    "plot_parity": "nereus.tools.figures.parity:plot_parity",
    "plot_dose_response": "nereus.tools.figures.dose_response:plot_dose_response",
    "plot_survival": "nereus.tools.figures.survival:plot_survival",
    "plot_embedding": "nereus.tools.figures.embedding:plot_embedding",
    "plot_populations": "nereus.tools.figures.populations:plot_populations",
    "plot_markers": "nereus.tools.figures.marker_medians:plot_markers",
    "plot_learning_curve": "nereus.tools.figures.learning_curve:plot_learning_curve",
    "plot_molecules": "nereus.tools.figures.molecules:plot_molecules",
    # code ------------------------------------------------------------------------------------------
    "run_code": "nereus.tools.code.run_code:run_code",
    # trainable methods: made from their cards ------------------------------------------------------
    **{name: f"nereus.tools.methods:{name}" for name in METHOD_TOOLS},
}


def names() -> list[str]:
    """Names of all registered tools, in catalogue order."""
    return list(CATALOGUE)


@cache
def get(name: str) -> Tool:
    """The tool called `name`; `PlanError` with the nearest names where there is none."""
    if name not in CATALOGUE:
        from difflib import get_close_matches

        near = get_close_matches(name, CATALOGUE, n=3) or names()
        raise PlanError(f"there is no tool {name!r}", mend=f"perhaps {', '.join(near)}")
    module, attribute = CATALOGUE[name].split(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, Tool) or found.name != name:
        raise TypeError(f"{CATALOGUE[name]} is not the tool {name!r}")
    return found


def all_tools() -> Iterator[Tool]:
    """Every registered tool, loaded."""
    for name in CATALOGUE:
        yield get(name)
