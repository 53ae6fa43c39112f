"""What differs between two runs, as one table, and the effects of both beside each other.

Objectives, claims and hypotheses are matched by what they are about, never by their ids: the second question of one run
may be the fifth of another. What is matched and equal is counted and not listed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from nereus.agents.planner.questions import TESTED
from nereus.memory.records import Hypothesis, Objective, RunRecord, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from nereus.memory.records import ArtifactRef

Part = Literal["inputs", "settings", "versions", "objectives", "workflows", "claims", "hypotheses"]
PARTS: tuple[Part, ...] = (
    "inputs",
    "settings",
    "versions",
    "objectives",
    "workflows",
    "claims",
    "hypotheses",
)
COLUMNS = ("key", "part", "subject", "change", "first", "second")
TOLERANCE = 1e-9
"""Largest relative difference of two numbers that count as equal."""
_NO_RESULT = ("wall_s",)
Row = tuple[Part, str, str, Any, Any]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes
    ----------
    first, second
        Their records.
    differences
        One row a difference: key, part, subject, change (``gained``, ``lost``, or what changed), first, second.
    claims
        Every claim of either run: key, question, contrast, feature, gene, kind, change (``kept``, ``gained``, ``lost``,
        ``sign``), and direction, effect, q and confidence of both.
    effects
        Every entity that both runs tested for the same question: key, question, feature, gene, first, second, change.
    equal
        Part -> how many things of both runs are equal.
    """

    first: RunRecord
    second: RunRecord
    differences: pd.DataFrame
    claims: pd.DataFrame
    effects: pd.DataFrame
    equal: Mapping[str, int]

    @property
    def same_findings(self) -> bool:
        """Whether claims and hypotheses are equal, whatever went in."""
        return not self.differences["part"].isin(["claims", "hypotheses"]).any()

    def of(self, part: Part) -> pd.DataFrame:
        """Differences of one part."""
        return self.differences[self.differences["part"] == part]

    def _repr_html_(self) -> str:
        from nereus.agents.reporter.comparison.page import comparison_html

        return comparison_html(self, whole=False)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of(part))} in {part}" for part in PARTS if len(self.of(part)))
        return (
            f"<Comparison of {self.first.header.id} and {self.second.header.id}: {counts or 'no difference'}>"
        )


def compare_records(
    first: RunRecord, second: RunRecord, table: Callable[[ArtifactRef], pd.DataFrame]
) -> Comparison:
    """Compare two records.

    Parameters
    ----------
    first, second
        The runs.
    table
        Reads a table of either run.
    """
    equal: dict[str, int] = {}
    asked = _objectives(first), _objectives(second)
    claims = _claims(first, second, table)
    rows = [
        *_compared("inputs", _inputs(first), _inputs(second), equal),
        *_compared("settings", _settings(first), _settings(second), equal),
        *_compared("versions", _versions(first), _versions(second), equal),
        *_compared(
            "objectives",
            {key: _told(one) for key, one in asked[0].items()},
            {key: _told(one) for key, one in asked[1].items()},
            equal,
        ),
        *_compared("workflows", _steps(first, asked[0], asked[1]), _steps(second, asked[1], asked[0]), equal),
        *_claim_rows(claims, equal),
        *_compared("hypotheses", _hypotheses(first), _hypotheses(second), equal),
    ]
    return Comparison(
        first=first,
        second=second,
        differences=_frame(rows),
        claims=claims,
        effects=_effects(first, second, asked, claims, table),
        equal=equal,
    )


def _frame(rows: list[Row]) -> pd.DataFrame:
    listed = [
        {
            "key": f"{part}: {subject}: {change}",
            "part": part,
            "subject": subject,
            "change": change,
            "first": _text(before),
            "second": _text(after),
        }
        for part, subject, change, before, after in rows
    ]
    return pd.DataFrame(listed, columns=list(COLUMNS), dtype=object)


def _compared(
    part: Part, first: Mapping[str, Any], second: Mapping[str, Any], equal: dict[str, int]
) -> Iterator[Row]:
    """Rows for what only one has, and for each field that differs of what both have."""
    equal[part] = 0
    for subject in dict.fromkeys([*first, *second]):
        if subject not in second:
            yield part, subject, "lost", _summary(first[subject]), None
        elif subject not in first:
            yield part, subject, "gained", None, _summary(second[subject])
        else:
            changed = list(_fields(first[subject], second[subject]))
            equal[part] += not changed
            for name, before, after in changed:
                yield part, subject, name, before, after


def _fields(before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            if not same(before.get(name), after.get(name)):
                yield name, before.get(name), after.get(name)
    elif not same(before, after):
        yield "changed", before, after


def same(before: Any, after: Any) -> bool:
    """Whether two values are equal, numbers up to rounding and two missing ones too."""
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (before, after))
    if numbers:
        if math.isnan(before) or math.isnan(after):
            return math.isnan(before) and math.isnan(after)
        return math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=1e-300)
    return bool(before == after)


