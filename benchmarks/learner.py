"""What the action learner saves: decisions, simulator calls and solved tasks, on tasks that nothing was learned from.

For each domain and seed a library is learned from small instances (no model, the whole graph), selected and validated on
somewhat larger ones, and used on still larger ones; no size is in two of the three. Four arms search alike, under the same
caps (300 expansions and 3,000 primitive calls of the simulator, those inside learned actions counted one by one):

- ``primitives``; ``learned``; ``random``: as many macros of the same lengths from random walks, drawn three times a seed, whose
  figures are the mean of the three; ``oracle``: written by hand.

``solved`` is under these caps. ``decision_ratio`` is learned over primitives on the tasks that both solve with more (see
`WIDE`), since primitives alone solve few of the large tasks of two domains under the caps (``decision_ratio_capped``: on
those); mean over seeds with a 95 per cent interval (t over seeds). ``wall_ratio`` is time over primitives' on tasks that
both solve under the caps, none where primitives solve none: processor time of the search, which is one thread, so that
what else the machine does is not counted.
Every plan with learned actions is carried out by their Python in the sandbox, and must reach the goals.
``public`` are published problems (see `learner_public`). ``omics`` is the planner itself: runs on tables of the planting
generator, with what earlier runs teach taken apart (see `learner_omics`); asked for alone, it has a result of its own.

    python -m benchmarks.learner --domains gripper,barman,tyreworld,public,blockworld --seeds 25,26,27,28,29 --json FILE
    python -m benchmarks.learner --domains omics --seeds 25,26,27 --json FILE

FILE is written after every seed of every domain; the same command goes on where it was ended, and the result is stored
when all is there (``--so-far`` stores what is, and names what is missing). ``--draw`` draws the curves of the docs from the
stored result, and computes nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from benchmarks.learner_arms import by_hand, learned, random_macros
from benchmarks.truth.results import RESULTS, commit, store, without_nan
from nereus.agents.learner import ActionLearner, MiningAuthor, SearchAgent
from nereus.agents.learner.environments.generators import HELD_OUT_SIZES, LEARNING_SIZES, TEST_SIZES, instance
from nereus.agents.learner.environments.operators import Operator
from nereus.agents.learner.environments.planning import DOMAINS, PlanningTask
from nereus.agents.learner.search import Caps, Plan, search
from nereus.memory.actions import LearnedAction

CAPS = Caps(300, 3000)
WIDE = {
    "gripper": CAPS,
    "blockworld": Caps(1000, 10_000),
    "barman": CAPS,
    "tyreworld": Caps(2000, 20_000),
}
ESTIMATE = "additive"
TRAINING, HELD_OUT = 6, 5
TEST = {"gripper": 3, "blockworld": 4, "barman": 3, "tyreworld": 2}
"""Tasks to learn from and to select on, and tasks of each size to test on."""
GROWTH = (2, 3, 6)
"""Training tasks of the curves."""
LARGE = 8
IMAGES = Path(__file__).parent.parent / "docs" / "images"
CALLS = (100, 300, 1000, 3000, 10_000, 20_000)
"""Caps on simulator calls of the curve of success."""
MOST = 0.6
LEAST_GAIN = 0.20
ARMS = ("primitives", "learned", "random", "oracle")
DRAWS = 3
"""Random macros of a seed are drawn so often: one draw may happen upon what is learned, or upon nothing."""


Searched = tuple[Sequence[Plan], Sequence[Plan]]
"""Plans under the caps, and under wide ones."""


def training(domain: str, seed: int) -> list[PlanningTask]:
    sizes = LEARNING_SIZES[domain]
    return [instance(domain, sizes[i % len(sizes)], 10_000 + 100 * seed + i) for i in range(TRAINING)]


def held_out(domain: str, seed: int) -> list[PlanningTask]:
    sizes = HELD_OUT_SIZES[domain]
    return [instance(domain, sizes[i % len(sizes)], 20_000 + 100 * seed + i) for i in range(HELD_OUT)]


def tests(domain: str, seed: int) -> list[PlanningTask]:
    return [
        instance(domain, size, 30_000 + 100 * seed + i)
        for size in TEST_SIZES[domain]
        for i in range(TEST[domain])
    ]


def size_of(task: PlanningTask) -> int:
    return int(task.name.split("-")[1])


def learn(
    domain: str, seed: int, estimate: str, count: int = TRAINING
) -> tuple[tuple[LearnedAction, ...], dict[str, Any], SearchAgent]:
    tasks = training(domain, seed)[:count]
    agent = SearchAgent(tasks[0].domain, caps=CAPS, estimate=estimate)
    begin = time.perf_counter()
    library = ActionLearner(
        agent, MiningAuthor(tasks[0].domain), tasks, held_out(domain, seed), seed=seed
    ).learn()
    told = {
        "seconds": round(time.perf_counter() - begin, 2),
        "simulator_calls": agent.simulator_calls,
        "actions": [one.signature for one in library.actions],
        "steps": [len(one.steps) for one in library.actions],
        "loops": sum(bool(one.loop) for one in library.actions),
        "curve": list(library.curve),
        "validation": library.validation,
    }
    return library.actions, told, agent


def actions_of(domain: str, seed: int) -> tuple[LearnedAction, ...]:
    """What is learned from generated instances."""
    actions, _, agent = learn(domain, seed, ESTIMATE)
    agent.close()
    return actions


def solved_by(
    tasks: Sequence[PlanningTask], macros: Sequence[Operator], estimate: str, caps: Caps
) -> list[Plan]:
    return [search(task, [*macros, *task.domain.operators.values()], caps, estimate) for task in tasks]


def carried_out(
    agent: SearchAgent, tasks: Sequence[PlanningTask], plans: Sequence[Plan], actions: Sequence[LearnedAction]
) -> dict[str, Any]:
    """Every plan with learned actions, by their Python."""
    agent.decisions = 10_000
    done = [agent._acted(task, plan, actions) for task, plan in zip(tasks, plans, strict=True) if plan.solved]
    calls = [one for _, carried in done for one in carried]
    return {
        "plans": len(done),
        "reached": sum(rollout.solved for rollout, _ in done),
        "learned_calls": len(calls),
        "went_well": sum(one[2].ok for one in calls),
    }


def one_seed(domain: str, seed: int, estimate: str) -> dict[str, Any]:
    actions, told, agent = learn(domain, seed, estimate)
    tasks = tests(domain, seed)
    walks = training(domain, seed)
    libraries: dict[str, list[Sequence[Operator]]] = {
        "primitives": [[]],
        "learned": [learned(actions, tasks[0].domain)],
        "random": [random_macros(actions, walks, DRAWS * seed + draw) for draw in range(DRAWS)],
        "oracle": [by_hand(tasks[0].domain)],
    }
    solved_by(tasks[:1], [], estimate, CAPS)  # nothing is timed cold
    searched = {arm: [searches(domain, tasks, one, estimate) for one in of] for arm, of in libraries.items()}
    (plain,), (own,) = searched["primitives"], searched["learned"]
    found: dict[str, Any] = {
        "learning": told,
        "arms": {arm: averaged([compared(tasks, one, plain) for one in of]) for arm, of in searched.items()},
        "replay": carried_out(agent, tasks, own[1], actions),
    }
    agent.close()
    return found


def searches(
    domain: str, tasks: Sequence[PlanningTask], macros: Sequence[Operator], estimate: str
) -> Searched:
    capped = solved_by(tasks, macros, estimate, CAPS)
    return capped, capped if WIDE[domain] == CAPS else solved_by(tasks, macros, estimate, WIDE[domain])


def averaged(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every figure over draws; lists of single tasks stay those of the first draw, and every draw is kept."""
    first = rows[0]
    if len(rows) == 1:
        return first
    found = {name: mean_of([one[name] for one in rows]) for name in first}
    return {
        **found,
        "draws": [{name: one[name] for name in ("solved", "decision_ratio", "wall_ratio")} for one in rows],
    }


