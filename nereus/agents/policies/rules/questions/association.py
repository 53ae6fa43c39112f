"""Questions that ask which proteins follow a continuous or ordered variable."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions import dose_response, dose_targets
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import MIN_SUBJECTS, covariates_for, features_word, table
from nereus.agents.policies.rules.questions.priority import novelty, power, priority, question_match, screen
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, conclude
from nereus.memory.records import Objective, ObjectiveKind


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every continuous or ordered variable with enough values, and moments at which other subjects were seen."""
    drafts = [
        _draft(context, str(row["variable"]), float(row["n"] or 0), str(row.get("kind")))
        for row in table(context, "associations")
        if row.get("testable")
        and float(row["n"] or 0) >= 4 * MIN_SUBJECTS
        and row.get("kind") != "follow-up time"
        and str(row["variable"]) not in _repeated(context) | _doses(context)
    ]
    drafts += [
        _draft(context, str(row["time"]), float(row["n"] or 0), "moment", str(row["labels"]))
        for row in table(context, "courses")
        if row.get("testable")
        and not row.get("repeated")
        and not row.get("group")
        and row["time"] != row["labels"]
        and float(row["n"] or 0) >= 4 * MIN_SUBJECTS
    ]
    return drafts


def _repeated(context: DecisionContext) -> set[str]:
    """Times at which the same subjects were seen: their rows are no independent values."""
    return {str(row["time"]) for row in table(context, "courses") if row.get("repeated")}


def _doses(context: DecisionContext) -> set[str]:
    """Series of doses along which curves are asked for: a straight line is the same question, asked worse."""
    asked = [*dose_response.candidates(context, []), *dose_targets.candidates(context, [])]
    named = {draft.design["dose"] for draft in asked}
    return {
        str(row[column])
        for row in table(context, "doses")
        for column in ("dose", "labels")
        if str(row["dose"]) in named
    }


def _draft(context: DecisionContext, name: str, n: float, kind: str, written: str = "") -> ObjectiveDraft:
    parts = {
        "screen": screen(context, written or name),
        "power": power(n / 2, n / 2),
        "question": question_match(context.question, [name]),
        "novelty": novelty(context, ObjectiveKind.ASSOCIATION, name),
        "directness": 0.2 if kind == "usual covariate" else 1.0 if kind == "moment" else 0.5,
        "cost": 0.1,
    }
    covariates = covariates_for(context, written or name)
    why = (
        f"the levels of {written} are moments, and other subjects were seen at each"
        if kind == "moment"
        else f"{name} is a continuous variable with enough values"
    )
    cited = "courses" if kind == "moment" else "associations"
    return ObjectiveDraft(
        kind=ObjectiveKind.ASSOCIATION,
        statement=f"Which {features_word(context)} follow {name}?",
        variable=name,
        covariates=covariates,
        rationale=why,
        cites=(f"profile:{cited}[{name}]",),
        priority=priority(parts),
        priority_parts=parts,
    )


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """The test, what tests the test, and a drawing."""
    described: dict[str, Any] = {"variable": objective.variable, "covariates": list(objective.covariates)}
    data: Inputs = {"dataset": "run/prepared"}
    plan = Plan()
    test = plan.add(
        "continuous_association", f"test every protein against {objective.variable}", data, **described
    )
    stable = plan.add(
        "stability", "does a finding hold when half of the subjects are left out?", data, **described
    )
    null = plan.add(
        "permutation_null",
        "how much would be found if the values were shuffled?",
        data,
        **described,
        n_permutations=PERMUTATIONS,
    )
    plan.add(
        "calibrate_confidence",
        "plant known effects into these data and learn how often a finding like this is true",
        {
            **data,
            "differential": f"{test}/association",
            "stability": f"{stable}/stability",
            "null": f"{null}/null",
        },
        **described,
    )
    plan.add("plot_volcano", "draw effect against significance", {"table": f"{test}/association"})
    return plan.draft("continuous variable", "every protein was tested")


QUESTION = Question(
    ObjectiveKind.ASSOCIATION,
    workflow,
    conclude,
    candidates,
    needs=("continuous_association",),
    essential=("continuous_association",),
)
