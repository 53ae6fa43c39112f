"""The header of a run: what it is asked, of what, with which settings, and all that its result depends on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from nereus import __version__
from nereus.agents.planner.research_graph import GRAPH_VERSION
from nereus.agents.policies import make_policy
from nereus.memory.fingerprint import fingerprint, fingerprint_parts
from nereus.memory.priors import NOTHING, Priors
from nereus.memory.records import ArtifactRef, Budget, RunHeader, RunStatus
from nereus.settings import Settings, load_settings

if TYPE_CHECKING:
    from nereus.agents.policies.base import Policy

_VERSIONED = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "statsmodels",
    "anndata",
    "matplotlib",
    "langgraph",
)


def header_of(
    settings: Settings,
    policy: Policy,
    question: str | None,
    options: Mapping[str, Any],
    limits: Budget,
    inputs: Mapping[str, ArtifactRef],
    status: RunStatus,
    out_dir: str = "",
    priors: Priors = NOTHING,
) -> RunHeader:
    """Header of a run that is asked for: what it is asked, of what, and all that its result depends on."""
    parts = result_parts(settings, policy, question, options, limits, inputs) | _told_of(priors)
    return RunHeader(
        id="",
        status=status,
        question=question,
        seed=settings.seed,
        policy=policy.id,
        workers=settings.workers,
        out_dir=out_dir,
        inputs=dict(inputs),
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
        settings={**settings.public(), "load": dict(options)},
        versions=versions(),
        budget=limits,
        learned={} if priors == NOTHING else priors.model_dump(mode="json"),
    )


def header_parts(
    header: RunHeader, settings: Settings, policy: Policy, inputs: Mapping[str, ArtifactRef] | None = None
) -> dict[str, str]:
    """What a run's result depends on, as it would be gone on with now."""
    load = header.settings.get("load", {})
    inputs = header.inputs if inputs is None else inputs
    parts = result_parts(settings, policy, header.question, load, header.budget, inputs)
    parts |= _told_of(Priors.model_validate(header.learned))
    return parts | {name: text for name, text in header.fingerprint_parts.items() if name.startswith("fork ")}


def result_parts(
    settings: Settings,
    policy: Policy,
    question: str | None,
    options: Mapping[str, Any],
    limits: Budget,
    inputs: Mapping[str, ArtifactRef],
) -> dict[str, str]:
    """What a run's result depends on, by name: what its fingerprint is made of."""
    chosen = {
        **settings.of_results(),
        "policy": f"{policy.id} {policy.version}",
        "question": question,
        "load": dict(options),
        "budget": limits.model_dump(exclude={"wall_s"}),
    }
    return fingerprint_parts(
        f"{__version__} graph {GRAPH_VERSION}", chosen, {role: ref.id for role, ref in inputs.items()}
    )


def _told_of(priors: Priors) -> dict[str, str]:
    """What was learned as a part of the fingerprint; none where it decides nothing."""
    return {} if priors.decisive == NOTHING.decisive else {"learned": priors.digest}


def policy_and_settings(
    policy: Policy | str | None, settings: Mapping[str, Any]
) -> tuple[Policy | None, Settings]:
    """The policy object, where one was given, and the settings; a policy's name is a setting."""
    if isinstance(policy, str):
        return None, load_settings(**settings, policy=policy)
    return policy, load_settings(**settings)


def settings_as_started(
    header: RunHeader,
    loaded: Settings,
    given: Policy | None,
    policy: Policy | str | None,
    settings: Mapping[str, Any],
) -> tuple[Settings, Policy]:
    """Settings and policy with which a run was started, but for those that are given now."""
    explicit = loaded.model_fields_set
    started = {
        name: header.settings[name]
        for name in loaded.names_of_results()
        if name in header.settings and name not in explicit
    }
    named = {"policy": policy} if isinstance(policy, str) else {}
    if "approval" not in explicit and "approval" in header.settings:
        started["approval"] = header.settings["approval"]
    same = load_settings(**{**settings, **named, **started})
    return same, given or make_policy(same, header.budget)


def versions() -> dict[str, str]:
    """Versions of everything that computes."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"nereus": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
