"""Limits that end a run early."""

from __future__ import annotations

from typing import Any

from benchmarks.truth.fault_cases.scene import Scene, case


@case("budget", r"step budget does not allow the whole plan")
def budget_of_steps(scene: Scene) -> Any:
    return scene.start(budget=["steps=15", "objectives=1", "hypotheses=8"])


@case("budget", r"step budget does not allow the whole plan")
def budget_ends_before_any_test(scene: Scene) -> Any:
    return scene.start(budget=["steps=5"])


@case("budget", r"limit on wall time is reached")
def budget_of_seconds(scene: Scene) -> Any:
    return scene.start(budget=["wall_s=1"])


@case("budget", r"budget of objectives is used up")
def budget_of_objectives(scene: Scene) -> Any:
    return scene.start(budget=["objectives=1", "hypotheses=8"])


@case("budget", r"(budget|limit)[^.]{0,40} hypotheses|hypotheses[^.]{0,60}(budget|limit)")
def budget_of_hypotheses(scene: Scene) -> Any:
    return scene.start(budget=["objectives=1", "hypotheses=2"])


@case("budget", r"budget steps is 0|positive")
def budget_of_nothing(scene: Scene) -> Any:
    return scene.start(budget=["steps=0"])
