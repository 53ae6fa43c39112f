"""Texts, numbers and names of the page: each with the source that it is read from."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from nereus.agents.reporter.render import exact, known_names, number_html, plain_html, render_html
from nereus.agents.reporter.sources import Sources, path, plain
from nereus.errors import UnresolvedNumber, on_one_line


class PageTexts:
    """How the page writes what the record holds."""

    def __init__(self, sources: Sources) -> None:
        from nereus.agents.reporter.bundle import table_files

        self.sources = sources
        self.record = sources.record
        self.files = table_files(sources)
        self.names = known_names(self.record) | self._sample_names()
        self._quotable = self._quotable_texts()

    def num(self, source: str, spec: str = "") -> Markup:
        """A number with its source; an empty dash where the record has none."""
        return number_html(source, spec, self.sources)

    def prose(self, template: str) -> Markup:
        """A text with references; what it quotes from a step is shown as that step's text.

        A text whose references cannot be resolved is shown as written, and marked.
        """
        for quoted, source in self._quotable:
            if quoted in template:
                before, _, after = template.partition(quoted)
                return self.prose(before) + self.verbatim(source) + self.prose(after)
        try:
            return render_html(template, self.sources, self.names)
        except UnresolvedNumber:
            return Markup('<mark class="unsourced" title="unresolved reference">{}</mark>').format(template)

    def named(self, text: object) -> Markup:
        """A name from the data or the plan: it may hold digits that are no number."""
        return Markup('<span class="name">{}</span>').format(str(text))

    def verbatim(self, source: str) -> Markup:
        """A text exactly as a step recorded it; `nereus verify` compares it to the letter."""
        return Markup('<span class="verbatim" data-source="{}">{}</span>').format(
            source, self.sources.value(source)
        )

    def plain(self, text: str) -> Markup:
        """Text without references."""
        return plain_html(text, self.names)

    def has(self, step: str | None, name: str) -> bool:
        """Whether a step has a value of this name that is not missing."""
        return step is not None and self.sources.call(step).values.get(name) not in (None, "")

    def value(self, step: str | None, name: str) -> Any:
        """A step's value, None where it has none."""
        return None if step is None else self.sources.call(step).values.get(name)

    def val(self, step: str, name: str, spec: str = "") -> Markup:
        """A step's named value as a number or a name."""
        value = self.sources.call(step).values[name]
        if isinstance(value, str):
            return Markup('<span class="name" data-source="{}">{}</span>').format(
                path("value", step, name), value
            )
        return self.num(path("value", step, name), spec)

    def evidence_text(self, identity: str) -> Markup:
        """A piece of evidence as a chip: quantity and value."""
        evidence = self.sources.evidence(identity)
        value = self.sources.evidence_value(evidence)
        if isinstance(value, str):
            shown = Markup('<span class="name" data-source="{}">{}</span>').format(
                self._evidence_path(identity), value
            )
        else:
            shown = self.num(
                identity, evidence_format(evidence.quantity, evidence.column or evidence.name or "")
            )
        return Markup("{} {}").format(self.named(evidence.quantity), shown)

    def _evidence_path(self, identity: str) -> str:
        evidence = self.sources.evidence(identity)
        step = self.sources.step_of_call[evidence.call_key]
        if evidence.name is not None:
            return path("value", step, evidence.name)
        return path("cell", step, evidence.table, evidence.row, evidence.column)

    def table_cells(self, step: str, output: str, most: int) -> dict[str, Any]:
        """The first rows of a table, each cell with its source."""
        call = self.sources.call(step)
        table = self.sources.table(call, output)
        columns = [str(column) for column in table.columns]
        rows = []
        for _, row in table.head(most).iterrows():
            key = str(row.iloc[0])
            cells = []
            for column in columns:
                value = plain(row[column])
                source = path("cell", step, output, key, column)
                if value is None:
                    cells.append(Markup("–"))
                elif isinstance(value, str):
                    cells.append(
                        Markup('<span class="name" data-source="{}">{}</span>').format(source, exact(value))
                    )
                else:
                    cells.append(self.num(source, evidence_format("", column)))
            rows.append(cells)
        return {
            "columns": [column.replace("_", " ") for column in columns],
            "rows": rows,
            "more": len(table) > most,
            "total": path("rows", step, output),
            "file": self.files.get((call.key, output)),
        }

    def _quotable_texts(self) -> list[tuple[str, str]]:
        """Warnings, errors and summaries with digits that other texts may quote, longest first, with their sources."""
        found: dict[str, str] = {}
        for step, key in self.sources.call_of_step.items():
            call = self.record.calls.get(key)
            if call is None:
                continue
            for index, warning in enumerate(call.warnings):
                found.setdefault(warning, path("warning", step, index))
            for text, kind in ((call.error, "error"), (call.summary, "summary")):
                if text:
                    found.setdefault(text, path(kind, step))
            if call.error:
                found.setdefault(on_one_line(call.error), path("told", step))
        if self.record.header.stop_reason:
            found.setdefault(self.record.header.stop_reason, path("field", "header", "run", "stop_reason"))
        telling = [(text, source) for text, source in found.items() if any(c.isnumeric() for c in text)]
        return sorted(telling, key=lambda item: (-len(item[0]), item[1]))

    def _sample_names(self) -> set[str]:
        step = self.sources.first_call("profile_dataset")
        if step is None or "samples" not in self.sources.call(step).outputs:
            return set()
        return set(self.sources.table(self.sources.call(step), "samples").iloc[:, 0].astype(str))


def evidence_format(quantity: str, column: str) -> str:
    """The format in which a piece of evidence is written when no text chose one."""
    name = (column or quantity).lower()
    if name in ("p", "q", "simes_p", "p_any") or name.startswith(("p_", "q_")) or name.endswith(("_p", "_q")):
        return "p"
    if name in ("effect", "ci_low", "ci_high"):
        return "+.2f"
    return ""
