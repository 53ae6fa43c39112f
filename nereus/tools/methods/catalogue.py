"""Names of the tools of every method. Imports no pandas and no torch."""

from __future__ import annotations

from nereus.models import registry as methods
from nereus.models.card import Verb

CATALOGUE: dict[str, tuple[str, Verb | None]] = {
    **{f"fit_{name}": (name, None) for name in methods.names()},
    **{f"{verb.value}_{name}": (name, verb) for name in methods.names() for verb in methods.card(name).verbs},
}
"""Tool to method and verb; None is training."""

STARTING = ("unimatch", "mgssl", "mbp", "bsm")
"""Methods whose setting ``pretrained`` names a trained method of this library: their tools take it as an input."""
