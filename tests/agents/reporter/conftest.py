"""A small but complete run for the reporter's tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.agents.reporter import write_bundle
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import (
    Atom,
    Claim,
    Contrast,
    Decision,
    Edit,
    Entity,
    Evidence,
    Hypothesis,
    Objective,
    ObjectiveKind,
    PlannedStep,
    RunHeader,
    RunRecord,
    Scores,
    ToolCall,
    Workflow,
)
from nereus.tools import registry
from nereus.tools.steps import MemoryLedger, StepRunner
from tests.agents.reporter import toy_tools

HOSTILE = '<script>alert("x")</script>'
"""A gene name as somebody may put it into a file."""


@dataclass
class ToyRun:
    """A record, where its artifacts lie, and the file it began with."""

    record: RunRecord
    artifacts: ArtifactStore


@pytest.fixture(autouse=True, scope="package")
def toy_catalogue():
    """The toy tools, registered for this folder's tests."""
    registry.CATALOGUE.update(toy_tools.CATALOGUE)
    yield
    for name in toy_tools.CATALOGUE:
        del registry.CATALOGUE[name]


def make_toy_run(folder: Path, hostile: bool = False) -> ToyRun:
    """Run the toy tools for real and describe the run as the planner would."""
    genes = [HOSTILE if hostile else "ACTB", "SOD1", "MAPT", "P1;P2"]
    rows = [
        ("20,21,22,80,84,88", genes[0]),
        ("90,88,92,20,21,22", genes[1]),
        ("50,60,70,50,60,71", genes[2]),
        ("5,6,7,5,6,8", genes[3]),
    ]
    text = "protein,case1,case2,case3,control1,control2,control3\n"
    text += "".join('"{}",{}\n'.format(gene.replace('"', '""'), values) for values, gene in rows)
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "table <b>.csv" if hostile else folder / "table.csv"
    data.write_text(text, encoding="utf-8")
    artifacts = ArtifactStore(folder / "artifacts")
    runner = StepRunner(artifacts, MemoryLedger(), run_seed=1)
    source = artifacts.put_file(data)
    load = runner.run("toy_load", {}, {"data": source})
    compare = runner.run("toy_compare", {}, {"dataset": load.outputs["dataset"]})
    failed = runner.run("toy_compare", {"a": "nobody"}, {"dataset": load.outputs["dataset"]})
    claims = runner.run("toy_claims", {}, {"table": compare.outputs["differential"]})
    plot = runner.run("toy_plot", {}, {"table": compare.outputs["differential"]})
    calls = {call.key: call for call in (plot, claims, failed, compare, load)}
    table = artifacts.table(compare.outputs["differential"])
    evidence: dict[str, Evidence] = {}
    for column, quantity in (
        ("effect", "log2 fold change"),
        ("q", "q"),
        ("ci_low", "lower limit of the 95 % interval"),
        ("ci_high", "upper limit of the 95 % interval"),
    ):
        identity = f"E{len(evidence) + 1}"
        evidence[identity] = _cell(identity, compare, table, genes[1], column, quantity)
    evidence["E5"] = Evidence(
        id="E5",
        step_id="O1.W1.S2",
        call_key=compare.key,
        quantity="features tested",
        value=4,
        name="n_tested",
    )
    contrast = Contrast(factor="group", a="case", b="control")
    steps = (
        ("toy_load", "Read the table", load),
        ("toy_compare", "Compare case with control", compare),
        ("toy_claims", "State the claims", claims),
        ("toy_plot", "Draw the comparison", plot),
    )
    planned = tuple(
        PlannedStep(
            id=f"O1.W1.S{n}", tool=tool, purpose=why, status="done", call_key=call.key, verdict="accept"
        )
        for n, (tool, why, call) in enumerate(steps, start=1)
    )
    hypotheses = (
        Hypothesis(
            id="H1",
            rank=1,
            status="supported",
            grain="entity",
            key="SOD1|abundance|case vs control|up",
            statement=(
                "SOD1 is higher in case than in control: "
                "{{E1|+.2f}} log2 {{E1|ci}}, q {{E2|p}}, {{E5}} tested."
            ),
            claim=Claim(
                relation="abundance",
                entities=(Entity(kind="protein", id=genes[1], name="SOD1", direction="up"),),
                contrast="case vs control",
            ),
            confidence=0.93,
            confidence_word="strong",
            scores=Scores(reliability=0.93, coherence=1.0, literature=None, novelty=0.5, evaluability=1.0),
            rank_score=0.7,
            evidence_ids=("E1", "E2", "E3", "E4", "E5"),
            atoms=(
                Atom(
                    id="H1.A1",
                    statement="q {{E2|p}} is within the run's error level",
                    kind="significance",
                    necessary=True,
                    verdict="holds",
                    evidence_ids=("E2",),
                ),
                Atom(
                    id="H1.A2",
                    statement="The antibody is specific",
                    kind="assumed",
                    necessary=False,
                    verdict="assumed",
                ),
            ),
            alternatives=("A batch that goes with the groups",),
            experiment="Measure SOD1 by targeted mass spectrometry in new subjects.",
            caveats=("Few samples a group.",),
        ),
        Hypothesis(
            id="H2",
            rank=2,
            status="refuted",
            grain="entity",
            key="x",
            statement=f"{genes[0]} does not hold up: effect {{{{E1|.1f}}}}.",
            claim=Claim(
                relation="abundance",
                entities=(Entity(kind="gene", id=genes[0], name=genes[0], direction="down"),),
                contrast="case vs control",
                context=genes[0],
            ),
            confidence=None,
            scores=Scores(reliability=0.2, coherence=0.5, literature=None, novelty=0.5, evaluability=0.5),
            evidence_ids=("E1",),
            caveats=(genes[0],),
        ),
    )
    header = RunHeader(
        id="r0123456789",
        status="finished",
        question="What differs between case and control?" if not hostile else f"Why {HOSTILE}?",
        seed=1,
        out_dir=str(folder),
        inputs={"data": source},
        fingerprint="f" * 64,
        settings={"llm_api_key": "sk-secret", "database_url": "postgresql://me:pass@host/db", "level": 0.05},
        versions={"nereus": "0.1.0", "numpy": "2.4.6"},
        used={"tool_calls": 5.0},
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:00:09Z",
        wall_s=9.0,
    )
    record = RunRecord(
        header=header,
        objectives=(
            Objective(
                id="O1",
                kind=ObjectiveKind.DIFFERENTIAL,
                statement="Which proteins differ between case and control?",
                contrast=contrast,
                rationale="Two groups with enough subjects.",
                priority=0.8,
                status="done",
                outcome="{{O1.W1.S2.n_significant}} proteins differ.",
            ),
            Objective(
                id="O2",
                kind=ObjectiveKind.ASSOCIATION,
                statement="Which proteins follow age?",
                variable="age",
                status="abandoned",
                outcome="No such column.",
            ),
        ),
        workflows=(
            Workflow(
                id="O1.W1",
                objective_id="O1",
                template="two groups",
                version=2,
                steps=planned,
                edits=(
                    Edit(op="insert", step_id="O1.W1.S4", reason="There is something to draw", trigger="E2"),
                ),
            ),
        ),
        calls=calls,
        evidence=evidence,
        hypotheses=hypotheses,
        decisions=(
            Decision(
                id="D1",
                kind="choose_objective",
                subject="O1",
                policy="rules",
                payload={},
                rationale="Highest priority",
            ),
        ),
        notices=("One comparison failed: " + genes[0],),
        outputs={"claims": "O1.W1.S3/claims"},
    )
    return ToyRun(record, artifacts)


