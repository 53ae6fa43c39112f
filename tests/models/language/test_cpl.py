"""Step-APO: the formula and its gradient, what it recovers and DPO does not, its traps, and training on it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from benchmarks.reasoning.exact import formulas, recovery
from nereus.errors import InputError
from nereus.models.language.cpl import causal, fitting
from nereus.models.language.cpl.causal import (
    CausalFitting,
    Characters,
    encode,
    from_scratch,
    step_log_probabilities,
)
from nereus.models.language.cpl.choices import Choices, Comparison, Described, Imitation
from nereus.models.language.cpl.fitting import Fitting
from nereus.models.language.cpl.linear import LinearPolicy, LinearValue
from nereus.models.language.cpl.network import NetworkPolicy, StepNetwork
from nereus.models.language.cpl.rows import SolutionPath, StepPair, held_out, read_jsonl, write_jsonl
from nereus.models.language.cpl.sampling import EndpointSampler, LocalSampler
from nereus.models.language.cpl.step_apo import StepApo, checked_options, loss, margins, pull


def comparison(n: int = 30, seed: int = 0) -> Comparison:
    rng = np.random.default_rng(seed)
    sets = [Described.of(rng.normal(size=(4, 5)), rng.integers(0, 7, (4, 2))) for _ in range(n)]
    chosen = rng.integers(0, 2, n)
    return Comparison(Choices.of(sets), chosen, chosen + 2, rng.uniform(0.1, 1, n), rng.uniform(-1, -0.1, n))


# -------------------------------------------------------------------------------------------------------- formulas


def test_loss_and_gradients_equal_the_formulas() -> None:
    errors = formulas(seed=3)
    assert max(errors.values()) <= 1e-6, errors


def test_a_loss_by_hand() -> None:
    # beta 0.3: 0.3 * (2 - (-1)) - (0.8 - (-0.4)) = -0.3; -log sigma(-0.3) = 0.854355...
    assert loss([2.0], [-1.0], [0.8], [-0.4], StepApo())[0] == pytest.approx(0.8543552444685272, abs=1e-12)


def test_at_equal_values_it_is_dpo() -> None:
    rng = np.random.default_rng(0)
    a, b, q = rng.normal(size=(3, 20)).clip(-1, 1)
    assert loss(a, b, q, q, StepApo()) == pytest.approx(loss(a, b, q, q, StepApo(alpha=0.0)), abs=1e-15)
    assert loss(a, b, q, q, StepApo()) == pytest.approx(np.log1p(np.exp(-0.3 * (a - b))), abs=1e-12)


def test_larger_gaps_need_larger_margins_and_pull_more() -> None:
    gaps = np.linspace(0, 2, 9)
    margin = margins(np.zeros(9), np.zeros(9), gaps / 2, -gaps / 2, StepApo())
    assert (np.diff(margin) < 0).all(), "the same log-ratios are further from what is demanded"
    slope = pull(np.zeros(9), np.zeros(9), gaps / 2, -gaps / 2, StepApo())
    assert (np.diff(slope) < 0).all(), "the gradient by the chosen step's log-probability is more negative"


def test_the_best_policy_is_recovered_and_dpo_does_not() -> None:
    found = recovery(seed=5)
    assert abs(found["step_apo_kl"]) <= 1e-6
    assert found["dpo_kl"] >= 1e-2
    assert min(found["step_apo_hard_labels_kl"], found["dpo_hard_labels_kl"]) > 1, (
        "hard labels recover neither"
    )


@pytest.mark.parametrize("tau", [0.5, 1.0, float("inf")])
def test_the_optimum_of_soft_labels_is_the_one_that_is_documented(tau: float) -> None:
    rng = np.random.default_rng(3)
    q, beta = rng.uniform(-1, 1, 6), 0.3
    reference = np.log(rng.dirichlet(np.ones(6)))
    w, l = np.triu_indices(6, 1)  # noqa: E741 - the paper's names
    options = StepApo(beta=beta, soft_labels=True, tau=tau)
    logits = reference.copy()
    for _ in range(4000):
        ratio = logits - reference
        slope = pull(ratio[w], ratio[l], q[w], q[l], options)
        np.add.at(logits, w, -2.0 * slope)
        np.add.at(logits, l, 2.0 * slope)
    expected = reference + (1.0 + 1.0 / tau) * q / beta
    assert logits - logits.mean() == pytest.approx(expected - expected.mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"beta": 0.0}, "beta = 0.0 is not positive"),
        ({"tau": -1.0}, "tau"),
        ({"alpha": -1.0}, "larger gaps would need smaller"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        checked_options(**options)


def test_values_outside_the_scale_are_refused() -> None:
    with pytest.raises(InputError, match=r"q_chosen = 1.5 of pair 1 lies outside \[-1, 1\]"):
        loss([0, 0], [0, 0], [0.5, 1.5], [0, 0], StepApo())
    with pytest.raises(InputError, match="outside"):
        loss([0.0], [0.0], [float("nan")], [0.0], StepApo())


# ----------------------------------------------------------------------------------------------------------- rows


def test_rows_go_to_json_lines_and_back(tmp_path: Path) -> None:
    pairs = [
        StepPair(prompt="p", chosen="a", rejected="b", q_chosen=0.5, q_rejected=-0.5, tree=f"t{i}", parent=i)
        for i in range(3)
    ]
    file = tmp_path / "pairs.jsonl"
    assert write_jsonl(pairs, file) == 3
    first = json.loads(file.read_text().splitlines()[0])
    assert list(first) == ["prompt", "chosen", "rejected", "q_chosen", "q_rejected"]
    assert [one.chosen for one in read_jsonl(file)] == ["a", "a", "a"]
    file.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "q_chosen": 2, "q_rejected": 0}\n')
    with pytest.raises(InputError, match=r"pairs.jsonl, line 1: q_chosen"):
        read_jsonl(file)


def test_steps_with_any_character_survive_json_lines(tmp_path: Path) -> None:
    odd = "one\u2028two\x85three\x0bfour\x1cfive\nsix\r\nseven \U0001f9ea"
    pairs = [StepPair(prompt=odd, chosen=odd + "a", rejected=odd + "b", q_chosen=0.5, q_rejected=-0.5)] * 2
    file = tmp_path / "pairs.jsonl"
    write_jsonl(pairs, file)
    assert [(p.prompt, p.chosen) for p in read_jsonl(file)] == [(odd, odd + "a")] * 2


def test_json_lines_are_the_preference_format_of_common_trainers(tmp_path: Path) -> None:
    """TRL reads text columns `prompt`, `chosen`, `rejected` (its "standard" preference format), through Arrow's reader."""
    from pyarrow import json as arrow

    pairs = [
        StepPair(
            prompt="2 3: left 2 3:", chosen="2*3=6", rejected='odd "\u2028\n', q_chosen=1.0, q_rejected=-0.25
        ),
        StepPair(prompt="4:", chosen="\u00e9", rejected="b", q_chosen=0.0, q_rejected=-1.0),
    ]
    file = tmp_path / "pairs.jsonl"
    write_jsonl(pairs, file)
    table = arrow.read_json(file)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert {name: kinds[name] for name in ("prompt", "chosen", "rejected")} == dict.fromkeys(
        ("prompt", "chosen", "rejected"), "string"
    )
    assert kinds["q_chosen"] == kinds["q_rejected"] == "double"
    for row, pair in zip(table.to_pylist(), pairs, strict=True):
        assert (row["prompt"], row["chosen"], row["rejected"]) == (pair.prompt, pair.chosen, pair.rejected)
        # The trainer joins prompt and completion: neither may contain the other's part.
        assert not row["chosen"].startswith(row["prompt"])


