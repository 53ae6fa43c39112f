"""S9: twins that differ in one thing. The plan must differ where that thing matters, nowhere else, and say why.

A twin is a planted study (complete part of a real matrix, subjects drawn, labels exchanged), the other one the same study
with one trap. Both are read, profiled and prepared by the product, which then writes its plan; `seen` lists every step
that was carried out or is planned for the question about the planted condition. Handled is a pair when

- **differs**: the steps that must change did (``must`` of the kind),
- **only there**: every differing step uses a tool that the kind concerns, or differs only in naming the trap's column,
- **cited**: what differs is justified by words of the trigger: its column, its sample, or the value of the profile,
- **true**: where the twins are run to the end, at most a tenth of the spoiled one's claims contradict what was planted.

Other questions compete for places in the plan and are not compared. A pair that differs in the order of its rows only is
the control: nothing may differ. The naive arm is the fixed template, which handles none but the control.

    python -m benchmarks.truth.twins --data FOLDER [--seeds 0 1 2] [--kinds NAME ...]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.truth.planting import effects, traps
from benchmarks.truth.planting.bases import Base, load_base
from benchmarks.truth.planting.study import DATA, SAMPLES, Study
from benchmarks.truth.planting.truth import PlantedClaim, Truth
from benchmarks.truth.results import data_folder, store
from benchmarks.truth.score_planted import FALSE_SHARE

FACTOR = "condition"
Step = tuple[str, str, str]
"""(preparation, or question), tool, parameters."""


@dataclass(frozen=True)
class Seen:
    """What a run does and plans about the planted condition.

    Attributes
    ----------
    steps
        Each step, as often as it stands in the plan.
    reasons
        Purposes of the steps, reasons and triggers of edits, rationales of questions, and notices.
    ended
        Message of the refusal where the run ended with one.
    """

    steps: Counter[Step]
    reasons: str
    ended: str = ""
    claims: tuple[tuple[str, int], ...] = ()
    """Feature and direction of each claim about the planted condition, where the run went to its end."""


@dataclass(frozen=True)
class Kind:
    """What one twin has and the other lacks.

    Attributes
    ----------
    spoil
        Makes the difference.
    must
        Whether the differing steps (gained, lost) and reasons answer to it.
    tools
        Tools that it concerns.
    cue
        Pattern that the reasons of the spoiled twin hold and those of the other do not.
    column
        Its column in the sheet: questions and parameters may name it.
    whole
        Whether both twins are run to the end, since only a result can tell.
    """

    spoil: Callable[[Study], None]
    must: Callable[[Counter[Step], Counter[Step], Seen], bool]
    cue: str
    tools: tuple[str, ...] = ()
    column: str = ""
    whole: bool = False


# --------------------------------------------------------------------------------------------- what differs


def few(n: int) -> Callable[[Study], None]:
    """Only the first subjects of each level are left."""

    def spoil(study: Study) -> None:
        rows = [
            np.flatnonzero(study.sheet[FACTOR] == level)[:n] for level in sorted(set(study.sheet[FACTOR]))
        ]
        keep = np.sort(np.concatenate(rows))
        study.values, study.sheet = study.values[keep], study.sheet.iloc[keep].reset_index(drop=True)

    return spoil


def pairs(study: Study) -> None:
    """Each subject was measured at both levels."""
    subject = np.empty(len(study.sheet), dtype=object)
    for level in sorted(set(study.sheet[FACTOR])):
        rows = np.flatnonzero(study.sheet[FACTOR] == level)
        subject[rows] = [f"P{i:02d}" for i in range(len(rows))]
    study.sheet["patient"] = subject
    names = sorted(set(subject))
    own = study.stream("pairs").normal(size=(len(names), study.values.shape[1])) * study.sd
    study.values += own[[names.index(one) for one in subject]]


def dropout(study: Study) -> None:
    """A sixth of the features is lost in most samples of one level."""
    effects.missing(study, n=study.values.shape[1] // 6)


def covariate(study: Study) -> None:
    """The age of the subjects is known, and the proteome follows it."""
    rng = study.stream("age")
    z = rng.normal(size=len(study.sheet))
    study.sheet["age"] = np.round(60 + 9 * z).astype(int)
    study.values += 0.6 * np.outer(z, rng.normal(size=study.values.shape[1]) * study.sd)


def follow_up(study: Study) -> None:
    """Follow-up and death of the subjects are known."""
    effects.survival(study)


def heavy_tails(study: Study) -> None:
    """Single values lie far off."""
    rng = study.stream("tails")
    far = rng.random(study.values.shape) < 0.01
    study.values += np.where(far, 12.0 * study.sd * rng.choice([-1.0, 1.0], study.values.shape), 0.0)


def many_differ(study: Study) -> None:
    """Nearly half of the features are higher in one level, so that no centre of the samples is the same.

    Values cannot tell this from a lower amount of sample in which the others are higher, so that no way of normalising
    is demanded. It is concerned all the same: by the median of all features, about half of what the first test finds
    has not moved, by the stable ones a quarter to a half. What is demanded is that no such feature is claimed.
    """
    rng = study.stream("many differ")
    b, a = sorted(set(study.sheet[FACTOR]))
    moved = rng.random(study.values.shape[1]) < 0.45
    about = {"factor": FACTOR, "a": a, "b": b}
    study.truth.claims += [
        PlantedClaim("shift", ("abundance",), about, 1, 1.2, study.features[one])
        for one in np.flatnonzero(moved)
    ]
    study.values[np.ix_((study.sheet[FACTOR] == a).to_numpy(), moved)] += 1.2 * study.sd[moved]


def reordered(study: Study) -> None:
    """Control: the rows come in another order."""
    order = study.stream("order").permutation(len(study.sheet))
    study.values, study.sheet = study.values[order], study.sheet.iloc[order].reset_index(drop=True)


def _names(word: str, *tools: str) -> Callable[[Counter[Step], Counter[Step], Seen], bool]:
    """A gained step of one of the tools names a word in its parameters."""
    return lambda gained, lost, seen: any(tool in tools and word in params for _, tool, params in gained)


def _gains(*tools: str) -> Callable[[Counter[Step], Counter[Step], Seen], bool]:
    return lambda gained, lost, seen: any(tool in tools for _, tool, _ in gained)


def _asks(tool: str) -> Callable[[Counter[Step], Counter[Step], Seen], bool]:
    """Another question is planned that the tool answers."""
    return lambda gained, lost, seen: tool in seen.reasons


def _refused(gained: Counter[Step], lost: Counter[Step], seen: Seen) -> bool:
    """No step compares the levels any more."""
    return not any(tool == "differential_abundance" for _, tool, _ in seen.steps)


def _nothing(gained: Counter[Step], lost: Counter[Step], seen: Seen) -> bool:
    return not gained and not lost


_TESTS = ("differential_abundance", "stability", "permutation_null", "calibrate_confidence", "power")
_RERUN = ("remove_samples", *_TESTS, "plot_pca")
_MISSING = (
    "detection_test",
    "plot_missingness",
    "filter_features",
    "impute",
    "combine_quantities",
    "normalise",
)
_BATCH = ("batch_check", "plot_pca", "correct_batch", "screen_factors", "pca_variance")

KINDS: dict[str, Kind] = {
    "batch_balanced": Kind(traps.batch_balanced, _names("batch", *_TESTS), r"\bbatch\b", _BATCH, "batch"),
    "batch_partly": Kind(traps.batch_partly, _names("batch", *_TESTS), r"\bbatch\b", _BATCH, "batch"),
    "batch_full": Kind(traps.batch_full, _refused, r"(separate|confounded)[^|]*batch|batch[^|]*separate", _BATCH, "batch"),
    "replicates": Kind(traps.replicates, _gains("aggregate_replicates"), r"subject", ("aggregate_replicates",), "subject"),
    "pairs": Kind(pairs, _names("patient", *_TESTS), r"patient", ("differential_abundance",), "patient"),
    "outlier": Kind(traps.outlier, _names("S", "remove_samples"), r"outl(?:ier|ying)", _RERUN),
    "global_shift": Kind(traps.global_shift, _gains("normalise", *_TESTS), r"shift", ("normalise", *_TESTS)),
    "dropout": Kind(dropout, _gains("detection_test"), r"missing|detected|seen|presence", _MISSING),
    "few": Kind(few(4), _gains("rank_test"), r"small groups", ("rank_test", "screen_factors", "biomarker_panel")),
    "two": Kind(few(2), _refused, r"fewer than three|few", ("*",)),
    "covariate": Kind(covariate, _names("age", *_TESTS), r"\bage\b", ("plot_pca", "screen_factors"), "age"),
    "follow_up": Kind(follow_up, _asks("survival_screen"), r"follow-?up|death", (), "followup_days|death"),
    "heavy_tails": Kind(heavy_tails, _gains("rank_test"), r"heavy tails", ("rank_test", *_RERUN)),
    "many_differ": Kind(
        many_differ, _gains(*_TESTS), r"beyond the shift", ("normalise", *_TESTS, "plot_heatmap", "plot_volcano"), whole=True
    ),
    "reordered": Kind(reordered, _nothing, r""),
}  # fmt: skip
CONTROL = "reordered"


# -------------------------------------------------------------------------------------------------- the runs


def complete(base: Base) -> Base:
    """The features of a base that are seen in every subject."""
    keep = np.isfinite(base.values).all(axis=0)
    genes = tuple(gene for gene, kept in zip(base.genes, keep, strict=True) if kept)
    return Base(base.name, base.values[:, keep], genes)


def study_of(base: Base, seed: int) -> Study:
    """The plain twin: one condition that some features follow."""
    study = Study.on(base, seed, "twin")
    study.factor(FACTOR, ("control", "treated"))
    effects.shift(study)
    return study


def planned(study: Study, folder: Path, home: Path, whole: bool = False) -> Seen:
    """Read, prepare and plan a study, as ``nereus plan`` does; or run it to the end."""
    import nereus
    from nereus.agents.planner.plan_file import PlanWriter
    from nereus.errors import InputError

    study.write(folder)
    writer = PlanWriter()
    given: dict[str, Any] = {"home": home, "out": folder / "report", "seed": 0, "workers": 1}
    if whole:
        given |= {"budget": ["objectives=1", "hypotheses=5"], "question": f"what differs by {FACTOR}?"}
    else:
        given |= {"ask": writer, "approval": "always"}
    try:
        run = nereus.discover(folder / DATA, folder / SAMPLES, **given)
    except InputError as error:
        return Seen(Counter(), str(error), str(error))
    steps: Counter[Step] = Counter()
    reasons = list(run.record.notices)
    about = {
        one.id: f"{one.kind.value} {one.contrast.label}"
        for one in run.record.objectives
        if one.contrast is not None and one.contrast.factor == FACTOR and one.kind.value == "differential"
    }
    for workflow in run.record.workflows:
        if workflow.template == "verification" or workflow.objective_id not in {"O0", "O1", *about}:
            continue
        reasons += [f"{edit.reason} {edit.trigger}" for edit in workflow.edits]
        for step in workflow.steps:
            if step.status != "skipped":
                where = about.get(workflow.objective_id, "preparation")
                steps[where, step.tool, _told(step.params)] += 1
                reasons.append(step.purpose)
    for decision in run.record.decisions:
        dropped = decision.payload.get("dropped") or ()
        reasons += [f"{one['verdict']} {one['subject']}: {one['reason']}" for one in dropped]
    for one in writer.plan.objectives if writer.plan is not None else ():
        reasons.append(f"{one.statement} {one.why} {' '.join(step.tool for step in one.steps)}")
        if one.kind.value != "differential" or one.contrast is None or one.contrast.factor != FACTOR:
            continue
        for draft in one.steps:
            steps[f"{one.kind.value} {one.contrast.label}", draft.tool, _told(draft.params)] += 1
            reasons.append(draft.purpose)
    claims = run.claims if whole else None
    claimed = () if claims is None else tuple(zip(claims["feature"], _signs(claims), strict=True))
    return Seen(steps, " | ".join(reasons), claims=claimed)


def _signs(claims: pd.DataFrame) -> list[int]:
    """1 for claims of more in the later level, which is planted as higher; -1 for less."""
    later = [str(one).startswith("treated") for one in claims["contrast"]]
    return [
        1 if (direction in ("up", "present")) == first else -1
        for direction, first in zip(claims["direction"], later, strict=True)
    ]


def _told(params: Any) -> str:
    return json.dumps(params, sort_keys=True)


def _without(step: Step, column: str) -> Step:
    """A step whose parameters name the trap's column no more."""
    where, tool, params = step
    return where, tool, _told(_stripped(json.loads(params), column.split("|")))