def mean_of(values: Sequence[Any]) -> Any:
    known = [one for one in values if one is not None]
    if not known or isinstance(known[0], list):
        return values[0]
    if isinstance(known[0], dict):
        return {name: mean_of([one[name] for one in known]) for name in known[0]}
    return statistics.fmean(known)


def compared(tasks: Sequence[PlanningTask], own: Searched, plain: Searched) -> dict[str, Any]:
    both = [(a, b) for a, b in zip(own[1], plain[1], strict=True) if a.solved and b.solved]
    capped = [(a, b) for a, b in zip(own[0], plain[0], strict=True) if a.solved and b.solved]
    large = [one.solved for task, one in zip(tasks, own[0], strict=True) if size_of(task) >= LARGE]

    def ratio(of: Sequence[tuple[Plan, Plan]], field: str) -> float | None:
        def value(plan: Plan) -> float:
            return float(len(plan.decisions) if field == "decisions" else getattr(plan, field))

        return sum(value(a) for a, _ in of) / max(1e-9, sum(value(b) for _, b in of)) if of else None

    return {
        "solved": sum(one.solved for one in own[0]) / len(tasks),
        "solved_wide": sum(one.solved for one in own[1]) / len(tasks),
        "solved_large": sum(large) / len(large) if large else None,
        "solved_by_size": {
            str(size): sum(p.solved for t, p in zip(tasks, own[0], strict=True) if size_of(t) == size)
            for size in sorted({size_of(t) for t in tasks})
        },
        "solved_at_calls": {
            str(cap): sum(p.solved and p.calls <= cap for p in own[1]) / len(tasks) for cap in CALLS
        },
        "both": len(both),
        "decision_ratio": ratio(both, "decisions"),
        "decision_ratio_capped": ratio(capped, "decisions"),
        "call_ratio": ratio(both, "calls"),
        "expansion_ratio": ratio(both, "expansions"),
        "wall_ratio": ratio(capped, "seconds"),
        "seconds": sum(one.seconds for one in own[0]),
        "calls": [one.calls for one in own[0]],
        "decisions": [len(one.decisions) if one.solved else None for one in own[1]],
    }


