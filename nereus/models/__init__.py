"""The method library: published methods, re-implemented, trainable, measured. One folder a method.

>>> from nereus import models
>>> "unimatch" in models.names()
True
>>> models.card("unimatch").year
2025

`names` and `card` import no torch; `get` gives the class, `load` a trained method from its folder or file.
"""

from nereus.models.registry import card, get, load, names

__all__ = ["card", "get", "load", "names"]
