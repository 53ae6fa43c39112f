"""Which external tools a person has seen and let run, and as what: kept under the home, one digest a tool."""

from __future__ import annotations

import json
import os
from pathlib import Path

from filelock import FileLock

from nereus.agents.external.definitions import ExternalTool
from nereus.errors import StoreError

_FILE = "external_tools.json"


class Pins:
    """Remembers what was approved.

    Parameters
    ----------
    home
        Folder of all that Nereus keeps.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / _FILE

    def state(self, owner: str, tool: ExternalTool) -> str:
        """``new``, ``known`` as it is, or ``changed`` since it was approved."""
        kept = self._read().get(owner, {}).get(tool.server, {}).get(tool.tool)
        return "new" if kept is None else "known" if kept == tool.digest else "changed"

    def approve(self, owner: str, tool: ExternalTool) -> None:
        """A person has seen what the tool says of itself, and let it run."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._file.with_suffix(".lock")):
            kept = self._read()
            kept.setdefault(owner, {}).setdefault(tool.server, {})[tool.tool] = tool.digest
            partial = self._file.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(kept, indent=1, sort_keys=True), encoding="utf-8")
            partial.replace(self._file)

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        try:
            found: dict[str, dict[str, dict[str, str]]] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StoreError(
                f"what was approved cannot be read: {error}",
                where=str(self._file),
                mend="remove the file; every external tool asks again",
            ) from None
        return found
