"""A run in a notebook: what was found, in a few lines of HTML without a style sheet or script of its own."""

from __future__ import annotations

from markupsafe import Markup, escape

from nereus.memory.records import Hypothesis, RunRecord

_SHOWN = 8
_COLOUR = {"supported": "#2c7a57", "tentative": "#97660a", "refuted": "#9c2f2f"}


def card_html(record: RunRecord) -> str:
    """The run as HTML for a notebook: status, counts, and the best hypotheses with their confidence.

    Statements are shown without their numbers, which need the run's tables; the report has them, each with its
    source.
    """
    header = record.header
    kept = [
        h for h in sorted(record.hypotheses, key=lambda h: h.rank) if h.status in ("supported", "tentative")
    ]
    refuted = sum(h.status == "refuted" for h in record.hypotheses)
    rows = Markup("").join(_row(one) for one in kept[:_SHOWN])
    more = Markup("<p>and {} more</p>").format(len(kept) - _SHOWN) if len(kept) > _SHOWN else Markup("")
    title = header.question or (header.inputs["data"].name if "data" in header.inputs else header.id)
    stop = Markup(" ({})").format(header.stop_reason) if header.stop_reason else Markup("")
    return str(
        Markup(
            '<div style="border:1px solid #8884;border-radius:10px;padding:12px 16px;max-width:760px">'
            '<p style="margin:0;opacity:.7">Nereus run {run} · {status}{stop}</p>'
            '<h3 style="margin:.2em 0 .5em">{title}</h3>'
            "<p>{kept} hypotheses hold, {refuted} were refuted; {steps} steps answered {objectives} questions.</p>"
            '<table style="width:100%">{rows}</table>{more}'
            '<p style="margin-bottom:0">Report: <code>{folder}/report.html</code></p></div>'
        ).format(
            run=header.id,
            status=header.status,
            stop=stop,
            title=title,
            kept=len(kept),
            refuted=refuted,
            steps=len(record.steps()),
            objectives=len(record.objectives),
            rows=rows,
            more=more,
            folder=header.out_dir,
        )
    )


def _row(one: Hypothesis) -> Markup:
    names = list(dict.fromkeys(entity.name or entity.id for entity in one.claim.entities))
    arrow = {"up": "▲", "present": "▲", "positive": "▲", "down": "▼", "absent": "▼", "negative": "▼"}
    direction = one.claim.entities[0].direction if one.claim.entities else "none"
    confidence = escape("–" if one.confidence is None else f"{one.confidence:.2f}")
    return Markup(
        '<tr><td>{id}</td><td style="text-align:left">{arrow} <b>{names}</b> <span style="opacity:.7">{contrast}</span></td>'
        '<td>{confidence} {word}</td><td style="color:{colour}">{status}</td></tr>'
    ).format(
        id=one.id,
        arrow=arrow.get(direction, ""),
        names=", ".join(names[:3]),
        contrast=one.claim.contrast,
        confidence=confidence,
        word=one.confidence_word,
        colour=_COLOUR.get(one.status, "inherit"),
        status=one.status,
    )
