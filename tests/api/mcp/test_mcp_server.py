"""The product's MCP server through the unmodified Python client, over streamable HTTP and stdio."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import jsonschema
import pytest
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from nereus.tools import registry
from tests.api.conftest import Server
from tests.api.openai.conftest import Served

INIT = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def session(url: str, token: str = "", **options: Any) -> AsyncIterator[ClientSession]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(headers=headers, timeout=120) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (reading, writing, _),
        ClientSession(reading, writing, **options) as opened,
    ):
        await opened.initialize()
        yield opened


async def all_tools(opened: ClientSession) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    while True:
        page = await opened.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.nextCursor
        if cursor is None:
            return found


def content(result: types.CallToolResult) -> dict[str, Any]:
    assert not result.isError, result.content
    assert result.structuredContent is not None
    first = result.content[0]
    assert isinstance(first, types.TextContent)
    assert json.loads(first.text) == result.structuredContent
    return result.structuredContent


def test_every_open_tool_is_offered_in_pages_with_schemas_that_hold(server: Server) -> None:
    async def main() -> None:
        async with session(server.url) as opened:
            found = await all_tools(opened)
            names = [one.name for one in found]
            assert len(names) == len(set(names))
            assert {
                "datasets_list",
                "run_start",
                "run_follow",
                "job_result",
                "evidence_get",
                "table_read",
            } <= set(names)
            missing = set(registry.names()) - set(names)
            assert all(registry.get(one).capability in ("network", "exec") for one in missing)
            assert "dataset_add_file" not in names, "files are named by path on the same machine only"
            for one in found:
                jsonschema.Draft202012Validator.check_schema(one.inputSchema)
                assert one.outputSchema
            with pytest.raises(McpError, match="cursor"):
                await opened.list_tools(params=types.PaginatedRequestParams(cursor="nonsense"))

    anyio.run(main)


def test_a_table_is_added_understood_computed_with_and_read(server: Server, table: bytes) -> None:
    told: list[Any] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async def main() -> None:
        async with session(server.url) as opened:
            added = content(await opened.call_tool("dataset_add", {"name": "m.csv", "text": table.decode()}))
            name = added["dataset"]["id"]
            about = content(
                await opened.call_tool(
                    "dataset_describe", {"dataset": name, "wait_s": 50}, progress_callback=tell
                )
            )
            assert about["values"]["n_samples"] == 8
            loaded = content(await opened.call_tool("load_dataset", {"inputs": {"data": name}, "wait_s": 50}))
            scored = content(
                await opened.call_tool(
                    "quality_control", {"inputs": {"dataset": f"{loaded['job']}/dataset"}, "wait_s": 50}
                )
            )
            place = next(one["uri"] for one in scored["outputs"] if one["kind"] == "table")
            part = content(await opened.call_tool("table_read", {"uri": place, "limit": 3}))
            assert len(part["rows"]) == 3
            assert part["next_start"] == 3
            whole = (await opened.read_resource(place)).contents[0]
            assert isinstance(whole, types.TextResourceContents)
            assert len(whole.text.strip().splitlines()) == part["n_total"] + 1
            quick = content(await opened.call_tool("dataset_describe", {"dataset": name, "wait_s": 0}))
            assert quick["next"]
            done = content(await opened.call_tool("job_result", {"job": quick["job"], "wait_s": 50}))
            assert done["values"] == about["values"]
            status = content(await opened.call_tool("job_status", {"job": quick["job"]}))
            assert status["status"] == "finished"

    anyio.run(main)
    assert [one for one, _ in told] == sorted({one for one, _ in told})
    assert told


def test_a_run_is_started_followed_and_read_with_its_evidence(server: Server, dataset: str) -> None:
    told: list[str] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append(str(message))

    async def main() -> None:
        async with session(server.url) as opened:
            budget = ["objectives=1", "steps=14", "hypotheses=6"]
            asked = {"data": dataset, "seed": 77, "budget": budget}
            run = content(await opened.call_tool("run_start", asked))["run"]["id"]
            last, ended = 0, False
            with anyio.fail_after(240):
                while not ended:
                    news = content(
                        await opened.call_tool(
                            "run_follow", {"run": run, "after": last}, progress_callback=tell
                        )
                    )
                    assert [one["seq"] for one in news["events"]] == list(range(last + 1, news["last"] + 1))
                    last, ended = news["last"], news["ended"]
            found = content(await opened.call_tool("run_hypotheses", {"run": run}))["hypotheses"]
            assert found
            assert "{{" not in found[0]["statement"], "numbers are filled in"
            evidence = found[0]["evidence"][0]["id"]
            told_of = content(await opened.call_tool("evidence_get", {"run": run, "evidence": evidence}))
            assert told_of["call"]["key"] == told_of["evidence"]["call_key"]
            for what in (
                "",
                "/hypotheses",
                f"/hypotheses/{found[0]['id']}",
                f"/evidence/{evidence}",
                "/steps",
                "/artifacts",
                "/report",
            ):
                (one,) = (await opened.read_resource(f"nereus://runs/{run}{what}")).contents  # type: ignore[arg-type]
                assert isinstance(one, types.TextResourceContents)
                assert one.text
            listed = {str(one.uri) for one in (await opened.list_resources()).resources}
            assert f"nereus://runs/{run}" in listed
            explained = await opened.get_prompt(
                "explain_hypothesis", {"run": run, "hypothesis": found[0]["id"]}
            )
            assert any(isinstance(one.content, types.EmbeddedResource) for one in explained.messages)
            reference = types.PromptReference(type="ref/prompt", name="explain_hypothesis")
            offered = await opened.complete(reference, {"name": "hypothesis", "value": "H"}, {"run": run})
            assert found[0]["id"] in offered.completion.values
            for address in (
                "nereus://runs/r0000000000-1",
                f"nereus://runs/{run}/report/..%2f..%2fnereus.sqlite",
                "file:///etc/passwd",
            ):
                with pytest.raises(McpError):
                    await opened.read_resource(address)  # type: ignore[arg-type]

    anyio.run(main)
    assert any("step_finished" in one for one in told)


def test_what_is_asked_wrongly_is_an_error_that_a_model_can_mend(server: Server) -> None:
    async def main() -> None:
        async with session(server.url) as opened:
            for name, given, said in (
                ("job_status", {"job": "x"}, "job"),
                ("quality_control", {}, "'dataset' is missing"),
                ("run_get", {"run": "r0000000000-1"}, "there is no run"),
                ("load_dataset", {"inputs": {"data": "d0000000000000000"}}, "there is no data set"),
                ("run_start", {"data": "x", "nonsense": 1}, "nonsense"),
            ):
                result = await opened.call_tool(name, given)
                assert result.isError, name
                assert isinstance(result.content[0], types.TextContent)
                assert said in result.content[0].text
            with pytest.raises(McpError, match="there is no tool"):
                await opened.call_tool("no_such_tool", {})
            with pytest.raises(McpError, match="missing"):
                await opened.get_prompt("analyse_table", {})

    anyio.run(main)


def test_a_call_that_is_taken_back_ends_its_job(served: Served) -> None:
    """Nobody works here, so that the job waits until it is ended."""

    async def main() -> None:
        async with session(served.url, served.tokens["ada"]) as opened:
            added = await opened.call_tool("dataset_add", {"name": "c.csv", "text": "protein,a_1\nP1,2\n"})
            name = content(added)["dataset"]["id"]
            queued = content(await opened.call_tool("dataset_describe", {"dataset": name, "wait_s": 0}))[
                "job"
            ]
            asked = {"dataset": name, "wait_s": 50}
            request = opened._request_id

            async def take_back() -> None:
                await anyio.sleep(1)
                params = types.CancelledNotificationParams(requestId=request)
                taken = types.CancelledNotification(params=params)
                await opened.send_notification(types.ClientNotification(taken))

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(take_back)
                    with pytest.raises(McpError, match="cancelled"):
                        await opened.call_tool("dataset_describe", asked)
            with anyio.fail_after(10):
                while served.state.jobs.waiting() != 1:
                    await anyio.sleep(0.05)
            assert served.state.jobs.get(queued).status == "queued", "only the job of that call was ended"

    anyio.run(main)


def test_hosts_origins_tokens_scopes_and_owners_hold(served: Served) -> None:
    url = f"{served.url}/mcp"
    ada, eve, reader = (served.tokens[one] for one in ("ada", "eve", "reader"))
    assert httpx.post(url, json=INIT, headers=ACCEPT).status_code == 401
    assert httpx.post(url, json=INIT, headers={**ACCEPT, "authorization": "Bearer nrs_x"}).status_code == 401
    own = {**ACCEPT, "authorization": f"Bearer {ada}"}
    assert httpx.post(url, json=INIT, headers={**own, "host": "evil.example"}).status_code == 403
    assert httpx.post(url, json=INIT, headers={**own, "origin": "http://evil.example"}).status_code == 403
    begun = httpx.post(url, json=INIT, headers=own)
    assert begun.status_code == 200
    other = {**ACCEPT, "authorization": f"Bearer {eve}", "mcp-session-id": begun.headers["mcp-session-id"]}
    taken = httpx.post(url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, headers=other)
    assert taken.status_code == 404, "a session is open to whoever began it"

    async def main() -> None:
        async with session(served.url, ada) as mine:
            added = await mine.call_tool("dataset_add", {"name": "a.csv", "text": "protein,a_1\nP1,1\n"})
            name = content(added)["dataset"]["id"]
        async with session(served.url, eve) as theirs:
            assert name not in str(content(await theirs.call_tool("datasets_list", {})))
            with pytest.raises(McpError):
                await theirs.read_resource(f"nereus://datasets/{name}")  # type: ignore[arg-type]
            assert (await theirs.call_tool("dataset_describe", {"dataset": name})).isError
        async with session(served.url, reader) as reads:
            names = {one.name for one in await all_tools(reads)}
            assert "datasets_list" in names
            assert not names & {"run_start", "dataset_add", "load_dataset"}
            refused = await reads.call_tool("dataset_add", {"name": "a.csv", "text": "x"})
            assert refused.isError

    anyio.run(main)


def test_stdio_serves_this_machines_user_and_prints_nothing_else(tmp_path: Path, table: bytes) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(table)
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "nereus", "mcp", "--workers", "1"],
        env={"NEREUS_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
    )

    async def main() -> None:
        async with stdio_client(started) as (reading, writing), ClientSession(reading, writing) as opened:
            assert (await opened.initialize()).serverInfo.name == "nereus"
            added = content(await opened.call_tool("dataset_add_file", {"path": str(file)}))
            assert added["dataset"]["name"] == "mine.csv"
            asked = {"dataset": added["dataset"]["id"], "wait_s": 50}
            about = content(await opened.call_tool("dataset_describe", asked))
            while about["next"]:
                about = content(await opened.call_tool("job_result", {"job": about["job"], "wait_s": 50}))
            assert about["values"]["n_samples"] == 8
            assert (await opened.call_tool("dataset_add_file", {"path": "/etc/no-such"})).isError

    anyio.run(main)
