"""The page of the data sets with known truth, made from the stored result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "truth_table.md"
HEAD = """# Data sets with a known truth

Made by `python -m benchmarks.truth.every_data_set` from `benchmarks/results/every_data_set.json`; do not edit. Each row is a
public data set, handed over as a user has it (sample sheet where there is one, no question but where the notes name one,
default limits, one worker, a home of its own); ids that give the truth away are anonymised. *Found* counts the stated
truths among the outputs, *false* the claims that contradict them (in brackets: with confidence of 0.7 and more). *Naive* is
log2, sample medians, moderated t and Benjamini-Hochberg, or what its note says. A dash: the truth says nothing of it, or it
was not measured. A star: the truth is published or stated with the data, not computed from the files. Seconds are of the
processor, megabytes the peak. Rows were run one by one while the product changed, on a loaded machine.
"""


def verdict(score: dict[str, Any]) -> str:
    """A word: found (four fifths and more), partly, missed; with false where more than a tenth of the claims are."""
    share = float(score["found"]) / float(score["of"]) if score["of"] else 0.0
    word = "found" if share >= 0.8 else "partly" if share > 0 else "missed"
    false, claims = score.get("false"), score.get("claims")
    return f"{word}, false" if false and claims and false / claims > 0.1 else word


def _count(score: dict[str, Any]) -> str:
    return f"{float(score['found']):g} of {float(score['of']):g}"


def _false(score: dict[str, Any]) -> str:
    if score["false"] is None:
        return "–"
    sure = "" if score["confident_false"] is None else f" ({score['confident_false']})"
    return f"{score['false']} of {score['claims']}{sure}"


def rendered(result: dict[str, Any]) -> str:
    """The page as text.

    Parameters
    ----------
    result
        The stored result, with ``rows`` by name.
    """
    lines = [HEAD]
    rows: dict[str, dict[str, Any]] = result["rows"]
    words = [verdict(row["product"]) for row in rows.values()]
    shown = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    lines.append(
        f"{len(rows)} rows: {shown}. Seed {', '.join(sorted({str(r['seed']) for r in rows.values()}))}.\n"
    )
    lines.append("| data set | truth | verdict | found | false | naive found | naive false | s | MB |")
    lines.append("|---|---|---|---|---|---|---|---|---|")
    notes = []
    for name, row in rows.items():
        product, naive = row["product"], row["naive"]
        cells = [
            name,
            row["truth"] + ("" if row["checked"] else " \\*"),
            verdict(product),
            _count(product),
            _false(product),
            "–" if naive is None else _count(naive),
            "–" if naive is None else _false(naive),
            "–" if row["seconds"] is None else f"{row['seconds']:.0f}",
            f"{row['megabytes']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
        told = [product["note"]] if product["note"] else []
        if product["missing"]:
            told.append("missed: " + ", ".join(product["missing"][:8]))
        if naive is not None and naive["note"]:
            told.append("naive: " + naive["note"])
        if row.get("question"):
            told.append(f"asked: {row['question']}")
        if "budget" in row.get("ended", ""):
            cut = f"; no answer of kind {', '.join(row['unanswered'])}" if row["unanswered"] else ""
            told.append(f"ended since {row['ended']}{cut}")
        if row.get("error"):
            told.append(row["error"].strip().splitlines()[-1])
        if row["how"] == "tools":
            told.append(f"tools called, since `discover` cannot apply ({row['why']})")
        notes.append(f"- **{name}**: " + "; ".join(told) + ".")
    if result["not_run"]:
        lines += ["", f"Not run yet: {', '.join(result['not_run'])}."]
    return "\n".join([*lines, "", "## Notes", "", *notes, ""])
