"""Tools: typed, pure functions that compute. ``nereus.tools.<name>`` is the registered tool of that name.

Importing this package imports no tool; a tool loads when it is first named::

    from nereus import tools

    contrast = {"factor": "group", "a": "AD", "b": "control"}
    result = tools.differential_abundance(dataset, contrast=contrast, seed=1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nereus.tools.base import Tool


def __getattr__(name: str) -> Tool:
    import nereus.tools.registry as registry  # `from nereus.tools import` would ask this function again

    if name.startswith("_") or name not in registry.CATALOGUE:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; tools are {', '.join(registry.names())}"
        )
    return registry.get(name)


def __dir__() -> list[str]:
    import nereus.tools.registry as registry

    return sorted({*globals(), *registry.names()})
