"""What ranks first below the error rate: few, seen often, held in half-samples, and never among the findings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from nereus.agents.reporter import write_bundle
from nereus.agents.reporter.hypotheses import schema
from nereus.agents.reporter.leads import A_QUESTION, document, leads, variable
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import ObjectiveKind
from tests.agents.reporter.conftest import ToyRun


def table_of(**changes: object) -> pd.DataFrame:
    """Thirty features, none of which passes the error rate; F00 and F01 have equal p and F01 the larger effect."""
    n = 30
    table = pd.DataFrame(
        {
            "feature": [f"F{i:02d}" for i in range(n)],
            "gene": [f"G{i}" if i % 2 else "" for i in range(n)],
            "effect": np.where(np.arange(n) % 2, -2.0, 1.0),
            "ci_low": -3.0,
            "ci_high": 3.0,
            "p": np.repeat(np.linspace(0.001, 0.2, n // 2), 2),
            "q": 0.4,
            "n_a": 6,
            "n_b": 8,
        }
    )
    for name, value in changes.items():
        table[name] = value
    return table


def asked(run: ToyRun, table: pd.DataFrame, hypotheses: bool = False) -> Sources:
    record = run.record.model_copy(
        update={
            "hypotheses": run.record.hypotheses if hypotheses else (),
            "outputs": {"O1:differential": "O1.W1.S2/differential"},
            "objectives": tuple(one.model_copy(update={"status": "done"}) for one in run.record.objectives),
        }
    )
    return Sources(record, lambda ref: table)


def test_the_larger_effect_leads_among_equal_p(toy_run: ToyRun) -> None:
    (question,) = leads(asked(toy_run, table_of()))
    assert [one.entity for one in question.leads][:3] == ["F01", "F03", "F05"]
    assert len(question.leads) == A_QUESTION
    assert (question.leads[0].name, question.leads[0].direction) == ("G1", "down")
    assert question.n_found == 0


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"n_a": [2 if i == 1 else 6 for i in range(30)]}, "F01"),
        ({"stability": [0.2 if i == 1 else 0.9 for i in range(30)]}, "F01"),
        ({"q": [0.01 if i == 1 else 0.4 for i in range(30)]}, "F01"),
    ],
    ids=["few values", "falls with half of the subjects", "a claim already"],
)
def test_what_is_no_lead(toy_run: ToyRun, changes: dict[str, object], left_out: str) -> None:
    told = [one.entity for question in leads(asked(toy_run, table_of(**changes))) for one in question.leads]
    assert told
    assert left_out not in told


def test_questions_without_evidence_or_with_findings_have_no_leads(toy_run: ToyRun) -> None:
    assert leads(asked(toy_run, table_of(p=0.5))) == []
    sources = asked(toy_run, table_of())
    three = [
        toy_run.record.hypotheses[0].model_copy(
            update={"id": f"H{i}", "status": "tentative", "grain": "entity"}
        )
        for i in range(3)
    ]
    about = sources.record.objectives[0].about
    three = [
        one.model_copy(update={"claim": one.claim.model_copy(update={"contrast": about})}) for one in three
    ]
    sources = Sources(sources.record.model_copy(update={"hypotheses": tuple(three)}), lambda ref: table_of())
    assert leads(sources) == []


def test_every_number_of_a_lead_has_its_source(toy_run: ToyRun) -> None:
    sources = asked(toy_run, table_of(n_b=[np.nan if i == 1 else 8 for i in range(30)]))
    for one in document(sources):
        assert {"effect", "p", "q"} <= set(one["numbers"])
        for number in one["numbers"].values():
            assert sources.value(number["reference"]) == number["value"] is not None


def test_leads_stand_apart_in_page_and_file(toy_run: ToyRun, tmp_path) -> None:
    """The toy table has no feature with p below the level that is no claim: the section is absent, the list empty."""
    jsonschema = pytest.importorskip("jsonschema")
    folder = write_bundle(toy_run.record, toy_run.artifacts, tmp_path / "report")
    told = json.loads((folder / "hypotheses.json").read_text())
    assert told["leads"] == []
    jsonschema.validate(told, schema())
    assert "Leads below the error rate" not in (folder / "report.html").read_text()
    told["leads"] = document(asked(toy_run, table_of()))
    jsonschema.validate(told, schema())


def test_what_varies_where_nothing_can_be_compared(toy_run: ToyRun) -> None:
    sources = asked(toy_run, table_of(q=[0.01] * 3 + [0.4] * 27, sd=1.0, n=10))
    objective = sources.record.objectives[0].model_copy(
        update={"kind": ObjectiveKind.DESCRIBE, "contrast": None}
    )
    outputs = {"O1:variable": "O1.W1.S2/differential"}
    record = sources.record.model_copy(update={"objectives": (objective,), "outputs": outputs})
    sources = Sources(
        record.model_validate(record.model_dump()),
        lambda ref: table_of(q=[0.01] * 3 + [0.4] * 27, sd=1.0, n=10),
    )
    varies = variable(sources)
    assert varies is not None
    assert [one.entity for one in varies.leads] == ["F00", "F01", "F02"]
    assert leads(sources) == []
    assert [one["contrast"] for one in document(sources)] == [objective.statement] * 3
    assert variable(asked(toy_run, table_of())) is None
