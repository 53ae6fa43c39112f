"""The blinded human review: a sheet of shuffled, unnamed hypotheses, a key that is kept apart, and what reviewers said.

Reviewers see a statement with its evidence and tests. They do not see which run it is from, who wrote it, its rank, its
status or its confidence. A tenth of the items comes twice, so that a reviewer can be compared with himself.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from nereus.agents.judge.dossier import Dossier
from nereus.agents.judge.metrics import ANCHORS, HIGHEST, LOWEST, Metric
from nereus.errors import InputError, StoreError
from nereus.spreadsheets import guarded

REPEATED_SHARE = 0.1
LABELS = ("known", "plausible-new", "wrong", "untestable")
METRICS = tuple(metric.value for metric in Metric)
SHOWN = ("item", "statement", "evidence", "tests", "alternatives", "experiment")
ASKED = (*METRICS, "label", "comment")


@dataclass(frozen=True)
class Item:
    """One line of the sheet."""

    item: str
    run: str
    hypothesis: str
    again: str = ""
    """Item that this one repeats."""


def draw_items(dossiers: Sequence[Dossier], seed: int) -> list[tuple[Item, Dossier]]:
    """Shuffle the hypotheses of all runs, repeat a tenth of them, and give them names that say nothing.

    A repeat never follows the item that it repeats directly, where there are more than two items.
    """
    rng = np.random.default_rng(seed)
    order = [dossiers[index] for index in rng.permutation(len(dossiers))]
    n_again = math.ceil(REPEATED_SHARE * len(order)) if len(order) > 1 else 0
    again = [order[index] for index in sorted(rng.choice(len(order), n_again, replace=False))]
    lines = [(one, False) for one in order]
    for one in again:
        first = next(place for place, (other, _) in enumerate(lines) if other is one)
        lines.insert(int(rng.integers(min(first + 2, len(lines)), len(lines) + 1)), (one, True))
    names = _names(len(lines), seed, [(one.run_id, one.hypothesis.id, one.statement) for one in dossiers])
    seen: dict[tuple[str, str], str] = {}
    drawn = []
    for name, (one, repeated) in zip(names, lines, strict=True):
        identity = (one.run_id, one.hypothesis.id)
        before = seen.setdefault(identity, name)
        drawn.append((Item(name, *identity, again=before if repeated else ""), one))
    return drawn


def _names(n: int, seed: int, reviewed: Sequence[tuple[str, str, str]]) -> list[str]:
    """Names of this review alone: a sheet that was filled in for another one is not taken for it."""
    found: list[str] = []
    whole = hashlib.sha256(json.dumps([seed, n, list(reviewed)]).encode()).hexdigest()
    for number in range(n):
        digest = hashlib.sha256(f"{whole} {number}".encode()).hexdigest()
        found.append(f"i{number + 1:03d}-{digest[:4]}")
    return found


def write_sheet(drawn: Sequence[tuple[Item, Dossier]], folder: Path, key: Path) -> list[Path]:
    """Write ``review.csv`` and ``review.html`` into a folder, and the key where no reviewer looks.

    Raises
    ------
    InputError
        The key would lie in the folder that the reviewers get.
    StoreError
        A file is there already or cannot be written.
    """
    if key.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "the key lies in the folder of the sheet",
            where=str(key),
            mend="keep it apart: name a place outside with --key",
        )
    rows = [_row(item, one) for item, one in drawn]
    targets = [folder / "review.csv", folder / "review.html", key]
    for target in targets:
        if target.exists():
            raise StoreError("the file exists", where=str(target), mend="name another folder")
    page = _page([dict(zip(SHOWN, row.values(), strict=False)) for row in rows], drawn)
    known = {"version": 1, "items": [vars(item) for item, _ in drawn]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=[*SHOWN, *ASKED]).to_csv(targets[0], index=False)
        targets[1].write_text(page, encoding="utf-8")
        key.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}", where=str(folder), mend="name another folder"
        ) from None
    return targets


def _row(item: Item, one: Dossier) -> dict[str, str]:
    shown = {
        "item": item.item,
        "statement": one.statement,
        "evidence": "; ".join(f"{quantity} {value}" for _, quantity, value in one.evidence),
        "tests": "; ".join(one.tests),
        "alternatives": "; ".join(one.alternatives),
        "experiment": one.experiment,
    }
    return {name: guarded(text) for name, text in shown.items()} | dict.fromkeys(ASKED, "")


def _page(rows: list[dict[str, str]], drawn: Sequence[tuple[Item, Dossier]]) -> str:
    environment = Environment(
        loader=PackageLoader("nereus.agents.judge"), autoescape=select_autoescape(["html", "j2"])
    )
    items = [
        {**row, "evidence": one.evidence, "tests": one.tests, "alternatives": one.alternatives}
        for row, (_, one) in zip(rows, drawn, strict=True)
    ]
    return environment.get_template("review.html.j2").render(
        items=items,
        metrics=[(metric.value, ANCHORS[metric]) for metric in Metric],
        labels=LABELS,
        levels=range(LOWEST, HIGHEST + 1),
        columns=[*SHOWN[:2], *ASKED],
    )


def read_sheets(sheets: Iterable[Path], key: Path) -> pd.DataFrame:
    """What reviewers filled in, one row an item and reviewer: ``reviewer, item, key, again``, the metrics, label, comment.

    Raises
    ------
    InputError
        A file, line or cell that is wrong; says which and what is allowed. Cells left empty are missing, not wrong.
    """
    known = _key(key)
    tables = []
    for sheet in sheets:
        try:
            table = pd.read_csv(sheet, dtype=str, keep_default_na=False, index_col=False).fillna("")
            table.columns = [str(name).strip() for name in table.columns]
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", where=str(sheet), mend="save it as CSV") from None
        missing = {"item", *METRICS} - set(table.columns)
        if missing:
            raise InputError(
                f"columns {sorted(missing)} are missing", where=str(sheet), mend="fill in review.csv itself"
            )
        table["item"] = table["item"].str.strip()
        table = table[(table != "").any(axis=1)]
        if table.empty:
            raise InputError("the sheet holds no item", where=str(sheet), mend="fill in review.csv itself")
        for number, row in enumerate(table.to_dict("records"), start=2):
            _check_row(row, known, f"{sheet}, line {number}")
        if table["item"].duplicated().any():
            name = table.loc[table["item"].duplicated(), "item"].iloc[0]
            raise InputError(f"item {name} is there twice", where=str(sheet), mend="keep one line an item")
        filled = pd.DataFrame({"reviewer": sheet.stem, "item": table["item"]})
        filled["key"] = [f"{known[one]['run']}/{known[one]['hypothesis']}" for one in table["item"]]
        filled["again"] = [known[one]["again"] for one in table["item"]]
        for name in METRICS:
            filled[name] = pd.to_numeric(table[name].str.strip().replace("", None)).astype("Int64")
        for name in ("label", "comment"):
            filled[name] = table[name].str.strip() if name in table else ""
        tables.append(filled)
    names = [str(table["reviewer"].iloc[0]) for table in tables]
    if len(set(names)) != len(names):
        raise InputError(
            "two sheets have one file name", where=", ".join(names), mend="name each after its reviewer"
        )
    if not tables:
        raise InputError("no sheet was given", where="review", mend="name the filled sheets")
    return pd.concat(tables, ignore_index=True)


def _key(path: Path) -> dict[str, Mapping[str, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        items = [Item(**one) for one in found["items"]]
        return {one.item: vars(one) for one in items}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"this is no key: {type(error).__name__}",
            where=str(path),
            mend="give the key that was written with the sheet",
        ) from None


def _check_row(row: Mapping[str, str], known: Mapping[str, Mapping[str, str]], where: str) -> None:
    if row["item"] not in known:
        raise InputError(
            f"item {row['item']!r} is not in the key", where=where, mend="use the key of this sheet"
        )
    for name in METRICS:
        text = row[name].strip()
        if text and text not in {str(level) for level in range(LOWEST, HIGHEST + 1)}:
            raise InputError(
                f"{name} is {text!r}", where=where, mend=f"write {LOWEST} to {HIGHEST}, or nothing"
            )
    label = row.get("label", "").strip()
    if label and label not in LABELS:
        raise InputError(
            f"label is {label!r}", where=where, mend=f"write one of {', '.join(LABELS)}, or nothing"
        )
