"""Effects of known kind and size. Sizes are in standard deviations of the untouched feature."""

from __future__ import annotations

import numpy as np

from benchmarks.truth.planting.study import Study
from benchmarks.truth.planting.truth import PlantedClaim
from nereus.tools.enrichment.collections import load_sets

SIZES = (0.3, 2.0)
MODULE_FEATURES = (8, 30)
MODULE_SIZES = (1.0, 2.0)
SET_SIZE = 0.3
SET_MEMBERS = (25, 80)
HALVES = 2.0 * float(np.sqrt(2.0 / np.pi))
"""Difference between the upper and the lower half of a normal variable, in standard deviations of it: an effect of size one
differs by one standard deviation between the halves, as one of two groups does between the groups."""
HAZARD = 2.0
"""Log hazard for each standard deviation of the hidden risk: large effects are then visible to a Cox model."""
EVENTS = 0.65
LOST = 0.95
"""Share of the values that are lost where a feature is absent."""


def _levels(study: Study, factor: str) -> tuple[np.ndarray, str, str]:
    """Which samples are in a, and the names of a and b (a is the later word)."""
    b, a = sorted(set(study.sheet[factor]))
    return (study.sheet[factor] == a).to_numpy(), a, b


def _about(factor: str, a: str, b: str) -> dict[str, str]:
    return {"factor": factor, "a": a, "b": b}


def shift(study: Study, factor: str = "condition", n: int = 12) -> None:
    """Means of single features differ between the two levels."""
    rng = study.stream(f"shift {factor}")
    in_a, a, b = _levels(study, factor)
    for i in study.take(n, rng):
        size, sign = float(rng.uniform(*SIZES)), int(rng.choice([-1, 1]))
        # Half up and half down, so that the mean of the feature stays.
        study.values[:, i] += sign * size * study.sd[i] * np.where(in_a, 0.5, -0.5)
        claim = PlantedClaim("shift", ("abundance",), _about(factor, a, b), sign, size, study.features[i])
        study.truth.claims.append(claim)


def missing(study: Study, factor: str = "condition", n: int = 5) -> None:
    """Features are seen in one level, and hardly in the other."""
    rng = study.stream(f"missing {factor}")
    in_a, a, b = _levels(study, factor)
    for i in study.take(n, rng):
        sign = int(rng.choice([-1, 1]))
        absent = ~in_a if sign > 0 else in_a
        study.values[absent & (rng.random(len(in_a)) < LOST), i] = np.nan
        about = _about(factor, a, b)
        claim = PlantedClaim("missing", ("detection",), about, sign, None, study.features[i])
        study.truth.claims.append(claim)


def interaction(study: Study, first: str = "condition", second: str = "diet", n: int = 6) -> None:
    """The second factor acts one way at one level of the first, and the other way at the other level."""
    rng = study.stream(f"interaction {first} {second}")
    in_a, a_first, b_first = _levels(study, first)
    of_a, a_second, b_second = _levels(study, second)
    for i in study.take(n, rng):
        size, sign = float(rng.uniform(*SIZES)), int(rng.choice([-1, 1]))
        crossed = np.where(in_a, 0.5, -0.5) * np.where(of_a, 1.0, -1.0)
        study.values[:, i] += sign * size * study.sd[i] * crossed
        about = {
            "first": first,
            "a_first": a_first,
            "b_first": b_first,
            "second": second,
            "a_second": a_second,
            "b_second": b_second,
        }
        claim = PlantedClaim("interaction", ("interaction",), about, sign, size, study.features[i])
        study.truth.claims.append(claim)


def trend(study: Study, variable: str = "exposure_level", n: int = 8) -> None:
    """Features follow a continuous variable."""
    rng = study.stream(f"trend {variable}")
    z = rng.normal(size=len(study.sheet))
    study.sheet[variable] = np.round(50.0 + 12.0 * z, 3)
    for i in study.take(n, rng):
        size, sign = float(rng.uniform(*SIZES)), int(rng.choice([-1, 1]))
        study.values[:, i] += sign * size / HALVES * study.sd[i] * z
        claim = PlantedClaim("trend", ("association",), {"variable": variable}, sign, size, study.features[i])
        study.truth.claims.append(claim)


