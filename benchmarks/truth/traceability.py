"""S7, S12: every value of every report is reproduced in a clean process, and no claim is told twice.

Claim: `nereus verify` reproduces 100 % of the values of each run; among the first 30 hypotheses no canonical claim is
doubled, no contradiction is unflagged, and at least 10 entity families are told of.

    python -m benchmarks.truth.traceability --data FOLDER [--seeds 0]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.truth.results import data_folder, store

EXAMPLE = Path(__file__).parents[2] / "examples" / "alzheimer_csf"
SPIKE_INS = ("Exp1_R25", "Exp1_R2", "Exp2_R100", "Exp2_R10", "Exp2_R2")
TOP = 30


def sources(folder: Path) -> dict[str, tuple[Path, Path | None]]:
    """Data sets by name: the demo's, the spike-ins, and the mouse table with technical replicates."""
    found: dict[str, tuple[Path, Path | None]] = {
        name: (
            folder / "spike_ups1_yeast_ramus" / f"{name}_prot.txt.gz",
            folder / "spike_ups1_yeast_ramus" / f"samples_{name}.txt",
        )
        for name in SPIKE_INS
    }
    found["mouse_cortex"] = (
        folder / "clinical_mouse_cortex_down_syndrome" / "Data_Cortex_Nuclear.csv.gz",
        None,
    )
    found["alzheimer_csf"] = (EXAMPLE / "proteome.csv.gz", EXAMPLE / "samples.csv")
    return found


def told_twice(hypotheses: list[dict[str, Any]]) -> dict[str, int]:
    """Doubled claims, unflagged contradictions and entity families among the first hypotheses."""
    top = [one for one in hypotheses if one["status"] not in ("merged", "refuted")][:TOP]

    def about(one: dict[str, Any]) -> tuple[str, ...]:
        entities = ",".join(sorted(entity["id"] for entity in one["claim"]["entities"]))
        return (entities, one["claim"]["relation"], one["claim"]["contrast"])

    def direction(one: dict[str, Any]) -> str:
        return ",".join(sorted(entity["direction"] for entity in one["claim"]["entities"]))

    claims = Counter((*about(one), direction(one)) for one in top)
    places = Counter(about(one) for one in top)
    flagged = sum("contradicted by" in " ".join(map(str, one.get("caveats", []))) for one in top)
    opposite = sum(count - 1 for count in places.values()) - sum(count - 1 for count in claims.values())
    families = {one["claim"]["entities"][0]["name"][:4].upper() for one in top}
    return {
        "shown": len(top),
        "doubled": sum(count - 1 for count in claims.values()),
        "contradictions_unflagged": max(0, 2 * opposite - flagged),
        "families": len(families),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    import nereus

    start = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name, (data, samples) in sources(data_folder(options.data)).items():
            for seed in options.seeds:
                out = Path(work) / f"{name}-{seed}"
                run = nereus.discover(data, samples, out=out, seed=seed, home=Path(work) / "home")
                done = subprocess.run(
                    [sys.executable, "-m", "nereus.cli", "verify", str(out)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                line = done.stdout.strip().splitlines()[-1]
                found = json.loads((out / "hypotheses.json").read_text())["hypotheses"]
                rows.append(
                    {
                        "data": name,
                        "seed": seed,
                        "steps": len(run.record.steps()),
                        "verify": line,
                        **told_twice(found),
                    }
                )
                print(rows[-1], flush=True)
    reproduced = [row["verify"].split(" ")[0].split("/") for row in rows]
    passed = all(a == b for a, b in reproduced) and not any(
        row["doubled"] or row["contradictions_unflagged"] for row in rows
    )
    path = store(
        "traceability",
        {
            "claim": "S7, S12",
            "seeds": options.seeds,
            "values": sum(int(total) for _, total in reproduced),
            "reproduced": sum(int(count) for count, _ in reproduced),
            "rows": rows,
            "passed": passed,
        },
        module="benchmarks.truth.traceability",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )
    print(path.name)


if __name__ == "__main__":
    main()
