"""Questions that ask what a bait binds, against its controls or against the other baits."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Plan, Question
from nereus.agents.policies.rules.questions.design import features_word, table
from nereus.agents.policies.rules.questions.priority import novelty, power, priority, question_match
from nereus.agents.policies.rules.questions.screens import conclude
from nereus.memory.records import Objective, ObjectiveKind

_WORDS = [
    "interactor", "interactors", "interactome", "interact", "bait", "baits", "pulldown", "binds", "bind", "binding",
    "bound", "affinity", "immunoprecipitation",
]  # fmt: skip


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Each factor whose levels are baits. A mere control beside other groups is asked about only when the user says so."""
    rows: dict[str, list[dict[str, object]]] = {}
    for row in table(context, "pulldowns"):
        if row.get("testable"):
            rows.setdefault(str(row["factor"]), []).append(row)
    drafts = []
    for factor, baits in rows.items():
        asked = question_match(context.question, _WORDS) > 0
        if baits[0]["cue"] == "possible" and not asked:
            continue
        control = str(baits[0].get("control") or "")
        smallest = min(float(str(row["n_bait"])) for row in baits)
        parts = {
            "screen": 0.5,
            "power": power(smallest, float(str(baits[0]["n_control"]))),
            "question": 1.0 if asked else question_match(context.question, [factor]),
            "novelty": novelty(context, ObjectiveKind.INTERACTOME, factor),
            "directness": 1.0,
            "cost": 0.2,
        }
        against = control or "the other baits"
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.INTERACTOME,
                statement=f"Which {features_word(context)} are bound by the baits of {factor}, against {against}?",
                design={"factor": factor, "control": control},
                label=f"baits of {factor}",
                rationale=str(baits[0]["why"]),
                cites=(f"profile:pulldowns[{baits[0]['bait']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Every prey of every bait, in one table."""
    control = objective.design.get("control", "")
    plan = Plan()
    test = plan.add(
        "score_interactome",
        "who is enriched beyond the background of the controls?"
        if control
        else "who is enriched with one bait beyond all others?",
        {"dataset": "run/prepared"},
        factor=objective.design["factor"],
        controls=[control] if control else [],
    )
    plan.add(
        "plot_volcano",
        "draw enrichment against significance",
        {"table": f"{test}/interactors"},
        axis="log2 enrichment over the reference",
    )
    return plan.draft("interactome", "every prey was scored for every bait")


QUESTION = Question(
    ObjectiveKind.INTERACTOME,
    workflow,
    conclude,
    candidates,
    needs=("score_interactome",),
    essential=("score_interactome",),
)
