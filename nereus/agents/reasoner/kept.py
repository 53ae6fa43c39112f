"""Trees in the database: written when a block of simulations is done, read back as they were."""

from __future__ import annotations

from typing import Any

from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.tree import Node, Tree
from nereus.errors import InputError
from nereus.memory.trees import KeptNode, KeptTree, Trees


class TreeKeeper:
    """Writes what changed in trees, and reads trees.

    Parameters
    ----------
    trees
        The repository.
    run_id
        The run that they belong to; they go with it.
    """

    def __init__(self, trees: Trees, run_id: str | None = None) -> None:
        self.trees = trees
        self.run_id = run_id
        self._written: dict[str, dict[int, tuple[Any, ...]]] = {}

    def save(self, tree: Tree, document: dict[str, Any] | None = None) -> int:
        """Write the nodes that changed since they were written last, in one transaction; returns how many."""
        written = self._written.setdefault(tree.id, {})
        changed = [node for node in tree.nodes if written.get(node.id) != _marks(node)]
        head = KeptTree(
            tree.id, self.run_id, tree.problem.name, tree.problem.question, tree.seed, tree.simulations, tree.calls,
            tree.closed, document or {},
        )  # fmt: skip
        self.trees.save(head, (_kept(node, tree.problem) for node in changed))
        written.update({node.id: _marks(node) for node in changed})
        return len(changed)

    def load(self, tree_id: str, problem: Problem) -> Tree:
        """Read a tree; the problem gives its states their meaning.

        Raises
        ------
        NotFound
            There is no such tree.
        InputError
            The tree is of another question.
        """
        head = self.trees.tree(tree_id)
        if head.question != problem.question or head.problem != problem.name:
            raise InputError(
                f"tree {tree_id!r} is of {head.question[:80]!r}, not of {problem.question[:80]!r}",
                where="reasoner",
                mend="give the problem that it was grown for, or start a new tree",
            )
        tree = Tree(head.id, problem, head.seed, [], head.simulations, head.calls)
        for one in self.trees.nodes(tree_id):
            parent = None if one.parent is None else tree.nodes[one.parent]
            node = Node(
                one.id, parent, one.step, one.prior, one.tie, one.depth, problem.restore(one.state), one.visits,
                one.total, one.reward, one.value, one.violation, one.solution, one.expanded, one.closed,
            )  # fmt: skip
            if parent is not None:
                parent.children.append(node)
            tree.nodes.append(node)
        self._written[tree.id] = {node.id: _marks(node) for node in tree.nodes}
        return tree


def _marks(node: Node) -> tuple[Any, ...]:
    return node.visits, node.total, node.reward, node.value, node.expanded, node.closed


def _kept(node: Node, problem: Problem) -> KeptNode:
    return KeptNode(
        node.id, None if node.parent is None else node.parent.id, node.depth, node.step, node.prior, node.tie, node.visits,
        node.total, node.reward, node.value, node.violation, node.solution, node.expanded, node.closed,
        problem.dump(node.state),
    )  # fmt: skip
