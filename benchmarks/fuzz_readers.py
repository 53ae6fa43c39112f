"""Fuzz the readers: mutated files are read right or refused with a typed error, never anything else.

Run from the root of the repository::

    python -m benchmarks.fuzz_readers --files 20000

The files are those of ``tests/tools/proteomics``: wide tables (`file_mutations`), long reports of every software
(`long_mutations`), formats of fixed layout (`fixed_layouts`) and files of cells (`cell_files`); rewritings, damage and
broken bytes are combined by a seed that is the file's number. Beside it stands what a plain
``pandas.read_csv(sep=None)`` makes of the wide ones: how often it raises something or reads other values.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from tests.tools.proteomics.reading_oracle import EVERY_KIND, naive_outcome, try_file
from tests.tools.proteomics.valid_grids import KINDS

RESULT = Path(__file__).parent / "results" / "fuzz_readers.json"


def main() -> None:
    """Run the mutations and store their counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--first-seed", type=int, default=9_000_000)
    parser.add_argument("--kinds", nargs="*", choices=EVERY_KIND, default=list(EVERY_KIND))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    naive: Counter[str] = Counter()
    by_mutation: dict[str, Counter[str]] = {}
    by_kind: dict[str, Counter[str]] = {}
    failures = []
    start = time.perf_counter()
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.files):
        kind = arguments.kinds[seed % len(arguments.kinds)]
        outcome = try_file(kind, seed)
        counts[outcome.verdict] += 1
        by_kind.setdefault(kind, Counter())[outcome.verdict] += 1
        for part in outcome.label.split(":", 1)[1].split("+"):
            by_mutation.setdefault(part, Counter())[outcome.verdict] += 1
        if outcome.verdict in ("wrong", "crash"):
            failures.append(
                {"seed": seed, "kind": kind, "mutations": outcome.label, "detail": outcome.detail[:300]}
            )
        if seed % 10 == 0 and kind in KINDS:
            naive[naive_outcome(kind, seed)] += 1
    record = {
        "claim": "mutated data files: 0 crashes, 0 silent wrong parses; every refusal is a typed error with place and mend",
        "command": f"python -m benchmarks.fuzz_readers --files {arguments.files} --first-seed {arguments.first_seed}",
        "seeds": [arguments.first_seed, arguments.first_seed + arguments.files - 1],
        "files": arguments.files,
        "outcomes": {name: counts.get(name, 0) for name in ("equal", "refused", "wrong", "crash")},
        "naive_arm": {
            "reader": "pandas.read_csv(sep=None, engine='python')",
            "files": sum(naive.values()),
            **naive,
        },
        "failures": failures[:50],
        "by_kind": {name: dict(sorted(counter.items())) for name, counter in sorted(by_kind.items())},
        "by_mutation": {name: dict(sorted(counter.items())) for name, counter in sorted(by_mutation.items())},
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("nereus", "numpy", "pandas", "anndata", "flowio")},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["outcomes"]), "naive:", dict(naive))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
