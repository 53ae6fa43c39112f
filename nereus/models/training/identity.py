"""What a checkpoint belongs to: the settings and the data of a training, as one hash."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from nereus.models.config import Config

_NEVER = {"device", "random_state"}
"""Where a training runs changes nothing that a checkpoint keeps; the seed is compared by the loop itself."""


def identity_of(config: Config, *data: bytes | str, without: Collection[str] = ()) -> str:
    """A hash that differs where a training would: one with other settings, or on other data, does not go on from its state.

    Parameters
    ----------
    config
        The method's configuration.
    data
        What is learned from, or hashes of it.
    without
        Fields of the configuration that this training does not depend on, or that `data` or the loop's own options tell.

    Examples
    --------
    >>> narrow, wide = Config(random_state=1), Config(random_state=2)
    >>> identity_of(narrow, "CCO") == identity_of(wide, "CCO"), identity_of(narrow, "CCO") == identity_of(narrow, "CCN")
    (True, False)
    """
    told = hashlib.sha256(config.model_dump_json(exclude={*_NEVER, *without}).encode())
    for one in data:
        told.update(hashlib.sha256(one.encode() if isinstance(one, str) else one).digest())
    return told.hexdigest()
