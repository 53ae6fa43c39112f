"""Pipelines of tools as actions: how a kind of question was planned in several data sets, lifted to one function.

Primitives are steps of the tool catalogue. What belongs to one data set (comparison, column, subject) becomes an argument;
what was planned alike becomes the function. A pipeline counts only where every step was accepted and no result changed
the plan; one that would have to name a column or a level of the data is no pipeline. It is valid where what was the same
in all its data sets is so again: kind of data, roles of files, what the profile has and lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nereus.memory.actions import LearnedAction
from nereus.memory.records import Objective, RunRecord, Scalar, Workflow
from nereus.tools.steps import canonical_json

DOMAIN = "omics"
LEAST_DATA_SETS = 2
_ARGUMENT = "$"
_PLAIN = (None, "", True, False)


@dataclass(frozen=True)
class Planned:
    """How one question of an ended run was planned."""

    run_id: str
    data_id: str
    objective: Objective
    template: str | None
    steps: tuple[dict[str, Any], ...]
    """``tool, purpose, inputs, params, publishes``; own steps as ``#2/output``, as in a draft."""
    signature: Mapping[str, Scalar]
    sources: Mapping[str, Any]
    names: frozenset[str]
    """Columns and levels of the data."""
    accepted: bool
    decisions: int
    """Plan, parameters and judgements that were asked for."""
    warned: tuple[bool, ...]


def sources(
    objective: Objective, values: Mapping[str, Scalar], contrasts: Sequence[Mapping[str, Scalar]]
) -> dict[str, Any]:
    """What arguments of a pipeline may be, by name: of the question, and of the profile where the question has none."""
    found: dict[str, Any] = {"objective": objective.id, "parent": objective.parent_id}
    if objective.contrast is not None:
        found["contrast"] = objective.contrast.model_dump(mode="json")
        found["factor"] = objective.contrast.factor
        found["comparison"] = f"{objective.contrast.a} vs {objective.contrast.b}"
    elif contrasts:
        found["factor"] = contrasts[0].get("factor")
    found["factors"] = list(dict.fromkeys(str(row["factor"]) for row in contrasts if row.get("factor")))
    found |= {
        "variable": objective.variable,
        "covariates": list(objective.covariates),
        "design": dict(objective.design),
    }
    found["subject"] = values.get("subject_column")
    found["organism"] = values.get("organism")
    return {name: value for name, value in found.items() if value not in _PLAIN and value not in ([], {})}


def signature(objective: Objective, values: Mapping[str, Scalar], roles: Sequence[str]) -> dict[str, Scalar]:
    """What must be as it was: kind of data, roles of files, and what profile and question have and lack."""
    found: dict[str, Scalar] = {"roles": " ".join(sorted(roles)), "kind": objective.kind.value}
    for name in ("variable", "covariates", "design", "label", "parent_id"):
        found[f"question:{name}"] = bool(getattr(objective, name))
    if objective.contrast is not None:
        for name in ("covariates", "block", "subset"):
            found[f"contrast:{name}"] = bool(getattr(objective.contrast, name))
    for name, value in values.items():
        if ":" not in name:
            found[f"profile:{name}"] = value if name in ("data_kind", "level") else bool(value)
    return found


