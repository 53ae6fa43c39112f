"""Anonymised copies of tables whose identifiers give the answer away.

Every accession becomes a random token (the same one wherever it occurs, contaminant and decoy prefixes kept, since they
are facts about the row); names and headers are emptied. The map stays with the harness.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

import numpy as np

_IDS = {"proteinids", "majorityproteinids"}
_EMPTIED = {"fastaheaders", "genenames", "proteinnames"}
_PREFIXES = ("CON__", "REV__")
_ALPHABET = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def anonymise_maxquant(source: Path, target: Path, seed: int) -> dict[str, str]:
    """Copy a MaxQuant proteinGroups table with tokens for accessions.

    Returns
    -------
    dict
        Anonymised majority id -> original majority id.
    """
    rng = np.random.default_rng(seed)
    raw = source.read_bytes()
    text = (gzip.decompress(raw) if source.suffix == ".gz" else raw).decode("utf-8")
    rows = list(csv.reader(io.StringIO(text), delimiter="\t"))
    header, body = rows[0], rows[1:]
    names = [re.sub(r"[^a-z]", "", name.lower()) for name in header]
    tokens: dict[str, str] = {}

    def token(accession: str) -> str:
        prefix = next((p for p in _PREFIXES if accession.startswith(p)), "")
        bare = accession[len(prefix) :]
        if bare not in tokens:
            tokens[bare] = "X" + "".join(rng.choice(_ALPHABET, 9))
        return prefix + tokens[bare]

    truth = {}
    for row in body:
        for index, name in enumerate(names[: len(row)]):
            if name in _IDS:
                original = row[index]
                row[index] = ";".join(token(part) for part in original.split(";"))
                if name == "majorityproteinids":
                    truth[row[index]] = original
            elif name in _EMPTIED:
                row[index] = ""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(header)
    writer.writerows(body)
    target.write_text(out.getvalue(), encoding="utf-8")
    return truth
