"""A server from Python: `nereus.Client` has the verbs of `nereus` itself, worked on elsewhere.

client = nereus.Client("http://127.0.0.1:8642")
run = client.discover("proteinGroups.txt", "samples.tsv", question="what differs in treated cells?")
run.hypotheses[0]["statement"]
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from nereus.errors import InputError, NereusError, NotFound, ResumeRefused, StoreError
from nereus.memory.records import Event

if TYPE_CHECKING:
    import pandas as pd

_END = "end"
_WAIT_S = 50.0
_TRIES = 6
_FIRST_PAUSE_S = 0.2
_CONNECT_S = 10.0
_KINDS: dict[str, type[NereusError]] = {
    "not-found": NotFound,
    "resume-refused": ResumeRefused,
    "store-error": StoreError,
}


class Client:
    """A server.

    Parameters
    ----------
    url
        Address, as ``http://127.0.0.1:8642``.
    token
        Access token; none is needed by a server on this machine that asks for none.
    timeout_s
        Seconds that one answer may take.

    Raises
    ------
    NereusError
        What the server refused, with its own words. `StoreError` where it cannot be reached.
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 120.0) -> None:
        headers = {"user-agent": "nereus"} | ({"authorization": f"Bearer {token}"} if token else {})
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # ------------------------------------------------------------------ data sets

    def upload(self, file: str | Path) -> str:
        """Upload a file; its id. Equal files are kept once.

        Raises
        ------
        InputError
            There is no such file, or it is none that could be a table.
        """
        path = Path(file).expanduser()
        try:
            with path.open("rb") as content:
                made = self._json("POST", "/api/datasets", files={"file": (path.name, content)})
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}", where=str(path), mend="check the path"
            ) from None
        return str(made["id"])

    def datasets(self) -> list[dict[str, Any]]:
        """Your data sets, newest first."""
        found: list[dict[str, Any]] = self._json("GET", "/api/datasets")
        return found

    def profile(
        self, data: str | Path, samples: str | Path | None = None, load: Mapping[str, Any] | None = None
    ) -> Job:
        """Read a file and tell what it is; see ``values``, ``warnings`` and the tables of the job."""
        body = {"samples": None if samples is None else self._id(samples), "load": dict(load or {})}
        return self._job(self._json("POST", f"/api/datasets/{self._id(data)}/profile", json=body))

    # ------------------------------------------------------------------ runs

    def discover(
        self,
        data: str | Path,
        samples: str | Path | None = None,
        *,
        cohort: str | Path | None = None,
        cohort_samples: str | Path | None = None,
        layers: Mapping[str, str | Path] | None = None,
        wait: bool = True,
        on_event: Callable[[Event], object] | None = None,
        **asked: Any,
    ) -> RemoteRun:
        """Ask for a run; see `nereus.discover`.

        Parameters
        ----------
        data, samples, cohort, cohort_samples, layers
            Files, which are uploaded, or ids of data sets.
        wait
            Whether to wait until it has ended, or waits for an answer.
        on_event
            Called with every event while waiting.
        **asked
            ``question``, ``budget``, ``load``, ``seed``, ``approval``, ``policy``.
        """
        given = {"samples": samples, "cohort": cohort, "cohort_samples": cohort_samples}
        body = {
            "data": self._id(data),
            **{role: self._id(one) for role, one in given.items() if one is not None},
            "layers": {name: self._id(one) for name, one in (layers or {}).items()},
            **asked,
        }
        run = RemoteRun(self, self._json("POST", "/api/runs", json=body)["id"])
        if wait:
            run.wait(on_event)
        return run

    def run(self, run_id: str) -> RemoteRun:
        """A run by its id."""
        run = RemoteRun(self, run_id)
        run.look()
        return run

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Your runs, newest first."""
        found: list[dict[str, Any]] = self._json("GET", "/api/runs", params={"limit": limit})
        return found

    # ------------------------------------------------------------------ tools and methods

    def tools(self) -> list[dict[str, Any]]:
        """All tools."""
        found: list[dict[str, Any]] = self._json("GET", "/api/tools")
        return found

    def tool(self, name: str) -> dict[str, Any]:
        """One tool with its documentation and the schema of its parameters."""
        found: dict[str, Any] = self._json("GET", f"/api/tools/{quote(name, safe='')}")
        return found

    def call(
        self,
        tool: str,
        inputs: Mapping[str, str | Path | Mapping[str, str | Path]],
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Job:
        """Call a tool and wait for its end.

        Parameters
        ----------
        tool
            Its name.
        inputs
            Input to a file, an id of a data set, or ``<job id>/<output>``.
        params
            Its parameters.
        seed
            Seed of everything random.
        """
        given = {
            slot: {name: self._id(part) for name, part in one.items()}
            if isinstance(one, Mapping)
            else self._id(one)
            for slot, one in inputs.items()
        }
        body = {"inputs": given, "params": dict(params or {}), "seed": seed}
        return self._job(self._json("POST", f"/api/tools/{quote(tool, safe='')}/calls", json=body))

    def methods(self) -> list[dict[str, Any]]:
        """Cards of all methods."""
        found: list[dict[str, Any]] = self._json("GET", "/api/methods")
        return found

    def usage(self) -> dict[str, Any]:
        """What your runs have used."""
        found: dict[str, Any] = self._json("GET", "/api/usage")
        return found

    # ------------------------------------------------------------------ requests

    def _id(self, one: str | Path) -> str:
        """The id of a data set, which is uploaded where a file is named."""
        if isinstance(one, Path) or Path(one).expanduser().is_file():
            return self.upload(one)
        return one

    def _job(self, seen: dict[str, Any]) -> Job:
        """A job at its end; its error is raised."""
        while seen["status"] in ("queued", "running"):
            seen = self._json("GET", f"/api/jobs/{seen['id']}", params={"wait": _WAIT_S})
        if "error" in seen["result"]:
            raise InputError(**seen["result"]["error"])
        return Job(self, seen)

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self._answer(method, path, **request).json()

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer that is a success. What only reads is asked again where the server cannot be reached."""
        pause = _FIRST_PAUSE_S
        for tries in range(_TRIES if method == "GET" else 1):
            if tries:
                time.sleep(pause)
                pause *= 2
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                reason = error
                continue
            if answer.is_success:
                return answer
            raise _refusal(answer)
        raise StoreError(
            f"the server cannot be reached: {reason}",
            where=str(self._http.base_url),
            mend="start it with `nereus serve`, or check the address",
        )

    def _lines(self, path: str, after: int) -> Iterator[str]:
        headers = {"accept": "text/event-stream", "last-event-id": str(after)}
        with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(60.0)) as answer:
            if not answer.is_success:
                answer.read()
                raise _refusal(answer)
            yield from answer.iter_lines()