def planned(
    record: RunRecord,
    tables: Mapping[str, Sequence[Mapping[str, Scalar]]],
    first: Mapping[str, Workflow] | None = None,
) -> list[Planned]:
    """Questions of an ended run with how they were planned.

    Parameters
    ----------
    record
        The run.
    tables
        ``columns`` and ``contrasts`` of its profile.
    first
        Workflow id -> its first version: what was planned before a result changed it; changes are decided anew.
    """
    step_id = record.outputs.get("profile", "").partition("/")[0]
    keys = {step.id: step.call_key for step in record.steps()}
    call = record.calls.get(keys.get(step_id) or "")
    values = call.values if call is not None else {}
    contrasts = tables.get("contrasts", ())
    names = {str(row["column"]) for row in tables.get("columns", ()) if row.get("column")}
    names |= {str(row[key]) for row in contrasts for key in ("factor", "a", "b") if row.get(key)}
    filled = {
        one.subject.partition("#")[0]: set(one.payload.get("params", ()))
        for one in record.decisions
        if one.kind == "fill_params"
    }
    by_objective: dict[str, list[Workflow]] = {}
    for workflow in record.workflows:
        by_objective.setdefault(workflow.objective_id, []).append(workflow)
    found = []
    for objective in record.objectives:
        own = [one for one in by_objective.get(objective.id, ()) if one.template != "verification"]
        if objective.status != "done" or not own:
            continue
        before = objective.kind.value == "data"  # nothing is known yet
        last = own[0]
        workflow = (first or {}).get(last.id, last)
        done = {step.id: step for step in last.steps}
        steps = workflow.steps
        asked = [d for d in record.decisions if d.subject.partition("#")[0] in {last.id, *done}]
        found.append(
            Planned(
                run_id=record.header.id,
                data_id=record.header.inputs["data"].id,
                objective=objective,
                template=workflow.template,
                steps=tuple(_draft(step, workflow.id, filled.get(step.id, set())) for step in steps),
                signature=signature(objective, {} if before else values, list(record.header.inputs)),
                sources=sources(objective, {} if before else values, () if before else contrasts),
                names=frozenset(names),
                accepted=len(own) == 1
                and all(s.status == "done" and s.verdict == "accept" for s in last.steps),
                decisions=len(asked),
                warned=tuple(_warned(record, done.get(step.id)) for step in steps),
            )
        )
    return found


def _warned(record: RunRecord, step: Any) -> bool:
    return step is not None and bool(step.call_key) and bool(record.calls[step.call_key].warnings)


def _draft(step: Any, workflow_id: str, filled: set[str]) -> dict[str, Any]:
    def own(reference: str) -> str:
        head = f"{workflow_id}.S"
        return f"#{reference[len(head) :]}" if reference.startswith(head) else reference

    inputs = {
        name: {key: own(one) for key, one in reference.items()}
        if isinstance(reference, dict)
        else own(reference)
        for name, reference in step.inputs.items()
    }
    params = {name: value for name, value in step.params.items() if name not in filled}
    return {
        "tool": step.tool,
        "purpose": step.purpose,
        "inputs": inputs,
        "params": params,
        "publishes": step.publishes,
    }


# ------------------------------------------------------------------------------------------------------- mining


