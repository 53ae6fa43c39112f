"""Every public file that holds omics data: what it is recognised as, its level, features and samples; or its refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset

READ = {
    # file: (software, level, data kind, features, samples)
    "formats_small/SILAC_SQ.mzTab": ("mzTab", "protein", "proteins", 5, 2),
    "formats_small/alphapept_results_proteins.csv.gz": ("AlphaPept", "protein", "proteins", 3743, 2),
    "formats_small/diann_pg_matrix_20samples.tsv": ("DIA-NN", "protein", "proteins", 10, 20),
    "formats_small/diann_report.pg_matrix.tsv": ("DIA-NN", "protein", "proteins", 10, 20),
    "formats_small/fragpipe_combined_protein_IDH.tsv.gz": ("FragPipe", "protein", "proteins", 7682, 6),
    "formats_small/fragpipe_combined_proteins.tsv": ("FragPipe", "protein", "proteins", 10, 20),
    "formats_small/maxquant_proteinGroups_10samples.txt.gz": ("MaxQuant", "protein", "proteins", 787, 10),
    "formats_small/maxquant_proteinGroups_2samples.txt.gz": ("MaxQuant", "protein", "proteins", 253, 2),
    "formats_small/msstats_MaxQuant_mq_ev.csv.gz": ("MaxQuant", "peptide", "peptides", 109, 15),
    "formats_small/msstats_MaxQuant_mq_pg.csv": ("MaxQuant", "protein", "proteins", 4, 15),
    "formats_small/msstats_OpenMSTMT_openmstmt_input.csv": ("OpenMS", "peptide", "peptides", 27, 30),
    "formats_small/msstats_PDTMT_pdtmt_input.csv.gz": (
        "Proteome Discoverer",
        "peptide",
        "peptides",
        27,
        150,
    ),
    "formats_small/msstats_Progenesis_progenesis_input.csv": ("Progenesis", "peptide", "peptides", 15, 12),
    "formats_small/msstats_Skyline_skyline_input.csv.gz": ("Skyline", "peptide", "peptides", 47, 15),
    "formats_small/msstats_Spectronaut_spectronaut_input.csv.gz": (
        "Spectronaut",
        "protein",
        "proteins",
        1,
        6,
    ),
    "formats_small/spectronaut_long_684rows.tsv.gz": ("Spectronaut", "protein", "proteins", 3, 9),
    "batch_tmt_mouse_lens/iovs-58-13-55_s01.csv.gz": ("generic", "protein", "proteins", 6076, 18),
    "spike_cptac_study6/peptides200.txt.gz": ("MaxQuant", "peptide", "peptides", 1452, 45),
    "spike_cptac_study6/proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 1462, 27),
    "spike_dia_bruderer_iq/spikeins_fragments.csv.gz": ("Spectronaut", "fragment", "fragments", 982, 24),
    "spike_hye_lfqbench/hye110_isoquant_peptides.tsv.gz": ("LFQbench", "peptide", "peptides", 11736, 6),
    "spike_hye_lfqbench/hye110_isoquant_proteins.tsv": ("LFQbench", "protein", "proteins", 1937, 6),
    "spike_hye_lfqbench/hye124_peakview_peptides.tsv.gz": ("LFQbench", "peptide", "peptides", 3302, 6),
    "spike_hye_lfqbench/hye124_peakview_proteins.tsv": ("LFQbench", "protein", "proteins", 370, 6),
    "spike_hye_lfqbench/hye124_spectronaut_peptides.tsv.gz": ("LFQbench", "peptide", "peptides", 4678, 6),
    "spike_hye_lfqbench/hye124_spectronaut_proteins.tsv": ("LFQbench", "protein", "proteins", 506, 6),
    "spike_tmt_dangelo/MS2_proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 2220, 10),
    "spike_tmt_dangelo/MS3_proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 2041, 10),
    "spike_tmt_dangelo/paw_grouped_proteins_TMT.txt.gz": ("PAW", "protein", "proteins", 2179, 22),
    "spike_tmt_dangelo/serum_sle_grouped_protein_summary_TMT.txt.gz": (
        "PAW",
        "protein",
        "proteins",
        560,
        22,
    ),
    "spike_tmt_dilution/grouped_protein_summary_TMT.csv.gz": ("PAW", "generic", "generic", 2781, 10),
    "spike_tmt_ups1_msstats/input_pd.csv.gz": ("MSstats", "peptide", "peptides", 305, 150),
    "spike_tmt_yeast_triple_knockout/Fusion_protein_summary_TMT.txt.gz": (
        "PAW",
        "protein",
        "proteins",
        771,
        33,
    ),
    "spike_tmt_yeast_triple_knockout/Lumos_protein_summary_TMT.txt.gz": (
        "PAW",
        "protein",
        "proteins",
        771,
        33,
    ),
    "spike_tmt_yeast_triple_knockout/MS2_Lumos_protein_summary_TMT.txt.gz": (
        "PAW",
        "protein",
        "proteins",
        771,
        33,
    ),
    "spike_ups1_yeast_ramus/Exp1_R25_prot.txt.gz": ("MaxQuant", "protein", "proteins", 2351, 6),
    "spike_ups1_yeast_ramus/Exp1_R2_prot.txt.gz": ("MaxQuant", "protein", "proteins", 2359, 6),
    "spike_ups1_yeast_ramus/Exp2_R100_prot.txt.gz": ("MaxQuant", "protein", "proteins", 898, 6),
    "spike_ups1_yeast_ramus/Exp2_R10_pept.txt.gz": ("MaxQuant", "peptide", "peptides", 5633, 6),
    "spike_ups1_yeast_ramus/Exp2_R10_prot.txt.gz": ("MaxQuant", "protein", "proteins", 910, 6),
    "spike_ups1_yeast_ramus/Exp2_R2_prot.txt.gz": ("MaxQuant", "protein", "proteins", 900, 6),
    "cell_bait_ip_drosophila_proda/proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 120, 36),
    "cell_bait_ip_yeast_mito/proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 516, 36),
    "cell_twogroup_fa_ca_limma/proteinGroups.txt.gz": ("MaxQuant", "protein", "proteins", 1824, 6),
    "cell_ubiquitin_interactors_ubilength/UbiLength.csv.gz": ("MaxQuant", "protein", "proteins", 2927, 12),
    "clinical_alzheimer_csf_bader/proteome.csv.gz": ("generic", "protein", "proteins", 1542, 210),
    "clinical_covid_olink_gisby/serum_npx_level.csv.gz": ("Olink", "protein", "proteins", 436, 63),
    "clinical_mouse_cortex_down_syndrome/Data_Cortex_Nuclear.csv.gz": (
        "generic",
        "generic",
        "generic",
        77,
        1080,
    ),
    "clinical_ovarian_coscia/omics.csv.gz": ("generic", "protein", "proteins", 8946, 25),
    "clinical_septic_aki_binn/sample_datamatrix.csv.gz": ("generic", "protein", "proteins", 554, 197),
    "cytof_bcrxl_catalyst/PBMC_fs.csv.gz": ("cytometry table", "cell", "cells", 24, 8),
    "flow_spleen_gated_flowsom/spleen_preprocessed.fcs": ("FCS 3.0", "cell", "cells", 18, 1),
    "flow_spleen_gated_flowsom/spleen_raw.fcs": ("FCS 3.0", "cell", "cells", 18, 1),
    "lip_rapamycin_protti/rapamycin_10uM.csv.gz": ("Spectronaut", "peptide", "peptides", 3319, 8),
    "lip_rapamycin_protti/rapamycin_dose_response.csv.gz": ("Spectronaut", "peptide", "peptides", 1146, 36),
    "phospho_insulin_cells_phosr/phospho_cells_Ins.csv.gz": ("generic", "site", "sites", 4963, 24),
    "phospho_tmt_camprotr/TMT_PSMs.txt.gz": ("Proteome Discoverer", "peptide", "peptides", 4468, 10),
    "phospho_tmt_camprotr/phospho_PSMs.txt.gz": ("Proteome Discoverer", "site", "sites", 2298, 10),
    "sc_pbmc68k_reduced/10x_pbmc68k_reduced.h5ad": ("AnnData", "cell", "cells", 765, 1),
    "sc_scope2_hek_u937/SingleCell_PeptidesXsamples.txt.gz": ("SCoPE2", "peptide", "peptides", 4652, 62),
    "sc_scope2_maxquant_evidence/mqScpData.csv.gz": ("MaxQuant", "peptide", "peptides", 711, 49),
    "sc_spatial_squidpy_test/test_data.h5ad": ("AnnData", "generic", "generic", 1999, 49),
    "sc_velocity_small/dentategyrus_100obs_preprocessed.h5ad": ("AnnData", "generic", "generic", 200, 100),
    "spatial_hyperlopit/Dunkley2006.csv.gz": ("generic", "protein", "fractions", 689, 16),
    "spatial_hyperlopit/hyperLOPIT-SIData-ms3-rep12-intersect.csv.gz": (
        "generic",
        "protein",
        "fractions",
        5032,
        20,
    ),
}
REFUSED = {
    # One run only: the export was cut after its first rows (and it has decimal points, against its name).
    "formats_small/spectronaut_comma_decimal.tsv.gz": "found 1 sample",
    "formats_small/test.mztab.gz": "holds no protein or peptide abundances",
    "formats_small/contaminants_list.txt": "0 numeric columns",
    "formats_small/alphapept_metadata.csv": "0 numeric columns",
    "formats_small/spectronaut_metadata.xlsx": "0 numeric columns",
    "cytof_bcrxl_catalyst/PBMC_md.csv": "0 numeric columns",
    "cytof_bcrxl_catalyst/PBMC_panel.csv": "0 numeric columns",
    "sc_scope2_hek_u937/Cellenone_annotation_sc_bulk.csv": "0 numeric columns",
    "sc_scope2_maxquant_evidence/sampleAnnotation.csv": "0 numeric columns",
    "flow_spleen_gated_flowsom/gating_result.csv.gz": "no column separator",
}
UNCERTAIN = ("unknown", "mixed")


def load(folder: Path, data: str, sheet: str | None = None, second: str | None = None, **params: object):
    files = {
        role: None if name is None else SourceFile(folder / name, Path(name).name)
        for role, name in (("data", data), ("samples", sheet), ("annotation", second))
    }
    return load_dataset.run(files, params, 0)


@pytest.mark.parametrize("file", READ)
def test_what_a_public_file_is(shared_data: Path, file: str) -> None:
    software, level, kind, n_features, n_samples = READ[file]
    result = load(shared_data, file)
    values, data = result.values, result.dataset()
    facts = data.uns["nereus"]
    assert (values["software"], values["level"], values["data_kind"]) == (software, level, kind)
    assert (values["n_features"], values["n_samples"]) == (n_features, n_samples)
    assert data.n_vars == n_features
    assert facts["software"] == software
    assert facts["level"] == level
    assert facts["data_kind"] == kind
    assert facts["scale"] == ("raw" if level == "cell" else "log2")
    assert facts["organism"]
    assert facts["quantity"]
    assert data.obs_names.is_unique
    assert data.var_names.is_unique
    assert not np.isinf(data.X).any()
    if level == "cell":
        assert data.obs["sample"].nunique() == n_samples
        assert data.n_obs == values["n_cells"]
    else:
        assert data.n_obs == n_samples
        assert np.nanmax(np.abs(data.X)) < 64
    if level in ("peptide", "fragment", "site"):
        assert "protein_group" in data.var.columns
    if level == "site":
        assert {"protein", "gene", "site", "sequence"} <= set(data.var.columns)
    if values["quantity"] == "reporter":
        assert "plex" in data.obs.columns


@pytest.mark.parametrize("file", REFUSED)
def test_what_a_public_file_is_not(shared_data: Path, file: str) -> None:
    with pytest.raises(InputError, match=REFUSED[file]) as caught:
        load(shared_data, file)
    assert caught.value.mend
    assert Path(file).name.split(".")[0] in str(caught.value.where)


def test_no_name_tells_a_format(shared_data: Path, tmp_path: Path) -> None:
    for number, (file, expected) in enumerate(READ.items()):
        if not file.startswith(("formats_small", "clinical_covid", "lip", "flow", "cytof")):
            continue
        link = tmp_path / f"x{number}"
        link.symlink_to(shared_data / file)
        values = load_dataset(SourceFile(link, link.name)).values
        assert (values["software"], values["level"]) == expected[:2]


@pytest.mark.parametrize(
    ("data", "sheet", "second", "n_samples", "columns"),
    [
        ("formats_small/diann_pg_matrix_20samples.tsv", "formats_small/diann_metadata.xlsx", None, 20, {"grouping1"}),
        ("formats_small/fragpipe_combined_proteins.tsv", "formats_small/fragpipe_metadata.xlsx", None, 20, {"grouping1"}),
        ("formats_small/spectronaut_long_684rows.tsv.gz", "formats_small/spectronaut_metadata.xlsx", None, 9, {"condition"}),
        ("formats_small/alphapept_results_proteins.csv.gz", "formats_small/alphapept_metadata.csv", None, 2, {"disease"}),
        ("clinical_covid_olink_gisby/serum_npx_level.csv.gz", "clinical_covid_olink_gisby/serum_sample_level.csv", None, 63,
         {"Case_Control", "Plate_ID"}),
        ("cytof_bcrxl_catalyst/PBMC_fs.csv.gz", "cytof_bcrxl_catalyst/PBMC_md.csv", "cytof_bcrxl_catalyst/PBMC_panel.csv", 8,
         {"condition", "patient_id"}),
        ("sc_scope2_maxquant_evidence/mqScpData.csv.gz", "sc_scope2_maxquant_evidence/sampleAnnotation.csv", None, 48,
         {"SampleType", "plex", "channel"}),
        ("sc_scope2_hek_u937/SingleCell_PeptidesXsamples.txt.gz", "sc_scope2_hek_u937/SingleCell_ids.txt",
         "sc_scope2_hek_u937/Cellenone_annotation_sc_bulk.csv", 62, {"sample_type"}),
        ("spike_cptac_study6/peptides200.txt.gz", "spike_cptac_study6/label-free_CPTAC_annotation.xlsx", None, 45, {"lab"}),
        ("cell_ubiquitin_interactors_ubilength/UbiLength.csv.gz",
         "cell_ubiquitin_interactors_ubilength/UbiLength_ExpDesign.csv", None, 12, {"condition"}),
    ],
)  # fmt: skip
def test_public_sheets_are_joined(
    shared_data: Path, data: str, sheet: str, second: str | None, n_samples: int, columns: set[str]
) -> None:
    result = load(shared_data, data, sheet, second)
    assert result.values["n_samples"] == n_samples
    assert columns <= set(result.dataset().obs.columns)
    assert not result.dataset().obs[sorted(columns)].isna().all().any()
