"""S4: effects and traps planted into real matrices, found by the whole product.

Claim: among the first k hypotheses (k = number of planted items) at least 70 % (aim 85 %) of the planted effects of one
standard deviation or more are found, at least 90 % (aim 95 %) of what is said is true, at least 90 % (aim all) of the traps
are seen, and every comparison that a batch hides wholly is refused. Seeds 0-49 were used for development; 1000-1059 are
held out. Every finished run is kept in a scratch folder, so that an interrupted suite goes on where it was.

    python -m benchmarks.truth.planted --data FOLDER [--datasets 1000 1060] [--seeds 0 1 2 3 4] [--workers 1]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.arms import LEVEL, load
from benchmarks.truth.planting import Truth, make_study, plan_of
from benchmarks.truth.planting.study import DATA, SAMPLES, TRUTH
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.run_folder import RunView, Said, read_run
from benchmarks.truth.score_planted import handled, interval, score_claims, score_top

HELD_OUT = (1000, 1060)
RUNS = 5


def naive_view(folder: Path) -> RunView:
    """Textbook analysis of every column of the sheet: log2, sample medians, moderated t or slope, Benjamini-Hochberg.

    Repeats are taken for subjects, batches are not looked at, and each column is a family of its own.
    """
    from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast

    dataset = load(folder / DATA, folder / SAMPLES)
    sheet = pd.read_csv(folder / SAMPLES).set_index("sample").loc[list(dataset.obs_names)]
    x = np.asarray(dataset.X, dtype=float)
    centred = (x - np.nanmedian(x, axis=1, keepdims=True)).T
    rows: list[tuple[float, Said]] = []
    for column in sheet.columns.drop(["subject", "batch"], errors="ignore"):
        values = sheet[column]
        levels = sorted(values.astype(str).unique())
        if len(levels) == 2:
            beside = (values.astype(str) == levels[1]).to_numpy(dtype=float)
            about = {"factor": str(column), "a": levels[1], "b": levels[0]}
            relation = "abundance"
        elif pd.api.types.is_numeric_dtype(values):
            beside = ((values - values.mean()) / values.std()).to_numpy(dtype=float)
            about, relation = {"variable": str(column)}, "association"
        else:
            continue
        enough = np.isfinite(centred).sum(axis=1) >= 4
        if relation == "abundance":
            for group in (0.0, 1.0):
                enough &= np.isfinite(centred[:, beside == group]).sum(axis=1) >= 2
        design = np.column_stack([np.ones(len(beside)), beside])
        fit = fit_contrast(np.where(enough[:, None], centred, np.nan), design, np.array([0.0, 1.0]))
        q = benjamini_hochberg(fit.p)
        for i in np.flatnonzero(q <= LEVEL):
            said = Said(
                relation,
                str(dataset.var_names[i]),
                int(np.sign(fit.effect[i])),
                about,
                1.0 - float(q[i]),
                float(q[i]),
            )
            rows.append((float(fit.p[i]), said))
    rows.sort(key=lambda row: (row[0], row[1].entity))
    claims = [said for _, said in rows]
    return RunView(top=claims, claims=claims)


def scored(run: RunView, truth: Truth) -> dict[str, Any]:
    """All scores of one run."""
    return {
        **score_top(run, truth),
        "traps": {trap.name: handled(trap, run, truth) for trap in truth.traps},
        "claims": score_claims(run.claims, truth),
        "tested": score_claims([one for one in run.tested if one.confidence is not None], truth),
    }


def one_run(data: Path, dataset: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Run the product on one data set with one seed; a finished run is read from the scratch folder."""
    kept = scratch / f"{dataset}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    import nereus

    plan = plan_of(dataset)
    made: dict[str, Any] = {"dataset": dataset, "seed": seed, "plan": plan.name, "base": plan.base}
    with tempfile.TemporaryDirectory() as work:
        shown, hidden = Path(work) / "shown", Path(work) / "hidden"
        study = make_study(plan, data)
        study.write(hidden)
        shown.mkdir()
        for name in (DATA, SAMPLES):
            shutil.move(hidden / name, shown / name)
        truth = Truth.read(hidden / TRUTH)
        start = time.perf_counter()
        try:
            out, home = Path(work) / "out", Path(work) / "home"
            run = nereus.discover(shown / DATA, shown / SAMPLES, out=out, seed=seed, home=home)
            cells = plan.plants == ("cluster",)
            names = [] if cells else list(pd.read_csv(shown / DATA, usecols=[0]).iloc[:, 0].astype(str))
            view = read_run(out, frozenset(names), home if cells else None)
            made |= {"status": run.record.header.status, **scored(view, truth)}
        except Exception as error:  # noqa: BLE001 - a run that ends in an error found nothing, and the suite goes on
            traceback.print_exc()
            made |= {"status": f"{type(error).__name__}: {error}"[:300], **scored(RunView(), truth)}
            made["traps"] = dict.fromkeys(made["traps"], False)
        made["seconds"] = round(time.perf_counter() - start, 1)
        made["naive"] = None if plan.plants == ("cluster",) else scored(naive_view(shown), truth)
    kept.write_text(json.dumps(made))
    return made


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Recall of large and small effects, precision, recall of each plant, and rates of the traps."""
    counts: dict[str, list[int]] = {}
    traps: dict[str, list[int]] = {}
    for row in rows:
        for name, (found, total) in [*row["sizes"].items(), *row["plants"].items()]:
            at = counts.setdefault(name, [0, 0])
            at[0], at[1] = at[0] + found, at[1] + total
        for name, right in row["traps"].items():
            at = traps.setdefault(name, [0, 0])
            at[0], at[1] = at[0] + int(right), at[1] + 1
    found = sum(row["found"] for row in rows)
    wrong = sum(row["wrong"] for row in rows)
    large = [row["sizes"]["large"][0] / row["sizes"]["large"][1] for row in rows if row["sizes"]["large"][1]]
    precise = [row["found"] / (row["found"] + row["wrong"]) for row in rows if row["found"] + row["wrong"]]
    claims = [one for row in rows for one in row["claims"]]
    separable = {name: at for name, at in traps.items() if name != "batch_full"}
    return {
        "runs": len(rows),
        "recall_large": _share(counts.get("large", [0, 0])),
        "recall_large_mean_and_interval": interval(large) if large else None,
        "recall_small": _share(counts.get("small", [0, 0])),
        "precision": found / (found + wrong) if found + wrong else None,
        "precision_mean_and_interval": interval(precise) if precise else None,
        "claims": len(claims),
        "false_among_all_claims": float(np.mean([not one["true"] for one in claims])) if claims else None,
        "traps_handled": _share([sum(at[i] for at in traps.values()) for i in (0, 1)]),
        "traps_handled_but_full_confounding": _share(
            [sum(at[i] for at in separable.values()) for i in (0, 1)]
        ),
        "refused_fully_confounded": _share(traps.get("batch_full", [0, 0])),
        "plants": {name: {"found": a, "planted": b} for name, (a, b) in sorted(counts.items())},
        "traps": {name: {"handled": a, "set": b} for name, (a, b) in sorted(traps.items())},
    }


def _share(counts: Iterable[int]) -> float | None:
    part, whole = counts
    return part / whole if whole else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--datasets", nargs=2, type=int, default=list(HELD_OUT), metavar=("FIRST", "END"))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(RUNS)))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scratch", help="folder of finished runs; default in the temporary folder")
    parser.add_argument("--name", default="planted_discover", help="name of the results file")
    options = parser.parse_args()
    data = data_folder(options.data)
    scratch = Path(options.scratch or Path(tempfile.gettempdir()) / "nereus-planted")
    scratch.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        # All data sets with the first seed before the second one: what is there at any time covers everything.
        pending = [
            pool.submit(one_run, data, dataset, seed, scratch)
            for seed in options.seeds
            for dataset in range(*options.datasets)
        ]
        for done in pending:
            row = done.result()
            rows.append(row)
            print(
                row["dataset"], row["seed"], row["plan"], row["base"], row["status"], row["sizes"],
                f"wrong {row['wrong']}", row["traps"], f"{row['seconds']} s", flush=True,
            )  # fmt: skip
    naive = [{**row, **row["naive"]} for row in rows if row["naive"] and row["seed"] == options.seeds[0]]
    content = {
        "claim": "S4",
        "datasets": list(range(*options.datasets)),
        "seeds": options.seeds,
        "runs": len(rows),
        "runs_of_the_whole_suite": (HELD_OUT[1] - HELD_OUT[0]) * RUNS,
        "ended_with_an_error": [
            {key: row[key] for key in ("dataset", "seed", "status")} for row in rows if ":" in row["status"]
        ],
        "product": summary(rows),
        "naive": {**summary(naive), "note": "without the tables of cells, which the naive arm does not read"},
        "by_plan": {
            name: {
                key: summary([row for row in rows if row["plan"] == name])[key]
                for key in ("recall_large", "recall_small", "precision", "traps_handled")
            }
            for name in sorted({row["plan"] for row in rows})
        },
        "seconds_per_run": float(np.median([row["seconds"] for row in rows])),
    }
    path = store(
        options.name,
        content,
        module="benchmarks.truth.planted",
        arguments=sys.argv[1:],
        seconds=sum(row["seconds"] for row in rows),
    )
    for arm in ("product", "naive"):
        print(arm, json.dumps(content[arm], indent=1))
    print(path.name)


if __name__ == "__main__":
    main()
