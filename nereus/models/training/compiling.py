"""Networks compiled for the time of a training, by `torch.compile`.

Only what a network names as hot is compiled: the layers in which a step spends its time, called in the ordinary way. What
differentiates through gradients or cuts batches stays as it is. Sizes of batches vary, so shapes are compiled as variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch._dynamo.exc import TorchDynamoException

from nereus.errors import InputError

BACKEND = "inductor"
"""Backend of `torch.compile`."""


def hot_parts(network: nn.Module) -> list[nn.Module]:
    """What a network's method ``hot`` names; without one the network itself."""
    named = getattr(network, "hot", None)
    return [network] if named is None else list(named())


@contextmanager
def compiled(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Compile the hot parts of a network in place; afterwards they are as before, with the weights that they learned.

    Raises
    ------
    InputError
        They cannot be compiled here.
    """
    parts = hot_parts(network) if wanted else []
    for part in parts:
        part.compile(backend=BACKEND, dynamic=True)
    try:
        yield
    except TorchDynamoException as error:
        raise InputError(
            f"the network cannot be compiled here: {str(error).strip().splitlines()[0]}",
            where="training.compile",
            mend="set training.compile=false, or install a C++ compiler",
        ) from error
    finally:
        for part in parts:
            part._compiled_call_impl = None
