"""A small client for measurements: it costs a tenth of what a full one does, so that the server is what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Wire:
    """One connection to a server."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask for a document: status and body."""
        await self._ask(path, "application/json")
        status, headers = await self._head()
        return status, await self.reader.readexactly(int(headers["content-length"]))

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Ask for a stream, and give its lines as they come."""
        await self._ask(path, "text/event-stream")
        await self._head()
        while line := await self.reader.readline():
            yield line.strip()

    async def _ask(self, path: str, accept: str) -> None:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nAccept: {accept}\r\n\r\n".encode())
        await self.writer.drain()

    async def _head(self) -> tuple[int, dict[str, str]]:
        status = int((await self.reader.readline()).split()[1])
        headers: dict[str, str] = {}
        while line := (await self.reader.readline()).decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection that is closed at the end."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**22)
    try:
        yield Wire(place.netloc, reader, writer)
    finally:
        writer.close()
