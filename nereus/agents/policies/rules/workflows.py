"""Which steps answer an objective: templates, edited by what the profile and earlier results say.

A template is a start, not a recipe: each edit below is made for a reason that the profile states, and the reason is the
step's purpose in the report. References: ``run/<name>`` is a result that the run holds, ``#2/<output>`` the second step
of the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nereus.agents.policies.base import DecisionContext, StepDraft, WorkflowDraft
from nereus.memory.records import Contrast, Objective, ObjectiveKind

Inputs = dict[str, str | dict[str, str]]

RANK_TEST_BELOW = 5
"""Subjects a group below which a rank test stands beside the moderated t (spec: n < 5)."""
HEAVY_TAILS = 7.0
"""Residual kurtosis above which a rank test stands beside the moderated t."""
PANEL_FEATURES = 200
"""Below this many features a matrix is a panel: sample-wise normalisation would remove what is looked for."""

PERMUTATIONS = 50
"""Label permutations of a null (spec: at least 50); fewer where fewer distinct ones exist."""

# How differential_abundance and everything that repeats it (stability, null, calibration) are called.
TEST_OPTIONS: dict[str, Any] = {"background": "auto", "prior_covariate": "auto", "min_per_group": 1}


def plan(context: DecisionContext) -> WorkflowDraft:
    """The workflow for the objective of the context."""
    objective = context.objective
    if objective is None:
        raise ValueError("planning a workflow needs an objective")
    return _TEMPLATES[objective.kind](context, objective)


def _data(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    inputs: Inputs = {"data": "run/data"}
    if context.limits.get("has_samples"):
        inputs["samples"] = "run/samples"
    steps = (
        StepDraft(
            tool="load_dataset",
            purpose="read the table, recognise its software, remove contaminants and decoys",
            inputs=inputs,
        ),
        StepDraft(
            tool="annotate_genes",
            purpose="name the genes of accessions, and the organism",
            inputs={"dataset": "#1/dataset"},
        ),
        StepDraft(
            tool="profile_dataset",
            purpose="find the unit of analysis, factors, batches, pairs and missingness",
            inputs={"dataset": "#2/dataset"},
        ),
        StepDraft(
            tool="plot_missingness",
            purpose="show what was measured in each sample",
            inputs={"dataset": "#3/dataset"},
        ),
    )
    return WorkflowDraft(
        template="understand", steps=steps, stop_rule="the profile is complete, or the data are refused"
    )


def _quality(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    values = context.profile.values
    steps: list[StepDraft] = []
    current = "run/loaded"

    def add(tool: str, purpose: str, inputs: Inputs | None = None, **params: Any) -> str:
        steps.append(
            StepDraft(tool=tool, purpose=purpose, inputs=inputs or {"dataset": current}, params=params)
        )
        return f"#{len(steps)}"

    # Judged before aggregation, so that a bad technical row is seen.
    add("quality_control", "pass or fail each sample, before anything is changed")
    if values.get("aggregate_by"):
        current = (
            add(
                "aggregate_replicates",
                "technical replicates are not subjects: one row a subject from here on",
                by=values["aggregate_by"],
                keep_apart=[one for one in str(values.get("keep_apart") or "").split(";") if one],
            )
            + "/dataset"
        )
    method = "none" if float(values.get("n_features") or 0) < PANEL_FEATURES else "median"
    current = (
        add(
            "normalise",
            "a panel is not shifted: few features may all change"
            if method == "none"
            else "take out loading differences between samples, by the median ratio to each protein's mean",
            method=method,
        )
        + "/dataset"
    )
    if values.get("alternative_quantities"):
        current = (
            add(
                "combine_quantities",
                "average the two quantities of the file, which err for different reasons",
            )
            + "/dataset"
        )
    # After the quantities are combined: one of them may hold features that the other lacks.
    current = (
        add(
            "filter_features",
            "leave out features seen too rarely to say anything about",
            factor=_main_factor(context),
            min_present_per_group=2,
        )
        + "/dataset"
    )
    principal = add("pca_variance", "see which columns the largest differences follow", {"dataset": current})
    batches, factors = _columns(context, "batch"), _columns(context, "factor", "ordered")
    if batches:
        add(
            "batch_check",
            "do batches explain variance, and can they be told from the factors?",
            {"dataset": current},
            batch=batches,
            factors=factors,
        )
    variables = [str(row["variable"]) for row in context.profile.tables.get("associations", [])]
    if factors or variables:
        add(
            "screen_factors",
            "which columns does the whole proteome follow?",
            {"dataset": current},
            factors=[*factors, *batches],
            variables=variables,
            subject=values.get("subject_column") if current == "run/loaded" else None,
        )
    add(
        "plot_pca",
        "draw the samples",
        {"scores": f"{principal}/scores", "variance": f"{principal}/variance", "dataset": current},
    )
    return WorkflowDraft(
        template="prepare", steps=tuple(steps), stop_rule="the prepared matrix and its quality are known"
    )


def _differential(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    contrast = _contrast(objective)
    values = context.profile.values
    steps: list[StepDraft] = []
    data: Inputs = {"dataset": "run/prepared"}

    def add(tool: str, purpose: str, inputs: Inputs, **params: Any) -> str:
        steps.append(StepDraft(tool=tool, purpose=purpose, inputs=inputs, params=params))
        return f"#{len(steps)}"

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
    smallest = _smallest_group(context, contrast)
    if smallest < RANK_TEST_BELOW or float(values.get("residual_kurtosis") or 0) > HEAVY_TAILS:
        add(
            "rank_test",
            "small groups or heavy tails: a test without distribution stands beside",
            data,
            contrast=described,
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
        steps.append(
            StepDraft(
                tool="differential_abundance",
                purpose="test again without the outlying samples: only what is found both times counts",
                inputs={"dataset": f"{kept}/dataset"},
                params={"contrast": described, **TEST_OPTIONS},
                publishes="rerun",
            )
        )
    add(
        "plot_heatmap",
        "draw the strongest proteins over all samples",
        {**data, "table": f"{test}/differential"},
        factors=[contrast.factor],
    )
    return WorkflowDraft(
        template="two groups" if contrast.block is None else "two groups, paired",
        steps=tuple(steps),
        stop_rule="every protein was tested, and the tests were themselves tested",
    )


def _association(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    described = {"variable": objective.variable, "covariates": list(objective.covariates)}
    data: Inputs = {"dataset": "run/prepared"}
    steps = (
        StepDraft(
            tool="continuous_association",
            purpose=f"test every protein against {objective.variable}",
            inputs=data,
            params=described,
        ),
        StepDraft(
            tool="stability",
            purpose="does a finding hold when half of the subjects are left out?",
            inputs=data,
            params=described,
        ),
        StepDraft(
            tool="permutation_null",
            purpose="how much would be found if the values were shuffled?",
            inputs=data,
            params={**described, "n_permutations": PERMUTATIONS},
        ),
        StepDraft(
            tool="calibrate_confidence",
            purpose="plant known effects into these data and learn how often a finding like this is true",
            inputs={**data, "differential": "#1/association", "stability": "#2/stability", "null": "#3/null"},
            params=described,
        ),
        StepDraft(
            tool="plot_volcano",
            purpose="draw effect against significance",
            inputs={"table": "#1/association"},
        ),
    )
    return WorkflowDraft(template="continuous variable", steps=steps, stop_rule="every protein was tested")


def _pathway(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    parent = objective.parent_id or ""
    held = [name for name in ("differential", "association") if f"{parent}:{name}" in context.run_outputs]
    data: Inputs = {
        "table": f"run/{parent}:{held[0]}" if held else "run/differential",
        "dataset": "run/prepared",
    }
    # What the table tests: from its residuals the correlation between members of a set is estimated.
    tested: dict[str, Any] = {"variable": objective.variable, "covariates": list(objective.covariates)}
    sides: dict[str, Any] = {}
    if objective.contrast is not None:
        tested = {"contrast": objective.contrast.model_dump(mode="json")}
        sides = tested
    steps = (
        StepDraft(
            tool="enrichment_gsea",
            purpose="which sets of proteins move together, against the measured proteins as background?",
            inputs=data,
            params=tested,
        ),
        StepDraft(
            tool="enrichment_ora",
            purpose="which sets hold more of the significant proteins than chance gives?",
            inputs=data,
            publishes="over_represented",
        ),
        StepDraft(tool="plot_set_bars", purpose="draw the sets", inputs={"table": "#1/sets"}, params=sides),
    )
    return WorkflowDraft(
        template="sets", steps=steps, stop_rule="all collections of the organism were tested"
    )


def _subtypes(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    data: Inputs = {"dataset": "run/prepared"}
    steps = [
        StepDraft(
            tool="cluster_samples",
            purpose="look for groups, and check by subsampling whether they hold",
            inputs=data,
        ),
    ]
    return WorkflowDraft(template="unsupervised", steps=tuple(steps), stop_rule="stability is known")


def _describe(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    steps = [
        StepDraft(tool="quality_control", purpose="describe each sample", inputs={"dataset": "run/prepared"})
    ]
    return WorkflowDraft(
        template="describe",
        steps=tuple(steps),
        stop_rule="described; nothing is inferred from groups this small",
    )


# Output of a test -> what its family is called in the run-wide error control.
_FAMILIES = {
    "differential": "abundance",
    "detection": "detection",
    "association": "association",
    "sets": "sets",
}


def _synthesis(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    outputs = context.run_outputs
    tables = {}
    for name in outputs:
        owner, _, output = name.partition(":")
        if output in _FAMILIES:
            tables[f"{owner} {_FAMILIES[output]}"] = f"run/{name}"
    steps = [
        StepDraft(
            tool="run_wide_fdr",
            purpose="one error rate over every table that was tested in this run",
            inputs={"tables": tables},
            params={"questions": {family: family.partition(" ")[0] for family in tables}},
        )
    ]
    parts: dict[str, str] = {}
    tested: list[tuple[Objective, str]] = []
    for one in context.objectives:
        main = {ObjectiveKind.DIFFERENTIAL: "differential", ObjectiveKind.ASSOCIATION: "association"}.get(
            one.kind
        )
        if main is None or f"{one.id}:{main}" not in outputs:
            continue
        inputs: Inputs = {"findings": "#1/findings", "differential": f"run/{one.id}:{main}"}
        for extra in ("detection", "stability", "confidence", "rank", "rerun"):
            if f"{one.id}:{extra}" in outputs:
                inputs[extra] = f"run/{one.id}:{extra}"
        params: dict[str, Any] = {
            "contrast": one.contrast.label if one.contrast else one.variable,
            "abundance_family": f"{one.id} {_FAMILIES[main]}",
            "kind": _FAMILIES[main],
            "prefix": one.id,
        }
        if "detection" in inputs:
            params["detection_family"] = f"{one.id} detection"
        steps.append(
            StepDraft(
                tool="compose_claims",
                purpose=f"what holds of {one.id} at the run's error level",
                inputs=inputs,
                params=params,
            )
        )
        parts[one.id] = f"#{len(steps)}/claims"
        tested.append((one, main))
    steps.append(
        StepDraft(
            tool="gather_claims", purpose="every claim of the run in one table", inputs={"tables": parts}
        )
    )
    for one, main in tested:  # drawings last: they are what a short budget leaves out
        drawn: dict[str, Any] = {"variable": one.variable}
        if one.contrast is not None:
            drawn = {"contrast": one.contrast.model_dump(mode="json")}
        steps.append(
            StepDraft(
                tool="plot_volcano",
                purpose="draw effect against significance, with what is claimed",
                inputs={"table": f"run/{one.id}:{main}", "claims": parts[one.id]},
                params=drawn,
            )
        )
    return WorkflowDraft(template="synthesis", steps=tuple(steps), stop_rule="all claims are stated")


_TEMPLATES: dict[ObjectiveKind, Callable[[DecisionContext, Objective], WorkflowDraft]] = {
    ObjectiveKind.DATA: _data,
    ObjectiveKind.QUALITY: _quality,
    ObjectiveKind.DIFFERENTIAL: _differential,
    ObjectiveKind.ASSOCIATION: _association,
    ObjectiveKind.PATHWAY: _pathway,
    ObjectiveKind.SUBTYPES: _subtypes,
    ObjectiveKind.DESCRIBE: _describe,
    ObjectiveKind.SYNTHESIS: _synthesis,
}


# ------------------------------------------------------------------------------------------------ reading the profile


def _contrast(objective: Objective) -> Contrast:
    if objective.contrast is None:
        raise ValueError(f"objective {objective.id} has no contrast")
    return objective.contrast


def _columns(context: DecisionContext, *roles: str) -> list[str]:
    return [
        str(row["column"]) for row in context.profile.tables.get("columns", []) if row.get("role") in roles
    ]


def _main_factor(context: DecisionContext) -> str | None:
    rows = context.profile.tables.get("contrasts", [])
    return str(rows[0]["factor"]) if rows else None


def _smallest_group(context: DecisionContext, contrast: Contrast) -> float:
    for row in context.profile.tables.get("contrasts", []):
        if (row["factor"], row["a"], row["b"]) == (contrast.factor, contrast.a, contrast.b):
            return min(float(row["n_a"] or 0), float(row["n_b"] or 0))
    return 0.0