def test_whole_trees_are_held_out() -> None:
    pairs = [
        StepPair(prompt="p", chosen="a", rejected="b", q_chosen=0.5, q_rejected=-0.5, tree=f"t{i % 20:02d}")
        for i in range(100)
    ]
    own, aside = held_out(pairs, 0.1)
    assert len(own) + len(aside) == 100
    assert len(aside) == 10
    assert {p.tree for p in own}.isdisjoint({p.tree for p in aside})
    assert held_out(pairs[::-1], 0.1)[1] == aside[::-1]


# -------------------------------------------------------------------------------------------------------- policies


def test_a_linear_policy_learns_what_is_preferred_and_stops_by_held_out_pairs() -> None:
    data, aside = comparison(80), comparison(40, seed=1)
    direction = np.array([1.0, -1.0, 0.5, 0.0, 0.0])
    for part in (data, aside):
        first = part.choices.starts[:-1]
        for i in range(len(part)):
            rows = part.choices.rows.features[first[i] : first[i] + 4]
            order = np.argsort(rows @ direction)
            part.chosen[i], part.rejected[i] = order[-1], order[0]
    policy = LinearPolicy(np.zeros(5))
    before = policy.copy()
    course = policy.prefer(data, StepApo(), held_out=aside, steps=200)
    assert course[-1][1] < course[0][1]
    assert policy.weights @ direction > 0.5 * np.linalg.norm(policy.weights) * np.linalg.norm(direction)
    assert (before.weights == 0).all(), "the reference stays as it was"
    # Random preferences cannot be learned: training stops long before its last step.
    noise = LinearPolicy(np.zeros(5))
    assert (
        len(noise.prefer(comparison(12, 5), StepApo(), held_out=comparison(60, 6), steps=3000, patience=10))
        < 3000
    )


