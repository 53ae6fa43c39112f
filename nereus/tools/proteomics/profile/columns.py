"""The role of every column of the sample sheet, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.statistics.levels import as_levels, as_numbers

Role = Literal[
    "subject",
    "factor",
    "ordered",
    "continuous",
    "batch",
    "time",
    "event",
    "pair",
    "order",
    "constant",
    "identifier",
    "redundant",
    "ignored",
]
COMPARED: tuple[Role, ...] = ("factor", "ordered")
"""Roles whose levels are compared."""


@dataclass(frozen=True)
class Column:
    """What is known about one column.

    Attributes
    ----------
    name
        Name in obs.
    role
        See `Role`; ``ordered`` are few ranked values (dose, grade, time point), ``order`` is the order of
        acquisition, ``time`` a follow-up time, ``event`` what ended it.
    levels
        Level texts, the reference first for what is compared; empty for continuous columns.
    n_missing
        Rows without a value.
    reference, reference_known
        Level that others are compared with, and whether names or amounts tell so.
    cue
        How clearly the name says that this is what the experiment varies: 2 clearly, 1 nothing speaks against
        it, 0 it is a usual covariate.
    usual_covariate
        Age, sex, body mass index and the like.
    fixed_trait
        Cannot change within a subject (disease, genotype, sex).
    related
        Column that this one repeats, refines or is made of.
    composite
        Columns whose combinations the levels are.
    constructed
        Made by the profile, not in the user's sheet.
    why
        Reason of the role.
    """

    name: str
    role: Role
    levels: tuple[str, ...] = ()
    n_levels: int = 0
    n_missing: int = 0
    reference: str = ""
    reference_known: bool = False
    cue: int = 1
    usual_covariate: bool = False
    fixed_trait: bool = False
    related: str = ""
    composite: tuple[str, ...] = ()
    constructed: bool = False
    why: str = ""


def classify(obs: pd.DataFrame, max_levels: int) -> tuple[list[Column], dict[str, pd.Series]]:
    """Give every column a role.

    Parameters
    ----------
    obs
        Sample sheet, one row per row of the matrix.
    max_levels
        A text column with more levels than this and fewer than two rows per level is not compared.

    Returns
    -------
    tuple
        Columns in the sheet's order, then constructed ones; and the constructed columns' values.
    """
    levels = {str(name): as_levels(obs[name]) for name in obs.columns}
    found = {name: _role_alone(name, obs[name], levels[name], max_levels) for name in levels}
    made = _one_hot_groups(obs, found)
    groups = []
    for group, members in made.items():
        texts = pd.Series("other", index=obs.index, dtype=object)
        for member in members:
            texts[as_numbers(obs[member]) == 1] = _member_level(member, members)
        known = _says_the_same(texts, found, levels, members)
        name = known or group
        why = f"one-hot columns {', '.join(members)} put together"
        if known is None:
            levels[name] = texts
            found[name] = replace(_role_alone(name, texts, texts, max_levels), constructed=True, why=why)
        groups.append(name)
        for member in members:
            found[member] = replace(
                found[member], role="redundant", related=name, why=f"one level of the one-hot group {name!r}"
            )
    found = _settle_batches(found, groups)
    found = _settle_events(found)
    found = _mark_redundant(found, levels)
    found = _mark_composites(found, levels)
    found = {name: _with_reference(column) for name, column in found.items()}
    return list(found.values()), {name: levels[name] for name in groups if found[name].constructed}


def _role_alone(name: str, column: pd.Series, levels: pd.Series, max_levels: int) -> Column:
    """Role of a column by its own name and values."""
    said = words.tokens(name)
    spoken = set(said)
    known = levels[levels.notna()]
    distinct = tuple(sorted(set(known)))
    n_rows, n_known, n_levels = len(levels), len(known), len(distinct)
    base = Column(
        name=name,
        role="ignored",
        n_levels=n_levels,
        n_missing=n_rows - n_known,
        cue=2 if words.is_sdrf_factor(name) or spoken & words.FACTOR else 1,
        usual_covariate=bool(spoken & words.COVARIATE),
        fixed_trait=bool(spoken & words.FIXED_TRAIT),
    )
    if base.usual_covariate:
        base = replace(base, cue=0)

    def role(kind: Role, why: str) -> Column:
        keep = kind in (*COMPARED, "batch", "event", "pair")
        return replace(base, role=kind, levels=distinct if keep else (), why=why)

    if n_levels == 0:
        return role("constant", "empty")
    if n_levels == 1:
        return role("constant", f"one value: {distinct[0]!r}")
    unique = n_levels == n_known
    repeats = n_known / n_levels
    if words.names_subject(said):
        return (
            role("identifier", "a subject's name, one row each")
            if unique
            else role("subject", "names the subject")
        )
    if words.is_sdrf_comment(name) or spoken & words.TECHNICAL_NAME:
        return (
            role("batch", "an instrument")
            if words.looks_like_batches(distinct)
            else role("identifier", "technical remark")
        )
    if spoken & words.REPLICATE:
        return role("identifier", "number of a replicate")
    if spoken & words.PAIR and not unique and repeats >= 1.5:
        return role("pair", "names matched samples")
    numbers = as_numbers(column)
    if numbers is not None:
        return _number_role(base, numbers, spoken, distinct, role)
    if unique:
        return role("identifier", "another text in every row")
    if words.names_subject(said, words.SPECIMEN):
        return role("subject", "names the specimen that was measured repeatedly")
    if words.looks_like_events(distinct, said):
        return role("event", "says whether the event happened")
    if words.names_batch(said) and repeats >= 1.5:
        return role("batch", "the name speaks of handling")
    if words.looks_like_batches(distinct) and repeats >= 1.5 and not spoken & words.FACTOR:
        return role("batch", "the levels read like batches")
    if spoken & words.SPLIT and n_levels <= 3:
        return role("ignored", "a split of the data, not a property of samples")
    if repeats < 2 and n_levels > max(2, max_levels):
        return role("ignored", f"{n_levels} levels in {n_known} rows")
    if repeats < 1.5 and n_levels > 3:
        return role("ignored", f"{n_levels} levels in {n_known} rows: too few rows per level")
    ranked = words.amounts(distinct)
    if ranked is not None and ranked[1] and n_levels > 2:
        return role("ordered", "levels are amounts or moments")
    return role("factor", "text with repeated levels")


def _number_role(
    base: Column, numbers: pd.Series, spoken: set[str], distinct: tuple[str, ...], role: object
) -> Column:
    """Role of a numeric column."""
    assert callable(role)
    known = numbers.dropna()
    n_levels, unique = known.nunique(), known.nunique() == len(known)
    whole = bool((known % 1 == 0).all())
    repeats = len(known) / n_levels
    name = " ".join(words.tokens(base.name))

    def made(kind: Role, why: str) -> Column:
        column = role(kind, why)
        assert isinstance(column, Column)
        return column

    if spoken & words.ORDER and repeats < 3:
        return made("order", "order of acquisition")
    if n_levels > 6 and words.SURVIVAL.search(name) and (known >= 0).mean() > 0.5:
        return made("time", "a follow-up time")
    if n_levels == 2:
        if words.looks_like_events(distinct, words.tokens(base.name)):
            return made("event", "0/1 under an event's name")
        if words.names_batch(words.tokens(base.name)):
            return made("batch", "the name speaks of handling")
        return made("factor", "two values")
    if base.usual_covariate and n_levels > 5:
        return made("continuous", "a usual covariate")
    if unique and whole and _evenly_spaced(known) and not spoken & words.RANKED:
        return made("identifier", "counts the rows")
    if whole and words.names_batch(words.tokens(base.name)) and repeats >= 1.5:
        return made("batch", "the name speaks of handling")
    if n_levels <= 6 and repeats >= 1.5:
        if whole and spoken & words.FACTOR and not spoken & words.RANKED:
            return made("factor", "few whole numbers under a group's name")
        return made("ordered", "few repeated numbers")
    return made("continuous", f"{n_levels} different numbers")


def _evenly_spaced(values: pd.Series) -> bool:
    steps = np.diff(np.sort(values.to_numpy()))
    return bool(steps.size and np.allclose(steps, steps[0]))


def _one_hot_groups(obs: pd.DataFrame, found: dict[str, Column]) -> dict[str, tuple[str, ...]]:
    """Groups of 0/1 columns of which at most one is 1 in a row, too exclusive to be so by chance."""
    ones: dict[str, np.ndarray] = {}
    for name, column in found.items():
        numbers = as_numbers(obs[name])
        if (
            column.role in ("factor", "batch")
            and numbers is not None
            and numbers.notna().all()
            and set(numbers) == {0.0, 1.0}
        ):
            ones[name] = (numbers == 1).to_numpy()
    groups: dict[str, tuple[str, ...]] = {}
    left = [name for name in ones if not found[name].usual_covariate]
    while len(left) >= 3:
        members = [left[0]]
        for name in left[1:]:
            if not any((ones[name] & ones[member]).any() for member in members):
                members.append(name)
        n = len(obs)
        expected = sum(ones[a].sum() * ones[b].sum() / n for a, b in combinations(members, 2))
        # Rare columns rarely meet: only a group that should have met five times is exclusive by construction.
        if len(members) >= 3 and expected >= 5:
            groups[_group_name(members, set(map(str, obs.columns)))] = tuple(members)
            left = [name for name in left if name not in members]
        else:
            left = left[1:]
    return groups


def _says_the_same(
    texts: pd.Series, found: dict[str, Column], levels: dict[str, pd.Series], members: tuple[str, ...]
) -> str | None:
    """A column of the sheet that already holds the levels of a one-hot group."""
    for name, column in found.items():
        if name in members or column.n_levels != texts.nunique() or column.role not in (*COMPARED, "batch"):
            continue
        if _determines(levels[name], texts) and _determines(texts, levels[name]):
            return name
    return None


def _group_name(members: list[str], taken: set[str]) -> str:
    prefix = _common_prefix(members)
    name = prefix.rstrip(" _.-:=") or "_or_".join(members)
    return name if name not in taken else f"{name} (levels)"


def _common_prefix(members: list[str] | tuple[str, ...]) -> str:
    shortest = min(members, key=len)
    size = 0
    while size < len(shortest) and len({member[: size + 1] for member in members}) == 1:
        size += 1
    prefix = shortest[:size]
    # Only a whole word is a prefix: site_Kiel and site_Berlin, not Mainz and Mannheim.
    cut = max((prefix.rfind(mark) for mark in " _.-:="), default=-1)
    return prefix[: cut + 1]


def _member_level(member: str, members: tuple[str, ...]) -> str:
    return member[len(_common_prefix(members)) :]


def _settle_batches(found: dict[str, Column], groups: list[str]) -> dict[str, Column]:
    """Take one-hot groups beside a factor for batches, and the only thing to compare for a factor."""
    settled = dict(found)
    others = [
        c for c in found.values() if c.role in COMPARED and c.name not in groups and not c.usual_covariate
    ]
    for name in groups:
        if settled[name].role == "factor" and settled[name].cue < 2 and others:
            settled[name] = replace(
                settled[name],
                role="batch",
                why=f"{settled[name].why}; coded for adjustment beside what is compared, so taken as a batch",
            )
    if not any(column.role in COMPARED for column in settled.values()):
        for name, column in settled.items():
            if (
                column.role == "batch"
                and 2 <= column.n_levels <= 12
                and not words.looks_like_batches(column.levels)
            ):
                settled[name] = replace(
                    column, role="factor", why=f"{column.why}, but nothing else is there to compare", cue=0
                )
                break
    return settled


def _settle_events(found: dict[str, Column]) -> dict[str, Column]:
    """An event needs a follow-up time; without one it is a factor."""
    if any(column.role == "time" for column in found.values()):
        return found
    return {
        name: replace(column, role="factor", why=f"{column.why}, but there is no follow-up time")
        if column.role == "event"
        else column
        for name, column in found.items()
    }


def _determines(fine: pd.Series, coarse: pd.Series) -> bool:
    """Whether each level of one column goes with a single level of the other."""
    known = fine.notna() & coarse.notna()
    if known.sum() < 0.8 * min(fine.notna().sum(), coarse.notna().sum()) or not known.any():
        return False
    return bool(coarse[known].groupby(fine[known]).nunique().max() == 1)


def _mark_redundant(found: dict[str, Column], levels: dict[str, pd.Series]) -> dict[str, Column]:
    """Of two columns that say the same, the clearer one stays."""
    settled = dict(found)
    order = sorted(
        (
            c
            for c in found.values()
            if c.role in (*COMPARED, "batch", "event") or (c.role == "continuous" and c.n_levels <= 12)
        ),
        key=lambda c: (-c.cue, c.n_missing, c.role == "continuous", list(found).index(c.name)),
    )
    for first, second in combinations(order, 2):
        if "redundant" in (settled[first.name].role, settled[second.name].role):
            continue
        if "batch" in (first.role, second.role) and first.role != second.role:
            continue  # confounded, which is worth more than a word: see `confounding`
        one, two = levels[first.name], levels[second.name]
        if _determines(one, two) and _determines(two, one):
            settled[second.name] = replace(
                second, role="redundant", related=first.name, why=f"says the same as {first.name!r}"
            )
    return settled


def _mark_composites(found: dict[str, Column], levels: dict[str, pd.Series]) -> dict[str, Column]:
    """A factor whose levels are the combinations of others comes last: its parts are compared instead."""
    settled = dict(found)
    compared = [c for c in found.values() if c.role in (*COMPARED, "batch")]
    for whole in compared:
        if whole.role not in COMPARED:
            continue
        parts = [
            part
            for part in compared
            if part.name != whole.name
            and not settled[part.name].composite
            and part.n_levels < whole.n_levels
            and _determines(levels[whole.name], levels[part.name])
        ]
        if len(parts) < 2:
            continue
        joined = pd.Series(
            [
                None if any(cell is None for cell in cells) else " | ".join(cells)
                for cells in zip(*(levels[part.name] for part in parts), strict=True)
            ],
            index=levels[whole.name].index,
            dtype=object,
        )
        if _determines(joined, levels[whole.name]):
            names = tuple(part.name for part in parts)
            settled[whole.name] = replace(
                whole,
                composite=names,
                related=" x ".join(names),
                cue=-1,
                why=f"combinations of {' x '.join(names)}",
            )
    return settled


def _with_reference(column: Column) -> Column:
    if column.role not in COMPARED or len(column.levels) < 2:
        return column
    reference, known, why = words.reference_level(column.levels)
    ranked = words.amounts(column.levels)
    rest = [level for level in column.levels if level != reference]
    if ranked is not None:
        rest.sort(key=lambda level: (ranked[0][level], level))
    return replace(
        column,
        levels=(reference, *rest),
        reference=reference,
        reference_known=known,
        why=f"{column.why}; reference {reference!r}: {why}",
    )
