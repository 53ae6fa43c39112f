"""What a tool is: a typed, pure function with pydantic parameters in and a `Result` out.

A tool's inputs are read from its signature, so the signature is its documentation::

    class LogParams(Params):
        base: float = 2.0

    @tool("log_transform", version="1", summary="Logarithm of a raw intensity matrix.")
    def log_transform(dataset: AnnData, params: LogParams, *, seed: int) -> Result: ...

Rules that the contract suite checks for every registered tool: inputs are never mutated; equal inputs, parameters
and seed give equal results; nothing is printed, plotted or written on the side; a result says when it is
incomplete, and an empty one says why; the docstring holds a runnable example.
"""

from __future__ import annotations

import html
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, ValidationError

from nereus.errors import PlanError, ToolError
from nereus.explained import Explained
from nereus.memory.records import Scalar
from nereus.tools.single_thread import single_thread

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from nereus.models.base import Method


class Params(Explained):
    """Base of every tool's parameters: immutable, JSON-serialisable, unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class SourceFile:
    """A file as the user gave it: an input of reader tools. `name` keeps the user's file name."""

    path: Path
    name: str


@dataclass(frozen=True)
class TrainedMethod:
    """A trained method of `nereus.models`, as one file's content: equal methods are equal bytes."""

    content: bytes = field(repr=False)

    def open(self) -> Method[Any]:
        """The method, ready to be asked."""
        from tempfile import TemporaryDirectory

        from nereus.models import load

        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.safetensors"
            file.write_bytes(self.content)
            return load(file)


@dataclass(frozen=True)
class Figure:
    """A drawing and the table it was drawn from."""

    svg: bytes
    data: pd.DataFrame
    title: str
    caption: str = ""
    """One sentence that says what is seen and how to read it. Free of run-specific numbers."""


@dataclass(frozen=True)
class Result:
    """What a tool returns.

    Tables are `pandas.DataFrame` with a plain RangeIndex whose FIRST column is the row key (unique strings), so
    that evidence can point at (table, row, column). Datasets are `anndata.AnnData`. Values are finite scalars or None.
    """

    summary: str
    """One or two sentences, deterministic, at most 2 kB."""
    values: Mapping[str, Scalar] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    datasets: Mapping[str, AnnData] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    models: Mapping[str, TrainedMethod] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    complete: bool = True
    n_total: int | None = None
    n_returned: int | None = None

    def table(self, name: str | None = None) -> pd.DataFrame:
        """The table called `name`, or the only table."""
        if name is None:
            if len(self.tables) != 1:
                raise KeyError(f"name one of {sorted(self.tables)}")
            name = next(iter(self.tables))
        return self.tables[name]

    def dataset(self, name: str = "dataset") -> AnnData:
        """The data set called `name`."""
        return self.datasets[name]

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(self.summary)}</p>"]  # it may hold text of a file, or of code
        parts += [figure.svg.decode() for figure in self.figures.values()]
        parts += [
            f"<h4>{name}</h4>{table.head(10).to_html(index=False)}" for name, table in self.tables.items()
        ]
        return "".join(parts)


