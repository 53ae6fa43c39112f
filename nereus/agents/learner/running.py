"""Learned functions are carried out in the sandbox; primitives that they call are asked of the environment here.

Around each call the environment is kept as it was: a call that fails has changed nothing. A call that ends without an
exception and leaves everything as it was has failed, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from nereus.agents.learner.environments.base import (
    ActionFailed,
    Call,
    Environment,
    Failure,
    Literal,
)
from nereus.errors import InputError
from nereus.memory.actions import LearnedAction
from nereus.tools.code.layers import Grade, Layer
from nereus.tools.code.limits import Limits
from nereus.tools.code.outcome import Outcome
from nereus.tools.code.sandbox import Session

CALL_S = 10.0
"""Seconds that one call of a learned action may take."""
MOST_CALLS = 1000
"""Primitives, and questions about facts, of one call: an endless loop over them ends here, before the time is over."""
_LONGEST = 200
"""Characters of a name that an action may ask for, and number of its arguments."""

_PRELUDE = '''
class NotApplicable(Exception):
    """A guard refused."""


class ActionFailed(Exception):
    """A primitive failed."""


class PostconditionFailed(Exception):
    """What was promised does not hold."""


def _act(name, arguments):
    reply = call("act", name=name, arguments=list(arguments))
    if reply["failed"]:
        raise ActionFailed(reply["text"])
    return reply["text"]


def holds(*literal):
    return call("holds", literal=list(literal))


def require(*literal):
    if not call("require", literal=list(literal)):
        raise NotApplicable(" ".join(map(str, literal)) + " does not hold")


def ensure(*literal):
    if not call("holds", literal=list(literal)):
        raise PostconditionFailed(" ".join(map(str, literal)) + " does not hold afterwards")
'''


@dataclass(frozen=True)
class Carried:
    """What became of one call of a learned action."""

    ok: bool
    text: str
    before: str
    after: str
    """Hashes of the state."""
    inner: tuple[str, ...] = ()
    """Primitives inside, with what came of them."""
    calls: tuple[Call, ...] = ()
    """Those that went well."""
    failure: Failure | None = None
    missing: tuple[Literal, ...] = ()
    position: int | None = None
    """Number of the primitive inside that failed, from 1."""


class LearnedRuntime:
    """Carries learned actions out, in one sandbox for all of them. Use it in a ``with`` block.

    Parameters
    ----------
    environment
        Where they act; `enter` changes it.
    actions
        What can be called.
    allow_partial_effects
        Whether an environment that cannot be taken back is accepted.
    least, layer, limits
        Of the sandbox.

    Raises
    ------
    InputError
        The environment has no snapshots, or a primitive has no types.
    SettingsError
        No sandbox here is as strong as `least`.
    """

    def __init__(
        self,
        environment: Environment,
        actions: Sequence[LearnedAction],
        *,
        allow_partial_effects: bool = False,
        least: Grade | str = Grade.CONFINED,
        layer: Layer | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._partial = allow_partial_effects
        self.actions = {one.name: one for one in actions}
        self._inner: list[str] = []
        self._done: list[Call] = []
        self._failed: ActionFailed | None = None
        self._refused: Literal | None = None
        self._ready = False
        self._asked = MOST_CALLS
        """Questions of the code so far; none is answered while it is only read."""
        self._session = Session(
            limits or Limits(wall_s=CALL_S, cpu_s=CALL_S, memory_mb=1024),
            least=least,
            layer=layer,
            functions={"act": self._act, "holds": self._holds, "require": self._require},
        )
        self.enter(environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def enter(self, environment: Environment) -> None:
        """Act in another environment from now on."""
        if not environment.snapshots and not self._partial:
            raise InputError(
                "a failed action could not be taken back here",
                where=f"environment {environment.name!r}",
                mend="allow it with allow_partial_effects=True, or use an environment with snapshots",
            )
        for one in environment.primitives:
            bare = [name for name, kind in one.parameters if not kind]
            if bare:
                raise InputError(
                    f"primitive {one.name!r} has no type for {', '.join(map(repr, bare))}",
                    where=f"environment {environment.name!r}",
                    mend="give every argument of every primitive a type",
                )
        self.environment = environment

    def teach(self, actions: Sequence[LearnedAction], *, fresh: bool = True) -> None:
        """Know these actions from now on, and no others.

        Parameters
        ----------
        actions
            The actions.
        fresh
            Whether they get a sandbox of their own: code of a model may have changed the old one.
        """
        if fresh or any(not one.steps for one in self.actions.values()):
            self._session.close()
        self.actions = {one.name: one for one in actions}
        self._ready = False

    # -------------------------------------------------------------------------------------- being called

    def call(self, name: str, arguments: Sequence[Any]) -> Carried:
        """Carry out a learned action.

        Raises
        ------
        InputError
            There is no such action.
        """
        if name not in self.actions:
            raise InputError(
                f"there is no learned action {name!r}",
                where="learner",
                mend=f"there are {sorted(self.actions)}",
            )
        code = f"{name}({', '.join(json.dumps(_plain(one)) for one in arguments)})"
        return self.run(code)

    def run(self, code: str) -> Carried:
        """Carry out a piece of code that may call primitives and learned actions."""
        if not self._ready:
            self._asked = MOST_CALLS
            started = self._session.run(self._text(), collect=False, timeout=CALL_S)
            if not started.ok:
                return self._fault(started, "")
            self._ready = True
        before = self.environment.state_hash()
        kept = self.environment.snapshot() if self.environment.snapshots else None
        self._inner, self._done, self._failed, self._refused, self._asked = [], [], None, None, 0
        try:
            outcome = self._session.run(code, collect=False, timeout=CALL_S)
        finally:
            self._asked = MOST_CALLS
        if outcome.lost:
            self._ready = False
        after = self.environment.state_hash()
        if not outcome.ok:
            if self.environment.snapshots:
                self.environment.rollback(kept)
            return self._fault(outcome, before)
        inner, done = tuple(self._inner), tuple(self._done)
        if after == before:
            text = "it ended without an error, and changed nothing"
            return Carried(False, text, before, after, inner, done, Failure.NO_CHANGE)
        return Carried(True, self._inner[-1] if self._inner else "done", before, after, inner, done)

    def _fault(self, outcome: Outcome, before: str) -> Carried:
        error = outcome.error
        inner, done = tuple(self._inner), tuple(self._done)
        if outcome.stop is not None and outcome.lost:
            return Carried(False, outcome.why, before, before, inner, done, Failure.STOPPED)
        kind = error.kind if error is not None else ""
        said = f"{kind}: {error.message}" if error is not None else outcome.why
        if kind.endswith("NotApplicable"):
            lacking = (self._refused,) if self._refused else ()
            return Carried(False, said, before, before, inner, done, Failure.NOT_APPLICABLE, lacking)
        if kind.endswith("PostconditionFailed"):
            return Carried(False, said, before, before, inner, done, Failure.POSTCONDITION)
        if kind.endswith("ActionFailed") and self._failed is not None:
            failed = self._failed
            return Carried(
                False, failed.what, before, before, inner, done, failed.kind, failed.missing, len(inner)
            )
        return Carried(False, said, before, before, inner, done, Failure.CODE)

    def _text(self) -> str:
        wrappers = [
            f"def {one.name}({', '.join(name for name, _ in one.parameters)}):\n"
            f"    return _act({one.name!r}, [{', '.join(name for name, _ in one.parameters)}])\n"
            for one in self.environment.primitives
        ]
        sources = [one.source for one in self.actions.values()]
        return "\n\n".join(["from __future__ import annotations", _PRELUDE, *wrappers, *sources])

    # ---------------------------------------------------------------------------- what the code asks for

    def _act(self, name: str, arguments: list[Any]) -> Mapping[str, Any]:
        self._count()
        made = Call(_short(name), tuple(_argument(one) for one in _few(arguments)))
        try:
            told = self.environment.act(made)
        except ActionFailed as error:
            self._failed = error
            self._inner.append(f"{made}: FAILED, {error.what}")
            return {"failed": True, "text": error.what}
        self._done.append(made)
        self._inner.append(told.text)
        return {"failed": False, "text": told.text}

    def _holds(self, literal: list[Any]) -> bool:
        self._count()
        return self.environment.holds(tuple(_short(one) for one in _few(literal)))

    def _require(self, literal: list[Any]) -> bool:
        true = self._holds(literal)
        if not true:
            self._refused = tuple(map(str, literal))
        return true

    def _count(self) -> None:
        """What the code asks for is kept here, in the memory of this process: it is counted and short."""
        if self._asked >= MOST_CALLS:
            raise InputError(
                f"an action may ask {MOST_CALLS} times in one call, and not while it is only read",
                where="learned action",
            )
        self._asked += 1


def _few(values: Any) -> list[Any]:
    if not isinstance(values, list) or len(values) > _LONGEST:
        raise InputError(f"that is no list of at most {_LONGEST}", where="learned action")
    return values


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, str | int | float) else ""
    if not text or len(text) > _LONGEST:
        raise InputError("that is no name of anything here", where="learned action")
    return text


def _argument(value: Any) -> str:
    """An argument of a primitive; a list is none, and is told as what it is."""
    return _short(value) if isinstance(value, str | int | float) else str(value)[:_LONGEST]


def _plain(argument: Any) -> Any:
    return list(argument) if isinstance(argument, tuple | list) else str(argument)