def test_a_reference_that_shares_weights_is_refused() -> None:
    policy = LinearPolicy(np.ones(5))
    with pytest.raises(InputError, match="shares its weights"):
        policy.preference_loss(comparison(), LinearPolicy(policy.weights), StepApo())
    network = NetworkPolicy(StepNetwork(5, 2, 7, width=8, layers=1))
    with pytest.raises(InputError, match="every ratio is 1"):
        fitting.preference_losses(network, network, comparison(), StepApo())


def test_imitation_reaches_the_maximum_likelihood_of_a_softmax() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.5, -1.0, 0.0])
    sets = [Described.of(rng.normal(size=(6, 3))) for _ in range(3000)]
    taken = []
    for one in sets:
        p = np.exp(one.features @ truth)
        taken.append(rng.choice(6, p=p / p.sum()))
    policy = LinearPolicy(np.zeros(3))
    policy.imitate(Imitation(Choices.of(sets), np.array(taken)), ridge=0.0)
    assert policy.weights == pytest.approx(truth, abs=0.12)


def test_torch_and_numpy_have_the_same_loss_and_gradients_go_to_the_policy_alone() -> None:
    torch.manual_seed(0)
    policy = NetworkPolicy(StepNetwork(5, 2, 7, width=8, layers=1))
    reference = policy.copy()
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    data, options = comparison(), StepApo(soft_labels=True, tau=0.5)
    made = fitting.preference_losses(policy, reference, data, options)
    ratio = policy.log_probabilities(data.choices) - reference.log_probabilities(data.choices)
    first = data.choices.starts[:-1]
    by_hand = loss(
        ratio[first + data.chosen], ratio[first + data.rejected], data.q_chosen, data.q_rejected, options
    )
    assert made.detach().numpy() == pytest.approx(by_hand, abs=1e-5)
    made.mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.network.parameters())
    assert all(p.grad is None for p in reference.network.parameters())


