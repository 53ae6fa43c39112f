"""`nereus chat` at a real terminal: history, approvals, Ctrl-C, figures; and through a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nereus
from nereus.chat_terminal import answer_in

WAIT_S = 90.0
_STEERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, arguments: list[str], home: Path, folder: Path) -> None:
        leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nereus",
                "chat",
                "--no-open",
                "--figures",
                str(folder / "drawn"),
                *arguments,
            ],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "NEREUS_HOME": str(home), "TERM": "xterm", "COLUMNS": "200"},
            start_new_session=True,
        )
        os.close(follower)
        self.leader = leader
        self.seen = ""

    def until(self, pattern: str) -> str:
        """What is shown until a pattern comes."""
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends:
            if found := re.search(pattern, self.seen):
                text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
                return text
            if select.select([self.leader], [], [], 0.2)[0]:
                try:
                    self.seen += _STEERS.sub("", os.read(self.leader, 65536).decode("utf-8", "replace"))
                except OSError:
                    break
        raise AssertionError(f"{pattern!r} did not come: {self.seen[-1500:]}")

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminals(chat_home: Path, analysed: nereus.Run, tmp_path: Path) -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for one in made:
        one.end()


def test_a_conversation_at_a_terminal(
    terminals: list[Terminal], chat_home: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    talk = Terminal([str(data[0]), "--samples", str(data[1])], chat_home, tmp_path)
    terminals.append(talk)
    talk.until(r"conversation t[0-9a-f]{16}")
    talk.until("you> ")
    talk.type("analyse this file\n")
    talk.until("dataset = d[0-9a-f]{16}")
    talk.until("approve\\? ")
    talk.type("budget=steps=-3\n")  # checked before anything runs
    talk.until("could not be used")
    talk.until("approve\\? ")
    talk.type("not today, the sheet is wrong\n")
    assert "not done: not today" in talk.until("you> ")
    talk.type("volcano plot\n")
    shown = talk.until("figure: \\S+\\.svg")
    file = Path(shown.rpartition("figure: ")[2])
    assert file.read_bytes()[:200].lstrip().startswith(b"<")
    talk.until("you> ")
    talk.type("exit\n")
    kept = talk.until("kept: nereus chat --thread t[0-9a-f]{16}")
    talk.process.wait(timeout=30)
    assert talk.process.returncode == 0
    history = (chat_home / "chat_history").read_text()
    assert "volcano plot" in history
    assert "the sheet is wrong" not in history

    again = Terminal(["--thread", kept.split()[-1]], chat_home, tmp_path)
    terminals.append(again)
    before = again.until("you> volcano plot")
    assert "you> analyse this file" in before
    again.until("you> $")
    again.type("exit\n")


def test_an_interrupt_ends_a_run_and_not_the_conversation(
    terminals: list[Terminal], tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """In a home of its own, where nothing was computed before: a run of known steps may end before it is interrupted.

    Ctrl-C comes while a line is shown, where it once ended the showing and not the run.
    """
    talk = Terminal([str(data[0]), "--samples", str(data[1])], tmp_path / "home", tmp_path)
    terminals.append(talk)
    talk.until("you> ")
    talk.type("analyse this file\n")
    talk.until("approve\\? ")
    talk.type("yes\n")
    talk.until("load_dataset")
    talk.interrupt()
    talk.until("stopp(ing|ed)")
    talk.until("you> ")
    talk.type("list runs\n")
    talk.until("cancelled")
    talk.until("you> ")
    talk.type("exit\n")
    talk.until("kept: nereus chat")
    talk.process.wait(timeout=30)
    assert talk.process.returncode == 0


def test_through_a_pipe_nothing_is_approved_and_odd_bytes_are_told(
    chat_home: Path, analysed: nereus.Run, data: tuple[Path, Path]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nereus", "chat", str(data[0]), "--samples", str(data[1])],
        input=b"analyse it\nlist \xff\xfe runs\n",
        capture_output=True,
        timeout=WAIT_S,
        env={**os.environ, "NEREUS_HOME": str(chat_home), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    out = done.stdout.decode()
    assert "not approved: nobody can be asked here" in out
    assert "was not done" in out
    assert b"Traceback" not in done.stderr
    missing = subprocess.run(
        [sys.executable, "-m", "nereus", "chat", "nothing.csv"],
        input=b"",
        capture_output=True,
        timeout=WAIT_S,
        env={**os.environ, "NEREUS_HOME": str(chat_home)},
        check=False,
    )
    assert missing.returncode == 1
    assert b"there is no file" in missing.stderr


def test_what_is_typed_at_an_approval() -> None:
    request: dict[str, Any] = {"action_request": {"args": {"budget": [], "epochs": None, "question": ""}}}
    assert answer_in("Y", request) == {"type": "accept"}
    assert answer_in("no", request) == {"type": "ignore"}
    assert answer_in("epochs=3", request)["args"]["args"] == {"epochs": 3}
    assert answer_in("budget=steps=4, objectives=1", request)["args"]["args"] == {
        "budget": ["steps=4", "objectives=1"]
    }
    assert answer_in("why = not", request) == {"type": "response", "args": "why = not"}
