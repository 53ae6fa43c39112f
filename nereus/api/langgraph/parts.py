"""What a graph streams, as the protocol names and shapes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from nereus.api.langgraph.serialise import dumped

MODES = (
    "values",
    "messages",
    "messages-tuple",
    "updates",
    "events",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
)
"""What may be streamed; all of it comes from LangGraph but the two forms of messages."""


def asked_of_graph(modes: Sequence[str]) -> list[str]:
    """The modes that the graph itself knows, for those that were asked for."""
    known = ["messages" if one == "messages-tuple" else one for one in modes if one != "events"]
    return list(dict.fromkeys(known)) or ["values"]


class Parts:
    """Gives names and shapes to what one run streams.

    Parameters
    ----------
    modes
        What was asked for. Of ``messages`` and ``messages-tuple`` the second goes before: its pieces can be put together.
    thread_id, key
        The thread's id, which is told, and its name among the checkpoints, which is not.
    """

    def __init__(self, modes: Sequence[str], thread_id: str, key: str) -> None:
        self._modes = set(modes)
        self._whole: dict[str, Any] = {}
        self._thread_id = thread_id
        self._key = key

    def of(self, space: Sequence[str], mode: str, payload: Any) -> list[tuple[str, str]]:
        """Names and JSON of the events that one piece of a graph's stream makes."""
        ending = "".join(f"|{one}" for one in space)
        if mode == "messages":
            if "messages-tuple" in self._modes:
                return [(f"messages{ending}", self._told(payload))]
            return self._messages(ending, *payload)
        if mode not in self._modes:
            return []
        return [(f"{mode}{ending}", self._told(payload))]

    def _messages(self, ending: str, chunk: Any, about: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Messages as far as they have come: each time the whole of it."""
        made: list[tuple[str, str]] = []
        identity = str(chunk.id)
        before = self._whole.get(identity)
        if before is None:
            made.append((f"messages/metadata{ending}", self._told({identity: {"metadata": about}})))
        in_parts = type(chunk).__name__.endswith("Chunk")
        whole = chunk if before is None or not in_parts else before + chunk
        self._whole[identity] = whole
        form = "partial" if in_parts else "complete"
        made.append((f"messages/{form}{ending}", self._told([whole])))
        return made

    def _told(self, payload: Any) -> str:
        text = dumped(payload)
        return text if self._key == self._thread_id else text.replace(self._key, self._thread_id)


async def parts_of(
    graph: Any, given: Any, config: Mapping[str, Any], modes: Sequence[str], options: Mapping[str, Any]
) -> AsyncIterator[tuple[tuple[str, ...], str, Any]]:
    """Run a graph: namespace, mode and payload of each piece of its stream."""
    asked = asked_of_graph(modes)
    if "events" not in modes:
        async for piece in graph.astream(given, config, stream_mode=asked, **options):
            yield _spaced(piece)
        return
    root: str | None = None
    async for event in graph.astream_events(given, config, version="v2", stream_mode=asked, **options):
        root = root or event["run_id"]
        if event["event"] == "on_chain_stream" and event["run_id"] == root:
            yield _spaced(event["data"]["chunk"])
        else:
            yield (), "events", event


def _spaced(piece: Any) -> tuple[tuple[str, ...], str, Any]:
    """A piece of a stream with its namespace, which is left out where subgraphs are not streamed."""
    return (tuple(piece[0]), piece[1], piece[2]) if len(piece) == 3 else ((), piece[0], piece[1])
