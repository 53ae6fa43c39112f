"""A trained method on disk: one safetensors file that tells what it is, and beside it JSON for people.

The file's header holds one text entry, the JSON of a `Header`: name and version of the method, configuration, what was
learned besides tensors, and the course of training. Nothing is pickled, so opening a stranger's file runs no code. Equal
methods give equal bytes, so that a trained method can be an artifact under its content hash.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError

from nereus.errors import InputError
from nereus.explained import Explained

if TYPE_CHECKING:
    from torch import Tensor

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
_KEY = "nereus"
FORMAT = 1


class Header(Explained):
    """What a file of a trained method says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    """Layout of this header."""
    method: str
    """Name in the registry."""
    version: str
    """Version of the method's weights layout."""
    config: dict[str, Any]
    """The configuration, as JSON values."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What was learned that is no tensor: vocabularies, names of tasks, scales."""
    history: dict[str, Any] = Field(default_factory=dict)
    """The course of training."""
    weights: str = ""
    """Hash of the weights (SHA-256), so that a damaged byte is found; empty in files of before."""


def digest(tensors: dict[str, Tensor]) -> str:
    """Hash of names, kinds, shapes and bytes of tensors, in the order of their names."""
    from safetensors.torch import save

    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(save({name: tensor.detach().cpu().contiguous()}))
    return found.hexdigest()


def to_bytes(header: Header, tensors: dict[str, Tensor]) -> bytes:
    """The file's content."""
    from safetensors.torch import save

    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    header = header.model_copy(update={"weights": digest(dense)})
    text = json.dumps(header.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return bytes(save(dense, metadata={_KEY: text}))


def write(folder: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    """Write a trained method into a folder, the model file last, so that a folder with one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    readable = {"method": header.method, "version": header.version, "config": header.config}
    (folder / CONFIG_FILE).write_text(json.dumps(readable, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fresh = folder / f".{MODEL_FILE}.new"
    fresh.write_bytes(to_bytes(header, tensors))
    fresh.replace(folder / MODEL_FILE)


def model_file(place: Path) -> Path:
    """The model file of a folder, or the file itself.

    Raises
    ------
    InputError
        There is none.
    """
    file = place / MODEL_FILE if place.is_dir() else place
    if not file.is_file():
        raise InputError("there is no trained method here", where=str(place), mend="give what `save` wrote")
    return file


def read_header(place: Path) -> Header:
    """What a trained method says of itself, without its weights.

    Raises
    ------
    InputError
        The file is missing, damaged, or no trained method of ours.
    """
    from safetensors import SafetensorError, safe_open

    file = model_file(place)
    try:
        with safe_open(file, framework="np") as opened:
            text = (opened.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"the file cannot be read: {error}", where=str(file), mend="save it again"
        ) from error
    if text is None:
        raise InputError(
            "these are weights without a header of ours",
            where=str(file),
            mend="give a file that `save` wrote; weights of others are read by the method that can use them",
        )
    try:
        header = Header.model_validate_json(text)
    except ValidationError as error:
        raise InputError("the header is damaged", where=str(file), mend="save it again") from error
    if header.format != FORMAT:
        raise InputError(
            f"the file has format {header.format}, this version reads {FORMAT}",
            where=str(file),
            mend="use the version of nereus that wrote it, or train again",
        )
    return header


def read_tensors(place: Path) -> dict[str, Tensor]:
    """The weights of a trained method, on the CPU.

    Raises
    ------
    InputError
        The file is missing or damaged, or a weight is no number.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = model_file(place)
    try:
        found = dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"the file cannot be read: {error}", where=str(file), mend="save it again"
        ) from error
    for name, tensor in found.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(
                f"tensor {name!r} holds what is no number", where=str(file), mend="save it again"
            )
    told = read_header(file).weights
    if told and told != digest(found):
        raise InputError(
            "the weights are not those that were saved: the file is damaged or was changed",
            where=str(file),
            mend="copy it again from where it was made, or train again",
        )
    return found
