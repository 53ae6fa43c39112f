"""Encoders that one method trained, for the network of another.

A method that trains a `GraphEncoder` whose weights others may start from keeps it as ``network.encoder.*`` in its file. MGSSL
does; UniMatch starts from it with ``pretrained="folder"``. In code of your own:

    encoder = GraphEncoder(TYPED, width=64, layers=3)
    load_encoder(encoder, "folder")
"""

from __future__ import annotations

from pathlib import Path

from nereus.errors import InputError
from nereus.models import storage
from nereus.models.molecules.graphs.encoder import GraphEncoder

PREFIX = "network.encoder."


def load_encoder(encoder: GraphEncoder, place: Path | str) -> None:
    """Put the weights of a saved method's encoder into an encoder of the same shape, in place.

    Raises
    ------
    InputError
        There is no trained method, it has no such encoder, or its width, layers or features are others.
    """
    method = storage.read_header(Path(place)).method
    found = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in storage.read_tensors(Path(place)).items()
        if name.startswith(PREFIX)
    }
    wanted = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    if not found:
        raise InputError(f"{method!r} has no graph encoder", where=str(place), mend="give a saved MGSSL")
    if wanted != {name: tuple(tensor.shape) for name, tensor in found.items()}:
        layers = len({name.split(".")[1] for name in found if name.startswith("norms.")})
        width = found["norms.0.weight"].shape[0] if "norms.0.weight" in found else "unknown"
        raise InputError(
            f"the encoder of this {method!r} has width {width} and {layers} layers, "
            f"here are {encoder.width} and {len(encoder.norms)}",
            where=str(place),
            mend="set width and layers alike, and use the same features of atoms",
        )
    encoder.load_state_dict(found)
