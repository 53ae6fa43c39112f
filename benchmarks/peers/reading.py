"""Claim: every file of the collection is read as what it is, or refused with a mend; beside it what the peers read.

Run ``python -m benchmarks.peers.reading --alphapeptstats PYTHON``. The product is given the file and nothing else.
AlphaPeptStats is given the loader that is named after the software of the file, with the separator, and with several
choices of its columns where its defaults fail. A file is ``read`` when the samples are those of the file (their number was
checked by hand for each), ``wrong`` when a matrix with other samples comes out without an error, ``refused`` when an
error does, and ``no loader`` when there is none for it: then columns have to be named by hand, which its generic loader
takes. limma has no reader for any of them: its users write one for each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measured
from benchmarks.truth.results import data_folder, store
from nereus.errors import NereusError
from nereus.tools import registry
from nereus.tools.base import SourceFile
from tests.tools.proteomics.readers.test_every_file import READ, REFUSED

HERE = Path(__file__).parent
_LFQ = ({}, {"intensity_column": "Intensity [sample]"}, {"intensity_column": "Reporter intensity [sample]"})
_DOTS = {
    "index_column": "Protein.IDs",
    "intensity_column": "LFQ.intensity.[sample]",
    "filter_columns": ["Only.identified.by.site", "Reverse", "Potential.contaminant"],
}
_MARKS = ["Only_identified_by_site", "Reverse", "Potential_contaminant"]
_UNDERSCORES = {"index_column": "Protein_IDs", "intensity_column": "LFQ_intensity_[sample]"}
MAXQUANT: tuple[dict[str, Any], ...] = (
    *_LFQ,
    _DOTS,
    {**_DOTS, "sep": ","},
    *({"sep": ",", **one} for one in _LFQ),
    {**_UNDERSCORES, "filter_columns": _MARKS},
    *(
        {**_UNDERSCORES, "intensity_column": "LFQ_Intensity_[sample]", "filter_columns": [mark, *_MARKS[1:]]}
        for mark in ("Only_identified_by_site", "Only_identified._by_site")
    ),
)
TMT = {"intensity_column": [f"Reporter intensity corrected {channel}" for channel in range(10)]}
FRAGPIPE = ({}, {"intensity_column": "[sample] Intensity"}, {"gene_names_column": "Gene"})
LOADERS: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "formats_small/SILAC_SQ.mzTab": ("mztab", ({},)),
    "formats_small/test.mztab.gz": ("mztab", ({},)),
    "formats_small/alphapept_results_proteins.csv.gz": ("alphapept", ({},)),
    "formats_small/diann_pg_matrix_20samples.tsv": ("diann", ({},)),
    "formats_small/diann_report.pg_matrix.tsv": ("diann", ({},)),
    "formats_small/fragpipe_combined_protein_IDH.tsv.gz": ("fragpipe", FRAGPIPE),
    "formats_small/fragpipe_combined_proteins.tsv": ("fragpipe", FRAGPIPE),
    "formats_small/spectronaut_comma_decimal.tsv.gz": ("spectronaut", ({}, {"sep": ","})),
    "formats_small/spectronaut_long_684rows.tsv.gz": ("spectronaut", ({}, {"sep": ","})),
    "formats_small/msstats_Spectronaut_spectronaut_input.csv.gz": (
        "spectronaut",
        (
            {"sep": ","},
            {
                "sep": ",",
                "index_column": "PG.ProteinGroups",
                "intensity_column": "F.PeakArea",
                "sample_column": "R.FileName",
            },
        ),
    ),
    **{
        name: ("maxquant", MAXQUANT)
        for name, (software, level, *_) in READ.items()
        if software == "MaxQuant" and level == "protein"
    },
    **dict.fromkeys(
        ("spike_tmt_dangelo/MS2_proteinGroups.txt.gz", "spike_tmt_dangelo/MS3_proteinGroups.txt.gz"),
        ("maxquant", (TMT,)),
    ),
}


def ours(folder: Path, name: str) -> dict[str, Any]:
    """What the product makes of a file."""
    start = time.perf_counter()
    try:
        result = registry.get("load_dataset")(SourceFile(folder / name, Path(name).name), None)
    except NereusError as fault:
        return {"verdict": "refused", "why": str(fault).splitlines()[0][:160]}
    samples, features = result.values["n_samples"], result.values["n_features"]
    return {
        "verdict": "read" if name in READ and samples == READ[name][4] else "wrong",
        "samples": samples,
        "features": features,
        "seconds": time.perf_counter() - start,
    }


def theirs(folder: Path, python: str, names: list[str]) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """What AlphaPeptStats makes of the files for which it has a loader."""
    with tempfile.TemporaryDirectory() as work:
        given, out, log = (Path(work) / end for end in ("files.json", "results.json", "log"))
        plain: dict[str, Any] = {}
        for name in names:
            if name in LOADERS:
                loader, options = LOADERS[name]
                plain[name] = {"file": str(folder / name), "loader": loader, "options": options}
        given.write_text(json.dumps(plain))
        used = measured([python, str(HERE / "alphapeptstats_read.py"), str(given), str(out)], log)
        if used.code:
            sys.exit(log.read_text(errors="replace")[-2000:])
        found = json.loads(out.read_text())
    made: dict[str, dict[str, Any]] = {}
    for name in names:
        one = found.get(name)
        if one is None:
            made[name] = {"verdict": "no loader"}
        elif "refused" in one:
            made[name] = {"verdict": "refused", "why": one["refused"]}
        else:
            right = name not in READ or one["samples"] == READ[name][4]  # a file with one run may be read
            made[name] = {
                "verdict": "read" if right else "wrong",
                **{key: one[key] for key in ("samples", "features", "options", "seconds")},
            }
            if not right:
                made[name]["names"] = one["names"][:6]
    return made, used.figures()


def counted(rows: list[dict[str, Any]], arm: str) -> dict[str, int]:
    verdicts = [row[arm]["verdict"] for row in rows]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--alphapeptstats", metavar="PYTHON", required=True)
    options = parser.parse_args()
    begin = time.perf_counter()
    folder = data_folder(options.data)
    no_omics = [n for n in REFUSED if n.endswith((".mztab.gz", "comma_decimal.tsv.gz"))]
    names = sorted([*READ, *no_omics])
    peers, used = theirs(folder, options.alphapeptstats, names)
    rows = [
        {
            "file": name,
            "software": READ[name][0] if name in READ else "cut or without abundances",
            "samples": READ[name][4] if name in READ else None,
            "nereus": ours(folder, name),
            "alphapeptstats": peers[name],
        }
        for name in names
    ]
    path = store(
        "peers_reading",
        {
            "claim": __doc__.splitlines()[0],
            "files": len(rows),
            "counts": {arm: counted(rows, arm) for arm in ("nereus", "alphapeptstats")},
            "alphapeptstats_process": used,
            "nereus_median_seconds": float(
                np.median([r["nereus"]["seconds"] for r in rows if "seconds" in r["nereus"]])  # type: ignore[index]
            ),
            "rows": rows,
        },
        module="benchmarks.peers.reading",
        arguments=["--alphapeptstats", "PYTHON"],
        seconds=time.perf_counter() - begin,
    )
    for row in rows:
        print(row["file"], row["samples"], row["nereus"]["verdict"], row["alphapeptstats"])  # type: ignore[index]
    print({arm: counted(rows, arm) for arm in ("nereus", "alphapeptstats")}, path.name)


if __name__ == "__main__":
    main()