def test_a_network_learns_symbols_that_features_do_not_show() -> None:
    rng = np.random.default_rng(0)

    def decisions(n: int) -> Imitation:
        sets = [Described.of(rng.normal(size=(4, 2)), rng.permutation(8)[:4, None]) for _ in range(n)]
        return Imitation(Choices.of(sets), np.array([int(np.argmax(one.tokens[:, 0])) for one in sets]))

    torch.manual_seed(1)
    policy = NetworkPolicy(StepNetwork(2, 1, 8, width=16, layers=1))
    test = decisions(100)
    fitting.imitate(policy, decisions(300), Fitting(steps=300, batch=32, rate=5e-3), decisions(50))
    log_p = policy.log_probabilities(test.choices)
    right = log_p[test.choices.starts[:-1] + test.taken] > np.log(0.5)
    assert right.mean() > 0.9


def test_values_are_fitted_within_the_scale() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3))
    aim = np.tanh(features @ [1.0, -0.5, 0.0])
    linear = LinearValue.fit(Described.of(features), aim)
    assert np.corrcoef(linear.values(Described.of(features)), aim)[0, 1] > 0.98
    torch.manual_seed(0)
    network = fitting.fit_value(
        StepNetwork(3, 0, 0, width=16, layers=1, bounded=True),
        Described.of(features),
        aim,
        Fitting(steps=300, rate=5e-3),
    )
    made = network.values(Described.of(features * 100))
    assert np.abs(made).max() <= 1
    with pytest.raises(InputError, match="too few"):
        LinearValue.fit(Described.of(features[:1]), aim[:1])


# ------------------------------------------------------------------------------------------------- language models


def small_model(text: str) -> tuple[object, Characters]:
    tokenizer = Characters.of([text])
    return from_scratch(len(tokenizer), width=32, layers=2, heads=2, context=64), tokenizer


def test_log_probabilities_are_sums_over_the_tokens_of_the_step() -> None:
    model, tokenizer = small_model("abc=12 ")
    rows = [encode(tokenizer, "abc=", "12", 1), encode(tokenizer, "a=", "121212", 1)]
    made = step_log_probabilities(model, rows)
    for row, found in zip(rows, made.detach(), strict=True):
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)  # type: ignore[operator]
        single = [logits[i - 1, row.ids[i]] for i in range(row.start, len(row.ids))]
        assert len(single) == len(row.ids) - row.start
        assert float(found) == pytest.approx(sum(float(one.detach()) for one in single), abs=1e-4), (
            "a sum, not a mean, and filling changes nothing"
        )


def test_a_model_made_from_scratch_learns_steps_and_preferences() -> None:
    paths = [SolutionPath(question=f"{a}?", prompts=(f"{a}?",), steps=(f"{a}!",), reward=1.0) for a in "abcd"]
    model, tokenizer = small_model("abcd?!")
    course = causal.imitate(model, tokenizer, paths, CausalFitting(epochs=60, batch=4, rate=5e-3))
    assert course.losses[-1] < 0.2 * course.losses[0]
    sampler = LocalSampler(model, tokenizer, temperature=0.0, most_tokens=4)
    assert [found[0].text for found in sampler.sample(["a?", "d?"], [1, 1], [0, 0])] == ["a!", "d!"]
    pairs = [
        StepPair(prompt=f"{a}?", chosen=f"{b}!", rejected=f"{a}!", q_chosen=0.9, q_rejected=-0.9)
        for a, b in zip("abcd", "bcda", strict=True)
    ]
    twin = copy.deepcopy(model)
    causal.prefer(model, tokenizer, pairs, StepApo(), CausalFitting(epochs=40, batch=4, rate=2e-3))
    chosen = [encode(tokenizer, p.prompt, p.chosen, 1) for p in pairs]
    rejected = [encode(tokenizer, p.prompt, p.rejected, 1) for p in pairs]
    with torch.no_grad():
        gap = step_log_probabilities(model, chosen) - step_log_probabilities(model, rejected)
        before = step_log_probabilities(twin, chosen) - step_log_probabilities(twin, rejected)
    assert (0.3 * (gap - before) > 1.0).all(), "log-ratios go towards the margin of 1.8 that the gap demands"


