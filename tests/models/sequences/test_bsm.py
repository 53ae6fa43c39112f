"""BSM's own: tokens, what belongs together, what is seen, likelihoods by hand, rounds, heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.bsm import OTHERS, standard_error, tiles
from nereus.errors import InputError
from nereus.models.card import Verb
from nereus.models.sequences.alphabets import LETTERS, MODALITIES, Biosequence
from nereus.models.sequences.bsm import BSM, BSMConfig, tokenizer
from nereus.models.sequences.bsm.config import PAPER_110M, PAPER_270M, Mix, Round
from nereus.models.sequences.bsm.corpus import cut_together
from nereus.models.sequences.bsm.examples import read_examples
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.sequences.bsm.packing import drawn, packed
from nereus.models.sequences.bsm.scoring import best_threshold
from nereus.models.sequences.bsm.targets import Targets
from nereus.models.sequences.files import read_sequence_file
from nereus.models.tables import answer
from nereus.models.training import Session
from tests.models.cases.bsm import CASE, CODONS, GENES, PROTEINS, genes_with_proteins

CHLOROPLAST = Path(__file__).parents[2] / "data" / "sequences" / "NC_000932.gb.gz"
ALONE = (Round(mix=(Mix(single=1),), share=1),)
TINY = {**CASE.settings, "rounds": ALONE, "tokens": 400, "validation": 0.0}


@pytest.fixture(scope="module")
def model() -> BSM:
    return BSM(**TINY).fit(genes_with_proteins())


# ------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("modality", MODALITIES)
def test_letters_come_back_from_tokens(modality: str) -> None:
    one = Biosequence(LETTERS[modality], modality)  # type: ignore[index, arg-type]
    assert tokenizer.decode(tokenizer.document([(one.modality, tokenizer.encode(one))])) == [one]


def test_equal_letters_of_other_kinds_are_other_tokens() -> None:
    tokens = [set(tokenizer.encode(Biosequence("ACG", kind)).tolist()) for kind in MODALITIES]
    assert not (tokens[0] & tokens[1])
    assert not (tokens[0] & tokens[2])
    assert not (tokens[1] & tokens[2])
    assert len(set(tokenizer.VOCABULARY)) == tokenizer.SIZE < 256
    with pytest.raises(InputError, match="does not follow a tag"):
        tokenizer.decode([tokenizer.BOS, tokenizer.TAG["dna"], tokenizer.FIRST["protein"]])


# ------------------------------------------------------------------------------------------------- documents


def test_gene_and_protein_are_cut_at_the_same_codons() -> None:
    config = BSMConfig(context=64, codons=(2, 5), validation=0)
    corpus, _ = read_examples(genes_with_proteins(), config).corpora(config)
    rng = np.random.default_rng(0)
    seen = set()
    for number in range(8):
        for _ in range(20):
            parts = {one.modality: one.letters for one in tokenizer.decode(corpus.draw("pairs", number, rng))}
            seen.add(tuple(parts))
            dna = parts.get("dna", parts.get("rna", "").replace("U", "T"))
            if "protein" in parts:
                assert 2 <= len(parts["protein"]) <= 5
                assert dna == "".join(CODONS[one] for one in parts["protein"])
            else:
                assert parts["rna"] == parts["dna"].replace("T", "U")
    assert len(seen) == 12  # two or three of three kinds, in every order


def test_kinds_of_documents_hold_what_belongs_together() -> None:
    config = BSMConfig(context=260, codons=(2, 8), validation=0)
    corpus, _ = read_examples(genes_with_proteins(), config).corpora(config)
    assert [corpus.count(kind) for kind in ("single", "pairs", "related", "web")] == [24, 8, 4, 2]
    assert all(
        set(genes_with_proteins()["related"].iloc[list(rows)]) == {f"r{i}"}
        for i, rows in enumerate(corpus.relatives)
    )
    whole = tokenizer.decode(corpus.draw("web", 0, np.random.default_rng(0)))
    assert [one.letters for one in whole][:3] == genes_with_proteins()["sequence"].tolist()[:3]
    table = pd.DataFrame({"sequence": PROTEINS, "partner": GENES})
    pairs, _ = read_examples(table, config).corpora(config)
    assert pairs.count("pairs") == 8


def test_dna_alone_is_read_from_both_strands() -> None:
    gene = "ATGGCTAAAGATCTG"
    for both, expected in ((True, {gene, "CAGATCTTTAGCCAT"}), (False, {gene})):
        config = BSMConfig(context=64, codons=(2, 8), reverse_strand=both, validation=0)
        corpus, _ = read_examples([gene], config).corpora(config)
        rng = np.random.default_rng(0)
        assert {tokenizer.decode(corpus.draw("single", 0, rng))[0].letters for _ in range(20)} == expected


def test_sequences_that_are_no_gene_and_protein_are_cut_in_proportion() -> None:
    parts = [("dna", np.full(7, 9, dtype=np.uint8)), ("protein", np.full(90, 50, dtype=np.uint8))]
    cut = cut_together(parts, 45, (2, 5), None)  # type: ignore[arg-type]
    assert [len(letters) for _, letters in cut] == [7, 33]
    # An RNA of no codons and its gene are no coding pair, however equal their lengths.
    both = [(kind, np.full(74, 9, dtype=np.uint8)) for kind in ("dna", "rna")]
    assert [len(letters) for _, letters in cut_together(both, 45, (2, 5), None)] == [20, 20]  # type: ignore[arg-type]


def test_mix_is_kept_in_tokens_and_replaces_instead_of_adding() -> None:
    config = BSMConfig(context=200, codons=(2, 8), validation=0)
    corpus, _ = read_examples(genes_with_proteins(), config).corpora(config)
    for mix in (Mix(single=1), Mix(single=1, pairs=3)):
        found = drawn(corpus, mix, 5000, np.random.default_rng(0))
        assert 5000 <= sum(map(len, found)) < 5200
        joined = sum(len(one) for one in found if tokenizer.SEP in one) / sum(map(len, found))
        assert joined == pytest.approx(0.0 if mix.pairs == 0 else 0.75, abs=0.02)


# ------------------------------------------------------------------------------------------------- network


def test_documents_of_a_row_do_not_see_each_other_and_padding_costs_nothing() -> None:
    torch.manual_seed(0)
    network = BSMNetwork(BSMConfig(width=16, heads=2)).eval()
    first = tokenizer.document([("dna", tokenizer.encode(Biosequence("ACGTAC", "dna")))])
    second = tokenizer.document([("protein", tokenizer.encode(Biosequence("MKL", "protein")))])
    tokens, numbers = packed([first, second], 40)
    together = network.next_token_losses(torch.from_numpy(tokens), torch.from_numpy(numbers))[0]
    apart = [
        network.next_token_losses(torch.from_numpy(one)[None].long(), torch.ones(1, len(one)).long())[0]
        for one in (first, second)
    ]
    torch.testing.assert_close(together, torch.cat(apart))
    padded = np.pad(tokens, ((0, 0), (0, 7))), np.pad(numbers, ((0, 0), (0, 7)))
    longer = network.next_token_losses(*map(torch.from_numpy, padded))
    assert (longer[0, len(together) :] == 0).all()
    assert longer[0, len(first)] == 0  # nothing foretells the beginning of the second
    torch.testing.assert_close(longer[0, : len(together)], together)


def test_sizes_of_the_paper() -> None:
    sizes = []
    for settings in (PAPER_110M, PAPER_270M):
        with torch.device("meta"):
            network = BSMNetwork(BSM(**settings).config)
        sizes.append(sum(one.numel() for one in network.parameters()) / 1e6)
    assert sizes == pytest.approx([113, 257], abs=1)


# ------------------------------------------------------------------------------------------------- likelihoods


def test_score_is_the_sum_over_letters_given_all_before(model: BSM) -> None:
    tokens = torch.from_numpy(
        tokenizer.document(
            [
                ("dna", tokenizer.encode(Biosequence("ATGGCT", "dna"))),
                ("protein", tokenizer.encode(Biosequence("MA", "protein"))),
            ]
        ).astype(np.int64)
    )
    with torch.no_grad():
        logp = model.network_.decoder(tokens[None]).logits[0].log_softmax(-1)
    by_hand = float(logp[9, tokens[10]] + logp[10, tokens[11]])
    pair = pd.DataFrame({"sequence": ["MA"], "partner": ["ATGGCT"]})
    assert model.score(pair)[0] == pytest.approx(by_hand, abs=1e-4)
    gene = float(sum(logp[i, tokens[i + 1]] for i in range(1, 7)))
    assert model.score(pair, partner="joined")[0] == pytest.approx(gene + by_hand, abs=1e-4)
    assert model.score(pair, partner="ignored")[0] == pytest.approx(model.score(["MA"])[0], abs=1e-4)


def test_score_of_a_row_does_not_depend_on_the_others_or_their_order(model: BSM) -> None:
    several = model.score([PROTEINS[0], "MKL", PROTEINS[1]])
    np.testing.assert_allclose(model.score([PROTEINS[1], PROTEINS[0]]), several[[2, 0]], atol=1e-4)


def test_long_sequences_are_read_in_windows_truncated_or_refused(model: BSM) -> None:
    long = "ATGGCTAAAGAT" * 12
    table = pd.DataFrame({"sequence": [long]})
    letters = {}
    for policy in ("window", "truncate"):
        model.set_params(too_long=policy)
        letters[policy] = model.score_table(table, {"sequence": "sequence"})["letters"][0]
    assert letters == {"window": 144, "truncate": 45}
    protein = pd.DataFrame({"sequence": ["MAKD" * 12], "partner": [long]})
    model.set_params(too_long="window")
    assert model.score_table(protein, {"sequence": "sequence", "partner": "partner"})["letters"][0] == 48
    model.set_params(too_long="error")
    with pytest.raises(InputError, match="147 tokens, the context holds 48"):
        model.score([long])
    model.set_params(too_long="window")


def test_both_strands_of_dna_are_judged_alike(model: BSM) -> None:
    one, other = model.score(["ATGGCTAAA", "TTTAGCCAT"])
    assert one != pytest.approx(other, abs=1e-3)
    both = model.score(["ATGGCTAAA", "TTTAGCCAT"], strands="both")
    assert both[0] == pytest.approx(both[1], abs=1e-5)
    assert both[0] == pytest.approx(np.logaddexp(one, other) - np.log(2), abs=1e-4)


def test_variants_are_compared_with_their_wild_type(model: BSM) -> None:
    table = pd.DataFrame({"variant": [PROTEINS[0], "MAKDFLGA"]}, index=["wt", "S8A"])
    found = answer(model, Verb.SCORE, table, {"sequence": "variant"}, {"wild_type": PROTEINS[0]})
    scores = model.score(table["variant"].tolist())
    assert found.loc["wt", "effect"] == 0
    assert found.loc["S8A", "effect"] == pytest.approx(scores[1] - scores[0], abs=1e-4)
    with pytest.raises(InputError, match="partner='colour'"):
        model.score_table(table, {"sequence": "variant"}, partner="colour")  # type: ignore[arg-type]


def test_options_of_the_tables_reach_the_verbs(model: BSM) -> None:
    table, columns = (
        pd.DataFrame({"s": PROTEINS[:2], "kind": "protein"}),
        {"sequence": "s", "modality": "kind"},
    )
    vectors = model.embed_table(table, columns, pooling="last").to_numpy()
    X = table.set_axis(["sequence", "modality"], axis=1)
    np.testing.assert_allclose(vectors, model.embed(X, pooling="last"))
    assert np.abs(vectors - model.embed(X)).max() > 1e-3
    with pytest.raises(InputError, match="pooling is 'max'"):
        model.embed_table(table, columns, pooling="max")  # type: ignore[arg-type]
    made = model.generate_table(table, columns, n=2, letters=3)
    assert made.shape == (4, 2)
    assert made["generated"].str.len().le(3).all()


def test_a_variant_beyond_what_the_context_holds_has_no_effect_rather_than_zero(model: BSM) -> None:
    wild = "MAKDFLGS" * 8
    table = pd.DataFrame({"variant": ["W" + wild[1:], wild[:-1] + "W", wild]})
    columns = {"sequence": "variant"}
    model.set_params(too_long="truncate")
    found = model.score_table(table, columns, wild_type=wild)
    assert found["letters"].tolist() == [45, 45, 45]
    assert found.loc[0, "effect"] != 0
    assert np.isnan(found.loc[1, "effect"])
    assert found.loc[2, "effect"] == 0
    assert "first 45 letters of 64" in found.loc[0, "note"]
    assert "beyond" in found.loc[1, "note"]
    model.set_params(too_long="window")
    whole = model.score_table(table, columns, wild_type=wild)
    assert abs(whole.loc[1, "effect"]) > 1e-6
    assert "note" not in whole


def test_what_a_partner_adds_is_told_of_the_letters_that_were_judged(model: BSM) -> None:
    protein, rna = "MAKDFLGS" * 6, "ACGU" * 20  # no codons of one gene: both are cut
    table = pd.DataFrame({"sequence": [protein], "partner": [rna], "partner_modality": ["rna"]})
    found = model.score_table(table, {one: one for one in table.columns}).iloc[0]
    n = int(found["letters"])
    assert n < len(protein)
    assert f"first {n} letters of 48" in found["note"]
    alone = model.score([protein[:n]])[0] / n
    assert found["pairing"] == pytest.approx(found["per_letter"] - alone, abs=1e-5)


def test_demonstrations_come_before_the_pair(model: BSM) -> None:
    shown = [("ATGGCT", "MA")]
    asked = [("AAAGAT", "KD")]
    found = model.icl_score(shown, asked)
    by_document = tokenizer.document(
        [
            (one.modality, tokenizer.encode(one))
            for one in (
                Biosequence("ATGGCT", "dna"), Biosequence("MA", "protein"),
                Biosequence("AAAGAT", "dna"), Biosequence("KD", "protein"),
            )
        ]
    )  # fmt: skip
    tokens = torch.from_numpy(by_document.astype(np.int64))
    with torch.no_grad():
        logp = model.network_.decoder(tokens[None]).logits[0].log_softmax(-1)
    end = len(tokens) - 1
    assert found[0] == pytest.approx(float(sum(logp[i - 1, tokens[i]] for i in (end - 2, end - 1))), abs=1e-4)
    with pytest.raises(InputError, match="a pair is asked for, and one sequence is given"):
        model.score(["MKL"], demonstrations=shown)
    with pytest.raises(InputError, match="a pair is asked for"):
        model.icl_score(shown, ["MKL"])  # type: ignore[list-item]


def test_threshold_divides_best() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])) == pytest.approx(0.4)


def test_generated_letters_are_of_the_kind_that_was_asked_for(model: BSM) -> None:
    found = model.generate(["ATGGCT"], n=20, letters=8)
    assert set("".join(found[0])) <= set(LETTERS["dna"])
    proteins = model.generate(["ATGGCT"], n=20, letters=8, then="protein")
    assert set("".join(proteins[0])) & set("DEFHIKLMPQ")
    assert all(len(one) <= 8 for one in found[0] + proteins[0])
    assert found == model.generate(["ATGGCT", "MKL"], n=20, letters=8)[:1]
    with pytest.raises(InputError, match="make no sense"):
        model.generate(["ATG"], temperature=0.0)


# ------------------------------------------------------------------------------------------------- rounds and targets


def test_rounds_run_in_order_and_the_best_mix_is_chosen() -> None:
    stages: list[str] = []
    model = BSM(**CASE.settings).fit(
        genes_with_proteins(), session=Session(lambda one: stages.append(one.stage))
    )
    assert list(dict.fromkeys(stages)) == ["round 1", "round 2", "annealing 3.1", "annealing 3.2", "round 3"]
    last = [one for one in model.mixes_ if one["round"] == 3]
    assert [one["chosen"] for one in last].count(True) == 1
    assert min(last, key=lambda one: one["validation"])["chosen"]
    assert "round_3" in model.history_.losses[-1]


def test_kinds_that_the_data_lack_are_told() -> None:
    notes = BSM(**{**CASE.settings, "tokens": 300}).fit(PROTEINS).history_.notes
    assert "round 2: the data hold no pairs, related, whose share goes to what there is" in notes


def test_genes_that_judge_are_not_learned_from() -> None:
    config = BSMConfig(context=64, codons=(2, 8), validation=0.3)
    train, held = read_examples(genes_with_proteins(), config).corpora(config)
    assert held is not None
    table = genes_with_proteins()
    for column in ("gene", "related"):
        assert not set(table[column].iloc[train.alone]) & set(table[column].iloc[held.alone])
    assert len(train.alone) + len(held.alone) == len(table)


def test_a_genome_is_learned_from_and_pieces_that_show_judges_are_left_out() -> None:
    table = read_sequence_file(CHLOROPLAST)
    roles = table[["sequence", "modality", "gene", "related", "document"]]
    config = BSMConfig(context=256, validation=0.2)
    train, held = read_examples(roles, config).corpora(config)
    assert held is not None
    assert train.count("pairs") > 80
    assert train.count("web") > 15
    judges = "|".join(table["sequence"].iloc[held.alone][table["modality"].iloc[held.alone] == "dna"])
    windows = table.iloc[train.alone]
    windows = windows[windows["gene"].isna() & (windows["strand"] == "+")]
    assert len(windows) > 10
    assert not any(one[400:440] in judges for one in windows["sequence"])


def test_a_pair_is_one_document_and_learns_a_value_classes_and_words() -> None:
    table, columns = CASE.table()
    model = BSM(**TINY).fit_table(table, columns)
    assert model.history_.losses[-1].keys() == {"finetuning"}
    changed = table.assign(of=table["of"].iloc[::-1].to_numpy())
    assert (model.predict_table(table, columns) != model.predict_table(changed, columns)).any().item()
    words = BSM(**TINY).fit(PROTEINS, ["a", "b", "c", "a", "b", "c", "a", None])
    assert words.classes_.tolist() == ["a", "b", "c"]
    found = words.predict_table(pd.DataFrame({"s": PROTEINS}), {"sequence": "s"})
    assert set(found["prediction"]) <= {"a", "b", "c"}
    np.testing.assert_allclose(found.filter(like="prediction_").sum(axis=1), 1)
    assert Targets.of([0, 1.0, None], 3, "auto").classes == [0, 1]
    assert Targets.of([0, 1, 2], 3, "auto").classes == []
    assert Targets.of([0, 1, 2], 3, "classes").classes == [0, 1, 2]


def test_training_goes_on_from_a_saved_method(model: BSM, tmp_path: Path) -> None:
    model.save(tmp_path)
    stages: list[str] = []
    tuned = BSM(**TINY, pretrained=str(tmp_path)).fit(
        PROTEINS, np.arange(8.0), session=Session(lambda one: stages.append(one.stage))
    )
    assert set(stages) == {"fine-tuning"}
    assert torch.equal(tuned.network_.decoder.lm_head.weight, model.network_.decoder.lm_head.weight)
    with pytest.raises(InputError, match="has width 16, here is 32"):
        BSM(**{**TINY, "width": 32}, pretrained=str(tmp_path)).fit(PROTEINS)


def test_rows_that_cannot_be_read_are_told(model: BSM) -> None:
    table = pd.DataFrame({"sequence": ["MKL", "M1L", None]})
    found = answer(model, Verb.EMBED, table, {"sequence": "sequence"})
    assert found["problem"].str.contains("position 2").tolist() == [False, True, False]
    assert found["e0"].isna().tolist() == [False, True, True]


def test_a_gene_tells_its_protein_after_training_on_pairs() -> None:
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("AK"), 3)) for _ in range(60)]
    genes = ["".join({"A": "GCT", "K": "AAA"}[one] for one in protein) for protein in proteins]
    table = pd.DataFrame(
        {"sequence": proteins, "modality": "protein", "partner": genes, "partner_modality": "dna"}
    )
    settings = {
        **TINY, "layers": 2, "width": 32, "heads": 4, "codons": (3, 3), "tokens": 50_000,
        "rounds": (Round(mix=(Mix(pairs=1),), share=1),),
        "training": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2, "clip_norm": 1.0},
    }  # fmt: skip
    model = BSM(**settings).fit(table)
    wrong = table.assign(
        partner=["".join({"A": "AAA", "K": "GCT"}[one] for one in protein) for protein in proteins]
    )
    gap = (model.score(table) - model.score(wrong)).mean() / 3
    assert gap > 1


def test_windows_of_the_benchmark_are_read_after_other_genes_each_once() -> None:
    genes = pd.DataFrame({"gene": [f"g{i}" for i in range(8)], "dna": GENES, "protein": PROTEINS})
    every = tiles(genes, 3, seed=0)
    assert len(every) == 8 * 2  # eight residues hold two windows of three
    owner = dict(zip(every["own"] + every["gene"], every["gene"], strict=True))
    assert len(owner) == len(every)
    for number in range(OTHERS):
        other = every[f"other_{number}"]
        assert sorted(other) == sorted(every["own"])
        shift = next(s for s in range(len(every)) if other.tolist() == np.roll(every["own"], s).tolist())
        assert (np.roll(every["gene"], shift) != every["gene"]).all()


def test_the_error_of_a_gap_is_of_genes_not_of_windows() -> None:
    gene = pd.Series(["a", "a", "b", "b"])
    assert standard_error(np.array([1.0, 1.0, -1.0, -1.0]), gene) == pytest.approx(4.0)  # sums 2 and -2
    assert standard_error(np.array([1.0, -1.0, 1.0, -1.0]), gene) == 0


def test_no_pair_is_told(model: BSM) -> None:
    with pytest.raises(InputError, match="there is no pair"):
        model.icl_score([("ATG", "M")], [])
