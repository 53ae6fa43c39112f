"""A comparison of two runs for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nereus.agents.reporter.comparison.differences import PARTS, Comparison

_STYLE = {"gained": "green", "lost": "red", "sign": "bold magenta"}
SHOWN = 12
"""Differences of a part that are listed."""


def comparison_text(found: Comparison, shown: int = SHOWN) -> RenderableType:
    """What differs, part by part, with how much is equal; at most `shown` rows of a part."""
    first, second = found.first.header, found.second.header
    lines: list[RenderableType] = [
        Text(f"first   {first.id}  {first.status}  {first.started[:19]}  {first.out_dir}"),
        Text(f"second  {second.id}  {second.status}  {second.started[:19]}  {second.out_dir}"),
    ]
    for part in PARTS:
        rows = found.of(part)
        equal = found.equal.get(part, 0)
        if rows.empty:
            lines.append(Text(f"\n{part}: no difference, {equal} equal", style="dim"))
            continue
        counts = ", ".join(f"{number} {change}" for change, number in rows["change"].value_counts().items())
        lines.append(Text(f"\n{part}: {counts}; {equal} equal", style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("", "change", "first", "second"):
            table.add_column(column, overflow="fold", max_width=60)
        for row in rows.head(shown).to_dict("records"):
            change = str(row["change"])
            table.add_row(
                escape(str(row["subject"])),
                Text(change, style=_STYLE.get(change, "")),
                escape(_short(str(row["first"]))),
                escape(_short(str(row["second"]))),
            )
        lines.append(table)
        if len(rows) > shown:
            lines.append(Text(f"and {len(rows) - shown} more: see --out FILE", style="dim"))
    if len(found.effects) > 2 and found.effects["first"].std() > 0 and found.effects["second"].std() > 0:
        r = found.effects["first"].corr(found.effects["second"])
        lines.append(Text(f"\n{len(found.effects)} effects in both, correlation {r:.4f}"))
    lines.append(
        Text("the findings are equal" if found.same_findings else "the findings differ", style="bold")
    )
    return Group(*lines)


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
