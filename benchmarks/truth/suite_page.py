"""The page of the truth suite: each test of it with what it asks, what was measured, and the naive arm beside.

    python -m benchmarks.truth.suite_page

makes ``docs/truth_suite.md`` from the stored results, and nothing else: a figure that is not in one of them is not told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.truth.results import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "truth_suite.md"
HEAD = """# The truth suite

Made by `python -m benchmarks.truth.suite_page` from `benchmarks/results`; do not edit. Every row is scored by code against a
truth that the run cannot read: spiked-in proteins, exchanged labels, planted effects and traps, injected faults. *Asked*
is what had to be reached, *aimed* what would be better; both were fixed before the first measurement. *Naive* is log2, sample
medians, moderated t and Benjamini-Hochberg on the same files, where it can answer at all. How each was measured is said in
the first lines of its file in `benchmarks`; single data sets are in [the table of data sets](truth_table.md).

| test | what | asked | aimed | measured | verdict | naive | result |
|---|---|---|---|---|---|---|---|
"""
PLANTED_SEEDS = (
    "planted_discover",
    "planted_discover_seed1",
    "planted_discover_seed2",
    "planted_discover_seed3",
)


@dataclass(frozen=True)
class Row:
    """One line: what is asked, and whether it was reached."""

    test: str
    what: str
    asked: str
    aimed: str
    measured: str
    passed: bool
    reached: bool
    naive: str
    results: tuple[str, ...]

    def line(self) -> str:
        verdict = "aim reached" if self.reached else "passed" if self.passed else "**missed**"
        files = ", ".join(f"`{one}`" for one in self.results)
        cells = (self.test, self.what, self.asked, self.aimed, self.measured, verdict, self.naive, files)
        return f"| {' | '.join(cells)} |"


def rows(read: Callable[[str], dict[str, Any]]) -> Iterator[Row]:
    """All lines.

    Parameters
    ----------
    read
        Gives a stored result by its name.
    """
    yield from _spiked(read("spike_in_discover"))
    yield from _exchanged(read("permuted_labels_spike_ins_discover"), read("permuted_labels_mouse_discover"))
    yield _units(read("unit_of_analysis_discover"))
    yield from _planted([read(name) for name in PLANTED_SEEDS])
    yield from _markers(read("known_markers"))
    yield from _calibrated(read("calibration"))
    yield from _traced(read("traceability"))
    yield from _killed(read)
    yield _twins(read("twins"))
    yield _efficient(read("efficiency_quiet"))
    yield _honest(read("faults"))


def _spiked(d: dict[str, Any]) -> Iterator[Row]:
    own, naive, file = d["product"], d["naive"], ("spike_in_discover",)
    yield Row(
        "S1", "recall of spiked proteins, macro over five tables", "0.72", "0.80", f"{own['recall']:.3f}",
        own["recall"] >= 0.72, own["recall"] >= 0.80, f"{naive['recall']:.3f}", file,
    )  # fmt: skip
    yield Row(
        "S1", "false discovery proportion (worst table)", "≤ 0.15", "≤ 0.10 (≤ 0.20)",
        f"{own['fdp']:.3f} ({own['worst_fdp']:.3f})", own["fdp"] <= 0.15,
        own["fdp"] <= 0.10 and own["worst_fdp"] <= 0.20, f"{naive['fdp']:.3f} ({naive['worst_fdp']:.3f})", file,
    )  # fmt: skip
    yield Row(
        "S1", "precision of the first twenty hypotheses", "0.93", "0.98", f"{own['precision_at_20']:.3f}",
        own["precision_at_20"] >= 0.93, own["precision_at_20"] >= 0.98, f"{naive['precision_at_20']:.3f}", file,
    )  # fmt: skip
    sign, size = own["sign_correct"], own["size_error_median"]
    yield Row(
        "S1b", "signs right; median error of sizes, log2", "0.98; ≤ 0.5", "1.00; ≤ 0.3", f"{sign:.2f}; {size:.2f}",
        sign >= 0.98 and size <= 0.5, sign == 1.0 and size <= 0.3,
        f"{naive['sign_correct']:.2f}; {naive['size_error_median']:.2f}", file,
    )  # fmt: skip


def _exchanged(spikes: dict[str, Any], mice: dict[str, Any]) -> Iterator[Row]:
    for what, d, file in (
        ("all other splits of the spike-ins", spikes["spike_ins"], "permuted_labels_spike_ins_discover"),
        ("exchanged mice", mice["mouse_cortex"], "permuted_labels_mouse_discover"),
    ):
        share, claims = d["runs_with_confident_claim"], d["confident_claims_per_run"]
        yield Row(
            "S2", f"{what}: runs with a confident claim ({d['runs']} runs)", "≤ 0.10",
            "≤ 0.05, ≤ 0.02 claims a run", f"{share:.3f}, {claims:.3f} a run", share <= 0.10,
            share <= 0.05 and claims <= 0.02, f"{d['naive_runs_with_confident_claim']:.3f}", (file,),
        )  # fmt: skip


def _units(d: dict[str, Any]) -> Row:
    runs = d["runs"]
    right = [
        one["app_first"] and not one["failing_at_mouse_level"] and one["unit_declared"].endswith("(72)")
        for one in runs
    ]
    tentative = [one["itsn1_tentative"] for one in runs]
    naive = d["naive"]
    return Row(
        "S3", "1,080 rows are 72 mice: declared, APP first, no claim that fails by mouse", "all runs",
        "ITSN1 tentative too", f"{sum(right)} of {len(runs)}, ITSN1 in {sum(tentative)}", all(right),
        all(right) and all(tentative),
        f"{naive['Genotype_hold_at_mouse_level']} of {naive['Genotype_hits']} hits hold by mouse",
        ("unit_of_analysis_discover",),
    )  # fmt: skip


def _planted(seeds: list[dict[str, Any]]) -> Iterator[Row]:
    own, naive = [one["product"] for one in seeds], seeds[-1]["naive"]

    def each(name: str) -> str:
        return ", ".join(f"{one[name]:.3f}" for one in own)

    def row(what: str, asked: float, aimed: float, name: str) -> Row:
        worst = min(one[name] for one in own)
        return Row(
            "S4", f"{what}, {own[0]['runs']} held-out studies by seed", f"{asked:.2f}", f"{aimed:.2f}", each(name),
            worst >= asked, worst >= aimed, f"{naive[name]:.3f}", PLANTED_SEEDS,
        )  # fmt: skip

    yield row("recall of effects of one sd and more", 0.70, 0.85, "recall_large")
    yield row("precision among as many claims as were planted", 0.90, 0.95, "precision")
    yield row("traps handled", 0.90, 1.0, "traps_handled")
    yield row("fully confounded comparisons refused", 1.0, 1.0, "refused_fully_confounded")


def _markers(d: dict[str, Any]) -> Iterator[Row]:
    groups = d["D3"]["in_its_place"]
    told = {name: (len(one["first_50_claims"]), one["markers"]) for name, one in groups.items()}
    shares = [found / of for found, of in told.values()]
    naive = {name: len(one["table_by_p"]) for name, one in groups.items()}
    yield Row(
        "S5", "known markers among the first fifty claims (three cohorts in the place of a leukaemia set that cannot be had)",
        "10 of 12", "among the first 30 hypotheses",
        ", ".join(f"{name} {found} of {of}" for name, (found, of) in told.items()), sum(shares) / len(shares) >= 10 / 12,
        all(len(one["first_30_hypotheses"]) / one["markers"] >= 10 / 12 for one in groups.values()),
        ", ".join(f"{name} {found}" for name, found in naive.items()), ("known_markers",),
    )  # fmt: skip
    cells, plain = d["D5"]["given"], d["D5"]["given_naive"]
    yield Row(
        "S5", "cell types whose markers lead", "4 of 5", "5 of 5", f"{cells['passed']} of {cells['of']}",
        cells["passed"] >= 4, cells["passed"] == cells["of"], f"{plain['passed']}", ("known_markers",),
    )  # fmt: skip
    cox = d["D6"]
    yield Row(
        "S5", "published prognostic covariates, sign and q", "0.80", "all", f"{cox['right']} of {cox['of']}",
        cox["share"] >= 0.8, cox["right"] == cox["of"], f"{cox['naive_right']}", ("known_markers",),
    )  # fmt: skip


def _calibrated(d: dict[str, Any]) -> Iterator[Row]:
    for what in ("spike_ins", "planted"):
        own = d["views"]["tested"][what]["product"]
        plain = d["views"]["tested"][what]["one_minus_q_of_the_same"]
        yield Row(
            "S6", f"P(true) of {own['n']:,} tested, {what.replace('_', '-')}: calibration error; skill over the base rate",
            "≤ 0.10; ≥ 0.3", "≤ 0.05; ≥ 0.5", f"{own['ece']:.3f}; {own['skill']:.2f}", own["ece"] <= 0.10 and own["skill"] >= 0.3,
            own["ece"] <= 0.05 and own["skill"] >= 0.5, f"1 − q: {plain['ece']:.3f}; {plain['skill']:.2f}", ("calibration",),
        )  # fmt: skip
    own = d["views"]["claims"]["all"]["product"]
    yield Row(
        "S6", f"the same of the {own['n']:,} claims that are published, of which {own['base_rate']:.0%} are true",
        "≤ 0.10; not asked", "≤ 0.05; –", f"{own['ece']:.3f}; {own['skill']:.2f}", own["ece"] <= 0.10, own["ece"] <= 0.05,
        f"1 − q: {d['views']['claims']['all']['one_minus_q_of_the_same']['ece']:.3f}", ("calibration",),
    )  # fmt: skip


def _traced(d: dict[str, Any]) -> Iterator[Row]:
    whole = d["reproduced"] == d["values"]
    yield Row(
        "S7", "values computed again in another process", "all", "from raw input, equal hashes",
        f"{d['reproduced']:,} of {d['values']:,}", whole, whole, "–", ("traceability",),
    )  # fmt: skip
    doubled = sum(one["doubled"] for one in d["rows"])
    unflagged = sum(one["contradictions_unflagged"] for one in d["rows"])
    families = [one["families"] for one in d["rows"]]
    none = doubled == 0 and unflagged == 0
    yield Row(
        "S12", "doubled claims and unflagged contradictions among the first thirty; families", "0; 0", "≥ 10 families",
        f"{doubled}; {unflagged}; {min(families)}–{max(families)}", none, none and min(families) >= 10, "–", ("traceability",),
    )  # fmt: skip


def _killed(read: Callable[[str], dict[str, Any]]) -> Iterator[Row]:
    for file in ("kill_and_resume", "kill_and_resume_postgres"):
        d = read(file)
        runs = len(d["rows"])
        whole = d["equal"] == runs and d["computed_again"] == 0
        yield Row(
            "S8", f"killed at random and resumed ({d['database']}): equal hashes", "all of 5", "all of 50",
            f"{d['equal']} of {runs}, {d['kills']} of them killed", whole, whole and runs >= 50, "–", (file,),
        )  # fmt: skip


def _twins(d: dict[str, Any]) -> Row:
    own = d["summary"]
    return Row(
        "S9", "studies that differ by one trap are worked on differently, only where it matters", "0.90", "1",
        f"{own['handled']} of {own['pairs']}", own["share_handled"] >= 0.9, own["share_handled"] == 1.0,
        f"{own['naive_share_of_traps_handled']:.0%}", ("twins",),
    )  # fmt: skip


def _efficient(d: dict[str, Any]) -> Row:
    one = d["product"]["0"]
    fewer = one["fewer_decisions"]
    return Row(
        "S10", "seconds of six data sets; fewer decisions after learning, equal claims", "≤ 300", "≤ 120; ≥ 40 %",
        f"{one['fresh']['wall_s']:.0f}; {fewer:.0%}", d["met"]["pass"],
        d["met"]["aim"] and fewer >= 0.4 and one["same_claims"], "–", ("efficiency_quiet",),
    )  # fmt: skip


def _honest(d: dict[str, Any]) -> Row:
    own = d["summary"]
    whole = own["handled"] == own["faults"]
    return Row(
        "S11", "injected faults: told, nothing invented, what is written verifies", "typed notices", "all of 20",
        f"{own['handled']} of {own['faults']}", whole, whole, "–", ("faults",),
    )  # fmt: skip


def rendered() -> str:
    """The page as text."""

    def read(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
        return found

    made = list(rows(read))
    passed, reached = sum(one.passed for one in made), sum(one.reached for one in made)
    told = f"\n{len(made)} rows: {passed} pass, {reached} reach the aim too.\n"
    return HEAD + "\n".join(one.line() for one in made) + "\n" + told


if __name__ == "__main__":
    PAGE.write_text(rendered())
    print(PAGE)
