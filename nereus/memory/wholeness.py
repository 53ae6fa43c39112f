"""What a run recorded and the store no longer holds as it was: lost or damaged objects, found before a run goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nereus.errors import StoreError
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.records import ArtifactRef, ToolCall


def set_damaged_aside(
    artifacts: ArtifactStore, calls: Iterable[ToolCall], inputs: Mapping[str, ArtifactRef]
) -> list[str]:
    """Take damaged objects out of the store, so that the steps that made them are carried out again.

    Parameters
    ----------
    artifacts
        The store; every object that the run refers to is read.
    calls
        Recorded calls of the run.
    inputs
        The user's files, by role.

    Returns
    -------
    list of str
        A line an object that was lost or damaged; empty when all are whole.

    Raises
    ------
    StoreError
        A file of the user is damaged or missing: no step can make it again.
    """
    for role, ref in inputs.items():
        if not artifacts.whole(ref):
            raise StoreError(
                f"the kept copy of {ref.name!r} is {'damaged' if artifacts.has(ref) else 'missing'}",
                where=f"artifact {ref.id[:12]} ({role})",
                mend="give the same file again: `nereus resume RUN --data FILE` for the data, or `nereus discover`",
            )
    told = []
    known: set[str] = set()
    for call in calls:
        for name, ref in call.outputs.items():
            if ref.id in known or artifacts.whole(ref):
                known.add(ref.id)
                continue
            known.add(ref.id)
            how = "damaged" if artifacts.has(ref) else "missing"
            artifacts.set_aside(ref)
            told.append(f"artifact {name} of {call.spec.tool} was {how} and was made again")
    return told
