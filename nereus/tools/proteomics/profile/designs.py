"""Designs beyond two groups: crossed factors, courses over time, series of doses, and batches of labelled samples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.contrasts import INFER
from nereus.tools.proteomics.profile.unit import Unit
from nereus.tools.statistics.batch import REFUSE_V, cramers_v, inseparable
from nereus.tools.statistics.levels import as_levels, as_numbers

_INTERACTIONS = [
    "interaction", "rank", "first", "a_first", "b_first", "second", "a_second", "b_second", "n", "smallest_cell", "kind",
    "block", "testable", "refused", "why",
]  # fmt: skip
_COURSES = [
    "course", "rank", "time", "labels", "group", "a", "b", "subject", "repeated", "n", "n_times", "n_subjects",
    "smallest_cell", "first", "last", "testable", "why",
]  # fmt: skip
_DOSES = ["dose", "rank", "labels", "n", "n_doses", "has_zero", "lowest", "highest", "cue", "testable", "why"]
_PLEXES = ["plex", "column", "n_samples", "n_references", "references", "why"]
MIN_DOSES = 4
_MOST_DOSES = 16
_FEWEST_TIMES = 3
_FEWEST_ROWS = 9
_FEWEST_SUBJECTS = 6


def interaction_table(
    columns: list[Column], levels: dict[str, pd.Series], subjects: pd.Series, unit: Unit
) -> pd.DataFrame:
    """Pairs of crossed factors whose joint effect can be asked about.

    Two levels of each factor make four cells; each must hold three subjects (``testable``). Several levels are taken
    against the reference. A factor that cannot be told from a batch over these samples is ``refused``.

    Returns
    -------
    pandas.DataFrame
        ``interaction`` (first: a vs b x second: a vs b), ``rank``, the two factors with their levels, ``n`` (units),
        ``smallest_cell`` (subjects), ``kind`` (main, covariate), ``block`` (subject, where a factor varies within it),
        ``testable, refused, why``.
    """
    batches = [column for column in columns if column.role == "batch"]
    factors = [
        column
        for column in columns
        if column.role in COMPARED and not column.composite and 2 <= len(column.levels) <= 6
    ]
    rows: list[dict[str, object]] = []
    for first, second in combinations(factors, 2):
        if first.usual_covariate and second.usual_covariate:
            continue
        one, two = levels[first.name], levels[second.name]
        if inseparable(one, two):
            continue
        for a_first in first.levels[1:]:
            for a_second in second.levels[1:]:
                pairs = [(i, j) for i in (first.levels[0], a_first) for j in (second.levels[0], a_second)]
                cells = [int(subjects[((one == i) & (two == j)).to_numpy()].nunique()) for i, j in pairs]
                if min(cells) == 0:
                    continue
                inside = (
                    one.isin([first.levels[0], a_first]) & two.isin([second.levels[0], a_second])
                ).to_numpy()
                refused = next(
                    (
                        f"cannot separate {column.name!r} from {batch.name!r}"
                        for column in (first, second)
                        for batch in batches
                        if _hidden(levels[column.name][inside], levels[batch.name][inside])
                    ),
                    "",
                )
                within = [c.name for c in (first, second) if c.name in unit.varying]
                why = f"the smallest of four cells holds {min(cells)} {words.plural(unit.word)}"
                rows.append(
                    {
                        "interaction": f"{first.name}: {a_first} vs {first.levels[0]} x {second.name}: {a_second} vs "
                        f"{second.levels[0]}",
                        "rank": 0,
                        "first": first.name,
                        "a_first": a_first,
                        "b_first": first.levels[0],
                        "second": second.name,
                        "a_second": a_second,
                        "b_second": second.levels[0],
                        "n": int(inside.sum()),
                        "smallest_cell": min(cells),
                        "kind": "covariate" if first.usual_covariate or second.usual_covariate else "main",
                        "block": unit.column if within and unit.column else "",
                        "testable": min(cells) >= INFER and not refused,
                        "refused": refused,
                        "why": why + (f"; {', '.join(within)} varies within {unit.word}" if within else ""),
                    }
                )
    rows.sort(key=lambda row: (not row["testable"], row["kind"] != "main", -int(str(row["smallest_cell"]))))
    return _ranked(rows, _INTERACTIONS)


def _hidden(values: pd.Series, batch: pd.Series) -> bool:
    v = cramers_v(values, batch)
    return v is not None and (v >= REFUSE_V or inseparable(values, batch))


def number_columns(obs: pd.DataFrame, columns: list[Column]) -> dict[str, tuple[str, pd.Series]]:
    """Ordered columns written as text (``24h``, ``E15``) as numbers: column -> (name of the new column, numbers)."""
    made: dict[str, tuple[str, pd.Series]] = {}
    for column in columns:
        if column.role != "ordered" or as_numbers(obs[column.name]) is not None:
            continue
        found = words.amounts(column.levels)
        if found is None:
            continue
        texts = as_levels(obs[column.name])
        name = f"{column.name} ({'days' if words.are_ages(column.levels) else 'number'})"
        while name in obs.columns:
            name += "_"
        made[column.name] = (name, texts.map(found[0]).astype(float))
    return made


def course_table(
    obs: pd.DataFrame,
    columns: list[Column],
    levels: dict[str, pd.Series],
    subjects: pd.Series,
    unit: Unit,
    numbers: dict[str, tuple[str, pd.Series]],
) -> pd.DataFrame:
    """Courses over time, alone and beside a group.

    A column is a time when its name says so and its values are numbers, or when its levels are moments (``24h``,
    ``day 7``, ``E15``). Where subjects are seen at several times the course is ``repeated``; otherwise other subjects
    were seen at each time.

    Returns
    -------
    pandas.DataFrame
        ``course`` (time, or time x group), ``rank, time`` (numeric column), ``labels`` (the column it was read from),
        ``group, a, b, subject, repeated, n`` (units), ``n_times, n_subjects, smallest_cell`` (subjects of a group at
        its rarest time), ``first, last, testable, why``.
    """
    rows: list[dict[str, object]] = []
    for column in columns:
        if column.role not in ("ordered", "continuous") or column.usual_covariate:
            continue
        name, values = numbers.get(column.name, (column.name, as_numbers(obs[column.name])))
        if values is None or not words.is_moment(column.name, column.levels):
            continue
        known = values.notna().to_numpy()
        times = np.unique(values[known])
        if len(times) < 2:
            continue
        of = subjects.to_numpy()[known]
        per_subject = values[known].groupby(of).nunique()
        repeated = unit.column is not None and float((per_subject > 1).mean()) >= 0.5
        groups: list[tuple[Column | None, str, str]] = [(None, "", "")]
        groups += [
            (other, a, other.levels[0])
            for other in columns
            if other.role in COMPARED
            and not other.composite
            and other.name != column.name
            and len(other.levels) <= 4
            for a in other.levels[1:]
            if not inseparable(levels[other.name], levels[column.name])
        ]
        for other, a, b in groups:
            rows.append(_course(column, name, values, times, subjects, unit, repeated, other, a, b, levels))
    rows.sort(key=lambda row: (not row["testable"], row["group"] == "", -int(str(row["n"]))))
    return _ranked(rows, _COURSES)


def _course(
    column: Column,
    name: str,
    values: pd.Series,
    times: np.ndarray,
    subjects: pd.Series,
    unit: Unit,
    repeated: bool,
    other: Column | None,
    a: str,
    b: str,
    levels: dict[str, pd.Series],
) -> dict[str, object]:
    inside = values.notna().to_numpy()
    cells = []
    if other is None:
        cells = [int(subjects[(values == time).to_numpy()].nunique()) for time in times]
        n_subjects = [int(subjects[inside].nunique())]
    else:
        inside &= levels[other.name].isin([a, b]).to_numpy()
        masks = [(levels[other.name] == level).to_numpy() & inside for level in (a, b)]
        cells = [int(values[mask].nunique()) for mask in masks]
        n_subjects = [int(subjects[mask].nunique()) for mask in masks]
    n_times = int(values[inside].nunique())
    enough_times = n_times >= (2 if repeated and other is not None else _FEWEST_TIMES)
    if other is None:
        enough = n_subjects[0] >= (_FEWEST_SUBJECTS if repeated else _FEWEST_ROWS)
    else:
        enough = min(n_subjects) >= (INFER if repeated else 2 * INFER) and min(cells) >= 2
    how = "each seen at several times" if repeated else "others at each time"
    return {
        "course": name if other is None else f"{name} x {other.name}: {a} vs {b}",
        "rank": 0,
        "time": name,
        "labels": column.name,
        "group": "" if other is None else other.name,
        "a": a,
        "b": b,
        "subject": unit.column if repeated and unit.column else "",
        "repeated": repeated,
        "n": int(inside.sum()),
        "n_times": n_times,
        "n_subjects": sum(n_subjects),
        "smallest_cell": min(cells) if cells else 0,
        "first": float(times.min()),
        "last": float(times.max()),
        "testable": bool(enough_times and enough),
        "why": f"{n_times} times, {sum(n_subjects)} {words.plural(unit.word)}, {how}",
    }


def dose_table(
    obs: pd.DataFrame, columns: list[Column], numbers: dict[str, tuple[str, pd.Series]]
) -> pd.DataFrame:
    """Series of doses along which a curve can be fitted: four or more amounts, three of them above zero.

    A column is a dose by its name or the units of its levels (``cue`` ``named``), or it merely could be one
    (``possible``), which only the user's words can confirm.

    Returns
    -------
    pandas.DataFrame
        ``dose`` (numeric column), ``rank, labels`` (the column it was read from), ``n, n_doses, has_zero, lowest``
        (above zero), ``highest, cue, testable, why``.
    """
    rows: list[dict[str, object]] = []
    for column in columns:
        if column.role not in ("ordered", "continuous") or column.usual_covariate:
            continue
        name, values = numbers.get(column.name, (column.name, as_numbers(obs[column.name])))
        if values is None:
            continue
        known = values.dropna()
        doses = np.unique(known)
        positive = doses[doses > 0]
        named = words.is_dose(column.name, column.levels)
        if not named and not _could_be_doses(known, doses, positive):
            continue
        if len(doses) < 2 or doses.min() < 0 or not len(positive):
            continue
        testable = len(doses) >= MIN_DOSES and len(positive) >= MIN_DOSES - 1 and len(known) >= 2 * MIN_DOSES
        rows.append(
            {
                "dose": name,
                "rank": 0,
                "labels": column.name,
                "n": len(known),
                "n_doses": len(doses),
                "has_zero": bool((doses == 0).any()),
                "lowest": float(positive.min()),
                "highest": float(positive.max()),
                "cue": "named" if named else "possible",
                "testable": testable,
                "why": f"{len(doses)} doses in {len(known)} samples",
            }
        )
    rows.sort(key=lambda row: (not row["testable"], row["cue"] != "named", -int(str(row["n_doses"]))))
    return _ranked(rows, _DOSES)


def _could_be_doses(known: pd.Series, doses: np.ndarray, positive: np.ndarray) -> bool:
    """Zero and a few amounts over more than a decade, each measured repeatedly."""
    few = MIN_DOSES <= len(doses) <= _MOST_DOSES and len(known) >= 2 * len(doses)
    return bool(few and doses.min() == 0 and len(positive) and positive.max() >= 10 * positive.min())


def plex_table(obs: pd.DataFrame, columns: list[Column]) -> pd.DataFrame:
    """Batches of samples that were labelled and measured together, and their reference channels.

    A reference is a sample whose name or level says pool, reference, bridge or the like.

    Returns
    -------
    pandas.DataFrame
        ``plex`` (column = level), ``column, n_samples, n_references, references, why``; one row a plex.
    """
    rows: list[dict[str, object]] = []
    texts = [
        as_levels(obs[column.name])
        for column in columns
        if column.role in COMPARED or column.role == "ignored"
    ]
    marked = pd.Series([words.is_reference_channel(str(name)) for name in obs.index], index=obs.index)
    for text in texts:
        marked |= text.map(lambda level: level is not None and words.is_reference_channel(level)).astype(bool)
    for column in columns:
        if column.role != "batch" or not set(words.tokens(column.name)) & words.PLEX:
            continue
        values = as_levels(obs[column.name])
        for level in column.levels:
            mask = (values == level).to_numpy()
            references = [str(name) for name in obs.index[mask & marked.to_numpy()]]
            rows.append(
                {
                    "plex": f"{column.name} = {level}",
                    "column": column.name,
                    "n_samples": int(mask.sum()),
                    "n_references": len(references),
                    "references": ";".join(references),
                    "why": "the name of the column speaks of samples that were labelled together",
                }
            )
    return pd.DataFrame(rows, columns=_PLEXES)


def speaks_of_labels(facts: dict[str, object], obs: pd.DataFrame, plexes: pd.DataFrame) -> bool:
    """Whether something says that the samples carry isobaric labels: the reader, a column, or names of channels."""
    said = " ".join(
        [str(facts.get(name, "")) for name in ("quantity", "software", "column", "label", "assay")]
        + [str(name) for name in obs.columns]
        + [str(name) for name in obs.index[:100]]
        + [str(name) for name in plexes["column"]]
    ).lower()
    return bool(plexes.shape[0]) and any(
        word in said for word in ("tmt", "itraq", "reporter", "isobaric", "plex", "127n", "128c")
    )


def _ranked(rows: list[dict[str, object]], names: list[str]) -> pd.DataFrame:
    for place, row in enumerate(rows, 1):
        row["rank"] = place
    return pd.DataFrame(rows, columns=names).drop_duplicates(names[0], ignore_index=True)
