"""S10: wall time, tool calls and decisions of D1 (five spike-in tables) and D2 (mouse cortex), and what learning saves.

Claim: five minutes or less on two cores (aim: two); after learning from OTHER data at least 40 per cent fewer decisions
with the same evidence. D3, the leukaemia table, is not among the shared data.

For each target and seed, in one home that holds nothing but ended runs about other studies:

- ``fresh``: frozen, which is what a first run in an empty home does (the naive arm: no learning). Everything is computed.
- ``learned``: what the other studies taught is used. The steps that `fresh` computed are found, so its wall time is that
  of planning, recording and reporting alone; ``tool_seconds`` is what the tools took when they were computed.
- ``same_data``: once more, with the two runs before it in the home. A run learns nothing but durations from its own data.

Wall time is that of the machine as it was (`load_average` says how busy); processor time is that of the whole process,
all threads together, so on a machine of its own no more wall time is needed.

The runs about the target are forgotten before the next target: a target never learns from another one.

    python -m benchmarks.truth.efficiency --data FOLDER [--seeds 0 1 2] [--targets Exp1_R25 ... mouse]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

import nereus
from benchmarks.truth import mouse_cortex
from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.spike_in import HELD_OUT, SET, TUNED
from nereus.memory.records import RunRecord
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "alzheimer_csf"
CLASS, SITE = "_primary biochemical AD classification", "_collection site"
MOUSE = "mouse"
TARGETS = (*TUNED, *HELD_OUT, MOUSE)
PASS_S, AIM_S, FEWER = 300.0, 120.0, 0.40
Files = tuple[Path, Path | None]


def csf(folder: Path, sites: tuple[str, str], first: int) -> Files:
    """People of two sites of the shipped study, and every sixth well-measured protein."""
    values = pd.read_csv(EXAMPLE / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(EXAMPLE / "samples.csv", index_col=0)
    chosen = sheet[sheet[CLASS].notna() & sheet[SITE].isin(sites)]
    values = values.loc[chosen.index]
    name = "_".join(sites)
    values[values.columns[values.notna().mean() > 0.6][first::6]].to_csv(folder / f"{name}.csv")
    chosen[[SITE, "_age at CSF collection", CLASS]].to_csv(folder / f"{name}_samples.csv")
    return folder / f"{name}.csv", folder / f"{name}_samples.csv"


def teachers(data: Path, work: Path) -> dict[str, Files]:
    """Other studies: one of people, one of cells, one of spiked yeast from other laboratories."""
    cptac = data / "spike_cptac_study6"
    return {
        "csf Sweden Magdeburg": csf(work, ("Sweden", "Magdeburg"), 0),
        "csf Berlin Kiel": csf(work, ("Berlin", "Kiel"), 3),
        "cptac study 6": (cptac / "proteinGroups.txt.gz", cptac / "label-free_CPTAC_annotation.xlsx"),
        "fa ca cells": (data / "cell_twogroup_fa_ca_limma" / "proteinGroups.txt.gz", None),
    }


def target(data: Path, work: Path, name: str, seed: int) -> Files:
    """The files of a target, as the other truth tests give them."""
    if name == MOUSE:
        return data / mouse_cortex.FILE, None
    table, sheet = work / f"{name}_{seed}.txt", work / f"samples_{name}_{seed}.txt"
    anonymise_maxquant(data / SET / f"{name}_prot.txt.gz", table, seed)
    shutil.copyfile(data / SET / f"samples_{name}.txt", sheet)
    sheet.chmod(0o644)
    return table, sheet


def figures(run: nereus.Run, wall: float, cpu: float) -> dict[str, Any]:
    """What a run took, and what it found."""
    record = run.record
    kinds = Counter(one.kind for one in record.decisions)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "tool_seconds": sum(call.wall_s for call in record.calls.values()),
        "tool_calls": len(record.calls),
        "decisions": len(record.decisions),
        "decisions_by_kind": dict(sorted(kinds.items())),
        "claims": len(run.claims),
        "evidence": len(record.evidence),
        "supported": sum(one.status == "supported" for one in record.hypotheses),
    }


def timed(
    files: Files, out: Path, home: Path, seed: int, **options: Any
) -> tuple[nereus.Run, dict[str, Any]]:
    """One run and its figures."""
    if out.exists():
        shutil.rmtree(out)
    wall, cpu = time.perf_counter(), time.process_time()
    run = nereus.discover(*files, out=out, home=home, seed=seed, **options)
    return run, figures(run, time.perf_counter() - wall, time.process_time() - cpu)


def evidence_of(record: RunRecord) -> Counter[tuple[str, ...]]:
    """Every piece of evidence by what it is and its value, whatever its id and that of its question."""
    return Counter(
        (one.quantity, str(one.row), str(one.column), str(one.name), repr(one.value))
        for one in record.evidence.values()
    )


def claims_of(run: nereus.Run) -> pd.DataFrame:
    """The claims, whatever the order of the questions."""
    found = pd.read_csv(run.directory / "claims.csv")
    return found.sort_values(["contrast", "feature", "kind"], kind="stable").reset_index(drop=True)


def compared(before: nereus.Run, after: nereus.Run) -> dict[str, Any]:
    """Whether two runs found the same."""
    one, other = evidence_of(before.record), evidence_of(after.record)
    fewer = 1 - len(after.record.decisions) / len(before.record.decisions)
    return {
        "fewer_decisions": fewer,
        "same_claims": claims_of(before).equals(claims_of(after)),
        "same_evidence": (one & other).total() / max(1, (one | other).total()),
        "same_hypotheses": sorted((h.key, h.status) for h in before.hypotheses)
        == sorted((h.key, h.status) for h in after.hypotheses),
        "questions_before": sorted(o.about for o in before.record.objectives if o.status == "done"),
        "questions_after": sorted(o.about for o in after.record.objectives if o.status == "done"),
    }


def one_target(name: str, files: Files, work: Path, home: Path, seed: int) -> dict[str, Any]:
    """The three arms of a target."""
    fresh, of_fresh = timed(files, work / "fresh", home, seed, freeze=True)
    learned, of_learned = timed(files, work / "learned", home, seed)
    again, of_again = timed(files, work / "again", home, seed)
    found = {
        "fresh": of_fresh,
        "learned": {**of_learned, **compared(fresh, learned)},
        "same_data": {**of_again, **compared(fresh, again)},
    }
    with open_workspace(load_settings(home=home)) as workspace:
        for run in (fresh, learned, again):
            workspace.repository.delete_run(run.id)
    print(
        name,
        seed,
        {key: found["fresh"][key] for key in ("wall_s", "cpu_s", "tool_calls", "decisions", "claims")},
        {
            key: found["learned"][key]
            for key in ("fewer_decisions", "same_claims", "same_evidence", "same_hypotheses")
        },
        flush=True,
    )
    return found


def total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """D1 and D2 together, for one seed."""
    sums: dict[str, Any] = {
        arm: {
            key: sum(row[arm][key] for row in rows) for key in ("wall_s", "cpu_s", "tool_calls", "decisions")
        }
        for arm in ("fresh", "learned", "same_data")
    }
    sums["fewer_decisions"] = 1 - sums["learned"]["decisions"] / sums["fresh"]["decisions"]
    sums["same_claims"] = all(row["learned"]["same_claims"] for row in rows)
    sums["same_evidence"] = min(row["learned"]["same_evidence"] for row in rows)
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--work", type=Path, help="folder to go on in; default one of its own")
    options = parser.parse_args()
    data, start = data_folder(options.data), time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        work = options.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        taught = teach(data, work)
        done = work / "done.json"
        found: dict[str, dict[str, Any]] = json.loads(done.read_text()) if done.exists() else {}
        for seed in options.seeds:
            rows = found.setdefault(str(seed), {})
            for one in options.targets:
                if one not in rows:
                    files = target(data, work, one, seed)
                    rows[one] = one_target(one, files, work, work / "home", seed)
                    done.write_text(json.dumps(found))
        seconds = time.perf_counter() - start
        path = store(
            "efficiency",
            content(found, taught),
            module="benchmarks.truth.efficiency",
            arguments=sys.argv[1:],
            seconds=seconds,
        )
        print(path.name)


def teach(data: Path, work: Path) -> dict[str, Any]:
    """Let runs about other studies end in the home, but for those that have."""
    taught = {}
    known = work / "taught.json"
    if known.exists():
        taught = json.loads(known.read_text())
    for teacher, files in teachers(data, work).items():
        if teacher not in taught:
            _, taught[teacher] = timed(files, work / "teacher", work / "home", 0)
            known.write_text(json.dumps(taught))
            print(teacher, {k: taught[teacher][k] for k in ("wall_s", "decisions", "claims")}, flush=True)
    return taught


def content(found: dict[str, dict[str, Any]], taught: dict[str, Any]) -> dict[str, Any]:
    """What is stored."""
    totals = {seed: total(list(rows.values())) for seed, rows in found.items()}
    whole = [one for seed, one in totals.items() if set(found[seed]) == set(TARGETS)]
    return {
        "claim": "S10",
        "seeds": [int(seed) for seed in found],
        "thresholds": {"pass_s": PASS_S, "aim_s": AIM_S, "fewer_decisions": FEWER},
        "met": {
            "pass": bool(whole) and all(one["fresh"]["wall_s"] <= PASS_S for one in whole),
            "aim": bool(whole) and all(one["fresh"]["wall_s"] <= AIM_S for one in whole),
            "fewer_decisions": all(one["fewer_decisions"] >= FEWER for one in totals.values()),
            "same_claims": all(one["same_claims"] for one in totals.values()),
            "pass by processor time": bool(whole) and all(one["fresh"]["cpu_s"] <= PASS_S for one in whole),
            "aim by processor time": bool(whole) and all(one["fresh"]["cpu_s"] <= AIM_S for one in whole),
        },
        "load_average": os.getloadavg()[2],
        "product": totals,
        "naive": "the arm 'fresh' of each target: the product without learning",
        "taught_by": taught,
        "targets": found,
    }


if __name__ == "__main__":
    main()