def lifted(one: Planned) -> tuple[dict[str, Any], ...] | None:
    """Steps with arguments for what belongs to the data; None where a name of the data is left, or an earlier question."""
    known = sorted(one.sources.items(), key=lambda pair: -len(canonical_json(pair[1])))

    def lift(value: Any) -> Any:
        for name, source in known:
            if value == source and name not in ("objective", "parent"):
                return f"{_ARGUMENT}{name}"
        if isinstance(value, dict):
            return {key: lift(part) for key, part in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [lift(part) for part in value]
        return value

    steps = tuple({**step, "params": lift(step["params"]), "purpose": ""} for step in one.steps)
    text = canonical_json([step["params"] for step in steps])
    texts = _strings(json.loads(text))
    outer = [ref for ref in _references(steps) if not ref.startswith(("#", "run/")) or ":" in ref]
    if outer or any(part in one.names for part in texts):
        return None
    return steps


def _references(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        one
        for step in steps
        for reference in step["inputs"].values()
        for one in (reference.values() if isinstance(reference, dict) else [reference])
    ]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [part for key, one in value.items() for part in (str(key), *_strings(one))]
    return [part for one in value for part in _strings(one)] if isinstance(value, list | tuple) else []


def mine_pipelines(
    questions: Sequence[Planned], least: int = LEAST_DATA_SETS, **provenance: Any
) -> list[LearnedAction]:
    """One action for each way in which a kind of question was planned in enough data sets, most decisions saved first."""
    groups: dict[str, list[Planned]] = {}
    for one in questions:
        steps = lifted(one) if one.accepted and len(one.steps) > 1 else None
        if steps is not None:
            key = canonical_json([one.objective.kind.value, one.template, steps])
            groups.setdefault(key, []).append(one)
    found: list[LearnedAction] = []
    ranked = sorted(
        groups.items(), key=lambda pair: (-len({o.data_id for o in pair[1]}) * len(pair[1][0].steps), pair[0])
    )
    for key, group in ranked:
        if len({one.data_id for one in group}) >= least:
            found.append(_action(group, json.loads(key)[2], [one.name for one in found], provenance))
    return found


def _action(
    group: Sequence[Planned], steps: list[dict[str, Any]], taken: Sequence[str], provenance: Mapping[str, Any]
) -> LearnedAction:
    first = group[0]
    words = (
        f"{first.objective.kind.value}_{first.template or 'question'}".replace(" ", "_")
        .replace("-", "_")
        .lower()
    )
    name, number = f"answer_{words}", 1
    while name in taken:
        number += 1
        name = f"answer_{words}_{number}"
    used = sorted(
        {text[1:] for step in steps for text in _strings(step["params"]) if text.startswith(_ARGUMENT)}
    )
    same = dict(first.signature)
    for one in group[1:]:
        same = {
            key: value
            for key, value in same.items()
            if one.signature.get(key, "") == value and key in one.signature
        }
    kinds = {one: type(first.sources[one]).__name__ for one in used}
    general = f"as planned for {first.objective.kind.value} questions before"
    names = {name for one in group for name in one.names}
    purposes = [
        texts[0] if len(set(texts)) == 1 and not names & set(texts[0].replace(",", " ").split()) else general
        for texts in zip(*([step["purpose"] for step in one.steps] for one in group), strict=True)
    ]
    doc = f"Plan a {first.objective.kind.value} question ({first.template}): {', '.join(step['tool'] for step in steps)}."
    lines = [f"def {name}({', '.join(f'{one}: {kinds[one]}' for one in used)}) -> list:", f'    """{doc}"""']
    for place, (step, purpose) in enumerate(zip(steps, purposes, strict=True), start=1):
        given = [
            repr(step["tool"]),
            f"purpose={purpose!r}",
            f"inputs={_code(step['inputs'])}",
            f"params={_code(step['params'])}",
        ]
        given += [f"publishes={step['publishes']!r}"] if step["publishes"] else []
        lines.append(f"    s{place} = step({', '.join(given)})")
    lines.append(f"    return [{', '.join(f's{place}' for place in range(1, len(steps) + 1))}]")
    return LearnedAction(
        name=name,
        domain=DOMAIN,
        source="\n".join(lines) + "\n",
        parameters=tuple(kinds.items()),
        description=doc,
        plan={
            "kind": first.objective.kind.value,
            "template": first.template,
            "signature": same,
            "tools": [step["tool"] for step in steps],
            "warned": [any(one.warned[place] for one in group) for place in range(len(steps))],
        },
        provenance={
            "author": "pipelines",
            "runs": sorted({o.run_id for o in group}),
            "data": sorted({o.data_id for o in group}),
            **provenance,
        },
    )


def _code(value: Any) -> str:
    """A value as Python: arguments by their names, results of earlier steps by their variables."""
    if isinstance(value, str):
        if value.startswith(_ARGUMENT):
            return value[1:]
        if value.startswith("#"):
            place, _, output = value[1:].partition("/")
            return f"s{place} + {'/' + output!r}"
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_code(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_code(one) for one in value) + "]"
    return repr(value)


def fits(action: LearnedAction, seen: Mapping[str, Scalar], given: Mapping[str, Any]) -> bool:
    """Whether what must hold for a pipeline holds, and there is something for each of its arguments."""
    wanted = action.plan.get("signature", {})
    return all(key in seen and seen[key] == value for key, value in wanted.items()) and all(
        name in given for name, _ in action.parameters
    )
