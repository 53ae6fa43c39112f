"""What a sample sheet can and cannot tell, before any abundance is looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.statistics.design import build_design, build_variable_design, cramers_v

SHEET = pd.DataFrame(
    {
        "group": list("aaaabbbb"),
        "batch": list("xxxxyyyy"),
        "site": list("xyxyxyxy"),
        "age": [50.0, 61, 47, 70, 55, 66, 49, np.nan],
        "dose": [1.0, 1, 1, 1, 2, 2, 2, 2],
        "subject": list("12341234"),
        "mouse": list("11223344"),
        "lonely": list("aaaaaaab"),
        "kit": ["k1"] * 8,
        "half": list("pqpqrsrs"),
    }
)


def design(**changes):
    return build_design(SHEET, Contrast(**{"factor": "group", "a": "a", "b": "b", **changes}))


def test_matrix_and_contrast():
    built = design(covariates=("site", "age"))
    assert built.names == ("intercept", "group: a vs b", "site: y", "age")
    assert built.matrix.shape == (7, 4)  # the sample without an age is left out
    assert built.n_dropped == 1
    assert built.contrast.tolist() == [0, 1, 0, 0]
    assert (built.n_a, built.n_b) == (4, 3)
    assert any("'age'" in warning for warning in built.warnings)


def test_only_the_two_levels_and_the_subset_are_used():
    sheet = SHEET.assign(group=list("aabbbbcc"))
    built = build_design(sheet, Contrast(factor="group", a="a", b="b"))
    assert built.samples.tolist() == [0, 1, 2, 3, 4, 5]
    kept = build_design(SHEET, Contrast(factor="group", a="a", b="b", subset={"site": "x"}))
    assert kept.samples.tolist() == [0, 2, 4, 6]


def test_numeric_levels_are_matched_as_text():
    assert design(factor="dose", a="2", b="1").group.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_pairs_become_fixed_blocks_and_replicates_correlated_ones():
    pairs = design(block="subject")
    assert pairs.block_model == "fixed"
    assert pairs.n_splits == 16
    replicates = design(block="mouse")
    assert replicates.block_model == "correlated"
    assert replicates.n_splits == 6


def test_relabelled_keeps_everything_else():
    built = design(covariates=("site",))
    swapped = built.relabelled(1 - built.group)
    assert swapped.matrix[:, 1].tolist() == (1 - built.group).tolist()
    assert built.matrix[:, 1].tolist() == built.group.tolist()
    np.testing.assert_array_equal(np.delete(swapped.matrix, 1, 1), np.delete(built.matrix, 1, 1))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"factor": "gruop"}, "no column 'gruop'.*perhaps 'group'"),
        ({"covariates": ("bach",)}, "no column 'bach'.*perhaps 'batch'"),
        ({"a": "A"}, "no level 'A'.*levels are 'a', 'b'"),
        ({"b": "a"}, "both sides are 'a'"),
        ({"factor": "kit", "a": "k1"}, "one level: 'k1'"),
        ({"factor": "lonely"}, "level 'b' of 'lonely' has 1 sample"),
        ({"covariates": ("batch",)}, "cannot separate 'a' from 'b'.*'batch'; Cramér's V = 1.00"),
        ({"covariates": ("dose",)}, "cannot separate 'a' from 'b'.*'dose'; R2 = 1.00"),
        ({"covariates": ("half",)}, "cannot separate .*'half'; Cramér's V = 1.00"),
        ({"covariates": ("group",)}, "'group' is tested and also a covariate"),
        ({"block": "group"}, "'group' is tested and also the block"),
        ({"block": "site", "covariates": ("site",)}, "'site' is a covariate and the block"),
        ({"subset": {"site": "z"}}, "no sample has site = 'z'.*levels are 'x', 'y'"),
        ({"covariates": ("mouse", "age", "subject")}, "cannot (separate|estimate)"),
        ({"block": "batch"}, "level 'a' has samples of one 'batch' only"),
        ({"subset": {"site": "x"}, "covariates": ("age", "mouse")}, "cannot (separate|estimate)"),
    ],
)
def test_bad_designs_are_refused_with_a_mend(changes, told):
    with pytest.raises(InputError, match="(?s)" + told) as caught:
        design(**changes)
    assert caught.value.where
    assert caught.value.mend


def test_fixed_blocks_that_hold_one_level_are_refused():
    with pytest.raises(InputError, match=r"Cramér's V = 1\.00"):
        build_design(SHEET, Contrast(factor="group", a="a", b="b", block="mouse"), block_model="fixed")


def test_confounding_by_two_covariates_together():
    sheet = pd.DataFrame({"group": list("abba") * 2, "one": list("ppqq") * 2, "two": list("uvuv") * 2})
    sheet["joint"] = sheet["one"] + sheet["two"]
    with pytest.raises(InputError, match=r"Cramér's V = 1\.00"):
        build_design(sheet, Contrast(factor="group", a="a", b="b", covariates=("joint",)))
    # Each alone, and both added up, leave the group free: it is their interaction.
    assert build_design(
        sheet, Contrast(factor="group", a="a", b="b", covariates=("one", "two"))
    ).matrix.shape == (8, 4)


def test_useless_covariates_are_dropped_with_a_warning():
    built = design(covariates=("kit", "site", "site"))
    assert built.names == ("intercept", "group: a vs b", "site: y")
    assert any("'kit' does not vary" in warning for warning in built.warnings)
    twin = build_design(
        SHEET.assign(twin=SHEET["site"]), Contrast(factor="group", a="a", b="b", covariates=("site", "twin"))
    )
    assert any("redundant" in warning for warning in twin.warnings)
    paired = build_design(
        SHEET.assign(sex=list("mfmf") * 2),
        Contrast(factor="group", a="a", b="b", block="subject", covariates=("sex",)),
    )
    assert paired.names == ("intercept", "group: a vs b")


def test_partial_confounding_is_told():
    sheet = SHEET.assign(plate=list("xxxxxyyy"))
    sheet = pd.concat([sheet, sheet.iloc[:3], sheet.iloc[5:]], ignore_index=True)
    built = build_design(sheet, Contrast(factor="group", a="a", b="b", covariates=("plate",)))
    assert any("Cramér's V = 0.8" in warning for warning in built.warnings)


def test_cramers_v():
    assert cramers_v("aabb", "xxyy") == pytest.approx(1)
    assert cramers_v("aabb", "xyxy") == pytest.approx(0)
    assert np.isnan(cramers_v("aaaa", "xyxy"))


def test_variable_designs():
    built = build_variable_design(SHEET, "age", ("site",))
    assert built.n_dropped == 1
    assert np.std(built.matrix[:, 1], ddof=1) == pytest.approx(1)
    assert built.scale == pytest.approx(SHEET["age"].std())


@pytest.mark.parametrize(
    ("variable", "covariates", "told"),
    [
        ("agee", (), "perhaps 'age'"),
        ("site", (), "'site' is not numeric: 'x', 'y'"),
        ("dose", ("group",), "cannot separate 'dose'"),
        ("dose", ("dose",), "tested and also a covariate"),
    ],
)
def test_bad_variables(variable, covariates, told):
    with pytest.raises(InputError, match=told):
        build_variable_design(SHEET, variable, covariates)


def test_constant_and_rare_variables():
    with pytest.raises(InputError, match="does not vary"):
        build_variable_design(SHEET.assign(flat=1.0), "flat")
    with pytest.raises(InputError, match="3 samples have a value"):
        build_variable_design(SHEET.assign(rare=[1.0, 2, 3] + [np.nan] * 5), "rare")
