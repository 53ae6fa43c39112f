"""Names as people write them -> names as the data have them: tolerant to case, accents and small typos.

What is tolerated is told: every match says how it was found, so that an answer can say "I took X for Y".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nereus.agents.planner.questions import TESTED
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import Objective, RunRecord

if TYPE_CHECKING:
    import pandas as pd

SHORTEST_TYPO = 4
"""Words shorter than this must be written as they are: APP is not APC."""
_WORD = re.compile(r"[^\W_]+(?:[-.][^\W_]+)*")
_PARTS = re.compile(r"[^a-z0-9]+")
_SYNONYMS = {
    "sex": ("gender",),
    "gender": ("sex",),
    "site": ("center", "centre", "hospital"),
    "centre": ("site", "center"),
    "center": ("site", "centre"),
    "old": ("age",),
    "years": ("age",),
    "weight": ("bmi",),
    "tau": ("t-tau", "p-tau"),
}


@dataclass(frozen=True)
class Found:
    """A name of the data, and how it was found."""

    key: str
    """As the data have it: a row key, a column, an id."""
    name: str
    """As an answer names it."""
    written: str
    """As the person wrote it."""
    exact: bool = True


def folded(text: str) -> str:
    """A text without accents and case."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(one for one in plain if not unicodedata.combining(one)).casefold()


def words(text: str) -> list[str]:
    """Words of a text, with inner hyphens and dots."""
    return _WORD.findall(text)


