"""The panel: what each channel measures, and whether it marks a type or a state of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.recognise import canonical

_MARKER = ("antigen", "marker", "target", "desc", "description", "marker_name", "protein", "name")
_CLASS = ("marker_class", "class", "type", "marker_type")
_SHARE = 0.5


@dataclass(frozen=True)
class Panel:
    """Marker and class ("type", "state", "none" or "") of each channel that the panel names."""

    markers: dict[str, str]
    classes: dict[str, str]
    notes: tuple[str, ...] = ()


def read_panel(table: Table, channels: Sequence[str]) -> Panel | None:
    """The panel in a table, or None where no column of it names the channels.

    Parameters
    ----------
    table
        Cells of any table, for instance one found beside the files.
    channels
        Names of the channels as the files have them.
    """
    wanted = {canonical(name): name for name in channels}
    if len(wanted) < len(channels):
        wanted = {name: name for name in channels}
    shares = []
    for column in table.columns:
        keys = [canonical(cell) if canonical(cell) in wanted else cell for cell in column]
        found = sum(key in wanted for key, count in Counter(keys).items() if count == 1)
        shares.append(found / min(len(channels), max(table.n_rows, 1)))
    best = max(range(len(shares)), key=lambda j: (shares[j], -j), default=None)
    if best is None or shares[best] < _SHARE:
        return None
    header = [canonical(name) for name in table.header]
    marker = next(
        (header.index(name) for name in _MARKER if name in header and header.index(name) != best), None
    )
    kind = next((header.index(name) for name in _CLASS if name in header), None)
    if marker is None and kind is None:
        return None
    markers: dict[str, str] = {}
    classes: dict[str, str] = {}
    for i, cell in enumerate(table.columns[best]):
        channel = wanted.get(canonical(cell)) or wanted.get(cell)
        if channel is None:
            continue
        markers[channel] = table.columns[marker][i] if marker is not None else channel
        classes[channel] = table.columns[kind][i].lower() if kind is not None else ""
    left = [name for name in channels if name not in markers]
    notes = (f"{len(left)} channels are not in the panel: {left[:5]}",) if left else ()
    return Panel(markers, classes, notes)
