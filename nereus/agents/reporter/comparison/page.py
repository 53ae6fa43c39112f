"""A comparison of two runs as one HTML page without a script: tables, and the effects of both against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from markupsafe import Markup, escape

from nereus.agents.reporter.comparison.differences import PARTS, Comparison

MOST_ROWS = 500
"""Differences of a part that the page lists; the table (``--out FILE.csv``) has all."""
MOST_DOTS = 4000
_SIZE, _EDGE = 460, 52
# Shape and colour both tell what became of a claim.
_MARKS = {
    "not claimed": ("#9aa0a6", "M-2,0a2,2 0 1,0 4,0a2,2 0 1,0 -4,0"),
    "kept": ("#2c6fad", "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0"),
    "gained": ("#2c7a57", "M0,-5L5,4H-5Z"),
    "lost": ("#b5542b", "M0,5L5,-4H-5Z"),
    "sign": ("#8a2f8a", "M0,-6L6,0L0,6L-6,0Z"),
}
_STYLE = """
.nereus-compare{font:15px/1.45 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1d2733}
.nereus-compare table{border-collapse:collapse;width:100%;margin:.4em 0 1.4em;font-size:13px}
.nereus-compare th,.nereus-compare td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid #0001;
vertical-align:top;overflow-wrap:anywhere}
.nereus-compare .gained{color:#2c7a57}.nereus-compare .lost{color:#b5542b}.nereus-compare .sign{color:#8a2f8a}
.nereus-compare .quiet{opacity:.65}
"""


def comparison_html(found: Comparison, whole: bool = True) -> str:
    """The page; with ``whole=False`` only its body, for a notebook."""
    first, second = found.first.header, found.second.header
    heads = Markup("").join(
        Markup("<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            side, one.id, one.status, one.started[:19], one.out_dir
        )
        for side, one in (("first", first), ("second", second))
    )
    body = Markup(
        '<div class="nereus-compare"><style>{style}</style><h1>Two runs compared</h1><table>{heads}</table>'
        "<p><b>{verdict}</b></p>{scatter}{parts}</div>"
    ).format(
        style=Markup(_STYLE),
        heads=heads,
        verdict="The findings are equal." if found.same_findings else "The findings differ.",
        scatter=_scatters(found),
        parts=Markup("").join(_part(found, part) for part in PARTS),
    )
    if not whole:
        return str(body)
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>{} and {}</title></head><body>{}</body></html>\n'
        ).format(first.id, second.id, body)
    )


def _part(found: Comparison, part: str) -> Markup:
    rows = found.differences[found.differences["part"] == part]
    equal = found.equal.get(part, 0)
    title = Markup("<h2>{}</h2>").format(part.capitalize())
    if rows.empty:
        return title + Markup('<p class="quiet">no difference, {} equal</p>').format(equal)
    cells = Markup("").join(
        Markup('<tr><td>{}</td><td class="{}">{}</td><td>{}</td><td>{}</td></tr>').format(
            row["subject"],
            row["change"] if row["change"] in _MARKS else "",
            row["change"],
            row["first"],
            row["second"],
        )
        for row in rows.head(MOST_ROWS).to_dict("records")
    )
    counts = ", ".join(f"{number} {change}" for change, number in rows["change"].value_counts().items())
    more = (
        Markup('<p class="quiet">and {} more</p>').format(len(rows) - MOST_ROWS)
        if len(rows) > MOST_ROWS
        else Markup("")
    )
    return title + Markup(
        "<p>{}; {} equal</p><table><tr><th></th><th>change</th><th>first</th><th>second</th></tr>{}</table>{}"
    ).format(counts, equal, cells, more)


def _scatters(found: Comparison) -> Markup:
    groups = found.effects.groupby("question", sort=False) if len(found.effects) else ()
    return Markup("").join(
        Markup("<figure>{}<figcaption>{}: {} tested in both</figcaption></figure>").format(
            scatter(rows), question, len(rows)
        )
        for question, rows in groups
    )


def scatter(rows: pd.DataFrame) -> Markup:
    """Effects of the first run (across) against those of the second (up), on one scale, with the line of equality."""
    order = list(_MARKS)
    drawn = rows.assign(rank=rows["change"].map(order.index)).sort_values(["rank", "feature"])
    kept = pd.concat([drawn[drawn["rank"] == 0].head(MOST_DOTS), drawn[drawn["rank"] > 0]])
    reach = max(float(rows[["first", "second"]].abs().to_numpy().max(initial=0.0)), 1e-9) * 1.05
    inner = _SIZE - 2 * _EDGE

    def place(value: float) -> float:
        return round(_EDGE + inner * (value + reach) / (2 * reach), 2)

    dots = Markup("").join(
        Markup(
            '<path d="{}" fill="{}" fill-opacity="{}" transform="translate({},{})"><title>{}: {} | {} ({})</title></path>'
        ).format(
            _MARKS[str(row["change"])][1],
            _MARKS[str(row["change"])][0],
            "0.35" if row["rank"] == 0 else "0.8",
            place(row["first"]),
            round(_SIZE - place(row["second"]), 2),
            row["gene"] or row["feature"],
            f"{row['first']:+.3g}",
            f"{row['second']:+.3g}",
            row["change"],
        )
        for row in kept.to_dict("records")
    )
    low, high, middle = place(-reach), place(reach), place(0.0)
    axes = Markup(
        '<path d="M{l},{m}H{h}M{m},{l}V{h}" stroke="#0003" fill="none"/>'
        '<path d="M{l},{h}L{h},{l}" stroke="#0006" stroke-dasharray="4 4" fill="none"/>'
    ).format(l=low, h=high, m=middle)
    ticks = Markup("").join(
        Markup(
            '<text x="{x}" y="{bottom}" text-anchor="middle">{t}</text><text x="{left}" y="{y}" text-anchor="end">{t}</text>'
        ).format(x=place(tick), y=_SIZE - place(tick) + 4, bottom=high + 16, left=low - 6, t=f"{tick:g}")
        for tick in _ticks(reach)
    )
    return Markup(
        '<svg viewBox="0 0 {w} {s}" width="{w}" height="{s}" role="img" aria-label="effects of both runs" '
        'font-family="system-ui,sans-serif" font-size="11">{axes}{ticks}{dots}'
        '<text x="{m}" y="{below}" text-anchor="middle">effect in the first run</text>'
        '<text transform="translate(14,{m}) rotate(-90)" text-anchor="middle">effect in the second run</text>{legend}</svg>'
    ).format(
        w=_SIZE + 150,
        s=_SIZE,
        axes=axes,
        ticks=ticks,
        dots=dots,
        m=middle,
        below=_SIZE - 12,
        legend=_legend(rows["change"].unique()),
    )


def _ticks(reach: float) -> list[float]:
    step = 10 ** math.floor(math.log10(reach))
    step = step if reach / step < 5 else 2 * step
    step = step / 2 if reach / step < 2 else step
    n = int(reach / step)
    return [round(number * step, 12) for number in range(-n, n + 1)]


def _legend(changes: Iterable[str]) -> Markup:
    there = [name for name in _MARKS if name in set(changes)]
    return Markup("").join(
        Markup(
            '<g transform="translate({},{})"><path d="{}" fill="{}"/><text x="12" y="4">{}</text></g>'
        ).format(_SIZE, _EDGE + 22 * number, _MARKS[name][1], _MARKS[name][0], escape(name))
        for number, name in enumerate(there)
    )
