"""Biological sequences in running text: papers, web pages, notes.

References
----------
Sequences in one document tend to belong together, which is what BSM's third kind of training data rests on (arXiv:2410.11499,
section 2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from nereus.models.sequences.alphabets import Biosequence, Modality

LEAST_LETTERS = 15
"""Shorter runs of letters may be words, acronyms or primers of nothing in particular."""
LEAST_SEQUENCES = 3
"""Sequences that a document must have, as in the paper."""
_RUN = re.compile(rf"(?<![A-Za-z])[ACDEFGHIKLMNPQRSTVWYUBXZ]{{{LEAST_LETTERS},}}(?![A-Za-z])")


def sequences_of_text(text: str) -> list[Biosequence]:
    """Runs of capital letters of one alphabet, in the order of the text; blocks of ten with blanks or line ends are joined.

    Examples
    --------
    >>> sequences_of_text("The primer ACGTACGTTAGCATCAGT anneals to MKTAYIAKQRQISFVKSHFSRQ.")[0].modality
    'dna'
    """
    joined = re.sub(r"(?<=[A-Z]{10})[ \t]*\n?[ \t]*(?:\d+[ \t]+)?(?=[A-Z]{10})", "", text)
    found = []
    for run in _RUN.findall(joined):
        letters = set(run)
        modality: Modality = (
            "dna" if letters <= set("ACGTN") else "rna" if letters <= set("ACGUN") else "protein"
        )
        # Running text in capitals is no protein: words use few of the letters that proteins use.
        if modality != "protein" or len(letters) >= 8:
            found.append(Biosequence(run, modality))
    return found


def documents(texts: Sequence[str]) -> pd.DataFrame:
    """Sequences of the texts that have at least three, as a table with a column ``document``.

    Parameters
    ----------
    texts
        One a document.

    Returns
    -------
    DataFrame
        ``row, sequence, modality, document``.
    """
    rows = []
    for number, text in enumerate(texts):
        found = sequences_of_text(text)
        if len(found) >= LEAST_SEQUENCES:
            rows += [
                {
                    "row": f"{number}/{i}",
                    "sequence": one.letters,
                    "modality": one.modality,
                    "document": str(number),
                }
                for i, one in enumerate(found)
            ]
    return pd.DataFrame(rows, columns=["row", "sequence", "modality", "document"])
