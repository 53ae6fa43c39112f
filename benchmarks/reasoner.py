"""Claim: what the reasoner learns from its searches makes the next ones find more with the same number of steps.

Demands: loss and gradient to 1e-6; the best policy recovered to a divergence of 1e-6 from Bradley-Terry labels, where
DPO stays at 1e-2 or more; on countdown a learned prior solves 12 points more than a uniform one at equal simulator
calls, a learned value 5 points more than none; Step-APO beside SFT, DPO and Step-DPO with equal batches, whichever sign
comes out; plans of tools score 0.1 more than the fixed template on data with traps and no less on plain data; 300
expansions a second. Controls: uniform and shuffled priors, value off, random plans and depth-first search with equal
calls.

    python -m benchmarks.reasoner --tasks exact,countdown,objectives,gsm8k,tools --seeds 0,1,2 [--data FOLDER] [--json FILE]

The value of the paper, DPO on whole solutions and a second round are measured on the first seed alone. A finished task
is kept in a scratch folder, so that an interrupted run goes on; without --json the figures go to
benchmarks/results/reasoner.json and the curves to docs/images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reasoning import countdown, curves, exact, objectives, tools, word_problems
from benchmarks.reasoning.intervals import summed
from benchmarks.truth.results import data_folder, store, without_nan

TASKS = ("exact", "countdown", "objectives", "gsm8k", "tools")
IMAGES = Path(__file__).parents[1] / "docs" / "images"


def task(name: str, seeds: list[int], data: Path | None, scratch: Path) -> dict[str, Any]:
    """All figures of one task: means and intervals over seeds."""
    if name == "exact":
        return {part: summed(rows) for part, rows in exact.measured(seeds).items()}
    rows = []
    for seed in seeds:
        kept = scratch / f"{name}-{seed}.json"
        if not kept.exists():
            start = time.perf_counter()
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            if name == "countdown":
                row = countdown.one_seed(seed, whole=seed == seeds[0])
            elif name == "objectives":
                row = objectives.one_seed(seed, whole=seed == seeds[0])
            else:
                assert data is not None
                row = (
                    tools.measured(seed, data, scratch)
                    if name == "tools"
                    else word_problems.one_seed(seed, data)
                )
            kept.write_text(json.dumps(without_nan({**row, "took": time.perf_counter() - start})))
        rows.append(json.loads(kept.read_text()))
    made = summed(rows)
    if name == "tools":
        made["studies"] = [study for row in rows for study in row["studies"]]
    return made


def fractions(made: dict[str, Any]) -> dict[str, Any]:
    """The headline figures as plain fractions, beside everything with its interval."""
    plain = {
        name: one["mean"]
        for name, one in made.items()
        if name.startswith("solved_") and isinstance(one, dict)
    }
    return {
        **{name: one for name, one in made.items() if name not in plain},
        **plain,
        "over_seeds": {n: made[n] for n in plain},
    }


def verdicts(tasks: dict[str, Any]) -> dict[str, bool]:
    """Which demands are met, on the means over the seeds."""
    met: dict[str, bool] = {}
    if "exact" in tasks:
        one = tasks["exact"]
        errors = [
            one["formulas"][n]["mean"] for n in ("loss_error", "gradient_error", "linear_gradient_error")
        ]
        met["loss_and_gradient_1e-6"] = max(errors) <= 1e-6
        met["recovery_kl_1e-6"] = abs(one["recovery"]["step_apo_kl"]["mean"]) <= 1e-6
        met["dpo_kl_1e-2_or_more"] = one["recovery"]["dpo_kl"]["mean"] >= 1e-2
        met["expansions_300_a_second"] = one["speed"]["expansions_per_second"]["mean"] >= 300
    if "countdown" in tasks:
        one = tasks["countdown"]
        met["learned_prior_12_points"] = one["learned_prior_gain"]["mean"] >= 0.12
        met["value_5_points"] = one["value_gain"]["mean"] >= 0.05
    if "objectives" in tasks:
        one = tasks["objectives"]["first_trees_minus_sft"]["step_apo"]["greedy"]
        met["step_apo_over_sft_5_points"] = one["mean"] >= 0.05
    if "tools" in tasks:
        one = tasks["tools"]
        met["tools_trapped_0.1"] = one["trapped"]["gain"]["mean"] >= 0.1
        met["tools_plain_not_worse"] = one["plain"]["gain"]["mean"] >= 0.0
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of %(default)s")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", help="folder of the public data sets; default NEREUS_DATA")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--scratch", type=Path, help="folder of finished seeds")
    parser.add_argument("--name", default="reasoner", help="name of the results file")
    options = parser.parse_args()
    chosen = options.tasks.split(",")
    if unknown := sorted(set(chosen) - set(TASKS)):
        parser.error(f"there is no task {unknown[0]!r}; tasks are {', '.join(TASKS)}")
    seeds = [int(one) for one in options.seeds.split(",")]
    data = data_folder(options.data) if {"gsm8k", "tools"} & set(chosen) else None
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="nereus-reasoner-"))
    scratch.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    tasks: dict[str, Any] = {}
    for name in chosen:
        tasks[name] = fractions(task(name, seeds, data, scratch))
    content = {"seeds": seeds, "demands": verdicts(tasks), "tasks": tasks}
    seconds = time.perf_counter() - start
    if options.json:
        options.json.write_text(
            json.dumps(without_nan({**content, "seconds": round(seconds, 1)}), indent=2) + "\n"
        )
    else:
        store(options.name, content, module="benchmarks.reasoner", arguments=sys.argv[1:], seconds=seconds)
        if "countdown" in tasks:
            curves.draw(without_nan(tasks["countdown"]), IMAGES)
    print(json.dumps(content["demands"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
