"""The judge: proxies, a scripted chat model, the blinded sheet and what comes back from reviewers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langchain_core.messages import BaseMessage
from sklearn.metrics import cohen_kappa_score

import nereus
from nereus.agents.judge.agreement import agreement_table, to_talk_over, weighted_kappa
from nereus.agents.judge.dossier import dossiers
from nereus.agents.judge.metrics import Metric
from nereus.agents.judge.review import METRICS, draw_items, read_sheets, write_sheet
from nereus.agents.judge.scoring import judge_run
from nereus.agents.policies.asking import ChatCaller
from nereus.errors import InputError
from nereus.models.llm.ceilings import Ceilings, Meter
from nereus.settings import load_settings
from tests.agents.policies.scripted import ScriptedModel

pytestmark = pytest.mark.slow


def caller(answer: Any, calls: int = 1000) -> tuple[ChatCaller, ScriptedModel]:
    model = ScriptedModel(answer=answer, seen=[])
    return ChatCaller(model, Meter(Ceilings(calls, 10**8))), model


def test_proxies_are_labelled_and_cite_what_the_record_holds(by_rules: nereus.Run, home: Path) -> None:
    table, note = judge_run(by_rules, load_settings(home=home), by_model=False)
    assert "no language model" in note
    assert set(table["judge"]) == {"proxy"}
    assert len(table) == sum(one.status != "merged" for one in by_rules.hypotheses)
    known = set(by_rules.record.evidence) | {one.id for one in by_rules.hypotheses}
    known |= {atom.id for one in by_rules.hypotheses for atom in one.atoms}
    for metric in Metric:
        levels = table[metric.value].dropna()
        assert levels.between(1, 5).all()
        assert (table[f"{metric.value}_reason"] != "").all()
        if metric is not Metric.LITERATURE:
            assert len(levels) == len(table)
            assert all(set(cites.split(";")) <= known for cites in table[f"{metric.value}_cites"])
    status = {one.id: one.status for one in by_rules.hypotheses}
    refuted = table["hypothesis"].map(status) == "refuted"
    assert (table.loc[refuted, "reliability"] == 1).all()
    assert table.loc[~refuted, "reliability"].mean() > 2


def test_a_model_is_asked_three_times_in_other_orders_and_the_median_kept(
    by_rules: nereus.Run, home: Path
) -> None:
    turn = iter(range(10_000))

    def answer(messages: list[BaseMessage]) -> str:
        prompt = str(messages[1].content)
        cite = re.search(r"^(E\d+) ", prompt, re.MULTILINE)
        assert cite is not None
        level = (5, 1, 3)[next(turn) % 3]
        score = {"score": level, "reason": "because of it", "cites": [cite[1]]}
        return json.dumps(
            {metric.value: score for metric in Metric} | {"literature": {**score, "score": None}}
        )

    ask, model = caller(answer)
    table, note = judge_run(by_rules, load_settings(home=home), by_model=True, caller=ask)
    assert len(model.seen) == 3 * len(table)
    assert (table["reliability"] == 3).all()
    assert table["literature"].isna().all()
    assert table["spread"].between(3, 4).all()
    orders = {
        tuple(re.findall(r"^(\w+): [A-Z].*\?$", str(messages[1].content), re.MULTILINE))
        for messages in model.seen[:3]
    }
    assert len(orders) > 1
    everything = "".join(str(message.content) for messages in model.seen for message in messages)
    assert "confidence" not in everything.replace("lower limit of the confidence interval", "").replace(
        "upper limit of the confidence interval", ""
    )
    assert "composed by" not in everything
    assert f"{len(model.seen)} calls" in note


@pytest.mark.parametrize("calls", [1000, 4])
def test_what_the_model_cannot_judge_falls_to_the_proxies(
    by_rules: nereus.Run, home: Path, calls: int
) -> None:
    ask, model = caller(lambda messages: '{"reliability": {"score": 9}}', calls)
    table, note = judge_run(by_rules, load_settings(home=home), by_model=True, caller=ask)
    assert set(table["judge"]) == {"proxy"}
    assert "fell to the proxy" in note
    assert len(model.seen) <= calls


def test_the_sheet_is_blind_and_shuffled_and_a_tenth_comes_twice(
    by_rules: nereus.Run, tmp_path: Path
) -> None:
    found = dossiers(by_rules)
    drawn = draw_items(found, seed=1)
    sheet, page, key = write_sheet(drawn, tmp_path / "sheet", tmp_path / "key.json")
    table = pd.read_csv(sheet)
    again = [item for item, _ in drawn if item.again]
    assert len(table) == len(found) + len(again)
    assert len(again) == int(np.ceil(0.1 * len(found)))
    order = [item.hypothesis for item, _ in drawn if not item.again]
    assert order != [one.hypothesis.id for one in found]
    assert sorted(order) == sorted(one.hypothesis.id for one in found)
    names = [item.item for item, _ in drawn]
    assert all(names.index(item.item) > names.index(item.again) for item in again)
    for path in (sheet, page):
        text = path.read_text()
        for word in (
            by_rules.id,
            "composed by rules",
            "supported",
            "refuted",
            "calibrated confidence",
            "rank",
        ):
            assert word not in text, word
    with pytest.raises(InputError, match="the key lies in the folder"):
        write_sheet(drawn, tmp_path / "other", tmp_path / "other" / "key.json")
    assert json.loads(key.read_text())["items"][0]["run"] == by_rules.id


def test_markup_and_formulas_in_a_statement_stay_text(by_rules: nereus.Run, tmp_path: Path) -> None:
    from dataclasses import replace

    one = replace(dossiers(by_rules)[0], statement="=cmd() <script>alert(1)</script>")
    sheet, page, _ = write_sheet(draw_items([one], 0), tmp_path / "sheet", tmp_path / "key.json")
    assert "<script>alert" not in page.read_text()
    assert pd.read_csv(sheet)["statement"][0].startswith("'=")


def filled(sheet: Path, target: Path, level: Any) -> Path:
    table = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    for metric in METRICS:
        table[metric] = [str(level(number, item)) for number, item in enumerate(table["item"])]
    table["label"] = "plausible-new"
    table.to_csv(target, index=False)
    return target


def test_filled_sheets_come_back_with_their_agreement(
    by_rules: nereus.Run, tmp_path: Path, home: Path
) -> None:
    drawn = draw_items(dossiers(by_rules), seed=1)
    sheet, _, key = write_sheet(drawn, tmp_path / "sheet", tmp_path / "key.json")
    hypothesis = {item.item: int(item.hypothesis[1:]) for item, _ in drawn}
    anna = filled(sheet, tmp_path / "anna.csv", lambda number, item: 1 + hypothesis[item] % 5)
    bert = filled(
        sheet,
        tmp_path / "bert.csv",
        lambda number, item: 1 + (hypothesis[item] + (hypothesis[item] == 2)) % 5,
    )
    cleo = filled(sheet, tmp_path / "cleo.csv", lambda number, item: 5 - hypothesis[item] % 5)
    reviews = read_sheets([anna, bert, cleo], key)
    proxies, _ = judge_run(by_rules, load_settings(home=home), by_model=False)
    table = agreement_table(reviews, {"proxy": proxies}).set_index(["pair", "metric"])
    assert table.loc[("anna ~ anna again", "novelty"), "exact"] == 1
    near, far = (table.loc[(f"anna ~ {name}", "novelty"), "kappa"] for name in ("bert", "cleo"))
    assert far < 0 < 0.8 < near < 1
    first = (
        reviews[reviews["again"] == ""].pivot(index="key", columns="reviewer", values="novelty").astype(int)
    )
    assert near == pytest.approx(cohen_kappa_score(first["anna"], first["bert"], weights="quadratic"))
    assert table.loc[("anna ~ proxy", "coherence"), "n"] == len(first)
    gaps = to_talk_over(reviews)
    apart = (first.max(axis=1) - first.min(axis=1)) >= 2
    assert set(gaps["key"]) == set(first.index[apart])


def test_kappa_is_the_textbook_value() -> None:
    first, second = pd.Series([1, 1, 2, 3, 5, 4]), pd.Series([1, 2, 2, 4, 5, 4])
    observed = pd.crosstab(first, second).reindex(index=range(1, 6), columns=range(1, 6), fill_value=0) / 6
    weights = np.subtract.outer(range(5), range(5)) ** 2
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    by_hand = 1 - (weights * observed.to_numpy()).sum() / (weights * expected).sum()
    assert weighted_kappa(first, second) == (pytest.approx(by_hand), 6)
    assert np.isnan(weighted_kappa(pd.Series([3, 3]), pd.Series([3, 3]))[0])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("novelty", "7", "novelty is '7'"),
        ("label", "maybe", "label is 'maybe'"),
        ("item", "i999", "not in the key"),
    ],
)
def test_a_wrong_cell_is_named(
    by_rules: nereus.Run, tmp_path: Path, column: str, value: str, message: str
) -> None:
    sheet, _, key = write_sheet(draw_items(dossiers(by_rules), 1), tmp_path / "sheet", tmp_path / "key.json")
    table = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "me.csv", index=False)
    with pytest.raises(InputError, match=message) as caught:
        read_sheets([tmp_path / "me.csv"], key)
    assert "line 3" in str(caught.value)
