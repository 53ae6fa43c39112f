"""Text with references to evidence -> text or HTML with numbers.

Nobody who writes a statement, rule or language model, types a number: the text holds references and this
module fills them in from the record. ``{{E12}}`` is the value of evidence E12, ``{{E12|.2f}}`` the same
with a number format (`nereus.agents.reporter.formats`), ``{{E12|ci}}`` the interval of the table row that
E12 points into, and ``{{O1.W1.S3.n_tested}}`` a named value of a step; every other source path of
`nereus.agents.reporter.sources` may be written in the same way. A digit that no reference covers is a
defect: `render_strict` refuses it, a page marks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.sources import Sources, path
from nereus.errors import UnresolvedNumber
from nereus.memory.records import Hypothesis, RunRecord, Scalar

# An evidence id, a source path, or <step>.<value>. Other text in double braces is text: a name from the data may hold any.
_REFERENCE = re.compile(
    r"\{\{\s*(E\d+|[a-z]+:[^{}|]+|[A-Z]\d+(?:\.[A-Z]\d+)*\.[A-Za-z_]\w*)\s*(?:\|([^{}|]*))?\}\}"
)
_DIGIT = r"[\d²³¹⁰-⁹₀-₉¼-¾⅐-↉]"
_TELLING = re.compile(rf"{_DIGIT}|\{{")
_WORD = re.compile(rf"[^\W_]*{_DIGIT}[\w.,%]*")
# Field words that hold a digit and are not a number of this run.
_FIELD_WORDS = frozenset({"log2", "log10", "log₂", "log₁₀", "iq2", "h5ad"})


@dataclass(frozen=True)
class Number:
    """One number as it stands in a text."""

    source: str
    """Source path: an evidence id, or a path of `nereus.agents.reporter.sources`."""
    format: str
    value: Scalar
    text: str


Piece = str | Number


def pieces(template: str, sources: Sources) -> Iterator[Piece]:
    """Split a template into plain text and numbers, in order.

    Raises
    ------
    UnresolvedNumber
        For a reference to something that the record does not hold, or an unknown format.
    """
    position = 0
    for match in _REFERENCE.finditer(template):
        if match.start() > position:
            yield template[position : match.start()]
        position = match.end()
        reference, spec = match[1].strip(), (match[2] or "").strip()
        if spec == "ci" or spec.startswith("ci "):
            low, high = interval_sources(reference, sources)
            number_format = spec[2:].strip() or ".2f"
            yield "["
            yield number(low, number_format, sources)
            yield ", "
            yield number(high, number_format, sources)
            yield "]"
        else:
            yield number(reference, spec, sources)
    if position < len(template):
        yield template[position:]


def number(source: str, spec: str, sources: Sources) -> Number:
    """The number at a source path, in a format."""
    value = sources.value(source)
    return Number(source, spec, value, format_value(value, spec))


def interval_sources(evidence_id: str, sources: Sources) -> tuple[str, str]:
    """Source paths of the lower and upper limit in the table row that a piece of evidence points into.

    Evidence of its own is preferred (one click closer to the reader); otherwise the cell is named.
    """
    evidence = sources.evidence(evidence_id)
    if evidence.table is None or evidence.row is None:
        raise UnresolvedNumber(
            f"evidence {evidence_id} is no table cell and has no interval", where=evidence.step_id
        )
    siblings = {
        other.column: other.id
        for other in sources.record.evidence.values()
        if (other.call_key, other.table, other.row) == (evidence.call_key, evidence.table, evidence.row)
    }
    step_id = sources.step_of_call[evidence.call_key]
    low, high = (
        siblings.get(column) or path("cell", step_id, evidence.table, evidence.row, column)
        for column in ("ci_low", "ci_high")
    )
    return low, high


def render_text(template: str, sources: Sources) -> str:
    """Plain text with every reference filled in."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces(template, sources))


def render_strict(template: str, sources: Sources, names: Iterable[str] = ()) -> str:
    """Like `render_text`, and refuse a number that no reference covers.

    Parameters
    ----------
    template
        Text with references.
    sources
        The run's values.
    names
        Names that may hold digits: entities, contrast labels, levels, samples.

    Raises
    ------
    UnresolvedNumber
        For unknown evidence or a digit outside references and names.
    """
    rest = _without_covered(template, names)
    if loose := _loose_words(rest):
        raise UnresolvedNumber(
            f"the number {loose[0][1]!r} has no reference",
            where=f"text {template[:80]!r}",
            mend="write a reference such as {{E12|.2f}} in its place",
        )
    if "{{" in rest:
        raise UnresolvedNumber(
            f"{rest[rest.index('{{') :][:40]!r} is no reference",
            where=f"text {template[:80]!r}",
            mend="write {{E12}} for evidence or {{O1.W1.S3.n_tested}} for a step's value",
        )
    return render_text(template, sources)


def uncovered_numbers(template: str, names: Iterable[str] = ()) -> list[str]:
    """Words with digits that neither a reference nor a known name covers, in order of appearance.

    A word in which a capital letter comes before its first digit (``SOD1``, ``Q5HYN5``, ``mTORC1``,
    ``PC1``, ``H3``) is a name, unless a decimal point makes it look like a number.
    """
    return [word for _, word in _loose_words(_without_covered(template, names))]


def references(template: str) -> list[tuple[str, str]]:
    """What a text refers to, in order: source path and format."""
    return [(match[1].strip(), (match[2] or "").strip()) for match in _REFERENCE.finditer(template)]


