"""Steps are taken one by one, each when it is selected: a search for steps that are dear, as those of tools are.

A simulation goes down from the question. In every prefix either the best open child is entered or the next step that was
proposed and not taken yet is taken, whichever PUCT puts first. Below a step that was just taken the policy goes on by itself
to an end, whose reward is told upwards; with a value it stops there, and the value's opinion is told. So a simulation
without a value is a plan drawn from the policy, except that no end is reached twice, and that what was found steers what is
drawn next. Monte Carlo tree search with roll-outs is Coulom (2006); that unvisited steps take their turn among visited ones,
rather than before them, is Rosin (2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from nereus.agents.reasoner.policy import PrefixValue, Request, StepPolicy
from nereus.agents.reasoner.taking import distinct, require_form, take
from nereus.agents.reasoner.tree import Node, Tree, close, tell

if TYPE_CHECKING:
    from nereus.agents.reasoner.search import SearchOptions


@dataclass
class _Descent:
    """A simulation on its way down."""

    tree: Tree
    node: Node
    taken: bool = False
    """Whether a new step was taken: from there on nothing is selected any more."""


def simulate(
    trees: Sequence[Tree], policy: StepPolicy, options: SearchOptions, value: PrefixValue | None = None
) -> None:
    """One simulation of each tree; all go down together, so that models are asked in batches.

    Parameters
    ----------
    trees
        Trees with something left to do.
    policy
        Proposes next steps.
    options
        Of the search.
    value
        Tells what a prefix is worth; without one every simulation goes on to an end.
    """
    going = [_Descent(tree, tree.root) for tree in trees]
    while going:
        _ask([one for one in going if one.node.untaken is None], policy, options)
        fresh: list[_Descent] = []
        left: list[_Descent] = []
        for one in going:
            if not _step(one, options, value):
                (fresh if one.taken and value is not None else left).append(one)
        if value is not None and fresh:
            told = value.values([(one.tree.problem, one.node.state) for one in fresh])
            for one, v in zip(fresh, told, strict=True):
                one.node.value = float(v)
                _end(one, float(v))
        going = left


def _ask(descents: Sequence[_Descent], policy: StepPolicy, options: SearchOptions) -> None:
    """What may follow; after a restart what was taken before is left out, since equal requests give equal steps."""
    requests = [
        Request(
            one.tree.problem,
            one.node.state,
            options.root_children if one.node is one.tree.root else options.children,
            (one.tree.seed, crc32(one.tree.id.encode()), one.node.id),
        )
        for one in descents
    ]
    for one, proposed in zip(descents, policy.propose(requests) if requests else [], strict=True):
        known = {child.step for child in one.node.children}
        one.node.untaken = [step for step in distinct(proposed) if step.step not in known]
        one.node.expanded = True


def _step(one: _Descent, options: SearchOptions, value: PrefixValue | None) -> bool:
    """Go one step down; True where the simulation is at its end."""
    tree, node = one.tree, one.node
    if options.max_calls is not None and tree.calls >= options.max_calls:
        return _end(one, None)
    child = None if one.taken else _best(node, options)
    if child is not None:
        one.node = child
        return False
    if not node.untaken:  # nothing can follow
        return _end(one, 0.0)
    tie = np.random.default_rng((tree.seed, crc32(tree.id.encode()), len(tree.nodes))).random()
    one.node, one.taken = take(tree, node, node.untaken.pop(0), float(tie), value), True
    return _end(one, one.node.reward) if one.node.ended else False


def _best(node: Node, options: SearchOptions) -> Node | None:
    """The open child that comes before the next step that was not taken; None where that step does, or nothing is open."""
    root = options.exploration * sqrt(node.visits)
    start = node.mean if options.unvisited != "zero" else 0.0
    best, best_key = None, (-float("inf"), -1.0)
    if node.untaken:
        best_key = (start + root * node.untaken[0].prior, 1.0)
    for child in node.children:
        if not child.closed:
            key = (
                (child.mean if child.visits else start) + root * child.prior / (1 + child.visits),
                child.tie,
            )
            if key > best_key:
                best, best_key = child, key
    return best


def _end(one: _Descent, reward: float | None) -> bool:
    if reward is not None:
        tell(one.node, reward)
    last = one.node.parent if one.node.ended and one.node.parent is not None else one.node
    if last.untaken is not None:  # what may follow is known
        close(last)
    one.tree.simulations += 1
    if not one.tree.root.untaken:
        require_form(one.tree)
    return True
