"""What grown trees teach: solved paths to imitate, pairs of siblings to prefer between, values of prefixes.

Only what shares a prefix is compared, as a rule only a clearly good step (worth more than 0) with a clearly bad one (less);
what ended for its form or its length teaches nothing, nor does an end that no checker saw.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nereus.agents.reasoner.problem import Problem, State
from nereus.agents.reasoner.tree import Node, Tree
from nereus.errors import InputError
from nereus.models.language.cpl.choices import Array, Choices, Comparison, Described, Imitation
from nereus.models.language.cpl.rows import SolutionPath, StepPair, ValueTarget

Target = Literal["mean", "best", "soft"]

MAX_PATHS = 4
"""Solved paths of one question that are imitated, as in the paper."""
SOLUTION_SCALE = 0.3
"""What values of whole solutions are multiplied with in pairs, as in the paper."""
SOFTNESS = 0.3
"""Temperature of soft values: the beta of Step-APO, whose derivation they come from."""
LEAST_GAP = 0.05
"""Steps whose values differ by less are not compared."""


@dataclass(frozen=True)
class Harvest:
    """Rows of training data from trees.

    Attributes
    ----------
    paths
        Solved paths, at most `MAX_PATHS` a question.
    pairs
        Pairs of siblings.
    values
        Prefixes that lie on a path to an end, with their mean rewards.
    trees
        How many trees they come from.
    """

    paths: list[SolutionPath]
    pairs: list[StepPair]
    values: list[ValueTarget]
    trees: int

    def require_pairs(self) -> None:
        """Raise `InputError` where there is no pair to learn from."""
        if not self.pairs:
            raise InputError(
                f"0 preference pairs from {self.trees} trees: problems too easy/hard for this policy",
                where="reasoner",
                mend="search longer, take other problems, or train on solved paths first",
            )


def harvest(
    trees: Sequence[Tree],
    seed: int = 0,
    max_paths: int = MAX_PATHS,
    target: Target = "mean",
    signs: bool = True,
    max_pairs: int | None = None,
    parts: Collection[str] = ("paths", "pairs", "values"),
) -> Harvest:
    """Collect what trees teach; equal trees and seeds give equal rows.

    Parameters
    ----------
    trees
        Grown trees.
    seed
        Of the choice of paths.
    max_paths
        Solved paths of a question.
    target
        What a prefix is worth, in values and pairs: the mean of what was told through it (the paper); the best reward that
        was found behind it, which is what the optimum of a deterministic problem is worth; or the soft maximum of what its
        next steps are worth, weighted by their priors, which is the V* that Step-APO is derived with.
    signs
        Compare only steps that are worth more than 0 with ones that are worth less; otherwise all of which one is worth more.
    max_pairs
        Pairs of a tree that are drawn; all by default.
    parts
        What is made; the others stay empty.
    """
    paths: list[SolutionPath] = []
    pairs: list[StepPair] = []
    values: list[ValueTarget] = []
    for tree in trees:
        rng = np.random.default_rng((seed, tree.seed, len(tree.nodes)))
        ends = [leaf for leaf in tree.leaves() if not (leaf.violation or leaf.judged)]
        enough = 1.0
        if tree.problem.graded:
            enough = max([1e-9, *(leaf.reward for leaf in ends if leaf.reward is not None)])
        solved = [leaf for leaf in ends if leaf.reward is not None and leaf.reward >= enough]
        chosen = rng.permutation(len(solved))[:max_paths]
        paths += [_path(tree, solved[i]) for i in sorted(chosen)] if "paths" in parts else []
        worth = _worth(tree, target)
        pairs += _pairs(tree, worth, signs, max_pairs, rng) if "pairs" in parts else []
        values += _values(tree, worth) if "values" in parts else []
    return Harvest(paths, pairs, values, len(trees))


def _path(tree: Tree, leaf: Node) -> SolutionPath:
    nodes = leaf.path()
    return SolutionPath(
        question=tree.problem.question,
        prompts=tuple(tree.problem.prompt(_above(node).state) for node in nodes),
        steps=tuple(node.step for node in nodes),
        reward=float(leaf.reward or 0.0),
        tree=tree.id,
        nodes=tuple(node.id for node in nodes),
    )


def _worth(tree: Tree, target: Target) -> list[float | None]:
    """What each node is worth by number; None where no end was found behind it that tells anything."""
    worth: list[float | None] = [
        None if node.violation or node.judged else node.reward for node in tree.nodes
    ]
    if target == "soft":
        for node in reversed(tree.nodes):
            if node.expanded:
                worth[node.id] = _soft(
                    [(child.prior, q) for child in node.children if (q := worth[child.id]) is not None]
                )
        return worth
    for node in reversed(tree.nodes):  # children come after their parents
        own = worth[node.id]
        if node.parent is not None and own is not None:
            above = worth[node.parent.id]
            worth[node.parent.id] = own if above is None else max(above, own)
    if target == "mean":
        worth = [
            None if w is None else float(np.clip(n.mean, -1, 1))
            for n, w in zip(tree.nodes, worth, strict=True)
        ]
    return worth


def _soft(known: Sequence[tuple[float, float]]) -> float | None:
    """Soft maximum of values, weighted by priors: beta * log of the mean of exp(Q / beta); None where nothing is known."""
    if not known:
        return None
    prior, q = np.array(known).T
    top = float(q.max())
    weights = prior / prior.sum() if prior.sum() > 0 else np.full(len(q), 1 / len(q))
    return top + SOFTNESS * float(np.log(weights @ np.exp((q - top) / SOFTNESS)))


def _pairs(
    tree: Tree, worth: list[float | None], signs: bool, most: int | None, rng: np.random.Generator
) -> list[StepPair]:
    made: list[tuple[Node, float, Node, float, float]] = []
    for parent in tree.nodes:
        told = [(child, q) for child in parent.children if (q := worth[child.id]) is not None]
        steps = [one for one in told if not one[0].solution]
        made += [
            (w, q_w, l, q_l, 1.0)
            for w, q_w in steps
            for l, q_l in steps  # noqa: E741 - the paper's names
            if (q_w > 0 > q_l if signs else q_w - q_l >= LEAST_GAP)
        ]
        ends = sorted((one for one in told if one[0].solution), key=lambda one: (one[1], -one[0].id))
        if ends and ends[-1][1] > 0 > ends[0][1]:
            made.append((*ends[-1], *ends[0], SOLUTION_SCALE))
    if most is not None and len(made) > most:
        made = [made[i] for i in np.sort(rng.permutation(len(made))[:most])]
    parents = {one.id: one for better, *_ in made for one in (_above(better),)}
    prompts = {number: tree.problem.prompt(one.state) for number, one in parents.items()}
    return [
        StepPair(
            prompt=prompts[_above(w).id],
            chosen=w.step,
            rejected=l.step,
            q_chosen=q_w * scale,
            q_rejected=q_l * scale,
            kind="solution" if w.solution else "step",
            tree=tree.id,
            parent=_above(w).id,
            siblings=(w.id, l.id),
        )
        for w, q_w, l, q_l, scale in made  # noqa: E741
    ]


def _values(tree: Tree, worth: list[float | None]) -> list[ValueTarget]:
    return [
        ValueTarget(prompt=tree.problem.prompt(node.state), value=w, tree=tree.id, node=node.id)
        for node, w in zip(tree.nodes, worth, strict=True)
        if w is not None
    ]


def _above(node: Node) -> Node:
    if node.parent is None:
        raise ValueError("the root follows no step")
    return node.parent


# ----------------------------------------------------------------------------------- for policies over described steps


class Packing:
    """Turns rows back into described decisions, by the trees that they come from."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = {tree.id: tree for tree in trees}
        if len(self._trees) < len(trees):
            raise InputError(
                "two trees have the same name", where="reasoner", mend="name each question's tree apart"
            )

    def imitation(self, paths: Sequence[SolutionPath]) -> Imitation:
        """Every decision of the paths, and which step was taken."""
        sets: list[Described] = []
        taken: list[int] = []
        for path in paths:
            problem = self._trees[path.tree].problem
            for number in path.nodes:
                node = self._trees[path.tree].nodes[number]
                moves, described = _decision(problem, _above(node).state)
                sets.append(described)
                taken.append(moves[node.step])
        return Imitation(Choices.of(sets), np.asarray(taken, dtype=np.int64))

    def comparison(self, pairs: Sequence[StepPair]) -> Comparison:
        """Each pair with all steps that could have been taken instead."""
        known: dict[tuple[str, int], tuple[dict[str, int], Described]] = {}
        sets: list[Described] = []
        places: list[tuple[int, int]] = []
        for pair in pairs:
            at = (pair.tree, pair.parent)
            if at not in known:
                tree = self._trees[pair.tree]
                known[at] = _decision(tree.problem, tree.nodes[pair.parent].state)
            moves, described = known[at]
            sets.append(described)
            places.append((moves[pair.chosen], moves[pair.rejected]))
        both = np.asarray(places, dtype=np.int64).reshape(-1, 2)
        return Comparison(
            Choices.of(sets),
            both[:, 0],
            both[:, 1],
            np.asarray([pair.q_chosen for pair in pairs]),
            np.asarray([pair.q_rejected for pair in pairs]),
        )

    def values(self, targets: Sequence[ValueTarget]) -> tuple[Described, Array]:
        """Described prefixes and their mean rewards; ends are left out, since nothing asks for their value."""
        open_ones = [one for one in targets if not self._trees[one.tree].nodes[one.node].ended]
        if not open_ones:
            raise InputError(
                "no prefix with a known reward behind it", where="reasoner", mend="search until paths end"
            )
        rows = []
        for one in open_ones:
            tree = self._trees[one.tree]
            rows.append(tree.problem.describe_state(tree.nodes[one.node].state))
        return Described.together(rows), np.asarray([one.value for one in open_ones])


def _decision(problem: Problem, state: State) -> tuple[dict[str, int], Described]:
    moves = problem.moves(state)
    return {step: i for i, step in enumerate(moves)}, problem.describe(state, moves)
