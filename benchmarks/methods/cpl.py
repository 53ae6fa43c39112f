"""CPL: does a small text policy tell good steps from bad ones on questions that it never saw, and what does the margin add?

    python -m benchmarks.methods.cpl [--seeds 3] [--questions 120]

Pairs of next steps come from uniform searches of countdown; one question in four is kept out.
Judged is how often the better step of a pair is the likelier one. Baselines: imitation alone, and Step-DPO (no margin) with the
same batches.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.results import RESULTS, store
from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl import CPL

NAME = "methods/cpl"
GROW = SearchOptions(simulations=60, root_children=12, children=8, stop_when_solved=False)
SETTINGS: dict[str, Any] = {"layers": 2, "width": 64, "heads": 4, "context": 96, "training__epochs": 3}
EACH = 12
"""Pairs of a question."""


def pairs_of(questions: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs to learn from and to judge by, of different questions."""
    problems, _ = split(seed, questions, 1)
    trees = [Tree.rooted(f"q{i:04d}", problem, seed) for i, problem in enumerate(problems)]
    search(trees, UniformPolicy(), GROW)
    rng = np.random.default_rng(seed)
    rows = []
    for tree in trees:
        found = harvest([tree], target="best").pairs
        rows += [found[i] for i in rng.permutation(len(found))[:EACH]]
    table = pd.DataFrame([(p.prompt, p.chosen, p.rejected, p.q_chosen, p.q_rejected, p.tree) for p in rows])
    table.columns = pd.Index(["prompt", "step", "rejected", "q_step", "q_rejected", "tree"])
    judged = table["tree"].isin(sorted(set(table["tree"]))[3::4])
    return table[~judged].drop(columns="tree"), table[judged].drop(columns="tree")


def accuracy(model: CPL, table: pd.DataFrame) -> float:
    """Share of the pairs whose better step is the likelier one."""
    worse = table.assign(step=table["rejected"])
    return float(np.mean(model.score(table) > model.score(worse)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=120)
    given = parser.parse_args()
    start = time.time()
    rows = []
    for seed in range(given.seeds):
        own, judged = pairs_of(given.questions, seed)
        made: dict[str, Any] = {"seed": seed, "pairs": len(own), "judged": len(judged)}
        for name, change in (
            ("imitation", {"preferring__learning_rate": 1e-9}),
            ("step_dpo", {"alpha": 0.0}),
            ("step_apo", {"alpha": 1.0}),
        ):
            model = CPL(**{**SETTINGS, **change}, random_state=seed, device="cpu").fit(own)
            made[name] = accuracy(model, judged)
        rows.append(made)
        print(made, flush=True)
    arms = ("imitation", "step_dpo", "step_apo")
    content = {
        "baseline": "imitation of the better steps alone; Step-DPO with the same batches",
        "seeds": [row["seed"] for row in rows],
        "settings": SETTINGS | {"questions": given.questions},
        "data": "pairs of next steps from uniform searches of countdown, one question in four kept out",
        "more_versions": {name: version(name) for name in ("torch", "transformers")},
        "figures": {"seeds": rows, "mean": {arm: float(np.mean([row[arm] for row in rows])) for arm in arms}},
    }
    store(NAME, content, module="benchmarks.methods.cpl", arguments=sys.argv[1:], seconds=time.time() - start)
    print(RESULTS / f"{NAME}.json")


if __name__ == "__main__":
    main()
