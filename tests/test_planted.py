"""The generator of planted studies plants what its truth says, and the scorer can tell right from wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.truth.planted import naive_view, summary
from benchmarks.truth.planting import PLANS, Truth, effects, plan_of, traps
from benchmarks.truth.planting.bases import SUBJECTS, Base
from benchmarks.truth.planting.study import DATA, SAMPLES, TRUTH, Study
from benchmarks.truth.run_folder import RunView, Said
from benchmarks.truth.score_planted import handled, judged, score_claims, score_top

N = 60


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    """Independent features of different spread, without anything planted."""
    rng = np.random.default_rng(5)
    values = 20.0 + rng.normal(size=(N, 240)) * rng.uniform(0.2, 2.0, 240)
    monkeypatch.setitem(SUBJECTS, "noise", N)
    made = Study.on(Base("noise", values, ("",) * 240), 3, "test")
    made.factor("condition", ("control", "treated"))
    return made


def right(study: Study, **changed: object) -> list[Said]:
    """What an analysis says that finds everything."""
    return [
        Said(one.relations[0], one.entity, one.direction, one.about, 0.95, 0.01, frozenset(one.members))
        for one in study.truth.claims
    ]


def difference(study: Study, feature: str) -> float:
    """Difference of the groups in standard deviations of the untouched feature."""
    i = study.features.index(feature)
    of = study.sheet["condition"] == "treated"
    x = study.values[:, i] / study.sd[i]
    return float(np.nanmean(x[of]) - np.nanmean(x[~of]))


def test_shifts_have_the_stated_size(study: Study) -> None:
    before = {name: difference(study, name) for name in study.features}
    effects.shift(study)
    assert len(study.truth.claims) == 12
    for one in study.truth.claims:
        moved = difference(study, one.entity) - before[one.entity]
        assert moved == pytest.approx(one.direction * (one.size or 0.0), abs=1e-9)
    untouched = set(study.features) - study.truth.touched()
    assert all(difference(study, name) == before[name] for name in untouched)


def test_missing_features_are_seen_in_one_group(study: Study) -> None:
    effects.missing(study)
    for one in study.truth.claims:
        seen = np.isfinite(study.values[:, study.features.index(one.entity)])
        a = (study.sheet["condition"] == "treated").to_numpy()
        present, absent = (a, ~a) if one.direction > 0 else (~a, a)
        assert seen[present].all()
        assert seen[absent].mean() < 0.3
        assert one.large


def test_interactions_have_opposite_effects_and_no_main_effect(study: Study) -> None:
    study.factor("diet", ("chow", "fat"), within="condition")
    untouched = study.values.copy()
    effects.interaction(study)
    cells = pd.crosstab(study.sheet["condition"], study.sheet["diet"])
    assert (cells.to_numpy() == N / 4).all()
    for one in study.truth.claims:
        i = study.features.index(one.entity)
        change = pd.Series((study.values - untouched)[:, i] / study.sd[i])
        mean = change.groupby([study.sheet["condition"], study.sheet["diet"]]).mean().unstack()
        in_treated = mean.loc["treated", "fat"] - mean.loc["treated", "chow"]
        assert in_treated == pytest.approx(one.direction * (one.size or 0.0))
        assert mean.loc["control", "fat"] - mean.loc["control", "chow"] == pytest.approx(-in_treated)
        assert float(change.mean()) == pytest.approx(0.0, abs=1e-9)


def test_trends_and_hazards_are_there(study: Study) -> None:
    effects.trend(study)
    effects.survival(study)
    from lifelines import CoxPHFitter

    assert 0.35 < study.sheet["death"].mean() < 0.9
    z = []
    for one in study.truth.claims:
        x = stats.zscore(study.values[:, study.features.index(one.entity)])
        if one.plant == "trend":
            r = stats.pearsonr(x, study.sheet["exposure_level"]).statistic
            z.append(one.direction * np.arctanh(r) * np.sqrt(N - 3) / (one.size or 1.0))
        else:
            table = pd.DataFrame({"x": x, "t": study.sheet["followup_days"], "e": study.sheet["death"]})
            fit = CoxPHFitter().fit(table, "t", "e")
            z.append(one.direction * float(fit.summary["z"].iloc[0]) / (one.size or 1.0))
    assert np.median(z[:8]) > 3.0
    assert np.median(z[8:]) > 2.0


def test_modules_move_together_and_with_the_groups(study: Study) -> None:
    effects.module(study)
    (one,) = study.truth.claims
    places = [study.features.index(name) for name in one.members]
    r = np.corrcoef(study.values[:, places].T)
    others = [i for i in range(240) if i not in places]
    assert r[np.triu_indices(len(places), 1)].mean() > 0.4
    assert abs(np.corrcoef(study.values[:, others].T)[np.triu_indices(len(others), 1)].mean()) < 0.05
    assert np.mean([difference(study, name) * one.direction for name in one.members]) > 0.5


def test_a_real_set_moves_a_little_under_shuffled_names(study: Study) -> None:
    effects.shift(study)
    before = study.values.copy()
    effects.gene_set(study)
    planted = study.truth.claims[-1]
    change = study.values - before
    moved = {study.features[i] for i in np.flatnonzero(np.abs(change).sum(axis=0))}
    assert moved == set(planted.members)
    assert len(planted.members) >= effects.SET_MEMBERS[0]
    assert {one.entity for one in study.truth.claims[:-1]} <= set(study.features) - moved


@pytest.mark.parametrize(
    ("trap", "v"), [(traps.batch_balanced, 0.0), (traps.batch_partly, 0.5), (traps.batch_full, 1.0)]
)
def test_batches_explain_a_third_and_hide_the_group_as_far_as_stated(
    study: Study, trap: Callable[[Study], None], v: float
) -> None:
    trap(study)
    table = pd.crosstab(study.sheet["batch"], study.sheet["condition"])
    assert stats.contingency.association(table.to_numpy(), correction=False) == pytest.approx(v, abs=0.06)
    one = (study.sheet["batch"] == "B1").to_numpy()
    between = (study.values[one].mean(axis=0) - study.values[~one].mean(axis=0)) ** 2 / 4
    share = between / study.values.var(axis=0)
    assert 0.2 < share.mean() < 0.35


def test_the_other_traps(study: Study) -> None:
    labels, values = study.sheet["condition"].copy(), study.values.copy()
    traps.decoy(study)
    assert len(set(study.sheet["cohort_arm"])) == 2
    traps.label_noise(study)
    assert (labels != study.sheet["condition"]).sum() == len(study.truth.traps[-1].samples) >= 2
    traps.outlier(study)
    (wild,) = study.truth.traps[-1].samples
    row = list(study.sheet["sample"]).index(wild)
    assert np.abs(study.values - values)[row].mean() > 1.0
    traps.global_shift(study)
    treated = (study.sheet["condition"] == "treated").to_numpy()
    calm = treated & (study.sheet["sample"] != wild).to_numpy()
    np.testing.assert_allclose(study.values[calm], values[calm] + traps.GLOBAL_SHIFT)
    traps.replicates(study)
    assert len(study.sheet) == len(study.values) == N * traps.REPLICATES
    assert study.sheet["sample"].is_unique
    assert study.sheet["subject"].nunique() == N == study.truth.traps[-1].n
    assert (study.sheet.groupby("subject")["condition"].nunique() == 1).all()


def test_a_trap_changes_nothing_else(study: Study) -> None:
    """Twins: what is planted does not depend on which traps are set."""
    other = replace(
        study,
        values=study.values.copy(),
        sheet=study.sheet.copy(),
        used=set(),
        truth=Truth(3, "noise", "test"),
    )
    effects.shift(study)
    traps.decoy(other)
    effects.shift(other)
    assert other.truth.claims == study.truth.claims
    np.testing.assert_array_equal(other.values, study.values)


def test_plans_take_turns_and_the_truth_is_not_in_what_is_shown(study: Study, tmp_path: Path) -> None:
    assert [plan_of(1000 + i).name for i in range(15)] == [PLANS[(1000 + i) % 15][0] for i in range(15)]
    planted = {name for seed in range(15) for name in (*plan_of(seed).plants, *plan_of(seed).traps)}
    assert planted >= {*effects_known(), "cluster"}
    effects.shift(study)
    study.write(tmp_path)
    read = Truth.read(tmp_path / TRUTH)
    assert read == study.truth
    assert list(pd.read_csv(tmp_path / SAMPLES).columns) == ["sample", "condition"]
    assert not any(one in (tmp_path / DATA).read_text().splitlines()[0] for one in ("treated", "planted"))


def effects_known() -> set[str]:
    from benchmarks.truth.planting.recipes import EFFECTS, TRAPS

    return {*EFFECTS, *TRAPS}


# -------------------------------------------------------------------------------------------------- the scorer


def test_all_right_scores_full_and_all_wrong_nothing(study: Study) -> None:
    effects.shift(study)
    effects.module(study)
    said = right(study)
    full = score_top(RunView(top=said), study.truth)
    assert (full["found"], full["wrong"], full["k"]) == (13, 0, 13)
    turned = [replace(one, sign=-one.sign) for one in said]
    nothing = score_top(RunView(top=turned), study.truth)
    assert (nothing["found"], nothing["wrong"]) == (0, 13)


def test_exchanged_groups_exchange_the_direction(study: Study) -> None:
    effects.shift(study)
    about = {"factor": "condition", "a": "control", "b": "treated"}
    turned = [replace(one, sign=-one.sign, about=about) for one in right(study)]
    assert score_top(RunView(top=turned), study.truth)["found"] == 12
    elsewhere = [replace(one, about={**about, "factor": "diet"}) for one in turned]
    assert score_top(RunView(top=elsewhere), study.truth)["found"] == 0


def test_an_item_counts_once_and_members_of_a_module_are_true_but_not_found(study: Study) -> None:
    effects.module(study)
    (planted,) = study.truth.claims
    of_member = Said("abundance", planted.members[0], planted.direction, planted.about, None, None)
    (module,) = right(study)
    verdicts = [one.verdict for one in judged([of_member, module, module], study.truth)]
    assert verdicts == ["true", "found", "true"]
    third = frozenset([*planted.members[:3], *(f"other{i}" for i in range(6))])
    assert judged([replace(module, members=third)], study.truth)[0].verdict == "false"


def test_false_claims_before_the_true_ones_cost_recall(study: Study) -> None:
    effects.shift(study)
    about = study.truth.claims[0].about
    made_up = [Said("abundance", f"none{i}", 1, about, 0.9, 0.01) for i in range(4)]
    score = score_top(RunView(top=[*made_up, *right(study)]), study.truth)
    assert (score["found"], score["wrong"]) == (8, 4)


def test_traps_can_be_fallen_for(study: Study) -> None:
    effects.shift(study)
    traps.batch_partly(study)
    (trap,) = study.truth.traps
    good = RunView(top=right(study), covariates={"condition": ("batch",)})
    assert handled(trap, good, study.truth)
    assert not handled(trap, replace_view(good, covariates={}), study.truth)
    about = study.truth.claims[0].about
    flood = [Said("abundance", f"none{i}", 1, about, 0.9, 0.01) for i in range(4)]
    assert not handled(trap, replace_view(good, top=[*good.top, *flood]), study.truth)


def test_a_hidden_comparison_must_be_refused_aloud(study: Study) -> None:
    effects.shift(study)
    effects.trend(study)
    traps.batch_full(study)
    (trap,) = study.truth.traps
    said = right(study)
    refusing = RunView(top=said[12:], notices=("refused: treated vs control (condition) (cannot separate)",))
    assert handled(trap, refusing, study.truth)
    assert not handled(trap, replace_view(refusing, notices=()), study.truth)
    assert not handled(trap, replace_view(refusing, top=said), study.truth)
    score = score_top(RunView(top=said), study.truth)
    assert score["k"] == 8
    assert score["wrong"] == 8  # what cannot be known is not found, however true it may be


def replace_view(view: RunView, **changed: object) -> RunView:
    return replace(view, **changed)  # type: ignore[arg-type]


def test_the_naive_arm_finds_large_shifts_and_falls_for_a_batch(study: Study, tmp_path: Path) -> None:
    effects.shift(study)
    traps.batch_full(study)
    study.write(tmp_path)
    view = naive_view(tmp_path)
    assert not handled(study.truth.traps[0], view, study.truth)
    study.truth.traps.clear()
    claims = score_claims(view.claims, study.truth)
    of_batch = [one for one in view.claims if one.about["factor"] == "condition"]
    assert len(of_batch) > 20  # the batch, taken for the condition
    assert sum(not one["true"] for one in claims) > len(claims) / 2


def test_summary_counts(study: Study) -> None:
    effects.shift(study)
    row = {**score_top(RunView(top=right(study)[:6]), study.truth), "traps": {"decoy": True}, "claims": []}
    made = summary([row, row])
    large = sum(one.large for one in study.truth.claims)
    assert made["plants"]["large"]["planted"] == 2 * large
    assert made["precision"] == 1.0
    assert made["traps_handled"] == 1.0
    assert made["refused_fully_confounded"] is None


def test_cells_of_one_population_are_shifted_in_one_group(shared_data: Path) -> None:
    from benchmarks.truth.planting.cells import COFACTOR, cluster_study

    study = cluster_study(17, shared_data)
    number = study.cells.groupby("sample").cumcount() + 1
    names = study.cells["sample"] + ":" + number.astype(str)
    treated = study.cells["sample"].map(study.sheet.set_index("sample")["condition"]) == "treated"
    channels = {re.sub(r"\(.*", "", one): one for one in study.cells.columns}
    for one in study.truth.claims:
        value = np.arcsinh(study.cells[channels[one.entity]] / COFACTOR)
        inside = names.isin(one.members)
        moved = value[inside & treated].mean() - value[inside & ~treated].mean()
        # Beside the shift the groups differ by the shifts of their samples and by chance.
        stated = one.direction * (one.size or 0.0) * value[inside & ~treated].std()
        assert moved * one.direction > 0
        assert abs(moved - stated) < 0.6 * abs(stated) + 0.3
        elsewhere = value[~inside & treated].mean() - value[~inside & ~treated].mean()
        assert abs(elsewhere) < 0.3
    assert len({one.entity for one in study.truth.claims}) == 4