def _summary(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in ("says", "status", "does", "content") if name in value), "")


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------------ what went in


def _inputs(record: RunRecord) -> dict[str, Any]:
    return {role: {"name": ref.name, "content": ref.id[:16]} for role, ref in record.header.inputs.items()}


def _settings(record: RunRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in record.header.fingerprint_parts.items():
        if not name.startswith("setting "):
            continue
        value = json.loads(text)
        inner = value if isinstance(value, dict) else {"": value}
        for key, one in inner.items():
            found[f"{name.removeprefix('setting ')}{'.' if key else ''}{key}"] = one
    if record.header.learned and "learned" in record.header.fingerprint_parts:
        found["learned from"] = f"{record.header.learned.get('data_sets', 0)} other data sets"
    return {name: value for name, value in found.items() if name not in _NO_RESULT}


def _versions(record: RunRecord) -> dict[str, Any]:
    tools = {f"tool {call.spec.tool}": call.spec.version for call in record.calls.values()}
    graph = {"graph": record.header.fingerprint_parts.get("graph version", "")}
    return {**record.header.versions, **graph, **dict(sorted(tools.items()))}


# ------------------------------------------------------------------------------------------ what was asked and done


def asks(one: Objective) -> str:
    """What an objective asks, whatever it adjusts for: equal in two runs for equal questions."""
    contrast = one.contrast
    about = f"{contrast.factor}: {contrast.label}" if contrast is not None else one.variable or ""
    named = ", ".join(f"{role} {value}" for role, value in sorted(one.design.items()))
    return " · ".join(word for word in (one.kind.value, about, named) if word)


def _objectives(record: RunRecord) -> dict[str, Objective]:
    found: dict[str, Objective] = {}
    for one in record.objectives:  # a question that was asked twice counts as it was answered
        key = asks(one)
        if key not in found or found[key].status != "done":
            found[key] = one
    return found


def _told(one: Objective) -> dict[str, Any]:
    covariates = one.contrast.covariates if one.contrast is not None else one.covariates
    return {
        "status": one.status,
        "covariates": ", ".join(covariates),
        "block": (one.contrast.block or "") if one.contrast is not None else "",
        "priority": one.priority,
        "set by a person": ", ".join(one.by_person),
    }


def _steps(
    record: RunRecord, own: Mapping[str, Objective], other: Mapping[str, Objective]
) -> dict[str, dict[str, Any]]:
    """Steps of the workflows of what both runs asked, by question, tool and how often it was used before."""
    found: dict[str, dict[str, Any]] = {}
    workflows: dict[str, list[Workflow]] = {}
    for workflow in record.workflows:
        workflows.setdefault(workflow.objective_id, []).append(workflow)
    for key, objective in own.items():
        if key not in other:
            continue
        seen: dict[str, int] = {}
        for step in (step for workflow in workflows.get(objective.id, []) for step in workflow.steps):
            seen[step.tool] = seen.get(step.tool, 0) + 1
            number = f" ({seen[step.tool]})" if seen[step.tool] > 1 else ""
            call = record.calls.get(step.call_key or "")
            params = call.spec.params if call is not None else step.params
            plain = {f"param {name}": value for name, value in params.items() if not _names_objectives(name)}
            found[f"{key} · {step.tool}{number}"] = {"does": step.purpose, "status": step.status, **plain}
    return found


def _names_objectives(param: str) -> bool:
    """Parameters whose values are ids of objectives, which two runs give in their own order."""
    return param in ("questions", "prefix", "abundance_family", "detection_family")


# ----------------------------------------------------------------------------------------------------- what was found


def _claims(
    first: RunRecord, second: RunRecord, table: Callable[[ArtifactRef], pd.DataFrame]
) -> pd.DataFrame:
    sides = [_claims_of(first, table), _claims_of(second, table)]
    columns = ["direction", "effect", "q", "confidence"]
    about = ["question", "contrast", "feature", "gene", "kind"]
    rows = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = sides[0].get(key), sides[1].get(key)
        known: dict[str, Any] = one if one is not None else other  # type: ignore[assignment]
        change = "lost" if other is None else "gained" if one is None else "kept"
        if one is not None and other is not None and one["direction"] != other["direction"]:
            change = "sign"
        row = {"key": key, **{name: known.get(name) for name in about}, "change": change}
        for side, values in (("first", one), ("second", other)):
            row |= {f"{name}_{side}": values.get(name) if values is not None else None for name in columns}
        rows.append(row)
    made = [f"{name}_{side}" for side in ("first", "second") for name in columns]
    frame = pd.DataFrame(rows, columns=["key", *about, "change", *made])
    numbers = [name for name in made if not name.startswith("direction")]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def _claims_of(record: RunRecord, table: Callable[[ArtifactRef], pd.DataFrame]) -> dict[str, dict[str, Any]]:
    found = _output(record, record.outputs.get("claims", ""), table)
    if found is None:
        return {}
    # Two questions may have equal names: "yes vs no" of two columns.
    questions = {one.id: asks(one) for one in record.objectives}
    rows: dict[str, dict[str, Any]] = {}
    for row in found.to_dict("records"):
        question = questions.get(str(row.get("objective") or ""), str(row["contrast"]))
        rows[f"{question} · {row['feature']} · {row['kind']}"] = {
            **{str(k): v for k, v in row.items()},
            "question": question,
        }
    return rows


def _output(
    record: RunRecord, reference: str, table: Callable[[ArtifactRef], pd.DataFrame]
) -> pd.DataFrame | None:
    step_id, _, name = reference.partition("/")
    key = next((one.call_key for one in record.steps() if one.id == step_id), None)
    call = record.calls.get(key or "")
    return table(call.outputs[name]) if call is not None and name in call.outputs else None


def _claim_rows(claims: pd.DataFrame, equal: dict[str, int]) -> Iterator[Row]:
    equal["claims"] = 0
    for row in claims.to_dict("records"):
        subject = f"{row['gene'] or row['feature']} ({row['feature']}) · {row['question']} · {row['kind']}"
        if row["change"] in ("lost", "gained"):
            side = "first" if row["change"] == "lost" else "second"
            told = f"{row[f'direction_{side}']}, effect {_text(row[f'effect_{side}'])}"
            yield (
                ("claims", subject, "lost", told, None)
                if side == "first"
                else ("claims", subject, "gained", None, told)
            )
            continue
        changed = [
            (name, row[f"{column}_first"], row[f"{column}_second"])
            for name, column in (("sign", "direction"), ("effect", "effect"), ("confidence", "confidence"))
            if not same(row[f"{column}_first"], row[f"{column}_second"])
        ]
        equal["claims"] += not changed
        for name, before, after in changed:
            yield "claims", subject, name, before, after


def _hypotheses(record: RunRecord) -> dict[str, Any]:
    return {_about(one): _said(one) for one in record.hypotheses if one.status != "merged"}


def _about(one: Hypothesis) -> str:
    names = ", ".join(sorted({entity.name or entity.id for entity in one.claim.entities}))
    ids = ",".join(sorted({entity.id for entity in one.claim.entities}))
    shown = names if ids in ("", names) else f"{names} ({ids})"
    factor = f"{one.claim.context}: " if one.claim.context else ""  # two columns may have equal levels
    return f"{shown} · {one.claim.relation} · {factor}{one.claim.contrast} · {one.grain}"


def _said(one: Hypothesis) -> dict[str, Any]:
    directions = ", ".join(entity.direction for entity in one.claim.entities)
    atoms = ", ".join(sorted(f"{atom.kind} {atom.verdict}" for atom in one.atoms))
    return {
        "status": one.status,
        "direction": directions,
        "confidence": one.confidence,
        "checks": atoms,
    }


def _effects(
    first: RunRecord,
    second: RunRecord,
    asked: tuple[Mapping[str, Objective], Mapping[str, Objective]],
    claims: pd.DataFrame,
    table: Callable[[ArtifactRef], pd.DataFrame],
) -> pd.DataFrame:
    """Effects of what both runs tested, and what became of the claim about it."""
    changes = {
        (str(row["question"]), str(row["feature"])): str(row["change"]) for row in claims.to_dict("records")
    }
    parts = []
    for key, one in asked[0].items():
        other, known = asked[1].get(key), TESTED.get(one.kind)
        if other is None or known is None:
            continue
        tables = [
            _output(record, record.outputs.get(f"{objective.id}:{known.main}", ""), table)
            for record, objective in ((first, one), (second, other))
        ]
        if any(found is None or "effect" not in found for found in tables):
            continue
        sides = [
            found.rename(columns={found.columns[0]: "feature"}).drop_duplicates("feature")
            for found in tables
            if found is not None
        ]
        gene = sides[0]["gene"].fillna("") if "gene" in sides[0] else pd.Series("", index=sides[0].index)
        joined = (
            sides[0][["feature", "effect"]]
            .assign(gene=gene)
            .merge(sides[1][["feature", "effect"]], on="feature", suffixes=("_first", "_second"))
            .dropna(subset=["effect_first", "effect_second"])
        )
        parts.append(
            pd.DataFrame(
                {
                    "key": key + " · " + joined["feature"].astype(str),
                    "question": key,
                    "feature": joined["feature"].astype(str),
                    "gene": joined["gene"].astype(str),
                    "first": joined["effect_first"].astype(float),
                    "second": joined["effect_second"].astype(float),
                    "change": [changes.get((key, str(name)), "not claimed") for name in joined["feature"]],
                }
            )
        )
    columns = ["key", "question", "feature", "gene", "first", "second", "change"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
