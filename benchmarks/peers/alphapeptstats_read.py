"""What AlphaPeptStats makes of files, by the loader that is named after their software. Runs in its own environment.

Usage: ``python alphapeptstats_read.py files.json results.json``. Each file comes with its loader and with one or more
choices of arguments, of which the first that gives a matrix counts.
"""

import contextlib
import io
import json
import sys
import time
import warnings

import numpy as np
from alphastats.dataset.dataset import DataSet
from alphastats.loader.alphapept_loader import AlphaPeptLoader
from alphastats.loader.diann_loader import DIANNLoader
from alphastats.loader.fragpipe_loader import FragPipeLoader
from alphastats.loader.maxquant_loader import MaxQuantLoader
from alphastats.loader.mztab_loader import mzTabLoader
from alphastats.loader.spectronaut_loader import SpectronautLoader

LOADERS = {
    "alphapept": AlphaPeptLoader,
    "diann": DIANNLoader,
    "fragpipe": FragPipeLoader,
    "maxquant": MaxQuantLoader,
    "mztab": mzTabLoader,
    "spectronaut": SpectronautLoader,
}


def read(one: dict) -> dict:
    faults = []
    for options in one["options"]:
        start = time.perf_counter()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                made = DataSet(LOADERS[one["loader"]](one["file"], **options))
        except Exception as fault:  # noqa: BLE001 - any failure of theirs is a refusal
            faults.append(f"{type(fault).__name__}: {fault}".splitlines()[0][:160])
            continue
        if not made.mat.shape[0]:
            faults.append("no sample found")
            continue
        numbers = made.mat.apply(lambda column: column.astype(float)).to_numpy()
        known = numbers[np.isfinite(numbers) & (numbers > 0)]
        return {
            "samples": int(made.mat.shape[0]),
            "features": int(made.mat.shape[1]),
            "names": sorted(map(str, made.mat.index)),
            "median_log2": float(np.median(np.log2(known))) if len(known) else None,
            "options": options,
            "seconds": time.perf_counter() - start,
        }
    return {"refused": faults[0]}


def main() -> None:
    warnings.simplefilter("ignore")
    with open(sys.argv[1]) as file:
        given = json.load(file)
    made = {name: read(one) for name, one in given.items()}
    with open(sys.argv[2], "w") as file:
        json.dump(made, file)


if __name__ == "__main__":
    main()
