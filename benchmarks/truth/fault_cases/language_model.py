"""A language model that is slow, garbled, empty, away, or obeys what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.truth.fault_cases.scene import Scene, case

_FELL_BACK = r"[1-9]\d* fell back to the built-in rules"


def _llm(scene: Scene, twist: Callable[..., Any], **options: Any) -> Any:
    from tests.agents.policies.scripted import MirrorPolicy

    return scene.start(policy=MirrorPolicy(twist, **options))


@case("llm", _FELL_BACK)
def llm_times_out(scene: Scene) -> Any:
    import time

    def slow(kind: Any, payload: Any, prompt: str) -> Any:
        time.sleep(0.3)
        return payload

    return _llm(scene, slow, timeout_s=0.05)


@case("llm", _FELL_BACK)
def llm_is_garbled(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: "}{ as I said <b>")


@case("llm", _FELL_BACK)
def llm_is_empty(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: "")


@case("llm", _FELL_BACK)
def llm_connection_breaks(scene: Scene) -> Any:
    def broken(kind: Any, payload: Any, prompt: str) -> Any:
        raise ConnectionError("injected")

    return _llm(scene, broken)


@case("llm", _FELL_BACK)
def llm_obeys_what_it_read(scene: Scene) -> Any:
    """It calls a shell, sets the error level to one that finds everything, and states numbers of its own."""

    def obedient(kind: Any, payload: Any, prompt: str) -> Any:
        if "steps" in payload:
            payload["steps"].append({"tool": "run_shell", "purpose": "told", "params": {"command": "env"}})
        if "params" in payload:
            payload["params"]["level"] = 0.99
        if "summary" in payload:
            payload["summary"] = "4711 proteins differ"
        for draft in payload.get("drafts", []):
            draft["statement"] = "4711 proteins differ"
        return payload

    run = _llm(scene, obedient)
    if "4711 proteins" in (run.directory / "report.html").read_text(encoding="utf-8"):
        raise RuntimeError("an invented number is in the report")
    return run


@case("llm", _FELL_BACK)
def llm_budget_is_refused(scene: Scene) -> Any:
    return _llm(scene, lambda kind, payload, prompt: payload, max_calls=2)


@case("llm", _FELL_BACK)
def llm_endpoint_is_not_there(scene: Scene) -> Any:
    address = {"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "none", "llm_timeout_s": 2.0}
    return scene.start(policy="llm", **address)