def _stripped(value: Any, names: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_stripped(one, names) for one in value if one not in names]
    return None if value in names else value


def false_claims(seen: Seen, truth: Truth) -> int:
    """Claims of a run that was carried to its end about what was not planted, or in the other direction."""
    planted = {(one.entity, one.direction) for one in truth.claims}
    return sum(claim not in planted for claim in seen.claims)


def compare(plain: Seen, spoiled: Seen, kind: Kind, truth: Truth | None = None) -> dict[str, Any]:
    """Whether a pair was handled, and what differs; claims are judged by `truth`, where that is given."""
    gained, lost = spoiled.steps - plain.steps, plain.steps - spoiled.steps
    a, b = (Counter(_without(s, kind.column) for s in part.elements()) for part in (lost, gained))
    unmatched = {**(a - b), **(b - a)}
    allowed = "*" in kind.tools or kind.must is _refused
    elsewhere = [] if allowed else [step for step in unmatched if step[1] not in kind.tools]
    said = [
        len(re.findall(kind.cue, one.reasons, re.IGNORECASE)) if kind.cue else 0 for one in (plain, spoiled)
    ]
    found = {
        "differs": bool(kind.must(gained, lost, spoiled)),
        "only_there": not elsewhere,
        "cited": not kind.cue or said[1] > said[0],
    }
    made_up = 0 if truth is None else false_claims(spoiled, truth)
    found["true"] = made_up <= FALSE_SHARE * len(spoiled.claims)
    found["handled"] = all(found.values())
    shown: dict[str, Any] = {"claims": len(spoiled.claims), "false_claims": made_up} if kind.whole else {}
    shown |= {
        "gained": [f"{w}: {t} {p}" for w, t, p in gained][:12],
        "elsewhere": [str(s) for s in elsewhere][:8],
    }
    return {**found, **shown, "ended": spoiled.ended}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="these kinds; nothing is stored")
    options = parser.parse_args()
    folder = data_folder(options.data)
    base = complete(load_base("csf", folder))
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="nereus-twins-") as work:
        for seed in options.seeds:
            plain: dict[bool, Seen] = {}
            for name in options.kinds or KINDS:
                study = study_of(base, seed)
                KINDS[name].spoil(study)
                whole, home = KINDS[name].whole, Path(work) / "home"
                if whole not in plain:
                    plain[whole] = planned(study_of(base, seed), Path(work) / f"{seed}-{whole}", home, whole)
                spoiled = planned(study, Path(work) / f"{seed}-{name}", home, whole)
                rows.append(
                    {"kind": name, "seed": seed, **compare(plain[whole], spoiled, KINDS[name], study.truth)}
                )
                told = "" if rows[-1]["handled"] else json.dumps(rows[-1], indent=1)
                print("ok " if rows[-1]["handled"] else "BAD", name, seed, told, flush=True)
    traps_only = [row for row in rows if row["kind"] != CONTROL]
    summary = {
        "kinds": len({row["kind"] for row in traps_only}),
        "pairs": len(rows),
        "handled": sum(row["handled"] for row in rows),
        "share_handled": sum(row["handled"] for row in rows) / len(rows),
        "share_of_traps_handled": sum(row["handled"] for row in traps_only) / max(1, len(traps_only)),
        "naive_share_of_traps_handled": 0.0,
    }
    print(summary)
    if options.kinds:
        return
    content = {
        "claim": "S9",
        "seeds": options.seeds,
        "demand": "at least 0.90",
        "summary": summary,
        "rows": rows,
    }
    store(
        "twins",
        content,
        module="benchmarks.truth.twins",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )


if __name__ == "__main__":
    main()
