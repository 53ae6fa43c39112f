"""Questions that ask whose level goes with the hazard of an event (template T5)."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import table
from nereus.agents.policies.rules.questions.priority import novelty, priority, question_match, survival_power
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, PLANTINGS, SUBSAMPLES, conclude
from nereus.memory.records import Objective, ObjectiveKind

_WORDS = ["survival", "hazard", "prognosis", "prognostic", "outcome", "mortality"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every follow-up time with the event that ends it, and events enough."""
    drafts = []
    for row in table(context, "outcomes"):
        time, event = str(row["time"]), str(row["event"])
        if not row.get("testable"):
            dropped.append(
                Dropped(
                    subject=f"hazard of {event} over {time}", reason=str(row["refused"]), verdict="refused"
                )
            )
            continue
        covariates = tuple(one for one in str(row.get("covariates") or "").split(";") if one)
        parts = {
            "screen": 0.5,
            "power": survival_power(float(row["n_events"] or 0)),
            "question": question_match(context.question, [time, event, *_WORDS]),
            "novelty": novelty(context, ObjectiveKind.SURVIVAL, time),
            "directness": 1.0,
            "cost": 0.1,
        }
        adjusted = f", adjusted for {', '.join(covariates)}" if covariates else ""
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.SURVIVAL,
                statement=f"Whose level goes with the hazard of {event} over {time}{adjusted}?",
                design={"time": time, "event": event, "event_level": str(row["event_level"])},
                label=f"{time} until {event} = {row['event_level']}",
                covariates=covariates,
                rationale=f"{event} ends {time}, and enough subjects had the event",
                cites=(f"profile:outcomes[{row['outcome']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """A Cox model of every protein; never a cut-point that was sought."""
    described: dict[str, Any] = {
        "time": objective.design["time"],
        "event": objective.design["event"],
        "event_level": objective.design["event_level"],
        "covariates": list(objective.covariates),
    }
    data: Inputs = {"dataset": "run/prepared"}
    plan = Plan()
    test = plan.add(
        "survival_screen",
        "model the hazard by each protein as a continuous value, with the covariates; "
        "repeat on half-samples and with exchanged outcomes",
        data,
        **described,
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
        n_plantings=PLANTINGS,
    )
    plan.add("check_hazards", "does a hazard ratio stay the same over time?", data, **described)
    plan.add(
        "plot_volcano",
        "draw effect against significance",
        {"table": f"{test}/survival"},
        variable=objective.about,
    )
    return plan.draft("survival", "every protein was modelled, and its hazard ratio checked over time")


QUESTION = Question(
    ObjectiveKind.SURVIVAL,
    workflow,
    conclude,
    candidates,
    needs=("survival_screen", "check_hazards", "plot_survival"),
    essential=("survival_screen",),
)
