"""The command that computes a report again, in a process of its own."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from nereus.agents.reporter.verify import verify_here
from nereus.agents.reporter.verify.verification import Verification, report_text
from nereus.errors import NereusError


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m nereus.agents.reporter.verify DIR [--json]``."""
    parser = argparse.ArgumentParser(
        prog="nereus verify", description="Compute every value of a report again."
    )
    parser.add_argument("folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    options = parser.parse_args(arguments)
    write = sys.stdout.write

    def progress(text: str) -> None:
        write((json.dumps({"progress": text}) if options.json else text) + "\n")
        sys.stdout.flush()

    try:
        found = verify_here(options.folder, progress=progress)
    except NereusError as error:
        if not options.json:
            sys.stderr.write(f"{error}\n")
            return 1
        found = Verification(n_total=1, differences=[str(error)])
    if options.json:
        write(json.dumps(vars(found)) + "\n")
    else:
        write(report_text(found))
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
