"""What is UniMatch's own: levels, leave-one-out, the inner loop, and the draws of its benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.unimatch import DRAWS, SHOTS, draws, summary
from nereus.errors import InputError
from nereus.models.molecules.unimatch import UniMatch
from nereus.models.molecules.unimatch.config import UniMatchConfig
from nereus.models.molecules.unimatch.episodes import one_hot
from nereus.models.molecules.unimatch.network import Matching, UniMatchNetwork
from tests.models.cases import trained
from tests.models.cases.molecules import ALCOHOL, OTHERS, SMILES

TINY = {"width": 8, "layers": 2, "shots": 2, "episodes": 2, "tasks": 3, "training": {"epochs": 2}}
RELATED = np.column_stack([ALCOHOL, 1 - ALCOHOL, np.roll(ALCOHOL, 1)])


def network(**settings: object) -> UniMatchNetwork:
    torch.manual_seed(0)
    return UniMatchNetwork(UniMatchConfig(**{**TINY, **settings}), tasks=3).eval()


def a_task() -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of a support, (levels, 6, width), and its one-hot labels."""
    torch.manual_seed(1)
    return torch.randn(2, 6, 8), one_hot(np.array([1, 1, 1, 0, 0, 0]), torch.device("cpu"))


def test_a_support_molecule_is_answered_from_the_others() -> None:
    torch.manual_seed(0)
    matching, (support, labels) = Matching(2, 8), a_task()
    turned = labels.clone()
    turned[0] = turned[0].flip(0)
    before, after = (matching(support, support, one, leave_out=True) for one in (labels, turned))
    torch.testing.assert_close(before[0], after[0])
    assert not torch.allclose(before[1], after[1])
    assert not torch.allclose(matching(support, support, labels)[0], matching(support, support, turned)[0])


def test_every_level_has_its_say() -> None:
    torch.manual_seed(0)
    matching, (support, labels) = Matching(2, 8), a_task()
    queries = torch.randn(2, 3, 8)
    whole = matching(queries, support, labels)
    for level in (0, 1):
        other = queries.clone()
        other[level] = torch.randn(3, 8)
        assert not torch.allclose(matching(other, support, labels), whole)


def test_the_inner_step_is_a_gradient_step_that_learning_sees_through() -> None:
    one, (support, labels) = network(inner_rate=0.5), a_task()
    loss = torch.nn.functional.cross_entropy(one.matching(support, support, labels, True), labels.argmax(1))
    gradients = torch.autograd.grad(loss, list(one.matching.parameters()))
    adapted = one.adapt(support, labels)
    for (name, start), gradient in zip(one.matching.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(adapted[name], start - 0.5 * gradient)
    total = one.answer(adapted, support, support, labels).square().sum()
    through = torch.autograd.grad(total, one.matching.query)[0]
    first_order = network(inner_rate=0.5, second_order=False)
    adapted = first_order.adapt(support, labels)
    total = first_order.answer(adapted, support, support, labels).square().sum()
    assert not torch.allclose(torch.autograd.grad(total, first_order.matching.query)[0], through)
    without = network(task_matching="none")
    assert all(without.adapt(support, labels)[n] is p for n, p in without.matching.named_parameters())


def test_related_tasks_move_the_start_of_the_inner_loop() -> None:
    one, (support, labels) = network(task_matching="relation"), a_task()
    assert one.relation is not None
    common = dict(one.matching.named_parameters())
    with torch.no_grad():
        one.relation.basis.normal_()
    torch.testing.assert_close(
        one.start(support, labels)["query"], common["query"]
    )  # nothing is remembered yet
    one.relation.remember(0, torch.randn(16))
    assert not torch.allclose(one.start(support, labels)["query"], common["query"])
    torch.testing.assert_close(one.start(support, labels, own=0)["query"], common["query"])


@pytest.mark.parametrize("encoder", ["learns", "frozen"])
def test_a_frozen_graph_network_keeps_its_weights(encoder: str) -> None:
    short = UniMatch(**{**TINY, "encoder": encoder, "training": {"epochs": 1}}).meta_fit(SMILES, RELATED)
    longer = UniMatch(**{**TINY, "encoder": encoder}).meta_fit(SMILES, RELATED)
    pairs = zip(short.network_.encoder.parameters(), longer.network_.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) == (encoder == "frozen")
    assert not torch.equal(short.network_.matching.query, longer.network_.matching.query)


def test_a_query_does_not_see_the_others() -> None:
    model = UniMatch(**TINY).fit(SMILES, ALCOHOL)
    together = model.predict_proba(OTHERS)
    alone = np.concatenate([model.predict_proba([one]) for one in OTHERS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    with pytest.raises(InputError, match="meta-trained, not adapted"):
        UniMatch(**TINY).meta_fit(SMILES, RELATED).predict_proba(OTHERS)


def test_queries_that_are_in_the_support_are_told(tmp_path: Path) -> None:
    model = trained("unimatch")
    model.save(tmp_path)
    table = pd.DataFrame(
        {"s": ["OCC", "CCCCCCCN"]}
    )  # the first is the support's CCO, written the other way round
    for one in (model, UniMatch.load(tmp_path)):
        found = one.predict_table(table, {"smiles": "s"})
        assert found["note"].tolist() == ["is in the support: answered from its own label among others", ""]
        assert "note" not in one.predict_table(table[1:], {"smiles": "s"})
        with pytest.warns(UserWarning, match="1 of 2 molecules are in the support"):
            one.predict_proba(table["s"].tolist())  # type: ignore[attr-defined]


def test_draws_of_the_benchmark_leave_queries_out_of_supports() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([0.0, 1.0, np.nan], size=(200, 4))
    among = np.arange(0, 200, 2)
    asked = draws(labels, 2, seed=0, among=among)
    assert [task for task, _, _ in asked] == [2] * DRAWS + [3] * DRAWS
    for task, support, queries in asked:
        assert labels[support, task].tolist() == [1.0] * SHOTS + [0.0] * SHOTS
        assert not set(support) & set(queries)
        assert set(support) | set(queries) == set(among[np.isfinite(labels[among, task])])
    assert len({tuple(sorted(support)) for _, support, _ in asked}) == len(asked), "drawn anew each time"
    other = draws(labels, 2, seed=1, among=among)
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(asked, other, strict=True))


def test_summary_leaves_open_what_was_not_run() -> None:
    runs = [
        {"set": "tox21", "seed": seed, "arm": arm, "auroc": value, "sd_of_draws": 0.01}
        for seed in (0, 1)
        for arm, value in (("unimatch", 0.7 + seed / 100), ("logistic_regression", 0.6))
    ]
    met = summary(runs)["tox21"]["acceptance"]
    assert met["0.05_above_logistic_regression"] is True
    assert met["all_levels_not_worse_than_last"] is None
    runs[0]["auroc"] = 0.59
    assert summary(runs)["tox21"]["acceptance"]["above_it_in_every_seed"] is False
