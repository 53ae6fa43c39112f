"""The case of Qwen."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.models.cases.case import Bad, Case

WORDS = ["protein", "kinase", "membrane", "plasma", "binds", "holds", "cleaves", "0.5", "12", "µm"]
TEXTS = [f"the {a} {b} the {c}" for a in WORDS[:4] for b in WORDS[4:7] for c in WORDS[:4] if a != c]


def _table() -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.DataFrame({"note": TEXTS}), {"text": "note"}


CASE = Case(
    settings={
        "layers": 2,
        "width": 16,
        "heads": 4,
        "kv_heads": 2,
        "vocabulary": 300,
        "context": 16,
        "tokens": 1200,
        "training": {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3},
    },
    data=lambda: (TEXTS, None),
    asks={
        "score": lambda m: m.score(TEXTS[:3], long_context="window"),  # type: ignore[attr-defined]
        "generate": lambda m: m.generate(TEXTS[:2], tokens=5, temperature=1.0),  # type: ignore[attr-defined]
        "embed": lambda m: m.embed(TEXTS[:3]),  # type: ignore[attr-defined]
    },
    table=_table,
    bad={
        "no text": Bad(lambda m: m.fit([]), "there is no text"),
        "empty text": Bad(lambda m: m.fit(["a", ""]), "text 1 is empty"),
        "no text at all": Bad(lambda m: m.fit(["a", 3]), "text 1 is int"),
        "too little text": Bad(lambda m: m.fit(["a b"]), "a window has 17"),
        "unknown way": Bad(
            lambda m: m.fit(TEXTS).score(TEXTS, long_context="yarn"),  # type: ignore[attr-defined]
            "there is no way 'yarn'",
        ),
        "too long": Bad(
            lambda m: m.fit(TEXTS).score(["a " * 40_000]),  # type: ignore[attr-defined]
            "32767 are allowed",
        ),
        "shared keys that do not divide": Bad(lambda m: m.set_params(kv_heads=3), "multiple of kv_heads"),
    },
)
