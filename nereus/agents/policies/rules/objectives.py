"""Which questions the data can answer, in which order, and which it cannot: rules over the computed profile.

Candidates come from the design of the study. Their priority is
``0.35 screen + 0.25 power + 0.20 question + 0.10 novelty + 0.10 directness - 0.10 cost``: ``screen`` is one minus the
permutation p with which the whole proteome follows the column (0.5 before it was screened), ``power`` the chance to see
a difference of 0.8 standard deviations at a strict level, ``question`` the words shared with the user's question,
``novelty`` falls with equal objectives of this run, ``directness`` prefers columns that are no composite of others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
)
from nereus.memory.records import Contrast, Objective, ObjectiveKind

WEIGHTS = {
    "screen": 0.35,
    "power": 0.25,
    "question": 0.20,
    "novelty": 0.10,
    "directness": 0.10,
    "cost": -0.10,
}
MIN_SUBJECTS = 3
PROPOSALS_A_TIME = 5
MAX_COVARIATES = 4
SUBTYPE_SUBJECTS = 20
# A question is asked at two-sided 0.001, about what Benjamini-Hochberg asks of a single protein among thousands.
DIRECTNESS = {"main": 1.0, "covariate": 0.2, "composite": 0.0}
STRICT_ALPHA = 0.001
LARGE_EFFECT_SD = 0.8
EXPLORATION = 0.3


def propose(context: DecisionContext) -> ObjectivesProposal:
    """First the preparation and what looks promising; later what the screen and the batch check say."""
    known = {one.kind for one in context.objectives}
    drafts: list[ObjectiveDraft] = []
    if ObjectiveKind.QUALITY not in known:
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.QUALITY,
                statement="Prepare the matrix and judge its quality",
                rationale="Nothing is inferred before the unit of analysis, batches and outliers are known.",
                cites=("profile:unit_of_analysis", "profile:missing_rate"),
                priority=1.0,
            )
        )
    dropped: list[Dropped] = []
    candidates = [*_contrasts(context, dropped), *_associations(context), *_subtypes(context)]
    candidates.sort(key=lambda draft: (-draft.priority, draft.statement))
    fresh = [draft for draft in candidates if _matching(draft, context.objectives) is None]
    repeated = [draft for draft in candidates if _matching(draft, context.objectives) is not None]
    drafts += repeated + fresh[: PROPOSALS_A_TIME - len(drafts)]
    first_time = ObjectiveKind.QUALITY not in known
    return ObjectivesProposal(
        objectives=tuple(drafts),
        dropped=tuple(dropped) if first_time else (),
        rationale="candidates from the design, ranked by screen, power, question and cost",
    )


def choose(context: DecisionContext) -> ObjectivesChoice:
    """The two open objectives with the best index: priority plus a bonus for kinds that were tried less."""
    done = [one for one in context.objectives if one.status == "done"]
    opened = [one for one in context.objectives if one.status == "open"]
    barren = _barren_streak(context)
    if not opened:
        return ObjectivesChoice(ids=(), reason="all objectives are closed")
    tried = {kind: sum(one.kind is kind for one in done) for kind in ObjectiveKind}

    def index(one: Objective) -> float:
        return one.priority + EXPLORATION * math.sqrt(math.log(1 + len(done)) / (1 + tried[one.kind]))

    # Children come from findings: they are taken up before new directions are opened.
    ranked = sorted(opened, key=lambda one: (-one.depth, -index(one), one.id))
    if barren and not any(one.depth for one in opened) and all(one.priority < 0.3 for one in opened):
        return ObjectivesChoice(
            ids=(), reason="the last objectives found nothing and what is left promises little"
        )
    return ObjectivesChoice(
        ids=tuple(one.id for one in ranked[:2]), reason="highest index of priority and exploration"
    )


def covariates_for(context: DecisionContext, target: str, among: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns to adjust for: usual covariates of the sample sheet, and batches that the batch check found to matter.

    A column is left out when it cannot be told apart from the target (Cramér's V of 0.9 or more), is a recoding of
    it, or would leave too few samples.
    """
    chosen: list[str] = []
    n = float(context.profile.values.get("n_subjects") or context.profile.values.get("n_samples") or 0)
    most = min(MAX_COVARIATES, int(n // 10))
    samples = float(context.profile.values.get("n_samples") or 0)
    for row in context.profile.tables.get("columns", []):
        name = str(row["column"])
        usual = bool(row.get("usual_covariate")) and float(row.get("n_missing") or 0) <= 0.05 * samples
        if name != target and usual and not _entangled(context, name, target):
            chosen.append(name)
    chosen += [name for name in among if name not in chosen and name != target]
    batches = [name for name in _batches_that_matter(context) if name not in chosen and name != target]
    chosen = [name for name in batches if not _entangled(context, name, target)] + chosen
    return tuple(chosen[:most])


def _covariates_of(context: DecisionContext, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What the profile says its samples allow, and batches that the batch check found to matter."""
    factor = str(row["factor"])
    named = [one for one in str(row.get("covariates") or "").split(";") if one]
    found = [
        one
        for one in _batches_that_matter(context)
        if one not in named and not _entangled(context, one, factor)
    ]
    room = min(MAX_COVARIATES, int(min(float(row["n_a"] or 0), float(row["n_b"] or 0)) // MIN_SUBJECTS))
    return tuple((found + named)[: max(room, 0)])


# ------------------------------------------------------------------------------------------------------ candidates


def _contrasts(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    drafts = []
    too_small: list[str] = []
    for row in context.profile.tables.get("contrasts", []):
        factor, a, b = str(row["factor"]), str(row["a"]), str(row["b"])
        n_a, n_b = float(row["n_a"] or 0), float(row["n_b"] or 0)
        label = f"{a} vs {b} ({factor})"
        refused = str(row.get("refused") or "") or _refused_by_check(context, factor)
        if refused:
            dropped.append(Dropped(subject=label, reason=refused))
            continue
        if min(n_a, n_b) < MIN_SUBJECTS:
            too_small.append(label)
            continue
        paired = bool(row.get("paired"))
        contrast = Contrast(
            factor=factor,
            a=a,
            b=b,
            covariates=() if paired else _covariates_of(context, row),
            block=str(row["block"]) if row.get("block") else None,
        )
        parts = {
            "screen": _screen(context, factor),
            "power": _power(n_a, n_b),
            "question": _question_match(context.question, [factor, a, b]),
            "novelty": _novelty(context, ObjectiveKind.DIFFERENTIAL, factor),
            "directness": DIRECTNESS.get(str(row.get("kind")), 0.5),
            "cost": 0.1,
        }
        adjusted = f", adjusted for {', '.join(contrast.covariates)}" if contrast.covariates else ""
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.DIFFERENTIAL,
                statement=f"Which proteins differ between {a} and {b} ({factor}){adjusted}?",
                contrast=contrast,
                rationale=_why(context, factor, paired),
                cites=(f"profile:contrasts[{row['contrast']}]",),
                priority=_priority(parts),
                priority_parts=parts,
            )
        )
    if too_small:
        dropped += [
            Dropped(subject=one, reason="fewer than three subjects in a group: described, not tested")
            for one in too_small
        ]
    if not drafts and too_small:
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.DESCRIBE,
                statement="Describe the samples: the groups are too small to infer anything",
                rationale="With fewer than three subjects in a group no error rate can be promised.",
                cites=("profile:contrasts",),
                priority=0.5,
            )
        )
    return drafts


def _associations(context: DecisionContext) -> list[ObjectiveDraft]:
    drafts = []
    for row in context.profile.tables.get("associations", []):
        name, n = str(row["variable"]), float(row["n"] or 0)
        if not row.get("testable") or n < 4 * MIN_SUBJECTS or row.get("kind") == "follow-up time":
            continue
        parts = {
            "screen": _screen(context, name),
            "power": _power(n / 2, n / 2),
            "question": _question_match(context.question, [name]),
            "novelty": _novelty(context, ObjectiveKind.ASSOCIATION, name),
            "directness": 0.2 if row.get("kind") == "usual covariate" else 0.5,
            "cost": 0.1,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.ASSOCIATION,
                statement=f"Which proteins follow {name}?",
                variable=name,
                covariates=covariates_for(context, name),
                rationale=f"{name} is a continuous variable with enough values",
                cites=(f"profile:associations[{name}]",),
                priority=_priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def _subtypes(context: DecisionContext) -> list[ObjectiveDraft]:
    subjects = float(context.profile.values.get("n_subjects") or 0)
    features = float(context.profile.values.get("n_features") or 0)
    if subjects < SUBTYPE_SUBJECTS or features < 50:
        return []
    parts = {
        "screen": 0.3,
        "power": min(1.0, subjects / 100),
        "question": _question_match(context.question, ["subtypes", "clusters", "subgroups", "endotypes"]),
        "novelty": 1.0,
        "directness": 0.0,
        "cost": 0.2,
    }
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.SUBTYPES,
            statement="Do the subjects fall into groups that nobody labelled?",
            rationale="There are enough subjects to look for groups and to check whether they hold.",
            cites=("profile:n_subjects",),
            priority=_priority(parts),
            priority_parts=parts,
        )
    ]


# ------------------------------------------------------------------------------------------------------- the terms


def _priority(parts: Mapping[str, float]) -> float:
    return round(min(1.0, max(0.0, sum(WEIGHTS[name] * value for name, value in parts.items()))), 4)


def _screen(context: DecisionContext, column: str) -> float:
    screened = _table(context, "screen")
    for row in screened:
        if str(row["column"]) == column and row.get("p") is not None:
            return round(1 - float(row["p"]), 4)
    return 0.5


def _power(n_a: float, n_b: float) -> float:
    """Normal approximation of the power of a two-sample comparison for a large effect at a strict level."""
    if min(n_a, n_b) <= 0:
        return 0.0
    normal = NormalDist()
    shift = LARGE_EFFECT_SD * math.sqrt(n_a * n_b / (n_a + n_b))
    return round(1 - normal.cdf(normal.inv_cdf(1 - STRICT_ALPHA / 2) - shift), 4)


def _question_match(question: str | None, names: list[str]) -> float:
    if not question:
        return 0.0
    asked = set(re.findall(r"[a-z0-9]+", question.lower()))
    words = [word for name in names for word in re.findall(r"[a-z0-9]+", name.lower())]
    if any(name.lower() in question.lower() for name in names if len(name) > 2):
        return 1.0
    return round(sum(word in asked for word in words) / len(words), 4) if words else 0.0


def _novelty(context: DecisionContext, kind: ObjectiveKind, column: str) -> float:
    done = [
        one
        for one in context.objectives
        if one.kind is kind
        and one.status in ("done", "running")
        and column in ((one.contrast and one.contrast.factor), one.variable)
    ]
    return round(1 / (1 + len(done)), 4)


def _barren_streak(context: DecisionContext) -> bool:
    """Whether the last two tested objectives found nothing."""
    tested = [
        one
        for one in context.objectives
        if one.status == "done" and one.kind in (ObjectiveKind.DIFFERENTIAL, ObjectiveKind.ASSOCIATION)
    ]
    found = {
        call.step_id.partition(".")[0]: call.values.get("n_significant")
        for call in context.calls
        if "n_significant" in call.values
    }
    last = [found.get(one.id) for one in tested[-2:]]
    return len(last) == 2 and all(count == 0 for count in last)


def _why(context: DecisionContext, factor: str, paired: bool) -> str:
    text = f"{factor} is a factor with at least three subjects a group"
    if paired:
        text += "; the same subjects are in both groups, so they are compared within themselves"
    for row in _table(context, "screen"):
        if str(row["column"]) == factor and row.get("p") is not None:
            text += (
                "; the whole proteome follows it"
                if float(row["p"]) <= 0.05
                else "; the whole proteome does not follow it"
            )
    matters = [name for name in _batches_that_matter(context) if not _entangled(context, name, factor)]
    if matters:
        text += f"; {', '.join(matters)} explains variance beyond it and is modelled"
    return text


# ----------------------------------------------------------------------------------------------- reading the profile


def _refused_by_check(context: DecisionContext, factor: str) -> str:
    for pair in _table(context, "batch"):
        if str(pair["factor"]) == factor and pair["verdict"] == "refuse":
            return f"cannot be separated from {pair['batch']}"
    return ""


def _entangled(context: DecisionContext, one: str, other: str) -> bool:
    for row in context.profile.tables.get("confounding", []):
        pair = {str(row.get("first")), str(row.get("second"))}
        if pair == {one, other} and row.get("verdict") == "cannot separate":
            return True
    return False


def _batches_that_matter(context: DecisionContext) -> list[str]:
    found = []
    for row in _table(context, "batch"):
        name = str(row["batch"])
        if row.get("verdict") == "covariate" and name not in found:
            found.append(name)
    return found


def _table(context: DecisionContext, name: str) -> list[dict[str, Any]]:
    return context.profile.tables.get(name, [])


def _matching(draft: ObjectiveDraft, known: Iterable[Objective]) -> Objective | None:
    for one in known:
        if one.kind is not draft.kind or one.variable != draft.variable:
            continue
        if (one.contrast is None) == (draft.contrast is None) and (
            one.contrast is None or draft.contrast is None or one.contrast.asks_the_same(draft.contrast)
        ):
            return one
    return None