def holds_no_reference(template: str, names: Iterable[str] = ()) -> bool:
    """Whether a text has double braces that are no reference and no part of a name."""
    return "{{" in _without_covered(template, names)


def _without_covered(template: str, names: Iterable[str]) -> str:
    """The text with names and references blanked out, every other character at its place."""

    def blank(match: re.Match[str]) -> str:
        return " " * len(match[0])

    text = template
    if not _TELLING.search(text):
        return text
    told = sorted({n for n in names if n in text and _TELLING.search(n)}, key=lambda n: (-len(n), n))
    # A name may hold what looks like a reference, and a reference may hold what is a name elsewhere (a group E15).
    for braced in (True, False):
        for name in told:
            if ("{{" in name) is braced and name in text:
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", blank, text)
        if braced:
            text = _REFERENCE.sub(blank, text)
    return text


def _loose_words(text: str) -> list[tuple[int, str]]:
    return [(m.start(), m[0].rstrip(".,")) for m in _WORD.finditer(text) if not _is_name(m[0].rstrip(".,"))]


def _is_name(word: str) -> bool:
    before_digit = re.split(_DIGIT, word, maxsplit=1)[0]
    if word.lower() in _FIELD_WORDS:
        return True
    return any(letter.isupper() for letter in before_digit) and not re.search(rf"[.,]{_DIGIT}", word)


def number_html(source: str, spec: str, sources: Sources) -> Markup:
    """A number as it stands on the page: text, source, format and full value.

    ``data-evidence`` or ``data-source`` names the source, ``data-format`` the format and ``data-value`` the
    value with full precision, so that a script can compute the number again and compare it with the text.
    """
    found = number(source, spec, sources)
    return Markup('<a class="num" {} data-format="{}" data-value="{}" href="#{}">{}</a>').format(
        Markup('data-evidence="{}"').format(source)
        if source in sources.record.evidence
        else Markup('data-source="{}"').format(_canonical(source)),
        spec,
        exact(found.value),
        anchor(source),
        format_value(found.value, spec, typographic=True),
    )


def _canonical(source: str) -> str:
    if ":" in source:
        return source
    step, _, name = source.rpartition(".")
    return path("value", step, name)


def exact(value: Scalar) -> str:
    """A value with full precision, as `data-value` and JSON write it."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def anchor(source: str) -> str:
    """Fragment of the page on which a source is explained."""
    if ":" not in source:
        return source if source[:1] == "E" and source[1:].isdigit() else f"step-{source.rpartition('.')[0]}"
    kind, _, rest = source.partition(":")
    if kind in ("value", "cell", "rows", "matches", "param", "summary", "warning"):
        return f"step-{rest.split('/')[0]}"
    if kind == "field" and rest.startswith(("hypothesis/", "score/")):
        return rest.split("/")[1]
    return "plan" if kind == "count" or rest.startswith(("objective/", "workflow/")) else "reproduce"


def render_html(template: str, sources: Sources, names: Iterable[str] = ()) -> Markup:
    """HTML with every number wrapped, and a number without a reference marked as such for all to see."""
    out: list[Markup] = []
    names = list(names)
    for piece in pieces(template, sources):
        if isinstance(piece, Number):
            out.append(number_html(piece.source, piece.format, sources))
        else:
            out.append(plain_html(piece, names))
    return Markup("").join(out)


def plain_html(text: str, names: Iterable[str] = ()) -> Markup:
    """Escaped text in which a number that nothing covers is marked ``unsourced`` and a name ``name``."""
    loose = [start for start, _ in _loose_words(_without_covered(text, names))]
    out: list[Markup] = []
    position = 0
    for match in _WORD.finditer(text):
        word = match[0].rstrip(".,")
        end = match.start() + len(word)
        out.append(escape(text[position : match.start()]))
        unsourced = any(match.start() <= start < end for start in loose)
        wrapped = (
            '<mark class="unsourced" title="no reference">{}</mark>'
            if unsourced
            else '<span class="name">{}</span>'
        )
        out.append(Markup(wrapped).format(word))
        position = end
    out.append(escape(text[position:]))
    return Markup("").join(out)


def known_names(record: RunRecord, hypothesis: Hypothesis | None = None) -> set[str]:
    """Names of this run that may hold digits: factors, levels, contrasts, files, ids, entities."""
    names: set[str] = {ref.name for ref in record.header.inputs.values()}
    if record.header.question:
        names |= {word.strip("?.,;:()'\"") for word in record.header.question.split()}
    for objective in record.objectives:
        names |= {objective.id, objective.variable or "", *objective.covariates}
        names |= {*objective.design.values(), objective.label}
        contrast = objective.contrast
        if contrast is not None:
            names |= {
                contrast.label,
                contrast.factor,
                contrast.a,
                contrast.b,
                *contrast.covariates,
                contrast.block or "",
            }
            names |= {*contrast.subset, *contrast.subset.values()}
    for step in record.steps():
        names |= {step.id, step.tool}
    for one in record.hypotheses if hypothesis is None else (hypothesis,):
        names |= {one.id, one.claim.contrast, one.claim.context}
        for entity in one.claim.entities:
            names |= {entity.id, entity.name, *entity.id.split(";"), *entity.name.split(";")}
    for call in record.calls.values():
        names |= {text for text in call.values.values() if isinstance(text, str) and len(text) < 80}
        names |= set(_texts(call.spec.params))
    return {name for name in names if name}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
