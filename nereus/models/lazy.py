"""Public names of a method's folder that are loaded on first use, so that its card can be read without torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def on_first_use(package: str, **modules: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that loads each name from its sub-module.

    Parameters
    ----------
    package
        ``__name__`` of the folder.
    modules
        Public name to sub-module: ``UniMatch="method"``.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return load
