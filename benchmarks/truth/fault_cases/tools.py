"""Tools that are missing, raise, hang, give what cannot be, or take the process with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.truth.fault_cases.scene import Scene, case


def _without(name: str) -> None:
    from nereus.tools import registry

    del registry.CATALOGUE[name]
    registry.get.cache_clear()


def broken(name: str, function: Callable[..., Any]) -> None:
    """Put a function in a tool's place: it gets the real one first. The version differs, so nothing recorded is used."""
    from dataclasses import replace

    from nereus.tools import registry

    real = registry.get(name)

    def put(**arguments: Any) -> Any:
        return function(real.function, **arguments)

    broken, found = replace(real, function=put, version=f"{real.version}-broken"), registry.get
    registry.get = lambda wanted: broken if wanted == name else found(wanted)  # type: ignore[assignment]


def _raises(error: BaseException) -> Callable[..., Any]:
    def instead(real: Callable[..., Any], **arguments: Any) -> Any:
        raise error

    return instead


@case(
    "tool",
    r"differential_abundance|nothing (was|could be) (tested|compared)|no (question|objective)",
)
def essential_tool_missing(scene: Scene) -> Any:
    _without("differential_abundance")
    return scene.start()


@case("tool", r"permutation_null")
def optional_tool_missing(scene: Scene) -> Any:
    _without("permutation_null")
    return scene.start()


@case("tool", r"stability\W+failed.*injected")
def optional_tool_raises(scene: Scene) -> Any:
    broken("stability", _raises(RuntimeError("injected")))
    return scene.start()


@case("tool", r"differential_abundance\W+failed.*injected")
def essential_tool_raises(scene: Scene) -> Any:
    broken("differential_abundance", _raises(ValueError("injected")))
    return scene.start()


@case("tool", r"calibrate_confidence\W+failed.*injected")
def calibration_fails(scene: Scene) -> Any:
    from nereus.errors import ToolError

    broken("calibrate_confidence", _raises(ToolError("injected", where="calibration")))
    return scene.start()


@case("tool", r"run_wide_fdr\W+failed.*injected")
def error_control_fails(scene: Scene) -> Any:
    broken("run_wide_fdr", _raises(ZeroDivisionError("injected")))
    return scene.start()


@case("tool", r"MemoryError")
def tool_out_of_memory(scene: Scene) -> Any:
    broken("differential_abundance", _raises(MemoryError("injected")))
    return scene.start()


@case("tool", r"SystemExit")
def tool_exits_the_process(scene: Scene) -> Any:
    broken("stability", _raises(SystemExit(3)))
    return scene.start()


def changed(change: Callable[[Any], Any]) -> Callable[..., Any]:
    def instead(real: Callable[..., Any], **arguments: Any) -> Any:
        return change(real(**arguments))

    return instead


@case("tool", r"not finite")
def tool_returns_nan_values(scene: Scene) -> Any:
    from dataclasses import replace

    broken("differential_abundance", changed(lambda r: replace(r, values={**r.values, "prior_df": np.nan})))
    return scene.start()


def _nan_tests(result: Any) -> Any:
    from dataclasses import replace

    name = "differential"
    table = result.tables[name].assign(effect=np.nan, p=np.nan, q=np.nan)
    return replace(result, tables={**result.tables, name: table})


@case("tool", r"no (finite|usable) (p|test)|nothing (was|could be) tested|no p value")
def tool_returns_nan_tests(scene: Scene) -> Any:
    broken("differential_abundance", changed(_nan_tests))
    return scene.start()


@case("tool", r"no unique text key")
def tool_returns_equal_keys(scene: Scene) -> Any:
    from dataclasses import replace

    def doubled(result: Any) -> Any:
        tables = {name: table.assign(**{table.columns[0]: "same"}) for name, table in result.tables.items()}
        return replace(result, tables=tables)

    broken("differential_abundance", changed(doubled))
    return scene.start()


@case("tool", r"detection_test\W+failed|returned no Result|returned a")
def tool_returns_garbage(scene: Scene) -> Any:
    broken("detection_test", lambda real, **arguments: "all is well")
    return scene.start()


@case("tool", r"limit on wall time is reached")
def tool_slower_than_the_limit(scene: Scene) -> Any:
    import time

    def slow(real: Callable[..., Any], **arguments: Any) -> Any:
        time.sleep(25)
        return real(**arguments)

    broken("differential_abundance", slow)
    return scene.start(budget=["wall_s=25", "objectives=1", "hypotheses=8"])


@case("tool", r"finished in")
def process_killed_in_a_tool(scene: Scene) -> Any:
    scene.killed("step_started O2")
    return scene.resume()
