"""What is known of each kind of question that tests something: its test, its tables, and the relation of its claims.

One place for all who ask: the harvest, the error control over the whole run, verification, hypotheses and reports.
How a relation is said is in `relations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nereus.agents.planner.relations import RELATIONS, Relation
from nereus.memory.records import EntityKind, Objective, ObjectiveKind, RelationName


@dataclass(frozen=True)
class Tested:
    """A kind of question that tests entities one by one, and where its answer lies.

    Attributes
    ----------
    kind
        The kind of objective.
    tool
        Tool that makes the main table; also what verification repeats under other choices.
    main
        Name of the main table: a text key in its first column, ``effect``, ``p`` and ``q``.
    relation
        What its claims say.
    also
        Further tables of the same question that count as tests: output name -> relation.
    calibrated
        Whether its claims carry a calibrated confidence, by `calibrate_confidence` or planted by the test itself; those
        of others are tentative unless they are stable and beyond what exchanged labels give.
    own_checks
        Whether the test itself measures stability (a column of its table) and its null (named values), asked for by
        ``n_subsamples`` and ``n_permutations``.
    cited
        Further columns of the main table that a claim cites -> what they are.
    renormalised
        Whether verification repeats it after another normalisation.
    figure
        Tool that draws one entity.
    data
        Data set in which an entity is a feature; ``{id}`` is the objective's.
    name
        Name of an entity from its row of the main table, where gene or key do not say it: ``{marker} in {population}``.
    parts
        Columns of the main table whose texts the statement names, such as the bait; they make claims about one feature
        different.
    table_only
        Whether its test reads another test's table: then verification has nothing to repeat.
    with_groups
        What its claims say where the objective also compares groups, in place of `relation`.
    reads
        Further inputs of its test; entries of the objective's design are filled in: ``run/layer:{layer}:prepared``.
    """

    kind: ObjectiveKind
    tool: str
    main: str
    relation: RelationName
    also: Mapping[str, RelationName] = field(default_factory=dict)
    calibrated: bool = False
    own_checks: bool = False
    cited: Mapping[str, str] = field(default_factory=dict)
    renormalised: bool = True
    figure: str = "plot_feature"
    data: str = "run/prepared"
    table_only: bool = False
    name: str = ""
    parts: tuple[str, ...] = ()
    with_groups: RelationName | None = None
    reads: Mapping[str, str] = field(default_factory=dict)

    def inputs_of(self, objective: Objective) -> dict[str, str]:
        """What its test reads beside the data set."""
        return {name: reference.format_map(objective.design) for name, reference in self.reads.items()}

    def relation_of(self, objective: Objective) -> RelationName:
        """What a claim about this objective says."""
        return self.relation if self.with_groups is None or objective.contrast is None else self.with_groups


@dataclass(frozen=True)
class Whole:
    """A kind of question whose answer is one statement about all samples: a panel, subtypes.

    Attributes
    ----------
    kind, tool, main
        The kind of objective, the tool that answers it, and its first table.
    relation
        What is claimed.
    entity
        What the claim is about.
    p
        Named value that decides at the stated level; None where `holds` decides.
    holds
        Named value that is above 0 (or True) where there is something to say.
    cited
        Named values that are cited: name -> what it is.
    family
        Table that holds the statement's p as one test: the statement is then decided at the error level of the run.
    """

    kind: ObjectiveKind
    tool: str
    main: str
    relation: RelationName
    entity: EntityKind
    p: str | None
    holds: str | None
    cited: Mapping[str, str]
    family: str = ""


_TESTED = (
    Tested(
        ObjectiveKind.DIFFERENTIAL,
        tool="differential_abundance",
        main="differential",
        relation="abundance",
        also={"detection": "detection"},
        calibrated=True,
    ),
    Tested(
        ObjectiveKind.ASSOCIATION,
        tool="continuous_association",
        main="association",
        relation="association",
        calibrated=True,
    ),
    Tested(
        ObjectiveKind.INTERACTION,
        tool="interaction_test",
        main="interaction",
        relation="interaction",
        calibrated=True,
        own_checks=True,
        cited={
            "effect_by_a": "difference at the first level of the second factor",
            "effect_by_b": "difference at the second level of the second factor",
            "n_least": "subjects in the smallest cell",
        },
    ),
    Tested(
        ObjectiveKind.LONGITUDINAL,
        tool="longitudinal_test",
        main="longitudinal",
        relation="course",
        calibrated=True,
        own_checks=True,
        with_groups="divergence",
        cited={"slope": "log2 change a unit of time"},
    ),
    Tested(
        ObjectiveKind.SURVIVAL,
        tool="survival_screen",
        main="survival",
        relation="survival",
        calibrated=True,
        own_checks=True,
        cited={
            "hazard_ratio": "hazard ratio per standard deviation",
            "n": "subjects with a value",
            "events": "events among them",
            "hazards_p": "p that the hazard ratio changes with time",
        },
        figure="plot_survival",
    ),
    Tested(
        ObjectiveKind.DOSE_RESPONSE,
        tool="dose_response",
        main="dose_response",
        relation="dose_response",
        calibrated=True,
        own_checks=True,
        cited={
            "ec50": "dose of half effect",
            "ec50_low": "lower limit of the dose of half effect",
            "ec50_high": "upper limit of the dose of half effect",
            "r2": "share of variance on the curve",
            "lack_of_fit_p": "p that the means of the doses are not on the curve",
        },
        figure="plot_dose_response",
    ),
    Tested(
        ObjectiveKind.POPULATIONS,
        tool="cell_abundance_test",
        main="abundance",
        relation="population",
        calibrated=True,
        cited={
            "share_a": "mean share in a",
            "share_b": "mean share in b",
            "p_without_top": "p without the strongest population",
        },
        renormalised=False,
        data="run/{id}:shares",
    ),
    Tested(
        ObjectiveKind.STATES,
        tool="cell_state_test",
        main="state",
        relation="state",
        calibrated=True,
        renormalised=False,
        data="run/{id}:states",
        name="{marker} in {population}",
    ),
    Tested(
        ObjectiveKind.MODULES,
        tool="differential_abundance",
        main="differential",
        relation="module",
        renormalised=False,
        data="run/{id}:eigen",
    ),
    Tested(
        ObjectiveKind.INTERACTOME,
        tool="score_interactome",
        main="interactors",
        relation="interactor",
        cited={
            "probability": "probability of interaction",
            "n_baits_bound": "baits that enrich it",
            "detection_p": "p of being seen with the bait more often",
        },
        name="{gene}",
        parts=("bait",),
    ),
    Tested(
        ObjectiveKind.TARGETS,
        tool="limited_proteolysis",
        main="targets",
        relation="target",
        own_checks=True,
        cited={"n_peptides": "peptides tested", "n_changed": "peptides changed"},
        figure="",
    ),
    Tested(
        ObjectiveKind.DOSE_TARGETS,
        tool="dose_targets",
        main="targets",
        relation="dose_target",
        own_checks=True,
        cited={
            "ec50": "dose of half effect of its leading peptide",
            "n_peptides": "peptides tested",
            "n_changed": "peptides that follow the dose",
        },
        figure="",
    ),
    Tested(
        ObjectiveKind.CROSS_LAYER,
        tool="cross_layer_correlation",
        main="cross_layer",
        relation="cross_layer",
        calibrated=True,
        own_checks=True,
        cited={"n": "subjects with both values", "q_typical": "q that it agrees as a typical gene does"},
        figure="",
        reads={"other": "run/layer:{layer}:prepared"},
    ),
    Tested(
        ObjectiveKind.ACTIVITY,
        tool="kinase_activity",
        main="activities",
        relation="activity",
        cited={"n_targets": "targets that were tested", "n_agreeing": "targets that move with it"},
        renormalised=False,
        figure="",
        table_only=True,
    ),
    Tested(
        ObjectiveKind.SIGNALLING,
        tool="factor_activity",
        main="activities",
        relation="signalling",
        cited={
            "n_targets": "responsive genes that were tested",
            "n_agreeing": "responsive genes that move with it",
        },
        renormalised=False,
        figure="",
        table_only=True,
    ),
)
TESTED: dict[ObjectiveKind, Tested] = {one.kind: one for one in _TESTED}
"""Kinds of objectives whose claims are single entities, in the order of the specification."""

_WHOLE = (
    Whole(
        ObjectiveKind.PANEL,
        tool="biomarker_panel",
        main="panel",
        relation="prediction",
        entity="panel",
        p="p_permutation",
        holds=None,
        cited={
            "performance": "performance out of fold",
            "performance_low": "lower limit of its interval",
            "performance_high": "upper limit of its interval",
            "p_permutation": "permutation p",
            "null_p95": "ninety-fifth percentile under exchanged labels",
            "performance_covariates": "performance of the covariates alone",
            "gain": "gain over the covariates",
            "gain_p": "p of the gain over the covariates",
            "panel_size": "features in the panel",
            "panel_frequency": "share of the folds that chose the same features",
            "n_units": "subjects",
        },
        family="decision",
    ),
    Whole(
        ObjectiveKind.SUBTYPES,
        tool="consensus_clusters",
        main="clusters",
        relation="composition",
        entity="cluster",
        p="p",
        holds="structure",
        cited={
            "k": "groups",
            "p": "p of the structure against data without groups",
            "stability": "median adjusted Rand index of resamples",
            "silhouette": "mean silhouette",
            "null_p95": "ninety-fifth percentile of the silhouette without groups",
            "smallest_cluster": "subjects in the smallest group",
            "n_units": "subjects",
        },
    ),
    Whole(
        ObjectiveKind.VALIDATION,
        tool="replicate_externally",
        main="replication",
        relation="replication",
        entity="sample_group",
        p="p_permutation",
        holds="n_replicated",
        cited={
            "n_replicated": "findings that replicate",
            "n_carried": "findings that were carried over",
            "rate": "share that replicates",
            "expected_rate": "share that the effects and their errors would give",
            "p_permutation": "permutation p",
            "sign_agreement": "share that keeps its sign",
            "effect_correlation": "correlation of the effects",
        },
    ),
    Whole(
        ObjectiveKind.LOCALISATION,
        tool="classify_organelles",
        main="localisation",
        relation="localisation",
        entity="variable",
        p=None,
        holds="n_assigned",
        cited={
            "n_assigned": "features assigned to an organelle",
            "n_unknown": "features left unknown",
            "n_atypical": "features unlike every organelle",
            "n_organelles": "organelles",
            "macro_f1": "macro F1 of the markers out of fold",
            "calibration_error": "calibration error of the probabilities out of fold",
        },
    ),
)
WHOLE: dict[ObjectiveKind, Whole] = {one.kind: one for one in _WHOLE}
"""Kinds of objectives whose answer is one statement."""

SETS = "sets"
"""Output of the set tests, and the name of their families."""

FIXED_KINDS = (ObjectiveKind.DATA, ObjectiveKind.QUALITY, ObjectiveKind.SYNTHESIS)
"""Objectives that every run has; they do not count against the budget of objectives."""


def families(objective: Objective) -> dict[str, str]:
    """Tables of an objective that count as tests: output -> what its family is called in the run-wide error control."""
    if objective.kind is ObjectiveKind.PATHWAY:
        return {SETS: SETS}
    whole = WHOLE.get(objective.kind)
    if whole is not None and whole.family:
        return {whole.family: whole.relation}
    asked = TESTED.get(objective.kind)
    return {} if asked is None else {asked.main: asked.relation_of(objective), **asked.also}


def anything_tested(objectives: Iterable[Objective], outputs: Mapping[str, str]) -> bool:
    """Whether the run holds a table of tests or a statement that a claim could be made of."""
    return any(f"{one.id}:{TESTED[one.kind].main}" in outputs for one in objectives if one.kind in TESTED)


def relation_behind(objective: Objective, objectives: Mapping[str, Objective]) -> Relation:
    """The relation that a question, or for sets the question that they follow from, asks about."""
    one: Objective | None = objective
    while one is not None:
        if one.kind in TESTED:
            return RELATIONS[TESTED[one.kind].relation_of(one)]
        one = objectives.get(one.parent_id or "")
    return RELATIONS["abundance" if objective.contrast is not None else "association"]
