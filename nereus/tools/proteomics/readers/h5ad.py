"""AnnData files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import describe
from nereus.tools.proteomics.readers.quantification import DATA_KIND, FloatArray, Quantification
from nereus.tools.proteomics.readers.source import MAX_MEGABYTES

_LAYERS = ("lfq", "intensity", "ibaq")
_COUNTS = ("n_peptides", "identified_by")


def read_h5ad(path: Path, name: str, max_megabytes: int = MAX_MEGABYTES) -> Quantification:
    """An AnnData file: X, obs and var as they are; text is taken over, nothing is executed.

    Raises
    ------
    InputError
        A broken file, an HDF5 file of another kind, one that points to other files or is too large, no X, or values that
        are no finite numbers.
    """
    _refuse_strange(path, name, max_megabytes)
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # noqa: BLE001 - a damaged HDF5 file raises whatever its bytes lead to
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"cannot be read as h5ad ({text})", where=name, mend="write it again with AnnData.write_h5ad"
        ) from None
    if data.X is None or 0 in data.shape:
        raise InputError(f"holds no matrix X (shape {data.shape})", where=name, mend="write X into the file")
    quantities = {"value": _dense(data.X, name, "X")}
    meta = dict(data.uns.get("nereus", {})) if isinstance(data.uns.get("nereus", {}), dict) else {}
    quantity = str(meta.get("quantity", "value"))
    quantities = {quantity: quantities["value"]}
    for layer in _LAYERS:
        if layer in data.layers and layer not in quantities:
            quantities[layer] = _dense(data.layers[layer], name, f"layer {layer!r}")
    layers = {
        layer: _dense(data.layers[layer], name, f"layer {layer!r}")
        for layer in _COUNTS
        if layer in data.layers
    }
    features = [str(feature) for feature in data.var_names]
    known = data.var

    def column(*names: str) -> list[str] | None:
        for wanted in names:
            if wanted in known.columns:
                return ["" if pd.isna(cell) else str(cell) for cell in known[wanted]]
        return None

    var = describe(
        column("protein_group", "protein") or features,
        genes=column("gene", "genes", "gene_names", "gene_symbol", "symbol"),
        organisms=column("organism", "species"),
        descriptions=column("description"),
        n_peptides=known["n_peptides"].astype(float) if "n_peptides" in known.columns else None,
    )
    if "protein_group" in known.columns:
        var["protein_group"] = pd.Series(column("protein_group"), dtype=object)
    obs = pd.DataFrame(index=pd.Index([str(sample) for sample in data.obs_names], dtype=object))
    for label in data.obs.columns:
        series = data.obs[label]
        if pd.api.types.is_bool_dtype(series):
            obs[str(label)] = series.astype(str).to_numpy(dtype=object)
        elif pd.api.types.is_numeric_dtype(series):
            obs[str(label)] = series.to_numpy(dtype=float)
        else:
            cells = [np.nan if pd.isna(cell) else str(cell) for cell in series]
            gaps = any(isinstance(cell, float) for cell in cells)
            obs[str(label)] = (
                pd.Categorical(cells) if gaps else pd.Series(cells, index=obs.index, dtype=object)
            )
    level = str(meta.get("level", "generic"))
    if level == "cell":
        for name_of in ("channel", "marker_class"):
            if name_of in known.columns:
                var[name_of] = pd.Series(column(name_of), dtype=object)
    return Quantification(
        software=str(meta.get("software", "AnnData")),
        level=level if level in DATA_KIND else "generic",  # type: ignore[arg-type]
        orientation="samples_in_rows",
        samples=list(obs.index),
        features=features,
        quantities=quantities,
        var=var,
        obs=obs,
        layers=layers,
        known_scale="log2" if meta else "ln" if "log1p" in data.uns else None,
        history=[str(line) for line in meta.get("history", [])],
        where=name,
        data_kind=str(meta.get("data_kind", "")),
        facts={"scale": str(meta["scale"])} if level == "cell" and "scale" in meta else {},
    )


def _refuse_strange(path: Path, name: str, max_megabytes: int) -> None:
    """Refuse what HDF5 allows and no data set needs: content of other files, and far more content than bytes."""
    import h5py

    limit = max_megabytes << 20
    total = 0
    try:
        with h5py.File(path, "r") as file:
            groups: list[Any] = [file]
            visited: set[int] = set()
            while groups:
                group = groups.pop()
                address = int(h5py.h5o.get_info(group.id).addr)
                if address in visited:
                    raise ValueError("a group holds itself, or stands twice")
                visited.add(address)
                # A sparse matrix becomes a dense one.
                shape = group.attrs.get("shape")
                total += int(np.prod([float(n) for n in shape])) * 8 if shape is not None else 0
                for key in group:
                    link = group.get(key, getlink=True)
                    if isinstance(link, h5py.ExternalLink):
                        raise _elsewhere(f"{group.name}/{key}", name)
                    if isinstance(link, h5py.SoftLink):
                        continue
                    one = group[key]
                    if isinstance(one, h5py.Group):
                        groups.append(one)
                    elif isinstance(one, h5py.Dataset):
                        if one.external or one.is_virtual:
                            raise _elsewhere(one.name, name)
                        total += one.nbytes
                if total > limit:
                    raise InputError(
                        f"holds more than {max_megabytes} MiB after decompression",
                        where=name,
                        mend="keep the features that are needed, or raise max_megabytes if you trust the file",
                    )
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot be read as h5ad ({str(error)[:150]})",
            where=name,
            mend="write it again with AnnData.write_h5ad",
        ) from None


def _elsewhere(place: str, name: str) -> InputError:
    return InputError(
        f"{place.replace('//', '/')!r} lies in another file",
        where=name,
        mend="write the data set into one file with AnnData.write_h5ad",
    )


def _dense(matrix: object, name: str, what: str) -> FloatArray:
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    try:
        values = np.array(dense, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} holds no numbers", where=name, mend="write a numeric matrix") from None
    if np.isinf(values).any():
        i, j = map(int, np.argwhere(np.isinf(values))[0])
        raise InputError(
            "infinite value",
            where=f"{name}, {what}, sample {i + 1}, feature {j + 1}",
            mend="write NaN for missing",
        )
    return values
