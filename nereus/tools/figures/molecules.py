"""Structures of molecules in a grid, each with a line of text. RDKit draws."""

from __future__ import annotations

import re
from html import escape
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Figure, Params, Result, tool
from nereus.tools.figures.style import FONT_STACK, INK, shorten

_CELL, _COLUMNS, _HEIGHT = 150, 4, 130
_TEXT, _FONT = 22, 12
_TITLE = "Structures"


class MoleculesPlotParams(Params):
    """Parameters of the molecule grid."""

    smiles: str = "smiles"
    """Column of structures."""
    order_by: str | None = None
    """Column to order by, and to write under each structure; none keeps the table's order."""
    highest_first: bool = True
    """Whether high values come first."""
    n: int = Field(12, ge=1, le=60)
    """Most structures."""
    label: str | None = None
    """Column of names to write; the table's first column by default."""
    colours: Literal["element", "black"] = "element"
    """Colour atoms by element, or draw in black."""


@tool(
    "plot_molecules",
    version="1",
    summary="Structures of molecules in a grid, ordered by a column and labelled.",
    outputs=("figure:molecules",),
    seconds=0.5,
)
def plot_molecules(table: pd.DataFrame, params: MoleculesPlotParams, *, seed: int) -> Result:
    """Draw the first structures of a table.

    Parameters
    ----------
    table : DataFrame
        One row a molecule.
    params : MoleculesPlotParams
        Which are drawn.
    seed : int
        Not used.

    Returns
    -------
    Result
        Figure ``molecules`` with the drawn rows (``molecule, smiles, label, value``). Values: ``n_drawn``,
        ``n_unreadable``.

    Raises
    ------
    InputError
        A column is missing, no structure can be read, or RDKit is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.tools import registry
    >>> table = pd.DataFrame({"name": ["ethanol", "aniline"], "smiles": ["CCO", "Nc1ccccc1"], "score": [0.2, 0.9]})
    >>> registry.get("plot_molecules")(table, order_by="score").values["n_drawn"]
    2
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw import rdMolDraw2D
    except ModuleNotFoundError as error:
        raise InputError(
            "rdkit is not installed", where="plot_molecules", mend="pip install -e '.[molecules]'"
        ) from error
    for name in filter(None, (params.smiles, params.order_by, params.label)):
        if name not in table.columns:
            raise InputError(
                f"there is no column {name!r}",
                where="molecule grid",
                mend=f"columns are {list(table.columns)[:20]}",
            )
    ordered = table
    if params.order_by is not None:
        ordered = table.sort_values(params.order_by, ascending=not params.highest_first, kind="stable")
    names = ordered[params.label or table.columns[0]].astype(str).tolist()
    values = ordered[params.order_by].tolist() if params.order_by is not None else [None] * len(ordered)
    with rdBase.BlockLogs():
        read = [Chem.MolFromSmiles(str(text)) for text in ordered[params.smiles]]
    found = [row for row, molecule in enumerate(read) if molecule is not None]
    if not found:
        raise InputError("no structure can be read", where=f"column {params.smiles!r}", mend="give SMILES")
    drawn = found[: params.n]
    lines = [
        _line(names[row], values[row], names[row] == str(ordered[params.smiles].iloc[row])) for row in drawn
    ]
    columns = min(_COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    pen = rdMolDraw2D.MolDraw2DSVG(columns * _CELL, rows * _HEIGHT, _CELL, _HEIGHT)
    options: Any = pen.drawOptions()  # RDKit's stubs take its fields for the class itself
    options.legendFontSize = _FONT
    options.padding = 0.08
    if params.colours == "black":
        options.useBWAtomPalette()
    pen.DrawMolecules([read[row] for row in drawn], legends=[" "] * len(drawn))  # room for our own line
    pen.FinishDrawing()
    svg = _with_lines(pen.GetDrawingText(), lines, columns)
    data = pd.DataFrame(
        {
            "molecule": [str(place) for place in range(1, len(drawn) + 1)],
            "smiles": [str(ordered[params.smiles].iloc[row]) for row in drawn],
            "label": [names[row] for row in drawn],
            "value": [values[row] for row in drawn],
        }
    )
    n_unreadable = len(read) - len(found)
    return Result(
        summary=f"{len(drawn)} of {len(found)} structures.",
        values={"n_drawn": len(drawn), "n_unreadable": n_unreadable},
        figures={
            "molecules": Figure(
                svg.encode(), data, _TITLE, "Structures in the order of the table or of a column."
            )
        },
        warnings=(f"{n_unreadable} structures cannot be read",) if n_unreadable else (),
        n_total=len(table),
        n_returned=len(drawn),
    )


def _line(name: str, value: object, is_structure: bool) -> str:
    """What is written under a structure: its name, unless that is the structure itself, and its value."""
    told = "" if is_structure else shorten(name, _TEXT)
    number = f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)
    return "  ".join(part for part in (told, number) if part)


def _with_lines(drawing: str, lines: list[str], columns: int) -> str:
    """RDKit's drawing with a title, its size in plain numbers, and the lines as text that can be searched."""
    body = drawing[drawing.index("<svg") :].replace("<!-- END OF HEADER -->", f"<title>{_TITLE}</title>")
    body = re.sub(r"(width|height)='(\d+)px'", r'\1="\2"', body, count=2).replace("viewBox='", 'viewBox="', 1)
    body = re.sub(r'(viewBox="[\d. ]+)\'', r'\1"', body, count=1)
    style = f"font-size: {_FONT}px; font-family: {FONT_STACK}; text-anchor: middle; fill: {INK}"
    texts = [
        f'<text x="{(place % columns + 0.5) * _CELL:g}" y="{(place // columns + 1) * _HEIGHT - 8}" style="{style}">'
        f"{escape(line)}</text>"
        for place, line in enumerate(lines)
    ]
    return body.replace("</svg>", "\n".join(texts) + "\n</svg>")
