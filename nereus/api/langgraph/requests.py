"""What clients may ask for, checked once, and what of it a graph is given."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from nereus.api.langgraph.parts import MODES
from nereus.errors import InputError
from nereus.memory.langgraph.runs import Run
from nereus.memory.langgraph.threads import Thread

_DEEPEST = 60
MOST_VALUES = 50_000
"""Values of a request: more are data."""
_STEPS = 1000
_RESERVED = (
    "thread_id",
    "checkpoint_ns",
    "checkpoint_id",
    "checkpoint_map",
    "owner",
    "run_id",
    "assistant_id",
    "graph_id",
)
"""Names of the configuration that only the server sets."""
OFFERED = (*MODES,)


def checked(value: Any) -> Any:
    """A value that any database keeps: finite numbers, texts without NUL and lone surrogates, not too deep, not too many.

    It is looked at in the event loop: what would take long is refused.
    """
    waiting: list[tuple[Any, int]] = [(value, 0)]
    seen = 0
    while waiting:
        one, deep = waiting.pop()
        if isinstance(one, Mapping):
            _check_depth(deep)
            seen += len(one)
            if seen <= MOST_VALUES:
                waiting += [(key, deep) for key in one]
                waiting += [(inner, deep + 1) for inner in one.values()]
        elif isinstance(one, list):
            _check_depth(deep)
            seen += len(one)
            if seen <= MOST_VALUES:
                waiting += [(inner, deep + 1) for inner in one]
        else:
            _check_plain(one)
        if seen > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES} values: upload them as a data set")
    return value


def _check_depth(deep: int) -> None:
    if deep >= _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")


def _check_plain(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("holds a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds a lone surrogate, which is no character") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise ValueError("holds an integer beyond 64 bits")


Anything = Annotated[Any, AfterValidator(checked)]
Document = Annotated[dict[str, Any], AfterValidator(checked)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
"""An id that a client chooses."""
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0, lt=2**31)]
Nodes = Literal["*"] | list[Annotated[str, Field(max_length=200)]]


class Body(BaseModel):
    """What a request holds; what newer clients send beside is left aside."""

    model_config = ConfigDict(extra="ignore")


class CheckpointBody(Body):
    """Where in the history."""

    checkpoint_id: Annotated[str, Field(max_length=200), AfterValidator(checked)] | None = None
    checkpoint_ns: Annotated[str, Field(max_length=2000), AfterValidator(checked)] = ""
    checkpoint_map: Document | None = None


class RunBody(Body):
    """A run that is asked for."""

    assistant_id: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(checked)]
    """An assistant, or the name of a graph."""
    input: Anything = None
    command: Document | None = None
    """``resume``, ``update`` and ``goto``, in place of an input."""
    config: Document = Field(default_factory=dict)
    context: Document | None = None
    metadata: Document = Field(default_factory=dict)
    checkpoint: CheckpointBody | None = None
    checkpoint_id: Annotated[str, Field(max_length=200), AfterValidator(checked)] | None = None
    stream_mode: list[str] = Field(default=["values"], min_length=1, max_length=20)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    """Accepted for what it means: every run's stream can be resumed."""
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    """What becomes of the thread of a run without one."""
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)] = 0
    durability: Literal["sync", "async", "exit"] | None = None
    webhook: str | None = None

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("stream_mode")
    @classmethod
    def _offered(cls, given: list[str]) -> list[str]:
        unknown = sorted(set(given) - set(OFFERED))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not streamed; there are {list(OFFERED)}")
        return list(dict.fromkeys(given))

    @field_validator("metadata", "config", mode="before")
    @classmethod
    def _nothing(cls, given: Any) -> Any:
        return {} if given is None else given

    @model_validator(mode="after")
    def _fits(self) -> RunBody:
        if self.webhook is not None:
            raise ValueError("webhooks are not offered: follow the run, or join it")
        if self.command is not None and self.input is not None:
            raise ValueError("give an input or a command, not both")
        _check_config(self.config)
        if self.command is not None:
            _check_command(self.command)
        return self

    def kept(self) -> dict[str, Any]:
        """What is kept of it with the run."""
        left_out = {"assistant_id", "metadata", "webhook"}
        return self.model_dump(mode="json", exclude=left_out)


class BatchedRunBody(RunBody):
    """A run of several that are asked for at once."""

    thread_id: Annotated[str, Field(max_length=64), AfterValidator(checked)] | None = None


