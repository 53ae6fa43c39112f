"""The case of CPL."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.models.cases.case import Bad, Case

COLUMNS = ["prompt", "step", "rejected", "q_step", "q_rejected"]
PAIRS = pd.DataFrame(
    [
        (f"{a} {b}:", f"{a}*{b}={a * b}", f"{a}-{b}={a - b}", 0.5 + a / 20, -b / 10)
        for a in range(2, 7)
        for b in range(2, 7)
    ],
    columns=COLUMNS,
)


def _table() -> tuple[pd.DataFrame, dict[str, Any]]:
    renamed = PAIRS.rename(columns={"step": "better", "rejected": "worse"})
    return renamed, {
        "prompt": "prompt", "step": "better", "rejected": "worse", "q_step": "q_step", "q_rejected": "q_rejected",
    }  # fmt: skip


def _with(**values: Any) -> pd.DataFrame:
    return PAIRS.assign(**values)


CASE = Case(
    settings={
        "layers": 1,
        "width": 16,
        "heads": 2,
        "context": 32,
        "training": {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3},
        "preferring": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
    },
    data=lambda: (PAIRS, None),
    asks={"score": lambda m: m.score(PAIRS.head(4))},  # type: ignore[attr-defined]
    table=_table,
    bad={
        "no pairs": Bad(lambda m: m.fit(PAIRS.head(0)), "there are 0 preference pairs"),
        "no table": Bad(lambda m: m.fit(["a"]), "a table with the columns prompt, step, rejected"),
        "value outside the scale": Bad(
            lambda m: m.fit(_with(q_step=1.5)), r"q_step = 1.5 of pair 0 lies outside \[-1, 1\]"
        ),
        "missing value": Bad(lambda m: m.fit(_with(q_rejected=float("nan"))), "outside"),
        "equal steps": Bad(
            lambda m: m.fit(_with(rejected=PAIRS["step"])),
            "row 0: the better and the worse step are the same",
        ),
        "no text": Bad(lambda m: m.fit(_with(step="")), "row 0: step is '', no text"),
        "longer than the context": Bad(
            lambda m: m.fit(_with(prompt="x" * 40)),
            "all 25 pairs are longer than the context of 32 characters",
        ),
        "longer than the context when asked": Bad(
            lambda m: m.fit(PAIRS).score(_with(prompt="2 " * 40)),  # type: ignore[attr-defined]
            "the context holds 32",
        ),
        "beta": Bad(lambda m: m.set_params(beta=0.0), "beta: .*greater than 0"),
    },
)
