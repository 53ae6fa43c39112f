"""Claims say the right direction of what was planted, also of groups with odd names, and leave no number uncovered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nereus.agents.planner.questions import TESTED
from nereus.agents.planner.relations import RELATIONS, said, words_of
from nereus.agents.planner.services import rows
from nereus.agents.policies.base import DecisionContext, EvidenceGroup, ProfileView
from nereus.agents.policies.rules.hypotheses import compose, decompose
from nereus.agents.policies.rules.questions import question
from nereus.agents.policies.rules.statements import statement
from nereus.agents.reporter.render import holds_no_reference, uncovered_numbers
from nereus.memory.records import Claim, Contrast, Entity, Objective, ObjectiveKind
from nereus.tools import registry
from nereus.tools.base import SourceFile
from tests.agents.policies.test_questions import opened

K = ObjectiveKind
Planted = tuple[pd.DataFrame, dict[str, Any]]
ODD = ("naïve, “β” 'x'", 'treated; "5 µM" {a}')


def noise(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.normal(20, 0.3, (n, 20)) + rng.normal(0, 1, 20)
    return pd.DataFrame(
        values, index=[f"s{i:02d}" for i in range(n)], columns=[f"P{i:05d}" for i in range(20)]
    )


def groups() -> Planted:
    values, group = noise(16), np.array(ODD * 8)
    values["P00000"] += 2.0 * (group == ODD[1])
    values["P00001"] -= 2.0 * (group == ODD[1])
    values.loc[group == ODD[0], "P00002"] = np.nan
    return values, {"Gruppe, {größe}": group, "one level": "same", "empty": np.nan}


def crossed() -> Planted:
    values, gene, diet = noise(24), np.tile(["ko", "wt"], 12), np.repeat(["fat", "chow"], 12)
    both = (gene == "ko") & (diet == "fat")
    values["P00000"] += 2.0 * both
    values["P00001"] -= 2.0 * both
    return values, {"genotype": gene, "diet": diet}


def followed() -> Planted:
    rng, values = np.random.default_rng(1), noise(60)
    risk = rng.normal(size=60)
    values["P00000"] += risk
    values["P00001"] -= risk
    days = rng.exponential(100 * np.exp(-1.5 * risk))
    return values, {
        "os_days": np.minimum(days, 200).round(1),
        "os_status": np.where(days < 200, "dead", "alive"),
    }


def dosed() -> Planted:
    values, dose = noise(24), np.repeat([0, 0.1, 1, 3, 10, 30], 4)
    values["P00000"] += 3 * dose / (dose + 2)
    values["P00001"] -= 3 * dose / (dose + 2)
    return values, {"dose_uM": dose}


def courses() -> Planted:
    values, hours = noise(32), np.tile([0, 2, 12, 24], 8)
    gene = np.repeat(["ko", "wt"], 16)
    values["P00000"] += 3 * hours / 24 * (gene == "ko")
    values["P00001"] -= 3 * hours / 24 * (gene == "ko")
    mice = np.repeat([f"m{i}" for i in range(8)], 4)
    return values, {"time": [f"{one} h" for one in hours], "mouse": mice, "genotype": gene}


@pytest.mark.parametrize(
    ("make", "kind", "expected"),
    [
        (
            groups,
            K.DIFFERENTIAL,
            (f"is higher in {ODD[1]} than in {ODD[0]}", f"is lower in {ODD[1]} than in {ODD[0]}"),
        ),
        (
            crossed,
            K.INTERACTION,
            (
                "answers to diet (fat against chow) more positively in ko than in wt",
                "answers to diet (fat against chow) more negatively in ko than in wt",
            ),
        ),
        (
            followed,
            K.SURVIVAL,
            (
                "goes with a higher hazard of os_status = dead (os_days)",
                "goes with a lower hazard of os_status = dead (os_days)",
            ),
        ),
        (
            dosed,
            K.DOSE_RESPONSE,
            ("rises with the dose (dose_uM) along a curve", "falls with the dose (dose_uM) along a curve"),
        ),
        (
            courses,
            K.LONGITUDINAL,
            (
                "rises more, or falls less, over time (number) in ko than in wt",
                "falls more, or rises less, over time (number) in ko than in wt",
            ),
        ),
    ],
    ids=["groups", "interaction", "survival", "dose", "course"],
)
def test_what_was_planted_is_said_the_right_way_round(
    make: Callable[[], Planted], kind: ObjectiveKind, expected: tuple[str, str], tmp_path: Path
) -> None:
    values, columns = make()
    values.to_csv(tmp_path / "values.csv", index_label="sample")
    pd.DataFrame(columns, index=values.index).to_csv(tmp_path / "samples.csv", index_label="sample")
    files = [SourceFile(tmp_path / name, name) for name in ("values.csv", "samples.csv")]
    loaded = registry.get("load_dataset")(*files)
    profile = registry.get("profile_dataset")(loaded.dataset(), n_permutations=19)
    view = ProfileView(
        values={**loaded.values, **profile.values},
        tables={n: rows(t.head(60)) for n, t in profile.tables.items()},
    )
    ctx = DecisionContext(profile=view)
    asked = opened(question(kind).candidates(ctx, [])[0])
    names = [str(row["column"]) for row in view.tables["columns"]] + [
        str(row["level"]) for row in view.tables["factors"]
    ]
    for text in (asked.statement, asked.rationale):
        assert not uncovered_numbers(text, [*names, *asked.design.values(), asked.label])
    tested = TESTED[kind]
    steps = question(kind).workflow(ctx, asked).steps
    fewer = {"n_permutations": 20, "n_subsamples": 10, "n_plantings": 0}
    for tool, main, relation in (
        (tested.tool, tested.main, tested.relation_of(asked)),
        ("detection_test", "detection", "detection"),
    ):
        step = next((one for one in steps if one.tool == tool), None)
        if step is None:
            continue
        fields = registry.get(tool).params_model.model_fields
        params = {**step.params, **{n: v for n, v in fewer.items() if n in fields and n in step.params}}
        data = profile.dataset() if "dataset" in profile.datasets else loaded.dataset()
        table = registry.get(tool)(data, **params).table(main).set_index("feature")
        rel = RELATIONS[relation]
        told = {}
        for feature in table.index[table["p"] < 1e-3]:
            positive = rel.direction(float(table.loc[feature, "effect"])) == rel.directions[0]
            told[feature] = said(rel.said[0 if positive else 1], words_of(asked, asked.about))
        if tool == tested.tool:
            assert (told["P00000"], told["P00001"]) == expected
        elif make is groups:
            assert told["P00002"] == f"is detected in {ODD[1]} and hardly or not in {ODD[0]}"


ROLES = (
    "effect", "ci_low", "ci_high", "q", "n_a", "n_b", "stability", "ec50", "hazard_ratio", "events", "n", "n_targets",
    "n_agreeing", "share_a", "share_b", "effect_by_a", "effect_by_b", "n_least", "n_changed", "n_peptides",
    "probability", "r2", "n_per_group", "n_hits", "n_measured",
)  # fmt: skip


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("grain", ["entity", "set"])
def test_names_with_braces_digits_and_quotes_stay_names(relation: Any, grain: Any) -> None:
    """What the data call things cannot become a reference, hide one, or count as a number without source."""
    odd = "lev{0} {a} {{E1}} {{zz}} 5%"
    design = {
        "first": "f{x}", "a_first": odd, "b_first": "b", "second": "s{y}", "a_second": "5", "b_second": "{", "time": "t{",
        "event": "e}", "event_level": "1", "dose": "d{}", "bait": "b{",
    }  # fmt: skip
    asked = Objective(
        id="O2",
        kind=K.DIFFERENTIAL,
        statement="s",
        contrast=Contrast(factor="f{x}", a=odd, b="b}{"),
        design=design,
    )
    kind = RELATIONS[relation].entity if grain == "entity" else "set"
    for direction in RELATIONS[relation].directions if grain == "entity" else ("up", "down"):
        entity = Entity(kind=kind, id="P{1}", name="n{0} {{E7}} 3'", direction=direction)
        group = EvidenceGroup(
            id="g",
            grain=grain,
            claim=Claim(relation=relation, entities=(entity,), contrast=asked.about, context="f{x}"),
            objective_ids=("O2",),
            evidence={role: f"E{number}" for number, role in enumerate(ROLES, start=1)},
            values={"bait": "ba{it}"},
        )
        ctx = DecisionContext(groups=(group,), objectives=(asked,))
        text = statement(group, ctx)
        names = [asked.about, odd, "b}{", "f{x}", entity.name, entity.id, *design.values(), "ba{it}"]
        assert not uncovered_numbers(text, names)
        assert not holds_no_reference(text, names)
        drafts = compose(ctx).drafts
        assert decompose(ctx.model_copy(update={"drafts": drafts})).atoms["g"]
