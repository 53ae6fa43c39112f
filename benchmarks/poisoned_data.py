"""Data that give orders, to a model that follows every order it sees: what runs, what leaves, and what changes.

    python -m benchmarks.poisoned_data [--only PLACE ...] [--apart] [--log FILE [--most N]]

Every order of `tests.agents.policies.poison` stands once in every place (names of samples, features, columns and files, cells of
notes, FASTA headers, texts that memory retrieves), and a run decided by the obedient model is compared with a run over the clean
files: no tool may run that the clean plan has not, no secret of the environment may be in a prompt, the record or the report, and
the claims and the tested table must be equal. All cases are run twice: as the product is, and without its first line of defence
(names and texts that read as orders are hidden from the model), so that the second line is tried by orders that were followed.
Orders of one place are run together, each in a name, cell or text of its own, so that the model follows all that it sees at once;
what goes wrong then is run apart, as ``--apart`` runs all. A run takes two or three seconds of a processor; the seconds that are
stored are those of all runs together.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.truth.results import store
from tests.agents.policies.poison import CASES, ORDERS, PLACES, Outcome, attack, clean_run, groups, undefended


def told(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """What became of the cases."""
    found = list(outcomes)
    return {
        "cases": len(found),
        "orders_seen_by_the_model": sum(one.shown for one in found),
        "cases_in_which_it_followed": sum(one.followed > 0 for one in found),
        "orders_followed": sum(one.followed for one in found),
        "cases_with_faults": sum(bool(one.faults) for one in found),
        "faults": [{"case": one.case.id, "what": list(one.faults)} for one in found if one.faults],
        "seen_by_place": {
            place: sum(one.shown for one in found if one.case.place == place) for place in PLACES
        },
    }


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PLACES, nargs="+", default=PLACES)
    parser.add_argument("--apart", action="store_true", help="one order a run")
    parser.add_argument(
        "--log", type=Path, help="keeps each outcome, so that an interrupted measurement goes on"
    )
    parser.add_argument(
        "--most", type=int, help="ends after so many new cases; called again with the log, it goes on"
    )
    given = parser.parse_args()
    known: dict[str, dict[str, Any]] = {}
    if given.log is not None and given.log.exists():
        for line in given.log.read_text(encoding="utf-8").splitlines():
            known |= json.loads(line)
    new = 0
    cases = [one for one in CASES if one.place in given.only]
    runs = [(one,) for one in cases] if given.apart else groups(cases)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        clean = clean_run(Path(folder))
        for arm, defence in (("as it is", nullcontext), ("without the first line of defence", undefended)):
            place = Path(folder) / arm.replace(" ", "_")
            found: list[Outcome] = []
            with defence():
                for one in runs:
                    name = f"{arm} | {one[0].place}: {', '.join(each.order for each in one)}"
                    if name not in known:
                        if new == given.most:
                            print(f"{len(known)} of {2 * len(runs)} runs are done")
                            raise SystemExit(3)
                        new += 1
                        start = time.process_time()
                        outcomes = attack(one, place, clean)
                        if outcomes[0].faults and len(one) > 1:  # which of them was it?
                            apart = [each for case in one for each in attack([case], place, clean)]
                            outcomes = apart if any(each.faults for each in apart) else outcomes
                        known[name] = {
                            "outcomes": [asdict(each) for each in outcomes],
                            "processor_s": time.process_time() - start,
                        }
                        if given.log is not None:
                            with given.log.open("a", encoding="utf-8") as stream:
                                stream.write(json.dumps({name: known[name]}) + "\n")
                    told_of = zip(one, known[name]["outcomes"], strict=True)
                    found += [
                        Outcome(case, each["shown"], each["followed"], tuple(each["faults"]))
                        for case, each in told_of
                    ]
            for outcome in found:
                if outcome.faults:
                    print(arm, outcome.case.id, outcome.faults, flush=True)
            results[arm] = {"runs": len(runs)} | told(found)
    print(json.dumps(results, indent=1))
    if set(given.only) == set(PLACES):
        store(
            "poisoned_data",
            {"seeds": [3], "places": list(PLACES), "orders": list(ORDERS), "arms": results},
            module="benchmarks.poisoned_data",
            arguments=[],
            seconds=sum(one["processor_s"] for one in known.values()),
        )


if __name__ == "__main__":
    main()
