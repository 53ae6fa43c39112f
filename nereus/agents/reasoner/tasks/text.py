r"""Questions in words: plan steps and a solution written by a language model, in tags.

A reply is one plan step, ``<step>...</step>``, or the whole solution, ``<solution>...\boxed{answer}</solution>``,
that ends the path. Anything else breaks the form: both at once, more than one plan step, one that is empty or not
closed, a solution without a boxed answer. What is written by a model is text to be judged, never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import ClassVar

from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.errors import InputError

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
        begun = step.count(f"<{STEP}>"), step.count(f"<{SOLUTION}>")
        after = (*state, step.strip())
        if sum(begun) != 1:
            return Turn(after, True, -1.0, f"{begun[0]} plan steps and {begun[1]} solutions in one reply")
        if not steps and not solutions:
            return Turn(after, True, -1.0, "what was begun is not closed")
        if not (steps or solutions)[0].strip():
            return Turn(after, True, -1.0, "nothing is written in it")
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
    """A checker of answers that are numbers.

    Thousands separators, a currency, a unit or a percent sign around it, a trailing full stop and LaTeX's spaces do not matter;
    fractions are computed. What holds several numbers is no answer, whichever of them is right: a list, a range, a
    calculation (but of ``3 * 6 = 18`` the end counts).

    Raises
    ------
    InputError
        The expected answer is no number.
    """
    aim = number_in(expected)
    if aim is None:
        raise InputError(
            f"{expected!r} is not one number",
            where="checker of answers",
            mend="give the right answer as a number",
        )

    def check(answer: str) -> bool:
        found = number_in(answer)
        return found is not None and abs(found - aim) <= _NEAR * max(Fraction(1), abs(aim))

    return check


_SPACES = re.compile(r"\\[,;:! ]|~|[\u00a0\u2009\u202f]")
_WORDS = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|operatorname)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_LETTER = r"[A-Za-z\u00b0\u00b5\u03bc]"
_UNIT = re.compile(
    rf"(?!(?<=\d)[eE][+-]?\d){_LETTER}(?:{_LETTER}|\.(?!\d))*(?:\^\{{?-?\d\}}?|[\u00b2\u00b3\d])?"
)
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?:[eE][+-]?\d{1,2})?")
_CALCULATION = re.compile(r"[\d\s.+*/()\u00d7\u00b7-]*")
_NEAR = Fraction(1, 1_000_000)
_LONGEST = 200
"""Characters of an answer beyond which it is no number."""


def number_in(text: str) -> Fraction | None:
    """The one number that a text holds, exactly; None where it holds none or several."""
    if len(text) > _LONGEST:
        return None
    text = text.replace("{,}", ",").replace("\u2212", "-").replace("\\%", "%").replace("\\$", "$")
    text = _WORDS.sub(r" \1", _SPACES.sub(" ", text))
    before, equals, text = _FRACTION.sub(r"(\1)/(\2)", text).rpartition("=")
    if equals and not _leads_to(before):
        return None
    text = re.sub(r"[$%\u20ac\u00a3{}()]", " ", _UNIT.sub(" ", text)).strip().rstrip("./,;!? ")
    parts = [_exact(part.strip()) for part in text.split("/")]
    if len(parts) == 1:
        return parts[0]
    if len(parts) != 2 or parts[0] is None or not parts[1]:
        return None
    return parts[0] / parts[1]


def _leads_to(before: str) -> bool:
    """Whether what stands before an equals sign is a name or a calculation, and not an answer of its own."""
    bare = _UNIT.sub(
        " ", before.replace("\\times", "*").replace("\\cdot", "*").replace("$", " ").replace("%", " ")
    )
    numbers = re.findall(r"\d+", bare)
    return bool(_CALCULATION.fullmatch(bare)) and (
        not numbers or any(sign in bare for sign in "+-*/\u00d7\u00b7")
    )


def _exact(digits: str) -> Fraction | None:
    """Of decimal digits, in groups of three or without; None where it is anything else."""
    digits = re.sub(r"^([+-])\s+", r"\1", digits)
    if not _NUMBER.fullmatch(digits) or not any(one.isdigit() for one in digits):
        return None
    return Fraction(digits.replace(",", ""))
