"""The case of MBP: ligands in two pockets, with affinities of two types."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nereus.models.files import with_contents
from nereus.models.molecules.mbp import CARD, Complex
from tests.models.cases.case import Bad, Case
from tests.models.cases.molecules import SMILES

FOLDER = Path(__file__).parents[2] / "data" / "complexes"
COLUMNS = {
    "ligand": "pose",
    "pocket": "structure",
    "target": "affinity",
    "type": "type",
    "unit": "unit",
    "assay": "assay",
}


@cache
def twelve() -> pd.DataFrame:
    """Six ligands of each of two proteins, the two in turn; cells of files hold their contents."""
    table = pd.read_csv(FOLDER / "complexes.csv")
    order = table.groupby("assay").cumcount().sort_values(kind="stable").index
    return with_contents(CARD, table.loc[order].reset_index(drop=True), COLUMNS, FOLDER)


@cache
def contents() -> pd.DataFrame:
    """Four ligands of each of two proteins; cells of files hold their contents."""
    table = pd.read_csv(FOLDER / "complexes.csv").groupby("assay").head(4).reset_index(drop=True)
    return with_contents(CARD, table, COLUMNS, FOLDER)


def complexes() -> list[Complex]:
    cells = contents()[["pose", "structure"]].to_numpy()
    return [Complex(ligand=pose, pocket=pocket) for pose, pocket in cells]


def affinities() -> np.ndarray:
    scale = contents()["unit"].map({"uM": 1e-6, "nM": 1e-9})
    return (-np.log10(contents()["affinity"] * scale)).to_numpy()


def flat() -> Complex:
    """A ligand whose heights are all 0."""
    text = contents()["pose"][0]
    lines = [line[:20] + "    0.0000" + line[30:] if len(line) > 60 else line for line in text.split("\n")]
    return Complex(ligand="\n".join(lines), pocket=contents()["structure"][0])


def elsewhere() -> Complex:
    """A ligand in the pocket of another protein's frame."""
    return Complex(ligand=contents()["pose"][0], pocket=contents()["structure"][7])


def without_alphas() -> Complex:
    text = "\n".join(line for line in contents()["structure"][0].split("\n") if line[12:16] != " CA ")
    return Complex(ligand=contents()["pose"][0], pocket=text)


def several() -> Complex:
    """Poses of different molecules in one cell."""
    return Complex(ligand="".join(contents()["pose"][:2]), pocket=contents()["structure"][0])


def free(method: Any, y: Any, **told: Any) -> Any:
    return method.fit(SMILES[: len(y)], y, **told)


CASE = Case(
    settings={"width": 8, "layers": 2, "training": {"epochs": 2, "batch_size": 8}},
    data=lambda: (complexes(), affinities()),
    asks={
        "predict": lambda m: m.predict(complexes()),  # type: ignore[attr-defined]
        "rank": lambda m: m.rank(complexes()),  # type: ignore[attr-defined]
        "explain": lambda m: m.explain_table(contents(), {"ligand": "pose", "pocket": "structure"}, parts=2),
    },
    table=lambda: (twelve().copy(), dict(COLUMNS)),
    told={"types": ["Ki"] * 4 + ["IC50"] * 4},
    bad={
        "no 3D coordinates": Bad(lambda m: m.fit([flat()] * 2, [5, 6]), "no 3D coordinates"),
        "wrong frame": Bad(
            lambda m: m.fit([elsewhere()] * 2, [5, 6]), "no protein-ligand contacts within 12 A.*wrong frame"
        ),
        "no alpha carbon": Bad(
            lambda m: m.fit([without_alphas()] * 2, [5, 6]), "no residue with an alpha carbon"
        ),
        "different molecules": Bad(lambda m: m.fit([several()] * 2, [5, 6]), "2 different molecules"),
        "no pocket": Bad(
            lambda m: m.fit([Complex(ligand=contents()["pose"][0])] * 2, [5, 6]), "row 0: has no pocket"
        ),
        "no such file": Bad(
            lambda m: m.fit([Complex(ligand="nowhere.sdf", pocket="nowhere.pdb")] * 2, [5, 6]),
            "'nowhere.pdb' cannot be read",
        ),
        "some without pose": Bad(
            lambda m: m.fit([*complexes()[:2], "CCO"], [5, 6, 7]), "row 2 has no pose, others have"
        ),
        "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"], [5, 6]), r"row 1: 'C1CC'"),
        "nothing": Bad(lambda m: m.fit([], []), "there is no complex"),
        "zero concentration": Bad(
            lambda m: free(m, [1.0, 0.0], units=["nM", "nM"]), "row 1: concentration 0 nM is not positive"
        ),
        "negative concentration": Bad(
            lambda m: free(m.set_params(unit="uM"), [1.0, -2.0]), "row 1: concentration -2 uM"
        ),
        "unknown type": Bad(
            lambda m: free(m, [5, 6], types=["Ki", "EC50"]), "row 1: affinity type 'EC50' is unknown"
        ),
        "unknown unit": Bad(lambda m: free(m, [5, 6], units=["p", "mg"]), "row 1: unit 'mg' is unknown"),
        "unknown relation": Bad(
            lambda m: free(m, [5, 6], relations=["=", "about"]), "row 1: relation 'about' is unknown"
        ),
        "bound": Bad(
            lambda m: free(m.set_params(censored="refuse"), [5, 6], relations=["=", ">"]),
            "row 1: '>' tells a bound, not a value",
        ),
        "bounds only": Bad(
            lambda m: free(m, [5, 6], relations=[">", "<"]), "no affinity can be learned from"
        ),
        "affinity in words": Bad(lambda m: free(m, [5, ">6"]), "row 1: affinity '>6' is no number"),
        "one compound an assay": Bad(
            lambda m: free(m, [5, 6, 7], assays=["a", "b", "c"]), "every assay has a single compound"
        ),
        "one row": Bad(lambda m: free(m.set_params(ranking_weight=0), [5.0]), "one affinity to learn from"),
        "too few affinities": Bad(lambda m: m.fit(SMILES, [5, 6]), "2 affinities for 24 complexes"),
        "no affinities": Bad(lambda m: m.fit(SMILES), "no affinities for 24 complexes"),
        "one compound to rank": Bad(
            lambda m: free(m, [5, 6, 7]).rank(["CCO", "CCN"], ["a", "b"]), "every group has a single member"
        ),
        "type that was not learned": Bad(
            lambda m: free(m, [5, 6, 7], types=["Ki"] * 3).predict(["CCO"], types=["IC50"]),
            "row 0: nothing of type 'IC50' was learned",
        ),
        "relation that was not learned": Bad(
            lambda m: free(m.set_params(ranking_weight=0), [5, 6, 7]).rank(["CCO", "CCN"], by="relation"),
            "did not learn to compare",
        ),
        "asked without poses": Bad(
            lambda m: m.fit(complexes(), affinities()).predict(["CCO"]), "learned from poses"
        ),
        "no such pre-trained method": Bad(
            lambda m: free(m.set_params(pretrained="nowhere"), [5, 6]), "no trained method here"
        ),
    },
)
