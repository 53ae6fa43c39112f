"""The problems: exact checkers, disjoint splits, forms of text, tool plans that do not see the truth."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.agents.reasoner.harvest import harvest
from nereus.agents.reasoner.learning import LearningOptions, learn
from nereus.agents.reasoner.modes import greedy, mcts
from nereus.agents.reasoner.policy import Proposal, Request, ScoredPolicy, UniformPolicy
from nereus.agents.reasoner.problem import Problem, State
from nereus.agents.reasoner.search import SearchOptions
from nereus.agents.reasoner.tasks import tool_plans
from nereus.agents.reasoner.tasks.countdown import Countdown, solutions_exist, solvable, split
from nereus.agents.reasoner.tasks.text import TextProblem, boxed, same_number, with_examples
from nereus.agents.reasoner.tasks.tool_plans import STAGES, TEMPLATE, Comparison, ToolPlan, plant
from nereus.agents.reasoner.tasks.word_problems import WordProblem, load, worked
from nereus.errors import InputError
from nereus.tools.steps import StepRunner


def walked(problem: Problem, steps: list[str]) -> float | None:
    state: State = problem.start()
    reward = None
    for step in steps:
        turn = problem.play(state, step)
        state, reward = turn.state, turn.reward
    return reward


# ------------------------------------------------------------------------------------------------------- countdown


def by_brute_force(numbers: tuple[int, ...]) -> bool:
    """Every formula of four numbers, written out."""
    calculate = {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b if b else None,
    }  # fmt: skip

    def chained(a: Fraction | None, sign: str, b: Fraction | None) -> Fraction | None:
        return None if a is None or b is None else calculate[sign](a, b)

    for a, b, c, d in permutations([Fraction(n) for n in numbers]):
        for x, y, z in product("+-*/", repeat=3):
            ways = (
                chained(chained(chained(a, x, b), y, c), z, d),
                chained(chained(a, x, chained(b, y, c)), z, d),
                chained(a, x, chained(chained(b, y, c), z, d)),
                chained(a, x, chained(b, y, chained(c, z, d))),
                chained(chained(a, x, b), y, chained(c, z, d)),
            )
            if 24 in ways:
                return True
    return False


def test_the_solver_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(0)
    for numbers in [(3, 3, 8, 8), (1, 5, 5, 5), (1, 1, 1, 1), *map(tuple, rng.integers(1, 14, (12, 4)))]:
        assert solutions_exist(numbers) == by_brute_force(numbers), numbers


def test_known_counts_and_splits_without_overlap() -> None:
    assert len(solvable()) == 1362, "of the 1820 multisets of four cards, as is well known"
    train, test = split(1, 300, 100)
    assert {p.numbers for p in train}.isdisjoint({p.numbers for p in test})
    assert [p.numbers for p in split(1, 300, 100)[1]] == [p.numbers for p in test]
    assert [p.numbers for p in split(2, 300, 100)[1]] != [p.numbers for p in test]
    with pytest.raises(InputError, match="1362 solvable"):
        split(0, 1300, 100)


def test_the_checker_is_exact_where_floats_are_not() -> None:
    problem = Countdown([3, 3, 8, 8])
    assert walked(problem, ["8/3=(8/3)", "3-(8/3)=(1/3)", "8/(1/3)=24"]) == 1.0
    assert walked(problem, ["8*3=24", "8-3=5", "24-5=19"]) == -1.0
    turn = problem.play(problem.start(), "8*3=25")
    assert (turn.reward, turn.ended) == (-1.0, True)
    assert "combine" in turn.violation


@pytest.mark.parametrize(
    ("numbers", "target", "says"),
    [
        ([1, 2.5, 3], 24, "2.5 is no whole number"),
        ([1, 2, 3], 0, "the target is 0"),
        ([1, 2, 3], -24, "the target is -24"),
        ([1], 24, "too few"),
    ],
)
def test_countdown_refuses_what_it_would_change(numbers: list[int], target: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Countdown(numbers, target)


def test_numbers_are_used_once_and_nothing_divides_by_zero() -> None:
    problem = Countdown([5, 5, 0, 2])
    moves = problem.moves(problem.start())
    assert not any("/0=" in move for move in moves)
    after = problem.play(problem.start(), "5*2=10").state
    assert "5*2=10" not in problem.moves(after), "one of the two 5 is left, but no 2"
    turn = problem.play(after, "5+5=10")
    assert (turn.ended, turn.reward) == (True, -1.0)
    five = Countdown([1, 2, 3, 4, 5])
    assert five.play(five.start(), "5*4=20").ended is False
    with pytest.raises(InputError, match="5 numbers are more than the 4"):
        five.describe_state(five.start())


def test_what_is_described_are_the_steps_asked_for_and_never_what_can_be_reached() -> None:
    problem = Countdown([2, 3, 4, 5])
    moves = problem.moves(problem.start())
    whole = problem.describe(problem.start(), moves)
    some = problem.describe(problem.start(), [moves[7], moves[2]])
    assert (some.features == whole.features[[7, 2]]).all()
    assert (some.tokens == whole.tokens[[7, 2]]).all()
    # Two prefixes that differ only in whether the target can be reached from them look alike but for their numbers.
    reach, lost = Countdown([4, 6, 1, 1]), Countdown([5, 7, 1, 1])
    assert (
        reach.describe_state(reach.start()).features.shape == lost.describe_state(lost.start()).features.shape
    )
    assert problem.restore(problem.dump(problem.start())) == problem.start()


# --------------------------------------------------------------------------------------------------- word problems


TOM = (
    "Tom has 12 apples and buys twice as many pears. He gives 50% of all fruit away, which is shared by 3 friends. "
    "How many does each get?"
)


def test_quantities_of_a_text_and_answers_by_computation() -> None:
    problem = WordProblem(TOM, (6, 1))
    assert problem.quantities == [(12, 1), (2, 1), (1, 2), (3, 1)]
    steps = ["12*2=24", "12+24=36", "(1/2)*36=18", "18/3=6", "the answer is 6"]
    assert walked(problem, steps) == 1.0
    assert walked(problem, [*steps[:3], "the answer is 18"]) == -1.0
    assert problem.describe((), problem.moves(())).features.shape[0] == len(problem.moves(()))
    with pytest.raises(InputError, match="1 quantities"):
        WordProblem("I have 3 apples.", (3, 1))


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("He has <<48/2=24>>24. <<48+24=72>>72\n#### 72", (72, 1)),
        ("<<100-50-30-15=5>>5\n#### 5", (5, 1)),
        ("<<2*(3+4)=14>>14 and <<14*.5=7>>7\n#### 7", (7, 1)),
        ("<<48/2=25>>25\n#### 25", None),
        ("<<48/2=24>>24\n#### 25", None),
        ("<<8/0=0>>\n#### 0", None),
        ("<<3-8=-5>>-5\n#### -5", (-5, 1)),
        ("<<3-8=-5>>-5\n#### 5", None),
        ("<<(3+4=7>>7\n#### 7", None),
        ("<<1200*2=2,400>>2400\n#### 2,400", (2400, 1)),
        ("no calculation\n#### 3", None),
    ],
)
def test_worked_solutions_are_computed_not_believed(solution: str, answer: tuple[int, int] | None) -> None:
    found = worked(solution)
    assert (None if found is None else found[0]) == answer


def test_gsm8k_is_read_and_what_is_left_out_is_counted(shared_data: Path) -> None:
    problems, left = load(shared_data / "gsm8k" / "test.jsonl.gz")
    assert len(problems) + sum(left.values()) == 1319
    assert len(problems) > 400
    assert not any("####" in problem.question or "<<" in problem.question for problem in problems)


# ------------------------------------------------------------------------------------------------------------ text


def test_forms_of_replies() -> None:
    problem = TextProblem("How many?", same_number("19"))
    plan = problem.play((), "<step>Count them.</step>")
    assert (plan.ended, plan.solution) == (False, False)
    right = problem.play(plan.state, "<solution>so \\boxed{19.0 eggs}</solution>")
    assert (right.ended, right.reward, right.solution) == (True, 1.0, True)
    assert problem.play((), "<solution>\\boxed{1,900}</solution>").reward == -1.0
    for reply in (
        "<step>a</step><step>b</step>",
        "<step>a</step><solution>\\boxed{19}</solution>",
        "<solution>19</solution>",
        "19",
        "<step>a</step><step>b",
        "<solution>\\boxed{19}</solution><step>and then",
        "<step> </step>",
        "<step>not closed",
    ):
        turn = problem.play((), reply)
        assert (turn.ended, turn.reward) == (True, -1.0)
        assert turn.violation, reply
    assert problem.prompt(plan.state).splitlines() == [
        "<question>How many?</question>",
        "<step>Count them.</step>",
    ]
    assert with_examples(problem.prompt(())).count("<question>") == 3
    assert boxed("\\boxed{\\frac{1}{2}} end") == "\\frac{1}{2}"
    assert boxed("\\boxed{1") is None


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("19", "19", True), ("19", "19.", True), ("19", "$19.00", True), ("19", "19 eggs", True), ("19", "x = 19", True),
        ("19", "4 * 6 - 5 = 19", True), ("1,900", "1900", True), ("1900", "1,900 km/h", True), ("1900", "1{,}900", True),
        ("0.5", "1/2", True), ("0.5", "\\frac{1}{2}", True), ("0.5", ".5", True), ("-5", "\u22125", True), ("50", "50\\%", True),
        ("3", "3\\text{ m}^2", True), ("1000", "1e3", True), ("20", "20 m2", True),
        ("5", ".5", False), ("5", "1/5", False), ("5", "2*5", False), ("5", "3, 4, 5", False), ("5", "4 or 5", False),
        ("5", "4-5", False), ("12", "1,2", False), ("3", "1e3", False), ("1", "1e3", False), ("7", "x=5, y=7", False),
        ("7", "5 or x=7", False), ("20", "19 of 20", False), ("30", "10:30", False), ("5", "5 to 7", False), ("5", "", False),
        ("5", "1 2 3 4 5", False), ("5", "5" * 400, False), ("0", "0/0", False),
    ],
)  # fmt: skip
def test_a_number_is_right_as_a_whole_or_not_at_all(expected: str, answer: str, right: bool) -> None:
    assert same_number(expected)(answer) is right


def test_a_checker_without_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="'several' is not one number"):
        same_number("several")


def test_no_question_of_gsm8k_is_in_both_parts(shared_data: Path) -> None:
    parts = [load(shared_data / "gsm8k" / f"{name}.jsonl.gz")[0] for name in ("train", "test")]
    train, test = ({" ".join(one.words) for one in part} for part in parts)
    assert not train & test


# ------------------------------------------------------------------------------------------------------ tool plans


def confounded(seed: int, n: int = 40, features: int = 80) -> anndata.AnnData:
    """Two groups, three quarters of one in the first batch, and batches that differ."""
    rng = np.random.default_rng(seed)
    group = np.repeat(["case", "control"], n // 2)
    first = np.concatenate([np.arange(n // 2) < 0.75 * n / 2, np.arange(n // 2) < 0.25 * n / 2])
    x = rng.normal(20, 1, (n, features)) + np.outer(first, rng.normal(0, 1.5, features))
    obs = pd.DataFrame(
        {"group": group, "plate": np.where(first, "p1", "p2")}, index=[f"s{i}" for i in range(n)]
    )
    return anndata.AnnData(
        x, obs=obs, var=pd.DataFrame({"gene": ""}, index=[f"F{i}" for i in range(features)])
    )


COMPARED = Comparison("group", "case", "control", batches=("plate",))


def test_plantings_keep_the_design_and_exchange_the_labels() -> None:
    data = confounded(0)
    planted, effects = plant(data, COMPARED, (1, 2))
    assert (
        pd.crosstab(planted.obs["group"], planted.obs["plate"])
        == pd.crosstab(data.obs["group"], data.obs["plate"])
    ).all(None)
    assert (planted.obs["group"] != data.obs["group"]).any()
    assert len(effects) == round(tool_plans.SHARE * 80)
    unchanged = [i for i, name in enumerate(data.var_names) if name not in effects]
    gap = np.asarray(planted.X)[:, unchanged] - np.asarray(data.X)[:, unchanged]
    assert np.ptp(gap, axis=1).max() < 1e-9, "what is not planted into moves with its sample alone"
    again, same = plant(data, COMPARED, (1, 2))
    assert same == effects
    assert (np.asarray(again.X) == np.asarray(planted.X)).all()
    with pytest.raises(InputError, match="fewer than two rows"):
        plant(data, Comparison("group", "case", "nobody"), (0, 0))


def test_subjects_keep_one_label_over_their_rows() -> None:
    data = confounded(0)
    data.obs["mouse"] = [f"m{i // 2}" for i in range(40)]
    planted, _ = plant(data, Comparison("group", "case", "control", subjects="mouse"), (0, 1))
    assert planted.obs.groupby("mouse")["group"].nunique().max() == 1


def test_a_batch_that_goes_with_the_groups_is_adjusted_for_and_steps_are_shared(runner: StepRunner) -> None:
    ref = runner.artifacts.put_dataset(confounded(0), "data")
    problem = ToolPlan(runner, ref, COMPARED, seed=0, plantings=3)
    answer = mcts(
        problem, UniformPolicy(), SearchOptions(simulations=40, root_children=4, children=4), seed=1
    )
    plan = problem.best(answer.steps, answer.reward)
    assert "adjust for plate" in plan
    assert len(plan) == len(STAGES)
    assert answer.reward is not None
    assert answer.reward > 0
    computed = len(runner.ledger.calls)  # type: ignore[attr-defined]
    again = mcts(problem, UniformPolicy(), SearchOptions(simulations=40, root_children=4, children=4), seed=1)
    assert again.steps == answer.steps
    assert len(runner.ledger.calls) == computed, "a second visit computes nothing"  # type: ignore[attr-defined]
    last, calls = problem.carry_out(plan)
    assert last.spec.tool in ("differential_abundance", "rank_test")
    assert calls[-1] is last
    # What was searched teaches a policy that plans the same without a search.
    assert answer.tree is not None
    rows = harvest([answer.tree])
    assert answer.steps in [path.steps for path in rows.paths]
    learned = learn([answer.tree], LearningOptions(preferences=None))
    assert "adjust for plate" in greedy(problem, ScoredPolicy(learned.policy.scorer, temperature=0.0)).steps


def test_plans_that_the_tools_refuse_and_steps_of_another_stage(runner: StepRunner) -> None:
    data = confounded(0)
    data.obs["plate"] = np.where(data.obs["group"] == "case", "p1", "p2")  # nothing can tell them apart
    problem = ToolPlan(runner, runner.artifacts.put_dataset(data, "data"), COMPARED, plantings=2)
    state: State = ()
    for step in ("keep rows", "normalise median", "keep samples", "adjust for plate"):
        state = problem.play(state, step).state
    turn = problem.play(state, "test moderated t")
    assert (turn.ended, turn.reward) == (True, -1.0)
    assert turn.violation
    assert "no step of the stage" in problem.play((), "test ranks").violation


def test_a_gain_by_which_a_plan_was_chosen_does_not_leave_the_template(runner: StepRunner) -> None:
    problem = ToolPlan(runner, runner.artifacts.put_dataset(confounded(0), "data"), COMPARED, plantings=2)
    lucky = ("keep rows", "normalise median", "keep samples", "compare plainly", "test ranks")
    better = ("keep rows", "normalise none", "keep samples", "adjust for plate", "test moderated t")
    problem._f1 = {TEMPLATE: np.array([0.1, 0.1]), lucky: np.array([0.9, 0.9]), better: np.array([0.1, 0.1])}
    assert problem.best(lucky, 1.0) == TEMPLATE, "what it was chosen by does not count"
    assert problem.best(better, 0.1) == better
    assert problem.best(better, -0.1) == TEMPLATE
    assert problem.best(better[:3], 0.1) == TEMPLATE


class Recording:
    """Says what a policy is shown."""

    id = "recording"

    def __init__(self) -> None:
        self.shown: list[str] = []

    def propose(self, requests: list[Request]) -> list[list[Proposal]]:
        self.shown += [one.problem.prompt(one.state) for one in requests]
        return [
            [Proposal(step, 0.5) for step in one.problem.moves(one.state)][: one.count] for one in requests
        ]


def test_no_policy_sees_what_was_planted(runner: StepRunner) -> None:
    problem = ToolPlan(runner, runner.artifacts.put_dataset(confounded(0), "data"), COMPARED, plantings=2)
    policy = Recording()
    mcts(problem, policy, SearchOptions(simulations=5, root_children=3, children=3))  # type: ignore[arg-type]
    planted = {name for _, effects in problem.planted for name in effects}
    assert policy.shown
    assert not any(name in text.split() for name in planted for text in policy.shown)
