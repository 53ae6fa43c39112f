"""Arithmetic word problems: combine the quantities of a text until one is the answer.

Quantities are the numbers of the text and what words such as *twice* or *dozen* mean. A step combines two quantities,
or says that the newest one is the answer. The checker computes: it evaluates the annotated calculation of the worked
solution (``<<48/2=24>>``) exactly. Nothing that a policy or value sees comes from the worked solution.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from math import log
from pathlib import Path
from typing import ClassVar

import numpy as np

from nereus.agents.reasoner.problem import Problem, State, Turn
from nereus.agents.reasoner.tasks.rational import (
    SIGNS,
    Number,
    combinations,
    combined,
    read,
    reduced,
    text,
    value,
)
from nereus.errors import InputError
from nereus.models.language.cpl.choices import Described

MOST_QUANTITIES = 6
"""Quantities of a text beyond which it is left out: steps grow with the square."""
MOST_STEPS = 4
"""Calculations of a worked solution beyond which a problem is left out."""
MEANINGS: dict[str, Number] = {
    "half": (1, 2), "twice": (2, 1), "double": (2, 1), "triple": (3, 1), "thrice": (3, 1), "dozen": (12, 1), "dozens": (12, 1),
    "one": (1, 1), "two": (2, 1), "three": (3, 1), "four": (4, 1), "five": (5, 1), "six": (6, 1), "seven": (7, 1),
    "eight": (8, 1), "nine": (9, 1), "ten": (10, 1), "twelve": (12, 1), "twenty": (20, 1), "third": (1, 3), "quarter": (1, 4),
}  # fmt: skip
"""Words that stand for quantities."""
_CUES = [
    "each", "every", "per", "total", "altogether", "all", "more", "less", "fewer", "than", "left", "remain",
    "rest", "half", "twice", "times", "percent", "double", "third", "hour", "minute", "day", "week", "month",
    "year", "dollar", "cost", "price", "pay", "spend", "sell", "buy", "give", "eat", "share", "split", "equal",
    "average", "remove", "lose", "add", "combine", "many", "much",
]  # fmt: skip
_WINDOW = 4
"""Words on each side of a quantity that are looked at."""
_TOKEN = re.compile(r"\d[\d,]*\.?\d*%?|[a-zA-Z]+|[?.!]")
_NUMBER = re.compile(r"^\d[\d,]*\.?\d*%?$")
_ANSWER = "the answer is "


class WordProblem(Problem):
    """A word problem.

    Parameters
    ----------
    question
        The text.
    answer
        The right answer.
    """

    name: ClassVar[str] = "word problem"

    def __init__(self, question: str, answer: Number) -> None:
        self._question, self.answer = question, answer
        self.max_depth = MOST_STEPS + 1
        self.words = [one.lower() for one in _TOKEN.findall(question.replace("$", " dollar "))]
        self.quantities, self.places = _quantities(self.words)
        if len(self.quantities) < 2:
            raise InputError(
                f"the text holds {len(self.quantities)} quantities",
                where=question[:80],
                mend="two or more are needed",
            )
        self._everywhere = _cues(self.words)
        asked = self.words[
            max((i for i, w in enumerate(self.words[:-1]) if w in (".", "!")), default=-1) + 1 :
        ]
        self._asked = _cues(asked)
        self._near = [_cues(self.words[max(0, at - _WINDOW) : at + _WINDOW + 1]) for at in self.places]

    @property
    def question(self) -> str:
        """See `Problem`."""
        return self._question

    def start(self) -> State:
        """See `Problem`."""
        return ()

    def moves(self, state: State) -> Sequence[str]:
        """See `Problem`."""
        return tuple(step for step, _ in self._decision(_read(state)))

    def play(self, state: State, step: str) -> Turn:
        """See `Problem`."""
        taken = _read(state)
        for one, move in self._decision(taken):
            if one == step:
                after = (*taken, move)
                if move[1] == "":
                    return Turn(after, True, 1.0 if self._known(taken)[-1] == self.answer else -1.0)
                return Turn(after)
        return Turn(state, True, -1.0, f"{step!r} combines no two quantities of the text")

    def prompt(self, state: State) -> str:
        """See `Problem`."""
        taken = _read(state)
        told, known = [], [*self.quantities]
        for a, sign, b in taken:
            if sign:
                made = combined(known[a], sign, known[b])
                assert made is not None
                told.append(f"{text(known[a])}{sign}{text(known[b])}={text(made)}")
                known.append(made)
        return f"{self._question}\n" + "".join(f"{one}\n" for one in told)

    def describe(self, state: State, moves: Sequence[str]) -> Described:
        """See `Problem`."""
        taken = _read(state)
        known = self._known(taken)
        used = {i for a, _, b in taken for i in (a, b)}
        rows = {step: self._row(move, known, used, len(taken)) for step, move in self._decision(taken)}
        return Described.of(np.asarray([rows[step] for step in moves]))

    def describe_state(self, state: State) -> Described:
        """See `Problem`."""
        taken = _read(state)
        known = self._known(taken)
        used = {i for a, _, b in taken for i in (a, b)}
        unused = [i for i in range(len(self.quantities)) if i not in used]
        newest = value(known[-1])
        signs = [float(sum(s == sign for _, s, _ in taken)) for sign in SIGNS]
        plain = [
            float(len(taken)), len(unused) / 3.0, float(not unused), float(known[-1][1] == 1), float(newest < 0),
            min(log(1 + abs(newest)), 12.0) / 6.0, float(len(self.quantities)), *signs,
            float(sum(len(self.quantities) + i not in used for i in range(len(taken) - 1))),
        ]  # fmt: skip
        crossed = np.outer([min(s, 1.0) for s in signs], self._everywhere).ravel()
        return Described.of(np.concatenate([plain, crossed])[None, :])

    # ---------------------------------------------------------------------------------------------------------- rules

    def _known(self, taken: tuple[tuple[int, str, int], ...]) -> list[Number]:
        known = list(self.quantities)
        for a, sign, b in taken:
            if sign:
                made = combined(known[a], sign, known[b])
                assert made is not None
                known.append(made)
        return known

    @lru_cache(maxsize=4096)  # noqa: B019 - a problem lives as long as its search
    def _decision(
        self, taken: tuple[tuple[int, str, int], ...]
    ) -> tuple[tuple[str, tuple[int, str, int]], ...]:
        """Every step with its move (first, sign, second); of steps with equal texts the first."""
        known = self._known(taken)
        found: dict[str, tuple[int, str, int]] = {}
        if taken:
            found[_ANSWER + text(known[-1])] = (len(known) - 1, "", len(known) - 1)
        if len(taken) < MOST_STEPS:
            for j in range(len(known)):
                for i in range(j):
                    for a, sign, b, made in combinations(known[i], known[j]):
                        step = f"{text(a)}{sign}{text(b)}={text(made)}"
                        found.setdefault(
                            step, (i, sign, j) if (a, b) == (known[i], known[j]) else (j, sign, i)
                        )
        return tuple(found.items())

    def _row(self, move: tuple[int, str, int], known: list[Number], used: set[int], depth: int) -> np.ndarray:
        """Of one step: which quantities it takes, what their words are, and what it makes."""
        a, sign, b = move
        n = len(self.quantities)
        ends = sign == ""
        made = known[-1] if ends else combined(known[a], sign, known[b])
        assert made is not None
        size = value(made)
        unused = sum(i not in used for i in range(n))
        loose = sum(n + i not in used for i in range(len(known) - n))
        signs = [float(sign == one) for one in SIGNS]
        glance = [
            float(made[1] == 1), float(size < 0), float(size == 0), min(log(1 + abs(size)), 12.0) / 6.0,
            float(size < 1),
        ]  # fmt: skip
        newest = len(known) - 1
        which = [
            float(a >= n), float(b >= n), float(depth > 0 and newest in (a, b)), float(a in used), float(b in used),
            float(a < n and b < n and abs(a - b) == 1), float(a < b), float(value(known[a]) >= value(known[b])),
        ]  # fmt: skip
        over = [
            float(ends),
            ends * unused / 2.0,
            float(ends and unused == 0),
            ends * float(loose),
            ends * float(depth),
        ]
        near = np.zeros(len(_CUES)) if ends else np.maximum(self._near_of(a), self._near_of(b))
        plain = np.array([*signs, *over, *(ends * g for g in glance)])
        return np.concatenate(
            [
                plain,
                np.outer([*signs], [*glance, *which]).ravel(),
                np.outer(signs, near).ravel(),
                np.outer(signs, self._everywhere).ravel() * 0.5,
                np.outer(signs, self._asked).ravel(),
            ]
        )

    def _near_of(self, quantity: int) -> np.ndarray:
        return self._near[quantity] if quantity < len(self._near) else np.zeros(len(_CUES))


def load(path: Path) -> tuple[list[WordProblem], dict[str, int]]:
    """Problems of a GSM8K file (``.jsonl`` or ``.jsonl.gz``) that its worked solutions can be checked by.

    Left out are those whose annotated calculations do not compute to the stated answer, that need a quantity which the text
    does not hold, more than `MOST_QUANTITIES` quantities or more than `MOST_STEPS` calculations.

    Returns
    -------
    list, dict
        The problems in the order of the file, and how many were left out, by reason.
    """
    content = path.read_bytes()
    text_of = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    problems: list[WordProblem] = []
    left: dict[str, int] = {}
    for line in text_of.split(
        "\n"
    ):  # not `splitlines`: what Unicode takes for the end of a line may stand in a text
        if not line.strip():
            continue
        row = json.loads(line)
        made = _problem(str(row["question"]), str(row["answer"]))
        if isinstance(made, str):
            left[made] = left.get(made, 0) + 1
        else:
            problems.append(made)
    return problems, left


def worked(solution: str) -> tuple[Number, list[tuple[Number, str, Number]]] | None:
    """Answer and single calculations of an annotated solution, computed exactly; None where it does not compute.

    ``<<100-50-30-15=5>>`` is three calculations, each of two numbers. Signs are taken in their usual order.
    """
    stated = re.search(r"####\s*(-?[\d,]+(?:\.\d+)?)\s*$", solution)
    calculations: list[tuple[Number, str, Number]] = []
    result: Number | None = None
    for expression, said in re.findall(r"<<([^=<>]+)=([^<>]+)>>", solution):
        result = _compute(expression, calculations)
        said = said.strip().replace("$", "")
        if result is None or not re.fullmatch(r"-?[\d,]*\.?\d+", said):
            return None
        if abs(value(result) - float(said.replace(",", ""))) > 0.006 * max(1.0, abs(value(result))):
            return None
    if stated is None or result is None:
        return None
    digits = stated.group(1)
    size = read(digits.lstrip("-"))
    answer = (-size[0] if digits[0] == "-" else size[0], size[1])
    return (answer, calculations) if result == answer else None


def _problem(question: str, solution: str) -> WordProblem | str:
    found = worked(solution)
    if found is None:
        return "does not compute"
    answer, calculations = found
    if len(calculations) > MOST_STEPS:
        return "too many calculations"
    quantities, _ = _quantities([one.lower() for one in _TOKEN.findall(question.replace("$", " dollar "))])
    if not 2 <= len(quantities) <= MOST_QUANTITIES:
        return "too few or too many quantities"
    known = list(quantities)
    for a, sign, b in calculations:
        # "half of it" is worked as a division by 2: where only the inverse is said, the other sign does the same.
        if a not in known or (
            b not in known and not (sign in "*/" and b[0] and reduced(b[1], b[0]) in known)
        ):
            return "needs what the text does not say"
        made = combined(a, sign, b)
        assert made is not None
        known.append(made)
    return WordProblem(question, answer)


def _compute(expression: str, calculations: list[tuple[Number, str, Number]]) -> Number | None:
    """Value of ``+ - * /`` and brackets on decimal numbers, adding each calculation of two numbers to the list."""
    tokens = re.findall(r"\d[\d,]*\.?\d*|\.\d+|[-+*/()]", expression.replace("x", "*"))
    if "".join(tokens) != re.sub(r"[\s$]", "", expression.replace("x", "*")):
        return None
    place = 0

    def ahead() -> str:
        return tokens[place] if place < len(tokens) else ""

    def atom() -> Number | None:
        nonlocal place
        token, place = ahead(), place + 1
        if token == "(":
            inner = joined("+-")
            closed, place = ahead() == ")", place + 1
            return inner if closed else None
        if token == "-":
            inner = atom()
            return None if inner is None else (-inner[0], inner[1])
        return read(token) if token and token[0] in "0123456789." else None

    def joined(signs: str) -> Number | None:
        nonlocal place
        left = joined("*/") if signs == "+-" else atom()
        while left is not None and ahead() and ahead() in signs:
            sign, place = ahead(), place + 1
            right = joined("*/") if signs == "+-" else atom()
            if right is None:
                return None
            made = combined(left, sign, right)
            if made is None:
                return None
            calculations.append((left, sign, right))
            left = made
        return left

    found = joined("+-")
    return found if place >= len(tokens) else None


def _read(state: State) -> tuple[tuple[int, str, int], ...]:
    assert isinstance(state, tuple)
    return state


def _quantities(words: Sequence[str]) -> tuple[list[Number], list[int]]:
    """Quantities of a text and where they stand; percentages are hundredths."""
    found: list[Number] = []
    places: list[int] = []
    for at, word in enumerate(words):
        if _NUMBER.match(word):
            number = read(word.rstrip("%").rstrip("."))
            if word.endswith("%"):
                number = combined(number, "/", (100, 1)) or number
        elif word in MEANINGS:
            number = MEANINGS[word]
        else:
            continue
        found.append(number)
        places.append(at)
    return found, places


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    for end in ("ing", "ed", "es", "s"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word[: -len(end)]
    return word


_STEMS = {_stem(cue): i for i, cue in enumerate(_CUES)} | {cue: i for i, cue in enumerate(_CUES)}
_IRREGULAR = {
    "sold": "sell",
    "bought": "buy",
    "gave": "give",
    "ate": "eat",
    "spent": "spend",
    "paid": "pay",
    "lost": "lose",
}


def _cues(words: Sequence[str]) -> np.ndarray:
    """Which cue words are among some words, (cues,)."""
    found = np.zeros(len(_CUES))
    for word in words:
        stem = _IRREGULAR.get(word, word)
        at = _STEMS.get(stem, _STEMS.get(_stem(stem)))
        if at is not None:
            found[at] = 1.0
        if word.endswith("%"):
            found[_STEMS["percent"]] = 1.0
    return found
