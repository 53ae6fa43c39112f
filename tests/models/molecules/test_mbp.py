"""MBP's own: what may not matter (frames) or flow (other heads), who is compared with whom, units, formulas by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from scipy.spatial.transform import Rotation

from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.files import content, require_contents, with_contents
from nereus.models.molecules.mbp import CARD, MBP, Complex, MBPConfig
from nereus.models.molecules.mbp.comparing import wins
from nereus.models.molecules.mbp.complexes import Posed, pack_free, pack_posed, read
from nereus.models.molecules.mbp.features import BOUND, gaussians
from nereus.models.molecules.mbp.learning import AssayLearning, even_batches
from nereus.models.molecules.mbp.measurements import Partners, measurements
from nereus.models.molecules.mbp.network import MBPNetwork
from nereus.models.molecules.mbp.proteins import letters_of
from nereus.models.molecules.mbp.structures import read_pocket, read_poses
from nereus.models.tables import answer
from tests.models.cases.mbp import COLUMNS, FOLDER, affinities, complexes, contents
from tests.models.cases.molecules import SMILES

TINY = {"width": 8, "layers": 2, "training": {"epochs": 1, "batch_size": 8}}
TYPES = ["Ki"] * 4 + ["IC50"] * 4
CONFIG = MBPConfig(**TINY)
VALUES = np.linspace(4, 9, len(SMILES))


def everywhere(config: MBPConfig) -> list:
    return [read(one, config) for one in complexes()]


def moved(posed: list, seed: int) -> list:
    rotation = Rotation.random(random_state=seed).as_matrix()
    return [[one.moved(rotation, np.array([40.0, -35.0, 20.0])) for one in row] for row in posed]


def outputs(network: MBPNetwork, posed: list, config: MBPConfig) -> torch.Tensor:
    packed = pack_posed(posed, np.zeros(len(posed)), config)
    with torch.no_grad():
        z = network.eval().readouts(packed.batch(packed.first))
        return torch.stack([head.value(z[name]) for name, head in network.heads.items()])


# ------------------------------------------------------------------ graphs


@pytest.mark.parametrize("encoder", ["attentivefp", "gat", "gcn", "gin", "egnn"])
def test_turning_and_shifting_a_complex_changes_nothing(encoder) -> None:
    config = MBPConfig(width=8, layers=2, encoder=encoder)
    torch.manual_seed(0)
    network = MBPNetwork(config, "structure", letters_of([]))
    posed = everywhere(config)
    plain = outputs(network, posed, config)
    assert plain.std() > 1e-3
    for seed in range(2):
        torch.testing.assert_close(outputs(network, moved(posed, seed), config), plain, atol=1e-4, rtol=0)
    # A ligand that moves by itself is another complex.
    alone = [
        [Posed(one.moved(np.eye(3), np.array([1.5, 0.0, 0.0])).pose, one.pocket) for one in row]
        for row in posed
    ]
    assert (outputs(network, alone, config) - plain).abs().max() > 1e-2


def test_graphs_have_the_pairs_that_distances_tell() -> None:
    config = MBPConfig(pocket_radius=None)
    posed = read(complexes()[0], config)[0]
    batch = pack_posed([[posed]], np.zeros(1), config).batch(np.array([0]))
    atoms, residues = posed.pose.GetConformer().GetPositions(), posed.pocket.positions
    apart = np.linalg.norm(atoms[:, None] - residues[None], axis=2)
    assert batch.contacts.shape[1] == (apart <= 12).sum()
    assert {(a, r) for a, r in batch.contacts.T.tolist()} == set(zip(*np.nonzero(apart <= 12), strict=True))
    within = np.linalg.norm(atoms[:, None] - atoms[None], axis=2)
    assert batch.ligand.edge_index.shape[1] == (within <= 5).sum() - len(atoms)
    bonds = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in posed.pose.GetBonds()}
    typed = batch.ligand.edge_index[:, batch.ligand.edge_attr[:, 0] > 0].T.tolist()
    assert {tuple(one) for one in typed} == bonds | {(b, a) for a, b in bonds}
    heard = torch.bincount(batch.protein.edge_index[1])
    assert heard.max() == 10
    assert len(BOUND.atom_classes) == 16


def test_a_batch_is_its_complexes_one_by_one() -> None:
    posed = everywhere(CONFIG)
    torch.manual_seed(0)
    network = MBPNetwork(CONFIG, "structure", letters_of([]))
    one_by_one = torch.cat([outputs(network, [one], CONFIG) for one in posed], dim=1)
    torch.testing.assert_close(outputs(network, posed, CONFIG), one_by_one, atol=1e-4, rtol=1e-4)


def test_gaussians_by_hand() -> None:
    found = gaussians(torch.tensor([0.0, 5.0]))
    assert found.shape == (2, 15)
    np.testing.assert_allclose(found[0], np.ones(15))
    assert found[1, 3].item() == pytest.approx(np.exp(-2.5 / 1.5**3))


def test_strange_residues_are_told_and_read() -> None:
    text = contents()["structure"][0]
    first = text.split("\n")[0][17:20]
    number = text.split("\n")[0][22:26]
    strange = "\n".join(
        line[:17] + "XYZ" + line[20:] if line[22:26] == number else line for line in text.split("\n")
    )
    plain, other = read_pocket(text), read_pocket(strange)
    assert first != "XYZ"
    assert other.residues.tolist() == [0, *plain.residues.tolist()[1:]]
    assert other.notes == (f"1 residues are no standard amino acid, first XYZ{int(number)}",)
    lines = text.split("\n")
    without = [line for line in lines if not (line[22:26] == number and line[12:16] == " CA ")]
    assert read_pocket("\n".join(without)).notes[0].startswith("1 residues without alpha carbon are left out")
    model = MBP(**TINY).fit([Complex(ligand=contents()["pose"][i], pocket=strange) for i in (0, 1)], [5, 6])
    assert any("no standard amino acid" in note for note in model.history_.notes)


def test_poses_are_drawn_and_the_first_answers() -> None:
    pose = contents()["pose"][0]
    shifted = Chem.MolFromMolBlock(pose)
    shifted.GetConformer().SetPositions(shifted.GetConformer().GetPositions() + 0.7)
    both = Complex(ligand=pose + Chem.MolToMolBlock(shifted) + "$$$$\n", pocket=contents()["structure"][0])
    config = MBPConfig(poses=2)
    packed = pack_posed([read(both, config), read(complexes()[1], config)], np.zeros(2), config)
    assert packed.poses.tolist() == [2, 1]
    drawn = {int(packed.drawn(np.array([0]), np.random.default_rng(seed))[0]) for seed in range(20)}
    assert drawn == {0, 1}
    model = MBP(**TINY, poses=2).fit([both, *complexes()[1:4]], affinities()[:4])
    np.testing.assert_allclose(model.predict([both]), model.predict([complexes()[0]]), atol=1e-5)


# ------------------------------------------------------------------ what is learned


def objective(network: MBPNetwork, config: MBPConfig, y, types, assays) -> AssayLearning:
    molecules = [[Chem.MolFromSmiles(one)] for one in SMILES[: len(y)]]
    known = measurements(y, config, targets=[""] * len(y), types=types, assays=assays)
    everyone = np.arange(len(known.rows))
    return AssayLearning(
        network, pack_free(molecules, np.zeros(len(y))), known, np.zeros(3), everyone, everyone[:0], config,
        config.training, compare=config.pretrained is None,
    )  # fmt: skip


@pytest.mark.parametrize("ranking", ["relation", "difference"])
def test_measurements_of_one_type_move_only_their_head(ranking) -> None:
    config = MBPConfig(**TINY, ranking=ranking, heads="three")
    torch.manual_seed(0)
    network = MBPNetwork(config, "pose-free", letters_of([]))
    learning = objective(network, config, VALUES[:8], ["IC50"] * 8, None)
    learning.losses(next(iter(learning.batches(np.random.default_rng(0)))))["total"].backward()

    def largest(name: str) -> float:
        return max(
            0.0 if one.grad is None else float(one.grad.abs().max())
            for one in network.heads[name].parameters()
        )

    assert largest("IC50") > 0
    assert largest("Ki") == largest("Kd") == 0
    assert network.contact[0].weight.grad.abs().max() > 0


def test_loss_is_the_sum_over_heads_by_hand() -> None:
    config = MBPConfig(**TINY, dropout=0.0)
    torch.manual_seed(1)
    network = MBPNetwork(config, "pose-free", letters_of([]))
    types = ["IC50", "Ki"] * 4
    learning = objective(network, config, VALUES[:8], types, None)
    batch = next(iter(learning.batches(np.random.default_rng(0))))
    losses = learning.losses(batch)
    z = network.readouts(learning.complexes.batch(batch.poses))
    regression = ranking = 0.0
    for number, name in enumerate(("IC50", "K")):
        value = network.heads[name].value(z[name])
        for i, (a, b) in enumerate(zip(batch.first, batch.second, strict=True)):
            if learning.known.heads[a] == number:
                assert learning.known.heads[b] == number
                p = batch.places[0, i]
                regression += float((value[p] - VALUES[a]) ** 2) / 8
    for name, number in (("IC50", 0), ("K", 1)):
        logits = network.heads[name].compare(z[name][batch.places[0]], z[name][batch.places[1]])
        for i, (a, b) in enumerate(zip(batch.first, batch.second, strict=True)):
            if learning.known.heads[a] == number:
                better = int(VALUES[a] > VALUES[b])
                ranking += float(-logits[i].log_softmax(0)[1 - better]) / 8
    assert float(losses["regression"]) == pytest.approx(regression, rel=1e-3)
    assert float(losses["ranking"]) == pytest.approx(ranking, rel=1e-3)
    assert float(losses["total"]) == pytest.approx(1.0 * ranking + 0.3 * regression, rel=1e-3)


def test_pairs_are_of_one_assay_protein_and_type() -> None:
    assays = ["a", "a", "b", "b", "a", "a", "c", "b"]
    targets = ["p", "p", "p", "p", "q", "q", "p", "p"]
    types = ["Ki", "Ki", "Ki", "Kd", "Ki", "Ki", "Ki", "Ki"]
    known = measurements(np.arange(8.0) + 1, CONFIG, targets=targets, types=types, assays=assays)
    partners = Partners(known.groups)
    drawn = np.stack([partners.draw(np.arange(8), np.random.default_rng(seed)) for seed in range(30)])
    assert [set(column) for column in drawn.T.tolist()] == [{1}, {0}, {7}, {3}, {5}, {4}, {6}, {2}]
    large = Partners(np.zeros(5, dtype=np.int64))
    seen = np.stack([large.draw(np.arange(5), np.random.default_rng(seed)) for seed in range(100)])
    assert [set(column) for column in seen.T.tolist()] == [set(range(5)) - {i} for i in range(5)]


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(50, 16, [13, 13, 12, 12]), (64, 64, [64]), (65, 64, [33, 32]), (5, 1, [3, 2]), (3, 2, [3])],
)
def test_no_batch_is_much_smaller_than_another(n: int, size: int, sizes: list[int]) -> None:
    parts = even_batches(n, size, np.random.default_rng(0))
    assert [len(one) for one in parts] == sizes
    assert sorted(np.concatenate(parts)) == list(range(n))


def test_units_relations_and_types_are_made_comparable() -> None:
    known = measurements(
        [10.0, 0.5, 7.2, 3.0, np.nan], MBPConfig(ranking_weight=0), targets=[""] * 5, units=["nM", "uM", None, "nM", "nM"],
        relations=["=", None, "=", ">", "="], types=["pKi", "kd", "IC50", "Ki", "Ki"],
    )  # fmt: skip
    np.testing.assert_allclose(known.y, [8.0, 6.30103, 7.2], atol=1e-5)
    assert known.rows.tolist() == [0, 1, 2]
    assert known.heads.tolist() == [1, 1, 0]  # Ki and Kd share the head K
    assert len(set(known.groups.tolist())) == 3  # and are not compared with each other
    assert known.notes[0] == "1 affinities are no exact values (relation > or <) and are left out"


def test_rows_without_a_type_go_to_the_head_of_ki_and_kd() -> None:
    model = MBP(**TINY).fit(SMILES, VALUES)
    assert list(model.centres_) == ["K"]
    assert "go to the head 'K'" in model.history_.notes[0]
    assert list(MBP(**TINY, affinity="IC50").fit(SMILES, VALUES).centres_) == ["IC50"]
    assert list(MBP(**TINY, heads="one").fit(SMILES, VALUES, types=["Ki", "IC50"] * 12).centres_) == [
        "affinity"
    ]


@pytest.mark.parametrize("variant", ["structure", "pose-free"])
def test_it_learns_by_heart(variant: str) -> None:
    X = complexes() if variant == "structure" else SMILES[:8]
    model = MBP(
        width=16, layers=2, dropout=0.0, ranking_weight=0, regression_weight=1,
        training={"epochs": 80, "batch_size": 8, "learning_rate": 1e-2},
    ).fit(X, affinities(), types=TYPES, assays=["x"] * 8)  # fmt: skip
    predicted = model.predict(X, types=TYPES)
    assert np.sqrt(np.mean((predicted - affinities()) ** 2)) < 0.3


def test_ranking_learns_the_order_of_an_assay() -> None:
    model = MBP(width=16, layers=2, dropout=0.0, training={"epochs": 80, "learning_rate": 5e-3}).fit(
        SMILES, VALUES
    )
    ranked = model.rank(SMILES)
    assert ranked["score"].corr(pd.Series(VALUES), method="spearman") > 0.8
    assert sorted(ranked["rank"])[0] == 1
    assert (ranked["of"] == 24).all()
    assert ranked["score"].between(0, 1).all()


def test_scores_of_a_group_are_mean_wins() -> None:
    torch.manual_seed(0)
    network = MBPNetwork(CONFIG, "pose-free", letters_of([])).eval()
    z = torch.randn(4, 16)
    head = network.heads["K"]
    with torch.no_grad():
        p = [[head.compare(z[[a]], z[[b]]).softmax(1)[0, 0].item() for b in range(4)] for a in range(4)]
    by_hand = [np.mean([(p[a][b] + 1 - p[b][a]) / 2 for b in range(4) if a != b]) for a in range(4)]
    np.testing.assert_allclose(wins(network, "K", z), by_hand, atol=1e-6)
    assert np.mean(by_hand) == pytest.approx(0.5)
    assert wins(network, "K", z[:1]).tolist() == [0.5]


def test_fine_tuning_starts_from_what_was_learned(tmp_path: Path) -> None:
    first = MBP(**TINY).fit([Complex(smiles=one, sequence="MKV") for one in SMILES], VALUES)
    first.save(tmp_path)
    X = [Complex(smiles=one, sequence="GAVLIP") for one in SMILES[:6]]
    options = {"finetuning": {"epochs": 1, "learning_rate": 1e-12}, "pretrained": str(tmp_path)}
    tuned = MBP(**TINY, **options).fit(X, VALUES[:6])
    assert list(tuned.history_.losses[0]) == ["total"]
    for name, one in first.network_.named_parameters():
        if "names" not in name:
            torch.testing.assert_close(one, tuned.network_.get_parameter(name), atol=1e-6, rtol=0)
    assert tuned.rank(X)["score"].equals(
        tuned.rank(X)["prediction"]
    )  # order by affinity: only that was learned
    with pytest.raises(InputError, match="has width 8, here is 16"):
        MBP(**{**TINY, "width": 16}, **options).fit(X, VALUES[:6])
    with pytest.raises(InputError, match="reads 'pose-free', the data are 'structure'"):
        MBP(**TINY, **options).fit(complexes(), affinities())


def test_fine_tuning_stops_where_rows_that_judge_are_predicted_no_better(tmp_path: Path) -> None:
    MBP(**TINY).fit(SMILES, VALUES).save(tmp_path)
    options = {"finetuning": {"epochs": 60, "learning_rate": 0.05, "patience": 3}, "validation": 0.25}
    tuned = MBP(**TINY, **options, pretrained=str(tmp_path)).fit(SMILES, VALUES)
    assert tuned.history_.stopped_early
    assert len(tuned.history_.losses) == tuned.history_.best_epoch + 3


def test_proteins_without_structure_are_told_apart() -> None:
    sequences = [
        Complex(smiles=one, sequence="MKVLAA" if i % 2 else "GGPPWY") for i, one in enumerate(SMILES)
    ]
    model = MBP(**TINY).fit(sequences, VALUES)
    asked = [Complex(smiles="CCO", sequence=one) for one in ("MKVLAA", "GGPPWY", "WWWWHHHHKK")]
    assert len(set(model.predict(asked))) == 3
    named = MBP(**TINY).fit(
        [Complex(smiles=one, protein="ab"[i % 2]) for i, one in enumerate(SMILES)], VALUES
    )
    a, b, c, none = named.predict([Complex(smiles="CCO", protein=one) for one in ("a", "b", "c", None)])
    assert len({a, b, c}) == 3
    assert c == none
    names = named.network_.target.names.weight
    torch.testing.assert_close(names[0], names[1:].mean(0))


def test_what_was_learned_of_any_other_protein_stays() -> None:
    some = [Complex(smiles=one, protein="a" if i % 2 else None) for i, one in enumerate(SMILES)]
    names = MBP(**TINY).fit(some, VALUES).network_.target.names.weight
    assert not torch.allclose(names[0], names[1:].mean(0))


# ------------------------------------------------------------------ tables and files


def test_files_are_read_beside_their_table(tmp_path: Path) -> None:
    table = pd.read_csv(FOLDER / "complexes.csv")
    whole = with_contents(CARD, table, COLUMNS, FOLDER)
    assert whole["pose"][1].startswith("lig_jmc_23\n")
    assert whole["pose"][1] == content("tyk2_ligands.sdf#1", FOLDER)
    assert table["pose"][1] == "tyk2_ligands.sdf#lig_jmc_23"
    require_contents(CARD, whole, COLUMNS, "here")
    with pytest.raises(InputError, match=r"names the file 'tyk2_ligands\.sdf#lig_ejm_54'"):
        require_contents(CARD, table, COLUMNS, "here")
    with pytest.raises(InputError, match="no record 'nobody'"):
        content("tyk2_ligands.sdf#nobody", FOLDER)


def test_tables_tell_which_poses_cannot_be_read_and_rank_the_rest() -> None:
    table = contents().copy()
    model = MBP(**TINY).fit_table(table, COLUMNS)
    table.loc[2, "pose"] = "nowhere.sdf"
    found = answer(model, Verb.RANK, table, COLUMNS, {"by": "affinity"})
    assert "'nowhere.sdf' cannot be read" in found["problem"][2]
    assert found["rank"].isna().sum() == 1
    assert sorted(found.loc[found["group"] == "tyk2", "rank"]) == [1, 2, 3]
    predicted = model.predict_table(contents(), COLUMNS)
    assert set(predicted) == {"prediction", "prediction_IC50", "prediction_K"}
    assert (predicted["prediction"][:4] == predicted["prediction_K"][:4]).all()
    assert (predicted["prediction"][4:] == predicted["prediction_IC50"][4:]).all()
    with pytest.raises(InputError, match="no column 'series'"):
        model.rank_table(contents(), COLUMNS, group="series")


# ------------------------------------------------------------------ what is given wrongly


def test_coordinates_that_are_no_numbers_are_refused() -> None:
    line = "ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00  0.00           C\n"
    for wrong, told in (
        ("     nan", "coordinates that are no numbers"),
        ("     abc", "is no protein structure"),
    ):
        with pytest.raises(InputError, match=told):
            read_pocket(line.replace("   1.000", wrong))


def test_all_poses_of_a_mol2_file_are_read() -> None:
    def record(second: str, height: float) -> str:
        return (
            f"@<TRIPOS>MOLECULE\nx\n2 1 0 0 0\nSMALL\nNO_CHARGES\n\n@<TRIPOS>ATOM\n1 C1 0.0 0.0 {height} C.3 1 UNL 0.0\n"
            f"2 X2 1.5 0.0 {height} {second} 1 UNL 0.0\n@<TRIPOS>BOND\n1 1 2 1\n"
        )

    heights = [
        one.GetConformer().GetPositions()[0, 2] for one in read_poses(record("C.3", 1) + record("C.3", 2))
    ]
    assert heights == [1.0, 2.0]
    with pytest.raises(InputError, match="2 different molecules"):
        read_poses(record("C.3", 1) + record("N.3", 2))


def test_letters_that_are_no_residues_are_told_by_row() -> None:
    with pytest.raises(InputError, match=r"row 1: 'CCN' '>' at position 1 is no letter of protein"):
        MBP(**TINY).fit(
            [Complex(smiles="CCO", sequence="MKV"), Complex(smiles="CCN", sequence=">p\nMKV")], [5, 6]
        )


def test_one_sequence_in_two_spellings_is_one_protein() -> None:
    assert Complex(smiles="C", sequence="mk v").target == Complex(smiles="N", sequence="MKV").target


def test_numbers_that_look_like_concentrations_are_told() -> None:
    known = measurements([5000.0, 60.0, 7.0], CONFIG, targets=["p"] * 3, types=["Ki"] * 3)
    assert known.notes == (
        "2 affinities are beyond -1 to 16 as -log10 of mol/L: if they are concentrations, name their unit",
    )


def test_rows_without_a_group_are_ranked_within_their_protein() -> None:
    model = MBP(**TINY).fit(SMILES, VALUES)
    X = [Complex(smiles=one, protein=name) for one, name in zip(SMILES[:5], "aabbb", strict=True)]
    found = model.rank(X, ["one", "one", None, np.nan, " "])
    assert found["group"].tolist() == ["one", "one", "b", "b", "b"]
    table = pd.DataFrame({"smiles": SMILES[:4], "assay": pd.array(["x", "x", pd.NA, pd.NA], dtype="string")})
    table["protein"] = pd.array(["a", "a", pd.NA, pd.NA], dtype="string")
    found = model.rank_table(table, {"smiles": "smiles", "assay": "assay", "protein": "protein"})
    assert found["of"].tolist() == [2, 2, 2, 2]
