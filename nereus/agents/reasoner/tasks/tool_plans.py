"""Planning a comparison of two groups: which tools prepare the matrix, what is adjusted for, which test answers.

A step is a typed tool call; taking it executes the tool through the step mechanism, so that what branches have in
common is computed once and a second visit is free. Nobody knows the truth of a user's data, so a plan is judged by
what is known: labels are exchanged among subjects within batches (so that batches disturb as much as they do in
truth), effects are planted into the user's own matrix, and the very plan must find them. Its reward is how much
better it does that than the fixed template, less the cost of its steps: above 0 it is worth leaving the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.errors import InputError, NereusError, ToolError
from nereus.memory.records import ArtifactRef, CallStatus, ToolCall
from nereus.models.language.cpl.choices import Described
from nereus.tools.steps import StepRunner

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

PLANTINGS = 6
"""Data sets that effects are planted into; more tell plans apart better, and take longer."""
CONFIRMATIONS = 6
"""Data sets that nothing was chosen by, on which the chosen plan must be better than the template, too: of two dozen plans
the one that looked best owes some of that to luck."""
SHARE = 0.08
"""Share of the features that change in a planting."""
SIZES = (0.5, 2.0)
"""Least and largest planted effect in standard deviations of the feature, as tools are asked to find in calibration."""
LEVEL = 0.05
"""False discovery rate of the plans that are compared."""
SURE = 2.0
"""Standard errors of its difference over the confirmations by which a plan must be better for the template to be left."""
STEP_COST = 0.005
"""What a step takes from the reward: between equal plans the shorter one is taken."""
GAIN = 2.0
"""What a difference of F1 is multiplied with, so that a plan that is better by one half earns the full reward."""
STAGES = ("rows", "level", "samples", "design", "test")
TEMPLATE = ("keep rows", "normalise median", "keep samples", "compare plainly", "test moderated t")
"""The fixed template, as it stands in textbooks."""


Planted = tuple[ArtifactRef, Mapping[str, int]]
"""A data set with known effects, and which features change in which direction."""


@dataclass(frozen=True)
class Comparison:
    """What is compared, and which columns of the sample sheet may matter.

    Attributes
    ----------
    factor, a, b
        Effects are a minus b.
    subjects
        Column that names the subject, where some have several rows; empty otherwise.
    batches
        Columns that may be batches.
    """

    factor: str
    a: str
    b: str
    subjects: str = ""
    batches: tuple[str, ...] = ()

    @classmethod
    def profiled(cls, profile: ToolCall, columns: pd.DataFrame, factor: str, a: str, b: str) -> Comparison:
        """From a call of `profile_dataset` and its table of columns: roles are read from the data, nobody types them."""
        repeated = profile.values.get("aggregate_by")
        batches = [
            str(one) for one, role in zip(columns["column"], columns["role"], strict=True) if role == "batch"
        ]
        return cls(factor, a, b, str(repeated or ""), tuple(batches))


class ToolPlan(Problem):
    """A plan of tool calls for one comparison.

    Parameters
    ----------
    runner
        Executes steps.
    dataset
        log2 abundances as they were loaded.
    comparison
        What is asked.
    seed
        Of the plantings.
    plantings
        How many data sets are planted.
    template
        The plan that others are measured against.
    fixed
        Stages that are as the template has them, because the data are prepared already or others decide.
    """

    name: ClassVar[str] = "tool plan"
    max_depth = len(STAGES)
    graded = True

    def __init__(
        self,
        runner: StepRunner,
        dataset: ArtifactRef,
        comparison: Comparison,
        *,
        seed: int = 0,
        plantings: int = PLANTINGS,
        template: tuple[str, ...] = TEMPLATE,
        fixed: Sequence[str] = (),
    ) -> None:
        self.runner, self.dataset, self.comparison = runner, dataset, comparison
        loaded = runner.artifacts.dataset(dataset)
        self.planted = self._planted(loaded, seed, range(plantings))
        self._confirming = (seed, range(plantings, plantings + CONFIRMATIONS))
        self.bits = _bits(loaded, comparison)
        self.template = template
        self.options = {
            stage: (step,) if stage in fixed else options(comparison)[stage]
            for stage, step in zip(STAGES, template, strict=True)
        }
        self._f1: dict[tuple[str, ...], np.ndarray] = {}
        self.template_score = float(self._scores(template).mean())

    @property
    def question(self) -> str:
        """See `Problem`."""
        one = self.comparison
        return (
            f"how are {one.a} and {one.b} of {one.factor!r} best compared in data set {self.dataset.id[:12]}"
        )

    def start(self) -> State:
        """See `Problem`."""
        return ()

    def prompt(self, state: State) -> str:
        """See `Problem`."""
        told = ", ".join(f"{name} {value:g}" for name, value in self.bits.items())
        return f"{self.question} ({told}): " + "".join(f"{step}; " for step in _read(state))

    def moves(self, state: State) -> Sequence[str]:
        """See `Problem`."""
        taken = _read(state)
        return () if len(taken) >= len(STAGES) else self.options[STAGES[len(taken)]]

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        taken = _read(state)
        if step not in self.moves(state):
            return Turn(state, True, -1.0, f"{step!r} is no step of the stage {STAGES[min(len(taken), 4)]!r}")
        after = (*taken, step)
        try:
            if len(after) < len(STAGES):
                for data, _ in self.planted:
                    self._prepare(data, after)
                return Turn(after)
            gain = float(self._scores(after).mean()) - self.template_score
        except NereusError as error:  # the tool says that this cannot be done with these data
            return Turn(after, True, -1.0, error.what)
        cost = STEP_COST * sum(one not in _NOTHING for one in after)
        template_cost = STEP_COST * sum(one not in _NOTHING for one in self.template)
        return Turn(after, True, float(np.clip(GAIN * gain - cost + template_cost, -1.0, 1.0)))

    def describe(self, state: State, moves: Sequence[str]) -> Described:
        """See `Problem`."""
        taken = _read(state)
        bits = np.array([1.0, *self.bits.values()])
        rows = []
        for move in moves:
            kind = np.zeros(len(_KINDS))
            kind[_KINDS.index(_kind(move))] = 1.0
            before = np.zeros(len(_KINDS))
            if taken:
                before[_KINDS.index(_kind(taken[-1]))] = 1.0
            rows.append(np.concatenate([np.outer(kind, bits).ravel(), np.outer(kind, before).ravel()]))
        return Described.of(np.asarray(rows))

    def describe_state(self, state: State) -> Described:
        """See `Problem`."""
        taken = {_kind(one) for one in _read(state)}
        marks = np.array([float(kind in taken) for kind in _KINDS])
        bits = np.array([1.0, *self.bits.values()])
        return Described.of(np.concatenate([np.outer(marks, bits).ravel(), bits])[None, :])

    # ------------------------------------------------------------------------------------------------------ executing

    def carry_out(self, plan: Sequence[str]) -> tuple[ToolCall, list[ToolCall]]:
        """Execute a plan on the data themselves; the test's call, and all calls in order."""
        return self._execute(self.dataset, tuple(plan))

    def best(self, plan: Sequence[str], reward: float | None) -> tuple[str, ...]:
        """The plan, or the template where the plan is not surely better than it on plantings by which nothing was chosen."""
        whole = tuple(plan)
        if reward is None or reward <= 0 or len(whole) < len(STAGES) or whole == self.template:
            return self.template
        fresh = self._planted(self.runner.artifacts.dataset(self.dataset), *self._confirming)
        gains = self._found(whole, fresh) - self._found(self.template, fresh)
        error = float(gains.std(ddof=1)) / np.sqrt(len(gains)) if len(gains) > 1 else float("inf")
        return whole if float(gains.mean()) > SURE * error else self.template

    def _scores(self, plan: tuple[str, ...]) -> np.ndarray:
        """F1 of what the plan finds in each of the planted data sets."""
        if plan not in self._f1:
            self._f1[plan] = self._found(plan, self.planted)
        return self._f1[plan]

    def _found(self, plan: tuple[str, ...], planted: Sequence[Planted]) -> np.ndarray:
        scores = []
        for data, effects in planted:
            call, _ = self._execute(data, plan)
            table = self.runner.artifacts.table(next(iter(call.outputs.values())))
            scores.append(f1(table, effects))
        return np.asarray(scores)

    def _planted(self, dataset: AnnData, seed: int, numbers: Sequence[int]) -> list[Planted]:
        found: list[Planted] = []
        for number in numbers:
            data, effects = plant(dataset, self.comparison, (seed, number))
            found.append((self.runner.artifacts.put_dataset(data, f"planting {number}"), effects))
        return found

    def _prepare(self, data: ArtifactRef, plan: tuple[str, ...]) -> tuple[ArtifactRef, list[ToolCall]]:
        calls: list[ToolCall] = []
        for step in plan:
            if step.startswith("average rows"):
                data = self._call("aggregate_replicates", {"by": self.comparison.subjects}, data, calls)
            elif step.startswith("normalise"):
                data = self._call("normalise", {"method": step.partition(" ")[2]}, data, calls)
            elif step == "set outliers aside":
                self._call("quality_control", {}, data, calls)
                named = [one for one in str(calls[-1].values.get("outliers") or "").split(", ") if one]
                if named:
                    data = self._call("remove_samples", {"samples": named}, data, calls)
        return data, calls

    def _execute(self, data: ArtifactRef, plan: tuple[str, ...]) -> tuple[ToolCall, list[ToolCall]]:
        data, calls = self._prepare(data, plan)
        one = self.comparison
        contrast: dict[str, Any] = {"factor": one.factor, "a": one.a, "b": one.b}
        contrast["covariates"] = [
            step.removeprefix("adjust for ") for step in plan if step.startswith("adjust for ")
        ]
        tool = "rank_test" if plan[-1] == "test ranks" else "differential_abundance"
        self._call(tool, {"contrast": contrast}, data, calls)
        return calls[-1], calls

    def _call(
        self, tool: str, params: Mapping[str, Any], data: ArtifactRef, calls: list[ToolCall]
    ) -> ArtifactRef:
        call = self.runner.run(tool, params, {"dataset": data})
        if call.status is not CallStatus.OK:
            raise ToolError(str(call.error), where=tool)
        calls.append(call)
        return call.outputs.get("dataset", data)


