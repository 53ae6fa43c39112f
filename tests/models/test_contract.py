"""What every registered method must keep to. A method without a case in `cases.py` fails here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from nereus import models
from nereus.errors import InputError
from nereus.models import registry
from nereus.models.base import Method, NotFitted
from nereus.models.card import Status
from nereus.models.config import Config, TrainingOptions
from nereus.models.training import Progress, Session, TrainingCancelled
from tests.models.cases import CASES, Case, answers, trained

ROOT = Path(__file__).parents[2]
EVERY_METHOD = pytest.mark.parametrize("name", registry.names())


def fresh(name: str, **settings: Any) -> Method[Any]:
    return registry.get(name)(**{**CASES[name].settings, **settings})


def fitted(name: str, session: Session | None = None, **settings: Any) -> Method[Any]:
    X, y = CASES[name].data()
    return fresh(name, **settings).fit(X, y, session=session, **CASES[name].told)


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal to the last bit."""
    if isinstance(a, Mapping):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


def case_of(name: str) -> Case:
    return CASES[name]


# ------------------------------------------------------------------------------------------------- cards and folders


def test_every_method_has_a_case_and_every_case_a_method() -> None:
    assert sorted(CASES) == sorted(registry.names())


def test_listing_methods_and_reading_cards_imports_no_torch() -> None:
    code = (
        "import sys\nfrom nereus import models\n[models.card(name) for name in models.names()]\n"
        "print(sorted({'torch', 'rdkit', 'sklearn', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@EVERY_METHOD
def test_card_is_complete(name: str) -> None:
    card = registry.card(name)
    method = registry.get(name)
    assert method.card is card
    assert re.fullmatch(r"(arXiv:\d{4}\.\d{4,5}|doi:10\.\S+)", card.paper.link)
    assert len(card.purpose) > 40
    assert card.verbs
    assert card.inputs
    assert card.components
    assert card.licences
    assert card.limits
    folder = ROOT.joinpath(*registry.CATALOGUE[name].split(":")[0].split("."))
    for component in card.components:
        assert (folder / component.place).exists() or (folder.parent / component.place).exists(), (
            component.place
        )
    for file in ("__init__.py", "card.py", "config.py", "method.py", "network.py"):
        assert (folder / file).exists(), f"{name} lacks {file}, which every method has"


@EVERY_METHOD
def test_card_states_no_figure_that_no_result_holds(name: str) -> None:
    card = registry.card(name)
    if card.status is not Status.MECHANISM:
        assert card.figures, f"{name} claims {card.status.value!r} without a figure"
    for figure in card.figures:
        file, _, place = figure.result.partition(":")
        value: Any = json.loads(
            (ROOT / "benchmarks" / "results" / "methods" / file).read_text(encoding="utf-8")
        )
        for key in place.split("."):
            value = value[int(key) if isinstance(value, list) else key]
        assert value == pytest.approx(figure.value, abs=0.5 * 10 ** -_decimals(figure.value)), figure.result


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])


@EVERY_METHOD
def test_folder_reads_without_torch_but_for_method_and_network(name: str) -> None:
    folder = ROOT.joinpath(*registry.CATALOGUE[name].split(":")[0].split("."))
    for file in ("__init__.py", "card.py", "config.py"):
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
        imported = {
            name.name.split(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import)
            for name in node.names
        } | {(n.module or "").split(".")[0] for n in tree.body if isinstance(n, ast.ImportFrom)}
        assert imported.isdisjoint({"torch", "rdkit", "numpy", "pandas", "sklearn", "transformers"}), file


# ------------------------------------------------------------------------------------------------- configuration


@EVERY_METHOD
def test_configuration_goes_through_json_and_back(name: str) -> None:
    config = fresh(name, random_state=7).config
    assert isinstance(config, Config)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert all(one.description for one in type(config).model_fields.values()), "every field is documented"


@EVERY_METHOD
def test_a_part_that_is_changed_keeps_the_rest(name: str) -> None:
    method = registry.get(name)
    default = method().config.training
    assert default.epochs != 3, "the case shows nothing"
    changed = default.model_copy(update={"epochs": 3})
    assert method(training={"epochs": 3}).config.training == changed
    assert type(method().config).model_validate({"training": {"epochs": 3}}).training == changed
    larger = changed.model_copy(update={"batch_size": 3})
    assert method(method(training__epochs=3).config, training={"batch_size": 3}).config.training == larger
    assert method(training=TrainingOptions(epochs=3)).config.training == TrainingOptions(epochs=3)


