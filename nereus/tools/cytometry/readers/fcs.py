"""FCS 2.0 to 3.1 files, read with FlowIO.

Source: Spidlen et al. 2010, Cytometry A 77A:97 (FCS 3.1); FlowIO, https://github.com/whitews/FlowIO (BSD-3).
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np

from nereus.errors import InputError
from nereus.tools.cytometry.readers.events import Events
from nereus.tools.cytometry.readers.spillover import compensated, read_spillover

_SPILLOVER = ("spillover", "spill", "comp", "$spillover", "$comp")
_MOST_CHANNELS = 2000


def is_fcs(data: bytes) -> bool:
    """Whether bytes begin as an FCS file does."""
    return data[:3] == b"FCS" and bool(re.match(rb"FCS\d\.\d", data[:6]))


def read_fcs(data: bytes, name: str, where: str, compensate: bool = False) -> Events:
    """Events on the linear scale: logarithmic amplifiers are undone and gains divided out, as the standard says.

    The file's own spillover matrix is applied with `compensate`; else it is reported (flow cytometers often store it
    beside values that are not compensated).

    Raises
    ------
    InputError
        A damaged file, one without events, values that are not finite, or nothing to compensate with.
    """
    import flowio  # type: ignore[import-untyped]

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file: Any = flowio.FlowData(io.BytesIO(data))
            announced, channels = int(file.event_count), int(file.channel_count)
            if (
                not 0 < channels <= _MOST_CHANNELS
                or announced < 0
                or announced * channels * 8 > 64 * len(data) + 4096
            ):
                raise ValueError(
                    f"{announced} events of {channels} channels do not fit into {len(data)} bytes"
                )
            values = np.asarray(file.as_array(preprocess=True), dtype=np.float64)
            text = {str(key).lower(): str(value) for key, value in dict(file.text).items()}
            names = [str(label).strip() for label in file.pnn_labels]
            markers = [str(label).strip() for label in file.pns_labels]
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
        raise InputError(
            f"the FCS file cannot be read ({type(error).__name__}: {str(error)[:150]})",
            where=where,
            mend="copy it again, or export it again from the cytometer's software",
        ) from None
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(
            f"the FCS file names {len(names)} channels and holds values of shape {values.shape}",
            where=where,
            mend="export it again from the cytometer's software",
        )
    if not len(values):
        raise InputError("the FCS file holds no events", where=where, mend="leave the file out")
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            "a channel of the FCS file has no name, or two have the same",
            where=where,
            mend="export it again with channel names",
        )
    if not np.isfinite(values).all():
        i, j = map(int, np.argwhere(~np.isfinite(values))[0])
        raise InputError(
            f"{int((~np.isfinite(values)).sum())} values are not finite",
            where=f"{where}, event {i + 1}, channel {names[j]!r}",
            mend="export the file again; missing events cannot be analysed",
        )
    notes = []
    facts: dict[str, str | bool | float] = {"instrument": text.get("cyt", text.get("$cyt", ""))}
    if compensate:
        spillover = read_spillover(text, where)
        if spillover is None:
            raise InputError(
                "the FCS file holds no spillover matrix", where=where, mend="leave `compensate` out"
            )
        values = compensated(values, names, spillover, where)
        facts["spillover"] = "none" if spillover.is_identity else "applied"
        notes.append(
            "the spillover matrix is the identity: the values were compensated before"
            if spillover.is_identity
            else f"compensated with the file's spillover matrix of {len(spillover.channels)} channels"
        )
    elif any(key in text for key in _SPILLOVER):
        facts["spillover"] = True
        notes.append(
            "the FCS file holds a spillover matrix, which is not applied: check that the values are compensated, or load "
            "with compensate=True"
        )
    version = data[:6].decode("ascii")
    return Events(name, values, names, markers, f"FCS {version[3:]}", where, notes=notes, facts=facts)
