"""A process that works beside a conversation ends when the conversation is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

_BESIDE = """
from nereus.agents.chat.beside import end_with_parent
import time
end_with_parent(); print("on", flush=True); time.sleep(600)
"""
_CONVERSATION = f"""
import subprocess, sys, threading
def begin():
    global one
    one = subprocess.Popen([sys.executable, "-c", {_BESIDE!r}], stdout=subprocess.PIPE, start_new_session=True)
thread = threading.Thread(target=begin); thread.start(); thread.join()  # as a turn's: it ends before the work does
one.stdout.readline(); print(one.pid, flush=True); sys.stdin.read()
"""


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_it_ends_with_a_conversation_that_is_killed_and_not_with_the_thread_that_began_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CONVERSATION], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as conversation:
        assert conversation.stdout is not None
        beside = int(conversation.stdout.readline())
        time.sleep(1.5)
        assert _lives(beside)
        conversation.send_signal(signal.SIGKILL)
        conversation.wait()
        for _ in range(100):
            if not _lives(beside):
                break
            time.sleep(0.1)
        assert not _lives(beside)
