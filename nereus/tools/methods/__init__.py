"""Every trainable method as tools, made from its card and configuration: ``fit_<method>`` and one tool a verb."""

from nereus.tools.methods.catalogue import CATALOGUE

__all__ = ["CATALOGUE"]


def __getattr__(name: str) -> object:
    if name not in CATALOGUE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nereus.tools.methods.made import made

    return made(name)
