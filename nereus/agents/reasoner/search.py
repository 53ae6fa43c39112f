"""Search over plan steps: all trees advance together, one selection a tree at a time, so that models are asked in batches.

One simulation of a tree: select a prefix, ask the value what it is worth, ask the policy what may follow, take each of
these steps (which executes tools where steps are tool calls), and tell upwards. Ends are told when they are found; a prefix that
does not end is told with its value at the moment when it is expanded. Where steps are dear they are better taken one by one,
when they are selected: see `nereus.agents.reasoner.single_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from zlib import crc32

import numpy as np
from pydantic import ConfigDict, Field

from nereus.agents.reasoner import single_steps
from nereus.agents.reasoner.policy import PrefixValue, Proposal, Request, StepPolicy
from nereus.agents.reasoner.taking import WHERE, distinct, require_form, take
from nereus.agents.reasoner.tree import EXPLORATION, Node, Tree, Unvisited, close, select, tell
from nereus.errors import InputError
from nereus.explained import Explained


class SearchOptions(Explained):
    """How a tree grows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    simulations: int = Field(default=40, ge=1)
    """Simulations of each tree."""
    max_calls: int | None = Field(default=None, ge=1)
    """Steps of the problem that may be taken in each tree; searches are compared at equal numbers of these."""
    root_children: int = Field(default=5, ge=1)
    """Steps that are tried after the question."""
    children: int = Field(default=3, ge=1)
    """Steps that are tried after every other prefix."""
    exploration: float = Field(default=EXPLORATION, ge=0)
    """The constant c of PUCT."""
    unvisited: Unvisited = "zero"
    """What a prefix counts as before it is visited: 0 as in the paper, its parent's mean, or what the value says of it (which
    asks the value more often, but takes no step more)."""
    steps: Literal["all", "one"] = "all"
    """Whether all proposed steps of a prefix are taken when it is expanded, as in the paper, or each when it is selected."""
    stop_when_solved: bool = True
    """Whether a tree that has an end with the full reward is left."""


def search(
    trees: Sequence[Tree],
    policy: StepPolicy,
    options: SearchOptions,
    *,
    value: PrefixValue | None = None,
    simulations: int | None = None,
) -> None:
    """Grow trees in place.

    Parameters
    ----------
    trees
        Trees of any questions, each at any stage.
    policy
        Proposes next steps.
    options
        Of the search.
    value
        Tells what prefixes are worth; without one, only ends tell anything.
    simulations
        How many to make now, where not all of the options.

    Raises
    ------
    InputError
        There is neither a checker nor a value, the budget does not cover the first expansion, or no reply has the right form.
    """
    if options.steps == "all" and options.max_calls is not None and options.max_calls < options.root_children:
        raise InputError(
            f"{options.max_calls} steps do not cover the {options.root_children} that follow the question",
            where=WHERE,
            mend="raise the budget or lower root_children",
        )
    simulate = _expanding if options.steps == "all" else single_steps.simulate
    for _ in range(options.simulations if simulations is None else simulations):
        active = [tree for tree in trees if not finished(tree, options)]
        if not active:
            return
        simulate(active, policy, options, value)


def _expanding(
    trees: Sequence[Tree], policy: StepPolicy, options: SearchOptions, value: PrefixValue | None
) -> None:
    """One simulation of each tree that expands a prefix: all steps that are proposed are taken."""
    nodes = [select(tree, options.exploration, options.unvisited) for tree in trees]
    estimates = _estimates(trees, nodes, value)
    requests = [
        Request(
            tree.problem,
            node.state,
            _count(tree, node, options),
            (tree.seed, crc32(tree.id.encode()), node.id),
        )
        for tree, node in zip(trees, nodes, strict=True)
    ]
    proposals = policy.propose(requests)
    for tree, node, estimate, proposed in zip(trees, nodes, estimates, proposals, strict=True):
        expand(tree, node, proposed, estimate, value)
    if value is not None and options.unvisited == "value":
        fresh = [
            (t, child)
            for t, node in zip(trees, nodes, strict=True)
            for child in node.children
            if not child.ended
        ]
        told = value.values([(t.problem, child.state) for t, child in fresh])
        for (_, child), v in zip(fresh, told, strict=True):
            child.value = float(v)


def expand(
    tree: Tree,
    node: Node,
    proposals: Sequence[Proposal],
    estimate: float | None,
    value: PrefixValue | None = None,
) -> None:
    """Add the proposed steps below a node, take each, and tell upwards. A node is expanded once."""
    if node.expanded or node.ended:
        raise ValueError(f"node {node.id} of tree {tree.id} was expanded before")
    node.expanded, node.value = True, estimate
    tree.simulations += 1
    ties = np.random.default_rng((tree.seed, crc32(tree.id.encode()), node.id, 1)).random(len(proposals))
    for proposal, tie in zip(distinct(proposals), ties, strict=False):
        take(tree, node, proposal, float(tie), value)
    tell(node, 0.0 if estimate is None else estimate)
    for child in node.children:
        if child.reward is not None:
            tell(child, child.reward)
    close(node)
    if node is tree.root:
        require_form(tree)


def finished(tree: Tree, options: SearchOptions) -> bool:
    """Whether nothing is left to do: everything is closed, the budget is used, or it is solved and that is enough."""
    if tree.closed or tree.simulations >= options.simulations:
        return True
    if options.max_calls is not None and tree.calls >= options.max_calls:
        return True
    return options.stop_when_solved and tree.solved is not None


def _count(tree: Tree, node: Node, options: SearchOptions) -> int:
    count = options.root_children if node is tree.root else options.children
    return count if options.max_calls is None else min(count, options.max_calls - tree.calls)


def _estimates(trees: Sequence[Tree], nodes: Sequence[Node], value: PrefixValue | None) -> list[float | None]:
    if value is None:
        return [None] * len(nodes)
    fresh = [i for i, node in enumerate(nodes) if node.value is None]  # a prefix is valued once
    told = value.values([(trees[i].problem, nodes[i].state) for i in fresh]) if fresh else ()
    for i, v in zip(fresh, told, strict=True):
        nodes[i].value = float(v)
    return [node.value for node in nodes]
