"""CPL as users meet it: ask a question, search over plan steps, learn from what was searched.

reasoner = Reasoner(seed=1)
answer = reasoner.solve(Countdown([3, 3, 8, 8]))
reasoner.learn(reasoner.trees)         # the next search starts from what this one taught
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from nereus.agents.reasoner.graph import BLOCK, ReasonServices, run_reason_graph
from nereus.agents.reasoner.kept import TreeKeeper
from nereus.agents.reasoner.learning import Learned, LearningOptions, learn
from nereus.agents.reasoner.modes import Answer, Mode, best_of_n, greedy, mcts
from nereus.agents.reasoner.policy import PrefixValue, ScoredPolicy, ScoredValue, StepPolicy, UniformPolicy
from nereus.agents.reasoner.problem import Problem
from nereus.agents.reasoner.search import SearchOptions
from nereus.agents.reasoner.tasks.text import TextProblem
from nereus.agents.reasoner.tree import Tree
from nereus.errors import InputError
from nereus.memory.trees import KeptFit, Trees
from nereus.models.language.cpl.linear import LinearPolicy, LinearValue

Checker = Callable[[str], bool]
"""Tells of an answer as text whether it is right."""


class Reasoner:
    """Searches over plan steps, and learns from its searches.

    Parameters
    ----------
    policy
        Proposes steps; by default every possible step is as likely as any other.
    value
        Tells what prefixes are worth.
    mode
        ``greedy``, ``best_of_n`` or ``mcts``.
    options
        Of the search.
    learning
        How `learn` learns.
    store
        The database's trees. With it, trees persist and so do learned weights of features (networks do not), and the newest
        fit is taken up where no policy is given.
    seed
        Of everything that is drawn.

    Attributes
    ----------
    trees
        The trees of this reasoner's searches.
    """

    def __init__(
        self,
        policy: StepPolicy | None = None,
        value: PrefixValue | None = None,
        *,
        mode: Mode = "mcts",
        options: SearchOptions | None = None,
        learning: LearningOptions | None = None,
        store: Trees | None = None,
        run_id: str | None = None,
        seed: int = 0,
    ) -> None:
        self.policy, self.value = policy, value
        self.mode: Mode = mode
        self.options = options or SearchOptions()
        self.learning = learning or LearningOptions(seed=seed)
        self.store, self.run_id, self.seed = store, run_id, seed
        self.trees: list[Tree] = []

    def solve(
        self,
        question: Problem | str,
        checker: Checker | None = None,
        budget: int | None = None,
        *,
        block: int = BLOCK,
    ) -> Answer:
        """Answer a question.

        Parameters
        ----------
        question
            A problem, or a text for a policy that writes text.
        checker
            Of a text: tells whether an answer is right. Problems have their own.
        budget
            Simulations (plans of ``best_of_n``) in place of those of the options.
        block
            Simulations between two transactions, with a store.

        Returns
        -------
        Answer
            Best plan with a value a step.

        Raises
        ------
        InputError
            There is neither a checker nor a value, or the budget does not cover the first expansion.
        """
        problem = TextProblem(question, checker) if isinstance(question, str) else question
        policy, value = self._models(problem)
        options = self.options
        if budget is not None:
            if budget < 1:
                raise InputError(
                    f"a budget of {budget} allows no simulation", where="reasoner", mend="allow one or more"
                )
            options = options.model_copy(update={"simulations": budget})
        if self.mode == "greedy":
            return greedy(problem, policy, self.seed)
        if self.mode == "best_of_n":
            return best_of_n(problem, policy, options.simulations, value=value, seed=self.seed)
        # A kept search is found again only by one that would be the same, and that has the same to tell it what is right.
        checked = not isinstance(problem, TextProblem) or problem.checker is not None
        asked = [problem.question, checked, self.seed, self.run_id]
        searched = [policy.id, None if value is None else value.id, _of(options)]
        name = f"{problem.name}-{_digest([*asked, *searched])}"
        if self.store is None:
            made = mcts(problem, policy, options, value=value, seed=self.seed, name=name)
        else:
            keeper = TreeKeeper(self.store, self.run_id)
            services = ReasonServices(problem, policy, keeper, options, value, self.seed, block)
            made = run_reason_graph(services, name)[1]
        if made.tree is not None:
            self.trees = [tree for tree in self.trees if tree.id != made.tree.id] + [made.tree]
        return made

    def learn(self, trees: Sequence[Tree]) -> Learned:
        """Learn a policy and a value from trees; the next `solve` uses them, and with a store the next reasoner, too.

        Raises
        ------
        InputError
            There are no trees, none was solved, or they give no pair to learn from.
        """
        if not trees:
            raise InputError("there are no trees to learn from", where="reasoner", mend="call `solve` first")
        kinds = {tree.problem.name for tree in trees}
        if len(kinds) > 1:
            raise InputError(
                f"trees of {sorted(kinds)} are not described alike",
                where="reasoner",
                mend="learn each kind by itself",
            )
        made = learn(trees, self.learning)
        self.policy, self.value = made.policy, made.value
        if self.store is not None and isinstance(made.policy.scorer, LinearPolicy):
            self._keep(self.store, next(iter(kinds)), made, made.policy.scorer)
        return made

    # ------------------------------------------------------------------------------------------------------ keeping

    def _models(self, problem: Problem) -> tuple[StepPolicy, PrefixValue | None]:
        if self.policy is not None:
            return self.policy, self.value
        fit = None if self.store is None else self.store.newest_fit(problem.name)
        if fit is None or "policy" not in fit.document:
            return UniformPolicy(), self.value
        policy = ScoredPolicy(LinearPolicy(np.asarray(fit.document["policy"])), id=f"fit {fit.id}")
        value = self.value
        if value is None and (kept := fit.document.get("value")):
            mean, scale, weights = (np.asarray(kept[part]) for part in ("mean", "scale", "weights"))
            value = ScoredValue(LinearValue(mean, scale, weights, float(kept["bias"])), id=f"fit {fit.id}")
        return policy, value

    def _keep(self, store: Trees, problem: str, made: Learned, scorer: LinearPolicy) -> None:
        document: dict[str, Any] = {"facts": made.facts, "policy": scorer.weights.tolist()}
        if made.value is not None:
            model = made.value.model
            assert isinstance(model, LinearValue)
            document["value"] = {
                "mean": model.mean.tolist(),
                "scale": model.scale.tolist(),
                "weights": model.weights.tolist(),
                "bias": model.bias,
            }
        store.save_fit(
            KeptFit(
                f"{problem}-{store.count_fits(problem) + 1}-{_digest(document)}",
                problem,
                int(made.facts["prefixes"]),
                made.facts.get("value_error", 0.0),
                document,
            )
        )


def _of(options: SearchOptions) -> dict[str, Any]:
    # The budget is no part of a search's name: with a larger one it goes on.
    return options.model_dump(mode="json", exclude={"simulations", "max_calls"})


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