def finite(value: float | int | None) -> float | None:
    """A number as a named value: float, or None when it is not finite."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


class Capability(StrEnum):
    """What a tool may touch. `NETWORK` and `EXEC` always ask for approval."""

    READ = "read"
    COMPUTE = "compute"
    NETWORK = "network"
    EXEC = "exec"


InputKind = Literal["file", "dataset", "table", "tables", "model"]


@dataclass(frozen=True)
class InputSpec:
    """One input of a tool, as read from its signature."""

    name: str
    kind: InputKind
    optional: bool


@dataclass(frozen=True)
class Tool:
    """A registered tool. Calling it with Python objects validates the parameters and returns a `Result`."""

    name: str
    version: str
    summary: str
    function: Callable[..., Result]
    params_model: type[Params]
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    """``table:differential``, ``dataset:dataset``, ``figure:volcano``: what a plan may refer to."""
    capability: Capability
    seconds: float
    """Rough seconds on a table of 2,000 features x 200 samples: what budgets and approvals estimate with."""

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.function.__doc__

    def validate(self, params: Mapping[str, Any] | Params) -> Params:
        """Check parameters, and say which is wrong and what is allowed."""
        if isinstance(params, Params):
            params = params.model_dump(mode="json")
        try:
            return self.params_model.model_validate(dict(params))
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'parameters'}: {item['msg']} (got {item['input']!r})"
                for item in error.errors()
            )
            raise PlanError(
                wrong,
                where=f"tool {self.name!r}",
                mend=f"parameters are {sorted(self.params_model.model_fields)}; see `nereus tools show {self.name}`",
            ) from None

    def run(self, inputs: Mapping[str, Any], params: Mapping[str, Any] | Params, seed: int) -> Result:
        """Compute, from input objects by name."""
        known = {spec.name for spec in self.inputs}
        if unknown := sorted(set(inputs) - known):
            raise PlanError(
                f"unknown inputs {unknown}", where=f"tool {self.name!r}", mend=f"inputs are {sorted(known)}"
            )
        missing = [s.name for s in self.inputs if not s.optional and inputs.get(s.name) is None]
        if missing:
            raise PlanError(f"inputs {missing} are missing", where=f"tool {self.name!r}", mend="name them")
        checked = self.validate(params)
        with single_thread():
            result = self.function(
                **{s.name: inputs.get(s.name) for s in self.inputs}, params=checked, seed=seed
            )
        if not isinstance(result, Result):
            raise ToolError(
                f"returned a {type(result).__name__}", where=f"tool {self.name!r}", mend="return a Result"
            )
        _check_result(self, result)
        return result

    def __call__(self, *inputs: Any, seed: int = 0, **arguments: Any) -> Result:
        """Call as a Python function: inputs by position or name, parameters by name."""
        named = dict(zip((spec.name for spec in self.inputs), inputs, strict=False))
        if len(inputs) > len(self.inputs):
            raise PlanError(
                f"{len(inputs)} inputs given",
                where=f"tool {self.name!r}",
                mend=f"it takes {len(self.inputs)}",
            )
        for spec in self.inputs:
            if spec.name in arguments:
                named[spec.name] = arguments.pop(spec.name)
        return self.run(named, arguments, seed)


def tool(
    name: str,
    *,
    version: str,
    summary: str,
    outputs: tuple[str, ...] = (),
    capability: Capability = Capability.COMPUTE,
    seconds: float = 1.0,
) -> Callable[[Callable[..., Result]], Tool]:
    """Make a tool of a function ``(inputs..., params: SomeParams, *, seed: int) -> Result``.

    Inputs are recognised by annotation: `SourceFile`, `anndata.AnnData`, `pandas.DataFrame`, `TrainedMethod`, or
    ``dict[str, pandas.DataFrame]``; ``| None`` marks an optional one. Raise the version whenever results change.
    """

    def make(function: Callable[..., Result]) -> Tool:
        # Heavy classes are imported under TYPE_CHECKING in tool modules, so annotations are read as text.
        signature = inspect.signature(function)
        inputs: list[InputSpec] = []
        params_model: type[Params] | None = None
        for parameter in signature.parameters.values():
            text = str(parameter.annotation)
            if parameter.name == "params":
                declared = parameter.annotation
                params_model = function.__globals__.get(declared) if isinstance(declared, str) else declared
            elif parameter.name != "seed":
                inputs.append(InputSpec(parameter.name, _kind_of(text, name, parameter.name), "None" in text))
        if params_model is None or "seed" not in signature.parameters:
            raise TypeError(
                f"tool {name!r} needs `params: <module-level Params class>` and keyword `seed` in its signature"
            )
        return Tool(
            name, version, summary, function, params_model, tuple(inputs), outputs, capability, seconds
        )

    return make


def _kind_of(annotation: str, tool_name: str, input_name: str) -> InputKind:
    if "dict[" in annotation and "DataFrame" in annotation:
        return "tables"
    kinds: dict[str, InputKind] = {
        "SourceFile": "file",
        "AnnData": "dataset",
        "DataFrame": "table",
        "TrainedMethod": "model",
    }
    for marker, kind in kinds.items():
        if marker in annotation:
            return kind
    raise TypeError(f"input {input_name!r} of tool {tool_name!r} has an unknown type {annotation!r}")


def _check_result(tool: Tool, result: Result) -> None:
    import pandas as pd

    for name, value in result.values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ToolError(
                f"value {name!r} is not finite", where=f"tool {tool.name!r}", mend="return None instead"
            )
        if not isinstance(value, bool | int | float | str | None):
            raise ToolError(
                f"value {name!r} is a {type(value).__name__}",
                where=f"tool {tool.name!r}",
                mend="return a scalar",
            )
    _check_tests(tool, result)
    for name, table in result.tables.items():
        if not isinstance(table.index, pd.RangeIndex):
            raise ToolError(f"table {name!r} has an index", where=f"tool {tool.name!r}", mend="reset_index")
        key = table.iloc[:, 0]
        if not key.map(lambda cell: isinstance(cell, str)).all() or key.duplicated().any():
            raise ToolError(
                f"the first column of table {name!r} is no unique text key", where=f"tool {tool.name!r}"
            )


def _check_tests(tool: Tool, result: Result) -> None:
    """A count of tests that no p value stands behind would be read as "nothing differs"."""
    n_tested = result.values.get("n_tested")
    columns = [table["p"] for table in result.tables.values() if "p" in table]
    said = isinstance(n_tested, int | float) and n_tested > 0 and bool(columns)
    if said and not any(map(_any_finite, columns)):
        raise ToolError(
            f"{n_tested} features are said to be tested, but no p value is finite",
            where=f"tool {tool.name!r}",
            mend="return None for n_tested, or the p values",
        )


def _any_finite(column: pd.Series) -> bool:
    return any(isinstance(value, float) and math.isfinite(value) for value in column)