def growth(
    domain: str, seed: int, estimate: str, tasks: Sequence[PlanningTask], plain: Searched
) -> list[dict[str, Any]]:
    """What is learned from fewer tasks: the same test tasks, the same caps."""
    rows = [{"tasks": 0, "solved": sum(one.solved for one in plain[0]) / len(tasks), "decision_ratio": 1.0}]
    for count in GROWTH:
        actions, _, agent = learn(domain, seed, estimate, count)
        agent.close()
        macros = learned(actions, tasks[0].domain)
        own = [solved_by(tasks, macros, estimate, caps) for caps in (CAPS, WIDE[domain])]
        of = compared(tasks, (own[0], own[1]), plain)
        rows.append({"tasks": count, "solved": of["solved"], "decision_ratio": of["decision_ratio"]})
    return rows


def interval(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and 95 per cent interval over seeds."""
    known = [float(one) for one in values if one is not None]
    if not known:
        return {"mean": None, "low": None, "high": None, "n": 0}
    mean = statistics.fmean(known)
    if len(known) < 2:
        return {"mean": mean, "low": None, "high": None, "n": len(known)}
    half = float(student.ppf(0.975, len(known) - 1)) * statistics.stdev(known) / math.sqrt(len(known))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": len(known)}


def summary(domain: str, by_seed: dict[str, Any]) -> dict[str, Any]:
    def over(arm: str, field: str) -> dict[str, Any]:
        return interval([one["arms"][arm][field] for one in by_seed.values()])

    fields = (
        "solved",
        "solved_wide",
        "solved_large",
        "decision_ratio",
        "decision_ratio_capped",
        "call_ratio",
        "wall_ratio",
    )
    arms = {arm: {field: over(arm, field) for field in fields} for arm in ARMS}
    own, plain, chance = arms["learned"], arms["primitives"], arms["random"]
    separated = None
    if own["decision_ratio"]["high"] is not None and chance["decision_ratio"]["low"] is not None:
        separated = own["decision_ratio"]["high"] < chance["decision_ratio"]["low"]
    replays = [one["replay"] for one in by_seed.values()]
    found = {
        "decision_ratio": own["decision_ratio"]["mean"],
        "decision_ratio_interval": [own["decision_ratio"]["low"], own["decision_ratio"]["high"]],
        "solved": {arm: arms[arm]["solved"]["mean"] for arm in ARMS},
        "solved_wide": {arm: arms[arm]["solved_wide"]["mean"] for arm in ARMS},
        "wall_ratio": own["wall_ratio"]["mean"],
        "call_ratio": own["call_ratio"]["mean"],
        "arms": arms,
        "replay": {"plans": sum(r["plans"] for r in replays), "reached": sum(r["reached"] for r in replays)},
        "met": {
            "decisions": (own["decision_ratio"]["mean"] or 9.0) <= MOST,
            "solved_never_lower": all(
                one["arms"]["learned"]["solved"] >= one["arms"]["primitives"]["solved"]
                for one in by_seed.values()
            ),
            "better_than_random": separated,
            "wall_not_worse": None if own["wall_ratio"]["mean"] is None else own["wall_ratio"]["mean"] <= 1.0,
            "all_replayed": all(r["plans"] == r["reached"] for r in replays),
        },
        "by_seed": by_seed,
    }
    if domain == "blockworld":
        gain = own["solved_large"]["mean"] - plain["solved_large"]["mean"]
        found["solved_large_gain"] = gain
        found["met"]["large_blocks"] = gain >= LEAST_GAIN - 1e-9
    return found


GROWN = "growth"


def pieces(domains: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, str]]:
    """What is measured by itself: a seed of a domain, all public problems, and last what is learned from fewer tasks."""
    found = [
        (domain, piece)
        for domain in domains
        for piece in (["all"] if domain == "public" else [str(one) for one in seeds])
    ]
    return [*found, *((domain, GROWN) for domain in domains if domain in DOMAINS)]


def measure(domain: str, piece: str, seeds: Sequence[int]) -> dict[str, Any]:
    if domain == "omics":
        from benchmarks.learner_omics import measure_seed

        return measure_seed(int(piece))
    if domain == "public":
        from benchmarks.learner_public import measure as measure_public

        return measure_public(CAPS, lambda of: actions_of(of, seeds[0]))
    if piece == GROWN:
        tasks = tests(domain, seeds[0])
        plain = [solved_by(tasks, [], ESTIMATE, caps) for caps in (CAPS, WIDE[domain])]
        return {GROWN: growth(domain, seeds[0], ESTIMATE, tasks, (plain[0], plain[1]))}
    found = one_seed(domain, int(piece), ESTIMATE)
    shown = {
        arm: (row["solved"], row["decision_ratio"], row["wall_ratio"]) for arm, row in found["arms"].items()
    }
    print(domain, piece, shown, flush=True)
    return found


def content(domains: Sequence[str], seeds: Sequence[int], done: dict[str, Any]) -> dict[str, Any]:
    """The whole result of all pieces."""
    found: dict[str, Any] = {}
    for domain in domains:
        by_seed = {str(one): done[f"{domain} {one}"]["found"] for one in seeds if f"{domain} {one}" in done}
        if not by_seed:
            continue
        if domain == "omics":
            from benchmarks.learner_omics import summary as summary_of_runs

            found[domain] = summary_of_runs(by_seed)
        else:
            found[domain] = summary(domain, by_seed)
            found[domain] |= done.get(f"{domain} {GROWN}", {}).get("found", {})
    todo = [f"{domain} {piece}" for domain, piece in pieces(domains, seeds)]
    return {
        "seeds": list(seeds),
        "commits": sorted({one["commit"] for one in done.values()}),
        "caps": vars(CAPS),
        "sizes": {"learning": LEARNING_SIZES, "held_out": HELD_OUT_SIZES, "test": TEST_SIZES},
        "naive": "the arm 'primitives' of each domain; of omics the frozen runs",
        "missing": [one for one in todo if one not in done],
        "domains": found,
        "public": done.get("public all", {}).get("found"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--domains", default=",".join([*DOMAINS, "public"]))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--json", type=Path, help="what is done so far; the same command goes on")
    parser.add_argument("--curves", type=Path, default=IMAGES, help="folder for the drawn curves")
    parser.add_argument(
        "--so-far", action="store_true", help="store what is done, with a list of what is missing"
    )
    parser.add_argument("--name", help="of the stored result; default learner, of omics alone learner_omics")
    parser.add_argument("--draw", action="store_true", help="only draw the curves of the stored result")
    given = parser.parse_args()
    from benchmarks.learner_curves import draw

    if given.draw:
        draw(json.loads((RESULTS / "learner.json").read_text(encoding="utf-8"))["domains"], given.curves)
        return
    seeds = [int(one) for one in given.seeds.split(",")]
    domains = given.domains.split(",")
    asked = {"domains": domains, "seeds": seeds}
    state: dict[str, Any] = {"asked": asked, "done": {}}
    if given.json and given.json.exists():
        state = json.loads(given.json.read_text(encoding="utf-8"))
        if state.get("asked") != asked:
            sys.exit(f"{given.json} is of another command: {state.get('asked')}")
    for domain, piece in [] if given.so_far else pieces(domains, seeds):
        if f"{domain} {piece}" in state["done"]:
            continue
        begin = time.perf_counter()
        found = without_nan(measure(domain, piece, seeds))
        told = {"found": found, "commit": commit(), "seconds": round(time.perf_counter() - begin, 1)}
        state["done"][f"{domain} {piece}"] = told
        if given.json:
            given.json.write_text(json.dumps(state) + "\n", encoding="utf-8")
    whole = content(domains, seeds, state["done"])
    planning = [one for one in domains if one in DOMAINS]
    store(
        given.name or ("learner" if planning else f"learner_{domains[0]}"),
        whole,
        module="benchmarks.learner",
        arguments=["--domains", given.domains, "--seeds", given.seeds],
        seconds=sum(one["seconds"] for one in state["done"].values()),
    )
    if planning and not given.name:
        draw(whole["domains"], given.curves)


if __name__ == "__main__":
    main()
