"""Records for tests, made from a number: equal numbers make equal records."""

from __future__ import annotations

import hashlib

from nereus.memory.fingerprint import fingerprint, fingerprint_parts
from nereus.memory.records import (
    ArtifactKind,
    ArtifactRef,
    Atom,
    CallStatus,
    Claim,
    Contrast,
    Decision,
    Entity,
    Evidence,
    Hypothesis,
    Objective,
    ObjectiveKind,
    PlannedStep,
    RunHeader,
    Scores,
    StepSpec,
    ToolCall,
    Workflow,
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def header(number: int = 0, **changes: object) -> RunHeader:
    parts = fingerprint_parts("1", {"seed": number}, {"data": sha(f"data {number}")})
    made = RunHeader(
        id="",
        status="running",
        out_dir="out",
        seed=number,
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
        inputs={
            "data": ArtifactRef(id=sha(f"data {number}"), kind=ArtifactKind.FILE, name="data.csv", size=7)
        },
    )
    return made.model_copy(update=changes)


def table(name: str) -> ArtifactRef:
    return ArtifactRef(
        id=sha(f"artifact {name}"), kind=ArtifactKind.TABLE, name=name, size=12, summary="3 rows: a, b"
    )


def call(number: int = 0, status: CallStatus = CallStatus.OK) -> ToolCall:
    return ToolCall(
        key=sha(f"call {number}"),
        spec=StepSpec(
            tool="normalise", version="1", params={"n": number}, inputs={"dataset": sha("in")}, seed=1
        ),
        status=status,
        summary=f"call {number}",
        values={"log2fc": 0.1 + number, "n": number, "missing": None, "word": "µ–é"},
        outputs={"table": table(f"{number}"), "common": table("common")} if status is CallStatus.OK else {},
        warnings=("a warning",),
        error=None if status is CallStatus.OK else "it broke",
        wall_s=0.25,
    )


def evidence(number: int, call_number: int = 0) -> Evidence:
    made = call(call_number)
    return Evidence(
        id=f"E{number}",
        step_id="O1.W1.S1",
        call_key=made.key,
        quantity="log2 fold change",
        value=1 / 3 + number,
        artifact=made.outputs["table"].id,
        table="table",
        row="P1;P2",
        column="effect",
    )


def objective(number: int = 1, statement: str | None = None) -> Objective:
    return Objective(
        id=f"O{number}",
        kind=ObjectiveKind.DIFFERENTIAL,
        statement=statement or f"which proteins differ by factor {number}?",
        contrast=Contrast(factor="group", a="case", b="control", subset={"sex": "f"}),
        priority=0.1 + number / 7,
        status="done",
    )


def workflow(version: int = 1, n_steps: int = 3) -> Workflow:
    return Workflow(
        id="O1.W1",
        objective_id="O1",
        template="T2",
        version=version,
        steps=tuple(
            PlannedStep(
                id=f"O1.W1.S{n}",
                tool="normalise",
                purpose="p",
                params={"n": n},
                inputs={"dataset": "run/data"},
            )
            for n in range(1, n_steps + 1)
        ),
    )


def hypothesis(
    number: int = 1, evidence_ids: tuple[str, ...] = ("E1",), statement: str | None = None
) -> Hypothesis:
    return Hypothesis(
        id=f"H{number}",
        rank=number,
        status="supported",
        grain="entity",
        key=f"P{number}|abundance|case vs control|up",
        statement=statement or f"Protein {number} is higher in case by {{{{E1|.2f}}}} log2 units",
        claim=Claim(
            relation="abundance",
            entities=(Entity(kind="protein", id=f"P{number}", name=f"PROT{number}", direction="up"),),
            contrast="case vs control",
        ),
        confidence=0.9,
        scores=Scores(reliability=0.9, coherence=0.5, literature=None, novelty=0.4, evaluability=0.7),
        evidence_ids=evidence_ids,
        atoms=(
            Atom(
                id=f"H{number}.A1",
                statement="q is {{E1}}",
                kind="significance",
                necessary=True,
                verdict="holds",
                evidence_ids=evidence_ids,
            ),
        ),
    )


def decision(number: int = 1) -> Decision:
    return Decision(
        id=f"D{number}",
        kind="plan_workflow",
        subject="O1",
        policy="rules",
        payload={"steps": [number, {"a": None}]},
        ms=0.5,
    )
