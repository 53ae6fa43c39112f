"""Connections to external MCP servers: one thread for all, begun on first use; a server that dies is told, and tried again."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotYet
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nereus.agents.external.definitions import ExternalTool, defined
from nereus.agents.external.results import as_text
from nereus.errors import InputError, ToolError

if TYPE_CHECKING:
    from mcp import ClientSession

    from nereus.settings import McpServer, Settings

T = TypeVar("T")
START_S = 30.0
"""Longest that a server may take to begin and list its tools."""
FRESH_S = 60.0
"""After so long its list is asked for again."""
_AGAIN_S = 30.0
"""A server that could not be reached is left alone for so long."""
_MOST_TOOLS = 200
_LOOK_S = 0.1


class Servers:
    """The external servers of the settings. Used from several threads.

    Parameters
    ----------
    settings
        Names the servers.
    """

    def __init__(self, settings: Settings) -> None:
        self._servers = {
            name: _Server(name, one, settings.home / "external" / name)
            for name, one in settings.mcp_servers.items()
        }
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tools(self) -> tuple[list[ExternalTool], list[str]]:
        """What can be called now, and what is wrong with servers or tools that cannot."""
        waiting = [(one, self._begin(one.list())) for one in self._servers.values()]
        found: list[ExternalTool] = []
        troubles: list[str] = []
        for server, result in waiting:
            try:
                found += result.result(START_S + 5)
            except (ToolError, InputError, NotYet, CancelledError) as error:
                troubles.append(f"{server.name}: {error or 'it does not answer'}")
            troubles += [f"{server.name}: {one}" for one in server.refused]
        return found, troubles

    def call(
        self, tool: ExternalTool, arguments: dict[str, Any], stopped: Callable[[], bool] = lambda: False
    ) -> str:
        """Call a tool and give the text of its result.

        Raises
        ------
        ToolError
            The server died, took too long, refused, or the tool is no longer what it was.
        """
        server = self._servers[tool.server]
        running = self._begin(server.call(tool, arguments))
        while True:
            try:
                result: str = running.result(_LOOK_S)
                return result
            except NotYet:
                if running.done():
                    raise ToolError("the call timed out", where=f"tool {tool.name!r}") from None
                if stopped():
                    running.cancel()
                    raise ToolError("the call was ended", where=f"tool {tool.name!r}") from None
            except CancelledError:
                raise ToolError("the call was ended", where=f"tool {tool.name!r}") from None

    def close(self) -> None:
        """End all connections and the programs behind them."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        ending = asyncio.run_coroutine_threadsafe(self._end(), loop)
        try:
            ending.result(10)
        except NotYet:
            pass
        finally:
            loop.call_soon_threadsafe(loop.stop)

    async def _end(self) -> None:
        await asyncio.gather(*(one.end() for one in self._servers.values()), return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, T]) -> Any:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="external MCP", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)


