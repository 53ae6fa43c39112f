"""Questions that ask which proteins differ between two groups."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.comparison import TEST_OPTIONS
from nereus.agents.policies.rules.questions.design import (
    MIN_SUBJECTS,
    batches_that_matter,
    contrast_of,
    covariates_of,
    entangled,
    features_word,
    refused_by_check,
    smallest_group,
    structures_of_peptides,
    table,
)
from nereus.agents.policies.rules.questions.priority import (
    DIRECTNESS,
    novelty,
    power,
    priority,
    question_match,
    screen,
)
from nereus.agents.policies.rules.questions.screens import (
    HEAVY_TAILS,
    PERMUTATIONS,
    RANK_TEST_BELOW,
    conclude,
)
from nereus.memory.records import Contrast, Objective, ObjectiveKind


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Every pair of levels with three or more subjects each that no batch hides.

    Peptides of a limited digest are tested with their proteins (`targets`), not one by one.
    """
    if structures_of_peptides(context):
        return []
    drafts = []
    too_small: list[str] = []
    for row in context.profile.tables.get("contrasts", []):
        factor, a, b = str(row["factor"]), str(row["a"]), str(row["b"])
        n_a, n_b = float(row["n_a"] or 0), float(row["n_b"] or 0)
        label = f"{a} vs {b} ({factor})"
        refused = str(row.get("refused") or "") or refused_by_check(context, factor)
        if refused:
            known = next(
                (
                    one.id
                    for one in context.objectives
                    if one.kind is ObjectiveKind.DIFFERENTIAL
                    and one.contrast is not None
                    and one.contrast.asks_the_same(Contrast(factor=factor, a=a, b=b))
                ),
                None,
            )
            dropped.append(Dropped(subject=label, reason=refused, verdict="refused", objective_id=known))
            continue
        if min(n_a, n_b) < MIN_SUBJECTS:
            too_small.append(label)
            continue
        paired = bool(row.get("paired"))
        contrast = Contrast(
            factor=factor,
            a=a,
            b=b,
            covariates=() if paired else covariates_of(context, row),
            block=str(row["block"]) if row.get("block") else None,
        )
        parts = {
            "screen": screen(context, factor),
            "power": power(n_a, n_b),
            "question": question_match(context.question, [factor, a, b]),
            "novelty": novelty(context, ObjectiveKind.DIFFERENTIAL, factor),
            # Two baits against each other say less than each of them against what all have in common.
            "directness": 0.0 if factor in _baits(context) else DIRECTNESS.get(str(row.get("kind")), 0.5),
            "cost": 0.1,
        }
        adjusted = f", adjusted for {', '.join(contrast.covariates)}" if contrast.covariates else ""
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.DIFFERENTIAL,
                statement=f"Which {features_word(context)} differ between {a} and {b} ({factor}){adjusted}?",
                contrast=contrast,
                rationale=_why(context, factor, contrast.block if paired else None),
                cites=(f"profile:contrasts[{row['contrast']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    if too_small:
        dropped += [
            Dropped(subject=one, reason="fewer than three subjects in a group: described, not tested")
            for one in too_small
        ]
    return drafts


def _baits(context: DecisionContext) -> set[str]:
    """Factors whose levels are surely baits."""
    return {str(row["factor"]) for row in table(context, "pulldowns") if row.get("cue") in ("named", "genes")}


def _why(context: DecisionContext, factor: str, pairs: str | None) -> str:
    text = f"{factor} is a factor with at least three subjects a group"
    if pairs is not None:
        text += f"; the same subjects ({pairs}) are in both groups, so they are compared within themselves"
    for row in table(context, "screen"):
        if str(row["column"]) == factor and row.get("p") is not None:
            text += (
                "; the whole proteome follows it"
                if float(row["p"]) <= 0.05
                else "; the whole proteome does not follow it"
            )
    matters = [name for name in batches_that_matter(context) if not entangled(context, name, factor)]
    if matters:
        text += f"; {', '.join(matters)} explains variance beyond it and is modelled"
    return text


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """The test, what tests the test, and drawings."""
    contrast = contrast_of(objective)
    values = context.profile.values
    plan = Plan()
    add = plan.add
    data: Inputs = {"dataset": "run/prepared"}

    described = contrast.model_dump(mode="json")
    adjusted = f", adjusted for {', '.join(contrast.covariates)}" if contrast.covariates else ""
    test = add(
        "differential_abundance",
        f"test every protein between {contrast.a} and {contrast.b}{adjusted}",
        data,
        contrast=described,
        **TEST_OPTIONS,
    )
    detection = ""
    if float(values.get("missing_rate") or 0) > 0:
        detection = add(
            "detection_test",
            "proteins seen in one group only; missing values are never filled in before this",
            data,
            contrast=described,
        )
    smallest = smallest_group(context, contrast)
    reasons = ["small groups"] if smallest < RANK_TEST_BELOW else []
    reasons += ["heavy tails"] if float(values.get("residual_kurtosis") or 0) > HEAVY_TAILS else []
    if reasons:
        add(
            "rank_test",
            f"{' and '.join(reasons)}: a test without distribution stands beside",
            data,
            contrast=described,
        )
        if "sign_disagreement" in context.anticipated:
            add(
                "differential_abundance",
                "in earlier data of this kind ranks and means disagreed in sign: test with robust variances, too",
                data,
                publishes_as="robust",
                contrast=described,
                robust=True,
                **TEST_OPTIONS,
            )
    stable = add(
        "stability",
        "does a finding hold when half of the subjects are left out?",
        data,
        contrast=described,
        **TEST_OPTIONS,
    )
    null = add(
        "permutation_null",
        "how much would be found if the labels meant nothing?",
        data,
        contrast=described,
        n_permutations=PERMUTATIONS,
        **TEST_OPTIONS,
    )
    calibration: Inputs = {
        **data,
        "differential": f"{test}/differential",
        "stability": f"{stable}/stability",
        "null": f"{null}/null",
    }
    if detection:
        calibration["detection"] = f"{detection}/detection"
    add(
        "calibrate_confidence",
        "plant known effects into these data and learn how often a finding like this is true",
        calibration,
        contrast=described,
        **TEST_OPTIONS,
    )
    add(
        "power",
        "what could have been seen, and how many subjects a follow-up needs",
        data,
        contrast=described,
    )
    outliers = [one for one in str(values.get("outliers") or "").split(";") if one]
    if outliers and not values.get("aggregate_by"):
        kept = add("remove_samples", "set the outlying samples aside", data, samples=outliers)
        add(
            "differential_abundance",
            "test again without the outlying samples: only what is found both times counts",
            {"dataset": f"{kept}/dataset"},
            publishes_as="rerun",
            contrast=described,
            **TEST_OPTIONS,
        )
    add(
        "plot_heatmap",
        "draw the strongest proteins over all samples",
        {**data, "table": f"{test}/differential"},
        factors=[contrast.factor],
    )
    return plan.draft(
        "two groups" if contrast.block is None else "two groups, paired",
        "every protein was tested, and the tests were themselves tested",
    )


QUESTION = Question(
    ObjectiveKind.DIFFERENTIAL,
    workflow,
    conclude,
    candidates,
    needs=("differential_abundance",),
    essential=("differential_abundance",),
)
