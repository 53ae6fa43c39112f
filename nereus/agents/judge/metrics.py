"""The five metrics, and what each level from one to five means: the same words for models and people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """What a hypothesis is judged on."""

    RELIABILITY = "reliability"
    COHERENCE = "coherence"
    LITERATURE = "literature"
    NOVELTY = "novelty"
    EVALUABILITY = "evaluability"


@dataclass(frozen=True)
class Anchors:
    """The question behind a metric, and its levels."""

    question: str
    levels: tuple[str, str, str, str, str]


ANCHORS: dict[Metric, Anchors] = {
    Metric.RELIABILITY: Anchors(
        "Do the statistics support the claim?",
        (
            "the evidence speaks against it",
            "weak: few subjects, unstable, or at the edge of the error level",
            "sound, with an open doubt that the data could settle",
            "strong: small error, stable, and it holds under other choices",
            "very strong, and it held again in subjects that were kept aside",
        ),
    ),
    Metric.COHERENCE: Anchors(
        "Is there no gap between the evidence and the claim?",
        (
            "the claim does not follow",
            "an essential step is assumed",
            "it follows, with an assumption that is named",
            "it follows; what is assumed is usual",
            "every part of it was tested",
        ),
    ),
    Metric.LITERATURE: Anchors(
        "Does it agree with what is known?",
        (
            "it contradicts what is established",
            "it contradicts some of what is known",
            "nothing known speaks for or against it",
            "related findings agree with it",
            "it agrees with established findings",
        ),
    ),
    Metric.NOVELTY: Anchors(
        "Is it new?",
        (
            "textbook knowledge",
            "reported before in the same setting",
            "reported in another setting",
            "only hinted at so far",
            "not known to be stated anywhere",
        ),
    ),
    Metric.EVALUABILITY: Anchors(
        "Can an experiment decide it?",
        (
            "no experiment could",
            "only with effort out of proportion",
            "yes, with an assay that must be developed",
            "yes, with a known assay and a large study",
            "yes, with a known assay, a measurable outcome and a size that is practical",
        ),
    ),
}
LOWEST, HIGHEST = 1, 5


def described(order: tuple[Metric, ...] = tuple(Metric)) -> str:
    """The metrics with their levels, as text."""
    lines = []
    for metric in order:
        lines.append(f"{metric.value}: {ANCHORS[metric].question}")
        lines += [f"  {level} = {text}" for level, text in enumerate(ANCHORS[metric].levels, start=1)]
    return "\n".join(lines)
