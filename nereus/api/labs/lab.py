"""`nereus.Lab` on this machine and `nereus.Client` of a server: the same verbs, and twins whose verbs are awaited.

lab = nereus.Lab()
run = lab.discover("proteinGroups.txt", "samples.tsv", question="what differs in treated cells?")
run.hypotheses[0].statement
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import httpx

from nereus.api.labs.actions import Actions, AsyncActions
from nereus.api.labs.asking import Ask, Asks, AsyncLine, Awaits, Line, Waits, headers_of, timeout_of, verb
from nereus.api.labs.chat import AsyncChat, Chat
from nereus.api.labs.datasets import AsyncDatasets, Datasets, Given
from nereus.api.labs.local import ADDRESS, LocalServer
from nereus.api.labs.runs import AsyncRun, AsyncRuns, Listener, Run, Runs
from nereus.api.labs.shown import card
from nereus.api.labs.tools import AsyncMethods, AsyncTools, Methods, Tools
from nereus.api.views import Usage
from nereus.settings import load_settings

TIMEOUT_S = 120.0


class _Verbs:
    """What can be asked of a lab as a whole."""

    address: str

    @verb
    def usage(self) -> Asks[Usage]:
        """What your runs have used."""
        return Usage.model_validate((yield Ask("GET", "/api/usage")).json())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def _repr_html_(self) -> str:
        parts = "datasets, runs, tools, methods, chat, actions"
        return card(f"Nereus {type(self).__name__}", {"at": self.address, "has": parts})


class Laboratory(_Verbs, Waits):
    """All that can be asked, with verbs that wait; `Lab` and `Client` are its two kinds.

    Attributes
    ----------
    datasets, runs, tools, methods, chat, actions
        What there is, each with its own verbs.
    address
        Where it is.

    Raises
    ------
    NereusError
        From every verb: what was refused, in the same words here and there. `StoreError` where a server cannot be reached.
    """

    def __init__(self, line: Line, address: str) -> None:
        super().__init__(line)
        self.address = address
        self.datasets = Datasets(line)
        self.runs = Runs(line)
        self.tools = Tools(line)
        self.methods = Methods(line)
        self.chat = Chat(line)
        self.actions = Actions(line)

    def discover(
        self,
        data: Given,
        samples: Given | None = None,
        *,
        on_event: Listener | None = None,
        **asked: Any,
    ) -> Run:
        """Ask for a run, and wait until it has ended or waits for an answer; see `Runs.start` and `nereus.discover`.

        Parameters
        ----------
        on_event
            Called with every event while waiting.
        """
        return self.runs.start(data, samples, **asked).wait(on_event)

    def close(self) -> None:
        """Give the connections back."""
        self.line.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncLaboratory(_Verbs, Awaits):
    """See `Laboratory`; every verb is awaited."""

    def __init__(self, line: AsyncLine, address: str) -> None:
        super().__init__(line)
        self.address = address
        self.datasets = AsyncDatasets(line)
        self.runs = AsyncRuns(line)
        self.tools = AsyncTools(line)
        self.methods = AsyncMethods(line)
        self.chat = AsyncChat(line)
        self.actions = AsyncActions(line)

    async def discover(
        self,
        data: Given,
        samples: Given | None = None,
        *,
        on_event: Listener | None = None,
        **asked: Any,
    ) -> AsyncRun:
        """See `Laboratory.discover`."""
        return await (await self.runs.start(data, samples, **asked)).wait(on_event)

    async def close(self) -> None:
        """Give the connections back."""
        await self.line.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class Client(Laboratory):
    """A server.

    Parameters
    ----------
    url
        Address, as ``http://127.0.0.1:8642``.
    token
        Access token; none is needed by a server on this machine that asks for none.
    timeout_s
        Seconds that one answer may take.
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        http = httpx.Client(base_url=url, headers=headers_of(token), timeout=timeout_of(timeout_s))
        super().__init__(Line(http), url)


class AsyncClient(AsyncLaboratory):
    """A server; see `Client`. Every verb is awaited."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        http = httpx.AsyncClient(base_url=url, headers=headers_of(token), timeout=timeout_of(timeout_s))
        super().__init__(AsyncLine(http), url)


class Lab(Laboratory):
    """A server of your own on this machine that nobody else can reach, started with the first verb.

    Runs are worked on in processes of their own: they go on while you look elsewhere, can be cancelled, and outlive this
    program's end; whatever was not finished is gone on with by the next lab of the same home.

    Parameters
    ----------
    home
        Where everything is kept; the setting `home` where it is not given.
    workers
        Processes that work on runs and tool calls; 0 where `nereus worker` runs elsewhere.
    **settings
        Any setting of `nereus.settings.Settings`.

    Examples
    --------
    >>> import nereus
    >>> with nereus.Lab() as lab:  # doctest: +SKIP
    ...     lab.discover("proteinGroups.txt", "samples.tsv").claims
    """

    def __init__(self, home: str | Path | None = None, workers: int = 1, **settings: Any) -> None:
        loaded = load_settings(home=home, **settings)
        self._server = LocalServer(loaded, workers)
        http = httpx.Client(
            base_url=ADDRESS,
            transport=httpx.HTTPTransport(uds=self._server.socket),
            headers=headers_of(None),
            timeout=timeout_of(TIMEOUT_S),
        )
        super().__init__(Line(http, self._server.ready), str(loaded.home))

    def close(self) -> None:
        """Give everything back; runs that are worked on wait for the next lab."""
        super().close()
        self._server.close()


class AsyncLab(AsyncLaboratory):
    """A server of your own; see `Lab`. Every verb is awaited."""

    def __init__(self, home: str | Path | None = None, workers: int = 1, **settings: Any) -> None:
        loaded = load_settings(home=home, **settings)
        self._server = LocalServer(loaded, workers)
        http = httpx.AsyncClient(
            base_url=ADDRESS,
            transport=httpx.AsyncHTTPTransport(uds=self._server.socket),
            headers=headers_of(None),
            timeout=timeout_of(TIMEOUT_S),
        )
        super().__init__(AsyncLine(http, self._server.ready), str(loaded.home))

    async def close(self) -> None:
        """See `Lab.close`."""
        await super().close()
        await asyncio.to_thread(self._server.close)
