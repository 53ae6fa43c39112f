"""Every kind of data end to end on public data with a known truth: asked, tested, claimed, said and recomputed."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

import nereus
from nereus.memory.records import Hypothesis, ObjectiveKind

pytestmark = pytest.mark.slow


def discovered(
    tmp_path: Path, data: Path, samples: Path | None = None, question: str | None = None, objectives: int = 4
) -> nereus.Run:
    return nereus.discover(
        data,
        samples,
        question=question,
        out=tmp_path / "report",
        home=tmp_path / "home",
        budget=[f"objectives={objectives}", "hypotheses=30", "steps=90"],
        seed=1,
    )


def kinds(run: nereus.Run) -> set[ObjectiveKind]:
    return {one.kind for one in run.record.objectives if one.status == "done"}


def claims(run: nereus.Run) -> list[dict[str, str]]:
    with (run.directory / "claims.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def held(run: nereus.Run, relation: str) -> list[Hypothesis]:
    return [
        one
        for one in sorted(run.record.hypotheses, key=lambda h: h.rank)
        if one.claim.relation == relation and one.status in ("supported", "tentative")
    ]


def failed(run: nereus.Run) -> list[str]:
    return [f"{one.spec.tool}: {one.error}" for one in run.record.calls.values() if one.error]


def test_interactions_of_repeatedly_measured_mice(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "clinical_mouse_cortex_down_syndrome" / "Data_Cortex_Nuclear.csv.gz"
    run = discovered(
        tmp_path, data, question="does the effect of memantine depend on the genotype?", objectives=5
    )
    assert failed(run) == []
    assert {ObjectiveKind.INTERACTION, ObjectiveKind.DIFFERENTIAL} <= kinds(run)
    values = next(c.values for c in run.record.calls.values() if c.spec.tool == "profile_dataset")
    assert (values["n_subjects"], values["repeats"]) == (72, "technical")
    genotype = [one for one in claims(run) if one["contrast"] == "Ts65Dn vs Control"]
    assert genotype[0]["feature"] == "APP_N"
    asked = {one.about: one for one in run.record.objectives if one.kind is ObjectiveKind.INTERACTION}
    treated = "Genotype: Ts65Dn vs Control x Treatment: Memantine vs Saline"
    assert asked[treated].status == "done"
    assert not [one for one in claims(run) if one["contrast"] == treated]
    nothing = next(one for one in run.record.hypotheses if one.claim.contrast == treated)
    assert nothing.status == "refuted"
    assert nothing.statement.startswith(
        "The effect of Genotype on single proteins depends on Treatment: none of"
    )


def test_survival_with_few_patients_claims_nothing_and_says_which_outcomes_it_refuses(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "clinical_ovarian_coscia"
    run = discovered(
        tmp_path,
        folder / "omics.csv.gz",
        folder / "meta_patients.csv",
        "which proteins go with survival?",
        objectives=2,
    )
    assert failed(run) == []
    assert ObjectiveKind.SURVIVAL in kinds(run)
    screen = next(c for c in run.record.calls.values() if c.spec.tool == "survival_screen")
    assert (screen.values["n_samples"], screen.values["n_events"]) == (25, 20)
    assert screen.values["null_p95"] is not None
    outcome = "Overall survival days until Status = deceased"
    assert not [one for one in claims(run) if one["contrast"] == outcome]
    assert any(one.claim.relation == "survival" and one.status == "refuted" for one in run.record.hypotheses)
    refused = [
        one
        for one in run.record.notices
        if one.startswith("refused: hazard of Status over Disease free days")
    ]
    assert len(refused) == 1


def test_a_course_of_ages_over_plexes(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "batch_tmt_mouse_lens" / "iovs-58-13-55_s01.csv.gz"
    run = discovered(tmp_path, data, question="which proteins change with developmental age?", objectives=1)
    assert failed(run) == []
    tools = {call.spec.tool for call in run.record.calls.values()}
    assert "internal_reference_scaling" in tools
    variance = next(c for c in run.record.calls.values() if c.spec.tool == "pca_variance")
    assert variance.values["top_column"] == "group" if "top_column" in variance.values else True
    followed = held(run, "association")
    assert len(followed) >= 5
    assert {one.confidence_word for one in followed} <= {"strong", "likely"}
    falling = {one["gene"] for one in claims(run) if one["direction"] == "down"}
    assert {"Nes", "Pcna"} <= falling  # a stem cell's filament and the mark of dividing cells


def test_sites_lead_to_kinases(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "phospho_insulin_cells_phosr" / "phospho_cells_Ins.csv.gz"
    run = discovered(tmp_path, data, question="which kinases answer to insulin?", objectives=4)
    assert failed(run) == []
    assert ObjectiveKind.ACTIVITY in kinds(run)
    active = held(run, "activity")
    assert "AKT" in active[0].claim.entities[0].name
    assert active[0].claim.entities[0].direction == "up"
    assert active[0].status == "tentative"  # no confidence was calibrated and no half-samples were drawn
    seen = [*held(run, "abundance"), *held(run, "detection")]
    assert {entity.kind for one in seen for entity in one.claim.entities} == {"site"}
    path = next(one for one in run.hypotheses if one.grain == "path")
    assert [entity.kind for entity in path.claim.entities][:2] == ["kinase", "site"]
    assert "AKT" in path.claim.entities[0].name
    assert (path.status, path.confidence) == ("tentative", None)
    inferred = [one for one in run.record.edges if one.status == "inferred"]
    assert {one.kind for one in inferred} == {"regulates"}
    assert {one for edge in inferred for one in edge.hypotheses} >= {path.id}


def test_transcripts_of_cell_lines_lead_to_the_mutated_pathway(shared_data: Path, tmp_path: Path) -> None:
    """Of fourteen pathways p53 alone is weaker where p53 is mutated."""
    folder = shared_data / "genesets"
    with gzip.open(folder / "gsea_p53_expression.txt.gz", "rt") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    labels = (folder / "gsea_p53.cls").read_text().splitlines()[2].split()
    best: dict[str, list[str]] = {}
    for row in rows[1:]:  # of several probes of a gene the brightest stands for it
        if row[0] not in best or sum(map(float, row[2:])) > sum(map(float, best[row[0]][1:])):
            best[row[0]] = [row[0], *(str(max(1.0, float(value))) for value in row[2:])]
    for name, lines in (
        ("rna.csv", [["Gene", *rows[0][2:]], *best.values()]),
        ("samples.csv", [["sample", "p53"], *zip(rows[0][2:], labels, strict=True)]),
    ):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows(lines)
    run = discovered(
        tmp_path,
        tmp_path / "rna.csv",
        tmp_path / "samples.csv",
        question="which signalling pathways differ between wild type and mutant p53?",
    )
    assert failed(run) == []
    asked = next(one for one in run.record.objectives if one.kind is ObjectiveKind.SIGNALLING)
    assert asked.status == "done"
    (found,) = held(run, "signalling")
    (pathway,) = found.claim.entities
    assert (pathway.kind, pathway.name) == ("pathway", "p53")
    assert pathway.direction == ("down" if found.claim.contrast == "MUT vs WT" else "up")
    assert found.statement.startswith("Signalling through p53, read from the genes that respond to it, is ")
    assert found.status == "tentative"  # nothing was planted, so no confidence is calibrated
    synthesis = next(c for c in run.record.calls.values() if c.spec.tool == "run_wide_fdr")
    assert f"{asked.id} signalling" in synthesis.spec.inputs["tables"]


def test_limited_proteolysis_finds_the_target(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "lip_rapamycin_protti" / "rapamycin_10uM.csv.gz"
    run = discovered(tmp_path, data, question="which target does limited proteolysis show?")
    assert failed(run) == []
    assert [one["feature"] for one in claims(run)] == ["P62942"]
    assert [one.claim.entities[0].id for one in held(run, "target")] == ["P62942"]


def test_a_series_of_doses_finds_the_target(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "lip_rapamycin_protti" / "rapamycin_dose_response.csv.gz"
    run = discovered(tmp_path, data, question="what follows the dose of rapamycin?")
    assert failed(run) == []
    assert ObjectiveKind.DOSE_RESPONSE in kinds(run)
    found = held(run, "dose_response")
    assert [one.claim.entities[0].id for one in found] == ["P62942"]
    assert found[0].status == "supported"


def test_limited_proteolysis_with_doses_claims_the_target_alone(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "lip_rapamycin_protti" / "rapamycin_dose_response.csv.gz"
    run = discovered(tmp_path, data, question="which target follows the dose in limited proteolysis?")
    assert failed(run) == []
    assert [one["feature"] for one in claims(run)] == ["P62942"]
    assert [one.claim.entities[0].id for one in held(run, "dose_target")] == ["P62942"]


def test_baits_top_their_own_pulldowns(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "cell_bait_ip_yeast_mito" / "proteinGroups.txt.gz"
    run = discovered(tmp_path, data, question="what do the baits bind?", objectives=1)
    assert failed(run) == []
    bound = held(run, "interactor")
    assert len(bound) >= 10
    own = {
        (one.claim.contrast.rpartition(": ")[2].lower(), one.claim.entities[0].name.lower()) for one in bound
    }
    assert {("cbp1", "cbp1"), ("cbs2", "cbs2"), ("ifm1", "ifm1")} & own
    assert {one.status for one in bound} == {"tentative"}


def test_stimulated_cells_change_their_state(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "cytof_bcrxl_catalyst"
    with gzip.open(folder / "PBMC_fs.csv.gz", "rt", encoding="utf-8") as file:
        text = file.read()
    cells, sheet = tmp_path / "cells.csv", tmp_path / "samples.csv"
    cells.write_text("sample" + text.removeprefix("frame"), encoding="utf-8")
    with (folder / "PBMC_md.csv").open(encoding="utf-8") as file:
        rows = [
            f"V{number},{row['condition']},{row['patient_id']}"
            for number, row in enumerate(csv.DictReader(file), start=1)
        ]
    sheet.write_text("\n".join(["sample,condition,patient_id", *rows]) + "\n", encoding="utf-8")
    run = discovered(tmp_path, cells, sheet, "which markers change with stimulation?")
    assert failed(run) == []
    assert {ObjectiveKind.POPULATIONS, ObjectiveKind.STATES} <= kinds(run)
    changed = {(one.claim.entities[0].id, one.claim.entities[0].direction) for one in held(run, "state")}
    assert ("B cells|pS6", "up") in changed
    assert all(one.confidence is not None for one in held(run, "state"))
    assert "pS6 in B cells is higher in BCRXL than in Ref" in " ".join(
        one.statement for one in held(run, "state")
    )
