"""`reason_graph`: plan-step search as a graph that can be stopped, resumed and watched like any other.

::

    init_root -> simulate -(budget left)-> simulate ; -> best_plan -> emit_preferences -> END

The tree lives in the database; the state holds its id and counters. One pass of `simulate` is a block of simulations, each of
which selects, expands, takes the steps, evaluates and tells upwards (`search`); then what changed is written in one transaction.
A simulation of typed steps takes less than a tenth of what a checkpoint takes, so a pass for each would be spent on bookkeeping;
where steps are tool calls, the block is one simulation. Draws depend on the tree's seed and the node's number alone, so that a
killed search ends as one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.kept import TreeKeeper
from nereus.agents.reasoner.modes import Answer, answer_of
from nereus.agents.reasoner.policy import PrefixValue, StepPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions, finished, search
from nereus.agents.reasoner.tree import Tree
from nereus.errors import NotFound

BLOCK = 25
"""Simulations between two transactions where steps are cheap."""


class ReasonState(TypedDict, total=False):
    """Small JSON only."""

    tree_id: str
    root_state: Any
    sims_done: int
    sims_max: int
    calls: int
    best_path: list[str]
    values: list[float]
    reward: float | None
    n_pairs: int


@dataclass
class ReasonServices:
    """What the nodes work with, handed to them as LangGraph's runtime context.

    Attributes
    ----------
    problem
        What is searched in.
    policy
        Proposes steps.
    keeper
        Writes and reads the tree.
    options
        Of the search.
    value
        Tells what prefixes are worth.
    seed
        Of a new tree.
    block
        Simulations between two transactions.
    """

    problem: Problem
    policy: StepPolicy
    keeper: TreeKeeper
    options: SearchOptions = field(default_factory=SearchOptions)
    value: PrefixValue | None = None
    seed: int = 0
    block: int = BLOCK
    _open: dict[str, Tree] = field(default_factory=dict)

    def tree(self, tree_id: str) -> Tree:
        """The tree as it was written last."""
        if tree_id not in self._open:
            self._open[tree_id] = self.keeper.load(tree_id, self.problem)
        return self._open[tree_id]

    def save(self, tree: Tree) -> None:
        """Write what changed."""
        self._open[tree.id] = tree
        document = {
            "options": self.options.model_dump(mode="json"),
            "policy": self.policy.id,
            "value": self.value.id if self.value else None,
        }
        self.keeper.save(tree, document)


def build_reason_graph(checkpointer: Any = None) -> Any:
    """The compiled graph; input ``{"tree_id": name}``, context `ReasonServices`."""
    graph = StateGraph(ReasonState, context_schema=ReasonServices)
    for node in (init_root, simulate, best_plan, emit_preferences):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "init_root")
    graph.add_edge("init_root", "simulate")
    graph.add_conditional_edges("simulate", _budget_left, {"simulate": "simulate", "best_plan": "best_plan"})
    graph.add_edge("best_plan", "emit_preferences")
    graph.add_edge("emit_preferences", END)
    return graph.compile(checkpointer=checkpointer)


def init_root(state: ReasonState, runtime: Runtime[ReasonServices]) -> ReasonState:
    """Find the tree, or begin it."""
    services = runtime.context
    try:
        tree = services.tree(state["tree_id"])
    except NotFound:
        tree = Tree.rooted(state["tree_id"], services.problem, services.seed)
        services.save(tree)
    return {
        "root_state": services.problem.dump(tree.root.state),
        "sims_done": tree.simulations,
        "sims_max": services.options.simulations,
        "calls": tree.calls,
    }


def simulate(state: ReasonState, runtime: Runtime[ReasonServices]) -> ReasonState:
    """A block of simulations, and one transaction."""
    services = runtime.context
    tree = services.tree(state["tree_id"])
    search([tree], services.policy, services.options, value=services.value, simulations=services.block)
    services.save(tree)
    runtime.stream_writer(
        {"type": "sim_done", "tree": tree.id, "simulations": tree.simulations, "calls": tree.calls}
    )
    return {"sims_done": tree.simulations, "calls": tree.calls}


def best_plan(state: ReasonState, runtime: Runtime[ReasonServices]) -> ReasonState:
    """The best path of the tree, with the value of each step."""
    answer = answer_of(runtime.context.tree(state["tree_id"]))
    return {"best_path": list(answer.steps), "values": list(answer.values), "reward": answer.reward}


def emit_preferences(state: ReasonState, runtime: Runtime[ReasonServices]) -> ReasonState:
    """Keep the pairs that the tree gives, for whoever trains from them."""
    services = runtime.context
    pairs = harvest([services.tree(state["tree_id"])]).pairs
    rows = [(one.kind, one.q_chosen, one.q_rejected, one.model_dump_json()) for one in pairs]
    services.keeper.trees.save_preferences(state["tree_id"], rows)
    return {"n_pairs": len(pairs)}


def _budget_left(state: ReasonState, runtime: Runtime[ReasonServices]) -> str:
    tree = runtime.context.tree(state["tree_id"])
    return "best_plan" if finished(tree, runtime.context.options) else "simulate"


def run_reason_graph(
    services: ReasonServices, tree_id: str, checkpointer: Any = None
) -> tuple[ReasonState, Answer]:
    """Run the graph to its end; with a checkpointer the thread is the tree's name."""
    blocks = -(-services.options.simulations // services.block)
    config = {"configurable": {"thread_id": tree_id}, "recursion_limit": 20 + 2 * blocks}
    state: ReasonState = build_reason_graph(checkpointer).invoke(
        {"tree_id": tree_id}, config, context=services
    )
    return state, answer_of(services.tree(tree_id))
