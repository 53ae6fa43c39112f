"""What a reader may make of a mutated file: a typed error with a mend, or exactly the values that were written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nereus.errors import NereusError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset
from tests.tools.proteomics.file_mutations import Grid, damage_bytes, mutate, valid_grid, written


@dataclass(frozen=True)
class Outcome:
    """How one file was read: ``equal``, ``refused``, ``wrong`` or ``crash``, and the details of the last two."""

    verdict: str
    label: str
    detail: str = ""


def make_file(kind: str, seed: int) -> tuple[Grid, bytes, str, str, str]:
    """Grid, bytes, expectation, label and file name of a seed."""
    rng = np.random.default_rng(seed)
    grid = mutate(valid_grid(kind, rng), rng)
    data = written(grid)
    expect = grid.expect
    label = grid.label
    if rng.random() < 0.3:
        plain_text = not grid.compress and grid.encoding.startswith("utf-8") and expect == "equal"
        data, expected, how = damage_bytes(data, rng)
        # A second damage on top of another one, or within a compressed stream: only crashes can be judged.
        expect = expected if expected == "refuse" or (plain_text and expected != "garbage") else "no_crash"
        label = f"{label}+bytes:{how}"
    name = str(rng.choice(["data.txt", "data.csv", "data.xlsx", "data"]))
    return grid, data, expect, f"{kind}:{label}", name


def naive_outcome(kind: str, seed: int) -> str:
    """What pandas alone makes of the same file: ``equal``, ``wrong`` (it had to be refused or differs) or ``error``."""
    import pandas as pd

    grid, data, expect, _, name = make_file(kind, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            table = pd.read_csv(
                path, sep=None, engine="python", compression="gzip" if grid.compress else None
            )
        except Exception:  # noqa: BLE001 - whatever it raises counts as an error
            return "error"
    if expect == "no_crash":
        return "not judged"
    if expect == "refuse" or table.shape != (len(grid.cells), len(grid.header)) or not grid.columns:
        return "wrong"
    read = table.iloc[:, grid.columns]
    if not all(pd.api.types.is_numeric_dtype(dtype) for dtype in read.dtypes):
        return "wrong"
    values = read.to_numpy(dtype=float).T
    return "equal" if np.allclose(np.nan_to_num(values), np.nan_to_num(grid.values)) else "wrong"


def try_file(kind: str, seed: int) -> Outcome:
    """Make one file from a seed, read it, and judge."""
    grid, data, expect, label, name = make_file(kind, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            result = load_dataset(SourceFile(path, path.name))
        except NereusError as error:
            if not error.mend or not (
                (error.where and path.name in error.where) or str(path) in str(error.where)
            ):
                return Outcome("wrong", label, f"an error without place or mend: {error}")
            return Outcome("refused", label, error.what)
        except Exception as error:  # noqa: BLE001 - any other exception is the failure that is looked for
            return Outcome("crash", label, f"{type(error).__name__}: {error}")
    return judge(grid, result, expect, label)


def judge(grid: Grid, result: object, expect: str, label: str) -> Outcome:
    """Compare what was read with what was written."""
    dataset = result.dataset()  # type: ignore[attr-defined]
    values = np.asarray(dataset.X)
    if expect == "refuse":
        return Outcome("wrong", label, "read although it had to be refused")
    if expect == "no_crash":
        return Outcome("equal", label, "damaged rewrite; only crashes are judged")
    quantity = dataset.uns["nereus"]["quantity"]
    truth = grid.values
    if grid.kind == "maxquant" and quantity == "intensity":
        truth = np.round(truth * 1.5, 1)
    log = truth if grid.kind == "generic_log2" else np.log2(np.where(truth > 0, truth, np.nan))
    if expect in ("cut", "stray"):
        return _judge_by_names(grid, result, expect, log, label)
    if values.shape != log.shape:
        return Outcome("wrong", label, f"shape {values.shape}, written {log.shape}")
    if expect == "equal" and (
        list(dataset.obs_names) != grid.samples
        or _first_names(dataset.var_names) != _first_names(grid.features)
    ):
        return Outcome("wrong", label, f"names {list(dataset.obs_names)} {list(dataset.var_names)[:3]}")
    if not np.allclose(values, log, rtol=1e-12, atol=1e-9, equal_nan=True):
        place = np.argwhere(~np.isclose(values, log, rtol=1e-12, atol=1e-9, equal_nan=True))[0]
        return Outcome(
            "wrong", label, f"value {values[tuple(place)]} at {place}, written {log[tuple(place)]}"
        )
    return Outcome("equal", label)


def _judge_by_names(grid: Grid, result: object, expect: str, log: np.ndarray, label: str) -> Outcome:
    """What keeps its name must keep its values.

    A stray byte may change one name (then the rest is compared); a cut loses rows, and may shorten the very last cell
    if a warning says that the file ends without a line end.
    """
    dataset = result.dataset()  # type: ignore[attr-defined]
    warned = any("no line end" in warning for warning in result.warnings)  # type: ignore[attr-defined]
    samples, features = list(dataset.obs_names), list(dataset.var_names)
    lost = len(set(grid.samples) - set(samples)), len(set(grid.features) - set(features))
    new = len(set(samples) - set(grid.samples)), len(set(features) - set(grid.features))
    if expect == "stray" and lost[1] == new[1] == len(features) == len(grid.features):
        features = list(
            grid.features
        )  # another column became the identifiers, as the name of this one was hit
        dataset = dataset.copy()
        dataset.var_names = features
        lost, new = (lost[0], 0), (new[0], 0)
    if max(new) > 1 or (expect == "stray" and max(lost) > 1):
        return Outcome("wrong", label, f"names lost {lost}, new {new}")
    both = (
        [name for name in grid.samples if name in samples],
        [name for name in grid.features if name in features],
    )
    read = np.asarray(dataset[both[0], both[1]].X)
    written_log = log[
        np.ix_([grid.samples.index(n) for n in both[0]], [grid.features.index(n) for n in both[1]])
    ]
    differs = ~np.isclose(read, written_log, rtol=1e-12, atol=1e-9, equal_nan=True)
    if differs.sum() > (1 if expect == "cut" and warned else 0):
        return Outcome(
            "wrong", label, f"{int(differs.sum())} values of unchanged names differ, warned: {warned}"
        )
    if expect == "cut" and not warned and differs.any():
        return Outcome("wrong", label, "the cut cell was not warned of")
    return Outcome("equal", label)


def _first_names(features: object) -> list[str]:
    """Names without the mark of repeats."""
    return [str(name).split("~")[0] for name in features]  # type: ignore[attr-defined]