def _check_config(config: Mapping[str, Any]) -> None:
    if not isinstance(config.get("configurable") or {}, Mapping):
        raise ValueError("config.configurable must be an object")
    limit = config.get("recursion_limit")
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _STEPS
    ):
        raise ValueError(f"config.recursion_limit must be between 1 and {_STEPS}")
    tags = config.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
        raise ValueError("config.tags must be texts")


def _check_command(command: Mapping[str, Any]) -> None:
    goto = command.get("goto")
    for one in goto if isinstance(goto, list) else [goto]:
        named = isinstance(one, Mapping) and isinstance(one.get("node"), str)
        if not (one is None or isinstance(one, str) or named):
            raise ValueError("command.goto names nodes, or objects with a node and its input")
    update = command.get("update")
    if update is not None and not isinstance(update, Mapping | list):
        raise ValueError("command.update must be an object, or a list of pairs")


def listed(given: Sequence[str] | None) -> list[str]:
    """What a repeated parameter of an address lists: LangGraph's JavaScript client sends one that holds a list as JSON.

    Examples
    --------
    >>> listed(["values", "updates"]), listed(['["values","updates"]']), listed([""]), listed(None)
    (['values', 'updates'], ['values', 'updates'], [], [])
    """
    found: list[str] = []
    for one in given or ():
        if one.startswith("["):
            try:
                several = json.loads(one)
            except ValueError:
                several = [one]
            found += [str(each) for each in several] if isinstance(several, list) else [one]
        elif one:  # a client that wants all sends an empty one
            found.append(one)
    return found


def given_to_graph(asked: Mapping[str, Any]) -> Any:
    """What a graph is run with: an input, or a command."""
    command = asked.get("command")
    if command is None:
        return asked.get("input")
    from langgraph.types import Command

    told: dict[str, Any] = {}
    if "resume" in command:
        told["resume"] = command["resume"]
    if command.get("update") is not None:
        update = command["update"]
        told["update"] = [tuple(one) for one in update] if isinstance(update, list) else update
    if command.get("goto") is not None:
        goto = command["goto"]
        told["goto"] = [_destination(one) for one in (goto if isinstance(goto, list) else [goto])]
    return Command(**told)


def _destination(one: Any) -> Any:
    from langgraph.types import Send

    return Send(one["node"], one.get("input")) if isinstance(one, Mapping) else one


def configured(asked: Mapping[str, Any], run: Run, thread: Thread) -> dict[str, Any]:
    """The configuration of a run: what was asked for, and what only the server says."""
    given = asked.get("config") or {}
    at = asked.get("checkpoint") or {}
    chosen = {
        name: value
        for name, value in (given.get("configurable") or {}).items()
        if name not in _RESERVED and not name.startswith("__")
    }
    ours: dict[str, Any] = {"thread_id": thread.key, "owner": run.owner, "checkpoint_ns": ""}
    checkpoint_id = at.get("checkpoint_id") or asked.get("checkpoint_id")
    if checkpoint_id:
        ours["checkpoint_id"] = checkpoint_id
    made: dict[str, Any] = {
        "configurable": {**chosen, **ours},
        "metadata": {
            **run.metadata,
            "run_id": run.run_id,
            "graph_id": run.graph_id,
            "assistant_id": run.assistant_id,
            "run_attempt": run.attempts,
        },
        "recursion_limit": given.get("recursion_limit") or 100,
    }
    if given.get("tags"):
        made["tags"] = list(given["tags"])
    return made


def found_checkpoint(
    given: CheckpointBody | None, checkpoint_id: str | None, thread: Thread
) -> dict[str, Any]:
    """The configuration that leads to a state of a thread: the newest where none is named."""
    at: dict[str, Any] = {"thread_id": thread.key, "checkpoint_ns": given.checkpoint_ns if given else ""}
    named = (given.checkpoint_id if given else None) or checkpoint_id
    if named:
        at["checkpoint_id"] = named
    if given and given.checkpoint_map:
        at["checkpoint_map"] = given.checkpoint_map
    return {"configurable": at}


def own_graph(thread: Thread) -> str:
    """The graph of a thread; `InputError` where none has run in it."""
    if thread.graph_id is None:
        raise InputError(
            "no graph has run in the thread yet",
            where=f"thread {thread.thread_id}",
            mend="run an assistant in it, or make it with metadata graph_id",
        )
    return thread.graph_id