def _cell(
    identity: str, call: ToolCall, table, row: str, column: str, quantity: str, step: str = "O1.W1.S2"
) -> Evidence:
    value = table.set_index("feature").at[row, column].item()
    ref = call.outputs["differential"]
    return Evidence(
        id=identity,
        step_id=step,
        call_key=call.key,
        quantity=quantity,
        value=value,
        artifact=ref.id,
        table="differential",
        row=row,
        column=column,
    )


def make_real_run(folder: Path) -> ToyRun:
    """Run the tools of the product on a small table with three proteins that differ, from file to claims and figure."""
    rng = np.random.default_rng(11)
    samples = [f"{group}{number}" for group in ("drug", "ctrl") for number in range(1, 6)]
    values = 2 ** rng.normal(22, 1.5, (60, 1)) * 2 ** rng.normal(0, 0.15, (60, 10))
    values[:3, :5] *= 6
    values[rng.random(values.shape) < 0.04] = np.nan
    names = [f"Q{number:05d}" for number in range(60)]
    folder.mkdir(parents=True)
    pd.DataFrame(values, index=pd.Index(names, name="protein"), columns=samples).to_csv(
        folder / "proteins.csv"
    )
    sheet = pd.DataFrame({"sample": samples, "treatment": [name[:4] for name in samples]})
    sheet.to_csv(folder / "samples.csv", index=False)
    artifacts = ArtifactStore(folder / "artifacts")
    runner = StepRunner(artifacts, MemoryLedger(), run_seed=1)
    inputs = {
        role: artifacts.put_file(folder / f"{name}.csv")
        for role, name in (("data", "proteins"), ("samples", "samples"))
    }
    contrast = {"factor": "treatment", "a": "drug", "b": "ctrl"}
    steps: list[tuple[str, ToolCall]] = []

    def run(tool: str, params: dict, given: dict) -> ToolCall:
        call = runner.run(tool, params, given)
        assert call.error is None, call.error
        steps.append((tool, call))
        return call

    load = run("load_dataset", {}, dict(inputs))
    kept = run("filter_features", {"factor": "treatment"}, {"dataset": load.outputs["dataset"]})
    level = run("normalise", {"method": "median"}, {"dataset": kept.outputs["dataset"]})
    test = run("differential_abundance", {"contrast": contrast}, {"dataset": level.outputs["dataset"]})
    table = test.outputs["differential"]
    found = run("run_wide_fdr", {}, {"tables": {"drug": table}})
    given = {"findings": found.outputs["findings"], "differential": table}
    run("compose_claims", {"contrast": "drug vs ctrl", "abundance_family": "drug"}, given)
    run("plot_volcano", {}, {"table": table})
    planned = tuple(
        PlannedStep(id=f"O1.W1.S{n}", tool=tool, purpose=f"Run {tool}", status="done", call_key=call.key)
        for n, (tool, call) in enumerate(steps, start=1)
    )
    frame = artifacts.table(table)
    best = str(frame.sort_values("p")["feature"].iloc[0])
    evidence = {
        f"E{n}": _cell(f"E{n}", test, frame, best, column, column, step="O1.W1.S4")
        for n, column in enumerate(("effect", "q", "n_a"), start=1)
    }
    hypothesis = Hypothesis(
        id="H1",
        rank=1,
        status="supported",
        grain="entity",
        key=best,
        statement=f"{best} is higher with the drug by {{{{E1|+.2f}}}} {{{{E1|ci}}}} (q {{{{E2|p}}}}, {{{{E3|int}}}} samples).",
        claim=Claim(
            relation="abundance",
            entities=(Entity(kind="protein", id=best, name=best, direction="up"),),
            contrast="drug vs ctrl",
        ),
        confidence=0.9,
        scores=Scores(reliability=0.9, coherence=1, literature=None, novelty=1, evaluability=1),
        evidence_ids=tuple(evidence),
    )
    record = RunRecord(
        header=RunHeader(
            id="r1",
            status="finished",
            seed=1,
            out_dir=str(folder),
            inputs=inputs,
            versions={"nereus": "0.1.0"},
        ),
        objectives=(
            Objective(
                id="O1",
                kind=ObjectiveKind.DIFFERENTIAL,
                statement="What does the drug change?",
                status="done",
            ),
        ),
        workflows=(Workflow(id="O1.W1", objective_id="O1", template=None, steps=planned),),
        calls={call.key: call for _, call in steps},
        evidence=evidence,
        hypotheses=(hypothesis,),
        outputs={"claims": "O1.W1.S6/claims"},
    )
    return ToyRun(record, artifacts)


@pytest.fixture(scope="session")
def real_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of the product's own tools. Tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("real")
    run = make_real_run(folder / "run")
    return write_bundle(run.record, run.artifacts, folder / "report")


@pytest.fixture
def toy_run(tmp_path: Path) -> ToyRun:
    """A finished run of four steps, with one failed call beside them."""
    return make_toy_run(tmp_path / "toy")


@pytest.fixture
def hostile_run(tmp_path: Path) -> ToyRun:
    """The same with a gene, a file name and a question that try to be HTML."""
    return make_toy_run(tmp_path / "hostile", hostile=True)
