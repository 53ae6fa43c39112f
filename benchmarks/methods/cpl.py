"""CPL: does a small text policy tell good steps from bad ones on questions that it never saw, and what does the margin add?

    python -m benchmarks.methods.cpl [--device auto] [--scale cpu|gpu] [--part pairs text]

Pairs of next steps come from uniform searches of countdown; one question in four is kept out. Part ``pairs`` judges how often the
better step of a pair is the likelier one; baselines are the shorter step, imitation alone, and Step-DPO (no margin) with the same
batches. Part ``text`` (`cpl_text`) trains a transformer from scratch and judges its likeliest plans; with ``--scale gpu`` it has
15 million weights.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.methods import cpl_text
from benchmarks.reasoning.intervals import summed
from benchmarks.stored_parts import StoredParts
from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tasks.countdown import split
from nereus.agents.reasoner.tree import Tree
from nereus.models.language.cpl import CPL

SEEDS = (0, 1, 2)
GROW = SearchOptions(simulations=60, root_children=12, children=8, stop_when_solved=False)
SCALES: dict[str, dict[str, Any]] = {
    "cpu": {
        "questions": 120,
        "settings": {"layers": 2, "width": 64, "heads": 4, "context": 96, "training__epochs": 3},
        "text": {
            "model": {"width": 64, "layers": 2, "heads": 4, "context": 96}, "questions": 220, "test": 100, "paths_each": 8,
            "pairs_each": 16, "epochs": 12, "batch": 32, "rate": 2e-3, "preferring": 60,
        },
    },
    "gpu": {
        "questions": 900,
        "settings": {"layers": 4, "width": 256, "heads": 8, "context": 96, "training__epochs": 5},
        "text": {
            "model": {"width": 384, "layers": 8, "heads": 8, "context": 96}, "questions": 1100, "test": 250,
            "paths_each": 200, "pairs_each": 60, "epochs": 20, "batch": 256, "rate": 6e-4, "preferring": 400,
        },
    },
}  # fmt: skip
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


def pairs(scale: dict[str, Any], device: str) -> dict[str, Any]:
    """How often the better step of a pair is the likelier one, by objective."""
    rows = []
    for seed in SEEDS:
        own, judged = pairs_of(scale["questions"], seed)
        made: dict[str, Any] = {"pairs": len(own), "judged": len(judged)}
        made["shorter_step"] = float(
            np.mean(
                [
                    (len(one) < len(other)) + 0.5 * (len(one) == len(other))
                    for one, other in zip(judged["step"], judged["rejected"], strict=True)
                ]
            )
        )
        for name, change in (
            ("imitation", {"preferring__learning_rate": 1e-9}),
            ("step_dpo", {"alpha": 0.0}),
            ("step_apo", {"alpha": 1.0}),
        ):
            model = CPL(**{**scale["settings"], **change}, random_state=seed, device=device).fit(own)
            made[name] = accuracy(model, judged)
        rows.append(made)
        print(made, flush=True)
    return summed(rows)


def text(scale: dict[str, Any], device: str) -> dict[str, Any]:
    """A transformer from scratch under each objective, on questions that it never saw."""
    rows = []
    for seed in SEEDS:
        rows.append(cpl_text.measured(scale["text"], seed, device))
        print(rows[-1], flush=True)
    return summed(rows)


PARTS = {"pairs": pairs, "text": text}


def main() -> None:
    """Run the parts that are named, and store them with what is known of the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=list(SCALES), default="cpu")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    given = parser.parse_args()
    scale = {"name": given.scale, **SCALES[given.scale]}
    stored = StoredParts(
        "cpl",
        scale,
        ("numpy", "scipy", "torch", "transformers"),
        "next steps of countdown, from searches with uniform priors; made here",
    ).read(where={"name": given.scale})
    for part in given.part:
        with stored.timed(part):
            stored.figures[part] = PARTS[part](scale, given.device)
        stored.write(SEEDS)


if __name__ == "__main__":
    main()
