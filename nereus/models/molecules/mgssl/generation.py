"""The generator: grows a molecule's tree of motifs, with every true motif shown before the next is asked for.

A tree-GRU carries messages ``h_ij`` from motif ``i`` to its neighbour ``j``, with ``k`` over the neighbours of ``i`` that were
visited before, other than ``j``:

    s = sum_k h_ki          z = sigma(Wz [x_i, s])        r_k = sigma(Wr x_i + Ur h_ki)
    h' = tanh(W [x_i, sum_k r_k * h_ki])                  h_ij = (1 - z) * s + z * h'

Depth first: on every visit of a motif it is asked whether it has a further child, and on the way down which. Level by level:
which child comes next, with "no further one" as one more class. In the latter a child that was grown tells its parent what it is,
before its own children are known, so that the next sibling is asked for in the light of it (our form: the paper leaves it open).

References
----------
Zhang et al., NeurIPS 2021, arXiv:2110.00987; Jin et al., ICML 2018, arXiv:1802.04364 (the tree-GRU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nereus.models.molecules.mgssl.trees import TreeBatch


class TreeGRU(nn.Module):
    """The message of a motif from its vector and the messages that reached it.

    Parameters
    ----------
    width
        Width of vectors and messages.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.update = nn.Linear(2 * width, width)
        self.reset_own = nn.Linear(width, width, bias=False)
        self.reset_message = nn.Linear(width, width)
        self.candidate = nn.Linear(2 * width, width)

    def gated(self, x: Tensor, message: Tensor) -> Tensor:
        """``r_k * h_ki`` of a message ``h_ki`` to a motif with vector ``x_i``, (messages, width)."""
        return torch.sigmoid(self.reset_own(x) + self.reset_message(message)) * message

    def forward(self, x: Tensor, total: Tensor, gated: Tensor) -> Tensor:
        """``h_ij`` from ``x_i``, the sum of messages and the sum of gated messages, (motifs, width)."""
        z = torch.sigmoid(self.update(torch.cat([x, total], 1)))
        candidate = torch.tanh(self.candidate(torch.cat([x, gated], 1)))
        return (1 - z) * total + z * candidate


@dataclass(frozen=True)
class Grown:
    """What the generator was asked, answered, and should have answered.

    Attributes
    ----------
    labels : Tensor
        Logits of the next motif, (questions, classes); level by level the last class is "no further one".
    true_labels : Tensor
        (questions,).
    further : Tensor
        Depth first: logits of a further child, (visits,); else empty.
    true_further : Tensor
        0 or 1, (visits,).
    """

    labels: Tensor
    true_labels: Tensor
    further: Tensor
    true_further: Tensor


class MotifGenerator(nn.Module):
    """Predicts a tree's motifs and its shape from the vectors of its motifs.

    Parameters
    ----------
    width
        Width of motifs and messages.
    classes
        Motifs of the vocabulary, with the unknown one.
    order
        Depth first or level by level.
    """

    def __init__(self, width: int, classes: int, order: Literal["dfs", "bfs"]) -> None:
        super().__init__()
        self.width, self.classes, self.order = width, classes, order
        self.gru = TreeGRU(width)
        self.hidden = nn.Linear(width, width)
        self.label = nn.Linear(width, classes + (order == "bfs"))
        self.visit = nn.Linear(2 * width, width)
        self.further = nn.Linear(width, 1)

    def forward(self, x: Tensor, tree: TreeBatch) -> Grown:
        """Answers for all trees that have more than one motif.

        Parameters
        ----------
        x
            Vectors of motifs, (nodes, width).
        tree
            The trees.
        """
        kids = tree.children
        above = tree.parents[kids]
        back = self._upwards(x, tree) if self.order == "dfs" else self._leaves(x)
        gated_back = torch.zeros_like(back).index_copy(0, kids, self.gru.gated(x[above], back[kids]))
        before = torch.zeros_like(back).index_add(0, tree.later, back[tree.earlier])
        gated_before = torch.zeros_like(back).index_add(0, tree.later, gated_back[tree.earlier])
        down = self._downwards(x, tree, before, gated_before)
        after = down.index_add(0, above, back[kids])  # all that a motif hears, when its last child is grown
        asked = self._labels(down[kids])
        ends = (~tree.alone).nonzero()[:, 0]
        if self.order == "dfs":
            first = torch.cat([x[above], down[above] + before[kids]], 1)
            last = torch.cat([x[ends], after[ends]], 1)
            visits = torch.relu(self.visit(torch.cat([first, last])))
            truth = torch.cat([first.new_ones(len(first)), last.new_zeros(len(last))])
            return Grown(asked, tree.labels[kids], self.further(visits)[:, 0], truth)
        gated_after = self.gru.gated(x, down).index_add(0, above, gated_back[kids])
        stops = self._labels(self.gru(x[ends], after[ends], gated_after[ends]))
        truth = torch.cat([tree.labels[kids], torch.full_like(ends, self.classes)])
        return Grown(torch.cat([asked, stops]), truth, x.new_zeros(0), x.new_zeros(0))

    def _labels(self, message: Tensor) -> Tensor:
        return cast(Tensor, self.label(torch.relu(self.hidden(message))))

    def _leaves(self, x: Tensor) -> Tensor:
        """What every motif tells its parent before it has children."""
        nothing = torch.zeros_like(x)
        return cast(Tensor, self.gru(x, nothing, nothing))

    def _upwards(self, x: Tensor, tree: TreeBatch) -> Tensor:
        """Messages to parents, of motifs whose children all have told theirs, (nodes, width)."""
        up = torch.zeros_like(x)
        for nodes, kids in zip(tree.heights, tree.below, strict=True):
            above = tree.parents[kids]
            heard = torch.zeros_like(x).index_add(0, above, up[kids])
            gated = torch.zeros_like(x).index_add(0, above, self.gru.gated(x[above], up[kids]))
            up = up.index_copy(0, nodes, self.gru(x[nodes], heard[nodes], gated[nodes]))
        return up

    def _downwards(self, x: Tensor, tree: TreeBatch, before: Tensor, gated_before: Tensor) -> Tensor:
        """Messages from parents, each in the light of the siblings that came before, (nodes, width); zero for roots."""
        down = torch.zeros_like(x)
        for nodes in tree.depths:
            above = tree.parents[nodes]
            heard = down[above]
            gated = self.gru.gated(x[above], heard) + gated_before[nodes]
            down = down.index_copy(0, nodes, self.gru(x[above], heard + before[nodes], gated))
        return down


def generation_loss(grown: Grown, trees: int) -> Tensor:
    """Cross-entropy of motifs and of the tree's shape, summed over questions, for each molecule of the batch."""
    loss = nn.functional.cross_entropy(grown.labels, grown.true_labels, reduction="sum")
    if len(grown.further):
        loss = loss + nn.functional.binary_cross_entropy_with_logits(
            grown.further, grown.true_further, reduction="sum"
        )
    return loss / trees


def right(grown: Grown, stop: int) -> tuple[Tensor, Tensor]:
    """Whether each motif was named, (motifs,), and each question of a further child answered, (visits,).

    Parameters
    ----------
    grown
        Answers.
    stop
        The class "no further one", where there is one.
    """
    if len(grown.further):
        named = grown.labels.argmax(1) == grown.true_labels
        return named, (grown.further > 0) == (grown.true_further > 0)
    ends = grown.true_labels == stop
    named = grown.labels[~ends, :stop].argmax(1) == grown.true_labels[~ends]
    return named, (grown.labels.argmax(1) == stop) == ends
