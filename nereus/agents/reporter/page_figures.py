"""Figures of the page: which there are, beside which finding each stands, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from nereus.agents.reporter.findings import Finding
from nereus.agents.reporter.graph_drawing import choose, draw
from nereus.agents.reporter.page_texts import PageTexts
from nereus.agents.reporter.record_files import input_artifacts
from nereus.agents.reporter.sources import Sources
from nereus.agents.reporter.svg import inline_svg
from nereus.errors import NereusError
from nereus.memory.records import ArtifactKind, ArtifactRef, Contrast, Hypothesis

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


class PageFigures(PageTexts):
    """The drawings of a run, each once."""

    findings: list[Finding]
    """What the cards show."""

    def __init__(self, sources: Sources, read_figure: Callable[[ArtifactRef], bytes]) -> None:
        super().__init__(sources)
        self._read_figure = read_figure
        self.figures = self._figures()

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
