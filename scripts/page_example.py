"""What the shipped example comes to, for the first page of the web interface: ``python scripts/page_example.py URL RUN``.

`URL` is a server that has finished the example as `RUN`. Writes ``web/src/example.json``: the points of its leading volcano plot
and its best findings, rounded to what can be seen. `tests/api/web/test_example.py` compares it with a run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

FILE = Path(__file__).parents[1] / "web" / "src" / "example.json"
SHOWN = ("abundance", "association", "module", "replication")
"""Kinds of the findings, the best of each."""
_COLUMNS = ("feature", "gene", "effect", "p", "group")


def told(client: httpx.Client, run: str) -> dict[str, Any]:
    """The document of a finished run."""
    header = client.get(f"/api/runs/{run}").raise_for_status().json()
    plan = client.get(f"/api/runs/{run}/plan").raise_for_status().json()
    cards = client.get(f"/api/runs/{run}/cards").raise_for_status().json()
    held = [one for one in cards if one["status"] in ("supported", "tentative")]
    steps = [step for one in plan["objectives"] for flow in one["workflows"] for step in flow["steps"]]
    drawn = next(step for step in steps if step["tool"] == "plot_volcano" and step["params"].get("contrast"))
    figure = client.get(f"/api/runs/{run}/figures/{drawn['id']}/volcano").raise_for_status().json()
    at = [figure["columns"].index(name) for name in _COLUMNS]
    return {
        "question": header["question"],
        "n_steps": sum(step["status"] == "done" for step in steps),
        "n_found": len(held),
        "n_refuted": sum(one["status"] == "refuted" for one in cards),
        "figure": {
            "tool": figure["tool"],
            "params": {
                name: figure["params"][name] for name in ("contrast", "axis") if figure["params"].get(name)
            },
            "values": {},
            "inputs": {},
            "groups": {},
            "columns": list(_COLUMNS),
            "rows": [
                [str(row[at[0]]).split(";")[0], *(_short(row[place]) for place in at[1:])]
                for row in figure["rows"]
            ],
        },
        "cards": [
            {
                "title": one["title"],
                "relation": one["relation"],
                "contrast": one["contrast"],
                "direction": one["direction"],
                "statement": "".join(piece["text"] for piece in one["statement"]),
                "status": one["status"],
                "numbers": [
                    {"name": number["name"], "text": number["text"]}
                    for number in one["numbers"]
                    if number["name"] in ("effect", "q", "confidence")
                ],
            }
            for one in _best(held)
        ],
    }


def _best(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best findings of the kinds that are shown."""
    left = sorted(cards, key=lambda one: int(one["rank"]))
    chosen = []
    for kind in SHOWN:
        found = next((one for one in left if one["relation"] == kind), None)
        if found is not None:
            left.remove(found)
            chosen.append(found)
    return chosen


def _short(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main() -> None:
    """Write the file."""
    url, run = sys.argv[1:]
    with httpx.Client(base_url=url, timeout=60) as client:
        document = told(client, run)
    FILE.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
