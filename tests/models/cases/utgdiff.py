"""The case of UTGDiff."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.models.cases.case import Bad, Case
from tests.models.cases.molecules import ALCOHOL, OTHERS, SMILES

TEXTS = ["an alcohol or acid" if one else "an amine or amide" for one in ALCOHOL]
TINY = {
    "layers": 1, "width": 16, "heads": 4, "feed_forward": 16, "vocabulary": 300, "jumps": 4,
    "training": {"epochs": 2, "batch_size": 12},
}  # fmt: skip


def described_molecules() -> tuple[pd.DataFrame, dict[str, Any]]:
    table = pd.DataFrame({"what": TEXTS, "structure": SMILES, "from": SMILES[::-1]})
    return table, {"text": "what", "smiles": "structure", "source": "from"}


def _edited() -> list[tuple[str, str]]:
    return list(zip(TEXTS, SMILES[::-1], strict=True))


CASE = Case(
    settings=TINY,
    data=lambda: (_edited(), SMILES),
    asks={"generate": lambda m: m.generate([("an amine", one) for one in OTHERS], n=2)},  # type: ignore[attr-defined]
    table=described_molecules,
    bad={
        "empty instruction": Bad(
            lambda m: m.fit(["a", " "], ["CO", "CN"]), "row 1: the instruction is empty"
        ),
        "no molecules": Bad(lambda m: m.fit(TEXTS), "no molecules to learn from"),
        "fewer molecules": Bad(lambda m: m.fit(TEXTS, SMILES[:3]), "24 instructions, but 3 molecules"),
        "unreadable SMILES": Bad(lambda m: m.fit(["a", "b"], ["CCO", "C1CC"]), "row 1: 'C1CC'"),
        "unreadable source": Bad(lambda m: m.fit([("a", "C1CC")], ["CCO"]), "row 0: 'C1CC'"),
        "element beside the table": Bad(
            lambda m: m.fit(["a"], ["*CC"]), "none of 1 molecules can be learned from: an atom of no element"
        ),
        "charge beside the table": Bad(lambda m: m.fit(["a"], ["[Fe+9]"]), r"an atom of charge \+9"),
        "dative bond": Bad(lambda m: m.fit(["a"], ["CN->[Cu]"]), "a bond that is dative"),
        "too many atoms": Bad(
            lambda m: m.set_params(most_atoms=4).fit(["a"], ["CCCCCC"]), "more than 4 atoms"
        ),
        "nothing asked": Bad(lambda m: m.fit(TEXTS, SMILES).generate([]), "there is no instruction"),
        "empty question": Bad(
            lambda m: m.fit(TEXTS, SMILES).generate([""]), "row 0: the instruction is empty"
        ),
        "source without learned editing": Bad(
            lambda m: m.fit(TEXTS, SMILES).edit(["CO"], ["a"]), "asked with a molecule to edit"
        ),
        "instruction without learned ones": Bad(
            lambda m: m.fit(None, SMILES).generate(["a"]), "asked with instructions, and has not learned so"
        ),
        "no instruction where all had one": Bad(
            lambda m: m.set_params(no_text=0.0).fit(TEXTS, SMILES).generate(), "fit it anew with no_text > 0"
        ),
        "no molecule asked": Bad(lambda m: m.fit(TEXTS, SMILES).generate(n=0), "n is 0"),
        "unknown option": Bad(lambda m: m.fit(TEXTS, SMILES).generate(colour=1), "no option 'colour'"),
        "no temperature": Bad(lambda m: m.fit(TEXTS, SMILES).generate(temperature=0), "temperature"),
        "no such pre-trained text encoder": Bad(
            lambda m: m.set_params(pretrained="nowhere").fit(TEXTS, SMILES), "there is no config.json"
        ),
        "heads that do not divide the width": Bad(lambda m: m.set_params(heads=5), "not a multiple of heads"),
    },
)
