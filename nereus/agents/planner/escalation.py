"""When a workflow is uncertain or failing, the reasoner looks for a better one before it runs.

A workflow of a known template that nothing speaks against is run as it is. One that no template stands behind, that was
refused by the static check, or that follows one which failed is predicted to be accepted less often: from what earlier
runs accepted of its tools, else with even chances. Below `EXPECTED`, the design of its comparison (what is adjusted
for) is searched with at most `SIMULATIONS` simulations by executing the candidates on data with planted effects
(`reasoner.tasks.tool_plans`); steps, tree and preferences are recorded as any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nereus.agents.planner.learning import EXPECTED, LEAST, Experience
from nereus.errors import NereusError
from nereus.memory.records import Contrast, PlannedStep, Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nereus.agents.planner.services import Services

SIMULATIONS = 40
EVEN = 0.5
TEST = "differential_abundance"


@dataclass(frozen=True)
class Doubt:
    """How likely a workflow is accepted as it stands, and what speaks against it.

    Attributes
    ----------
    acceptance
        Predicted probability.
    reason
        In words; empty where nothing speaks against it.
    """

    acceptance: float
    reason: str

    @property
    def uncertain(self) -> bool:
        """Whether the reasoner is asked."""
        return self.acceptance < EXPECTED


def doubt(
    workflow: Workflow,
    experience: Experience,
    data_kind: str,
    question: str,
    *,
    number: int = 1,
    attempt: int = 1,
) -> Doubt:
    """Predict whether a workflow will be accepted.

    Parameters
    ----------
    workflow
        The workflow, checked and not run yet.
    experience
        What earlier runs accepted.
    data_kind, question
        Kinds of data and question, which experience is kept by.
    number
        Which workflow of its objective it is: from the second on, one before it failed.
    attempt
        How often a plan was asked for; from the second on, one was refused.
    """
    if number > 1:
        return Doubt(EVEN, "the workflow before it did not answer the question")
    if attempt > 1:
        return Doubt(EVEN, "the plan before it was refused by the check")
    if workflow.template is not None:
        return Doubt(1.0, "")
    tools = {step.tool for step in workflow.steps}
    shares = [
        (one.data_sets - one.exceptions + 1) / (one.data_sets + 2)
        for one in experience.priors.usual
        if (one.data_kind, one.question, one.decision) == (data_kind, question, "assess_step")
        and one.tool in tools
        and one.data_sets >= LEAST
    ]
    return Doubt(min(shares, default=EVEN), "no template stands behind it")


def reasoned(
    workflow: Workflow,
    services: Services,
    calls: Mapping[str, str],
    outputs: Mapping[str, str],
    reason: str,
) -> tuple[Workflow, str]:
    """The workflow with the design that the reasoner prefers, and what happened in words.

    What cannot be searched (no plain comparison, nothing to adjust for, too few samples) stays as it is.
    """
    from nereus.agents.reasoner.graph import ReasonServices, run_reason_graph
    from nereus.agents.reasoner.kept import TreeKeeper
    from nereus.agents.reasoner.policy import UniformPolicy
    from nereus.agents.reasoner.search import SearchOptions
    from nereus.agents.reasoner.tasks.tool_plans import Comparison, ToolPlan
    from nereus.memory.trees import Trees

    step = next((one for one in workflow.steps if one.tool == TEST and one.status == "planned"), None)
    contrast = _contrast(step)
    if step is None or contrast is None:
        return workflow, ""
    known = [str(row["batch"]) for row in services.profile(calls, outputs).tables.get("batch", [])]
    batches = tuple(dict.fromkeys([*known, *contrast.covariates]))
    if not batches or len(contrast.covariates) > 1:
        return workflow, ""
    design = f"adjust for {contrast.covariates[0]}" if contrast.covariates else "compare plainly"
    try:
        problem = ToolPlan(
            services.runner,
            services.resolve(str(step.inputs["dataset"]), calls, outputs),
            Comparison(contrast.factor, contrast.a, contrast.b, batches=batches),
            seed=services.seed,
            template=("keep rows", "normalise none", "keep samples", design, "test moderated t"),
            fixed=("rows", "level", "samples", "test"),
        )
        reasoning = ReasonServices(
            problem,
            UniformPolicy(),
            TreeKeeper(Trees(services.repository.database), services.run_id),
            SearchOptions(simulations=SIMULATIONS, root_children=8, children=8, steps="one"),
            seed=services.seed,
            block=1,
        )
        _, answer = run_reason_graph(reasoning, f"{services.run_id}-{workflow.id}")
    except NereusError as error:
        return workflow, f"{workflow.id}: the reasoner could not compare designs: {error.what}"
    chosen = problem.best(answer.steps, answer.reward)[3]
    services.emit(
        "plan_reasoned",
        workflow.id,
        reason=reason,
        design=design,
        chosen=chosen,
        calls=answer.calls,
        reward=answer.reward,
    )
    if chosen == design:
        return workflow, ""
    covariates = (chosen.removeprefix("adjust for "),) if chosen.startswith("adjust for ") else ()
    steps = tuple(_adjusted(one, contrast, covariates) for one in workflow.steps)
    told = f"{workflow.id}: {reason}; the reasoner changed its design from {design!r} to {chosen!r}"
    return workflow.model_copy(update={"steps": steps}), told


def _contrast(step: PlannedStep | None) -> Contrast | None:
    """A plain comparison of two groups: no pairs, no subset."""
    given: Any = None if step is None else step.params.get("contrast")
    if given is None:
        return None
    contrast = Contrast.model_validate(given)
    return contrast if contrast.block is None and not contrast.subset else None


def _adjusted(step: PlannedStep, contrast: Contrast, covariates: tuple[str, ...]) -> PlannedStep:
    given = step.params.get("contrast")
    if (
        step.status != "planned"
        or given is None
        or not contrast.asks_the_same(Contrast.model_validate(given))
    ):
        return step
    return step.model_copy(
        update={"params": {**step.params, "contrast": {**given, "covariates": list(covariates)}}}
    )
