"""The embedded policy: written rules, deterministic, without a network or a language model."""

from __future__ import annotations

import time
from collections.abc import Callable

from nereus.agents.policies.base import DecisionContext, DecisionKind, Verdict, View
from nereus.agents.policies.rules import assessment, choice, hypotheses, objectives, workflows

_RULES: dict[DecisionKind, Callable[[DecisionContext], View]] = {
    DecisionKind.PROPOSE_OBJECTIVES: objectives.propose,
    DecisionKind.CHOOSE_OBJECTIVES: choice.choose,
    DecisionKind.PLAN_WORKFLOW: workflows.plan,
    DecisionKind.FILL_PARAMS: assessment.fill,
    DecisionKind.ASSESS_STEP: assessment.assess,
    DecisionKind.REFINE_WORKFLOW: assessment.refine,
    DecisionKind.ASSESS_OBJECTIVE: assessment.assess_objective,
    DecisionKind.COMPOSE_HYPOTHESES: hypotheses.compose,
    DecisionKind.DECOMPOSE: hypotheses.decompose,
    DecisionKind.MERGE: hypotheses.merge,
    DecisionKind.CRITIQUE: hypotheses.critique,
}


class RulesPolicy:
    """Decides by rules over the computed profile and the named values of results."""

    id = "rules"
    version = "4"
    deterministic = True
    needs_network = False

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        """See `Policy.decide`. The seed is not used: the rules draw nothing."""
        start = time.perf_counter()
        payload = _RULES[kind](context)
        rationale = str(getattr(payload, "rationale", "") or getattr(payload, "reason", ""))
        return Verdict(
            payload=payload, rationale=rationale, policy=self.id, ms=(time.perf_counter() - start) * 1000
        )


__all__ = ["RulesPolicy"]
