"""The examples that ship with the package, so that a newcomer sees something before they have data at hand."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import nereus

_ROOTS = (
    Path(nereus.__file__).parent.parent / "examples",
    Path(sysconfig.get_path("data")) / "share" / "nereus" / "examples",
)
"""In a checkout, and where a wheel puts them."""


@dataclass(frozen=True)
class Example:
    """A data set with its sample sheet, and what one would ask of it."""

    name: str
    title: str
    about: str
    question: str
    data: str
    samples: str
    source: str
    licence: str

    @property
    def folder(self) -> Path | None:
        """Where its files are; None where they were not installed."""
        return next((root / self.name for root in _ROOTS if (root / self.name / self.data).is_file()), None)


EXAMPLES = (
    Example(
        name="alzheimer_csf",
        title="Alzheimer's disease, cerebrospinal fluid",
        about="210 people from four collection sites, 1,542 protein groups, raw intensities and the clinical sheet as published",
        question="Which proteins mark biochemical Alzheimer's disease?",
        data="proteome.csv.gz",
        samples="samples.csv",
        source="Bader et al. (2020), Molecular Systems Biology 16:e9356; PRIDE PXD016278",
        licence="MIT (njab), Apache-2.0 (OmicLearn)",
    ),
)
