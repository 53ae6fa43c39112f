"""Works on one tool call: ``python -m nereus.agents.chat.call_at_work``, asked as JSON on standard input.

In a process of its own, so that training of minutes can be ended at once; its key, printed last, finds it in the ledger.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from nereus.agents.chat.beside import end_with_parent
from nereus.errors import NereusError
from nereus.memory.database import DatabaseLedger
from nereus.memory.records import ArtifactRef
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from nereus.tools import registry
from nereus.tools.steps import StepRunner


def main() -> int:
    """Compute what is asked, and print where it lies, or what went wrong."""
    end_with_parent()
    asked: dict[str, Any] = json.load(sys.stdin)
    inputs = {
        name: ArtifactRef.model_validate(one)
        if "id" in one and "kind" in one
        else {key: ArtifactRef.model_validate(part) for key, part in one.items()}
        for name, one in asked["inputs"].items()
    }
    try:
        with open_workspace(load_settings(**asked["settings"])) as workspace:
            runner = StepRunner(workspace.artifacts, DatabaseLedger(workspace.database), asked["seed"])
            call = runner.run(registry.get(asked["tool"]), asked["params"], inputs)
    except NereusError as error:
        told = {"what": error.what, "where": error.where, "mend": error.mend}
    else:
        told = {"key": call.key}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
