"""Learning across runs: what ended runs of the database teach, and what a run makes of it.

Learning changes order, cost and how often the policy is asked; it never changes a test, a threshold or an error rate.
Every data set counts once, however often it was analysed; from fewer than three nothing is learned. A run learns nothing
from its own data: what the same data showed before is no prior knowledge about them. Confidence is calibrated on the
data alone; what was true of other data does not enter it.

- *Choice.* The bandit that chooses questions starts from what questions of their kind gave (shrunk towards what they
  gave on all kinds of data, and that towards one half), with the weight of at most three finished questions.
- *Routine.* Where a decision about a step turned out as usual in so many data sets that the next is expected to with
  a probability of 0.8 or more (Laplace's rule of succession), and the rules see no reason against it in the actual
  result, the policy is not asked.
- *Plan.* Checks that refinement inserted that often are planned at once, where they judge a test and do not replace it.
- *Cost.* How long a step will take, from how long its tool took on data of other sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from nereus.agents.planner.questions import TESTED, WHOLE
from nereus.memory.priors import (
    NOTHING,
    Duration,
    Priors,
    RunFacts,
    StepFact,
    Trigger,
    Usual,
    Yield,
)
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

EXPECTED = 0.8
"""Probability from which on something is done without asking (specification 4.1: predicted acceptance)."""
LEAST = 3
"""Other data sets from which on anything but durations is learned."""
SHRINKAGE = 2.0
"""Data sets that the mean of all kinds weighs against those of one kind."""
NEUTRAL = 0.5
"""Expected reward of a question of which nothing is known."""
MOST_WEIGHT = 3
"""Finished questions that experience counts for at most in the choice: what this run finds soon outweighs it."""
CELLS = "cells"
ANTICIPATED = {
    "batch_effect": ("batch_check", "n_covariates"),
    "sign_disagreement": ("rank_test", "sign_disagreement"),
}
"""Rules whose edits may be planned at once, with the tool and the named value that is above 0 where they are called for.

