"""AnnData files."""

from __future__ import annotations

import re
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
_BARCODE = re.compile(r"(?:.*[_:-])?[ACGT]{12,}(?:[-_.]\w+)*")
_OF_CELLS = frozenset({
    "n_counts", "n_genes", "total_counts", "n_genes_by_counts", "ncount_rna", "nfeature_rna", "percent_mito", "pct_counts_mt",
    "percent_mt", "louvain", "leiden", "seurat_clusters", "cell_type", "celltype", "doublet_score", "s_score", "g2m_score",
})  # fmt: skip
"""Columns that tools for single cells write."""
_LEAST_CELLS = 200
"""Rows below which a file is taken for a table of samples unless it says otherwise."""
_SAMPLE_NAMES = ("sample", "sample_id", "orig_ident", "donor", "donor_id", "patient", "patient_id", "subject")
ONE_SAMPLE = "sample 1"
"""Name of the only sample, where the cells do not say which they are of."""


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
    meta = dict(data.uns.get("nereus", {})) if isinstance(data.uns.get("nereus", {}), dict) else {}
    found_cells = not meta and _holds_cells(data)
    history = [str(line) for line in meta.get("history", [])]
    matrix = data.X
    if found_cells and _scaled_beside_raw(data):
        matrix = data.raw.X
        history.append(f"{name}: X is scaled gene by gene; the values before that (raw) were taken")
    quantities = {"value": _dense(matrix, name, "X")}
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
    level = "cell" if found_cells else str(meta.get("level", "generic"))
    if found_cells:
        history.append(_name_samples(obs, name))
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
        history=history,
        where=name,
        data_kind="cells" if found_cells else str(meta.get("data_kind", "")),
        facts={"scale": str(meta["scale"])} if level == "cell" and "scale" in meta else {},
    )


def _holds_cells(data: anndata.AnnData) -> bool:
    """Whether rows are cells: hundreds of them, and barcodes for names or two columns that tools for cells write."""
    if data.n_obs < _LEAST_CELLS:
        return False
    named = sum(_BARCODE.fullmatch(str(one)) is not None for one in data.obs_names[:100])
    written = {re.sub(r"[.\s]+", "_", str(column).lower()) for column in data.obs.columns} & _OF_CELLS
    return named > 50 or len(written) >= 2


def _scaled_beside_raw(data: anndata.AnnData) -> bool:
    """Whether X was centred, and the values before that are kept for the same features."""
    if data.raw is None or list(data.raw.var_names) != list(data.var_names):
        return False
    now, before = (matrix.data if hasattr(matrix, "toarray") else matrix for matrix in (data.X, data.raw.X))
    return bool(np.nanmin(now, initial=0.0) < 0 <= np.nanmin(before, initial=0.0))


def _name_samples(obs: pd.DataFrame, name: str) -> str:
    """Give the cells a column ``sample``, and say where it is from."""
    known = {re.sub(r"[.\s]+", "_", str(column).lower()): str(column) for column in obs.columns}
    for wanted in _SAMPLE_NAMES:
        column = known.get(wanted)
        if column is not None and 0 < obs[column].nunique() <= len(obs) / 10:
            obs["sample"] = [np.nan if pd.isna(one) else str(one) for one in obs[column]]
            return f"{name}: rows are cells; samples are those of column {column!r}"
    obs["sample"] = ONE_SAMPLE
    return f"{name}: rows are cells, and do not say of which sample: taken as one, so that no groups are compared"


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