class Job:
    """A piece of work that has ended, and what came out.

    Attributes
    ----------
    id
        Its id: ``<id>/<output>`` is an input of further calls.
    values, warnings, summary
        Of its result.
    """

    def __init__(self, client: Client, seen: Mapping[str, Any]) -> None:
        self._client = client
        self.id = str(seen["id"])
        self.result: Mapping[str, Any] = seen["result"]
        self.summary = str(self.result.get("summary", ""))
        self.values: Mapping[str, Any] = self.result.get("values", {})
        self.warnings: list[str] = list(self.result.get("warnings", []))

    @property
    def outputs(self) -> list[str]:
        """Names of what it made."""
        return sorted(self.result.get("outputs", {}))

    def table(self, name: str) -> pd.DataFrame:
        """A table that it made."""
        return _table(self.content(name))

    def content(self, name: str) -> bytes:
        """What it made, as it is kept: Parquet, h5ad, SVG, safetensors."""
        return self._client._answer("GET", f"/api/jobs/{self.id}/outputs/{quote(name, safe='')}").content

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.summary[:100]}>"


class RemoteRun:
    """A run on a server.

    Attributes
    ----------
    id
        Its id.
    """

    def __init__(self, client: Client, run_id: str) -> None:
        self._client = client
        self.id = run_id
        self._path = f"/api/runs/{quote(run_id, safe='')}"

    def look(self) -> dict[str, Any]:
        """What the server tells of it now."""
        found: dict[str, Any] = self._client._json("GET", self._path)
        return found

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``waiting``, ``finished``, ``stopped``, ``cancelled``, ``refused`` or ``failed``."""
        return str(self.look()["status"])

    def events(self, after: int = 0) -> Iterator[Event]:
        """Every event above a number, once and in order, until the run ends or waits; lost connections are taken up again."""
        lost, pause = 0, _FIRST_PAUSE_S
        while True:
            name = ""
            try:
                for line in self._client._lines(f"{self._path}/events", after):
                    field, _, value = line.partition(":")
                    if field == "event":
                        name = value.strip()
                    elif field == "data" and name == _END:
                        return
                    elif field == "data":
                        event = Event.model_validate(json.loads(value))
                        after, lost, pause = event.seq, 0, _FIRST_PAUSE_S
                        yield event
            except httpx.TransportError as error:
                if (lost := lost + 1) >= _TRIES:
                    raise StoreError(
                        f"the server cannot be reached: {error}",
                        where=f"run {self.id}",
                        mend=f"client.run({self.id!r}).events(after={after}) goes on",
                    ) from None
            time.sleep(pause)
            pause *= 2

    def wait(self, on_event: Callable[[Event], object] | None = None, after: int = 0) -> RemoteRun:
        """Wait until it has ended, or waits for an answer; one that does already is given back at once.

        Raises
        ------
        InputError
            The data cannot be analysed.
        """
        for event in self.events(after):
            if on_event is not None:
                on_event(event)
        seen = self.look()
        if seen["status"] == "refused":
            raise InputError(seen["stop_reason"], where=seen["inputs"].get("data"))
        return self

    @property
    def hypotheses(self) -> list[dict[str, Any]]:
        """All hypotheses, best first; refuted ones are kept."""
        found: list[dict[str, Any]] = self._client._json("GET", f"{self._path}/hypotheses")
        return found

    def evidence(self, evidence_id: str) -> dict[str, Any]:
        """One piece of evidence, and the call that recomputes it."""
        found: dict[str, Any] = self._client._json(
            "GET", f"{self._path}/evidence/{quote(evidence_id, safe='')}"
        )
        return found

    def artifacts(self) -> list[dict[str, Any]]:
        """Everything that its steps made."""
        found: list[dict[str, Any]] = self._client._json("GET", f"{self._path}/artifacts")
        return found

    def table(self, step: str, name: str) -> pd.DataFrame:
        """A table that a step made."""
        path = f"{self._path}/artifacts/{quote(step, safe='')}/{quote(name, safe='')}"
        return _table(self._client._answer("GET", path).content)

    def report(self, file: str = "report.html") -> bytes:
        """A file of its report."""
        return self._client._answer("GET", f"{self._path}/report/{quote(file)}").content

    def approvals(self, pending: bool = True) -> list[dict[str, Any]]:
        """Questions that wait for an answer, or all."""
        found: list[dict[str, Any]] = self._client._json(
            "GET", f"{self._path}/approvals", params={"pending": pending}
        )
        return found

    def answer(self, approval_id: str, approve: bool = True, **more: Any) -> None:
        """Answer a question: accept or refuse, and by its kind ``drop``, ``edit``, ``add``, ``params``, ``steps``."""
        path = f"{self._path}/approvals/{quote(approval_id, safe='')}"
        self._client._json("POST", path, json={"approve": approve, **more})

    def cancel(self) -> None:
        """End it, with every process that works on it."""
        self._client._json("POST", f"{self._path}/cancel")

    def resume(self) -> None:
        """Go on with it."""
        self._client._json("POST", f"{self._path}/resume")

    def delete(self) -> None:
        """Forget it, with its report."""
        self._client._answer("DELETE", self._path)

    def __repr__(self) -> str:
        return f"<RemoteRun {self.id}: {self.status}>"


def _table(content: bytes) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(BytesIO(content))


def _refusal(answer: httpx.Response) -> NereusError:
    """What the server said, as an error of the same kind."""
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if not isinstance(told, dict) or "detail" not in told:
        return StoreError(
            f"the server answered {answer.status_code}",
            where=str(answer.url),
            mend="is this a Nereus server?",
        )
    kind = str(told.get("type", "")).rpartition(":")[2]
    return _KINDS.get(kind, InputError)(str(told["detail"]), where=told.get("where"), mend=told.get("mend"))
