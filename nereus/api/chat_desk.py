"""The server's desk: what chat may do for one owner. Work is queued for the worker; rows are asked for by owner."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from nereus.agents.chat.recorded_desk import RecordedDesk
from nereus.api.served_runs import cancelled, reports
from nereus.api.state import ServerState
from nereus.errors import InputError, PlanError
from nereus.memory.database import DatabaseLedger
from nereus.memory.database.models import LOCAL
from nereus.memory.jobs import ENDED
from nereus.memory.records import ArtifactRef, ToolCall
from nereus.models.store import ModelStore
from nereus.tools import registry
from nereus.tools.base import Capability

CALL_S = 900.0
"""Longest that an answer waits for one tool call."""
_LOOK_S = 0.03


class ServerDesk(RecordedDesk):
    """Queues work and reads the record, for one owner.

    Parameters
    ----------
    state
        The server's open stores.
    owner
        For whom.
    """

    def __init__(self, state: ServerState, owner: str) -> None:
        super().__init__(state.workspace, owner, reports(state.workspace))
        self._state = state

    def for_owner(self, owner: str) -> ServerDesk:
        """See `Desk`."""
        return self if owner == self.owner else ServerDesk(self._state, owner)

    def call_tool(
        self,
        name: str,
        inputs: Mapping[str, ArtifactRef | Mapping[str, ArtifactRef]],
        params: Mapping[str, Any],
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
    ) -> ToolCall:
        """See `Desk`."""
        tool = registry.get(name)
        if tool.capability in (Capability.NETWORK, Capability.EXEC):
            raise InputError(
                f"tool {name!r} reaches beyond its inputs ({tool.capability.value})",
                mend="it is called within runs, where it can be approved",
            )
        tool.validate(params)
        job = self._state.jobs.add(
            self.owner,
            "tool",
            {
                "tool": name,
                "params": dict(params),
                "seed": seed,
                "inputs": {slot: _document(one) for slot, one in inputs.items()},
            },
        )
        ends = time.monotonic() + CALL_S
        while job.status not in ENDED and time.monotonic() < ends and not (stop is not None and stop()):
            time.sleep(_LOOK_S)
            job = self._state.jobs.get(job.id, self.owner)
        if job.status != "finished":
            if job.status not in ENDED:
                self._state.jobs.ask_to_cancel(job.id)
            error = job.result.get("error", {})
            raise PlanError(
                str(
                    error.get("what")
                    or ("it was stopped" if stop is not None and stop() else f"the call was {job.status}")
                ),
                where=error.get("where") or f"tool {name!r}",
                mend=error.get("mend"),
            )
        call = DatabaseLedger(self.workspace.database).find_call(str(job.result["key"]))
        if call is None:
            raise PlanError("the call was removed meanwhile", where=f"tool {name!r}", mend="ask again")
        return call

    def cancel(self, run_id: str) -> None:
        """See `Desk`."""
        self.header(run_id)
        for job in self._state.jobs.of_run(run_id, unended=True):
            self._state.jobs.ask_to_cancel(job.id)
        if all(job.status in ENDED for job in self._state.jobs.of_run(run_id)):  # nobody is at work on it
            cancelled(self.workspace, run_id)

    def _queued(self, run_id: str, kind: str) -> None:
        del kind  # the worker sees by its record what a run is
        self._state.jobs.add(self.owner, "run", run_id=run_id)
        self._state.audit.add(self.owner, "create run", run_id, "done", "chat")

    def _at_work(self, run_id: str) -> bool:
        return bool(self._state.jobs.of_run(run_id, unended=True))

    def _store(self) -> ModelStore:
        """Trained models of the owner: nobody sees another's."""
        if self.owner == LOCAL:
            return super()._store()
        name = hashlib.sha256(self.owner.encode()).hexdigest()[:32]
        return ModelStore(self.settings.home / "models_of" / name)


def _document(given: ArtifactRef | Mapping[str, ArtifactRef]) -> dict[str, Any]:
    if isinstance(given, ArtifactRef):
        return given.model_dump(mode="json")
    return {name: one.model_dump(mode="json") for name, one in given.items()}
