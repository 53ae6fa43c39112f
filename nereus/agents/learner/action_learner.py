"""`ActionLearner(agent, author, tasks).learn()`: from tasks to a library of actions that were tried on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from nereus.agents.learner.learn_graph import LearnRun, build_learn_graph
from nereus.agents.learner.learning import Agent, Author, LearnServices
from nereus.errors import InputError
from nereus.memory.actions import Actions, LearnedAction


@dataclass(frozen=True)
class ActionLibrary:
    """What was learned."""

    actions: tuple[LearnedAction, ...]
    """Accepted on held-out tasks, and approved."""
    curve: tuple[dict[str, float], ...]
    """One row an evaluation."""
    validation: dict[str, Any]
    notices: tuple[str, ...]
    state: dict[str, Any]


class ActionLearner:
    """Learns actions.

    Parameters
    ----------
    agent
        Who acts: `SearchAgent`, `ChatAgent`, or that of the omics tools.
    author
        Who makes actions: `MiningAuthor`, `ChatAuthor`, or that of pipelines.
    training
        Two tasks or more.
    held_out
        Tasks on which libraries are selected and actions validated: others than those.
    repository
        Where they are kept; None keeps nothing.
    approval
        ``never``, ``costly`` or ``always``: whether a person is asked before an action becomes active.
    seed
        Seed of what is random.
    """

    def __init__(
        self,
        agent: Agent,
        author: Author,
        training: Sequence[Any],
        held_out: Sequence[Any],
        *,
        repository: Actions | None = None,
        approval: str = "never",
        seed: int = 0,
        decisions: int = 10,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        both = {agent.name(one) for one in training} & {agent.name(one) for one in held_out}
        if both:
            raise InputError(
                f"{sorted(both)[0]!r} is learned from and held out",
                where="learner",
                mend="hold other tasks out",
            )
        if not held_out:
            raise InputError(
                "no task is held out",
                where="learner",
                mend="hold one or more out: actions are validated there",
            )
        self._run = LearnRun(
            LearnServices(
                author,
                agent,
                training,
                held_out,
                seed,
                approval,
                repository,
                decisions,
                dict(provenance or {}),
            )
        )

    def learn(self, answer: Any = None) -> ActionLibrary:
        """Go through the whole graph.

        Parameters
        ----------
        answer
            What is answered at the gate, where it asks: True, or names of actions. None approves nothing.
        """
        graph = build_learn_graph(InMemorySaver())
        config = {"configurable": {"thread_id": "learn"}, "recursion_limit": 60}
        state = graph.invoke({}, config, context=self._run)
        if "__interrupt__" in state:
            state = graph.invoke(
                Command(resume=answer if answer is not None else []), config, context=self._run
            )
        best = state["libraries"].get(state.get("best_id", ""), [])
        kept = [LearnedAction.model_validate(one) for one in best if one["name"] in state["published"]]
        return ActionLibrary(
            tuple(kept),
            tuple(state["curve"]),
            state.get("validation", {}),
            tuple(state["notices"]),
            dict(state),
        )
