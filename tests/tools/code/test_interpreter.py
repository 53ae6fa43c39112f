"""The tool loop with the code interpreter, against a server on loopback that plays what a model would say."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("langchain_openai")
from nereus.models.llm import chat_model, hermes, react, run_tool_loop
from nereus.models.llm.calls import ToolCall
from nereus.settings import load_settings
from nereus.tools.code.interpreter import FINISHED, code_interpreter
from nereus.tools.code.layers import Grade
from nereus.tools.code.limits import Limits
from nereus.tools.code.sandbox import Session

ITEMS = 20
Script = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def playing(script: Script) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that says what the script makes of each request."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(request)
            message = {"role": "assistant", **script(request)}
            finish = "tool_calls" if message.get("tool_calls") else "stop"
            choice = {"index": 0, "finish_reason": finish, "message": message}
            usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
            body = {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": usage,
            }
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/v1", seen
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session(Limits(wall_s=30, output_kb=4096), least=Grade.LIMITED) as one:
        yield one


def items(folder: Path) -> list[tuple[str, list[str], str]]:
    """(question, expressions of the annotations, final number) of items whose last expression gives the final number."""
    found = []
    with gzip.open(folder / "gsm8k" / "test.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            one = json.loads(line)
            steps = re.findall(r"<<([-+*/(). 0-9]+)=([-0-9.]+)>>", one["answer"])
            final = one["answer"].rpartition("#### ")[2].replace(",", "").strip()
            if steps and steps[-1][1] == final and "/0" not in steps[-1][0]:
                found.append((one["question"], [expression for expression, _ in steps], final))
            if len(found) == ITEMS:
                break
    return found


def code_of(expressions: list[str]) -> str:
    lines = "\n".join(f"s{n} = {expression}" for n, expression in enumerate(expressions))
    return f'{lines}\nprint("<result>", s{len(expressions) - 1})'


def number_in(text: str) -> str:
    return re.findall(r"<result> ([-0-9.e]+)", text)[-1]


def script_of(form: str, code: str) -> Script:
    """Calls the interpreter, and then answers with the number that came back; nothing else does the model know."""

    def script(request: dict[str, Any]) -> dict[str, Any]:
        last = str(request["messages"][-1]["content"])
        told = re.findall(r"(?:&lt;|<)result> ([-0-9.e]+)", last)
        told = [one for one in told if not last.endswith("print")]
        if form == "react":
            text = last[last.rfind("Question: ") :]
            if "\nObservation: " in text:
                return {"content": f"now the answer is known\nFinal Answer: {number_in(text)}"}
            fenced = f"```python\n{code}\n```"
            return {
                "content": f"Thought: compute\nAction: code_interpreter\nAction Input: {fenced}\nObservation:"
            }
        if told:
            return {"content": f"The answer is {told[-1]}"}
        call = ToolCall("code_interpreter", {"code": code}, "call_1")
        if form == "hermes":
            return {"content": f"<think>{hermes.rendered(call)}</think>{hermes.rendered(call)}"}
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}

    return script


@pytest.mark.parametrize("form", ["native", "hermes", "react"])
def test_twenty_problems_are_solved_through_the_interpreter(
    form: Any, session: Session, shared_data: Path, tmp_path: Path
) -> None:
    problems = items(shared_data)
    assert len(problems) == ITEMS
    for question, expressions, final in problems:
        with playing(script_of(form, code_of(expressions))) as (url, seen):
            model = chat_model(load_settings(home=tmp_path, llm_base_url=url, llm_model="m"))
            assert model is not None
            result = run_tool_loop(model, question, [code_interpreter(session)], form=form)
        assert result.ended == "answer", result.reason
        assert [step.done for step in result.steps] == [True]
        assert float(re.findall(r"[-0-9.e]+", result.answer)[-1]) == pytest.approx(float(final))
        assert result.model_calls == len(seen) == 2
        if form == "react":
            assert seen[0]["stop"] == list(react.STOPS)


def test_a_script_that_loops_stops_at_the_limit(session: Session, tmp_path: Path) -> None:
    again = hermes.rendered(ToolCall("code_interpreter", {"code": "1 + 1"}, "x"))
    with playing(lambda request: {"content": again}) as (url, seen):
        model = chat_model(load_settings(home=tmp_path, llm_base_url=url, llm_model="m"))
        assert model is not None
        result = run_tool_loop(model, "loop", [code_interpreter(session)], form="hermes", max_model_calls=4)
        assert (result.ended, result.model_calls, len(seen)) == ("call_limit", 4, 4)
        assert "within 4 calls" in result.reason
        few = chat_model(load_settings(home=tmp_path, llm_base_url=url, llm_model="m", llm_max_calls=2))
        assert few is not None
        ended = run_tool_loop(few, "loop", [code_interpreter(session)], form="hermes")
    assert ended.ended == "ceiling"
    assert "limit of 2 model calls" in ended.reason


def test_variables_stay_and_errors_are_told(session: Session) -> None:
    tool = code_interpreter(session)
    assert tool.run(code="x = 20") == FINISHED
    assert tool.run(code="x + 1") == "21"
    assert "ZeroDivisionError" in tool.run(code="1 / 0")
    assert tool.run(code="x") == "20"


def test_code_without_end_is_stopped_and_the_session_goes_on(session: Session) -> None:
    tool = code_interpreter(session, seconds=2)
    start = time.monotonic()
    said = tool.run(code="while True: pass")
    assert time.monotonic() - start < 12
    assert "stopped after 2 s" in said
    assert "variables are lost" in said
    assert tool.run(code="6 * 7") == "42"


def test_much_output_is_cut_with_a_notice_and_figures_are_named(session: Session) -> None:
    said = code_interpreter(session).run(code='print("a" * 1_500_000)')
    assert len(said) < 7000
    assert "characters are left out here" in said
    drawn = code_interpreter(session).run(code="import matplotlib.pyplot as p\np.plot([1, 2]); None")
    assert "figures: " in drawn


def test_memory_is_capped_and_nothing_is_left_running() -> None:
    with Session(Limits(memory_mb=512), least=Grade.LIMITED) as one:
        said = code_interpreter(one).run(code="x = bytearray(2 * 10**9)")
        assert "memory" in said.lower()
        process = one._process
    assert one._process is None
    assert process is None or process.poll() is not None