def survival(study: Study, time: str = "followup_days", event: str = "death", n: int = 6) -> None:
    """Features carry a hidden risk on which the hazard depends; follow-up ends at an independent time."""
    rng = study.stream(f"survival {time}")
    risk = rng.normal(size=len(study.sheet))
    until = rng.exponential(size=len(risk)) * np.exp(-HAZARD * risk)
    censored = rng.uniform(0.0, 2.0 * np.quantile(until, EVENTS), size=len(risk))
    study.sheet[time] = np.maximum(1, np.round(700.0 * np.minimum(until, censored))).astype(int)
    study.sheet[event] = np.where(until <= censored, 1, 0)
    for i in study.take(n, rng):
        size, sign = float(rng.uniform(*SIZES)), int(rng.choice([-1, 1]))
        study.values[:, i] += sign * size / HALVES * study.sd[i] * risk
        about = {"time": time, "event": event}
        claim = PlantedClaim("survival", ("survival",), about, sign, size, study.features[i])
        study.truth.claims.append(claim)


def module(study: Study, factor: str = "condition") -> None:
    """Features move together with a hidden factor, whose mean differs between the two levels."""
    rng = study.stream(f"module {factor}")
    in_a, a, b = _levels(study, factor)
    chosen = study.take(int(rng.integers(MODULE_FEATURES[0], MODULE_FEATURES[1] + 1)), rng)
    size, sign = float(rng.uniform(*MODULE_SIZES)), int(rng.choice([-1, 1]))
    hidden = rng.normal(size=len(in_a)) + sign * size * np.where(in_a, 0.5, -0.5)
    for i in chosen:
        study.values[:, i] += rng.uniform(0.8, 1.5) * study.sd[i] * hidden
    members = tuple(study.features[i] for i in chosen)
    claim = PlantedClaim("module", ("module",), _about(factor, a, b), sign, size, "module", members)
    study.truth.claims.append(claim)


def gene_set(study: Study, factor: str = "condition") -> None:
    """All members of a real set of genes move a little. Features take names of real genes, which are shuffled.

    The names are those of measured human proteins, so that sets are covered as they are in practice; which feature
    carries which name is drawn, and the truth speaks of the names in the file.
    """
    rng = study.stream(f"gene set {factor}")
    in_a, a, b = _levels(study, factor)
    sets = load_sets("human")
    # Names in sets that are well covered: members of the chosen set, then genes of other sets of the same collection.
    reactome = (sets.table["collection"] == "reactome").to_numpy()
    n_set = np.asarray(sets.members.sum(axis=1)).ravel()
    low, high = SET_MEMBERS
    chosen = int(rng.choice(np.flatnonzero(reactome & (n_set >= low) & (n_set <= high))))
    inside = [sets.genes[j] for j in sets.members[chosen].indices]
    frequency = np.asarray(sets.members[np.flatnonzero(reactome)].sum(axis=0)).ravel().astype(float)
    frequency[sets.members[chosen].indices] = 0.0
    n_others = len(study.features) - len(inside)
    others = rng.choice(len(sets.genes), n_others, replace=False, p=frequency / frequency.sum())
    names = [*inside, *(sets.genes[j] for j in others)]
    # Members are features that nothing else was planted into.
    order = rng.permutation(len(names))
    features = sorted(order, key=lambda i: int(i) in study.used)
    renamed = dict(zip((study.features[i] for i in features), names, strict=True))
    study.features = [renamed[one] for one in study.features]
    study.truth.claims = [_renamed(one, renamed) for one in study.truth.claims]
    sign = int(rng.choice([-1, 1]))
    place = {name: i for i, name in enumerate(study.features)}
    for gene in inside:
        i = place[gene]
        study.values[:, i] += sign * SET_SIZE * study.sd[i] * np.where(in_a, 0.5, -0.5)
        study.used.add(i)
    name = str(sets.table["set_id"].iloc[chosen])
    claim = PlantedClaim(
        "gene_set", ("enrichment",), _about(factor, a, b), sign, SET_SIZE, name, tuple(sorted(inside))
    )
    study.truth.claims.append(claim)


def _renamed(claim: PlantedClaim, names: dict[str, str]) -> PlantedClaim:
    members = tuple(names.get(one, one) for one in claim.members)
    return PlantedClaim(
        claim.plant,
        claim.relations,
        claim.about,
        claim.direction,
        claim.size,
        names.get(claim.entity, claim.entity),
        members,
    )
