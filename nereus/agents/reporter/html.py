"""``report.html``: one self-contained page, for people.

Every number on it is an element that names its source (`nereus.agents.reporter.sources`), its format and its value
with full precision; every text that comes from data is escaped; figures are inlined as cleaned SVG. The page loads
nothing, and its content security policy allows no script but the one that shows where a number comes from. It holds no
time and no machine name, so equal seeds give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from nereus.agents.reporter import methods as methods_text
from nereus.agents.reporter.answers import Answer, answers
from nereus.agents.reporter.claims import COLUMNS
from nereus.agents.reporter.drawings import Scale, calibration_plot, interval
from nereus.agents.reporter.findings import Finding, finding, scales
from nereus.agents.reporter.graph_drawing import choose, draw
from nereus.agents.reporter.leads import Question, leads, variable
from nereus.agents.reporter.record_files import input_artifacts
from nereus.agents.reporter.render import anchor, exact, known_names, number_html, plain_html, render_html
from nereus.agents.reporter.sources import Sources, latest_workflows, path, plain
from nereus.agents.reporter.svg import inline_svg
from nereus.errors import NereusError, UnresolvedNumber, on_one_line
from nereus.memory.records import (
    ArtifactKind,
    ArtifactRef,
    CallStatus,
    Contrast,
    Decision,
    Hypothesis,
)

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

OPEN_CARDS = 6
"""Hypotheses shown in full; further ones are folded."""
CLAIMS_SHOWN = 12
"""Rows of each contrast in the claim table; all of them are in claims.csv."""
_LARGEST_FIGURE = 3_000_000
"""Bytes of a drawing that is still inlined."""

_CAPTIONS = {
    "plot_volcano": "Each point is one feature: its effect across, the strength of the evidence upwards. "
    "Coloured points hold at the figure's error level.",
    "plot_heatmap": "Rows are features, columns samples; colour is abundance relative to the feature's mean.",
    "plot_pca": "Each point is a sample on the first principal components. Distance is overall similarity.",
    "plot_missingness": "Where values are missing, by sample and by abundance.",
    "plot_set_bars": "Gene sets by the strength of their shared shift.",
    "plot_feature": "Every sample's value of one feature, by group.",
}


@dataclass(frozen=True)
class Drawn:
    """A figure on the page."""

    anchor: str
    title: str
    caption: str
    step: str
    tool: str
    svg: Markup | None
    file: str
    data_file: str | None


def render_report(sources: Sources, read_figure: Callable[[ArtifactRef], bytes]) -> str:
    """Render the page.

    Parameters
    ----------
    sources
        The run's values.
    read_figure
        Opens a drawing, for example `ArtifactStore.figure`.
    """
    page = _Page(sources, read_figure)
    style, script = _asset("report.css"), _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            record=sources.record,
            header=sources.record.header,
            style=Markup(style),
            script=Markup(script),
            script_hash=digest,
            num=page.num,
            prose=page.prose,
            named=page.named,
            verbatim=page.verbatim,
            source_path=path,
        )
    )
    return text.rstrip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _asset(name: str) -> str:
    return files("nereus.agents.reporter").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


class _Page:
    """What the template asks for, each part computed from the record."""

    def __init__(self, sources: Sources, read_figure: Callable[[ArtifactRef], bytes]) -> None:
        from nereus.agents.reporter.bundle import table_files

        self.sources = sources
        self.record = sources.record
        self.files = table_files(sources)
        self.names = known_names(self.record) | self._sample_names()
        ordered = sorted(self.record.hypotheses, key=lambda h: (h.rank, h.id))
        shown = [h for h in ordered if h.status in ("supported", "tentative", "proposed")]
        self.findings = [finding(h, sources) for h in shown]
        self.refuted = [h for h in ordered if h.status == "refuted"]
        self.merged = [h for h in ordered if h.status == "merged"]
        self.scales = scales(self.findings)
        self.open_cards = OPEN_CARDS
        self._read_figure = read_figure
        self._quotable = self._quotable_texts()
        self.figures = self._figures()
        self.load = sources.first_call("load_dataset")
        self.profile = sources.first_call("profile_dataset")

    # ------------------------------------------------------------------ texts and numbers

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

    # ------------------------------------------------------------------ what was understood

    def facts(self) -> list[tuple[str, Markup]]:
        """What the data are, as label and value; only what the run found out."""
        found: list[tuple[str, Markup]] = []

        def add(
            label: str, step: str | None, *names: str, spec: str = "", before: str = "", after: str = ""
        ) -> None:
            for name in names:
                if step is not None and self.has(step, name):
                    found.append((label, Markup("{}{}{}").format(before, self.val(step, name, spec), after)))
                    return

        load, profile = self.load, self.profile
        add("Software", load, "software")
        add("Organism", self._organism(), "organism")
        add("Features", load, "n_features")
        add("Samples", load, "n_samples")
        add("Subjects", profile, "n_subjects")
        add("Unit of analysis", profile, "unit_of_analysis")
        add("Why this unit", profile, "unit_why")
        add("Quantity", load, "quantity")
        add("Scale in the file", load, "scale_found", "scale")
        if self.has(load, "zero_is_missing"):
            zero = self.value(load, "zero_is_missing")
            found.append(
                ("Zeros", Markup(escape("taken as missing" if zero in (True, "yes") else "kept as values")))
            )
        add("Missing values", load if self.has(load, "missing_rate") else profile, "missing_rate", spec=".1%")
        removed = [
            Markup("{} {}").format(self.val(load, name), word)
            for name, word in (
                ("n_removed_contaminant", "contaminants"),
                ("n_removed_reverse", "reversed"),
                ("n_removed_only_by_site", "only by site"),
            )
            if load is not None and self.value(load, name)
        ]
        if removed:
            found.append(("Removed", Markup(", ").join(removed)))
        elif load is not None and self.has(load, "n_removed_contaminant"):
            found.append(("Removed", Markup("nothing")))
        add("Outlying samples", profile, "n_outliers")
        return found

    def _organism(self) -> str | None:
        """The first step that found out the organism."""
        for step in (self.load, self.sources.first_call("annotate_genes"), self.profile):
            if step is not None and self.value(step, "organism") not in (None, "", "unknown"):
                return step
        return None

    def lead(self) -> Markup:
        """One sentence that says what the data are."""
        load = self.load
        if load is None or not (self.has(load, "n_features") and self.has(load, "n_samples")):
            return Markup("")
        level = {"protein": "protein groups", "peptide": "peptides", "gene": "genes"}.get(
            str(self.value(load, "level") or ""), "proteins"
        )
        organism = self._organism()
        of = Markup("") if organism is None else self.val(organism, "organism") + " "
        parts = [
            Markup("{} {}{} in {} samples").format(
                self.val(load, "n_features", "int"), of, level, self.val(load, "n_samples", "int")
            )
        ]
        profile = self.profile
        subjects, samples = self.value(profile, "n_subjects"), self.value(load, "n_samples")
        if profile is not None and subjects is not None and subjects == samples:
            parts.append(Markup(", each of another subject"))
        elif profile is not None and subjects is not None:
            parts.append(Markup(" of {} subjects").format(self.val(profile, "n_subjects", "int")))
        if self.has(load, "software") and self.value(load, "software") != "generic":
            parts.append(Markup(", from {}").format(self.val(load, "software")))
        parts.append(Markup("."))
        return Markup("").join(parts)

    # ------------------------------------------------------------------ findings

    def drawn_interval(self, found: Finding) -> Markup | None:
        """The effect of a finding on the axis of its unit."""
        scale = self.scales.get(found.unit)
        if scale is None or "effect" not in found.values:
            return None
        values = found.values
        return interval(values["effect"], values.get("ci_low"), values.get("ci_high"), scale, found.direction)

    @cached_property
    def answers(self) -> list[Answer]:
        """Each question with what came of it."""
        return answers(self.sources)

    def direction_of(self, hypothesis: Hypothesis) -> str:
        """Direction of the first thing that a hypothesis is about."""
        return hypothesis.claim.entities[0].direction

    @cached_property
    def leads(self) -> list[Question]:
        """What ranks first where the error rate let next to nothing through."""
        return leads(self.sources)

    @cached_property
    def varies(self) -> Question | None:
        """What varies most where nothing tells the samples apart."""
        return variable(self.sources)

    def legends(self) -> list[tuple[str, str]]:
        """Unit and meaning of a grid line, for each axis in use."""
        log2 = ("log2 fold change", "log2 per standard deviation")
        return [(unit, scale.legend if unit in log2 else "") for unit, scale in self.scales.items()]

    def effect_format(self, found: Finding) -> str:
        """How the effect is written."""
        return "+.0%" if found.hypothesis.claim.relation == "detection" else "+.2f"

    def about(self, hypothesis: Hypothesis) -> Markup:
        """The comparison of a hypothesis, after the column whose values are compared: ``treatment: yes vs no``."""
        claim = hypothesis.claim
        told = not claim.context or claim.context.lower() in claim.contrast.lower()
        return self.named(claim.contrast if told else f"{claim.context}: {claim.contrast}")

    def title_of(self, hypothesis: Hypothesis) -> Markup:
        """Short title of a hypothesis: the names of its entities."""
        names = list(dict.fromkeys(entity.name or entity.id for entity in hypothesis.claim.entities))
        shown = Markup(", ").join(self.named(_short(name)) for name in names[:3])
        return shown if len(names) <= 3 else Markup("{} and others").format(shown)

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

    def evidence_rows(self) -> list[dict[str, Any]]:
        """Every piece of evidence with where it lies, for the appendix."""
        rows = []
        for identity, evidence in self.record.evidence.items():
            call = self.sources.call_behind(evidence)
            rows.append(
                {
                    "id": identity,
                    "evidence": evidence,
                    "call": call,
                    "step": self.sources.step_of_call[evidence.call_key],
                    "shown": self.evidence_text(identity),
                    "value": exact(self.sources.evidence_value(evidence)),
                    "numeric": isinstance(self.sources.evidence_value(evidence), int | float),
                    "file": self.files.get((evidence.call_key, evidence.table or "")),
                }
            )
        return rows

    # ------------------------------------------------------------------ claims

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """Claims by contrast, strongest first."""
        where = self.sources.output("claims")
        if where is None:
            return []
        step, output = where
        table = self.sources.table(self.sources.call(step), output)
        if not len(table) or not set(COLUMNS) <= set(table.columns):
            return []
        key = table.columns[0]
        factors = {one.about: one.contrast.factor for one in self.record.objectives if one.contrast}
        groups = []
        for contrast, rows in table.groupby("contrast", sort=False, dropna=False):
            ordered = rows.sort_values(["q", "feature"], kind="stable").head(CLAIMS_SHOWN)
            ends = [c for c in ("ci_low", "ci_high") if c in rows]
            scale = _finite_scale(ordered, ends)
            groups.append(
                {
                    "contrast": str(contrast),
                    "factor": factors.get(str(contrast), ""),
                    "count": path("matches", step, output, "contrast", contrast),
                    "n": len(rows),
                    "rows": [
                        self._claim(step, output, row, str(row[key]), scale) for _, row in ordered.iterrows()
                    ],
                }
            )
        return sorted(groups, key=lambda group: -int(group["n"]))

    def _claim(self, step: str, output: str, row: pd.Series, key: str, scale: Scale) -> dict[str, Any]:
        def cell(column: str, spec: str) -> Markup:
            value = plain(row[column]) if column in row else None
            return Markup("–") if value is None else self.num(path("cell", step, output, key, column), spec)

        effect = plain(row["effect"])
        low = plain(row["ci_low"]) if "ci_low" in row else None
        high = plain(row["ci_high"]) if "ci_high" in row else None
        drawn = None
        if isinstance(effect, float):
            drawn = interval(
                effect,
                low if isinstance(low, float) else None,
                high if isinstance(high, float) else None,
                scale,
                str(row["direction"]),
            )
        kind = str(row["kind"])
        return {
            "gene": str(plain(row["gene"]) or ""),
            "feature": _short(str(row["feature"])),
            "direction": str(row["direction"]),
            "kind": kind,
            "effect": cell("effect", "+.0%" if kind == "detection" else "+.2f"),
            "q": cell("q", "p"),
            "confidence": cell("confidence", ".2f"),
            "drawn": drawn,
        }

    # ------------------------------------------------------------------ figures

    def _figures(self) -> list[Drawn]:
        drawn: dict[str, Drawn] = {}
        for step, key in self.sources.call_of_step.items():
            call = self.record.calls.get(key)
            if call is None or step.startswith("C"):
                continue
            for name, ref in call.outputs.items():
                if ref.kind is ArtifactKind.FIGURE and ref.id not in drawn:
                    drawn[ref.id] = self._draw(step, call.spec.tool, name, ref, key, len(drawn) + 1)
        order = {tool: position for position, tool in enumerate(_CAPTIONS)}
        return sorted(drawn.values(), key=lambda one: order.get(one.tool, len(order)))

    def _draw(self, step: str, tool: str, name: str, ref: ArtifactRef, key: str, number: int) -> Drawn:
        title = ref.summary or name.replace("_", " ")
        svg: Markup | None = None
        if ref.size <= _LARGEST_FIGURE:
            try:
                svg = inline_svg(self._read_figure(ref), f"f{number}", title)
            except NereusError:
                svg = None  # not a drawing that may stand in a page; the file is linked instead
        return Drawn(
            f"figure-{ref.id[:12]}",
            title,
            _CAPTIONS.get(tool, ""),
            step,
            tool,
            svg,
            self.files[key, name],
            self.files.get((key, f"{name}_data")),
        )

    def figures_of(self, hypothesis: Hypothesis) -> list[Drawn]:
        """Figures that belong to one card."""
        wanted = {f"figure-{identity[:12]}" for identity in hypothesis.figures}
        return [one for one in self.figures if one.anchor in wanted]

    @cached_property
    def gallery(self) -> list[tuple[str, list[Drawn]]]:
        """Figures that no card shows, by the comparison or variable that they show; those of the data as such last."""
        on_cards = {one.anchor for found in self.findings for one in self.figures_of(found.hypothesis)}
        groups: dict[str, list[Drawn]] = {}
        for one in self.figures:
            if one.anchor not in on_cards:
                groups.setdefault(self._shown_in(one.step), []).append(one)
        asked = [o.contrast.label if o.contrast else o.variable or "" for o in self.record.objectives]
        order = {label: position for position, label in reversed(list(enumerate(asked)))}
        return sorted(
            groups.items(), key=lambda item: (item[0] == "", order.get(item[0], len(order)), item[0])
        )

    def _shown_in(self, step: str) -> str:
        """The contrast or variable that a step's result is about, found by walking up what it read; "" for none."""
        makers = self._makers
        waiting, seen = [self.sources.call(step)], set[str]()
        while waiting:
            call = waiting.pop(0)
            seen.add(call.key)
            contrast, variable = call.spec.params.get("contrast"), call.spec.params.get("variable")
            if isinstance(contrast, dict):
                return Contrast.model_validate(contrast).label
            if isinstance(contrast or variable, str) and (contrast or variable):
                return str(contrast or variable)
            above = [makers[a] for a in sorted(input_artifacts(call)) if a in makers]
            waiting += [self.record.calls[key] for key in above if key not in seen]
        return ""

    @cached_property
    def _makers(self) -> dict[str, str]:
        """Artifact id -> key of the call that made it."""
        made: dict[str, str] = {}
        for key in self.sources.call_of_step.values():
            if key in self.record.calls:
                for ref in self.record.calls[key].outputs.values():
                    made.setdefault(ref.id, key)
        return made

    @cached_property
    def evidence_graph(self) -> Markup | None:
        """The part of the evidence graph that the first hypotheses stand on, drawn; None where there is none."""
        drawn = draw(choose(self.record.nodes, self.record.edges, self.record.hypotheses))
        return inline_svg(drawn.encode(), "graph", "Evidence graph") if drawn else None

    # ------------------------------------------------------------------ plan

    def workflows_of(self, objective: str) -> list[Any]:
        """Newest version of each workflow of an objective."""
        return [one for one in latest_workflows(self.record) if one.objective_id == objective]

    def step(self, step: Any) -> dict[str, Any]:
        """A step with its call, for the tree."""
        call = self.record.calls.get(step.call_key) if step.call_key else None
        if call is None:
            return {"step": step, "call": None}
        outputs = [(name, ref, self.files.get((call.key, name))) for name, ref in call.outputs.items()]
        return {
            "step": step,
            "call": call,
            "outputs": outputs,
            "values": [
                (name, self.val(step.id, name)) for name, value in call.values.items() if value is not None
            ],
            "warnings": [path("warning", step.id, index) for index in range(len(call.warnings))],
            "from": self._made_from(call.spec.inputs),
            "hashes": sorted(input_artifacts(call)),
        }

    def _made_from(self, inputs: dict[str, Any]) -> list[tuple[str, str]]:
        """Input name and where it came from: a step's output or a user's file."""
        found = []
        for name, value in inputs.items():
            for identity in [value] if isinstance(value, str) else list((value or {}).values()):
                found.append((name, self._origin.get(identity, identity[:12])))
        return found

    @cached_property
    def _origin(self) -> dict[str, str]:
        origins = {ref.id: ref.name for ref in self.record.header.inputs.values()}
        for step, key in self.sources.call_of_step.items():
            for name, ref in self.record.calls[key].outputs.items() if key in self.record.calls else ():
                origins.setdefault(ref.id, f"{step} / {name}")
        return origins

    def decisions_about(self, subject: str) -> list[Decision]:
        """Decisions about an objective, workflow or step that say why."""
        return [d for d in self.record.decisions if re.split("[#@]", d.subject)[0] == subject and d.rationale]

    def trigger(self, trigger: str) -> Markup:
        """What set a refinement off: evidence and values as numbers, anything else as a name."""
        if trigger in self.record.evidence:
            return Markup("{} ({})").format(self.evidence_text(trigger), self.named(trigger))
        rule, _, pointer = trigger.rpartition(": ")
        step, _, name = pointer.rpartition(".")
        if step in self.sources.call_of_step and name in self.sources.call(step).values:
            said = Markup("{}: ").format(self.named(rule.replace("_", " "))) if rule else Markup("")
            return Markup("{}{} of {} = {}").format(
                said, self.named(name.replace("_", " ")), self.named(step), self.val(step, name)
            )
        return self.named(trigger)

    def calls_beside_plan(self) -> list[tuple[str, Any]]:
        """Calls that no step of the newest plan names: replaced, repeated or failed ones."""
        return [(s, self.record.calls[k]) for s, k in self.sources.call_of_step.items() if s.startswith("C")]

    def failed_steps(self) -> list[tuple[str, Any]]:
        """Calls that ended with an error."""
        return [
            (step, self.record.calls[key])
            for step, key in self.sources.call_of_step.items()
            if key in self.record.calls and self.record.calls[key].status is CallStatus.FAILED
        ]

    def link(self, source: str) -> str:
        """Fragment of the page that explains a source."""
        return "#" + anchor(source)

    # ------------------------------------------------------------------ calibration and methods

    def calibrations(self) -> list[dict[str, Any]]:
        """The reliability table of each calibration step, and its plot."""
        found = []
        for step, call in self._steps_of("calibrate_confidence", "reliability"):
            table = self.sources.table(call, "reliability")
            points = [
                (float(row["predicted"]), float(row["planted"]), float(row["n"]))
                for _, row in table.iterrows()
                if {"predicted", "planted", "n"} <= set(table.columns)
                and plain(row["predicted"]) is not None
                and plain(row["planted"]) is not None
            ]
            contrast = call.spec.params.get("contrast")
            found.append(
                {
                    "step": step,
                    "label": Contrast.model_validate(contrast).label if isinstance(contrast, dict) else "",
                    "plot": calibration_plot(points) if points else None,
                    "table": self.table_cells(step, "reliability", 12),
                    "error": path("value", step, "ece") if self.has(step, "ece") else None,
                }
            )
        return found

    def families(self) -> list[dict[str, Any]]:
        """The tables of tests over which the run's error rate is controlled."""
        return [
            {
                "step": step,
                "table": self.table_cells(step, "families", 40),
                "level": path("param", step, "level"),
            }
            for step, call in self._steps_of("run_wide_fdr", "families")
            if len(self.sources.table(call, "families")) and "level" in call.spec.params
        ]

    def _steps_of(self, tool: str, table: str) -> list[tuple[str, Any]]:
        """Planned and successful steps of a tool that made a table."""
        return [
            (step, self.record.calls[key])
            for step, key in self.sources.call_of_step.items()
            if key in self.record.calls
            and not step.startswith("C")
            and self.record.calls[key].spec.tool == tool
            and table in self.record.calls[key].outputs
        ]

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

    def profile_columns(self) -> dict[str, Any] | None:
        """What the profile made of each column of the sample sheet."""
        if self.profile is None or "columns" not in self.sources.call(self.profile).outputs:
            return None
        return self.table_cells(self.profile, "columns", 40)

    def methods(self) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
        """Sentences with the numbers of their papers, and the papers."""
        numbers: dict[str, int] = {}
        sentences = []
        for sentence in methods_text.methods(self.sources):
            cited = [numbers.setdefault(paper, len(numbers) + 1) for paper in sentence.papers]
            sentences.append({"text": self.prose(sentence.template), "cited": cited, "steps": sentence.steps})
        for paper in ("proteus", "crate"):
            numbers.setdefault(paper, len(numbers) + 1)
        return sentences, [(number, methods_text.PAPERS[paper]) for paper, number in numbers.items()]


def evidence_format(quantity: str, column: str) -> str:
    """The format in which a piece of evidence is written when no text chose one."""
    name = (column or quantity).lower()
    if name in ("p", "q", "simes_p", "p_any") or name.startswith(("p_", "q_")) or name.endswith(("_p", "_q")):
        return "p"
    if name in ("effect", "ci_low", "ci_high"):
        return "+.2f"
    return ""


def _finite_scale(rows: pd.DataFrame, ends: list[str]) -> Scale:
    from nereus.agents.reporter.drawings import scale_of

    return scale_of(
        [float(v) for v in rows["effect"].dropna()], [float(v) for end in ends for v in rows[end].dropna()]
    )


def _short(name: str) -> str:
    """A protein group's first members, so that a long group does not fill the page."""
    parts = name.split(";")
    shown = name if len(parts) <= 3 else ";".join(parts[:2]) + "; …"
    return shown if len(shown) <= 80 else shown[:78] + "…"