def test_whole_solutions_are_preferred_by_sums_over_their_steps() -> None:
    model, tokenizer = small_model("abcd?!")
    good = SolutionPath(question="a?", prompts=("a?", "a?b!"), steps=("b!", "c!"), reward=1.0)
    bad = SolutionPath(question="a?", prompts=("a?",), steps=("d!",), reward=-1.0)
    twin = copy.deepcopy(model)
    course = causal.prefer_solutions(
        model, tokenizer, [(good, bad)], StepApo(alpha=0.0), CausalFitting(epochs=30, batch=1, rate=2e-3)
    )
    assert course.losses[0] == pytest.approx(float(np.log(2)), abs=1e-4), "at the start all ratios are 1"

    def margin(of: object) -> float:
        with torch.no_grad():
            steps = [encode(tokenizer, p, s, 1) for p, s in zip(good.prompts, good.steps, strict=True)]
            worse = step_log_probabilities(of, [encode(tokenizer, "a?", "d!", 1)])
            return float(step_log_probabilities(of, steps).sum() - worse.sum())

    loss_now = np.log1p(np.exp(-0.3 * (margin(model) - margin(twin))))
    assert loss_now < 0.6 * np.log(2)
    assert course.losses[-1] == pytest.approx(loss_now, rel=0.15)


def test_adapters_learn_and_the_model_below_is_the_reference() -> None:
    pytest.importorskip("peft")
    model, tokenizer = small_model("abcd?!")
    adapted = causal.adapted(model, rank=4)  # type: ignore[arg-type]
    pairs = [StepPair(prompt="a?", chosen="b!", rejected="a!", q_chosen=0.5, q_rejected=-0.5)]
    rows = [encode(tokenizer, "a?", "b!", 1), encode(tokenizer, "a?", "a!", 1)]
    with torch.no_grad(), adapted.disable_adapter():
        before = step_log_probabilities(adapted, rows)
    course = causal.prefer(adapted, tokenizer, pairs, StepApo(), CausalFitting(epochs=30, batch=1, rate=1e-2))
    assert course.losses[0] == pytest.approx(float(np.log1p(np.exp(1.0))), abs=1e-4), (
        "at the start all ratios are 1"
    )
    assert course.losses[-1] < course.losses[0]
    with torch.no_grad(), adapted.disable_adapter():
        assert step_log_probabilities(adapted, rows).tolist() == pytest.approx(before.tolist(), abs=1e-6)


def test_too_long_prefixes_are_left_out_and_counted() -> None:
    model, tokenizer = small_model("abc?!")
    paths = [SolutionPath(question="q", prompts=("a?", "a" * 90), steps=("b!", "c!"), reward=1.0)]
    assert causal.imitate(model, tokenizer, paths, CausalFitting(epochs=1, cutoff=20)).dropped == 1
    with pytest.raises(InputError, match="all 2 are longer than the cutoff of 2 tokens"):
        causal.imitate(model, tokenizer, paths, CausalFitting(epochs=1, cutoff=2))
    with pytest.raises(InputError, match="there are 0"):
        causal.prefer(model, tokenizer, [], StepApo(), CausalFitting())
    with pytest.raises(InputError, match="the policy itself"):
        causal.prefer(model, tokenizer, [], StepApo(), CausalFitting(), reference=model)


