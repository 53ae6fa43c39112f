"""What the public files are known to hold must be found in what was read, with nothing but means and medians."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from nereus.tools.proteomics.load import read
from nereus.tools.proteomics.summarise import summarise_peptides


def difference(data: anndata.AnnData, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.nanmean(data.X[first], axis=0) - np.nanmean(data.X[second], axis=0)


def starts(data: anndata.AnnData, *words: str) -> np.ndarray:
    return np.array([str(name).startswith(words) for name in data.obs_names])


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("hye124_spectronaut_proteins.tsv", {"human": -0.03, "yeast": 0.98, "ecoli": -1.96}),
        ("hye124_peakview_proteins.tsv", {"human": 0.05, "yeast": 1.11, "ecoli": -1.90}),
        ("hye110_isoquant_proteins.tsv", {"human": 0.11, "yeast": 3.06, "ecoli": -3.05}),
    ],
)
def test_three_species(shared_data: Path, file: str, expected: dict[str, float]) -> None:
    data = read(shared_data / "spike_hye_lfqbench" / file)
    change = difference(data, starts(data, "A"), starts(data, "B"))
    for species, truth in expected.items():
        inside = (data.var["organism"] == species).to_numpy()
        assert inside.sum() > 20
        assert np.nanmedian(change[inside]) == pytest.approx(truth, abs=0.03)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_three_species_from_peptides(shared_data: Path) -> None:
    peptides = read(shared_data / "spike_hye_lfqbench" / "hye124_spectronaut_peptides.tsv.gz")
    data = summarise_peptides(peptides, min_peptides=2).dataset()
    change = difference(data, starts(data, "A"), starts(data, "B"))
    for species, truth in {"human": 0.0, "yeast": 1.0, "ecoli": -2.0}.items():
        inside = (data.var["organism"] == species).to_numpy()
        assert np.nanmedian(change[inside]) == pytest.approx(truth, abs=0.15)  # ratios of ions are compressed


def test_a_dilution_series_keeps_its_sums(shared_data: Path) -> None:
    data = read(shared_data / "spike_tmt_dilution" / "grouped_protein_summary_TMT.csv.gz")
    total = pd.Series(np.nansum(2.0**data.X, axis=1), index=data.obs["channel"])
    relative = total / total["126"]
    expected = {"126": 1, "127N": 0.78, "128C": 0.61, "129N": 0.42, "130C": 0.20, "131N": 0.11}
    assert relative[list(expected)].tolist() == pytest.approx(list(expected.values()), abs=0.006)
    assert set(data.obs["channel"][data.obs["blank"]]) == {"127C", "128N", "129C", "130N"}
    without = read(
        shared_data / "spike_tmt_dilution" / "grouped_protein_summary_TMT.csv.gz",
        drop={"blank_channel": True},
    )
    assert without.n_obs == 6


def test_knocked_out_proteins_are_low_in_their_channels(shared_data: Path) -> None:
    data = read(shared_data / "spike_tmt_yeast_triple_knockout" / "Lumos_protein_summary_TMT.txt.gz")
    assert set(data.obs["plex"]) == {"L00760", "L00762", "L00764"}
    assert set(data.obs["channel"][data.obs["blank"]]) == {"131N", "131C"}
    assert data.obs["label"].iloc[:3].tolist() == ["Met6-1", "Met6-2", "Met6-3"]
    used = data[~data.obs["blank"].to_numpy(dtype=bool)]
    of = {"MET6": ["126", "127N", "127C"], "PFK2": ["128N", "128C", "129N"], "URA2": ["129C", "130N", "130C"]}
    for gene, channels in of.items():
        values = np.nan_to_num(2.0 ** np.asarray(used[:, (used.var["gene"] == gene).to_numpy()].X))
        inside = used.obs["channel"].isin(channels).to_numpy()
        assert values.shape[1] == 1
        assert values[inside].mean() < 0.25 * values[~inside].mean()


@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:Mean of empty slice")
def test_human_proteins_vary_most_in_constant_bacteria(shared_data: Path) -> None:
    data = read(shared_data / "spike_tmt_dangelo" / "MS3_proteinGroups.txt.gz")
    values = 2.0 ** np.asarray(data.X)
    variation = np.nan_to_num(np.nanstd(values, axis=0) / np.nanmean(values, axis=0))
    assert set(data.var["protein"].iloc[np.argsort(-variation)[:12]]) == {
        "O15379", "Q15185", "P15090", "P05089", "P06733", "Q96FW1", "Q9Y2W7", "Q9H0R8-2", "Q14847", "O60861", "P15311",
        "P52292"}  # fmt: skip
    data = read(
        shared_data / "spike_tmt_dangelo" / "paw_grouped_proteins_TMT.txt.gz", drop={"blank_channel": True}
    )
    assert set(data.obs["plex"]) == {"MS2", "MS3"}
    values = 2.0 ** np.asarray(data[(data.obs["plex"] == "MS3").to_numpy()].X)
    level = np.nanmean(values, axis=0)
    variation = np.where(level > np.nanquantile(level, 0.25), np.nanstd(values, axis=0) / level, 0)
    assert (data.var["organism"].iloc[np.argsort(-variation)[:13]] == "human").sum() == 12


def test_null_proteins_of_five_mixtures_do_not_differ(shared_data: Path) -> None:
    peptides = read(shared_data / "spike_tmt_ups1_msstats" / "input_pd.csv.gz")
    assert set(peptides.obs["Mixture"]) == {f"Mixture{i}" for i in range(1, 6)}
    assert peptides.obs["plex"].nunique() == 15
    assert set(peptides.obs["channel"]) == {
        "126", "127N", "127C", "128N", "128C", "129N", "129C", "130N", "130C", "131"}  # fmt: skip
    assert (peptides.obs.groupby("plex")["Condition"].agg(lambda cells: (cells == "Norm").sum()) == 2).all()
    proteins = summarise_peptides(peptides, method="median_polish").dataset()
    assert proteins.shape == (150, 10)
    reference = (proteins.obs["Condition"].astype(str) == "Norm").to_numpy()
    frame = pd.DataFrame(proteins.X)
    centred = frame - frame[reference].groupby(proteins.obs["plex"].to_numpy()[reference]).mean().loc[
        proteins.obs["plex"]
    ].set_axis(frame.index)
    medians = (
        centred[~reference].groupby(proteins.obs["Condition"].astype(str).to_numpy()[~reference]).median()
    )
    assert np.nanmedian(np.abs(medians)) < 0.1


@pytest.mark.parametrize("method", ["maxlfq", "median_polish"])
def test_spiked_proteins_rise_and_fall_as_mixed(shared_data: Path, method: str) -> None:
    fragments = read(shared_data / "spike_dia_bruderer_iq" / "spikeins_fragments.csv.gz")
    result = summarise_peptides(fragments, method=method)
    data = result.dataset()
    assert data.shape == (24, 12)
    assert data.uns["nereus"]["level"] == "protein"
    assert data.var["n_peptides"].max() < 60  # peptides, not fragments
    profile = pd.DataFrame(data.X, index=data.obs_names, columns=data.var_names).sort_index()
    mixes = profile.to_numpy().reshape(8, 3, 12).mean(axis=1)
    change = dict(zip(profile.columns, mixes[-1] - mixes[0], strict=True))
    by_entry = {
        entry: change[name] for name, entry in zip(data.var_names, _entries(shared_data, data), strict=True)
    }
    assert all(by_entry[name] < -0.5 for name in ("FIBA", "FIBB", "FIBG", "RNAS1", "TRFE"))
    assert all(by_entry[name] > 2 for name in ("CASB", "MYG"))
    assert all(by_entry[name] > 0.5 for name in ("CAH2", "CASA1", "DHE3", "LACB", "PERL"))


def _entries(folder: Path, data: anndata.AnnData) -> list[str]:
    table = pd.read_csv(folder / "spike_dia_bruderer_iq" / "spikeins_fragments.csv.gz")
    names = table.drop_duplicates("PG.ProteinGroups").set_index("PG.ProteinGroups")["PG.ProteinNames"]
    return [names[name].split("_")[0] for name in data.var_names]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_target_of_rapamycin_leads(shared_data: Path) -> None:
    data = read(shared_data / "lip_rapamycin_protti" / "rapamycin_10uM.csv.gz")
    treated = (data.obs["r_condition"].astype(str) == "rapamycin").to_numpy()
    p = ttest_ind(data.X[treated], data.X[~treated], nan_policy="omit").pvalue
    complete = np.isfinite(data.X).sum(axis=0) >= 6
    p = np.where(complete, np.ma.filled(p, np.nan), np.nan)
    top = data.var["protein_group"].iloc[np.argsort(np.nan_to_num(p, nan=1.0))[:10]]
    assert (top == "P62942").sum() >= 9
    doses = read(shared_data / "lip_rapamycin_protti" / "rapamycin_dose_response.csv.gz")
    assert doses.obs["r_condition"].dtype == float
    assert sorted(doses.obs["r_condition"].unique()) == [0.0, *(10.0**power for power in range(1, 9))]


def test_labels_of_single_cells(shared_data: Path) -> None:
    folder = shared_data / "sc_scope2_hek_u937"
    data = read(
        folder / "SingleCell_PeptidesXsamples.txt.gz",
        folder / "SingleCell_ids.txt",
        folder / "Cellenone_annotation_sc_bulk.csv",
    )
    assert sorted(data.obs["sample_type"].value_counts().tolist()) == [3, 29, 30]
    assert (data.obs["sample_type"] == "sc_h").sum() == 30
    assert data.uns["nereus"]["single_cell"]
    change = ttest_ind(
        data.X[(data.obs["sample_type"] == "sc_h").to_numpy()],
        data.X[(data.obs["sample_type"] == "sc_u").to_numpy()],
        nan_policy="omit",
        equal_var=False,
    )
    assert (np.ma.filled(change.pvalue, 1.0) < 1e-4).sum() == pytest.approx(281, abs=20)


def test_the_carrier_outshines_the_cells(shared_data: Path) -> None:
    folder = shared_data / "sc_scope2_maxquant_evidence"
    data = read(folder / "mqScpData.csv.gz", folder / "sampleAnnotation.csv")
    assert (data.obs["runCol"].astype(str) == data.obs["plex"].astype(str)).all()
    level = pd.Series(np.nanmedian(data.X, axis=1), index=data.obs["SampleType"].astype(str))
    medians = level.groupby(level.index).median()
    assert medians["Carrier"] > medians["Monocyte"] + 3
    assert medians["Carrier"] > medians["Blank"] + 3
    assert not data.obs["blank"][
        data.obs["SampleType"].isin(["Macrophage", "Monocyte", "Carrier"]).to_numpy()
    ].any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sites_of_insulin_signalling(shared_data: Path) -> None:
    data = read(shared_data / "phospho_insulin_cells_phosr" / "phospho_cells_Ins.csv.gz")
    cells = starts(data, "Hepa1")
    insulin = np.array(["_Ins_" in str(name) for name in data.obs_names])
    change = difference(data, cells & insulin, cells & ~insulin)
    site = ((data.var["gene"] == "AKT1S1") & (data.var["site"] == "T247")).to_numpy()
    assert site.sum() == 1
    assert change[site][0] == pytest.approx(3.2, abs=0.1)
    assert data.var["sequence"][site].iloc[0][15] == "T"


def test_infection_raises_known_proteins(shared_data: Path) -> None:
    folder = shared_data / "clinical_covid_olink_gisby"
    data = read(folder / "serum_npx_level.csv.gz", folder / "serum_sample_level.csv")
    ill = (data.obs["Case_Control"].astype(str) == "POSITIVE").to_numpy()
    assert (ill.sum(), (~ill).sum()) == (52, 11)
    table = pd.read_csv(folder / "serum_npx_level.csv.gz").pivot(
        index="SampleID", columns="UniProt", values="NPX"
    )
    np.testing.assert_allclose(data.X, table.loc[data.obs_names, data.var_names])
    t = ttest_ind(data.X[ill], data.X[~ill], nan_policy="omit").statistic
    by_gene = dict(zip(data.var["gene"], t, strict=True))
    for gene in ("EIF4G1", "DDX58", "TRIM21", "CASP8", "TRIM5", "ITGB1BP2", "IRF9"):
        assert by_gene[gene] > 2


def test_stimulated_b_cells_signal(shared_data: Path) -> None:
    folder = shared_data / "cytof_bcrxl_catalyst"
    data = read(folder / "PBMC_fs.csv.gz", folder / "PBMC_md.csv", folder / "PBMC_panel.csv")
    b_cells = data[np.asarray(data[:, "CD20"].X).ravel() > 20]
    medians = (
        pd.Series(np.asarray(b_cells[:, "pS6"].X).ravel())
        .groupby(
            [b_cells.obs["condition"].astype(str).to_numpy(), b_cells.obs["sample"].astype(str).to_numpy()]
        )
        .median()
    )
    assert medians["BCRXL"].min() > 2 * medians["Ref"].max()
    assert data.var.loc["CD3", "marker_class"] == "type"
    assert data.var.loc["pS6", "marker_class"] == "state"
    assert (data.X < 0).any()


def test_organelle_maps_keep_their_classes(shared_data: Path) -> None:
    data = read(shared_data / "spatial_hyperlopit" / "hyperLOPIT-SIData-ms3-rep12-intersect.csv.gz")
    assert data.obs["replicate"].tolist() == ["Replicate 1"] * 10 + ["Replicate 2"] * 10
    assert data.obs["fraction"].tolist()[:3] == ["126", "127N", "127C"]
    assert data.var["SVM marker set"].nunique() > 8
    assert data.var["Final Localization Assignment"].nunique() > 8
    np.testing.assert_allclose(np.nansum(2.0 ** data.X[:10], axis=0).round(1), 1.0, atol=0.11)
    plants = read(shared_data / "spatial_hyperlopit" / "Dunkley2006.csv.gz")
    assert "ER lumen" in set(plants.var["pd.markers"])


def test_gates_of_many_files(shared_data: Path) -> None:
    data = read(shared_data / "cytof_multicenter_gated", sample_pattern=r"(?P<sample>.+)_(?P<gate>.+)")
    assert data.obs["sample"].nunique() == 8
    assert data.obs["gate"].nunique() == 5
    sizes = data.obs.groupby("sample", observed=True).size()
    assert sizes.min() > 27_000
    assert sizes.max() < 70_000
    medians = pd.DataFrame(data.X, columns=data.var_names).groupby(data.obs["gate"].to_numpy()).median()
    assert medians["0"].idxmax() == "Bcells"
    assert medians["5"].idxmax() == "CD8Tcells"
    assert medians["7"].idxmax() == "CD4Tcells"


def test_gated_spleen_has_the_markers_of_its_gates(shared_data: Path) -> None:
    folder = shared_data / "flow_spleen_gated_flowsom"
    data = read(folder / "spleen_raw.fcs")
    gates = pd.read_csv(folder / "gating_result.csv.gz", header=None)[0]
    assert len(gates) == data.n_obs
    medians = pd.DataFrame(data.X, columns=data.var_names).groupby(gates.to_numpy()).median()
    assert medians["CD19"].idxmax() == "B cells"
    assert medians["CD4"].idxmax() == "CD4 T cells"
    assert medians["CD8"].idxmax() == "CD8 T cells"
    assert data.uns["nereus"]["spillover"]


def test_decimal_commas_of_spectronaut(shared_data: Path) -> None:
    file = shared_data / "formats_small" / "spectronaut_long_684rows.tsv.gz"
    data = read(file)
    table = pd.read_csv(file, sep="\t", decimal=",")
    truth = table.groupby(["R.FileName", "PG.ProteinGroups"])["PG.Quantity"].first().unstack()
    np.testing.assert_allclose(data.X, np.log2(truth.loc[data.obs_names, data.var_names]))
    peptides = read(file, level="peptide")
    truth = table.groupby(["R.FileName", "EG.ModifiedSequence"])["FG.Quantity"].first()
    first = str(peptides.var_names[0]).rsplit(".", 1)[0]
    np.testing.assert_allclose(peptides.X[0, 0], np.log2(truth[peptides.obs_names[0], first]))


def test_evidence_holds_the_largest_feature_of_a_precursor(shared_data: Path) -> None:
    file = shared_data / "formats_small" / "msstats_MaxQuant_mq_ev.csv.gz"
    data = read(file, drop={"contaminant": False, "reverse": False})
    table = pd.read_csv(file)
    table["precursor"] = table["Modified.sequence"] + table["Charge"].astype(str)
    truth = table.groupby(["Experiment", "precursor"])["Intensity"].max().unstack()
    np.testing.assert_allclose(data.X, np.log2(truth.loc[data.obs_names, data.var_names]))


def test_sums_of_transitions_and_spectra(shared_data: Path) -> None:
    folder = shared_data / "formats_small"
    skyline = read(folder / "msstats_Skyline_skyline_input.csv.gz")
    table = pd.read_csv(folder / "msstats_Skyline_skyline_input.csv.gz")
    table["precursor"] = table["Peptide.Modified.Sequence"] + "_" + table["Precursor.Charge"].astype(str)
    truth = table.groupby([table["File.Name"].str.removesuffix(".raw"), "precursor"])["Area"].sum().unstack()
    np.testing.assert_allclose(2.0**skyline.X, truth.loc[skyline.obs_names, skyline.var_names])
    file = shared_data / "phospho_tmt_camprotr" / "TMT_PSMs.txt.gz"
    psms = read(file, level="peptide")
    table = pd.read_csv(file, sep="\t")
    kept = table[
        (table["Isolation Interference in Percent"] <= 50) & table["Master Protein Accessions"].notna()
    ]
    total = kept[[f"Abundance {name}" for name in psms.obs["channel"]]].sum()
    np.testing.assert_allclose(np.nansum(2.0**psms.X, axis=1), total, rtol=1e-9)


def test_openms_and_progenesis_as_pandas_reads_them(shared_data: Path) -> None:
    folder = shared_data / "formats_small"
    data = read(folder / "msstats_OpenMSTMT_openmstmt_input.csv")
    table = pd.read_csv(
        folder / "msstats_OpenMSTMT_openmstmt_input.csv", dtype={"Channel": str, "Mixture": str}
    )
    table["precursor"] = table["PeptideSequence"] + "_" + table["Charge"].astype(str)
    table["sample"] = table["Mixture"] + "_" + table["Channel"]
    truth = table.groupby(["sample", "precursor"])["Intensity"].sum().unstack().replace(0, np.nan)
    np.testing.assert_allclose(2.0**data.X, truth.loc[data.obs_names, data.var_names])
    ions = read(folder / "msstats_Progenesis_progenesis_input.csv")
    table = pd.read_csv(folder / "msstats_Progenesis_progenesis_input.csv", skiprows=2)
    used = table[table["Use in quantitation"].astype(str) == "True"]
    columns = [f"{name}.1" for name in ions.obs_names]  # the second block holds the raw abundances
    np.testing.assert_allclose(np.nansum(2.0**ions.X, axis=1), used[columns].sum().to_numpy(), rtol=1e-9)
    assert ions.obs["condition"].tolist() == list("AAAABBBBCCCC")
