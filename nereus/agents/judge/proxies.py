"""Five scores without a language model: computed from the record, labelled as proxies, and not the paper's scores."""

from __future__ import annotations

from collections.abc import Iterator

from nereus.agents.judge.dossier import Dossier, dossiers
from nereus.agents.judge.metrics import HIGHEST, LOWEST, Metric
from nereus.agents.judge.verdicts import Judgement, Score
from nereus.agents.planner.run import Run
from nereus.memory.records import Hypothesis

PROXY = "proxy"
PRACTICAL = 200
"""Subjects a group above which a follow-up is not practical."""


def judge_by_proxy(run: Run) -> list[Judgement]:
    """Judge every hypothesis of a run by what can be computed."""
    known = _Known(run)
    return [_judged(run, one, known) for one in dossiers(run)]


def _judged(run: Run, one: Dossier, known: _Known) -> Judgement:
    scores = {
        Metric.RELIABILITY: _reliability(run, one.hypothesis),
        Metric.COHERENCE: _coherence(one.hypothesis),
        Metric.LITERATURE: known.literature(one.hypothesis),
        Metric.NOVELTY: _novelty(one.hypothesis),
        Metric.EVALUABILITY: _evaluability(run, one.hypothesis),
    }
    return Judgement(one.run_id, one.hypothesis.id, one.statement, PROXY, scores)


def level_of(share: float) -> int:
    """A share from 0 to 1 as a level from 1 to 5."""
    return min(HIGHEST, max(LOWEST, LOWEST + int(share * (HIGHEST - LOWEST) + 0.5)))


def _cited(run: Run, one: Hypothesis, *words: str) -> tuple[str, ...]:
    """Evidence of the hypothesis whose quantity is one of the words."""
    found = []
    for identity in one.evidence_ids:
        evidence = run.record.evidence.get(identity)
        if evidence is not None and evidence.quantity in words:
            found.append(identity)
    return tuple(found)


def _reliability(run: Run, one: Hypothesis) -> Score:
    if one.status == "refuted":
        failed = tuple(
            identity
            for atom in one.atoms
            if atom.necessary and atom.verdict == "fails"
            for identity in atom.evidence_ids
        )
        return Score(LOWEST, "a necessary part of it failed its test", failed)
    if one.confidence is not None:
        return Score(
            level_of(one.confidence), "calibrated confidence", _cited(run, one, "calibrated confidence")
        )
    held = any(atom.verdict == "holds" for atom in one.atoms)
    return Score(3 if held else 2, "not calibrated: from the tests that hold", _cited(run, one, "q", "p"))


def _coherence(one: Hypothesis) -> Score:
    tested = [atom for atom in one.atoms if atom.verdict != "assumed"]
    held = [atom for atom in tested if atom.verdict == "holds"]
    if not tested:
        return Score(2, "no part of it was tested", tuple(atom.id for atom in one.atoms))
    return Score(
        level_of(len(held) / len(tested)),
        "share of its tested parts that hold",
        tuple(atom.id for atom in tested),
    )


def _novelty(one: Hypothesis) -> Score:
    # The critic's proxy is one minus the similarity to hypotheses of earlier runs; a model's score is not a proxy.
    if one.scores.proxy:
        return Score(
            level_of(one.scores.novelty), "distance to hypotheses of earlier runs on other data", (one.id,)
        )
    return Score(None, "the recorded score is a language model's", (one.id,))


def _evaluability(run: Run, one: Hypothesis) -> Score:
    sizes = [
        run.record.evidence[identity]
        for identity in _cited(run, one, "subjects a group for a follow-up")
        if isinstance(run.record.evidence[identity].value, int | float)
    ]
    if not one.experiment:
        return Score(2, "no experiment is proposed", (one.id,))
    if not sizes:
        return Score(3, "an experiment with an outcome, its size unknown", (one.id,))
    practical = float(sizes[0].value or 0) <= PRACTICAL
    reason = "an experiment with an outcome, of a size that is " + ("practical" if practical else "large")
    return Score(HIGHEST if practical else 4, reason, (sizes[0].id,))


class _Known:
    """Agreement with the gene sets that ship with the package, as far as this run found them moving."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sets = [
            one
            for one in run.hypotheses
            if one.grain == "set"
            and one.status in ("supported", "tentative")
            and one.claim.entities[0].kind == "set"
        ]
        claims = run.claims
        self._claimed: dict[tuple[str, str], str] = {
            (str(row.contrast), str(row.gene).upper()): str(row.direction) for row in claims.itertuples()
        }
        self._members: dict[str, frozenset[str]] = {}
        organism = next(
            (
                str(call.values["organism"])
                for call in run.record.calls.values()
                if call.values.get("organism")
            ),
            "",
        )
        if self._sets:
            self._members = dict(_members(organism, {one.claim.entities[0].id for one in self._sets}))

    def literature(self, one: Hypothesis) -> Score:
        """Share of what is annotated together that moves in the direction claimed; None where nothing is."""
        entity = one.claim.entities[0]
        if entity.kind == "set":
            found = [
                (gene, direction)
                for (contrast, gene), direction in self._claimed.items()
                if contrast == one.claim.contrast and gene in self._members.get(entity.id, ())
            ]
            return _agreement(
                [d == entity.direction for _, d in found], tuple(gene for gene, _ in found[:5]), "members"
            )
        name = entity.name.upper()
        around = [
            other
            for other in self._sets
            if other.claim.contrast == one.claim.contrast
            and name in self._members.get(other.claim.entities[0].id, ())
        ]
        same = [other.claim.entities[0].direction == entity.direction for other in around]
        return _agreement(same, tuple(other.id for other in around[:5]), "annotated sets that changed")


def _agreement(same: list[bool], cites: tuple[str, ...], what: str) -> Score:
    if not same:
        return Score(None, "no table that ships with the package speaks to it")
    return Score(
        level_of(sum(same) / len(same)), f"share of its {what} that move in the same direction", cites
    )


def _members(organism: str, wanted: set[str]) -> Iterator[tuple[str, frozenset[str]]]:
    from nereus.tools.enrichment.collections import COLLECTIONS, load_sets

    if organism not in COLLECTIONS:
        return
    sets = load_sets(organism)
    for row, set_id in enumerate(sets.table["set_id"]):
        if set_id in wanted:
            inside = sets.ancestors[row].indices
            columns = {int(column) for other in inside for column in sets.members[other].indices}
            yield set_id, frozenset(sets.genes[column].upper() for column in columns)
