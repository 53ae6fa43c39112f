"""Valid files of cells (FCS, a table, a zip archive of tables) and ways to damage them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import flowio
import numpy as np

from nereus.errors import NereusError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.load import load_dataset

CELL_KINDS = ("fcs", "cell_table", "cell_archive")
CHANNELS = ["FSC-A", "CD3(Er170)Di", "CD19(Nd142)Di", "pS6(Lu175)Di"]


def fcs_bytes(values: np.ndarray, channels: list[str] = CHANNELS, markers: list[str] | None = None) -> bytes:
    """An FCS 3.1 file, written by FlowIO."""
    stream = io.BytesIO()
    flowio.create_fcs(stream, values.astype(float).ravel().tolist(), channels, opt_channel_names=markers)
    return stream.getvalue()


def table_bytes(
    values: np.ndarray, channels: list[str] = CHANNELS, samples: list[str] | None = None
) -> bytes:
    """A comma-separated table of cells."""
    head = [*(["sample_id"] if samples else []), *channels]
    lines = [",".join(head)]
    for i, row in enumerate(values):
        lines.append(",".join([*([samples[i]] if samples else []), *(f"{v:.4f}" for v in row)]))
    return ("\n".join(lines) + "\n").encode()


def archive_bytes(parts: dict[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def cells(rng: np.random.Generator, n: int = 120) -> np.ndarray:
    """Positive and negative values that survive four decimals and single precision."""
    return np.round(rng.gamma(2.0, 50.0, (n, len(CHANNELS))) - 10.0, 1).astype(np.float32).astype(float)


def try_cells(kind: str, seed: int) -> tuple[str, str, str]:
    """Verdict, label and detail of one damaged or rewritten file of cells."""
    rng = np.random.default_rng(seed)
    values = cells(rng)
    samples = [f"S{i % 3 + 1}" for i in range(len(values))]
    how = str(rng.choice(["untouched", "cut", "stray", "garbage", "gap", "text", "channel", "infinite"]))
    expect = {
        "untouched": "equal",
        "cut": "refuse",
        "gap": "refuse",
        "text": "refuse",
        "infinite": "refuse",
    }.get(how, "no_crash")
    truth = values
    if kind == "fcs":
        if how == "infinite":
            values = values.copy()
            values[5, 1] = np.inf
        data = fcs_bytes(values)
        if how in ("gap", "text"):
            expect = "equal"
    else:
        rows = table_bytes(values, samples=samples if kind == "cell_table" else None).decode().split("\n")
        width = rows[0].count(",")
        cell = {"gap": "", "text": "high", "infinite": "inf"}.get(how)
        if cell is not None:
            parts = rows[7].split(",")
            parts[width] = cell
            rows[7] = ",".join(parts)
        data = "\n".join(rows).encode()
        if kind == "cell_archive":
            other = table_bytes(
                values, ["FSC-A", "x", "CD19(Nd142)Di", "pS6(Lu175)Di"] if how == "channel" else CHANNELS
            )
            data = archive_bytes({"a.csv": data, "b.csv": other})
            truth = np.concatenate([values, values])
            expect = "refuse" if how == "channel" else expect
    if how == "cut":
        # Of a table the last rows alone may be lost, which nobody could tell; of FCS and zip nothing.
        data = data[: int(rng.integers(7, len(data) - 40))]
        expect = "no_crash" if kind == "cell_table" else "refuse"
    elif how == "stray":
        place = int(rng.integers(len(data)))
        data = data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :]
    elif how == "garbage":
        place = int(rng.integers(len(data) - 60))
        data = data[:place] + rng.bytes(50) + data[place + 50 :]
    label = f"{kind}:{how}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / str(rng.choice(["data.fcs", "data.csv", "data.zip", "data"]))
        path.write_bytes(data)
        try:
            result = load_dataset(SourceFile(path, path.name))
        except NereusError as error:
            if not error.mend or not (error.where and path.name in error.where):
                return "wrong", label, f"an error without place or mend: {error}"
            return "refused", label, error.what
        except Exception as error:  # noqa: BLE001 - any other exception is the failure that is looked for
            return "crash", label, f"{type(error).__name__}: {error}"
    if expect == "refuse":
        return "wrong", label, "read although it had to be refused"
    if expect == "no_crash":
        return "equal", label, "only crashes are judged"
    read = result.dataset()
    if read.shape != truth.shape or not np.allclose(read.X, truth, atol=1e-4):
        return "wrong", label, f"shape {read.shape}"
    if kind == "cell_table" and read.obs["sample"].tolist() != samples:
        return "wrong", label, "samples"
    return "equal", label, ""