def distance(first: str, second: str, most: int = 2) -> int:
    """Changes, insertions, omissions and swaps of neighbours between two words; `most` + 1 where there are more."""
    if abs(len(first) - len(second)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        now = [i]
        for j, b in enumerate(second, start=1):
            cost = min(last[j] + 1, now[-1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            now.append(cost)
        if min(now) > most:
            return most + 1
        before, last = last, now
    return last[-1]


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """Names that a word may be a typo of: one change in short words, two in long ones, the nearest first."""
    if len(word) < SHORTEST_TYPO:
        return []
    most = 1 if len(word) < 7 else 2
    target = folded(word)
    ranked = []
    for name in names:
        other = folded(name)
        # Numbers tell names of one family apart: SOD1 is no typo of SOD2.
        if re.sub(r"\D", "", other) != re.sub(r"\D", "", target):
            continue
        changes = distance(target, other, most)
        if changes <= most:
            ranked.append((changes, name))
    if not ranked:
        return []
    best = min(ranked)[0]
    return sorted({name for changes, name in ranked if changes == best})


# ------------------------------------------------------------------------------------------------- entities of a run


class Entities:
    """What a run tested, by every name that people may use.

    Parameters
    ----------
    rows
        Keys of rows with the names of their genes.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._by_name: dict[str, dict[str, None]] = {}
        self._shown: dict[str, str] = {}
        for row, gene in rows:
            label = gene if gene not in ("nan", "None", "") else row
            self._shown.setdefault(row, label.split(";")[0])
            for name in (row, *row.split(";"), *label.split(";"), row.split("-")[0]):
                if name:
                    self._by_name.setdefault(folded(name), {})[row] = None

    @classmethod
    def of(cls, sources: Sources) -> Entities:
        """What a run tested."""
        return cls(pair for _, _, table in tests(sources) for pair in _rows(table))

    def __len__(self) -> int:
        return len(self._shown)

    def find(self, word: str) -> list[Found]:
        """Rows that a word names: exactly where any does, else those that it may be a typo of."""
        rows = list(self._by_name.get(folded(word), ()))
        if rows:
            return [Found(row, self._shown[row], word) for row in rows]
        return [
            Found(row, self._shown[row], word, exact=False)
            for name in nearest(word, self._by_name)
            for row in self._by_name[name]
        ]

    def knows(self, word: str) -> bool:
        """Whether a word names a row exactly."""
        return folded(word) in self._by_name

    def near(self, word: str, n: int = 3) -> list[str]:
        """Names that look like a word, for "did you mean"."""
        import difflib

        close = difflib.get_close_matches(folded(word), self._by_name, n=n, cutoff=0.6)
        return list(dict.fromkeys(self._shown[next(iter(self._by_name[one]))] for one in close))

    def name_of(self, row: str) -> str:
        """How a row is called."""
        return self._shown.get(row, row)


def _rows(table: pd.DataFrame) -> Iterable[tuple[str, str]]:
    keys = table.iloc[:, 0].astype(str)
    return zip(keys, table["gene"].astype(str) if "gene" in table.columns else keys, strict=True)


def tests(sources: Sources) -> list[tuple[Objective, str, pd.DataFrame]]:
    """Questions of a run that tested entities one by one: the question, its step and its table."""
    found = []
    for objective in sources.record.objectives:
        tested = TESTED.get(objective.kind)
        where = None if tested is None else sources.output(f"{objective.id}:{tested.main}")
        if where is not None:
            found.append((objective, where[0], sources.table(sources.call(where[0]), where[1])))
    return found


# --------------------------------------------------------------------------------------------- columns and questions


def parts_of(name: str) -> list[str]:
    """Words of a column's name: ``_age at CSF collection`` -> age, at, csf, collection."""
    return [one for one in _PARTS.split(folded(name)) if one]


def columns_named(text: str, columns: Sequence[str]) -> list[Found]:
    """Columns that a text names, by their whole names or by a telling word, in the order of the text."""
    found: dict[str, tuple[int, Found]] = {}
    lowered = folded(text)
    for column in columns:
        place = lowered.find(folded(column))
        if place >= 0:
            found[column] = (place, Found(column, column, column))
    counts: dict[str, int] = {}
    for column in columns:
        for part in set(parts_of(column)):
            counts[part] = counts.get(part, 0) + 1
    for match in _WORD.finditer(text):
        written = match[0]
        word = folded(written)
        wanted = [word, *_SYNONYMS.get(word, ())]
        if word.endswith("s") and len(word) > 3:
            wanted.append(word[:-1])
        hits = [
            (column, exact)
            for column in columns
            for exact in [_names_column(wanted, column, counts)]
            if exact is not None and column not in found
        ]
        if hits and len({column for column, _ in hits}) <= 2:
            best = [column for column, exact in hits if exact] or [column for column, _ in hits]
            column = min(best, key=lambda one: (len(parts_of(one)), one))
            found[column] = (match.start(), Found(column, column, written, word in parts_of(column)))
    return [one for _, one in sorted(found.values(), key=lambda item: item[0])]


_WEAK = frozenset(
    {
        "at",
        "of",
        "the",
        "and",
        "in",
        "ng",
        "l",
        "csf",
        "score",
        "id",
        "is",
        "no",
        "to",
        "for",
        "on",
        "sample",
        "samples",
    }
)


def _names_column(wanted: list[str], column: str, counts: dict[str, int]) -> bool | None:
    """Whether words name a column: True where they are a part of it, False where nearly, None where not."""
    parts = [one for one in parts_of(column) if one not in _WEAK]
    if any(word in parts for word in wanted):
        return True
    word = wanted[0]
    if len(word) >= 5 and any(len(part) >= 5 and distance(word, part, 1) <= 1 for part in parts):
        return False
    return None


def columns_of(record: RunRecord, sources: Sources) -> list[str]:
    """Columns of a run's sample sheet."""
    where = sources.output("profile")
    if where is None:
        return []
    table = sources.table(sources.call(where[0]), where[1])
    return [str(one) for one in table["column"]] if "column" in table.columns else []


def levels_of(record: RunRecord, sources: Sources) -> dict[str, list[str]]:
    """Values of those columns of a run's sample sheet that have few of them."""
    where = sources.output("profile")
    if where is None:
        return {}
    table = sources.table(sources.call(where[0]), where[1])
    if not {"column", "levels"} <= set(table.columns):
        return {}
    return {
        str(row.column): [one for one in str(row.levels).split(";") if one]
        for row in table.itertuples()
        if row.levels and str(row.levels) != "nan"
    }


_SAME = (
    frozenset({"f", "female", "females", "woman", "women", "girl", "girls", "w", "weiblich"}),
    frozenset({"m", "male", "males", "man", "men", "boy", "boys", "männlich"}),
)
_PEOPLE = re.compile(
    r"\s*\b(?:samples?|subjects?|patients?|people|persons?|participants?|cohort|site|group|ones|individuals?)$"
)


def level_named(text: str, levels: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """Column and value that words such as ``women`` or ``the Sweden samples`` stand for; None where it is not one."""
    plain = re.sub(r"^(?:the|all|only|just|those|our)\s+", "", folded(text).strip(" ?.!,"))
    for wanted in dict.fromkeys((plain, _PEOPLE.sub("", plain))):
        same = next((one for one in _SAME if wanted in one), frozenset({wanted}))
        hits = [
            (column, level) for column, known in levels.items() for level in known if folded(level) in same
        ]
        if len(hits) == 1:
            return hits[0]
    return None


def objective_named(text: str, sources: Sources) -> Objective | None:
    """The question of a run that a text names: by id, by its groups, or by its variable."""
    tested = [objective for objective, _, _ in tests(sources)]
    for match in re.finditer(r"\bO(\d{1,3})\b", text):
        for one in tested:
            if one.id == match[0]:
                return one
    lowered = set(parts_of(text))
    best: tuple[float, Objective] | None = None
    for one in tested:
        names = (
            [one.contrast.factor, one.contrast.a, one.contrast.b] if one.contrast is not None else [one.about]
        )
        about = {part for name in names for part in parts_of(name) if part not in _WEAK}
        if not about:
            continue
        share = len(about & lowered) / len(about)
        if share >= 0.34 and (best is None or share > best[0]):
            best = (share, one)
    return None if best is None else best[1]
