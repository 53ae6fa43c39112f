"""Claim: chat's grammar takes most questions rightly, and few wrongly: a wrong answer is worse than none.

Run ``python -m benchmarks.chat_router``. The questions of `benchmarks.chat_questions` were written before the grammar was read.
Every second one was then looked at while the grammar was mended (``seen``), the others only counted, and looked at after that
(``seen_later``; their count when nobody had looked is ``blind``); ``fresh`` ones were written last and only counted. Names are
those of the shipped example: its proteins, genes and columns. A question is *right* where the calls are one of its right
readings, *not understood* where there are none and one was wanted, *wrong* otherwise. Beside it stands the naive arm: the
intent of the most similar example sentence, whatever is named. ``--misses seen`` prints those of the first half.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.chat_questions import FRESH, QUESTIONS, Call, Reading
from benchmarks.truth.results import store
from nereus.agents.chat.lookup import Entities
from nereus.agents.chat.router import EXAMPLES, understood
from nereus.agents.chat.vocabulary import Vocabulary
from nereus.api.example_files import EXAMPLES as SHIPPED

ARMS = ("grammar", "nearest example")
Question = tuple[str, list[Reading]]


def vocabulary() -> Vocabulary:
    """Names of the shipped example, as a run on it knows them."""
    import nereus
    from nereus.tools.proteomics.annotate import annotate_genes

    shipped = SHIPPED[0]
    assert shipped.folder is not None
    sheet = pd.read_csv(shipped.folder / shipped.samples, index_col=0)
    loaded = nereus.load_dataset(shipped.folder / shipped.data, shipped.folder / shipped.samples)
    genes = annotate_genes(loaded).table("genes")
    known = Entities(zip(genes["feature"].astype(str), genes["gene"].astype(str), strict=True))
    more: dict[str, Any] = {}
    if "levels" in Vocabulary.__dataclass_fields__:
        more["levels"] = lambda: {
            str(name): tuple(map(str, sheet[name].dropna().unique()))
            for name in sheet
            if sheet[name].dtype == object
        }
        more["compared"] = lambda: ("_primary biochemical AD classification",)
    return Vocabulary(
        entities=lambda: known,
        columns=lambda: tuple(map(str, sheet.columns)),
        outputs=lambda: ("claims", "O2:differential", "findings"),
        datasets=lambda: [("d0123456789abcdef", shipped.data)],
        **more,
    )


def verdict(calls: Sequence[Call], readings: Sequence[Reading]) -> str:
    """Whether calls are one of the right readings."""
    if any(_is(calls, one) for one in readings):
        return "right"
    return "not understood" if not calls else "wrong"


def _is(calls: Sequence[Call], reading: Reading) -> bool:
    return len(calls) == len(reading) and all(
        name == wanted and all(_same(args.get(slot), value) for slot, value in slots.items())
        for (name, args), (wanted, slots) in zip(calls, reading, strict=True)
    )


def _same(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and isinstance(given, list | tuple):
        return sorted(map(str, given)) == sorted(map(str, wanted))
    return bool(given == wanted)


def by_example(text: str) -> list[Call]:
    """The naive arm: the intent of the most similar example."""
    from nereus.memory.embedding import HashedEmbedder

    embedder = HashedEmbedder()
    query, *vectors = embedder.embed([text, *(one for one, _ in EXAMPLES)])
    best = max(range(len(vectors)), key=lambda place: float(query @ vectors[place]))
    return [(EXAMPLES[best][1], {})]


def measured(route: Callable[[str], Sequence[Call]], questions: Sequence[Question]) -> dict[str, Any]:
    """Counts over questions, and what went wrong."""
    counts: Counter[str] = Counter()
    misses: list[dict[str, Any]] = []
    for text, readings in questions:
        calls = list(route(text))
        found = verdict(calls, readings)
        counts[found] += 1
        if found != "right":
            misses.append({"question": text, "verdict": found, "calls": calls})
    n = len(questions)
    return {
        "n": n,
        "right": counts["right"],
        "wrong": counts["wrong"],
        "not_understood": counts["not understood"],
        "right_share": counts["right"] / n,
        "wrong_share": counts["wrong"] / n,
        "misses": misses,
    }


def main() -> int:
    """Measure both halves with both arms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--misses", choices=("seen", "seen_later", "fresh"), help="print what was not right of a half"
    )
    parser.add_argument("--blind", type=Path, help="result from before the second half was looked at")
    parser.add_argument("--before", type=Path, help="result of an earlier grammar, kept beside this one")
    parser.add_argument("--json", type=Path, help="write to this file in place of the stored result")
    given = parser.parse_args()
    start = time.perf_counter()
    known = vocabulary()
    halves = {"seen": QUESTIONS[::2], "seen_later": QUESTIONS[1::2], "fresh": FRESH}
    arms: dict[str, Callable[[str], Sequence[Call]]] = {
        ARMS[0]: lambda text: understood(text, known).calls,
        ARMS[1]: by_example,
    }
    figures = {
        arm: {half: measured(route, part) for half, part in halves.items()} for arm, route in arms.items()
    }
    if given.misses:
        for one in figures[ARMS[0]][given.misses]["misses"]:
            print(f"{one['verdict']:15} {one['question']}\n                {one['calls']}")
    for one in figures.values():
        for half in one.values():
            del half["misses"]
    print(json.dumps(figures, indent=1))
    content: dict[str, Any] = {"claim": (__doc__ or "").splitlines()[0], "seeds": [], "arms": figures}
    if given.before is not None:
        content["before"] = json.loads(given.before.read_text(encoding="utf-8"))["arms"][ARMS[0]]
    if given.blind is not None:
        first = json.loads(given.blind.read_text(encoding="utf-8"))["arms"][ARMS[0]]
        content["blind"] = first["held_out"]
    if given.json is not None:
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    else:
        store(
            "chat_router",
            content,
            module="benchmarks.chat_router",
            arguments=[],
            seconds=time.perf_counter() - start,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
