"""Three ways to answer: the likeliest plan (greedy), the best of several drawn plans, and search (mcts).

They are told apart in every comparison: where search is used at test time the baselines search, too, at equal numbers
of steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nereus.agents.reasoner.policy import PrefixValue, Request, StepPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions, search
from nereus.agents.reasoner.tree import Node, Tree
from nereus.errors import InputError

Mode = Literal["greedy", "best_of_n", "mcts"]


@dataclass(frozen=True)
class Answer:
    """A plan and what is thought of it.

    Attributes
    ----------
    steps
        The plan, with its solution as the last step where that is text.
    values
        One a step: mean reward seen behind it in a search, or what the value says of it; NaN where neither is known.
    reward
        What the checker says of its end; None without a checker, or where the plan has no end.
    calls
        How often the problem was stepped.
    tree
        The tree of a search.
    """

    steps: tuple[str, ...]
    values: tuple[float, ...]
    reward: float | None
    calls: int
    tree: Tree | None = field(default=None, repr=False)

    @property
    def solved(self) -> bool:
        """Whether the checker gives the full reward."""
        return self.reward is not None and self.reward >= 1.0


def greedy(problem: Problem, policy: StepPolicy, seed: int = 0) -> Answer:
    """Take the likeliest step until an end. A policy that draws is asked for all typed steps; of free text the first counts."""
    state, steps, reward = problem.start(), [], None
    for depth in range(problem.max_depth):
        count = max(1, len(problem.moves(state)))
        proposed = policy.propose([Request(problem, state, count, (seed, depth))])[0]
        if not proposed:
            break
        step = max(proposed, key=lambda one: one.prior).step
        turn = problem.play(state, step)
        steps.append(step)
        state, reward = turn.state, turn.reward
        if turn.ended:
            break
    return Answer(tuple(steps), (float("nan"),) * len(steps), reward, len(steps))


def best_of_n(
    problem: Problem, policy: StepPolicy, n: int, *, value: PrefixValue | None = None, seed: int = 0
) -> Answer:
    """Draw `n` plans and keep the one that the checker, and where that does not tell the value, likes best."""
    if n < 1:
        raise InputError(f"{n} plans cannot be drawn", where="reasoner", mend="draw one or more")
    best: tuple[float, Answer] | None = None
    calls = 0
    for draw in range(n):
        state, steps, reward, ended = problem.start(), [], None, False
        for depth in range(problem.max_depth):
            proposed = policy.propose([Request(problem, state, 1, (seed, draw, depth))])[0]
            if not proposed:
                break
            turn = problem.play(state, proposed[0].step)
            calls += 1
            steps.append(proposed[0].step)
            state, reward, ended = turn.state, turn.reward, turn.ended
            if ended:
                break
        if reward is None and ended and value is None:
            raise InputError(
                "plans cannot be told apart: the problem has no checker and no value was fitted",
                where="reasoner",
                mend="give `checker` or a fitted value",
            )
        liked = (
            reward
            if reward is not None
            else float(value.values([(problem, state)])[0])
            if value and ended
            else -1.0
        )
        made = Answer(tuple(steps), (float("nan"),) * len(steps), reward if ended else None, 0)
        if best is None or liked > best[0]:
            best = (liked, made)
        if made.solved:
            break
    assert best is not None
    return Answer(best[1].steps, best[1].values, best[1].reward, calls)


def mcts(
    problem: Problem,
    policy: StepPolicy,
    options: SearchOptions,
    *,
    value: PrefixValue | None = None,
    seed: int = 0,
    name: str = "tree",
) -> Answer:
    """Search, and answer with the best path of the tree."""
    tree = Tree.rooted(name, problem, seed)
    search([tree], policy, options, value=value)
    return answer_of(tree)


def answer_of(tree: Tree) -> Answer:
    """The best path: to the end with the highest reward, of equal ones the most visited; else where most visits went."""
    ends = [leaf for leaf in tree.leaves() if not leaf.violation]
    if ends:
        best = max(
            ends, key=lambda leaf: (leaf.reward or 0.0, leaf.parent.visits if leaf.parent else 0, -leaf.id)
        )
    else:
        best = tree.root
        while best.children:
            best = max(best.children, key=lambda child: (child.visits, child.mean, child.tie))
    path = best.path()
    return Answer(
        tuple(node.step for node in path),
        tuple(_known(node) for node in path),
        None if best.judged else best.reward,
        tree.calls,
        tree,
    )


def _known(node: Node) -> float:
    return node.mean if node.visits else float("nan") if node.value is None else node.value