def test_drawn_steps_have_the_log_probabilities_that_the_model_gives_them() -> None:
    model, tokenizer = small_model("abc?!")
    sampler = LocalSampler(model, tokenizer, temperature=1.0, most_tokens=5)
    for prompt, samples in zip(
        ("a?", "abcabc?"), sampler.sample(["a?", "abcabc?"], [6, 6], [3, 4]), strict=True
    ):
        for one in samples:
            ids = tokenizer.encode(prompt)
            text = tokenizer.encode(one.text)
            full = torch.tensor([[*ids, *text]])
            with torch.no_grad():
                logits = model(input_ids=full).logits[0].log_softmax(-1)  # type: ignore[operator]
            if len(text) == 5:  # not ended, and no symbol that is left out of the text
                own = [logits[len(ids) + i - 1, token] for i, token in enumerate(text)]
                assert one.log_probability == pytest.approx(float(sum(own)) / 5, abs=1e-4)
    alone = [one.text for one in sampler.sample(["a?"], [3], [3])[0]]
    beside = sampler.sample(["abcabc?", "a?", "c?"], [2, 3, 1], [9, 3, 5])[1]
    assert [one.text for one in beside] == alone, "what is asked beside a prefix does not change its draws"
    drawn = [one.text for one in sampler.sample(["a?"], [40], [1])[0]]
    assert len(set(drawn)) > 20
    assert drawn != [one.text for one in sampler.sample(["a?"], [40], [2])[0]]


def test_drawn_symbols_are_as_frequent_as_likely() -> None:
    model, tokenizer = small_model("abc?!")
    with torch.no_grad():
        p = model(input_ids=torch.tensor([tokenizer.encode("a?")])).logits[0, -1].softmax(-1)  # type: ignore[operator]
    drawn = LocalSampler(model, tokenizer, temperature=1.0, most_tokens=1).sample(["a?"], [4000], [0])[0]
    share = np.mean([one.text == "b" for one in drawn])
    assert share == pytest.approx(float(p[tokenizer.encode("b")[0]]), abs=0.025)


def test_steps_end_with_the_symbol_of_their_tokenizer() -> None:
    class Foreign:
        eos_token_id, pad_token_id = 7, None

        def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
            return [3 + ord(one) % 4 for one in text]

    assert causal.symbols(Characters("ab")) == (Characters.END, Characters.FILL)
    assert causal.symbols(Foreign()) == (7, 7)
    assert causal.symbols(Foreign(), end=5, fill=2) == (5, 2)
    model = from_scratch(8, width=16, layers=1, heads=2, context=32)
    paths = [SolutionPath(question="q", prompts=("a",), steps=("b",), reward=1.0)] * 4
    causal.imitate(model, Foreign(), paths, CausalFitting(epochs=60, batch=4, rate=2e-2))
    with torch.no_grad():
        after = model(input_ids=torch.tensor([Foreign().encode("ab")])).logits[0, -1]
    assert int(after.argmax()) == 7
    endless = type("Endless", (), {"encode": Foreign.encode})()
    with pytest.raises(InputError, match="no symbol that ends"):
        causal.imitate(model, endless, paths, CausalFitting())


def test_an_endpoint_is_asked_once_for_all_prefixes() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        asked.append(body)
        choices = [
            {"index": i, "text": f"s{i}", "logprobs": {"token_logprobs": [-0.5, -1.5]}}
            for i in range(len(body["prompt"]) * body["n"])
        ]
        return httpx.Response(200, json={"choices": choices[::-1]})

    with httpx.Client(base_url="http://here/v1/", transport=httpx.MockTransport(answer)) as client:
        made = EndpointSampler(client, "m").sample(["a", "b", "c"], [2, 2, 1], [1, 2, 3])
    assert [len(one) for one in made] == [2, 2, 1]
    assert [one.text for one in made[1]] == ["s2", "s3"]
    assert made[0][0].log_probability == -1.0
    assert [body["prompt"] for body in asked] == [["c"], ["a", "b"]]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (httpx.Response(404, text="no such model"), "404: no such model"),
        (httpx.Response(200, json={"choices": [{"index": 0, "text": "x"}]}), "no log-probabilities"),
        (httpx.Response(200, json={"choices": []}), "0 replies to 1 prefixes"),
    ],
)
def test_endpoints_that_cannot_be_used(reply: httpx.Response, says: str) -> None:
    with (
        httpx.Client(base_url="http://here/v1/", transport=httpx.MockTransport(lambda _: reply)) as client,
        pytest.raises(InputError, match=says),
    ):
        EndpointSampler(client, "m").sample(["a"], [1], [1])
