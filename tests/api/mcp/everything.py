"""The product's server with the things that the conformance suite asks for by name beside its own; never part of the product.

``python -m tests.api.mcp.everything PORT HOME`` serves it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import uvicorn
from mcp import types
from mcp.server.session import ServerSession
from pydantic import AnyUrl

from nereus.api.app import create_app
from nereus.api.mcp import server as product
from nereus.settings import load_settings

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SOUND = base64.b64encode(
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
ANY = {"type": "object", "properties": {}}
DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_TITLED = [
    {"const": f"value{n}", "title": f"{word} Option"}
    for n, word in enumerate(("First", "Second", "Third"), 1)
]
ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {"type": "string", "oneOf": _TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
    "untitledMulti": {
        "type": "array",
        "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
    },
    "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
}
DIALECT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}

Context = Any
Call = Callable[[Context, dict[str, Any]], Awaitable[list[types.ContentBlock]]]


def text(said: str) -> types.TextContent:
    return types.TextContent(type="text", text=said)


def image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PIXEL, mimeType="image/png")


def embedded(uri: str, kind: str, content: str) -> types.EmbeddedResource:
    resource = types.TextResourceContents(uri=AnyUrl(uri), mimeType=kind, text=content)
    return types.EmbeddedResource(type="resource", resource=resource)


def gives(*blocks: types.ContentBlock) -> Call:
    async def call(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
        del context, given
        return list(blocks)

    return call


async def logs(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", said, related_request_id=context.request_id)
        await anyio.sleep(0.05)
    return [text("done")]


async def progresses(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
    token = context.meta.progressToken
    for done in (0, 50, 100):
        await context.session.send_progress_notification(
            token, done, 100, related_request_id=str(context.request_id)
        )
        await anyio.sleep(0.05)
    return [text(str(token))]


async def samples(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
    session: ServerSession = context.session
    asked = [types.SamplingMessage(role="user", content=text(str(given["prompt"])))]
    answer = await session.create_message(asked, max_tokens=100, related_request_id=context.request_id)
    said = answer.content.text if isinstance(answer.content, types.TextContent) else ""
    return [text(f"LLM response: {said}")]


def elicits(message: str, properties: dict[str, Any]) -> Call:
    async def call(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
        answer = await context.session.elicit(
            given.get("message", message),
            {"type": "object", "properties": properties, "required": []},
            related_request_id=context.request_id,
        )
        return [text(f"User response: action={answer.action}, content={json.dumps(answer.content)}")]

    return call


async def fails(context: Context, given: dict[str, Any]) -> list[types.ContentBlock]:
    raise RuntimeError("This tool intentionally returns an error for testing")


TOOLS: dict[str, tuple[dict[str, Any], Call]] = {
    "test_simple_text": (ANY, gives(text("This is a simple text response for testing."))),
    "test_image_content": (ANY, gives(image())),
    "test_audio_content": (ANY, gives(types.AudioContent(type="audio", data=SOUND, mimeType="audio/wav"))),
    "test_embedded_resource": (ANY, gives(embedded("test://embedded-resource", "text/plain", "embedded"))),
    "test_multiple_content_types": (
        ANY,
        gives(
            text("Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
        ),
    ),
    "test_tool_with_logging": (ANY, logs),
    "test_tool_with_progress": (ANY, progresses),
    "test_sampling": ({"type": "object", "properties": {"prompt": {"type": "string"}}}, samples),
    "test_elicitation": (
        {"type": "object", "properties": {"message": {"type": "string"}}},
        elicits("?", {"response": {"type": "string"}}),
    ),
    "test_elicitation_sep1034_defaults": (ANY, elicits("defaults", DEFAULTS)),
    "test_elicitation_sep1330_enums": (ANY, elicits("enums", ENUMS)),
    "test_error_handling": (ANY, fails),
    "json_schema_2020_12_tool": (DIALECT, gives(text("ok"))),
}
RESOURCES: dict[str, types.TextResourceContents | types.BlobResourceContents] = {
    "test://static-text": types.TextResourceContents(
        uri=AnyUrl("test://static-text"),
        mimeType="text/plain",
        text="This is the content of the static text resource.",
    ),
    "test://static-binary": types.BlobResourceContents(
        uri=AnyUrl("test://static-binary"), mimeType="image/png", blob=PIXEL
    ),
    "test://watched-resource": types.TextResourceContents(
        uri=AnyUrl("test://watched-resource"), mimeType="text/plain", text="watched"
    ),
}


def said(content: types.ContentBlock) -> types.PromptMessage:
    return types.PromptMessage(role="user", content=content)


PROMPTS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, str]], list[types.PromptMessage]]]] = {
    "test_simple_prompt": ((), lambda _: [said(text("This is a simple prompt for testing."))]),
    "test_prompt_with_arguments": (
        ("arg1", "arg2"),
        lambda given: [said(text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"))],
    ),
    "test_prompt_with_embedded_resource": (
        ("resourceUri",),
        lambda given: [
            said(embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")),
            said(text("Please process the embedded resource above.")),
        ],
    ),
    "test_prompt_with_image": ((), lambda _: [said(image()), said(text("Please analyze the image above."))]),
}


def with_fixtures(build: Callable[..., product.McpServer]) -> Callable[..., product.McpServer]:
    """The product's server, whose own handlers answer whatever is not a fixture."""

    def built(who: Any) -> product.McpServer:
        server = build(who)
        handlers = server.request_handlers
        own = dict(handlers)

        async def list_tools(asked: types.ListToolsRequest) -> types.ServerResult:
            found = (await own[types.ListToolsRequest](asked)).root
            if asked.params is None or asked.params.cursor is None:
                found.tools += [
                    types.Tool(name=name, description=name, inputSchema=one)
                    for name, (one, _) in TOOLS.items()
                ]
            return types.ServerResult(found)

        async def call_tool(asked: types.CallToolRequest) -> types.ServerResult:
            if asked.params.name not in TOOLS:
                return await own[types.CallToolRequest](asked)
            try:
                made = await TOOLS[asked.params.name][1](server.request_context, asked.params.arguments or {})
            except RuntimeError as error:
                return types.ServerResult(types.CallToolResult(content=[text(str(error))], isError=True))
            return types.ServerResult(types.CallToolResult(content=made))

        async def list_resources(asked: types.ListResourcesRequest) -> types.ServerResult:
            found = (await own[types.ListResourcesRequest](asked)).root
            found.resources += [types.Resource(uri=AnyUrl(one), name=one) for one in RESOURCES]
            return types.ServerResult(found)

        async def templates(asked: types.ListResourceTemplatesRequest) -> types.ServerResult:
            found = (await own[types.ListResourceTemplatesRequest](asked)).root
            found.resourceTemplates.append(
                types.ResourceTemplate(name="t", uriTemplate="test://template/{id}/data")
            )
            return types.ServerResult(found)

        async def read(asked: types.ReadResourceRequest) -> types.ServerResult:
            uri = str(asked.params.uri)
            if uri.startswith("test://template/"):
                name = uri.split("/")[3]
                content = json.dumps({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
                made = types.TextResourceContents(
                    uri=asked.params.uri, mimeType="application/json", text=content
                )
                return types.ServerResult(types.ReadResourceResult(contents=[made]))
            if uri in RESOURCES:
                return types.ServerResult(types.ReadResourceResult(contents=[RESOURCES[uri]]))
            return await own[types.ReadResourceRequest](asked)

        def watching(kind: type) -> Callable[[Any], Awaitable[types.ServerResult]]:
            async def watch(asked: Any) -> types.ServerResult:
                if str(asked.params.uri) in RESOURCES:
                    return types.ServerResult(types.EmptyResult())
                return await own[kind](asked)

            return watch

        async def list_prompts(asked: types.ListPromptsRequest) -> types.ServerResult:
            found = (await own[types.ListPromptsRequest](asked)).root
            for name, (names, _) in PROMPTS.items():
                arguments = [types.PromptArgument(name=one, required=True) for one in names]
                found.prompts.append(types.Prompt(name=name, description=name, arguments=arguments))
            return types.ServerResult(found)

        async def get_prompt(asked: types.GetPromptRequest) -> types.ServerResult:
            if asked.params.name not in PROMPTS:
                return await own[types.GetPromptRequest](asked)
            made = PROMPTS[asked.params.name][1](asked.params.arguments or {})
            return types.ServerResult(types.GetPromptResult(messages=made))

        async def complete(asked: types.CompleteRequest) -> types.ServerResult:
            if isinstance(asked.params.ref, types.PromptReference) and asked.params.ref.name in PROMPTS:
                values = [one for one in ("paris", "park") if one.startswith(asked.params.argument.value)]
                made = types.Completion(values=values, total=len(values), hasMore=False)
                return types.ServerResult(types.CompleteResult(completion=made))
            return await own[types.CompleteRequest](asked)

        handlers |= {
            types.ListToolsRequest: list_tools,
            types.CallToolRequest: call_tool,
            types.ListResourcesRequest: list_resources,
            types.ListResourceTemplatesRequest: templates,
            types.ReadResourceRequest: read,
            types.SubscribeRequest: watching(types.SubscribeRequest),
            types.UnsubscribeRequest: watching(types.UnsubscribeRequest),
            types.ListPromptsRequest: list_prompts,
            types.GetPromptRequest: get_prompt,
            types.CompleteRequest: complete,
        }
        return server

    return built


def main(port: int, home: Path) -> None:
    with mock.patch.object(product, "build", with_fixtures(product.build)):
        uvicorn.run(create_app(load_settings(home=home)), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