@EVERY_METHOD
def test_wrong_settings_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=r"no_such_setting.*\n.*fields are"):
        registry.get(name)(no_such_setting=1)
    with pytest.raises(InputError, match="epochs"):
        registry.get(name)(training__epochs=0)


@EVERY_METHOD
def test_scikit_learn_can_clone_and_set(name: str) -> None:
    method = fresh(name)
    twin = clone(method)
    assert twin is not method
    assert twin.config == method.config
    assert not twin.__sklearn_is_fitted__()
    twin.set_params(random_state=3, training__epochs=1)
    assert twin.config.random_state == 3
    assert twin.get_params()["training__epochs"] == 1
    assert method.config.random_state == 0


# ------------------------------------------------------------------------------------------------- training


@EVERY_METHOD
def test_equal_seeds_give_equal_methods(name: str) -> None:
    # Drawing from the global generator in between must not matter.
    torch.manual_seed(5)
    before = torch.rand(1)
    twin = fitted(name)
    torch.manual_seed(5)
    assert torch.rand(1) == before
    assert same(answers(twin, case_of(name)), answers(trained(name), case_of(name)))
    assert twin.to_bytes() == trained(name).to_bytes()


@EVERY_METHOD
def test_another_seed_gives_another_method(name: str) -> None:
    assert fitted(name, random_state=1).to_bytes() != trained(name).to_bytes()


@EVERY_METHOD
def test_training_does_not_change_its_input_or_configuration(name: str) -> None:
    X, y = CASES[name].data()
    before = repr(X), repr(y)
    method = fresh(name)
    config = method.config
    method.fit(X, y, **CASES[name].told)
    assert (repr(X), repr(y)) == before
    assert method.config == config


@EVERY_METHOD
def test_training_tells_how_far_it_is(name: str) -> None:
    told: list[Progress] = []
    fitted(name, Session(progress=told.append))
    assert told
    assert all(np.isfinite(list(one.losses.values())).all() for one in told)
    assert all(1 <= one.epoch <= one.epochs for one in told)


@EVERY_METHOD
def test_cancelled_training_goes_on_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    told: list[Progress] = []
    session = Session(told.append, cancelled=lambda: len(told) >= 1, checkpoints=tmp_path)
    method = fresh(name)
    X, y = CASES[name].data()
    with pytest.raises(TrainingCancelled, match="same checkpoint folder"):
        method.fit(X, y, session=session, **CASES[name].told)
    method.fit(X, y, session=Session(checkpoints=tmp_path), **CASES[name].told)
    assert same(answers(method, case_of(name)), answers(trained(name), case_of(name)))


@EVERY_METHOD
def test_checkpoint_of_another_training_is_refused(name: str, tmp_path: Path) -> None:
    told: list[Progress] = []
    with pytest.raises(TrainingCancelled):
        fitted(name, Session(told.append, lambda: len(told) >= 1, tmp_path))
    with pytest.raises(InputError, match="other options, seed, network or data"):
        fitted(name, Session(checkpoints=tmp_path), random_state=1)


# ------------------------------------------------------------------------------------------------- keeping and moving


@EVERY_METHOD
def test_saved_and_loaded_method_answers_alike(name: str, tmp_path: Path) -> None:
    method = trained(name)
    method.save(tmp_path / "kept")
    for again in (models.load(tmp_path / "kept"), type(method).load(tmp_path / "kept" / "model.safetensors")):
        assert type(again) is type(method)
        assert again.config.model_copy(update={"device": "auto"}) == method.config
        assert same(answers(again, case_of(name)), answers(method, case_of(name)))
        assert again.to_bytes() == method.to_bytes()
    assert {one.name for one in (tmp_path / "kept").iterdir()} == {"model.safetensors", "config.json"}


@EVERY_METHOD
def test_what_is_no_trained_method_is_refused(name: str, tmp_path: Path) -> None:
    method = registry.get(name)
    with pytest.raises(InputError, match="no trained method here"):
        method.load(tmp_path)
    trained(name).save(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        method.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(InputError, match="cannot be read"):
        method.load(tmp_path)


def retold(file: Path, **changed: Any) -> None:
    """Write a model file anew with another header; ``tensors`` renames tensors."""
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    parts = json.loads(whole[8 : 8 + length])
    told = json.loads(parts["__metadata__"]["nereus"])
    tensors = changed.pop("tensors", {})
    parts = {tensors.get(name, name): one for name, one in parts.items()}
    parts["__metadata__"] = {"nereus": json.dumps({**told, **changed})}
    text = json.dumps(parts).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])


