"""UTGDiff's own: noise against products of its transition matrices, order that tells nothing, graphs and back, sources."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import one_hot
from transformers import RobertaConfig, RobertaModel
from typer.testing import CliRunner

from nereus.errors import InputError
from nereus.method_commands import methods_app
from nereus.models.card import Verb
from nereus.models.evaluation.generation import diversity, fit_to_targets
from nereus.models.molecules.utgdiff.denoising import Denoising
from nereus.models.molecules.utgdiff.diffusion import Diffusion, mirrored
from nereus.models.molecules.utgdiff.graphs import AtomVocabulary, Graph, build, graph_of
from nereus.models.molecules.utgdiff.instructions import Instruction
from nereus.models.molecules.utgdiff.method import UTGDiff
from nereus.models.molecules.utgdiff.network import Denoiser, own_shape, shuffled
from nereus.models.molecules.utgdiff.packed import Batch, PackedExamples, PackedMolecules
from nereus.models.molecules.utgdiff.sampling import Drawing, sample
from nereus.models.molecules.utgdiff.text import TextTokenizer
from nereus.models.tables import answer
from tests.models.cases.molecules import SMILES
from tests.models.cases.utgdiff import TEXTS, TINY

STEPS = 6
DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O", "CN1CCCC1c1cccnc1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C[N+](C)(C)CC(=O)[O-]", "N#CCC#C",
    "c1ccc2[nH]ccc2c1", "c1c[nH]cn1", "OS(=O)(=O)O", "C", "FC(F)(F)c1ccncc1", "c1ccc2ccccc2c1", "O=[N+]([O-])c1ccccc1",
]  # fmt: skip

# ------------------------------------------------------------------ noise


def transition(noise: str, classes: int, t: int) -> np.ndarray:
    """Step `t` (from one) by its definition: with probability 1 / (T - t + 1) the class is lost."""
    lost = 1 / (STEPS - t + 1)
    onto = np.zeros((classes, classes))
    if noise == "absorbing":
        onto[:, -1] = 1
    else:
        onto[:-1, :-1] = 1 / (classes - 1)
        onto[-1, -1] = 1
    found = (1 - lost) * np.eye(classes) + lost * onto
    return np.asarray(found)


def product(noise: str, classes: int, first: int, last: int) -> np.ndarray:
    """Steps `first` to `last`."""
    found = np.eye(classes)
    for t in range(first, last + 1):
        found = found @ transition(noise, classes, t)
    return found


@pytest.mark.parametrize("noise", ["absorbing", "uniform"])
def test_survival_is_that_of_the_product_of_steps(noise: str) -> None:
    diffusion = Diffusion(STEPS, 4, noise)  # type: ignore[arg-type]
    for t in range(STEPS + 1):
        keeps = float(diffusion.survival(torch.tensor(float(t))))
        assert keeps == pytest.approx(1 - t / STEPS)
        whole = product(noise, 4, 1, t)
        stays = keeps + (0 if noise == "absorbing" else (1 - keeps) / 3)
        assert whole[0, 0] == pytest.approx(stays)


@pytest.mark.parametrize("noise", ["absorbing", "uniform"])
@pytest.mark.parametrize(("s", "t"), [(0, 1), (2, 3), (0, STEPS), (1, 4), (4, STEPS)])
def test_posterior_is_bayes_on_the_transition_matrices(noise: str, s: int, t: int) -> None:
    classes = 4
    diffusion = Diffusion(STEPS, classes, noise)  # type: ignore[arg-type]
    to_s, s_to_t, to_t = (
        product(noise, classes, 1, s),
        product(noise, classes, s + 1, t),
        product(noise, classes, 1, t),
    )
    clean = np.random.default_rng(0).dirichlet(np.ones(classes - 1))
    checked = 0
    for x_t in range(classes):
        reached = to_t[:-1, x_t]
        if not (reached > 1e-12).all():
            continue  # from a clean class that cannot come here there is nothing to condition on
        expected = sum(clean[x0] * to_s[x0] * s_to_t[:, x_t] / to_t[x0, x_t] for x0 in range(classes - 1))
        found = diffusion.posterior(
            torch.tensor([[x_t]]), torch.tensor(clean)[None, None], torch.tensor([t]), torch.tensor([s])
        )
        np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-6)
        assert float(found.sum()) == pytest.approx(1)
        checked += 1
    assert checked == (1 if noise == "absorbing" else classes - 1)


@pytest.mark.parametrize("noise", ["absorbing", "uniform"])
def test_divergence_is_that_of_the_posteriors(noise: str) -> None:
    diffusion = Diffusion(STEPS, 5, noise)  # type: ignore[arg-type]
    torch.manual_seed(0)
    x0 = torch.randint(4, (STEPS, 40))
    t = torch.arange(1, STEPS + 1)
    x_t = diffusion.noised(x0, t)
    logits = torch.randn(STEPS, 40, 4, dtype=torch.float64)
    true = diffusion.posterior(x_t, one_hot(x0, 4).double(), t, t - 1)
    told = diffusion.posterior(x_t, logits.softmax(-1), t, t - 1)
    expected = torch.where(true > 0, true * (true / told).log(), 0.0).sum(-1)
    found = diffusion.divergence(x0, x_t, logits, t)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    # At the last step of the way back it is the cross-entropy of the clean classes that are not known.
    surprise = -logits[0].log_softmax(-1).gather(-1, x0[0][:, None]).squeeze(-1)
    unknown = x_t[0] == 4 if noise == "absorbing" else torch.ones(40, dtype=torch.bool)
    if noise == "absorbing":
        torch.testing.assert_close(found[0][unknown], surprise[unknown])


def test_share_of_untouched_classes() -> None:
    torch.manual_seed(0)
    diffusion = Diffusion(2000, 10)
    t = torch.tensor([200, 1000, 1900])
    found = (diffusion.noised(torch.zeros(3, 60_000, dtype=torch.long), t) == 0).float().mean(1)
    np.testing.assert_allclose(found.numpy(), [0.9, 0.5, 0.05], atol=0.01)


def test_text_sources_and_ends_are_never_noised_and_bonds_are_noised_alike_both_ways() -> None:
    torch.manual_seed(0)
    edges = mirrored(Diffusion(10, 6).noised(torch.ones(4, 7, 7, dtype=torch.long), torch.full((4,), 5)))
    assert torch.equal(edges, edges.transpose(1, 2))
    assert set(edges.unique().tolist()) == {0, 1, 5}
    assert not edges.diagonal(dim1=1, dim2=2).any()


# ------------------------------------------------------------------ the network


@cache
def network(noise: str = "absorbing") -> tuple[Denoiser, Batch, AtomVocabulary]:
    """A network with weights at random, and a batch of molecules with a source each."""
    graphs = [graph_of(Chem.MolFromSmiles(one)) for one in ("CCO", "c1ccncc1C", "C#N")]
    sources = [graph_of(Chem.MolFromSmiles(one)) for one in ("CO", "CCN", "C")]
    atoms = AtomVocabulary.of([*graphs, *sources])  # type: ignore[list-item]
    tokens = [np.array([0, 7, 8, 2]), np.array([0, 9, 2]), np.array([0, 2])]
    examples = PackedExamples(
        tokens,
        1,
        2,
        PackedMolecules(sources, atoms),
        PackedMolecules(graphs, atoms),
        8,  # type: ignore[arg-type]
    )
    model = UTGDiff(**{**TINY, "layers": 3, "noise": noise})  # type: ignore[arg-type]
    torch.manual_seed(3)
    found = Denoiser(own_shape(model.config, 20, 1, 12), len(atoms), noise == "uniform").eval()
    for parameter in found.parameters():
        if parameter.dim() > 1:  # norms stay as they are
            torch.nn.init.normal_(parameter, std=0.5)
    return found, examples.batch(np.arange(3)), atoms


def places(batch: Batch) -> Tensor:
    return torch.arange(batch.atoms.shape[1]).expand(len(batch.atoms), -1)


def test_shuffled_atoms_with_shuffled_positions_give_shuffled_answers() -> None:
    net, batch, _ = network()
    atoms, edges = net(batch, batch.atoms, batch.edges, places(batch))
    order = torch.tensor([3, 0, 7, 2, 5, 1, 6, 4])
    again = net(batch, batch.atoms[:, order], batch.edges[:, order][:, :, order], places(batch)[:, order])
    torch.testing.assert_close(again[0], atoms[:, order], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again[1], edges[:, order][:, :, order], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(edges, edges.transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_order_of_the_source_tells_by_positions_alone_and_training_shuffles_them() -> None:
    torch.manual_seed(0)
    found = torch.stack([shuffled(torch.tensor([4, 0, 8]), 8) for _ in range(400)])
    assert torch.equal(found.sort(-1).values, torch.arange(8).expand(400, 3, 8))
    assert torch.equal(found[:, 0, 4:], torch.arange(4, 8).expand(400, 4))
    assert torch.equal(found[:, 1], torch.arange(8).expand(400, 8))
    share = (found[:, 0, 0] == 0).float().mean()
    assert 0.17 < share < 0.33


def test_biases_of_bonds_reach_bonds_atoms_and_only_their_own_graph() -> None:
    net, batch, _ = network()
    atoms, edges = net(batch, batch.atoms, batch.edges, places(batch))
    bare = net(batch, batch.atoms, torch.zeros_like(batch.edges), places(batch))
    assert (bare[1] - edges).abs().max() > 1e-3
    assert (bare[0] - atoms).abs().max() > 1e-3
    with torch.no_grad():
        kept, related = net._biases(batch, batch.edges)
    source = batch.source.shape[1]
    assert not kept[:, :source, source:].any()
    assert not kept[:, source:, :source].any()
    assert kept[:, source:, source:].any()
    assert not related[0, 0, -1, 0]


def test_words_sources_and_source_bonds_reach_the_answer_and_padding_does_not() -> None:
    net, batch, _ = network()
    atoms, _ = net(batch, batch.atoms, batch.edges, places(batch))
    other_text = batch.text.clone()
    other_text[0, 1] = 11
    assert (net(replace(batch, text=other_text), batch.atoms, batch.edges, places(batch))[0] - atoms)[
        0
    ].abs().max() > 1e-4
    other_bonds = batch.source_edges.clone()
    other_bonds[1, 0, 1] = other_bonds[1, 1, 0] = 3
    changed = net(replace(batch, source_edges=other_bonds), batch.atoms, batch.edges, places(batch))[0]
    assert (changed - atoms)[1].abs().max() > 1e-4
    padding = batch.text.clone()
    padding[~batch.said] = 15
    longer = batch.source.clone()
    empty = longer == net.classes - 2
    assert empty.any()
    hidden = net(replace(batch, text=padding), batch.atoms, batch.edges, places(batch))[0]
    torch.testing.assert_close(hidden, atoms)


def test_no_source_is_as_if_there_were_no_room_for_one() -> None:
    net, batch, _ = network()
    none = replace(
        batch,
        source=torch.full_like(batch.source, net.classes - 2),
        source_edges=torch.zeros_like(batch.source_edges),
    )
    no_room = replace(batch, source=batch.source[:, :0], source_edges=batch.source_edges[:, :0, :0])
    found = [net(one, batch.atoms, batch.edges, places(batch)) for one in (none, no_room)]
    torch.testing.assert_close(found[0][0], found[1][0], atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("noise", ["absorbing", "uniform"])
def test_drawn_graphs_are_symmetric_and_hold_no_mask(noise: str) -> None:
    net, batch, atoms = network(noise)
    diffusions = Diffusion(50, len(atoms), noise), Diffusion(50, 6, noise)  # type: ignore[arg-type]
    torch.manual_seed(1)
    slots, edges = sample(net, batch, diffusions, Drawing(7, 1.0, 15))
    assert int(slots.max()) < atoms.mask
    assert int(edges.max()) < 5
    assert torch.equal(edges, edges.transpose(1, 2))
    torch.manual_seed(1)
    blind = replace(batch, atoms=torch.zeros_like(batch.atoms), edges=torch.zeros_like(batch.edges))
    again = sample(net, blind, diffusions, Drawing(7, 1.0, 15))
    assert torch.equal(again[0], slots)
    assert torch.equal(again[1], edges)


def test_likeliest_classes_alone_are_drawn() -> None:
    p = Drawing(1, 0.5, 2).probabilities(torch.tensor([[0.0, 1.0, 2.0, -1.0]]))
    assert p[0, [0, 3]].tolist() == [0.0, 0.0]
    assert float(p[0, 2] / p[0, 1]) == pytest.approx(np.exp(2.0), rel=1e-5)


def test_loss_is_what_one_row_gives_by_hand() -> None:
    net, _, atoms = network()
    config = UTGDiff(**TINY, steps=4, auxiliary=0.5, no_text=0.0).config  # type: ignore[arg-type]
    graphs = [Graph(((6, 0), (8, 0)), ((0, 1, 1),))]
    packed = PackedExamples(
        [np.array([0, 5, 2])],
        1,
        2,
        PackedMolecules([Graph((), ())], atoms),
        PackedMolecules(graphs, atoms),
        4,
    )
    objective = Denoising(net, packed, np.arange(1), np.arange(0), config)
    one = packed.batch(np.arange(1))
    torch.manual_seed(5)
    found = objective.losses(one)
    torch.manual_seed(5)
    t = (torch.rand(1) * 4).long() + 1
    noised = objective.noise[0].noised(one.atoms, t)
    bonds = mirrored(objective.noise[1].noised(one.edges, t))
    logits, pairs = net(one, noised, bonds, shuffled(one.sizes, 4))
    told, pair_told = logits.log_softmax(-1)[0], pairs.log_softmax(-1)[0]
    atom_part = clean = 0.0
    for slot in range(4):
        surprise = -float(told[slot, one.atoms[0, slot]])
        clean += surprise / 3
        atom_part += (4 / int(t) * surprise if noised[0, slot] == atoms.mask else 0.0) / 3
    bond_part = 0.0
    for i in range(4):
        for j in range(i + 1, 4):
            surprise = -float(pair_told[i, j, one.edges[0, i, j]])
            clean += surprise / 3
            bond_part += (4 / int(t) * surprise if bonds[0, i, j] == 5 else 0.0) / 3
    assert float(found["atoms"]) == pytest.approx(atom_part, rel=1e-4)
    assert float(found["bonds"]) == pytest.approx(bond_part, rel=1e-4)
    assert float(found["total"]) == pytest.approx(atom_part + bond_part + 4 * 0.5 * clean, rel=1e-4)


def test_batches_are_what_molecules_say() -> None:
    _, batch, atoms = network()
    assert batch.sizes.tolist() == [3, 7, 2]
    for row, smiles in enumerate(["CCO", "c1ccncc1C", "C#N"]):
        found = build(batch.atoms[row].numpy(), batch.edges[row].numpy(), atoms)
        assert found.smiles == Chem.CanonSmiles(smiles)
    assert batch.said.sum(1).tolist() == [4, 3, 2]


# ------------------------------------------------------------------ graphs


def dense(smiles: str) -> tuple[np.ndarray, np.ndarray, AtomVocabulary]:
    graph = graph_of(Chem.MolFromSmiles(smiles))
    assert isinstance(graph, Graph)
    atoms = AtomVocabulary.of([graph])
    slots, edges = PackedMolecules([graph], atoms).dense(np.arange(1), len(graph.atoms) + 2)
    slots[0, len(graph.atoms)] = atoms.end
    return slots[0], edges[0], atoms


@pytest.mark.parametrize("smiles", DRUGS)
def test_molecules_come_back_from_their_graphs(smiles: str) -> None:
    found = build(*dense(smiles))
    assert found.smiles == Chem.CanonSmiles(smiles)
    assert found.mended == ("[nH]" in smiles)
    assert bool(found.note) == found.mended
    if found.mended:
        unmended = build(*dense(smiles), repairs=0)
        assert unmended.smiles is None
        assert "kekulize" in unmended.reason


def test_what_is_no_molecule_says_why_and_keeps_its_graph() -> None:
    slots, edges, atoms = dense("CC(C)(C)C")
    crowded = edges.copy()
    crowded[1, 0] = crowded[0, 1] = 3
    found = build(slots, crowded, atoms)
    assert found.smiles is None
    assert "valence" in found.reason.lower()
    assert found.graph.startswith("<C> <C> <C> <C> <C> <gend>; 0-1:3")
    endless = np.where(slots >= len(atoms.atoms), 0, slots)
    assert build(endless, edges, atoms).reason == "there is no <gend> after the atoms"
    gap = slots.copy()
    gap[2] = atoms.empty
    assert build(gap, edges, atoms).reason == "there is no <gend> after the atoms"
    ended = slots.copy()
    ended[0] = atoms.end
    assert build(ended, edges, atoms).reason == "there is no atom"


def test_of_parts_the_largest_is_taken_and_told() -> None:
    slots, edges, atoms = dense("CCCO")
    edges[1, 2] = edges[2, 1] = edges[2, 3] = edges[3, 2] = 0
    found = build(slots, edges, atoms)
    assert found.smiles == "CC"
    assert found.note == "the largest of 3 parts"


def test_tokens_name_element_and_charge() -> None:
    atoms = AtomVocabulary(((6, 0), (7, 1), (8, -1), (26, 2)))
    assert [atoms.token(i) for i in range(7)] == [
        "<C>",
        "<N+>",
        "<O->",
        "<Fe+2>",
        "<gend>",
        "<pad>",
        "<mask>",
    ]


# ------------------------------------------------------------------ the estimator


@cache
def made() -> UTGDiff:
    return UTGDiff(**TINY).fit(TEXTS, SMILES)  # type: ignore[arg-type]


def test_it_learns_what_texts_say() -> None:
    known = {"water": "O", "methanol": "CO", "hydrogen cyanide": "C#N"}
    model = UTGDiff(
        layers=2, width=32, heads=4, feed_forward=32, vocabulary=300, dropout=0.0, steps=50, jumps=8, no_text=0.0,
        training={"epochs": 150, "batch_size": 24, "learning_rate": 3e-3, "schedule": "constant", "warmup": 0, "clip_norm": None},
    ).fit([*known] * 8, [*known.values()] * 8)  # fmt: skip
    for text, smiles in known.items():
        assert np.mean([one.smiles == smiles for one in model.generate([text], n=20)]) >= 0.8, text


def test_left_out_cut_and_salted_molecules_are_told() -> None:
    model = UTGDiff(**TINY, most_atoms=5, text_tokens=8).fit(  # type: ignore[arg-type]
        ["one", "a rather long instruction of many words", "three", "four", "five"],
        ["CCO", "CCN", "CCCCCC", "*CC", "CC(=O)[O-].[Na+]"],
    )
    notes = "\n".join(model.history_.notes)
    assert "1 molecules are left out: they have more than 5 atoms" in notes
    assert "1 molecules are left out: they have an atom of no element" in notes
    assert "1 molecules have several parts" in notes
    assert "1 instructions are cut at 8 tokens" in notes
    assert (
        "the instruction was cut at 8 tokens" in model.generate(["another long instruction of words"])[0].note
    )
    assert model.slots_ == 5


def test_sources_that_cannot_be_read_by_it_are_told_by_row() -> None:
    model = UTGDiff(**TINY).fit([("go on", "CO"), ("go on", "CN")], ["CCO", "CCN"])  # type: ignore[arg-type]
    found = model.edit(["CO", "[Xe]", "C*"], ["go on"] * 3)
    assert [one.reason for one in found[1:]] == [
        "the source has an atom that training did not see: <Xe>",
        "the source has an atom of no element",
    ]
    assert found[0].graph
    with pytest.raises(InputError, match="row 0: 'C1CC'"):
        model.edit(["C1CC"], ["go on"])


def test_tables_with_several_molecules_a_row_without_rows_and_with_bad_rows() -> None:
    table = pd.DataFrame({"what": ["an amine", "", "an alcohol"]}, index=["a", "b", "c"])
    found = answer(made(), Verb.GENERATE, table, {"text": "what"}, {"n": 2})
    assert list(found.index) == ["a/1", "a/2", "c/1", "c/2", "b"]
    assert found.loc["b", "problem"] == "has an empty text"
    one = answer(made(), Verb.GENERATE, table, {"text": "what"})
    assert list(one.index) == ["a", "b", "c"]
    free = answer(made(), Verb.GENERATE, pd.DataFrame(), {}, {"n": 3})
    assert list(free.index) == ["molecule 1", "molecule 2", "molecule 3"]
    assert free.index.name == "sample"


def test_equal_seeds_draw_equal_molecules_and_others_others() -> None:
    a = made().generate(["an amine"], n=20)
    assert a == made().generate(["an amine"], n=20)
    twin = UTGDiff(**TINY).fit(TEXTS, SMILES)  # type: ignore[arg-type]
    assert twin.set_params(random_state=9).generate(["an amine"], n=20) != a


def test_validation_chooses_the_epoch_and_does_not_draw_from_training() -> None:
    model = UTGDiff(**{**TINY, "training": {"epochs": 3, "patience": 2}}, validation=0.25).fit(TEXTS, SMILES)  # type: ignore[arg-type]
    assert all(np.isfinite(one["validation"]) for one in model.history_.losses)
    assert model.history_.best_epoch is not None


def test_starts_from_a_roberta_of_a_folder(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.trained([*TEXTS, "further words"], 320)
    (tmp_path / "tokenizer.json").write_text(tokenizer.content, encoding="utf-8")
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32,
        max_position_embeddings=160, type_vocab_size=1,
    )  # fmt: skip
    torch.manual_seed(0)
    given = RobertaModel(config, add_pooling_layer=True)
    given.save_pretrained(tmp_path)
    model = UTGDiff(**{**TINY, "training": {"epochs": 1, "learning_rate": 1e-12}}, pretrained=str(tmp_path))  # type: ignore[arg-type]
    model.fit(TEXTS, SMILES)
    own = model.network_.transformer.state_dict()
    for name, tensor in given.state_dict().items():
        if not name.startswith("pooler"):
            torch.testing.assert_close(own[name], tensor, atol=1e-6, rtol=1e-6)
    assert model.tokenizer_.content == tokenizer.content
    model.save(tmp_path / "kept")
    (tmp_path / "config.json").unlink()
    again = UTGDiff.load(tmp_path / "kept")
    assert again.generate(["an amine"]) == model.generate(["an amine"])
    (tmp_path / "config.json").write_text(
        json.dumps({**config.to_dict(), "model_type": "bert"}), encoding="utf-8"
    )
    with pytest.raises(InputError, match="this is a 'bert'"):
        model.fit(TEXTS, SMILES)
    (tmp_path / "config.json").write_text(
        json.dumps({**config.to_dict(), "max_position_embeddings": 40}), encoding="utf-8"
    )
    with pytest.raises(InputError, match="it has 38 positions, 128 are needed"):
        model.fit(TEXTS, SMILES)


def test_tokenizer_is_kept_as_json_and_reads_text_back() -> None:
    tokenizer = TextTokenizer.trained(TEXTS, 320)
    tokens, cut = TextTokenizer(tokenizer.content).encode(["an alcohol", None, "an alcohol " * 40], 10)
    assert [one[0] for one in tokens] == [0, 0, 0]
    assert [one[-1] for one in tokens] == [2, 2, 2]
    assert len(tokens[1]) == 2
    assert cut.tolist() == [False, False, True]
    assert len(tokens[2]) == 10
    assert Tokenizer.from_str(tokenizer.content).decode(tokens[0].tolist()).strip() == "an alcohol"


def test_command_line_learns_and_makes_molecules(tmp_path: Path) -> None:
    pd.DataFrame({"what": TEXTS, "structure": SMILES}).to_csv(tmp_path / "described.csv", index=False)
    pd.DataFrame({"what": ["an amine", None]}).to_csv(tmp_path / "asked.csv", index=False)
    settings = [f"--set={name}={value}" for name, value in TINY.items() if name != "training"]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(methods_app, [*arguments])
        assert done.exit_code == 0, done.output
        return done.output

    told = run(
        "fit", "utgdiff", "--data", str(tmp_path / "described.csv"), "--text", "what", "--smiles", "structure",
        "--out", str(tmp_path / "model"), "--set", "training.epochs=2", "--quiet", *settings,
    )  # fmt: skip
    assert "learned from 24 rows" in told
    asked = ["generate", str(tmp_path / "model"), "--out", str(tmp_path / "made.csv")]
    run(*asked, "--data", str(tmp_path / "asked.csv"), "--text", "what", "--set", "n=3", "--seed", "4")
    made = pd.read_csv(tmp_path / "made.csv", index_col=0)
    assert list(made.index) == ["0/1", "0/2", "0/3", "1"]
    assert made["problem"].tolist()[3] == "has an empty text"
    assert (made["smiles"].notna() | made["reason"].notna() | made["problem"].notna()).all()
    told = run(*asked, "--set", "n=5")
    made = pd.read_csv(tmp_path / "made.csv")
    assert len(made) == 5
    assert f"{made['smiles'].notna().sum()} answers are in" in told
    assert ("is no answer" in told) == made["smiles"].isna().any()


# ------------------------------------------------------------------ how generated molecules are judged


def test_similarity_tells_the_invalid_beside_the_valid() -> None:
    found = fit_to_targets(["C[C@H](O)N", "CCO", "c1ccccc1"], ["CC(N)O", None, "CCCCCC"])
    assert found["valid"] == pytest.approx(2 / 3)
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["morgan"] == pytest.approx(0.5)
    assert found["morgan_of_all"] == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="cannot be read"):
        fit_to_targets(["C1CC"], ["C"])


def test_diversity_counts_different_and_new_ones() -> None:
    found = diversity(["CCO", "OCC", "CCN", None], ["C(C)O"])
    assert found == {"valid": 0.75, "unique": pytest.approx(2 / 3), "novel": 0.5}


def test_instruction_is_a_text_and_a_source() -> None:
    assert Instruction("do", "CO") == ("do", "CO")


@pytest.mark.parametrize("X", ["an alcohol", [3], [("a", "C", "O")], [float("nan")]])
def test_what_is_no_instruction_is_told(X: object) -> None:
    with pytest.raises(
        InputError,
        match=r"one text, 'an alcohol', where a list of them is asked for|row 0: .* is no instruction",
    ):
        made().generate(X)  # type: ignore[arg-type]


def test_molecules_to_edit_are_a_list() -> None:
    with pytest.raises(InputError, match="one text, 'CCO', where a list of them is asked for"):
        made().edit("CCO")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [("config.json", "{bad", "config.json cannot be read"), ("config.json", "[]", "this is a None"),
     ("tokenizer.json", "{}", "tokenizer.json cannot be read")],
)  # fmt: skip
def test_a_damaged_folder_of_a_roberta_is_told(tmp_path: Path, file: str, content: str, told: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RobertaConfig(max_position_embeddings=300).to_dict()))
    (tmp_path / "model.safetensors").touch()
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=told):
        UTGDiff(**TINY, pretrained=str(tmp_path)).fit(TEXTS, SMILES)  # type: ignore[arg-type]
