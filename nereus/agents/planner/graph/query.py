"""`nereus.graph`: the evidence graph of a run, or of all runs of a home, to be asked."""

from __future__ import annotations

from typing import Any

from nereus.errors import InputError
from nereus.memory.network import EvidenceGraph
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings


def graph(run_id: str | None = None, *, all_runs: bool = False, **settings: Any) -> EvidenceGraph:
    """Open the evidence graph of a run, or of all runs.

    Parameters
    ----------
    run_id
        The run; None takes the newest that has a graph.
    all_runs
        Every run instead: things of one kind and name are then one, whatever the data set.
    **settings
        Any setting of `nereus.settings.Settings`: ``home``, ``database_url`` ...

    Returns
    -------
    EvidenceGraph
        To be asked by `find`, `neighbourhood`, `paths`, `match` and `agreement`.

    Raises
    ------
    InputError
        No run has a graph, or the run ended before it had one.
    StoreError
        There is no such run.
    """
    with open_workspace(load_settings(**settings)) as workspace:
        repository = workspace.repository
        known = set(repository.runs_with_graphs())
        if all_runs:
            wanted = [one.id for one in reversed(repository.list_runs()) if one.id in known]
        elif run_id is None:
            wanted = [one.id for one in repository.list_runs() if one.id in known][:1]
        else:
            wanted = [repository.header(run_id).id]
        if not wanted:
            raise InputError(
                "no run has an evidence graph yet",
                where=str(workspace.settings.home),
                mend="start one with `nereus discover`",
            )
        if not all_runs and wanted[0] not in known:
            raise InputError(
                "the run has no evidence graph: it ended before its claims were judged, or is of an older version",
                where=f"run {wanted[0]}",
                mend="resume it, or start it again: finished steps are not computed again",
            )
        return EvidenceGraph({one: repository.graph(one) for one in wanted})
