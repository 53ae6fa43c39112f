"""A recorded step that runs code in the sandbox: code text and tables in; tables, figures, values and printed text out."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from pydantic import Field

from nereus.errors import ToolError
from nereus.tools.base import Capability, Params, Result, tool
from nereus.tools.code.lint import remarks
from nereus.tools.code.outcome import Outcome, cut
from nereus.tools.code.sandbox import run_once, settled

if TYPE_CHECKING:
    import pandas as pd

    from nereus.memory.records import Scalar

_OWN = frozenset({"printed", "n_lines", "n_characters"})


class RunCodeParams(Params):
    """Parameters of `run_code`."""

    code: str = Field(min_length=1, max_length=200_000)
    """Python. Input tables are variables under their names; `result` and other tables, plain values and figures come back."""
    wall_s: float | None = Field(default=None, gt=0)
    """Seconds that it may run, up to what the settings allow."""


@tool(
    "run_code",
    version="1",
    summary="Runs Python in the sandbox on tables; its tables, values, figures and prints come back.",
    outputs=("table:printed", "table:result", "figure:figure"),
    capability=Capability.EXEC,
    seconds=5.0,
)
def run_code(tables: dict[str, pd.DataFrame], params: RunCodeParams, *, seed: int) -> Result:
    """Run Python in the sandbox.

    The code runs in a process of its own with no network, no other program and no file but a work folder. Random numbers of
    ``random`` and NumPy follow from the seed, also those of a generator that is asked for without one, so that equal code,
    tables and seeds give equal results; code that looks at the clock gives its own.

    Parameters
    ----------
    tables
        Tables by name, each a variable of the code: names are Python's.
    params
        See `RunCodeParams`.
    seed
        Seed of everything random in the code.

    Returns
    -------
    Result
        Tables ``printed`` (line, text: all of it) and every table that the code binds at its top level, ``result`` among
        them, with a text key in the first column; plain values under their names; every open figure (``figure``,
        ``figure_2``, ...) with the points it shows; values ``n_lines`` and ``n_characters``.

    Raises
    ------
    ToolError
        The code raised an exception, or a limit or boundary stopped it: says which.
    SettingsError
        The sandbox here is weaker than the settings allow.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import run_code
    >>> table = pd.DataFrame({"gene": ["A", "B"], "effect": [1.0, -2.0]})
    >>> found = run_code({"effects": table}, code="strongest = effects.effect.abs().max(); print(strongest)")
    >>> found.values["strongest"], found.table("printed").text.tolist()
    (2.0, ['2.0'])
    """
    for name in tables:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ToolError(
                f"the table {name!r} cannot be a variable",
                where="run_code",
                mend="give it a name such as table_1",
            )
    outcome = run_once(params.code, tables=tables, seed=seed, **settled(wall_s=_allowed(params)))
    if not outcome.ok:
        raise _failure(outcome)
    warnings = [f"the code: {one}" for one in remarks(params.code)]
    found: dict[str, pd.DataFrame] = {"printed": _lines(outcome.printed)}
    values: dict[str, Scalar] = {}
    for name, table in sorted(outcome.tables.items()):
        if name in _OWN:
            warnings.append(f"the table {name!r} is left out: the name is taken")
        else:
            found[name] = keyed(table)
    for name, value in sorted(outcome.values.items()):
        if name in _OWN:
            warnings.append(f"the value {name!r} is left out: the name is taken")
        else:
            values[name] = value
    warnings += [f"left out: {one}" for one in outcome.left_out]
    if outcome.errors.strip():
        warnings.append(f"the code wrote to stderr: {cut(outcome.errors.strip(), 500)}")
    for name in sorted(name for name, table in found.items() if table.empty and name != "printed"):
        warnings.append(f"the table {name!r} has no rows")
    values |= {"n_lines": len(found["printed"]), "n_characters": len(outcome.printed)}
    made = len(found) - 1
    summary = (
        f"The code ran to its end: {made} table{'s' * (made != 1)}, {len(outcome.figures)} figure"
        f"{'s' * (len(outcome.figures) != 1)}, {len(values) - 2} values, {len(found['printed'])} lines printed."
    )
    if outcome.printed.strip():
        summary += f"\n{cut(outcome.printed.strip(), 1000)[:1200]}"
    return Result(
        summary=summary.encode()[:2000].decode("utf-8", "ignore"),
        values=values,
        tables=found,
        figures=outcome.figures,
        warnings=tuple(warnings),
    )


def _allowed(params: RunCodeParams) -> float | None:
    from nereus.settings import load_settings

    return None if params.wall_s is None else min(params.wall_s, load_settings().sandbox_wall_s)


def _failure(outcome: Outcome) -> ToolError:
    said = outcome.why
    if outcome.error is not None:
        error = outcome.error
        said = f"{error.kind}: {error.message}" + (f" ({outcome.why})" if outcome.why else "")
        said += "\n" + error.traceback[-1500:].rstrip()
    elif not said:
        said = f"the code ended with exit status {outcome.exit}"
    if outcome.printed.strip():
        said += f"\nprinted before: {cut(outcome.printed.strip(), 500)}"
    return ToolError(
        said, where="run_code", mend="correct the code, or raise the limit in the settings (sandbox_*)"
    )


def _lines(text: str) -> pd.DataFrame:
    import pandas as pd

    lines = text.splitlines()
    return pd.DataFrame(
        {
            "line": pd.Series([str(i) for i in range(1, len(lines) + 1)], dtype=object),
            "text": pd.Series(lines, dtype=object),
        }
    )


def keyed(table: pd.DataFrame) -> pd.DataFrame:
    """A table with a unique text key in its first column: its own first column where that is one, or a number of row."""
    import pandas as pd

    if table.shape[1]:
        first = table.iloc[:, 0]
        if first.map(lambda cell: isinstance(cell, str)).all() and not first.duplicated().any():
            return table
    name = next(one for one in ("row", "row_number", "_row") if one not in table.columns)
    keys = pd.Series([str(i) for i in range(1, len(table) + 1)], dtype=object)
    return pd.concat([keys.rename(name), table], axis=1)
