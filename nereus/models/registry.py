"""Every method, registered once: one line each. Listing names and reading cards imports no torch."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nereus.errors import InputError
from nereus.models.card import Card

if TYPE_CHECKING:
    from nereus.models.base import Method

CATALOGUE: dict[str, str] = {
    # molecules -------------------------------------------------------------------------------
    "unimatch": "nereus.models.molecules.unimatch:UniMatch",
    "mgssl": "nereus.models.molecules.mgssl:MGSSL",
    "mbp": "nereus.models.molecules.mbp:MBP",
    "asgn": "nereus.models.molecules.asgn:ASGN",
    "utgdiff": "nereus.models.molecules.utgdiff:UTGDiff",
    # sequences -------------------------------------------------------------------------------
    "bsm": "nereus.models.sequences.bsm:BSM",
    # language --------------------------------------------------------------------------------
    "qwen": "nereus.models.language.qwen:Qwen",
    "cpl": "nereus.models.language.cpl:CPL",
}


def names() -> list[str]:
    """Names of all registered methods, in catalogue order."""
    return list(CATALOGUE)


def card(name: str) -> Card:
    """The card of a method; `InputError` with the nearest names where there is none."""
    found = import_module(_place(name)[0]).CARD
    if not isinstance(found, Card) or found.name != name:
        raise TypeError(f"{_place(name)[0]}.CARD is not the card of {name!r}")
    return found


@cache
def get(name: str) -> type[Method[Any]]:
    """The class of a method. Loads torch.

    Raises
    ------
    InputError
        There is no such method, or torch is not installed.
    """
    module, attribute = _place(name)
    try:
        found: type[Method[Any]] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name!r} is not installed, which trainable methods need",
            where=f"method {name!r}",
            mend="pip install -e '.[models,molecules]' (docs/install.md shows the CPU switch of torch)",
        ) from error
    return found


def load(place: Path | str) -> Method[Any]:
    """A trained method from the folder or file where `Method.save` put it.

    Raises
    ------
    InputError
        There is no trained method at this place, or it is damaged.
    """
    from nereus.models.storage import read_header

    return get(read_header(Path(place)).method).load(place)


def _place(name: str) -> tuple[str, str]:
    if name not in CATALOGUE:
        near = get_close_matches(name, CATALOGUE, n=3) or names()
        raise InputError(f"there is no method {name!r}", mend=f"perhaps {', '.join(near)}")
    module, _, attribute = CATALOGUE[name].partition(":")
    return module, attribute
