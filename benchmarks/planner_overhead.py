"""Claim: planning and recording cost <= 15 % of the bare tool time, and <= 3 ms a step over raw LangGraph.

Run ``python -m benchmarks.planner_overhead``. The shipped data set is analysed once, so that every step is recorded, and
then again in the same NEREUS_HOME: the second run plans, decides, looks up, records and checkpoints, but computes
nothing. Its time is compared with the tools' own time in the first run, and with a raw LangGraph loop of as many
super-steps over the same saver and a state of the same size; a step is a super-step, as in a raw LangGraph loop.
Writing the report is left out of both.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.truth.results import store

EXAMPLE = Path(__file__).parents[1] / "examples" / "alzheimer_csf"
REPEATS = 5


class LoopState(TypedDict, total=False):
    count: int
    payload: str


def raw_loop(home: Path, super_steps: int, state_bytes: int) -> float:
    """Seconds of a one-node LangGraph loop with our saver."""
    from langgraph.graph import END, START, StateGraph

    from nereus.memory.checkpoints import open_checkpoints

    graph = StateGraph(LoopState)
    graph.add_node("tick", lambda state: {"count": state["count"] + 1})
    graph.add_edge(START, "tick")
    graph.add_conditional_edges(
        "tick", lambda state: "tick" if state["count"] < super_steps else END, ["tick", END]
    )
    with open_checkpoints(f"sqlite:///{home / 'raw.sqlite'}") as saver:
        app = graph.compile(checkpointer=saver)
        start = time.perf_counter()
        app.invoke(
            {"count": 0, "payload": "x" * state_bytes},
            {"configurable": {"thread_id": str(time.time())}, "recursion_limit": super_steps + 10},
        )
        return time.perf_counter() - start


def main() -> int:
    import nereus
    from nereus.agents.planner import driving
    from nereus.memory.ordered_saver import OrderedSaver

    begin = time.perf_counter()
    puts: list[int] = []
    put = OrderedSaver.put

    def counted(self: Any, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        puts.append(len(json.dumps(checkpoint.get("channel_values", {}), default=str)))
        return put(self, config, checkpoint, metadata, versions)

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        arguments: dict[str, Any] = {"home": home, "seed": 0, "workers": 1}
        data = (EXAMPLE / "proteome.csv.gz", EXAMPLE / "samples.csv")
        driving.write_bundle = lambda *ignored: None  # type: ignore[assignment]
        first = nereus.discover(*data, out=home / "first", **arguments)
        tool_seconds = sum(call.wall_s for call in first.record.calls.values())
        cached = []
        for repeat in range(REPEATS):
            if repeat == REPEATS - 1:
                OrderedSaver.put = counted  # type: ignore[method-assign]
            start = time.perf_counter()
            again = nereus.discover(*data, out=home / f"again{repeat}", **arguments)
            cached.append(time.perf_counter() - start)
        OrderedSaver.put = put  # type: ignore[method-assign]
        super_steps, state_bytes = len(puts), int(statistics.mean(puts))
        steps = len(again.record.steps())
        raw = [raw_loop(home, super_steps, state_bytes) for _ in range(REPEATS)]
    planned, bare = statistics.median(cached), statistics.median(raw)
    per_step_ms = (planned - bare) / super_steps * 1000
    share = planned / tool_seconds
    passed = share <= 0.15 and per_step_ms <= 3.0
    path = store(
        "planner_overhead",
        {
            "claim": __doc__.splitlines()[0],
            "seeds": [0],
            "steps": steps,
            "super_steps": super_steps,
            "mean_state_bytes": state_bytes,
            "tool_seconds": tool_seconds,
            "planned_without_computing_seconds": planned,
            "raw_langgraph_seconds": bare,
            "share_of_tool_time": share,
            "ms_a_step_over_raw": per_step_ms,
            "limits": {"share": 0.15, "ms_a_step": 3.0},
            "passed": passed,
        },
        module="benchmarks.planner_overhead",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - begin,
    )
    print(path.read_text())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
