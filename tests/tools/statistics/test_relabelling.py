"""Exchange of labels: units, blocks, and labellings counted once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereus.memory.records import Contrast
from nereus.tools.statistics.design import build_design, build_variable_design
from nereus.tools.statistics.relabelling import relabelling


def design_of(group: str, **columns: list[str]):
    obs = pd.DataFrame({"group": list(group), **columns})
    return build_design(
        obs, Contrast(factor="group", a="a", b="b", block="block" if "block" in columns else None)
    )


def labellings(labels, n: int = 1000) -> list[tuple[float, ...]]:
    return [tuple(x) for x in labels.draws(n, np.random.default_rng(0))]


def test_three_against_three_has_nine_others() -> None:
    labels = relabelling(design_of("aaabbb"))
    drawn = labellings(labels)
    assert labels.n_splits == 10
    assert len(drawn) == len(set(drawn)) == 9
    for one in drawn:
        assert sum(one) == 3
        assert tuple(1 - x for x in one) not in drawn
        assert one not in {(1, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 1)}


def test_unequal_groups_have_no_mirror_images() -> None:
    labels = relabelling(design_of("aabbb"))
    assert labels.n_splits == 10
    assert len(labellings(labels)) == 9


def test_pairs_are_exchanged_within() -> None:
    labels = relabelling(design_of("abababab", block=list("11223344")))
    drawn = labellings(labels)
    assert labels.n_splits == 8
    assert len(drawn) == 7
    for one in drawn:
        assert all(one[i] + one[i + 1] == 1 for i in range(0, 8, 2))


def test_samples_of_a_subject_move_together() -> None:
    subjects = np.array(list("112233445566"), dtype=object)
    labels = relabelling(design_of("aaaaaabbbbbb"), subjects)
    assert labels.n_splits == 10
    for one in labellings(labels):
        assert all(one[i] == one[i + 1] for i in range(0, 12, 2))
        assert sum(one) == 6


def test_many_subjects_are_drawn_without_repeats() -> None:
    labels = relabelling(design_of("a" * 12 + "b" * 15))
    drawn = labellings(labels, 50)
    assert labels.n_splits == float("inf")
    assert len(drawn) == len(set(drawn)) == 50
    assert labellings(labels, 50) == drawn  # the seed decides


def test_a_variable_is_permuted() -> None:
    obs = pd.DataFrame({"age": [30.0, 40.0, 55.0, 61.0, 70.0]})
    labels = relabelling(build_variable_design(obs, "age"))
    one = next(labels.draws(1, np.random.default_rng(0)))
    assert sorted(one) == sorted(obs["age"])
    assert list(one) != list(obs["age"])
