"""Sample sheets of isobaric labels, in which a run and a channel together name a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nereus.tools.proteomics.readers.channels import channel_key, channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.sample_sheet import Match, stripped

_LEAST_CHANNELS = 4


def one_row_a_channel(table: Table) -> Table:
    """A sheet with one column a channel (``RI1``, ``RI2`` ... or ``126``, ``127N`` ...) turned to one row a channel.

    Other sheets come back as they are.
    """
    columns = [j for j, name in enumerate(table.header) if channel_of(name) and len(name) <= 24]
    others = [j for j in range(len(table.header)) if j not in columns]
    keys = [channel_key(table.header[j]) for j in columns]
    if (
        len(columns) < _LEAST_CHANNELS
        or len(set(keys)) < len(keys)
        or not others
        or len(columns) <= len(others)
    ):
        return table
    n = table.n_rows
    header = [*(table.header[j] for j in others), "channel", "sample_type"]
    body = [[cell for cell in table.columns[j] for _ in columns] for j in others]
    body.append([channel_of(table.header[j]) for j in columns] * n)
    body.append([table.columns[j][i] for i in range(n) for j in columns])
    lines = [line for line in table.lines for _ in columns]
    notes = [*table.notes, "one column a channel: turned to one row a channel (column sample_type)"]
    return replace(table, header=header, columns=body, lines=lines, notes=notes)


def match_channels(table: Table, runs: Mapping[str, Sequence[str]], channels: Sequence[str]) -> Match | None:
    """Rows of samples by two columns of the sheet, one of runs (or plexes) and one of channels.

    Parameters
    ----------
    table
        Cells of the sheet.
    runs
        What may name the run of each sample: the run itself, the plex, the mixture.
    channels
        Channel of each sample.

    Returns
    -------
    Match or None
        None where no pair of columns names both; a pair that stands in two rows names neither.
    """
    wanted = [channel_key(name) for name in channels]
    keys = [[channel_key(cell) for cell in column] for column in table.columns]
    by_channel = [
        j
        for j, column in enumerate(keys)
        if sum(key in set(wanted) for key in column if key) >= 0.5 * table.n_rows
    ]
    best: Match | None = None
    for names in runs.values():
        plain = [stripped(name) for name in names]
        for a in range(len(table.header)):
            cells = [stripped(cell) for cell in table.columns[a]]
            if not set(cells) & set(plain):
                continue
            for b in by_channel:
                if a == b:
                    continue
                pairs = list(zip(cells, keys[b], strict=True))
                counts = Counter(pairs)
                place = {pair: i for i, pair in enumerate(pairs) if counts[pair] == 1}
                rows = [place.get(pair, -1) for pair in zip(plain, wanted, strict=True)]
                found = Match(a, rows, ["run and channel" if row >= 0 else "" for row in rows])
                if found.n_matched and (best is None or found.n_matched > best.n_matched):
                    best = found
    return best
