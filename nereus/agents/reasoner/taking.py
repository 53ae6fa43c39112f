"""A proposed step is taken: the problem is stepped, and what comes of it is a node."""

from __future__ import annotations

from collections.abc import Sequence

from nereus.agents.reasoner.policy import PrefixValue, Proposal
from nereus.agents.reasoner.problem import Turn
from nereus.agents.reasoner.tree import Node, Tree
from nereus.errors import InputError

WHERE = "reasoner"
SHOWN = 200
"""Characters of a step that are shown in an error."""


def take(tree: Tree, node: Node, proposal: Proposal, tie: float, value: PrefixValue | None = None) -> Node:
    """Take a step below a node. An end gets its reward and is closed; nothing is told upwards yet."""
    turn = tree.problem.play(node.state, proposal.step)
    tree.calls += 1
    depth = node.depth + 1
    child = Node(
        len(tree.nodes), node, proposal.step, proposal.prior, tie, depth, turn.state, solution=turn.solution
    )
    if not turn.ended and depth >= tree.problem.max_depth:
        turn = Turn(turn.state, True, -1.0, f"no end after {depth} steps")
    if turn.ended:
        child.reward = _told(turn)
        if child.reward is None:
            child.reward = child.value = _judged(tree, child, value)
        child.closed, child.violation = True, turn.violation
        if turn.violation:
            tree.sample = tree.sample or proposal.step
    node.children.append(child)
    tree.nodes.append(child)
    return child


def _told(turn: Turn) -> float | None:
    """The reward that an end has by its form or by its checker; None where there is no checker."""
    if turn.violation:
        return -1.0
    return None if turn.reward is None else float(min(max(turn.reward, -1.0), 1.0))


def _judged(tree: Tree, child: Node, value: PrefixValue | None) -> float:
    if value is None:
        raise InputError(
            "nothing to back up: the problem has no checker and no value was fitted",
            where=f"{WHERE}, question {tree.problem.question[:SHOWN]!r}",
            mend="give `checker` or a fitted value",
        )
    return float(value.values([(tree.problem, child.state)])[0])


def distinct(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Proposals with different texts; of equal ones the first."""
    found: dict[str, Proposal] = {}
    for one in proposals:
        found.setdefault(one.step, one)
    return list(found.values())


def require_form(tree: Tree) -> None:
    """Raise `InputError` where every step after the question has a wrong form."""
    if tree.root.children and all(child.violation and child.ended for child in tree.root.children):
        first = tree.root.children[0]
        if tree.problem.max_depth > 1:
            raise InputError(
                f"all {len(tree.root.children)} steps have a wrong form ({first.violation}), for example {first.step[:SHOWN]!r}",
                where=f"{WHERE}, question {tree.problem.question[:SHOWN]!r}",
                mend="show the policy worked examples, or train it on solved paths first",
            )
