"""The training loop on a problem whose solution is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from nereus.errors import InputError, ToolError
from nereus.models.config import Config, TrainingOptions
from nereus.models.training import Progress, Session, TrainingCancelled, identity_of, train
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.device import resolve
from nereus.models.training.loop import _factor
from nereus.models.training.running_statistics import settle_batch_norm


class Line:
    """Least squares: y = 2 x - 1, with a validation loss that can be told what to say."""

    def __init__(self, network: nn.Module, said: list[float] | None = None, n: int = 40) -> None:
        self.network = network
        self.x = torch.linspace(-1, 1, n).unsqueeze(1)
        self.y = 2 * self.x - 1
        self.said = said
        self.asked = 0
        self.seen: list[list[int]] = []

    def batches(self, rng: np.random.Generator):
        rows = shuffled_rows(len(self.x), 8, rng)
        self.seen += [part.tolist() for part in rows]
        return made(rows, lambda part: part)

    def losses(self, rows: np.ndarray) -> dict[str, Tensor]:
        return {"total": ((self.network(self.x[rows]) - self.y[rows]) ** 2).mean()}

    def validate(self) -> float | None:
        self.asked += 1
        assert not self.network.training
        return None if self.said is None else self.said[min(self.asked, len(self.said)) - 1]


def line(**options: object):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.1))
    return network, TrainingOptions(**{"epochs": 60, "learning_rate": 0.05, **options})


def test_solution_is_found() -> None:
    network, options = line()
    network[1].p = 0.0
    history = train(network, Line(network), options, seed=0)
    assert network[0].weight.item() == pytest.approx(2, abs=0.02)
    assert network[0].bias.item() == pytest.approx(-1, abs=0.02)
    assert history.losses[-1]["total"] < 1e-3 < history.losses[0]["total"]


@pytest.mark.parametrize(
    "options", [{}, {"average": 0.9}, {"schedule": "cosine", "warmup": 0.2, "accumulate": 2}]
)
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_interrupted_training_ends_like_an_uninterrupted_one(
    tmp_path: Path, options: dict, stop: int
) -> None:
    whole, settings = line(epochs=8, **options)
    expected = train(whole, Line(whole), settings, seed=3)
    told: list[Progress] = []
    part, _ = line()
    with pytest.raises(TrainingCancelled):
        train(
            part,
            Line(part),
            settings,
            seed=3,
            session=Session(told.append, lambda: len(told) >= stop, tmp_path),
        )
    again, _ = line()
    got = train(again, Line(again), settings, seed=3, session=Session(checkpoints=tmp_path))
    assert got.as_json() == expected.as_json()
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_patience_keeps_the_best_weights_also_over_an_interruption(tmp_path: Path) -> None:
    said = [3.0, 2.0, 1.0, 1.5, 1.6, 1.7, 0.1]
    network, options = line(epochs=20, patience=3)
    kept: dict[int, Tensor] = {}
    session = Session(
        lambda one: kept.update({one.epoch: network[0].weight.detach().clone()}), None, tmp_path
    )
    history = train(network, Line(network, said), options, seed=0, session=session)
    assert history.stopped_early
    assert history.best_epoch == 3
    assert len(history.losses) == 6
    assert torch.equal(network[0].weight, kept[3])


def test_average_is_what_remains() -> None:
    network, options = line(epochs=3, average=0.99)
    plain, without = line(epochs=3)
    train(network, Line(network), options, seed=0)
    train(plain, Line(plain), without, seed=0)
    assert not torch.equal(network[0].weight, plain[0].weight)


def test_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    network, options = line(epochs=2)
    train(network, Line(network), options, seed=0, session=Session(checkpoints=tmp_path), identity="a")
    with pytest.raises(InputError, match="network or data"):
        train(network, Line(network), options, seed=0, session=Session(checkpoints=tmp_path), identity="b")


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    network, options = line(epochs=2)
    train(network, Line(network), options, seed=0, session=Session(checkpoints=tmp_path))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match="remove it to start anew"):
        train(network, Line(network), options, seed=0, session=Session(checkpoints=tmp_path))


def test_loss_that_is_no_number_is_said() -> None:
    network, options = line(epochs=2)
    problem = Line(network)
    problem.y = problem.y * float("nan")
    with pytest.raises(ToolError, match="no longer finite"):
        train(network, problem, options, seed=0)


def test_every_epoch_sees_every_row_once_in_another_order() -> None:
    network, options = line(epochs=2)
    problem = Line(network, n=41)
    train(network, problem, options, seed=0)
    half = len(problem.seen) // 2
    first, second = (
        [row for rows in part for row in rows] for part in (problem.seen[:half], problem.seen[half:])
    )
    assert sorted(first) == sorted(second) == list(range(41))
    assert first != second
    assert min(map(len, problem.seen)) > 1, "batch norm needs two rows"


def test_schedules_rise_and_fall() -> None:
    options = TrainingOptions(schedule="cosine", warmup=0.1)
    factors = [_factor(options, step, 100) for step in range(100)]
    assert factors[0] < factors[9] <= 1
    assert factors[10] == pytest.approx(1.0)
    assert factors[99] < 0.01
    assert _factor(TrainingOptions(schedule="linear"), 50, 100) == pytest.approx(0.5)
    assert _factor(TrainingOptions(), 99, 100) == 1.0
    ending = TrainingOptions(schedule="linear", end_rate=0.5)
    assert [_factor(ending, step, 100) for step in (0, 50, 100)] == pytest.approx([1.0, 0.75, 0.5])


def test_networks_that_were_in_evaluation_stay_so() -> None:
    network, options = line(epochs=1)
    network.eval()
    train(network, Line(network), options, seed=0)
    assert not network.training


def test_running_statistics_are_those_of_the_last_weights() -> None:
    torch.manual_seed(0)
    network = nn.ModuleDict(
        {"a": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)), "b": nn.BatchNorm1d(2)}
    )
    x = torch.randn(64, 3) * 3 + 5
    unseen = network["b"].running_var.fill_(7.0).clone()

    class Read:
        def batches(self, rng):
            return [x[part] for part in np.array_split(rng.permutation(64), 4)]

        def losses(self, batch):
            return {"total": network["a"](batch).sum()}

        def validate(self):
            return None

    weights = network["a"][0].weight.detach().clone()
    network.train()
    settle_batch_norm(network, Read(), seed=1)
    norm = network["a"][1]
    torch.testing.assert_close(norm.running_mean, network["a"][0](x).mean(0).detach())
    assert norm.momentum == 0.1
    assert network["a"][2].training
    torch.testing.assert_close(network["a"][0].weight.detach(), weights, rtol=0, atol=0)
    torch.testing.assert_close(network["b"].running_var, unseen)  # no batch came through it


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(InputError, match=f"there is no device '{name}' here"):
        resolve(name)


def test_a_patience_that_nothing_judges_is_told() -> None:
    network, options = line(epochs=2, patience=1)
    assert "all 2 epochs" in train(network, Line(network), options, seed=0).notes[0]
    network, options = line(epochs=2, patience=1)
    assert not train(network, Line(network, [1.0, 2.0]), options, seed=0).notes


def test_a_validation_loss_that_is_no_number_is_said() -> None:
    network, options = line(epochs=2, patience=1)
    with pytest.raises(ToolError, match="'validation': nan"):
        train(network, Line(network, [float("nan")]), options, seed=0)


def test_batches_that_are_left_over_weigh_as_much_as_any() -> None:
    found: list[Tensor] = []
    handle = register_optimizer_step_pre_hook(
        lambda optimiser, *_: found.append(optimiser.param_groups[0]["params"][0].grad.clone())
    )
    try:
        for together in (1, 3):
            network, options = line(epochs=1, accumulate=together)
            network[1].p = 0.0
            train(network, Line(network, n=8), options, seed=0)  # one batch
    finally:
        handle.remove()
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("changed", [{"random_state": 1}, {"device": "cpu"}])
def test_seed_and_device_do_not_identify_a_training(changed: dict) -> None:
    assert identity_of(Config(**changed), "a") == identity_of(Config(), "a")


def test_settings_and_data_identify_a_training() -> None:
    other = Config(training={"epochs": 3})
    assert identity_of(other, "a") != identity_of(Config(), "a")
    assert identity_of(other, "a", without={"training"}) == identity_of(Config(), "a", without={"training"})
    assert identity_of(Config(), "a", "b") != identity_of(Config(), "ab")