Both insert what stands beside the test. Edits that replace the test that counts (such as asking for larger effects where
much differs) are only made on the data's own result.
"""
SCALED = 10.0
"""Most by which a duration is scaled to the size of the data: beyond it nothing is known of how a tool scales."""


# -------------------------------------------------------------------------------------------------------- learning


def learn(runs: Iterable[RunFacts], data_id: str, policies: Mapping[str, str]) -> Priors:
    """What ended runs teach a run about other data.

    Parameters
    ----------
    runs
        Facts of ended runs.
    data_id
        Artifact of the run's own data: what was found in them before does not count.
    policies
        Kind of decision, or ``default``, to the policy that decides it: of decisions only its own are a guide.

    Returns
    -------
    Priors
        One row a kind of data and question; durations include those on the run's own data.
    """
    rewards: dict[tuple[str, str], dict[str, list[float]]] = {}
    usual: dict[tuple[str, str, str, str], dict[str, bool]] = {}
    carried: dict[tuple[str, str], set[str]] = {}
    fired: dict[tuple[str, str, str], set[str]] = {}
    durations: dict[tuple[str, str], list[tuple[bool, float, float]]] = {}
    data_sets: set[str] = set()
    counted = 0
    for run in runs:
        profile = _profile(run)
        cells = max(1.0, _number(profile.get("n_features")) * _number(profile.get("n_samples")))
        for step in run.steps:
            if (
                step.tool in registry.CATALOGUE
            ):  # its version is looked at when it counts: that loads the tool
                made = (step.status == "ok", step.seconds, cells)
                durations.setdefault((step.tool, step.version), []).append(made)
        data = run.header.inputs["data"].id
        data_kind = str(profile.get("data_kind") or "")
        if data == data_id or not data_kind:
            continue
        counted += 1
        data_sets.add(data)
        questions = {one.id: one for one in run.objectives}
        for one in run.objectives:
            if one.status != "done":
                continue
            key = (data_kind, one.kind.value)
            carried.setdefault(key, set()).add(data)
            for rule in _rules(run, one.id):
                fired.setdefault((*key, rule), set()).add(data)
            given = reward(one, run.steps)
            if given is not None:
                rewards.setdefault(key, {}).setdefault(data, []).append(given)
        tools = {step.id: step for step in run.steps}
        for decision in run.decisions:
            step_of = tools.get(decision.step)
            asked = questions.get(decision.step.partition(".")[0])
            who = policies.get(decision.kind, policies["default"])
            if step_of is None or asked is None or decision.policy != who:
                continue
            as_usual = is_usual(decision.kind, decision.payload)
            kept = usual.setdefault((data_kind, asked.kind.value, decision.kind, step_of.tool), {})
            kept[data] = kept.get(data, True) and as_usual
    took = tuple(_duration(tool, version, made) for (tool, version), made in sorted(durations.items()))
    if len(data_sets) < LEAST:
        return Priors(durations=took)
    return Priors(
        runs=counted,
        data_sets=len(data_sets),
        yields=tuple(
            Yield(
                data_kind=key[0],
                question=key[1],
                data_sets=len(by_data),
                reward=round(_mean([_mean(all_of) for _, all_of in sorted(by_data.items())]), 4),
            )
            for key, by_data in sorted(rewards.items())
        ),
        usual=tuple(
            Usual(
                data_kind=key[0],
                question=key[1],
                decision=key[2],
                tool=key[3],
                data_sets=len(kept),
                exceptions=sum(not one for one in kept.values()),
            )
            for key, kept in sorted(usual.items())
        ),
        triggers=tuple(
            Trigger(
                data_kind=key[0],
                question=key[1],
                rule=key[2],
                data_sets=len(carried[key[:2]]),
                fired=len(sets),
            )
            for key, sets in sorted(fired.items())
        ),
        durations=took,
    )


def _profile(run: RunFacts) -> Mapping[str, object]:
    step_id = run.outputs.get("profile", "").partition("/")[0]
    return next((step.values for step in run.steps if step.id == step_id), {})


def _rules(run: RunFacts, objective: str) -> set[str]:
    """Rules that edited an objective's plan, or would have where the edit was planned at once."""
    called_for = {
        rule
        for rule, (tool, value) in ANTICIPATED.items()
        for step in run.steps
        if step.objective == objective and step.tool == tool and _number(step.values.get(value)) > 0
    }
    return (run.triggers.get(objective, set()) - ANTICIPATED.keys()) | called_for


def is_usual(kind: str, payload: Mapping[str, object]) -> bool:
    """Whether a decision about a step is the usual one: nothing is filled; it is accepted without surprise."""
    if kind == "fill_params":
        return not payload.get("params")
    return payload.get("verdict") == "accept" and not payload.get("surprise") and not payload.get("params")


def reward(objective: Objective, steps: Iterable[StepFact]) -> float | None:
    """What an answered question gave: ``tanh(d / 5)``, d being its claims beyond what exchanged labels give.

    Claims are those at the error level of the whole run. A question with one answer gives 1 where it holds, else 0.
    None where the question tests nothing.
    """
    own = [
        one for one in steps if one.objective == objective.id and not one.verification and one.status == "ok"
    ]
    if objective.kind in TESTED:
        stated = [
            one
            for one in steps
            if one.tool == "compose_claims"
            and one.params.get("prefix") == objective.id
            and one.status == "ok"
        ]
        if not stated:
            return None
        chance = max((_number(one.values.get("null_p95")) for one in own), default=0.0)
        return round(math.tanh(max(0.0, _number(stated[-1].values.get("n_claims")) - chance) / 5), 4)
    if objective.kind in WHOLE:
        asked = WHOLE[objective.kind]
        call = next((one for one in reversed(own) if one.tool == asked.tool), None)
        if call is None:
            return None
        held = asked.holds is None or _number(call.values.get(asked.holds)) > 0
        p = call.values.get(asked.p) if asked.p else 0.0
        return 1.0 if held and isinstance(p, int | float) and p <= 0.05 else 0.0
    if objective.kind is ObjectiveKind.PATHWAY:
        found = [_number(one.values.get("n_significant")) for one in own if one.tool == "enrichment_gsea"]
        return round(math.tanh(found[-1] / 5), 4) if found else None
    return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _duration(tool: str, version: str, made: list[tuple[bool, float, float]]) -> Duration:
    fine = [(seconds, cells) for ok, seconds, cells in made if ok]
    return Duration(
        tool=tool,
        version=version,
        calls=len(made),
        failed=len(made) - len(fine),
        seconds=round(median(seconds for seconds, _ in fine), 3) if fine else 0.0,
        cells=median(cells for _, cells in fine) if fine else 0.0,
    )


