"""Which of vLLM's parsers reads the tool calls of a model, told from the marks in its own chat template."""

from __future__ import annotations

import json
from pathlib import Path

_MARKS = (
    # (all of these stand in the template, parser); the more special first
    (("<tool_call>", "<function=", "<parameter="), "qwen3_coder"),
    (("<tool_call>", "<arg_key>"), "glm45"),
    (("<minimax:tool_call>",), "minimax_m2"),
    (("<|tool_calls_section_begin|>",), "kimi_k2"),
    (("<｜tool▁calls▁begin｜>",), "deepseek_v3"),
    (("<|channel|>", "<|call|>"), "openai"),
    (("[TOOL_CALLS]",), "mistral"),
    (("<|tool_call|>", "<|tool|>"), "phi4_mini_json"),
    (("<|tool_call|>",), "granite"),
    (("<|python_start|>",), "llama4_pythonic"),
    (("<|python_tag|>",), "llama3_json"),
    (("<|start_header_id|>", '"parameters"'), "llama3_json"),
    (("<tool_call>",), "hermes"),
)


def chat_template(folder: Path) -> str:
    """The chat template that a model's folder holds; "" where there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8")).get("chat_template")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(found, str):
            return found
        if isinstance(found, list):  # several templates by name; that for tools counts
            named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
            text = named.get("tool_use") or named.get("default")
            if isinstance(text, str):
                return text
    return ""


def parser_of(template: str) -> str | None:
    """VLLM's name of the parser for a chat template; None where it shows no tool calls that are known."""
    return next((parser for marks, parser in _MARKS if all(one in template for one in marks)), None)
