"""Does the order in which plans are tried matter? Tree search, random plans and stage by stage, with the same rewards and steps.

Every plan of a study is executed once, on the plantings and on the study itself; then searches run over that table, many
times and with several budgets, which costs nothing. What each would answer is scored by the study's truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np

from nereus.agents.reasoner.modes import mcts
from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.agents.reasoner.search import SearchOptions
from nereus.agents.reasoner.tasks.tool_plans import STAGES, ToolPlan

BUDGETS = (8, 12, 20, 30, 46)
"""Steps that a search may take; with the last a tree of two dozen plans is searched through."""
DRAWS = 20
"""Searches of each order and budget."""

Plan = tuple[str, ...]


class Tabled(Problem):
    """The plans of a `ToolPlan` whose rewards are known."""

    name: ClassVar[str] = "tabled plan"
    max_depth = len(STAGES)
    graded = True

    def __init__(self, options: Sequence[Sequence[str]], rewards: Mapping[Plan, float]) -> None:
        self.options, self.rewards = options, rewards

    @property
    def question(self) -> str:
        """See `Problem`."""
        return "which of the tabled plans is best"

    def start(self) -> State:
        """See `Problem`."""
        return ()

    def moves(self, state: State) -> Sequence[str]:
        """See `Problem`."""
        assert isinstance(state, tuple)
        return () if len(state) >= len(self.options) else self.options[len(state)]

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        assert isinstance(state, tuple)
        after = (*state, step)
        return Turn(after) if len(after) < len(self.options) else Turn(after, True, self.rewards[after])

    def prompt(self, state: State) -> str:
        """See `Problem`."""
        return f"{state}"


def table(problem: ToolPlan, score: Callable[[Plan], float]) -> dict[Plan, tuple[float, float]]:
    """Every plan with its reward and its true score; plans that the tools refuse have -1 and the score of doing nothing, 0."""
    found = {}
    for plan in product(*(problem.options[stage] for stage in STAGES)):
        turn = problem.play(plan[:-1], plan[-1])
        assert turn.reward is not None
        found[plan] = (turn.reward, 0.0 if turn.violation else score(problem.best(plan, turn.reward)))
    return found


def orders(problem: ToolPlan, known: Mapping[Plan, tuple[float, float]]) -> dict[str, Any]:
    """Mean true score of what each order answers, by budget; and what the best plan by reward and by truth would score."""
    rewards = {plan: reward for plan, (reward, _) in known.items()}
    template = known[problem.template][1]
    tabled = Tabled([problem.options[stage] for stage in STAGES], rewards)
    made: dict[str, Any] = {}
    for budget in BUDGETS:
        answers: dict[str, list[Plan | None]] = {
            "tree": [_by_tree(tabled, budget, draw, "all") for draw in range(DRAWS)],
            "tree_one_by_one": [_by_tree(tabled, budget, draw, "one") for draw in range(DRAWS)],
            "random": [_by_chance(tabled, budget, draw) for draw in range(DRAWS)],
            "stage_by_stage": [_by_stages(tabled, problem.template, budget)],
        }
        made[f"steps_{budget}"] = {
            name: float(np.mean([template if one is None else known[one][1] for one in plans]))
            for name, plans in answers.items()
        }
    made["best_by_reward"] = known[max(rewards, key=rewards.__getitem__)][1]
    made["best_by_truth"] = max(truth for _, truth in known.values())
    return made


def _by_tree(tabled: Tabled, budget: int, draw: int, steps: Literal["all", "one"]) -> Plan | None:
    options = SearchOptions(simulations=1000, root_children=4, children=4, max_calls=budget, steps=steps)
    found = mcts(tabled, UniformPolicy(), options, seed=draw)
    return found.steps if found.reward is not None else None


def _by_chance(tabled: Tabled, budget: int, draw: int) -> Plan | None:
    rng = np.random.default_rng((draw, 11))
    plans = [
        tuple(stage[int(rng.integers(len(stage)))] for stage in tabled.options)
        for _ in range(budget // len(tabled.options))
    ]
    return max(plans, key=lambda plan: tabled.rewards[plan], default=None)


def _by_stages(tabled: Tabled, template: Plan, budget: int) -> Plan:
    """From the template, stage after stage, whatever is better than what was best so far; steps before the stage are shared."""
    best, left = template, budget
    for at, stage in enumerate(tabled.options):
        for step in stage:
            cost = len(tabled.options) - at
            if step == best[at] or cost > left:
                continue
            left -= cost
            plan = (*best[:at], step, *best[at + 1 :])
            if tabled.rewards[plan] > tabled.rewards[best]:
                best = plan
    return best
