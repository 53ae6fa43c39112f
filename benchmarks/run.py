"""Run the benchmarks of methods, any or all, and write the pages of cards and of what was asked, with their figures.

    python -m benchmarks.run                                     # no run: the pages alone, from cards and stored results
    python -m benchmarks.run mgssl unimatch --device cpu --scale cpu --zinc FOLDER
    python -m benchmarks.run all --zinc FOLDER --qm9 FOLDER ...  # those whose folders are named; the others are told

Each benchmark is `benchmarks/methods/<name>.py`, run one after the other in a process of its own; options that it does not take
are not passed on to it. Its result is `benchmarks/results/methods/<name>.json`. Figures come onto `docs/method_cards.md` by way
of the cards, which a person writes and a test compares with the results, and onto `docs/method_acceptance.md` beside what was
asked. `--json` prints the rows.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import method_acceptance, method_cards

FOLDER = Path(__file__).parent / "methods"
OPTION = re.compile(r'add_argument\(\s*"--([a-z0-9-]+)"')
REQUIRED = re.compile(r'add_argument\(\s*"--([a-z0-9-]+)"[^)]*required=True')
DATA = ("data", "zinc", "qm9", "gdb", "complexes", "assays", "index", "genome", "rpi", "scan", "chemprop")
"""Options that name folders and files."""


def names() -> list[str]:
    """Benchmarks there are."""
    return sorted(one.stem for one in FOLDER.glob("*.py") if one.stem != "__init__")


def command(name: str, given: Mapping[str, str | None]) -> list[str]:
    """The command of one benchmark, with those options that it takes.

    Raises
    ------
    LookupError
        With the names of the options that it needs and that were not given.
    """
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    chosen = {key: value for key, value in given.items() if value is not None}
    if missing := [one for one in REQUIRED.findall(source) if one not in chosen]:
        raise LookupError(f"{name} needs {', '.join(f'--{one}' for one in missing)}")
    taken = set(OPTION.findall(source))
    options = [word for key, value in chosen.items() if key in taken for word in (f"--{key}", value)]
    return [sys.executable, "-m", f"benchmarks.methods.{name}", *options]


def run(chosen: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Run benchmarks one after the other; what became of each, by name."""
    found = {}
    for name in chosen:
        try:
            words = command(name, given)
        except LookupError as error:
            found[name] = f"not run: {error}"
        else:
            print(f"== {name}", flush=True)
            code = subprocess.run(words, check=False).returncode
            found[name] = "done" if code == 0 else f"failed with exit code {code}"
    return found


def main() -> None:
    """Run what is named, then write the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or any of {', '.join(names())}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--json", action="store_true", help="print the rows of the page's table as JSON")
    for one in DATA:
        parser.add_argument(f"--{one}")
    given = vars(parser.parse_args())
    chosen = names() if given["names"] == ["all"] else given["names"]
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names())}")
    outcome = run(chosen, {key: given[key] for key in ("device", "scale", *DATA)})
    method_cards.PAGE.write_text(method_cards.page(), encoding="utf-8")
    method_acceptance.PAGE.write_text(method_acceptance.page(), encoding="utf-8")
    if given["json"]:
        print(json.dumps(method_cards.rows(), indent=2))
    else:
        print(method_cards.table())
    for name, became in outcome.items():
        print(f"{name}: {became}")
    if any(became.startswith("failed") for became in outcome.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
