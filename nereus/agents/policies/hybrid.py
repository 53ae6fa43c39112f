"""Several policies in one run: each kind of decision is made by the policy that it is mapped to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nereus.agents.policies.base import DecisionContext, DecisionKind, Metered, Policy, Verdict
from nereus.memory.records import Decision


class HybridPolicy:
    """Hands each kind of decision to the policy that is named for it.

    Parameters
    ----------
    policies
        Policies by name.
    mapping
        Kind of decision, or ``default``, to the name of a policy.
    name
        Canonical name of the mapping, part of a run's fingerprint.
    """

    def __init__(self, policies: Mapping[str, Policy], mapping: Mapping[str, str], name: str) -> None:
        self._policies = dict(policies)
        self._of = {kind: policies[mapping.get(kind.value, mapping["default"])] for kind in DecisionKind}
        used = list({id(one): one for one in self._of.values()}.values())
        self.id = name
        self.version = "+".join(f"{one.id} {one.version}" for one in sorted(used, key=lambda one: one.id))
        self.deterministic = all(one.deterministic for one in used)
        self.needs_network = any(one.needs_network for one in used)

    @property
    def policies(self) -> Mapping[str, str]:
        """See `Mixed.policies`."""
        return {"default": "", **{kind.value: one.id for kind, one in self._of.items()}}

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        """See `Policy.decide`."""
        return self._of[kind].decide(kind, context, seed=seed)

    def go_on(self, decisions: Iterable[Decision]) -> None:
        """See `Metered.go_on`."""
        recorded = list(decisions)
        for one in self._policies.values():
            if isinstance(one, Metered):
                one.go_on(recorded)

    def conceal(self, identifiers: Iterable[str]) -> None:
        """See `Metered.conceal`."""
        hidden = list(identifiers)
        for one in self._policies.values():
            if isinstance(one, Metered):
                one.conceal(hidden)
