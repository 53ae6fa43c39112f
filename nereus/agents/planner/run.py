"""A run and what came out of it, as a person or a program looks at it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.errors import InputError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import Hypothesis, RunRecord
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A run and what came out of it, read from the record.

    Attributes
    ----------
    record
        The complete typed record.
    artifacts
        Where its tables, data sets and figures are.
    """

    def __init__(self, record: RunRecord, artifacts: ArtifactStore) -> None:
        self.record = record
        self.artifacts = artifacts

    @property
    def id(self) -> str:
        """Identifier, as `nereus show` and `nereus resume` take it."""
        return self.record.header.id

    @property
    def status(self) -> str:
        """``finished``, ``stopped`` (by a budget), ``waiting`` (for an approval), ``running``, ``refused`` or ``failed``."""
        return self.record.header.status

    @property
    def directory(self) -> Path:
        """Folder of the report."""
        return Path(self.record.header.out_dir)

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """All hypotheses, best first; refuted ones are kept."""
        return self.record.hypotheses

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every feature-level claim at the run's error level, with ``claims.csv``'s columns first."""
        import pandas as pd

        if "claims" not in self.record.outputs:
            return pd.DataFrame(
                columns=["contrast", "feature", "gene", "direction", "effect", "q", "confidence", "kind"]
            )
        return self.output("claims")

    def output(self, name: str) -> pd.DataFrame:
        """A well-known table of the run, by a name of ``run.record.outputs``."""
        step_id, _, output = self.record.outputs[name].partition("/")
        return self.table(step_id, output)

    def table(self, step_id: str, name: str) -> pd.DataFrame:
        """A table that a step made."""
        keys = {step.id: step.call_key for step in self.record.steps()}
        key = keys.get(step_id)
        if key is None:
            raise InputError(
                f"there is no finished step {step_id!r}",
                where=f"run {self.id}",
                mend="see run.record.steps()",
            )
        return self.artifacts.table(self.record.calls[key].outputs[name])

    def __repr__(self) -> str:
        supported = sum(one.status == "supported" for one in self.hypotheses)
        return f"<Run {self.id}: {self.status}, {supported} supported of {len(self.hypotheses)} hypotheses, {self.directory}>"

    def _repr_html_(self) -> str:
        from nereus.agents.reporter.card import card_html

        return card_html(self.record)


def load_run(run_id: str | None = None, **settings: Any) -> Run:
    """A recorded run; None takes the newest."""
    with open_workspace(load_settings(**settings)) as workspace:
        header = workspace.repository.header(run_id) if run_id else workspace.repository.last_run()
        if header is None:
            raise InputError(
                "there is no run yet",
                where=str(workspace.settings.home),
                mend="start one with `nereus discover`",
            )
        return Run(workspace.repository.load(header.id), workspace.artifacts)
