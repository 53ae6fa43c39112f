"""What a search tree teaches, as rows: solved paths, pairs of next steps, and values of prefixes; and their JSONL form.

The rows are plain text and numbers, so that a policy of another family can be trained from what one family searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from nereus.errors import InputError
from nereus.explained import Explained


class _Row(Explained):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepPair(_Row):
    """Two next steps after the same prefix, of which the first is better."""

    prompt: str
    """The prefix: question and steps so far."""
    chosen: str
    rejected: str
    q_chosen: float = Field(ge=-1, le=1)
    """Value of the chosen step in the tree (of solution leaves, scaled down)."""
    q_rejected: float = Field(ge=-1, le=1)
    kind: Literal["step", "solution"] = "step"
    """Whether the two are plan steps, or solutions that end."""
    tree: str = ""
    """The tree that they come from."""
    parent: int = 0
    """Number of their common parent node in the tree."""
    siblings: tuple[int, int] = (0, 0)
    """Numbers of the two nodes."""


class SolutionPath(_Row):
    """Steps from a question to an end, with the value of each."""

    question: str
    prompts: tuple[str, ...]
    """The prefix before each step."""
    steps: tuple[str, ...]
    reward: float = Field(ge=-1, le=1)
    tree: str = ""
    nodes: tuple[int, ...] = ()
    """Numbers of the nodes that the steps lead to."""


class ValueTarget(_Row):
    """A prefix and the mean reward that was seen behind it."""

    prompt: str
    value: float = Field(ge=-1, le=1)
    tree: str = ""
    node: int = 0


_EXPORTED = {"prompt", "chosen", "rejected", "q_chosen", "q_rejected"}


def write_jsonl(pairs: Iterable[StepPair], path: Path) -> int:
    """Write pairs as lines of ``prompt, chosen, rejected, q_chosen, q_rejected``; returns how many."""
    lines = [pair.model_dump_json(include=_EXPORTED) for pair in pairs]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def read_jsonl(path: Path) -> list[StepPair]:
    """Read what `write_jsonl` wrote; more fields are allowed.

    Raises
    ------
    InputError
        A line is no such pair; says which.
    """
    pairs = []
    # Lines end with a line feed alone: what else Unicode takes for the end of a line may stand in a step.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                pairs.append(StepPair.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                raise InputError(
                    f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}",
                    where=f"{path.name}, line {number}",
                    mend="each line is an object with prompt, chosen, rejected, q_chosen, q_rejected (values in [-1, 1])",
                ) from None
    return pairs


def held_out(pairs: Sequence[StepPair], share: float = 0.1) -> tuple[list[StepPair], list[StepPair]]:
    """Pairs to train on, and pairs to stop by: whole trees, so that no question is in both.

    Every tree's side follows from its place in the sorted names, so that it does not depend on the order of the pairs.
    """
    trees = sorted({pair.tree for pair in pairs})
    every = max(2, round(1 / share)) if share > 0 else len(trees) + 1
    kept = set(trees[every - 1 :: every])
    return [p for p in pairs if p.tree not in kept], [p for p in pairs if p.tree in kept]
