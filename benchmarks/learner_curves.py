"""Curves of the learner: success against simulator calls, decisions against learning tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

COLOURS = {"primitives": "#888888", "learned": "#1b6ca8", "random": "#c98b2b", "oracle": "#3c8d5a"}


def draw(domains: dict[str, Any], folder: Path) -> None:
    """Write ``learner_success.svg`` and ``learner_growth.svg``."""
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "learner"
    planning = {name: one for name, one in domains.items() if name != "omics"}
    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(
        1, len(planning), figsize=(3.4 * len(planning), 3.0), sharey=True, squeeze=False
    )
    for axis, (name, one) in zip(axes[0], planning.items(), strict=True):
        seeds = list(one["by_seed"].values())
        for arm, colour in COLOURS.items():
            caps = [int(cap) for cap in seeds[0]["arms"][arm]["solved_at_calls"]]
            shares = [
                sum(s["arms"][arm]["solved_at_calls"][str(cap)] for s in seeds) / len(seeds) for cap in caps
            ]
            axis.plot(caps, shares, marker="o", ms=3, color=colour, label=arm)
        axis.set(xscale="log", title=name, xlabel="simulator calls allowed", ylim=(-0.03, 1.03))
    axes[0][0].set_ylabel("test tasks solved")
    axes[0][0].legend(frameon=False, fontsize=8)
    _save(figure, folder / "learner_success.svg")
    grown = {name: one["growth"] for name, one in planning.items() if "growth" in one}
    if not grown:
        return
    figure, axis = plt.subplots(figsize=(4.6, 3.0))
    for name, rows in grown.items():
        shown = [row for row in rows if row["decision_ratio"] is not None]
        axis.plot(
            [row["tasks"] for row in shown],
            [row["decision_ratio"] for row in shown],
            marker="o",
            ms=3,
            label=name,
        )
    axis.set(xlabel="tasks learned from", ylabel="decisions (primitives = 1)", ylim=(0, 1.05))
    axis.legend(frameon=False, fontsize=8)
    _save(figure, folder / "learner_growth.svg")


def _save(figure: Any, place: Path) -> None:
    figure.tight_layout()
    figure.savefig(place, metadata={"Date": None})
    plt.close(figure)
