"""A tree of plan steps: nodes with visits and rewards, what is chosen next (PUCT), what is told upwards, what is closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Literal

from nereus.agents.reasoner.problem import Problem, State

if TYPE_CHECKING:
    from nereus.agents.reasoner.policy import Proposal

EXPLORATION = 1.5
"""The constant c of PUCT, as in the paper."""

Unvisited = Literal["zero", "parent", "value"]
"""What a child counts as before its first visit."""


@dataclass(slots=True)
class Node:
    """A prefix.

    Attributes
    ----------
    id
        Number in the tree, counted from the root's 0.
    parent
        The prefix without its last step.
    step
        The last step; empty at the root.
    prior
        How likely the policy took it.
    tie
        Drawn once: decides between equals.
    depth
        Number of steps.
    state
        State of the problem.
    visits, total
        N and W: how often something was told through this node, and the sum of it.
    reward
        Of an end; None where steps may follow.
    value
        What the value said of it; None before, and where nothing was asked. Ends have one only where no checker told their
        reward.
    violation
        What was wrong with its form.
    solution
        Whether the step was a whole solution.
    expanded, closed
        Whether steps that may follow were asked for; whether nothing below can be selected any more.
    children
        Prefixes that are one step longer.
    untaken
        Steps that were proposed and not taken yet, most promising first, where steps are taken one by one; None where
        nothing was asked for, or where all are taken at once.
    """

    id: int
    parent: Node | None
    step: str
    prior: float
    tie: float
    depth: int
    state: State
    visits: int = 0
    total: float = 0.0
    reward: float | None = None
    value: float | None = None
    violation: str = ""
    solution: bool = False
    expanded: bool = False
    closed: bool = False
    children: list[Node] = field(default_factory=list)
    untaken: list[Proposal] | None = None

    @property
    def mean(self) -> float:
        """Mean of what was told through it; 0 where nothing was."""
        return self.total / self.visits if self.visits else 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.reward is not None

    @property
    def judged(self) -> bool:
        """Whether its reward is a value's opinion, because the problem has no checker: nothing is known of such an end."""
        return self.reward is not None and self.value is not None

    def path(self) -> list[Node]:
        """From the first step to this one, without the root."""
        found: list[Node] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


@dataclass
class Tree:
    """The search of one question.

    Attributes
    ----------
    id
        Name of the tree.
    problem
        What is searched in.
    seed
        Of ties and draws.
    nodes
        All nodes by number; the first is the root.
    simulations
        How many were made.
    calls
        How often the problem was stepped.
    sample
        A step whose form was wrong, to show where every one was.
    """

    id: str
    problem: Problem
    seed: int
    nodes: list[Node] = field(default_factory=list)
    simulations: int = 0
    calls: int = 0
    sample: str = ""

    @classmethod
    def rooted(cls, id: str, problem: Problem, seed: int) -> Tree:
        """A tree with nothing but its root."""
        return cls(id, problem, seed, [Node(0, None, "", 1.0, 0.0, 0, problem.start())])

    @property
    def root(self) -> Node:
        """The question itself."""
        return self.nodes[0]

    @property
    def closed(self) -> bool:
        """Whether there is nothing left to select."""
        return self.root.closed

    @property
    def solved(self) -> Node | None:
        """The first end to which a checker gave the full reward; None while there is none."""
        return next(
            (
                node
                for node in self.nodes
                if node.reward is not None and node.reward >= 1.0 and node.value is None
            ),
            None,
        )

    def leaves(self) -> Iterator[Node]:
        """All ends, in the order in which they were found."""
        return (node for node in self.nodes if node.ended)


def select(tree: Tree, exploration: float = EXPLORATION, unvisited: Unvisited = "zero") -> Node:
    """The node to expand: from the root, the open child with the largest mean reward plus exploration, until one is not expanded.

    Closed children are never entered. Ties are broken by what was drawn for the nodes when they were made. A child that was
    never visited counts as 0 (the paper), as its parent's mean, or as what the value said of it.
    """
    node = tree.root
    while node.expanded:
        root = sqrt(node.visits)
        best, best_key = None, (-float("inf"), -1.0)
        start = node.total / node.visits if unvisited == "parent" else 0.0
        for child in node.children:
            if not child.closed:
                mean = (
                    child.total / child.visits
                    if child.visits
                    else start
                    if child.value is None
                    else child.value
                )
                key = (mean + exploration * child.prior * root / (1 + child.visits), child.tie)
                if key > best_key:
                    best, best_key = child, key
        if best is None:
            raise ValueError(f"node {node.id} of tree {tree.id} is open but has no open child")
        node = best
    return node


def tell(node: Node, reward: float) -> None:
    """Add a reward to a node and to all above it."""
    at: Node | None = node
    while at is not None:
        at.visits += 1
        at.total += reward
        at = at.parent


def close(node: Node) -> None:
    """Close a node, and those above it of which every step was taken and every child is closed."""
    at: Node | None = node
    while at is not None and not at.untaken and all(child.closed for child in at.children):
        at.closed = True
        at = at.parent