# --------------------------------------------------------------------------------------------- what is made of it


@dataclass(frozen=True)
class Experience:
    """What a run makes of what it learned. Without anything learned, every answer is that of a first run."""

    priors: Priors = NOTHING

    def promise(self, data_kind: str) -> dict[str, tuple[float, int]]:
        """Kind of question -> (expected reward, how many finished questions it counts for); none of which nothing is known."""
        found = {}
        for kind in sorted({one.question for one in self.priors.yields}):
            of_kind = [
                one
                for one in self.priors.yields
                if one.question == kind and (one.data_kind == CELLS) == (data_kind == CELLS)
            ]
            n = sum(one.data_sets for one in of_kind)
            if not n:
                continue
            pooled = (sum(one.reward * one.data_sets for one in of_kind) + SHRINKAGE * NEUTRAL) / (
                n + SHRINKAGE
            )
            own = [one for one in of_kind if one.data_kind == data_kind]
            n_own = sum(one.data_sets for one in own)
            posterior = (sum(one.reward * one.data_sets for one in own) + SHRINKAGE * pooled) / (
                n_own + SHRINKAGE
            )
            found[kind] = (round(posterior, 4), min(n, MOST_WEIGHT))
        return found

    def routine(self, data_kind: str, question: str, decision: str, tool: str) -> bool:
        """Whether a decision about a step is expected to turn out as usual."""
        of_all = [
            one
            for one in self.priors.usual
            if (one.question, one.decision, one.tool) == (question, decision, tool)
            and (not data_kind or (one.data_kind == CELLS) == (data_kind == CELLS))
        ]
        own = [one for one in of_all if one.data_kind == data_kind]
        return any(
            _expected(sum(o.data_sets - o.exceptions for o in some), sum(o.data_sets for o in some))
            for some in (own, of_all)
        ) and not any(
            one.exceptions and not _expected(one.data_sets - one.exceptions, one.data_sets) for one in own
        )

    def anticipated(self, data_kind: str, question: str) -> frozenset[str]:
        """Rules that are expected to edit the plan of a kind of question."""
        return frozenset(
            one.rule
            for one in self.priors.triggers
            if (one.data_kind, one.question) == (data_kind, question)
            and one.rule in ANTICIPATED
            and _expected(one.fired, one.data_sets)
        )

    def seconds(self, tool: str, cells: float = 0.0) -> float:
        """How long a call of a tool will take, where the data hold so many values; the tool's own guess without experience."""
        guessed = float(registry.get(tool).seconds)
        version = registry.get(tool).version
        same = (one for one in self.priors.durations if (one.tool, one.version) == (tool, version))
        known = next((one for one in same if one.seconds > 0), None)
        if known is None:
            return guessed
        scale = cells / known.cells if cells and known.cells else 1.0
        return known.seconds * min(SCALED, max(1 / SCALED, scale))


def _expected(times: int, of: int) -> bool:
    """Laplace's rule of succession: three of three are enough, two of two are not."""
    return (times + 1) / (of + 2) >= EXPECTED
