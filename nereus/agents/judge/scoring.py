"""Judge a run: by the chat model of the settings, or by computed proxies."""

from __future__ import annotations

import pandas as pd

from nereus.agents.judge.dossier import Dossier
from nereus.agents.judge.model import judge_by_model
from nereus.agents.judge.proxies import PROXY, judge_by_proxy
from nereus.agents.judge.verdicts import Judgement, verdict_table
from nereus.agents.planner.run import Run
from nereus.agents.policies import deciding_model
from nereus.agents.policies.asking import ChatCaller
from nereus.agents.policies.prompts import PromptWriter
from nereus.models.llm.ceilings import Ceilings, Meter, Prices
from nereus.settings import Settings


def judge_run(
    run: Run, settings: Settings, *, by_model: bool, seed: int = 0, caller: ChatCaller | None = None
) -> tuple[pd.DataFrame, str]:
    """The table of a run's judgements, and a line about who judged.

    Parameters
    ----------
    run
        A finished run.
    settings
        The chat model, its ceilings and prices.
    by_model
        Whether a chat model judges; what it cannot judge falls to the proxies and is marked so.
    seed
        Orders the metrics of the passes.
    caller
        A chat model in place of that of the settings.
    """
    proxies = {one.hypothesis_id: one for one in judge_by_proxy(run)}
    if not by_model:
        note = "judged by computed proxies, no language model: these are not the scores of a judge"
        return verdict_table(proxies.values()), note
    if caller is None:
        ceilings = Ceilings(
            settings.llm_max_calls, settings.llm_max_tokens, settings.llm_max_usd, settings.llm_max_s
        )
        meter = Meter(ceilings, Prices(settings.llm_price_prompt, settings.llm_price_reply))
        caller = ChatCaller(
            deciding_model(settings),
            meter,
            timeout_s=settings.llm_timeout_s,
            reply_tokens=settings.llm_reply_tokens,
            form=settings.llm_form,
        )
    writer = PromptWriter(settings.llm_context_tokens, settings.llm_reply_tokens)
    reasons: list[str] = []

    def proxy(one: Dossier, why: str) -> Judgement:
        reasons.append(why)
        return proxies[one.hypothesis.id]

    name = f"llm:{settings.llm_model or 'model'}"
    judged, usage = judge_by_model(run, caller, writer, name, seed=seed, fallback=proxy)
    note = f"judged by {name}: {usage.calls} calls, {usage.tokens} tokens, {usage.usd:.4f} USD"
    if reasons:
        note += f"; {len(reasons)} hypotheses fell to the {PROXY} ({reasons[0]})"
    return verdict_table(judged), note
