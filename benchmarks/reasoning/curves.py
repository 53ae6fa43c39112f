"""Curves of what was learned, drawn from the stored figures. Equal figures give equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nereus.tools.figures.style import DOWN, FAINT, GRID, INK, MUTED, UP, drawing, to_svg

_NAME = "reasoner"


def draw(countdown: dict[str, Any], folder: Path) -> list[Path]:
    """Solved share against simulator calls, and against rounds of learning; whiskers are 95 % intervals over seeds."""
    return [_against_calls(countdown, folder), _against_rounds(countdown, folder)]


def _against_calls(figures: dict[str, Any], folder: Path) -> Path:
    arms = (
        ("uniform_prior", "uniform prior", MUTED, "o"),
        ("linear_prior", "learned prior, linear", DOWN, "s"),
        ("prior", "learned prior, network", UP, "^"),
        ("prior_and_value", "the same with a learned value", INK, "D"),
        ("one_by_one_prior", "network, steps taken one by one", FAINT, "v"),
    )
    calls = sorted(int(name.removeprefix("calls_")) for name in figures["network"])
    with drawing(460, 330, _NAME) as figure:
        axes = figure.add_axes((0.13, 0.15, 0.83, 0.74))
        for name, label, colour, marker in arms:
            _line(axes, calls, [figures["network"][f"calls_{n}"][name] for n in calls], label, colour, marker)
        axes.set_xlabel("simulator calls a problem")
        _finish(axes, "Countdown: what is learned finds solutions sooner")
        return _write(figure, folder / "reasoner_calls.svg", "Countdown: solved against simulator calls")


def _against_rounds(figures: dict[str, Any], folder: Path) -> Path:
    rounds = sorted(figures["rounds"])
    with drawing(460, 330, _NAME) as figure:
        axes = figure.add_axes((0.13, 0.15, 0.83, 0.74))
        for name, label, colour, marker in (
            ("greedy_sft", "after imitation", DOWN, "s"),
            ("greedy", "after Step-APO", UP, "^"),
        ):
            known = [at for at, one in enumerate(rounds) if name in figures["rounds"][one]]
            _line(axes, known, [figures["rounds"][rounds[at]][name] for at in known], label, colour, marker)
        axes.set_xlabel("round of learning")
        axes.set_xticks(range(len(rounds)))
        _finish(axes, "Countdown: likeliest plan without search, by round")
        return _write(figure, folder / "reasoner_rounds.svg", "Countdown: solved against rounds")


def _line(axes: Any, x: Any, figures: list[dict[str, Any]], label: str, colour: str, marker: str) -> None:
    means = [one["mean"] for one in figures]
    axes.plot(list(x), means, color=colour, marker=marker, markersize=4.5, linewidth=1.2, label=label)
    for at, one in zip(x, figures, strict=True):
        if one["interval"]:
            low, high = (min(max(v, 0.0), 1.0) for v in one["interval"])
            axes.vlines(at, low, high, color=colour, linewidth=1.0, alpha=0.45)


def _finish(axes: Any, title: str) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share of test problems solved")
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_title(title, color=INK)
    axes.legend(loc="lower right")


def _write(figure: Any, path: Path, title: str) -> Path:
    path.write_bytes(to_svg(figure, _NAME, title))
    return path
