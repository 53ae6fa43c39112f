"""What a reader may make of a mutated file: a typed error with a mend, or exactly the values that were written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nereus.errors import NereusError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset
from tests.tools.proteomics.cell_files import CELL_KINDS, try_cells
from tests.tools.proteomics.file_mutations import damage_bytes, mutate, written
from tests.tools.proteomics.fixed_layouts import FIXED_KINDS, try_fixed
from tests.tools.proteomics.long_mutations import LONG_KINDS, Long, mutate_long, rows_before, valid_long
from tests.tools.proteomics.valid_grids import KINDS, Grid, valid_grid

EVERY_KIND = (*KINDS, *LONG_KINDS, *FIXED_KINDS, *CELL_KINDS)


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


def make_long(kind: str, seed: int) -> tuple[Long, bytes, bytes, str, str, str]:
    """Table, its bytes before and after damage to them, expectation, label and file name of a seed."""
    rng = np.random.default_rng(seed)
    table = mutate_long(valid_long(kind, rng), rng)
    whole = table.data()
    data, expect, label = whole, table.expect, table.label
    if rng.random() < 0.3:
        plain = label == "untouched" or label in (
            "shuffled_rows",
            "shuffled_columns",
            "another_column",
            "lost_rows",
        )
        data, expected, how = damage_bytes(whole, rng)
        expect = expected if expected == "refuse" or (plain and expected != "garbage") else "no_crash"
        label = f"{label}+bytes:{how}"
    name = str(rng.choice(["data.txt", "data.csv", "data.parquet", "data"]))
    return table, whole, data, expect, f"{kind}:{label}", name


def naive_outcome(kind: str, seed: int) -> str:
    """What pandas alone makes of the same file: ``equal``, ``wrong`` (it had to be refused or differs) or ``error``."""
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
    if kind in CELL_KINDS or kind in FIXED_KINDS:
        verdict, label, detail = (try_cells if kind in CELL_KINDS else try_fixed)(kind, seed)
        return Outcome(verdict, label, detail)
    if kind in LONG_KINDS:
        table, whole, data, expect, label, name = make_long(kind, seed)
    else:
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
    if kind in LONG_KINDS:
        return judge_long(table, whole, data, result, expect, label)
    return judge(grid, result, expect, label)


def judge_long(table: Long, whole: bytes, data: bytes, result: object, expect: str, label: str) -> Outcome:
    """Compare what was read of a long file with what its rows say."""
    if expect == "refuse":
        return Outcome("wrong", label, "read although it had to be refused")
    if expect == "no_crash":
        return Outcome("equal", label, "damaged rewrite; only crashes are judged")
    read = result.dataset().to_df()  # type: ignore[attr-defined]
    if expect == "equal":
        return _compare_frames(read, table.truth(), table.log, label)
    place = next((i for i, (a, b) in enumerate(zip(whole, data, strict=False)) if a != b), len(data))
    hit = rows_before(table, whole, place)
    if expect == "cut":
        # The rows before the cut, and perhaps the one that it went through: then a warning says so.
        before = _compare_frames(read, table.truth(list(range(hit))), table.log, label)
        warned = any("no line end" in warning for warning in result.warnings)  # type: ignore[attr-defined]
        if before.verdict == "equal" or not warned:
            return before
        with_it = _differences(read, table.truth(list(range(hit + 1))), table.log)
        return Outcome(
            "equal" if with_it is not None and with_it <= len(table.value_columns) else "wrong", label, "cut"
        )
    # A stray byte: the row that it hit may be read under another name, but all others must stand as written.
    others = table.truth([i for i in range(len(table.rows)) if i != hit])
    everything = table.truth()
    wrong = 0
    for sample in others.index.intersection(read.index):
        for feature in others.columns.intersection(read.columns):
            found = read.at[sample, feature]
            wrong += not any(
                _same(found, truth.at[sample, feature], table.log) for truth in (others, everything)
            )
    if place < whole.index(b"\n") and not others.index.intersection(read.index).size:
        # The heading of what names the samples was hit: another column names them now, and their values must be the same.
        same = _renamed(read, everything, table.log)
        return Outcome("equal" if same else "wrong", label, f"samples are named anew: {list(read.index)[:4]}")
    new = len(set(read.index) - set(everything.index)), len(set(read.columns) - set(everything.columns))
    lost = len(set(others.index) - set(read.index)), len(set(others.columns) - set(read.columns))
    fine = (
        not wrong
        and max(new) <= len(table.value_columns)
        and (hit < 0 or not any(lost) or place < whole.index(b"\n"))
    )
    return Outcome("equal" if fine else "wrong", label, f"{wrong} values differ, new {new}, lost {lost}")


def _renamed(read: pd.DataFrame, truth: pd.DataFrame, log: bool) -> bool:
    """Whether every sample is there once with all of its values, whatever it is called."""
    if len(read) != len(truth) or set(read.columns) != set(truth.columns):
        return False
    left = read[truth.columns].to_numpy()
    for expected in truth.to_numpy() if log else np.log2(truth.to_numpy()):
        equal = np.isclose(left, expected, rtol=1e-9, atol=1e-9, equal_nan=True).all(axis=1)
        if not equal.any():
            return False
        left = np.delete(left, int(equal.argmax()), axis=0)
    return True


def _same(found: float, truth: float, log: bool) -> bool:
    expected = truth if log else np.log2(truth)
    return bool(np.isclose(found, expected, rtol=1e-9, atol=1e-9) or (np.isnan(found) and np.isnan(expected)))


def _differences(read: pd.DataFrame, truth: pd.DataFrame, log: bool) -> int | None:
    """Number of places that differ, None where the names do. Features and samples without any value may be absent."""
    if truth.empty or not set(truth.index) <= set(read.index) or not set(truth.columns) <= set(read.columns):
        return None
    extra = (
        read.drop(index=truth.index).notna().to_numpy().sum()
        + read.drop(columns=truth.columns).notna().to_numpy().sum()
    )
    expected = truth.to_numpy() if log else np.log2(truth.to_numpy())
    same = np.isclose(
        read.loc[truth.index, truth.columns].to_numpy(), expected, rtol=1e-9, atol=1e-9, equal_nan=True
    )
    return int((~same).sum() + extra)


def _compare_frames(read: pd.DataFrame, truth: pd.DataFrame, log: bool, label: str) -> Outcome:
    n = _differences(read, truth, log)
    if n is None:
        return Outcome("wrong", label, f"names {list(read.index)[:4]} {list(read.columns)[:4]}")
    return Outcome("wrong", label, f"{n} values differ") if n else Outcome("equal", label)


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
