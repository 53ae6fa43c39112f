"""The static check of a plan: types, arguments and references, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nereus.agents.planner.companions import is_file
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.errors import PlanError
from nereus.memory.records import PlannedStep, Workflow
from nereus.tools import registry
from nereus.tools.base import InputSpec, Tool


def materialise(draft: WorkflowDraft, objective_id: str, number: int) -> Workflow:
    """Give a drafted workflow and its steps their ids, and turn ``#2/differential`` into ``O2.W1.S2/differential``."""
    workflow_id = f"{objective_id}.W{number}"
    steps = tuple(
        planned(step, f"{workflow_id}.S{position}", workflow_id)
        for position, step in enumerate(draft.steps, start=1)
    )
    return Workflow(
        id=workflow_id,
        objective_id=objective_id,
        template=draft.template,
        steps=steps,
        stop_rule=draft.stop_rule,
    )


def planned(step: StepDraft, step_id: str, workflow_id: str) -> PlannedStep:
    """A drafted step with its id."""

    def absolute(reference: str) -> str:
        if not reference.startswith("#"):
            return reference
        position, _, output = reference[1:].partition("/")
        return f"{workflow_id}.S{position}/{output}"

    inputs: dict[str, str | dict[str, str]] = {
        name: {key: absolute(one) for key, one in reference.items()}
        if isinstance(reference, dict)
        else absolute(reference)
        for name, reference in step.inputs.items()
    }
    return PlannedStep(
        id=step_id,
        tool=step.tool,
        purpose=step.purpose,
        params=step.params,
        inputs=inputs,
        publishes=step.publishes,
    )


def check_workflow(
    workflow: Workflow, run_outputs: Mapping[str, str], known_steps: Mapping[str, str]
) -> list[str]:
    """Everything that is wrong with a plan, one line each; empty when it may run.

    Parameters
    ----------
    workflow
        The plan; steps that were executed are not checked again.
    run_outputs
        Well-known results that the run holds, by name.
    known_steps
        Executed step id -> tool name, for references to steps outside this workflow.
    """
    errors: list[str] = []
    tools: dict[str, Tool] = {}
    for step in workflow.steps:
        try:
            tools[step.id] = registry.get(step.tool)
        except PlanError as error:
            errors.append(f"{step.id}: {error}")
    seen: set[str] = set()
    for step in workflow.steps:
        tool = tools.get(step.id)
        if tool is not None and step.status == "planned":
            errors += [
                f"{step.id}: {text}"
                for text in _check_step(step, tool, seen, tools, run_outputs, known_steps)
            ]
        seen.add(step.id)
    return errors


def trim(workflow: Workflow, steps_left: int) -> Workflow:
    """The plan with the steps skipped that the budget does not allow, last ones first."""
    planned_steps = [step.id for step in workflow.steps if step.status == "planned"]
    beyond = set(planned_steps[max(0, steps_left) :])
    steps = tuple(
        step.model_copy(update={"status": "skipped", "note": "beyond the step budget"})
        if step.id in beyond
        else step
        for step in workflow.steps
    )
    return workflow.model_copy(update={"steps": steps})


def _check_step(
    step: PlannedStep,
    tool: Tool,
    seen: set[str],
    tools: Mapping[str, Tool],
    run_outputs: Mapping[str, str],
    known_steps: Mapping[str, str],
) -> list[str]:
    errors: list[str] = []
    specs = {spec.name: spec for spec in tool.inputs}
    for name, reference in step.inputs.items():
        spec = specs.get(name)
        if spec is None:
            errors.append(f"{tool.name} has no input {name!r}; inputs are {sorted(specs)}")
            continue
        for one in reference.values() if isinstance(reference, dict) else [reference]:
            errors += _check_reference(one, spec, seen, tools, run_outputs, known_steps)
        if isinstance(reference, dict) != (spec.kind == "tables"):
            errors.append(
                f"input {name!r} takes {'several tables' if spec.kind == 'tables' else 'one ' + spec.kind}"
            )
    errors += [
        f"input {s.name!r} is missing" for s in tool.inputs if not s.optional and s.name not in step.inputs
    ]
    errors += check_params(tool, step.params)
    return errors


def check_params(tool: Tool, params: Mapping[str, Any]) -> list[str]:
    """Wrong parameters; required ones may still be missing, they are filled just before the call."""
    try:
        tool.params_model.model_validate(dict(params))
    except ValidationError as error:
        return [
            f"parameter {'.'.join(map(str, item['loc']))!r}: {item['msg']}"
            for item in error.errors()
            if item["type"] != "missing"
        ]
    return _adjusts_for_itself(params)


def _adjusts_for_itself(params: Mapping[str, Any]) -> list[str]:
    """A test that adjusts for the column that it compares or follows: nothing would be left of it."""
    contrast = params.get("contrast")
    contrast = contrast if isinstance(contrast, Mapping) else {}
    tested = {contrast.get("factor"), params.get("variable")} - {None}
    named = [one for part in (contrast, params) for one in part.get("covariates") or ()]
    return [
        f"parameter 'covariates': {one!r} is what is tested and cannot be adjusted for"
        for one in dict.fromkeys(named)
        if one in tested
    ]


def _check_reference(
    reference: str,
    spec: InputSpec,
    seen: set[str],
    tools: Mapping[str, Tool],
    run_outputs: Mapping[str, str],
    known_steps: Mapping[str, str],
) -> list[str]:
    owner, _, output = reference.partition("/")
    if owner == "run":
        if output not in run_outputs and not is_file(output):
            return [f"the run holds no {output!r} yet; it holds {sorted(run_outputs)}"]
        if is_file(output):
            return (
                []
                if spec.kind == "file"
                else [f"{output!r} is a file, input {spec.name!r} takes a {spec.kind}"]
            )
        owner, _, output = run_outputs[output].partition("/")
    if owner in tools and owner not in seen and owner not in known_steps:
        return [f"{owner} is used before it runs"]
    if owner in tools:
        producer = tools[owner]
    elif owner in known_steps:
        producer = registry.get(known_steps[owner])
    else:
        return [f"there is no step {owner!r}"]
    offered = {name: kind for kind, _, name in (declared.partition(":") for declared in producer.outputs)}
    if output not in offered:
        return [f"{producer.name} makes no {output!r}; it makes {sorted(offered)}"]
    wanted = "table" if spec.kind == "tables" else spec.kind
    if offered[output] != wanted:
        return [f"{owner}/{output} is a {offered[output]}, input {spec.name!r} takes a {wanted}"]
    return []