class _Server:
    """One server: a task of its own holds the connection, since it must be closed where it was opened."""

    def __init__(self, name: str, given: McpServer, folder: Path) -> None:
        self.name = name
        self.refused: list[str] = []
        self._given = given
        self._folder = folder
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._done: asyncio.Event | None = None
        self._lock: asyncio.Lock | None = None
        self._tools: dict[str, ExternalTool] = {}
        self._listed_at = -FRESH_S
        self._failed_at = -_AGAIN_S
        self._trouble = ""

    async def list(self) -> list[ExternalTool]:
        """Its tools, asked for again when the list is old or the server said that it changed."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            session = await self._connected()
            if time.monotonic() - self._listed_at >= FRESH_S:
                try:
                    self._tools = await asyncio.wait_for(self._asked(session), START_S)
                except Exception as error:  # a stranger's server may fail in any way; it is told  # noqa: BLE001
                    await self.end()
                    raise self._failure("its tools could not be listed", error) from None
                self._listed_at = time.monotonic()
            return list(self._tools.values())

    async def call(self, tool: ExternalTool, arguments: dict[str, Any]) -> str:
        """One call of a tool that is still what it was."""
        await self.list()
        now = self._tools.get(tool.name)
        if now is None or now.digest != tool.digest:
            raise ToolError(
                "the server describes the tool otherwise than when it was approved",
                where=f"tool {tool.name!r}",
                mend="ask again: it has to be approved as it is now",
            )
        session = await self._connected()
        limit = self._given.timeout_s
        working = asyncio.ensure_future(
            session.call_tool(tool.tool, arguments, read_timeout_seconds=timedelta(seconds=limit))
        )
        broken = asyncio.ensure_future(self._broken())
        try:
            await asyncio.wait({working, broken}, timeout=limit + 1, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                if broken.done():
                    raise self._failure("the server ended during the call", ToolError("it is gone"))
                raise ToolError(f"no result within {limit:.0f} s", where=f"tool {tool.name!r}")
            found = working.result()
        except ToolError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a stranger's server does is a failed call
            raise ToolError(f"the server refused: {_brief(error)}", where=f"tool {tool.name!r}") from None
        finally:
            working.cancel()
            broken.cancel()
        text = as_text(found.content, found.structuredContent)
        if found.isError:
            raise ToolError(f"the tool failed: {text[:500]}", where=f"tool {tool.name!r}")
        return text

    async def _broken(self) -> None:
        """Wait until the connection has ended."""
        if self._done is not None:
            await self._done.wait()

    async def end(self) -> None:
        """Close the connection; the program behind it ends."""
        task, self._task, self._session = self._task, None, None
        self._listed_at = -FRESH_S
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _connected(self) -> ClientSession:
        if self._session is not None and self._done is not None and not self._done.is_set():
            return self._session
        await self.end()
        if time.monotonic() - self._failed_at < _AGAIN_S:
            raise ToolError(self._trouble, where=f"MCP server {self.name!r}", mend=self._mend())
        ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()
        self._task = asyncio.create_task(self._hold(ready, self._done))
        try:
            self._session = await asyncio.wait_for(asyncio.shield(ready), START_S)
        except Exception as error:  # noqa: BLE001 - as above
            await self.end()
            raise self._failure("it could not be reached", error) from None
        return self._session

    async def _hold(self, ready: asyncio.Future[ClientSession], done: asyncio.Event) -> None:
        """Keep a connection open until it breaks or is ended."""
        from mcp import ClientSession

        try:
            async with AsyncExitStack() as stack:
                reading, writing = await stack.enter_async_context(self._transport())
                session = await stack.enter_async_context(
                    ClientSession(_Watched(reading, done), writing, message_handler=self._heard)  # type: ignore[arg-type]
                )
                await session.initialize()
                ready.set_result(session)
                await done.wait()
        except BaseException as error:  # told to whoever waits for the connection
            if not ready.done():
                ready.set_exception(error if isinstance(error, Exception) else ToolError("it was ended"))
            if not isinstance(error, Exception) and not isinstance(error, BaseExceptionGroup):
                raise
        finally:
            done.set()

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[tuple[Any, Any]]:
        if self._given.url is not None:
            import httpx
            from mcp.client.streamable_http import streamable_http_client

            headers = {name: one.get_secret_value() for name, one in self._given.headers.items()}
            limits = httpx.Timeout(START_S, read=self._given.timeout_s + 5)
            async with (
                httpx.AsyncClient(headers=headers, timeout=limits) as client,
                streamable_http_client(self._given.url, http_client=client) as (reading, writing, _),
            ):
                yield reading, writing
            return
        from mcp.client.stdio import StdioServerParameters, stdio_client

        self._folder.mkdir(parents=True, exist_ok=True)
        named = {one: os.environ[one] for one in self._given.environment if one in os.environ}
        started = StdioServerParameters(
            command=self._given.command[0],
            args=list(self._given.command[1:]),
            env=named,
            cwd=self._folder,  # not ours, which may hold a file of settings
            encoding_error_handler="replace",
        )
        with open(os.devnull, "w") as nowhere:
            async with stdio_client(started, errlog=nowhere) as (reading, writing):
                yield reading, writing

    async def _asked(self, session: ClientSession) -> dict[str, ExternalTool]:
        from mcp import types

        found: dict[str, ExternalTool] = {}
        self.refused = []
        cursor: str | None = None
        while True:
            page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            for one in page.tools:
                if not any(fnmatchcase(one.name, wanted) for wanted in self._given.tools):
                    continue
                rest = one.model_dump(
                    mode="json", exclude={"name", "description", "inputSchema"}, exclude_none=True
                )
                try:
                    made = defined(self.name, one.name, one.description or "", one.inputSchema, rest)
                except InputError as error:
                    self.refused.append(error.what)
                    continue
                found.setdefault(made.name, made)
            cursor = page.nextCursor
            if cursor is None or len(found) >= _MOST_TOOLS:
                return dict(list(found.items())[:_MOST_TOOLS])

    async def _heard(self, message: Any) -> None:
        """A notification; a server that says that its tools changed is asked for them again."""
        root = getattr(message, "root", None)
        if type(root).__name__ == "ToolListChangedNotification":
            self._listed_at = -FRESH_S

    def _failure(self, what: str, error: BaseException) -> ToolError:
        self._failed_at = time.monotonic()
        self._trouble = f"{what}: {_brief(error)}"
        return ToolError(self._trouble, where=f"MCP server {self.name!r}", mend=self._mend())

    def _mend(self) -> str:
        return f"see to the server (it is tried again after {_AGAIN_S:.0f} s), or take it out of mcp_servers"


class _Watched:
    """A stream of messages that tells when it has ended: a server that died ends it."""

    def __init__(self, stream: Any, done: asyncio.Event) -> None:
        self._stream = stream
        self._done = done

    async def __aenter__(self) -> _Watched:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._stream.__aexit__(*exception)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._done.set()
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _brief(error: BaseException) -> str:
    """The innermost reason, in a line."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = str(error).splitlines()[0][:200] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
