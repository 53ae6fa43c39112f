"""``report.html``: one self-contained page, for people.

Every number on it is an element that names its source (`nereus.agents.reporter.sources`), its format and its value
with full precision; every text that comes from data is escaped; figures are inlined as cleaned SVG. The page loads
nothing, and its content security policy allows no script but the one that shows where a number comes from. It holds no
time and no machine name, so equal seeds give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from nereus.agents.reporter import methods as methods_text
from nereus.agents.reporter.answers import Answer, answers
from nereus.agents.reporter.claims import COLUMNS
from nereus.agents.reporter.drawings import Scale, calibration_plot, interval
from nereus.agents.reporter.findings import Finding, finding, scales
from nereus.agents.reporter.leads import Question, leads, variable
from nereus.agents.reporter.page_plan import PagePlan
from nereus.agents.reporter.render import exact
from nereus.agents.reporter.sources import Sources, path, plain
from nereus.memory.records import (
    ArtifactRef,
    Contrast,
    Hypothesis,
)

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

OPEN_CARDS = 6
"""Hypotheses shown in full; further ones are folded."""
CLAIMS_SHOWN = 12
"""Rows of each contrast in the claim table; all of them are in claims.csv."""


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


class _Page(PagePlan):
    """What the template asks for, each part computed from the record."""

    def __init__(self, sources: Sources, read_figure: Callable[[ArtifactRef], bytes]) -> None:
        super().__init__(sources, read_figure)
        ordered = sorted(self.record.hypotheses, key=lambda h: (h.rank, h.id))
        shown = [h for h in ordered if h.status in ("supported", "tentative", "proposed")]
        self.findings = [finding(h, sources) for h in shown]
        self.refuted = [h for h in ordered if h.status == "refuted"]
        self.merged = [h for h in ordered if h.status == "merged"]
        self.scales = scales(self.findings)
        self.open_cards = OPEN_CARDS
        self.load = sources.first_call("load_dataset")
        self.profile = sources.first_call("profile_dataset")

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