def options(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Steps of each stage that have the right types for these data."""
    rows = (f"average rows by {comparison.subjects}",) if comparison.subjects else ()
    return {
        "rows": ("keep rows", *rows),
        "level": ("normalise none", "normalise median", "normalise stable_subset"),
        "samples": ("keep samples", "set outliers aside"),
        "design": ("compare plainly", *(f"adjust for {one}" for one in comparison.batches)),
        "test": ("test moderated t", "test ranks"),
    }


def f1(table: pd.DataFrame, effects: Mapping[str, int], neutral: frozenset[str] = frozenset()) -> float:
    """Harmonic mean of precision and recall of the features with q <= `LEVEL` in the right direction.

    Parameters
    ----------
    table
        A table of tests with feature, effect, q.
    effects
        Feature that changes -> its direction.
    neutral
        Features that count neither as right nor as wrong.
    """
    found = table[(table["q"] <= LEVEL) & ~table["feature"].isin(neutral)]
    right = sum(
        effects.get(str(f), 0) == np.sign(e) for f, e in zip(found["feature"], found["effect"], strict=True)
    )
    return float(2.0 * right / max(1, len(found) + len(effects)))


def plant(dataset: AnnData, comparison: Comparison, seed: tuple[int, int]) -> tuple[AnnData, dict[str, int]]:
    """The data under exchanged labels with known effects.

    Labels are exchanged among subjects within the same batches, so that the design stays as it is; a difference of
    loading between the groups goes with the new labels.

    Parameters
    ----------
    dataset
        log2 abundances.
    comparison
        Factor, subjects and batches.
    seed
        Of everything that is drawn.

    Returns
    -------
    AnnData, dict
        The planted data, and the features that change with their directions.

    Raises
    ------
    InputError
        One of the groups has fewer than two rows.
    """
    rng = np.random.default_rng((*seed, 7305))
    made = dataset.copy()
    x = np.asarray(made.X, dtype=float).copy()
    labels = made.obs[comparison.factor].astype(str).to_numpy(dtype=object)
    old = labels.copy()
    units = (
        made.obs[comparison.subjects].astype(str).to_numpy()
        if comparison.subjects
        else np.arange(len(x)).astype(str)
    )
    names, first = np.unique(units, return_index=True)
    strata = np.array(
        ["|".join(made.obs[one].astype(str).iloc[i] for one in comparison.batches) for i in first]
    )
    exchanged = old[first].copy()
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        exchanged[at] = exchanged[rng.permutation(at)]
    labels = exchanged[np.searchsorted(names, units)]
    in_a, was_a = labels == comparison.a, old == comparison.a
    in_b, was_b = labels == comparison.b, old == comparison.b
    if min(in_a.sum(), in_b.sum()) < 2:
        raise InputError(
            f"{comparison.a!r} or {comparison.b!r} has fewer than two rows",
            where=comparison.factor,
            mend="compare other levels",
        )
    with np.errstate(all="ignore"):
        level = np.nanmedian(x - np.nanmean(x, axis=0), axis=1)
        gap = float(np.median(level[was_a]) - np.median(level[was_b]))
        sd = np.nanstd(x, axis=0, ddof=1)
    x += gap / 2 * ((in_a.astype(float) - in_b) - (was_a.astype(float) - was_b))[:, None]
    usable = np.flatnonzero((np.isfinite(x).mean(axis=0) >= 0.5) & np.isfinite(sd) & (sd > 0))
    chosen = rng.choice(usable, min(len(usable), max(4, round(SHARE * x.shape[1]))), replace=False)
    signs = rng.choice([-1, 1], len(chosen))
    sizes = rng.uniform(*SIZES, len(chosen)) * signs * sd[chosen]
    x[:, chosen] += (0.5 * in_a - 0.5 * in_b)[:, None] * sizes
    made.X = x
    made.obs[comparison.factor] = labels.astype(str)
    return made, {str(made.var_names[i]): int(s) for i, s in zip(chosen, signs, strict=True)}


# ------------------------------------------------------------------------------------------------------ description

_NOTHING = ("keep rows", "normalise none", "keep samples", "compare plainly")
_KINDS = (
    "keep rows", "average rows", "normalise none", "normalise median", "normalise stable_subset", "keep samples",
    "set outliers", "compare plainly", "adjust for", "test moderated", "test ranks",
)  # fmt: skip
"""Families of steps: the name of a column is no part of one, so that what is learned holds for other data."""


def _kind(step: str) -> str:
    return next(kind for kind in _KINDS if step.startswith(kind))


def _bits(dataset: AnnData, comparison: Comparison) -> dict[str, float]:
    """What the profile says in a few numbers: repeats, batches and how much they matter, missing values, size, loading."""
    x = np.asarray(dataset.X, dtype=float)
    with np.errstate(all="ignore"):
        centred = x - np.nanmean(x, axis=0)
        level = np.nanmedian(centred, axis=1)
        spread = float(np.nanmedian(np.nanstd(x, axis=0)))
        noise = np.nanstd(centred, axis=1)
    found = 0.0
    for batch in comparison.batches:
        groups = dataset.obs[batch].astype(str).to_numpy()
        with np.errstate(all="ignore"):
            means = np.stack([np.nanmean(centred[groups == one], axis=0) for one in np.unique(groups)])
        found = max(found, float(np.nanmedian(np.nanvar(means, axis=0))) / max(spread**2, 1e-12))
    return {
        "repeats": float(bool(comparison.subjects)),
        "batches": float(bool(comparison.batches)),
        "batch_strength": min(found, 1.0),
        "missing": float(np.mean(~np.isfinite(x))),
        "few": float(len(x) < 30),
        "loading": min(float(np.nanstd(level)) / max(spread, 1e-12), 3.0),
        "outlying": min(float(np.nanmax(noise) / max(float(np.nanmedian(noise)), 1e-12)) / 3.0, 3.0),
    }


def _read(state: State) -> tuple[str, ...]:
    assert isinstance(state, tuple)
    return state
