"""Several layers of one study (proteome, phosphoproteome, transcriptome ...) under one clinical sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata

from nereus.errors import InputError
from nereus.tools.proteomics.load import read

LEAST_SHARED = 3
"""Fewest samples that two layers must share for anything to be said across them."""


def read_layers(
    files: Mapping[str, str | Path], samples: str | Path, **params: Any
) -> dict[str, anndata.AnnData]:
    r"""Load each layer with the same sheet: one call a layer, samples named as the sheet names them.

    Parameters
    ----------
    files
        Name of the layer -> its file. The name goes to ``uns["nereus"]["layer"]``.
    samples
        The clinical sheet, one row a sample.
    **params
        Further parameters of `load_dataset`, for all layers.

    Returns
    -------
    dict
        Layer -> data set, in the order given. Each keeps all of its samples; `shared_samples` names those of all.

    Raises
    ------
    InputError
        A layer that cannot be read or does not match the sheet, or layers with fewer than three samples in common.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "p.csv").write_text("Protein,A.raw,B.raw,C.raw,D.raw\nP02768,8,16,4,4\nQ9H0R8,1024,2048,512,512\n")
    >>> _ = (folder / "r.csv").write_text("Gene,D_rna,C_rna,B_rna,A_rna\nALB,9,900,90,40\nTP53,800,50,60,30\n")
    >>> _ = (folder / "s.csv").write_text("patient,rna,stage\nA,A_rna,1\nB,B_rna,1\nC,C_rna,2\nD,D_rna,2\n")
    >>> layers = read_layers({"proteome": folder / "p.csv", "rna": folder / "r.csv"}, folder / "s.csv")
    >>> shared_samples(layers), layers["rna"].uns["nereus"]["layer"]
    (['A', 'B', 'C', 'D'], 'rna')
    """
    layers = {name: read(file, samples, layer=name, **params) for name, file in files.items()}
    if len(layers) > 1:
        shared_samples(layers)
    return layers


def shared_samples(layers: Mapping[str, anndata.AnnData]) -> list[str]:
    """Samples that all layers have, in the order of the first.

    Raises
    ------
    InputError
        Fewer than three; names samples of the layer that shares fewest.
    """
    names = {layer: [str(name) for name in data.obs_names] for layer, data in layers.items()}
    first, *others = names
    shared = [name for name in names[first] if all(name in set(names[layer]) for layer in others)]
    if len(shared) < LEAST_SHARED:
        odd = min(others, key=lambda layer: len(set(names[layer]) & set(names[first]))) if others else first
        raise InputError(
            f"layers share {len(shared)} samples: {first!r} has {names[first][:3]}, {odd!r} has {names[odd][:3]}",
            where="layers",
            mend="load all layers with one sample sheet that names the samples of each",
        )
    return shared
