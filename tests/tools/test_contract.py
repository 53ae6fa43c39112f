"""What every registered tool must keep to. A tool without a case in `cases.py` fails here."""

from __future__ import annotations

import copy
import doctest
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import NereusError, PlanError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import ArtifactRef, CallStatus
from nereus.tools import registry
from nereus.tools.base import Result, SourceFile, Tool, TrainedMethod
from nereus.tools.steps import MemoryLedger, StepRunner
from tests.tools.cases import CASES, run

OUTPUT = re.compile(r"(table|dataset|figure|model):[a-z][a-z0-9_]*\Z")
EVERY_TOOL = pytest.mark.parametrize("name", registry.names())


# --------------------------------------------------------------------------------------- comparing and freezing


def contents(value: Any) -> Any:
    """Everything a value holds, in a form that compares with ``==``."""
    if value is None or isinstance(value, str | int | float | bool):
        return repr(value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, SourceFile):
        return (value.name, value.path.read_bytes())
    if isinstance(value, TrainedMethod):
        return value.content
    if isinstance(value, pd.DataFrame):
        columns = [(str(c), str(value[c].dtype), [repr(cell) for cell in value[c]]) for c in value.columns]
        return ([str(i) for i in value.index], columns)
    if isinstance(value, anndata.AnnData):
        layers = {key: np.asarray(value.layers[key]).tobytes() for key in sorted(value.layers)}
        X = np.asarray(value.X)
        return (
            X.shape,
            str(X.dtype),
            X.tobytes(),
            contents(value.obs),
            contents(value.var),
            layers,
            contents(dict(value.uns)),
        )
    if isinstance(value, np.ndarray):
        return (
            value.shape,
            str(value.dtype),
            value.tobytes() if value.dtype != object else [repr(v) for v in value.ravel()],
        )
    if isinstance(value, Mapping):
        return {str(key): contents(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [contents(one) for one in value]
    return repr(value)


def told(result: Result) -> dict[str, Any]:
    """Everything a result says."""
    figures = {key: (f.svg, contents(f.data), f.title, f.caption) for key, f in result.figures.items()}
    return {
        "summary": result.summary,
        "values": contents(result.values),
        "tables": contents(result.tables),
        "datasets": contents(result.datasets),
        "figures": figures,
        "models": contents(result.models),
        "warnings": result.warnings,
        "rest": (result.complete, result.n_total, result.n_returned),
    }


def barren(value: Any) -> Any:
    """The same input without a single value."""
    if isinstance(value, pd.DataFrame):
        return value.iloc[:0].reset_index(drop=True)
    if isinstance(value, anndata.AnnData):
        empty = value.copy()
        empty.X = np.full(value.shape, np.nan)
        for layer in empty.layers:
            empty.layers[layer] = np.full(value.shape, np.nan)
        return empty
    if isinstance(value, dict):
        return {key: barren(one) for key, one in value.items()}
    return value


def produced(result: Result) -> set[str]:
    """Outputs in the form in which tools declare them."""
    return (
        {f"table:{name}" for name in result.tables}
        | {f"dataset:{name}" for name in result.datasets}
        | {f"figure:{name}" for name in result.figures}
        | {f"model:{name}" for name in result.models}
    )


# ------------------------------------------------------------------------------------------------- the suite


def test_every_tool_has_a_case_and_every_case_a_tool() -> None:
    assert sorted(CASES) == sorted(registry.names())


@EVERY_TOOL
def test_tool_is_declared_in_full(name: str) -> None:
    tool = registry.get(name)
    assert tool.name == name
    assert re.fullmatch(r"\d+(\.\d+)*", tool.version)
    assert 20 <= len(tool.summary) <= 130
    assert tool.summary.endswith(".")
    assert tool.outputs
    assert len(set(tool.outputs)) == len(tool.outputs)
    assert all(OUTPUT.match(output) for output in tool.outputs), tool.outputs
    assert 0 < tool.seconds < 60
    assert tool.inputs


@EVERY_TOOL
def test_every_parameter_is_explained(name: str) -> None:
    model = registry.get(name).params_model
    silent = [field for field, info in model.model_fields.items() if not (info.description or "").strip()]
    assert not silent, f"parameters without a docstring: {silent}"
    assert (model.__doc__ or "").strip(), "the parameters' class has no docstring"
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen") is True


@EVERY_TOOL
def test_docstring_has_its_sections(name: str) -> None:
    text = registry.get(name).__doc__ or ""
    first = text.strip().splitlines()[0]
    assert first.endswith("."), "the first line is a sentence"
    for section in ("Parameters", "Returns", "Examples"):
        assert re.search(rf"^\s*{section}\n\s*-{{{len(section)}}}\n", text, re.MULTILINE), (
            f"no section {section}"
        )
    for spec in registry.get(name).inputs:
        assert re.search(rf"\b{spec.name}\b", text), f"input {spec.name!r} is not described"


@EVERY_TOOL
def test_example_in_docstring_runs(name: str) -> None:
    tool = registry.get(name)
    module = sys.modules[tool.function.__module__]
    found = doctest.DocTestParser().get_doctest(
        tool.__doc__ or "", dict(vars(module)), name, module.__file__, 0
    )
    assert found.examples, "the docstring holds no example"
    report: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(found, out=report.append)
    assert results.failed == 0, "".join(report)


@EVERY_TOOL
def test_inputs_are_never_changed_and_equal_seeds_give_equal_results(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case, tool = CASES[name], registry.get(name)
    first = run(name)
    inputs = dict(case.inputs())
    before = contents(inputs)
    capsys.readouterr()
    # Neither the global generator nor the identity of the inputs may matter.
    np.random.seed(987654)
    second = tool.run(_apart(inputs), case.params, seed=1)
    spoken = capsys.readouterr()
    assert told(first) == told(second)
    np.random.seed(1)
    tool.run(inputs, case.params, seed=2)
    assert contents(inputs) == before, "an input was changed"
    assert spoken.out == ""


def _apart(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.copy() if isinstance(value, anndata.AnnData) else copy.deepcopy(value)
        for key, value in inputs.items()
    }


@EVERY_TOOL
def test_result_keeps_its_promises(name: str) -> None:
    tool, result = registry.get(name), run(name)
    assert produced(result) == set(tool.outputs), "declared and produced outputs differ"
    assert 0 < len(result.summary.encode()) <= 2048
    assert result.values, "a result names its values"
    for key, value in result.values.items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key), key
        assert value is None or isinstance(value, bool | int | float | str), key
        assert not isinstance(value, float) or math.isfinite(value), key
    assert all(isinstance(text, str) and text for text in result.warnings)
    if not result.complete:
        assert result.warnings, "an incomplete result says why"
    if result.n_total is not None and result.n_returned is not None:
        assert 0 <= result.n_returned <= result.n_total
    for key, table in result.tables.items():
        _check_table(key, table)
    for figure in result.figures.values():
        assert figure.svg.lstrip().startswith((b"<svg", b"<?xml"))
        assert figure.title
        assert figure.caption
        assert not re.search(r"\d+\.\d+", figure.caption), "a caption holds no number of a run"
        assert isinstance(figure.data.index, pd.RangeIndex)


def _check_table(key: str, table: pd.DataFrame) -> None:
    assert isinstance(table.index, pd.RangeIndex), key
    assert len(set(table.columns)) == len(table.columns), key
    assert all(isinstance(column, str) for column in table.columns), key
    first = table.iloc[:, 0]
    assert first.map(lambda cell: isinstance(cell, str)).all(), f"{key}: the first column is text"
    assert not first.duplicated().any(), f"{key}: the first column is a unique key"
    for column in table.columns:
        if pd.api.types.is_float_dtype(table[column]):
            assert not np.isinf(table[column]).any(), f"{key}.{column} holds an infinity"
    for column in {"p", "q"} & set(table.columns):
        known = table[column].dropna()
        assert known.between(0, 1).all(), f"{key}.{column} is outside 0..1"
    if {"p", "q"} <= set(table.columns):
        both = table[["p", "q"]].dropna().astype(float)
        assert (both["q"] >= both["p"] - 1e-12).all(), f"{key}: an adjusted p-value is below its p-value"


def _store(store: ArtifactStore, inputs: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, SourceFile):
            kept[name] = store.put_file(value.path, value.name)
        elif isinstance(value, pd.DataFrame):
            kept[name] = store.put_table(value, name)
        elif isinstance(value, anndata.AnnData):
            kept[name] = store.put_dataset(value, name)
        elif isinstance(value, TrainedMethod):
            kept[name] = store.put_model(value.content, name)
        elif isinstance(value, dict):
            kept[name] = {key: store.put_table(table, key) for key, table in value.items()}
        else:
            kept[name] = None
    return kept


@EVERY_TOOL
def test_step_is_recorded_cached_and_survives_the_disk(name: str, tmp_path: Path) -> None:
    computed: list[str] = []
    case, tool = CASES[name], registry.get(name)
    root = tmp_path / "artifacts"
    refs = _store(ArtifactStore(root), case.inputs())
    # A second store over the same folder has an empty cache: the tool reads what was written.
    runner = StepRunner(ArtifactStore(root), MemoryLedger(), run_seed=1, on_compute=computed.append)
    call = runner.run(tool, case.params, refs, seed=1)
    assert call.status is CallStatus.OK, call.error
    live = run(name)
    assert call.summary == live.summary
    assert contents(call.values) == contents(live.values)
    assert runner.run(tool, case.params, refs, seed=1) == call
    assert computed == [name], "an equal step was computed again"
    names = {output.split(":")[1] for output in tool.outputs}
    assert names <= set(call.outputs)
    fresh = ArtifactStore(root)
    for key, table in live.tables.items():
        _same_table(fresh.table(call.outputs[key]), table, f"{name}/{key}")
    for key, data in live.datasets.items():
        _same_dataset(fresh.dataset(call.outputs[key]), data)
    for key, figure in live.figures.items():
        assert fresh.figure(call.outputs[key]) == figure.svg
        assert isinstance(call.outputs[f"{key}_data"], ArtifactRef)


def _same_table(read: pd.DataFrame, live: pd.DataFrame, what: str) -> None:
    assert list(read.columns) == list(live.columns), what
    for column in live.columns:
        ours, theirs = live[column], read[column]
        if pd.api.types.is_numeric_dtype(ours) and not pd.api.types.is_bool_dtype(ours):
            np.testing.assert_array_equal(
                theirs.to_numpy(float), ours.to_numpy(float), err_msg=f"{what}.{column}"
            )
        else:
            same = [a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(theirs, ours, strict=True)]
            assert all(same), f"{what}.{column}"


def _same_dataset(read: anndata.AnnData, live: anndata.AnnData) -> None:
    np.testing.assert_array_equal(np.asarray(read.X), np.asarray(live.X))
    assert list(read.obs_names) == list(live.obs_names)
    assert list(read.var_names) == list(live.var_names)
    assert sorted(read.layers) == sorted(live.layers)
    assert list(read.obs.columns) == list(live.obs.columns)
    assert list(read.var.columns) == list(live.var.columns)
    assert contents(read.uns["nereus"].get("organism")) == contents(live.uns["nereus"].get("organism"))


@EVERY_TOOL
def test_unknown_parameter_is_named(name: str) -> None:
    case, tool = CASES[name], registry.get(name)
    with pytest.raises(PlanError, match="no_such_parameter"):
        tool.run(case.inputs(), {**case.params, "no_such_parameter": 1}, seed=1)


@EVERY_TOOL
def test_unknown_and_missing_inputs_are_named(name: str) -> None:
    case, tool = CASES[name], registry.get(name)
    with pytest.raises(PlanError, match="no_such_input"):
        tool.run({**case.inputs(), "no_such_input": None}, case.params, seed=1)
    needed = next(spec.name for spec in tool.inputs if not spec.optional)
    with pytest.raises(PlanError, match=needed):
        tool.run({key: value for key, value in case.inputs().items() if key != needed}, case.params, seed=1)


@EVERY_TOOL
def test_parameters_survive_json(name: str) -> None:
    tool = registry.get(name)
    params = tool.validate(CASES[name].params)
    assert tool.validate(params.model_dump(mode="json")) == params


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.barren])
def test_nothing_to_work_on_is_said(name: str) -> None:
    """Inputs without a value give one clear error, or a result that says what is missing from it."""
    case, tool = CASES[name], registry.get(name)
    refused: NereusError | None = None
    try:
        result = tool.run({key: barren(value) for key, value in case.inputs().items()}, case.params, seed=1)
    except NereusError as error:
        refused = error
    if refused is None:
        _says_why(tool, result)
    else:
        assert refused.what
        assert refused.mend or refused.where, "an error says where, or what to do"


def _says_why(tool: Tool, result: Result) -> None:
    for key, table in result.tables.items():
        _check_table(key, table)
    empty = all(table.empty for table in result.tables.values())
    if result.tables and empty and not result.datasets:
        assert result.warnings or not result.complete, f"{tool.name}: an empty result says why"
    assert result.summary
