"""Going on from a saved method: proteins may be added, what is read of complexes stays."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nereus.errors import InputError
from nereus.models.molecules.mbp.complexes import Protein, Variant
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.network import MBPNetwork
from nereus.models.molecules.mbp.proteins import letters_of


def grown(given: MBPNetwork, config: MBPConfig, proteins: Sequence[Protein]) -> MBPNetwork:
    """The given network with room for more proteins; a new name starts as any other's, the mean of those that were learned."""
    network = MBPNetwork(config, given.variant, letters_of(proteins))
    state = given.state_dict()
    if given.variant == "pose-free":
        rows = state["target.names.weight"]
        more = rows[:1].expand(1 + len(proteins) - len(rows), -1)
        state = {**state, "target.names.weight": torch.cat([rows, more])}
    network.load_state_dict({**state, "letters": network.letters})
    return network


def require_variant(learned: Variant, read: Variant, place: str) -> None:
    """Refuse data that are read in another way than those of pre-training."""
    if learned != read:
        raise InputError(
            f"the pre-trained method reads {learned!r}, the data are {read!r}",
            where=place,
            mend="give the same columns as in pre-training",
        )
