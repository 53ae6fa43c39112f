"""What works beside a conversation ends with it, however the conversation ended."""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_S = 1.0


def end_with_parent() -> None:
    """Watch for the end of the process that began this one; then end, with all that this one began.

    A conversation that closes ends what it began itself. One that is killed cannot: without this, minutes of
    training would go on for nobody. The process must lead a group of its own (``start_new_session``). The kernel's
    own signal for this (``PR_SET_PDEATHSIG``) will not do: it comes when the thread ends that began the process.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="watches the parent", daemon=True).start()
