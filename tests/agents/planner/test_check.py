"""The static check of plans."""

from __future__ import annotations

import pytest

from nereus.agents.planner.check import check_workflow, materialise, trim
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.memory.records import Workflow

HELD = {"loaded": "O0.W1.S3/dataset", "O2:differential": "O2.W1.S1/differential"}
KNOWN = {"O0.W1.S3": "profile_dataset", "O2.W1.S1": "differential_abundance"}


def workflow(*steps: StepDraft) -> Workflow:
    return materialise(WorkflowDraft(template=None, steps=steps), "O3", 1)


def errors(*steps: StepDraft) -> list[str]:
    return check_workflow(workflow(*steps), HELD, KNOWN)


NORMALISE = StepDraft(tool="normalise", purpose="p", inputs={"dataset": "run/loaded"})


def test_a_sound_plan_passes() -> None:
    assert (
        errors(NORMALISE, StepDraft(tool="pca_variance", purpose="p", inputs={"dataset": "#1/dataset"})) == []
    )


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (StepDraft(tool="normalize", purpose="p"), "there is no tool 'normalize'"),
        (StepDraft(tool="normalise", purpose="p"), "input 'dataset' is missing"),
        (StepDraft(tool="normalise", purpose="p", inputs={"matrix": "run/loaded"}), "has no input 'matrix'"),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "run/prepared"}),
            "the run holds no 'prepared' yet",
        ),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "O9.W1.S1/dataset"}),
            "there is no step 'O9.W1.S1'",
        ),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "run/O2:differential"}),
            "is a table, input 'dataset' takes a dataset",
        ),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "O0.W1.S3/matrix"}),
            "makes no 'matrix'",
        ),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "run/data"}),
            "is a file, input 'dataset' takes a dataset",
        ),
        (
            StepDraft(tool="normalise", purpose="p", inputs={"dataset": "#1/dataset"}),
            "is used before it runs",
        ),
        (
            StepDraft(
                tool="normalise", purpose="p", inputs={"dataset": "run/loaded"}, params={"methode": "median"}
            ),
            "methode",
        ),
        (
            StepDraft(
                tool="normalise", purpose="p", inputs={"dataset": "run/loaded"}, params={"method": "magic"}
            ),
            "'method'",
        ),
        (
            StepDraft(tool="run_wide_fdr", purpose="p", inputs={"tables": "run/O2:differential"}),
            "takes several tables",
        ),
    ],
)
def test_what_is_wrong_is_named(step: StepDraft, told: str) -> None:
    found = errors(step)
    assert any(told in one for one in found), found


def test_a_cycle_is_refused() -> None:
    first = StepDraft(tool="normalise", purpose="p", inputs={"dataset": "#2/dataset"})
    second = StepDraft(tool="normalise", purpose="p", inputs={"dataset": "#1/dataset"})
    assert any("used before it runs" in one for one in errors(first, second))


@pytest.mark.parametrize(("left", "kept"), [(5, 2), (1, 1), (0, 0), (-3, 0)])
def test_a_plan_larger_than_the_budget_loses_its_last_steps(left: int, kept: int) -> None:
    steps = trim(workflow(NORMALISE, NORMALISE), left).steps
    assert [step.status for step in steps] == ["planned"] * kept + ["skipped"] * (2 - kept)


def test_required_parameters_may_be_filled_later() -> None:
    step = StepDraft(tool="differential_abundance", purpose="p", inputs={"dataset": "run/loaded"})
    assert errors(step) == []
