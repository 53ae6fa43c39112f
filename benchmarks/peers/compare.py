"""Peers and the product on the same files: true and false findings at the same error rate, processor seconds, memory.

Run ``python -m benchmarks.peers.compare --alphapeptstats PYTHON``, where PYTHON is the interpreter of an environment with
``pip install alphastats==0.7.2`` (Python 3.10; later ones fail while building one of its dependencies). R needs limma,
statmod, data.table and jsonlite. Every arm is a process of its own on the same anonymised files; a call is a (feature,
contrast) pair at 5 % false discovery rate. The peers are told columns, design and contrasts; the product is told nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.arms import Called, alphapeptstats, limma, nereus, score
from benchmarks.peers.studies import STUDIES, Expected, Study
from benchmarks.truth.results import RESULTS, commit, data_folder, store

ARMS = ("nereus", "limma", "alphapeptstats")
PATH = RESULTS / "peers.json"


def scored(called: Called, expected: Expected, n_true: int) -> dict[str, Any]:
    if called.refused:
        return {"refused": called.refused, **called.used.figures()}
    methods = {name: score(calls, expected, n_true) for name, calls in called.calls.items()}
    return {"methods": methods, **called.used.figures()}


def compared(
    study: Study, folder: Path, seed: int, python: str | None, arms: list[str]
) -> dict[str, dict[str, Any]]:
    """Figures of the arms on one study."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        files = study.files(folder, work, seed)
        expected, n_true = study.expected(files)
        called = {}
        if "limma" in arms:
            called["limma"] = limma(study, files, work)
        if "alphapeptstats" in arms and python:
            called["alphapeptstats"] = alphapeptstats(study, files, work, python)
        if "nereus" in arms:
            called["nereus"] = nereus(study, files, work, seed)
        return {arm: scored(one, expected, n_true) for arm, one in called.items()}


def versions(python: str | None) -> dict[str, str]:
    """Versions of the peers."""
    script = 'cat(R.version.string, "limma", as.character(packageVersion("limma")))'
    found = {
        "R": subprocess.run(
            ["Rscript", "-e", script], capture_output=True, text=True, check=True
        ).stdout.strip()
    }
    if python:
        code = "import sys, importlib.metadata as m; print(sys.version.split()[0], m.version('alphastats'))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        found["AlphaPeptStats (Python, alphastats)"] = done.stdout.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alphapeptstats", metavar="PYTHON")
    parser.add_argument("--only", default="", help="part of the name of a study")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument(
        "--keep", action="store_true", help="keep what is stored of the other studies and arms"
    )
    options = parser.parse_args()
    begin = time.perf_counter()
    folder = data_folder(options.data)
    stored = json.loads(PATH.read_text()) if options.keep and PATH.exists() else {"studies": [], "seconds": 0}
    known = {row["study"]: row["arms"] for row in stored["studies"]}
    for study in STUDIES:
        if options.only in study.name:
            made = compared(study, folder, options.seed, options.alphapeptstats, options.arms)
            made = {arm: {**figures, "commit": commit()} for arm, figures in made.items()}
            known[study.name] = {**known.get(study.name, {}), **made}
            print(study.name, made, flush=True)
        # Stored after each study, so that a run that is stopped keeps what it has.
        store(
            "peers",
            {
                "claim": __doc__.splitlines()[0],
                "seeds": [options.seed],
                "peers": {**stored.get("peers", {}), **versions(options.alphapeptstats)},
                "studies": [
                    {"study": s.name, "truth": s.truth, "arms": known[s.name]}
                    for s in STUDIES
                    if s.name in known
                ],
            },
            module="benchmarks.peers.compare",
            arguments=["--alphapeptstats", "PYTHON"],
            seconds=stored["seconds"] + time.perf_counter() - begin,
        )


if __name__ == "__main__":
    main()
