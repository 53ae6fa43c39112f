"""The `llm` policy: any LangChain chat model decides; what it gets wrong is repaired, then left to the rules.

A reply is accepted when it is of the right schema, passes `validation.faults` (ids exist, numbers are references, a plan
passes the static check) and leaves alone what is not up to it (`guarded.guarded_faults`). Otherwise the faults go
back to the model, at most twice; after that, on a timeout, on an error of the endpoint or at a ceiling, the embedded
policy decides, and the decision is marked as a fallback with its reason. A run never ends because of a reply.

The rules answer every question as well: what they would have decided is recorded beside what was decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.language_models.chat_models import BaseChatModel

from nereus.agents.policies.aliases import Aliases
from nereus.agents.policies.asking import ChatCaller, Form
from nereus.agents.policies.base import (
    SCHEMAS,
    Atoms,
    Critique,
    DecisionContext,
    DecisionKind,
    HypothesisDraft,
    HypothesisDrafts,
    ObjectivesProposal,
    Policy,
    Verdict,
    View,
    WorkflowDraft,
)
from nereus.agents.policies.guarded import filled_in, guarded_faults
from nereus.agents.policies.prompts import TASKS, PromptWriter, blocks_of, short_draft, short_group
from nereus.agents.policies.replies import read_reply
from nereus.agents.policies.validation import faults
from nereus.errors import PolicyError
from nereus.memory.records import Atom, Decision, ObjectiveKind
from nereus.models.llm.ceilings import Ceilings, Meter, Prices, Usage, size_of

MOST_AT_ONCE = 8
"""Evidence groups or drafts in one prompt: weak models lose count of more, and a reply has an end."""
LONGEST_FAULT = 300
"""Characters of one fault that goes back to the model."""


class LLMPolicy:
    """Decides with a chat model, within hard limits, over an embedded fallback.

    Parameters
    ----------
    model
        Any LangChain chat model.
    fallback
        Policy that decides when the model does not.
    max_calls, max_tokens, max_usd, max_seconds
        Ceilings of the run; a call that could pass one is not made.
    prices
        What a million tokens cost.
    timeout_s
        Seconds that one reply may take.
    context_tokens, reply_tokens
        What the model can read and write in one go, and what of it is kept for its reply.
    form
        ``auto``, ``tool`` or ``text``: how an object is asked for.
    retries
        How often a call is made again that failed for a passing reason; each counts.
    """

    id = "llm"
    version = "2"
    deterministic = False
    needs_network = True

    def __init__(
        self,
        model: BaseChatModel,
        fallback: Policy,
        *,
        max_calls: int,
        max_tokens: int,
        max_usd: float | None = None,
        max_seconds: float | None = None,
        prices: Prices | None = None,
        timeout_s: float = 60.0,
        context_tokens: int = 16_384,
        reply_tokens: int = 2048,
        form: Form | str = "auto",
        retries: int = 0,
    ) -> None:
        self.meter = Meter(Ceilings(max_calls, max_tokens, max_usd, max_seconds), prices or Prices())
        self._caller = ChatCaller(
            model,
            self.meter,
            timeout_s=timeout_s,
            reply_tokens=reply_tokens,
            form=cast(Any, form),
            retries=retries,
        )
        self._writer = PromptWriter(context_tokens, reply_tokens)
        self._fallback = fallback
        self._identifiers: frozenset[str] = frozenset()

    def go_on(self, decisions: Iterable[Decision]) -> None:
        """See `Metered.go_on`."""
        self.meter.go_on(decisions)

    def conceal(self, identifiers: Iterable[str]) -> None:
        """See `Metered.conceal`."""
        self._identifiers |= frozenset(identifiers)

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        """See `Policy.decide`."""
        start = time.perf_counter()
        embedded = self._fallback.decide(kind, context, seed=seed)
        usage = Usage()
        asked, failed = [], []
        for part in self._parts(kind, context):
            try:
                asked.append(self._ask(kind, part, embedded.payload, usage))
            except PolicyError as error:
                failed.append(error.what)
        if asked:
            payload = _completed(asked, embedded.payload, context)
            verdict = Verdict(
                payload=payload,
                policy=self.id,
                rationale=str(getattr(payload, "rationale", "") or getattr(payload, "reason", "")),
                alternative=None if _same(payload, embedded.payload) else embedded.payload,
            )
        else:
            verdict = embedded
        reason = (
            f"{failed[0]} (in {len(failed)} of {len(asked) + len(failed)} parts)" if asked and failed else ""
        )
        return verdict.model_copy(
            update={
                "fallback": bool(failed),
                "fallback_reason": reason or (failed[0] if failed else ""),
                "calls": usage.calls,
                "tokens": usage.tokens,
                "usd": usage.usd,
                "ms": (time.perf_counter() - start) * 1000,
            }
        )

    def _ask(self, kind: DecisionKind, context: DecisionContext, embedded: View, usage: Usage) -> View:
        schema = SCHEMAS[kind]
        aliases = Aliases(context, self._identifiers)
        likely = [step.tool for step in embedded.steps] if isinstance(embedded, WorkflowDraft) else ()
        prompt = self._writer.write(
            TASKS[kind], schema.model_json_schema(), blocks_of(kind, context, aliases, likely)
        )

        def wrong(answer: View) -> list[str]:
            try:
                found = faults(answer, context) or guarded_faults(answer, embedded, context)
            except Exception as error:  # noqa: BLE001 - whatever was answered, a run never ends because of it
                found = [f"it cannot be checked: {type(error).__name__}"]
            return [aliases.told(one)[:LONGEST_FAULT] for one in found]

        read: Callable[[View], View] = aliases.restored
        return self._caller.ask(prompt.messages, schema, wrong, usage, read)

    def _parts(self, kind: DecisionKind, context: DecisionContext) -> Iterator[DecisionContext]:
        """The context in parts that fit a prompt: hypotheses are written and decomposed a few at a time."""
        room = self._writer.share("history") - 400
        if kind is DecisionKind.COMPOSE_HYPOTHESES:
            sizes = {group.id: size_of(str(short_group(group))) for group in context.groups}
            for ids in _packed(sizes, room):
                yield context.model_copy(update={"groups": tuple(g for g in context.groups if g.id in ids)})
        elif kind is DecisionKind.DECOMPOSE:
            groups = {group.id: size_of(str(short_group(group))) for group in context.groups}
            sizes = {
                draft.group_id: size_of(str(short_draft(draft))) + groups.get(draft.group_id, 0)
                for draft in context.drafts
            }
            for ids in _packed(sizes, room):
                yield context.model_copy(
                    update={
                        "groups": tuple(g for g in context.groups if g.id in ids),
                        "drafts": tuple(d for d in context.drafts if d.group_id in ids),
                    }
                )
        else:
            yield context


def _same(payload: View, embedded: View) -> bool:
    """Whether two answers decide the same; that scores are proxies is no decision."""
    if isinstance(payload, Critique) and isinstance(embedded, Critique):
        scores = payload.scores.model_copy(update={"proxy": embedded.scores.proxy})
        return payload.model_copy(update={"scores": scores}) == embedded
    return payload == embedded


def _packed(sizes: Mapping[str, int], room: int) -> Iterator[set[str]]:
    part: set[str] = set()
    used = 0
    for identity, size in sizes.items():
        if part and (used + size > room or len(part) == MOST_AT_ONCE):
            yield part
            part, used = set(), 0
        part.add(identity)
        used += size
    if part:
        yield part


def _completed(parts: list[View], embedded: View, context: DecisionContext) -> View:
    """One answer of its parts, with what the run cannot do without taken from the rules."""
    first = parts[0]
    if isinstance(first, HypothesisDrafts) and isinstance(embedded, HypothesisDrafts):
        written = {draft.group_id: draft for part in parts for draft in cast(HypothesisDrafts, part).drafts}
        evidence = {group.id: tuple(dict.fromkeys(group.evidence.values())) for group in context.groups}
        return HypothesisDrafts(
            drafts=tuple(
                _with_rules(written[one.group_id], one, evidence[one.group_id])
                if one.group_id in written
                else one
                for one in embedded.drafts
            )
        )
    if isinstance(first, Atoms) and isinstance(embedded, Atoms):
        named = {group: atoms for part in parts for group, atoms in cast(Atoms, part).atoms.items()}
        return Atoms(
            atoms={
                group: (*always, *_further(always, named.get(group, ())))
                for group, always in embedded.atoms.items()
            }
        )
    if isinstance(first, WorkflowDraft) and isinstance(embedded, WorkflowDraft):
        return filled_in(first, embedded)
    if isinstance(first, ObjectivesProposal) and isinstance(embedded, ObjectivesProposal):
        kinds = {draft.kind for draft in first.objectives}
        needed = tuple(
            draft
            for draft in embedded.objectives
            if draft.kind in (ObjectiveKind.QUALITY, ObjectiveKind.DESCRIBE) and draft.kind not in kinds
        )
        subjects = {one.subject for one in first.dropped}
        refused = tuple(
            one
            for one in embedded.dropped
            if (one.verdict == "refused" or one.objective_id) and one.subject not in subjects
        )
        return first.model_copy(
            update={"objectives": (*needed, *first.objectives), "dropped": (*refused, *first.dropped)}
        )
    if isinstance(first, Critique):
        return first.model_copy(update={"scores": first.scores.model_copy(update={"proxy": False})})
    return first


def _with_rules(
    written: HypothesisDraft, embedded: HypothesisDraft, evidence: tuple[str, ...]
) -> HypothesisDraft:
    """A draft with all its evidence, and with every caveat and experiment that the rules know of."""
    return written.model_copy(
        update={
            "evidence_ids": evidence,
            "atoms": (),
            "caveats": tuple(dict.fromkeys([*embedded.caveats, *written.caveats])),
            "alternatives": written.alternatives or embedded.alternatives,
            "experiment": written.experiment.strip() or embedded.experiment,
        }
    )


def _further(always: tuple[Atom, ...], named: Iterable[Atom]) -> Iterator[Atom]:
    """What a draft stands on beyond the atoms that are always tested: named, never necessary, and not tested.

    A verdict belongs to the sentence that a tool tested. Where a tool can test something, the rules name its atom.
    """
    said = {atom.statement for atom in always}
    number = max((int(atom.id[1:]) for atom in always), default=0)
    for atom in named:
        if atom.statement in said or not atom.statement.strip():
            continue
        said.add(atom.statement)
        number += 1
        yield atom.model_copy(
            update={"id": f"A{number}", "kind": "assumed", "necessary": False, "verdict": "assumed"}
        )


__all__ = ["LLMPolicy", "read_reply"]
