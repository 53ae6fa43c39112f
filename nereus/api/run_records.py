"""Records of runs that have ended, kept for a while: a page looks at many parts of one, and each look would read it whole."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from nereus.memory.records import RunRecord
from nereus.memory.workspace import Workspace

KEPT = 8
_ENDED = ("finished", "stopped", "cancelled", "refused", "failed")

_lock = Lock()
_kept: OrderedDict[tuple[str, str, str, int], RunRecord] = OrderedDict()


def record_of(workspace: Workspace, run_id: str) -> RunRecord:
    """All about a run. One that has ended is read once, until something happens to it again.

    Parameters
    ----------
    workspace
        Open stores.
    run_id
        The run; whose it is has been looked at.
    """
    header = workspace.repository.header(run_id)
    if header.status not in _ENDED:
        return workspace.repository.load(run_id)
    key = (workspace.settings.database_url, run_id, header.model_dump_json(), workspace.events.last(run_id))
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    record = workspace.repository.load(run_id)
    with _lock:
        _kept[key] = record
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return record
