"""Questions that ask what marks each population of cells: of the labels that came with them, and of the clusters found.

Both describe: which features tell the populations of these cells apart. What differs between subjects is asked by
`cells`.
"""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import table
from nereus.agents.policies.rules.questions.priority import priority, question_match
from nereus.memory.records import Objective, ObjectiveKind

CLUSTERS = "cluster"
"""Column that `cluster_cells` makes."""
_WORDS = ["mark", "marks", "marker", "markers", "population", "populations", "cluster", "clusters", "define"]
_GIVEN = "the labels came with the cells and differ between the cells of a sample"


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """The given labels that look most like populations, and the clusters found."""
    drafts = []
    rows = table(context, "labels")
    given = [row for row in rows if not row.get("learnt")][:1]
    for column, why, cite, screen in (
        *((str(row["column"]), _GIVEN, f"profile:labels[{row['column']}]", 1.0) for row in given),
        (CLUSTERS, "the cells were clustered; what each cluster has names it", "profile:n_cells", 0.5),
    ):
        parts = {
            "screen": screen,
            "power": 1.0,
            "question": question_match(context.question, [column, *_WORDS]),
            "novelty": 1.0,
            "directness": 0.5,
            "cost": 0.1,
        }
        what = "each cluster of cells" if column == CLUSTERS else f"each population of cells ({column})"
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.MARKERS,
                statement=f"What marks {what}?",
                design={"labels": column},
                label=f"populations by {column}",
                rationale=why,
                cites=(cite,),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Every population against every other, and their leading features drawn."""
    column = objective.design["labels"]
    of_labels = {str(row["column"]): bool(row.get("learnt")) for row in table(context, "labels")}
    plan = Plan()
    found = plan.add(
        "population_markers",
        "compare each population with every other one by itself, so that close relatives count",
        {"dataset": "run/prepared"},
        population=column,
        learnt=of_labels.get(column, column == CLUSTERS),
    )
    plan.add(
        "plot_markers",
        "draw the leading features of each population",
        {"dataset": "run/prepared", "leading": f"{found}/markers"},
        publishes_as="marker_map",
        groups=column,
        label="population" if column == CLUSTERS else None,
    )
    return plan.draft("markers", "every population was compared with every other one")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """The leading features of each population."""
    call = calls.get("population_markers")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="the populations could not be compared")
    step = call.step_id
    return ObjectiveAssessment(
        verdict="done",
        summary=f"{{{{{step}.n_populations}}}} populations compared pair by pair; first of each: {{{{{step}.leading}}}}",
        cites=(step,),
    )


QUESTION = Question(
    ObjectiveKind.MARKERS,
    workflow,
    conclude,
    candidates,
    needs=("transform_cells", "cell_quality", "cluster_cells", "population_markers", "plot_markers"),
    essential=("population_markers",),
    of_cells=True,
)
