"""The learner on public problem files with their published split: learned from the training ids, tried on the others.

Of the three training problems of a domain the two smallest are learned from and the largest is selected and validated
on (``learned``). ``transferred`` are actions learned from generated instances (`learner`), whose primitives have the
same names and places in gripper and blockworld. The ids of the split are taken as positions in the order of the file
names. The problems of the test ids are read after learning has ended. The caps are those of `learner`; macros by hand
are written for other names and are not here.

    python -m benchmarks.learner --domains public        (NEREUS_DATA names the folder of the public data sets)
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.learner_arms import learned, random_macros
from nereus.agents.learner import ActionLearner, MiningAuthor, SearchAgent
from nereus.agents.learner.environments.operators import Operator, composed
from nereus.agents.learner.environments.planning import Domain, PlanningTask, TaskReader
from nereus.agents.learner.repair import as_macro
from nereus.agents.learner.search import Caps, search
from nereus.memory.actions import LearnedAction

SPLITS = {
    "gripper": "gripper_3-17_split_0.csv",
    "blockworld": "blockworld_3-7_split_0.csv",
    "barman": "barman_3-17_split_0.csv",
}
"""The reader refuses the public domain of tyreworld: a condition does not have the types of its predicate."""
SAME_NAMES = ("gripper", "blockworld")
"""Domains whose primitives are called alike here and in the generators."""


def folder() -> Path:
    place = Path(os.environ.get("NEREUS_DATA", "")) / "planning_pddl"
    if not os.environ.get("NEREUS_DATA") or not place.is_dir():
        sys.exit("name the folder of the data sets in the environment variable NEREUS_DATA")
    return place


def split_of(domain: str) -> dict[str, list[int]]:
    rows = csv.DictReader((folder() / "learnact_splits" / SPLITS[domain]).read_text().splitlines())
    found: dict[str, list[int]] = {"train": [], "test": []}
    for row in rows:
        found[row["split"]].append(int(row["ind"]))
    return found


def problems(domain: str, numbers: list[int]) -> list[PlanningTask]:
    place = folder() / "learnact"
    reader = TaskReader((place / f"{domain}.pddl").read_text(encoding="utf-8"), domain)
    files = sorted((place / domain).glob("*.pddl"), key=lambda one: int(re.sub(r"\D", "", one.stem)))
    return [reader.read(files[i].read_text(encoding="utf-8"), files[i].stem) for i in numbers]


def transferred(actions: Sequence[LearnedAction], domain: Domain) -> list[Operator]:
    """Learned actions over the primitives of the same names in a domain without types."""
    found = []
    for action in actions:
        macro = as_macro(action)
        if macro is None or not all(one.name in domain.operators for one in macro.steps):
            continue
        (kind,) = {one for operator in domain.operators.values() for one in operator.kinds}
        made = composed(action.name, macro.steps, [kind] * len(macro.kinds), domain.operators)
        if made is not None:
            found.append(replace(made, loop=action.loop))
    return found


def one_domain(domain: str, caps: Caps, generated: Sequence[LearnedAction]) -> dict[str, Any]:
    split = split_of(domain)
    if set(split["train"]) & set(split["test"]):
        sys.exit(f"{domain}: a problem is in both parts of the split")
    known = sorted(problems(domain, split["train"]), key=lambda one: len(one.world.objects))
    agent = SearchAgent(known[0].domain, caps=caps, decisions=10_000)
    library = ActionLearner(agent, MiningAuthor(known[0].domain), known[:-1], known[-1:], seed=0).learn()
    tasks = problems(domain, split["test"])
    arms: dict[str, list[Operator]] = {
        "primitives": [],
        "learned": learned(library.actions, known[0].domain),
        "transferred": transferred(generated, known[0].domain) if generated else [],
        "random": random_macros(library.actions, known, 0),
    }
    plans = {
        arm: [search(task, [*macros, *task.domain.operators.values()], caps) for task in tasks]
        for arm, macros in arms.items()
    }
    rows: dict[str, Any] = {}
    for arm, own in plans.items():
        both = [(a, b) for a, b in zip(own, plans["primitives"], strict=True) if a.solved and b.solved]
        fewer = sum(len(a.decisions) for a, _ in both) / max(1, sum(len(b.decisions) for _, b in both))
        rows[arm] = {
            "solved": sum(one.solved for one in own) / len(own),
            "both": len(both),
            "decision_ratio": fewer if both else None,
            "call_ratio": sum(a.calls for a, _ in both) / max(1, sum(b.calls for _, b in both))
            if both
            else None,
            "decisions": [len(one.decisions) if one.solved else None for one in own],
            "calls": [one.calls for one in own],
        }
    done = [agent.rollout(task, library.actions) for task in tasks]
    agent.close()
    return {
        "train": split["train"],
        "test": split["test"],
        "actions": [one.signature for one in library.actions],
        "notices": list(library.notices),
        "arms": rows,
        "reached_by_python": sum(one.solved for one in done),
    }


def measure(caps: Caps, generated: Callable[[str], Sequence[LearnedAction]]) -> dict[str, Any]:
    """Figures of each domain; `generated` learns actions from generated instances of a domain."""
    found = {}
    for domain in SPLITS:
        found[domain] = one_domain(domain, caps, generated(domain) if domain in SAME_NAMES else ())
        shown = {arm: (row["solved"], row["decision_ratio"]) for arm, row in found[domain]["arms"].items()}
        print("public", domain, shown, flush=True)
    return found
