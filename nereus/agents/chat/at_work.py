"""Works on one run: ``python -m nereus.agents.chat.at_work RUN``, with settings as JSON on standard input."""

from __future__ import annotations

import json
import sys

from nereus.agents.chat.beside import end_with_parent
from nereus.agents.chat.follow_up import is_follow_up, work_on_follow_up
from nereus.agents.planner.queued import work_on
from nereus.errors import NereusError
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings


def main(run_id: str) -> int:
    """Work on a run until it ends or waits; what ended it stands in its record."""
    end_with_parent()
    with open_workspace(load_settings(**json.load(sys.stdin))) as workspace:
        try:
            if is_follow_up(workspace.repository.header(run_id)):
                work_on_follow_up(workspace, run_id)
            else:
                work_on(workspace, run_id)
        except NereusError:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
