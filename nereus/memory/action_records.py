"""What is kept of a learned action: its record, the tests it passed, how it fared, and the hashes that say it is unchanged."""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
import math
import unicodedata
from typing import Any, Literal

from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Record

Status = Literal["candidate", "validated", "active", "deprecated", "revoked"]
LONGEST_NAME = 96
LONGEST_SOURCE = 20_000
"""Characters of a source: what is longer is no action, and deep nesting in it could stop whoever reads it."""


class ActionTest(Record):
    """Something that a version was validated by: carried out on a held-out task, it must give the same again."""

    task: str
    call: str
    expected: str
    """Hash of what it must lead to."""
    ok: bool = True


class LearnedAction(Record):
    """One version of a learned action."""

    name: str
    domain: str
    """Environment in which it was learned: a planning domain, or ``omics``."""
    source: str
    """Python of the function, and of nothing else."""
    parameters: tuple[tuple[str, str], ...]
    """Name and type of each argument."""
    description: str
    """Preconditions and effects, in words."""
    usage: str = ""
    """An example call, with what it does."""
    notes: tuple[str, ...] = ()
    """When not to use it, or what to do instead."""
    steps: tuple[tuple[str, ...], ...] = ()
    """What it does over variables ``?0`` ...: name, then arguments; empty where only the source says it."""
    kinds: tuple[str, ...] = ()
    """Type of each variable."""
    loop: str = ""
    """The variable that runs over a list."""
    plan: dict[str, Any] = Field(default_factory=dict)
    """Of a pipeline: for which question it stands, and what must hold for it."""
    tests: tuple[ActionTest, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Which runs or tasks it was learned from, by whom, with which seed."""
    version: int = 1
    parent: int | None = None
    status: Status = "candidate"
    decided_by: str = ""
    reason: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the source."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def seal(self) -> str:
        """Hash of all that is run, decides when it is run, or is shown to who decides: of a version it never changes."""
        told = self.model_dump(
            mode="json",
            include={
                "name",
                "domain",
                "source",
                "parameters",
                "description",
                "usage",
                "notes",
                "steps",
                "kinds",
                "loop",
                "plan",
            },
        )
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def behaviour(self) -> str:
        """Hash of what it does, whatever it is called and however it is described."""
        return hashlib.sha256(
            json.dumps([self.domain, _body(self.source), self.plan], sort_keys=True).encode()
        ).hexdigest()

    @property
    def learned_from(self) -> frozenset[str]:
        """Tasks, runs and data that it was made of: none of them says anything about how it does elsewhere."""
        told = (self.provenance.get(one) for one in ("tasks", "runs", "data"))
        return frozenset(str(one) for some in told if isinstance(some, list | tuple) for one in some)

    @property
    def signature(self) -> str:
        """``name(argument: type, ...)``."""
        return f"{self.name}({', '.join(f'{name}: {kind}' for name, kind in self.parameters)})"


class Standing(Record):
    """How an action fared."""

    uses: int
    successes: int
    recent: int
    """Uses among the last `WINDOW`."""
    recent_successes: int
    lower: float
    """Wilson's lower bound (95 per cent, two-sided) of the success of the recent ones; 0 without any."""
    upper: float = 1.0
    """The upper bound; 1 without any."""


def wilson(successes: int, n: int, z: float = 1.96) -> float:
    """Lower bound of a share (Wilson 1927).

    Examples
    --------
    >>> round(wilson(14, 20), 3), wilson(0, 0)
    (0.481, 0.0)
    """
    if not n:
        return 0.0
    share = successes / n
    middle = share + z * z / (2 * n)
    wide = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - wide) / (1 + z * z / n))


def refuse_strange(action: LearnedAction) -> None:
    """`InputError` for what no action is: a name that is none, a source without end, characters that hide what is written.

    A person approves what is shown on a screen: characters that move the cursor or turn the direction of the text could
    show another source than the one that runs.
    """
    name = action.name
    if not (name.isascii() and name.isidentifier() and not keyword.iskeyword(name)) or name.startswith("_"):
        raise InputError(f"{name[:100]!r} is no name of a function", where="actions")
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the name has {len(name)} characters", where="actions", mend=f"at most {LONGEST_NAME}"
        )
    if len(action.source) > LONGEST_SOURCE:
        raise InputError(
            f"the source has {len(action.source)} characters",
            where=f"action {name!r}",
            mend=f"at most {LONGEST_SOURCE}",
        )
    if hidden := unseen(action.source):
        raise InputError(
            f"the source holds the character {hidden!r}, which does not show",
            where=f"action {name!r}",
            mend="write it without",
        )


def unseen(text: str) -> str:
    """The first character of a text that does not show as itself; nothing where all do."""
    return next((one for one in text if _unseen(one)), "")


def seen(text: str) -> str:
    r"""A text for a screen: what does not show is written as its number.

    Examples
    --------
    >>> print(seen("a\x1b[2Kb"))
    a\x1b[2Kb
    """
    return "".join(one.encode("unicode_escape").decode("ascii") if _unseen(one) else one for one in text)


def _unseen(one: str) -> bool:
    return one not in "\n\t" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _body(source: str) -> str:
    """A source without names of functions and words for readers."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.name = "f"
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:]
    try:
        return ast.dump(tree)
    except RecursionError:
        return source
