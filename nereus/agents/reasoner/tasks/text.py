r"""Questions in words: plan steps and a solution written by a language model, in tags.

A reply is one plan step, ``<step>...</step>``, or the whole solution, ``<solution>...\boxed{answer}</solution>``,
that ends the path. Anything else breaks the form: both at once, more than one plan step, a solution without a boxed
answer. What is written by a model is text to be judged, never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from nereus.agents.reasoner.problem import Problem, State, Turn

STEP, SOLUTION = "step", "solution"
END_OF_STEP = f"</{STEP}>"
END_OF_SOLUTION = f"</{SOLUTION}>"
ASKED = (
    "Plan before you solve. Write one plan step at a time as <step>what to do next</step>. When the plan is complete, write the "
    "whole solution as <solution>the working, ending with \\boxed{the answer}</solution>."
)
EXAMPLES: tuple[tuple[str, Sequence[str], str], ...] = (
    (
        "A box holds 4 rows of 6 eggs. 5 eggs are broken. How many are whole?",
        ("Find how many eggs the box holds from its rows.", "Take away the broken ones."),
        "The box holds 4 * 6 = 24 eggs. 24 - 5 = 19 are whole, so \\boxed{19}",
    ),
    (
        "Nia reads 12 pages a day for a week and then 20 more. How many pages does she read?",
        ("Find the pages of the week from the pages of a day.", "Add the pages that come after."),
        "A week has 7 days: 12 * 7 = 84 pages. 84 + 20 = 104, so \\boxed{104}",
    ),
)
"""Two worked examples, ours."""


class TextProblem(Problem):
    """A question in words.

    Parameters
    ----------
    question
        The question.
    checker
        Tells whether a boxed answer is right; without one a value must judge.
    """

    name: ClassVar[str] = "text"
    max_depth = 6

    def __init__(self, question: str, checker: Callable[[str], bool] | None = None) -> None:
        self._question = question
        self.checker = checker

    @property
    def question(self) -> str:
        """See `Problem`."""
        return self._question

    def start(self) -> State:
        """See `Problem`."""
        return ()

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        assert isinstance(state, tuple)
        steps = re.findall(rf"<{STEP}>(.*?)</{STEP}>", step, re.DOTALL)
        solutions = re.findall(rf"<{SOLUTION}>(.*?)</{SOLUTION}>", step, re.DOTALL)
        after = (*state, step.strip())
        if len(steps) + len(solutions) != 1:
            found = f"{len(steps)} plan steps and {len(solutions)} solutions in one reply"
            return Turn(after, True, -1.0, found)
        if steps:
            return Turn(after)
        answer = boxed(solutions[0])
        if answer is None:
            return Turn(after, True, -1.0, "a solution without a boxed answer", solution=True)
        reward = None if self.checker is None else 1.0 if self.checker(answer) else -1.0
        return Turn(after, True, reward, solution=True)

    def prompt(self, state: State) -> str:
        """See `Problem`."""
        assert isinstance(state, tuple)
        return "\n".join([f"<question>{self._question}</question>", *map(str, state), ""])


def with_examples(prompt: str) -> str:
    """A prefix below the request and two worked examples, for a model that was not trained on the form."""
    shown = [
        "\n".join(
            [
                f"<question>{q}</question>",
                *(f"<{STEP}>{s}</{STEP}>" for s in steps),
                f"<{SOLUTION}>{end}</{SOLUTION}>",
            ]
        )
        for q, steps, end in EXAMPLES
    ]
    return "\n\n".join([ASKED, *shown, prompt])


def boxed(text: str) -> str | None:
    r"""What the last ``\boxed{...}`` holds; None where there is none. Braces inside may be nested."""
    at = text.rfind("\\boxed{")
    if at < 0:
        return None
    depth, start = 1, at + len("\\boxed{")
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start:i].strip()
    return None


def same_number(expected: str) -> Callable[[str], bool]:
    """A checker of answers that are numbers: thousands separators, units around and a trailing full stop do not matter."""
    aim = _number(expected)

    def check(answer: str) -> bool:
        found = _number(answer)
        return found is not None and aim is not None and abs(found - aim) <= 1e-6 * max(1.0, abs(aim))

    return check


def _number(text: str) -> float | None:
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
    return float(found[-1]) if found else None
