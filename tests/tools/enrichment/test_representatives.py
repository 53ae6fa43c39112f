"""Which set stands for those that tell the same."""

from __future__ import annotations

import pandas as pd

from nereus.tools.enrichment.representatives import mark_representatives

GENES = [f"G{i}" for i in range(200)]


def table(*rows: tuple[str, int, str, float, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "set_id": [row[0] for row in rows],
            "n_set": [row[1] for row in rows],
            "direction": [row[2] for row in rows],
            "q": [row[3] for row in rows],
            "leading_edge": [";".join(row[4]) for row in rows],
        }
    )


def told(sets: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    marked = mark_representatives(sets, 0.05)
    leads = dict(zip(marked["set_id"], marked["cluster"], strict=True))
    chosen = marked.loc[marked["representative"], "set_id"].tolist()
    assert set(leads.values()) == set(chosen)
    return leads, chosen


def test_the_most_specific_of_near_duplicates_represents() -> None:
    leads, chosen = told(
        table(
            ("broad", 800, "up", 1e-9, GENES[:12]),
            ("narrow", 60, "up", 1e-6, GENES[:10]),
            ("other", 90, "up", 1e-5, GENES[50:60]),
            ("mirror", 40, "down", 1e-4, GENES[:10]),
        )
    )
    assert chosen == ["narrow", "other", "mirror"]
    assert leads["broad"] == "narrow"


def test_what_is_not_significant_does_not_represent_what_is() -> None:
    leads, chosen = told(table(("broad", 800, "up", 1e-3, GENES[:12]), ("narrow", 60, "up", 0.2, GENES[:10])))
    assert chosen == ["broad"]
    assert leads["narrow"] == "broad"


def test_a_broad_set_gives_way_to_the_parts_that_explain_it() -> None:
    parts = [("first", 50, "up", 1e-3, GENES[:10]), ("second", 60, "up", 1e-3, GENES[10:28])]
    leads, chosen = told(table(("whole", 400, "up", 1e-9, GENES[:30]), *parts))
    assert chosen == ["first", "second"]
    assert leads["whole"] == "second"  # shares the most
    # Half of it is its own: it stands.
    assert told(table(("whole", 400, "up", 1e-9, GENES[:60]), *parts))[1] == ["whole", "first", "second"]
    # Sets that only touch it do not explain it.
    touching = [(name, size, way, q, [*genes, *GENES[150:180]]) for name, size, way, q, genes in parts]
    assert "whole" in told(table(("whole", 400, "up", 1e-9, GENES[:30]), *touching))[1]


def test_a_generic_set_stands_only_where_nothing_specific_tells_it() -> None:
    touching = ("specific", 80, "up", 1e-3, [*GENES[:25], *GENES[150:170]])
    generic = ("cytosol", 5000, "up", 1e-12, GENES[:40])
    leads, chosen = told(table(generic, touching))
    assert chosen == ["specific"]
    assert leads["cytosol"] == "specific"
    assert told(table(generic, ("specific", 80, "up", 1e-3, GENES[30:60])))[1] == ["cytosol", "specific"]
    assert told(table(generic))[1] == ["cytosol"]
    assert told(table(generic, ("specific", 80, "down", 1e-3, GENES[:25])))[1] == ["cytosol", "specific"]


def test_sets_without_a_leading_edge_stand_alone() -> None:
    rows = [(f"s{i}", 20 + i, "up", 1.0, []) for i in range(5)]
    assert told(table(*rows))[1] == [f"s{i}" for i in range(5)]
    assert mark_representatives(table(*rows).head(0), 0.05).empty


def test_beyond_what_is_shown_every_set_stands_alone() -> None:
    rows = [(f"s{i}", 20 + i, "up", 0.5, GENES[:10]) for i in range(80)]
    leads, _ = told(table(*rows))
    assert {leads[f"s{i}"] for i in range(60)} == {"s0"}
    assert all(leads[f"s{i}"] == f"s{i}" for i in range(60, 80))