@EVERY_METHOD
def test_files_that_do_not_fit_are_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    method = trained(name)
    config = method.config.model_dump(mode="json")
    tensor = next(iter(sorted(method._state()[0])))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"config": {**config, "field_of_another_version": 1}}, "does not fit"),
        ({"history": {"another": 1}}, "does not fit"),
        ({"tensors": {tensor: "nowhere"}, "weights": ""}, "does not fit"),
        ({"version": "99"}, "version 99, not"),
        ({"method": "nothing"}, "not"),
        ({"format": 99}, "this version reads"),
    ]
    if method._state()[1]:
        changes.append(({"facts": {}}, "does not fit"))
    for number, (changed, says) in enumerate(changes):
        folder = tmp_path / str(number)
        method.save(folder)
        retold(folder / "model.safetensors", **changed)
        with pytest.raises(InputError, match=says):
            type(method).load(folder)
    whole = (method.save(tmp_path / "nan") / "model.safetensors").read_bytes()
    (tmp_path / "nan" / "model.safetensors").write_bytes(whole[:-4] + b"\xff" * 4)
    last = sorted(method._state()[0])[-1]
    if method._state()[0][last].dtype is torch.float32:
        with pytest.raises(InputError, match="holds what is no number"):
            type(method).load(tmp_path / "nan")


@EVERY_METHOD
def test_one_changed_bit_of_the_weights_is_found(name: str, tmp_path: Path) -> None:
    file = trained(name).save(tmp_path) / "model.safetensors"
    whole = bytearray(file.read_bytes())
    whole[-4] ^= 1  # of the last number the least bit: it stays a number
    file.write_bytes(whole)
    with pytest.raises(InputError, match="damaged or was changed"):
        models.load(tmp_path)


@EVERY_METHOD
def test_moves_to_a_device(name: str, tmp_path: Path) -> None:
    trained(name).save(tmp_path)
    method = models.load(tmp_path).to("cpu")
    assert {one.device.type for one in method.network_.parameters()} == {"cpu"}
    if torch.cuda.is_available():
        found = answers(method.to("cuda"), case_of(name))
        assert {one.device.type for one in method.network_.parameters()} == {"cuda"}
        assert found.keys() == answers(trained(name), case_of(name)).keys()
    else:
        with pytest.raises(InputError, match="there is no device 'cuda' here"):
            method.to("cuda")


# ------------------------------------------------------------------------------------------------- asking


@EVERY_METHOD
def test_answers_every_verb_of_its_card(name: str) -> None:
    case = case_of(name)
    assert {verb.value for verb in registry.card(name).verbs} == set(case.asks)
    for verb, answer in answers(trained(name), case).items():
        assert answer is not None
        assert len(answer), verb
        if isinstance(answer, np.ndarray):
            assert np.isfinite(answer).all(), verb


@EVERY_METHOD
def test_asking_before_training_is_refused(name: str, tmp_path: Path) -> None:
    for ask in case_of(name).asks.values():
        with pytest.raises(NotFitted, match="has learned nothing yet"):
            ask(fresh(name))
    with pytest.raises(NotFitted):
        fresh(name).save(tmp_path)


@EVERY_METHOD
def test_takes_tables(name: str) -> None:
    table, columns = case_of(name).table()
    kept = table.copy()
    method = fresh(name).fit_table(table, columns)
    found = method.predict_table(table, columns)
    assert list(found.index) == list(table.index)
    assert {one.name for one in registry.card(name).outputs} <= set(found.columns)
    pd.testing.assert_frame_equal(table, kept)
    with pytest.raises(InputError, match="there is no column 'elsewhere'"):
        fresh(name).fit_table(table, {**columns, registry.card(name).inputs[0].name: "elsewhere"})
    with pytest.raises(InputError, match="there is no role 'colour'"):
        fresh(name).fit_table(table, {**columns, "colour": table.columns[0]})


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name in registry.names() for what in CASES[name].bad]
)
def test_bad_input_is_refused(name: str, what: str) -> None:
    bad = CASES[name].bad[what]
    with pytest.raises(InputError, match=bad.says):
        bad.fit(fresh(name))
