"""The grammar router: what is understood of how people ask."""

from __future__ import annotations

import pytest

from nereus.agents.chat.lookup import Entities
from nereus.agents.chat.router import understood
from nereus.agents.chat.vocabulary import Vocabulary
from tests.agents.chat.phrasings import AGE, HELD_OUT, SEX, SITE, TUNED, Phrasing

GENES = {
    "P02649": "APOE", "P10636-2;P10636-6": "MAPT", "P00441": "SOD1", "P04179": "SOD2", "P63104": "YWHAZ",
    "P04075": "ALDOA", "P36222": "CHI3L1", "P05067": "APP", "P14618": "PKM", "Q99999": "SET", "Q00000": "CAT",
}  # fmt: skip
COLUMNS = (
    SITE, AGE, SEX, "_t-tau [ng/L]", "_p-tau [ng/L]", "_Abeta-42 [ng/L]", "_Abeta-40 [ng/L]",
    "_primary biochemical AD classification", "_clinical AD diagnosis", "_MMSE score",
)  # fmt: skip


def vocabulary(molecule: bool = False) -> Vocabulary:
    return Vocabulary(
        entities=lambda: Entities(GENES.items()),
        columns=lambda: COLUMNS,
        outputs=lambda: ("claims", "O2:differential", "findings"),
        molecule=molecule,
        datasets=lambda: [("d0123456789abcdef", "proteome.csv.gz")],
    )


def understands(one: Phrasing) -> bool:
    text, action, slots = one
    calls = understood(text, vocabulary()).calls
    if not calls or calls[0][0] != action:
        return False
    return all(calls[0][1].get(name, "") == value for name, value in slots.items())


@pytest.mark.parametrize("one", TUNED, ids=[text for text, _, _ in TUNED])
def test_a_tuned_phrasing_is_understood(one: Phrasing) -> None:
    assert understands(one), understood(one[0], vocabulary()).calls


def test_most_held_out_phrasings_are_understood() -> None:
    missed = [text for one in HELD_OUT for text in [one[0]] if not understands(one)]
    assert len(missed) <= 0.2 * len(HELD_OUT), missed


def test_the_sets_are_large_enough_and_do_not_overlap() -> None:
    tuned, held_out = {text for text, _, _ in TUNED}, {text for text, _, _ in HELD_OUT}
    assert len(tuned) + len(held_out) >= 90
    assert len(held_out) * 3 >= len(tuned) + len(held_out)
    assert not tuned & held_out
