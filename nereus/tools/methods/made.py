"""Tools from cards. Reading names and parameters imports no torch; training and asking do."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, Field, create_model

from nereus.models import registry as methods
from nereus.models.card import Card, Verb
from nereus.models.config import Config
from nereus.models.files import require_contents
from nereus.tools.base import Params, Result, Tool, TrainedMethod, tool
from nereus.tools.methods.asking import ask, makes_structures
from nereus.tools.methods.catalogue import CATALOGUE, STARTING
from nereus.tools.methods.columns import roles

DEFAULT_HELD_OUT = 0.2


@cache
def made(name: str) -> Tool:
    """The tool of a name in `CATALOGUE`."""
    method, verb = CATALOGUE[name]
    card = methods.card(method)
    return _fitting(name, card) if verb is None else _asking(name, card, verb)


def config_class(card: Card) -> type[Config]:
    """A method's configuration class, without torch."""
    module, _, attribute = methods.CATALOGUE[card.name].partition(":")
    found: type[Config] = getattr(import_module(module), f"{attribute}Config")
    return found


def _columns(card: Card, training: bool) -> dict[str, Any]:
    """One parameter a role: the column, or the columns."""
    fields: dict[str, Any] = {}
    for one in card.inputs:
        asked = one.required and (training or not one.answered)
        kind: Any = tuple[str, ...] if one.many else str
        if not asked:
            fields[one.name] = (kind | None, Field(None, description=f"Column of {one.about}"))
        else:
            fields[one.name] = (kind, Field(..., description=f"Column of {one.about}"))
    return fields


def _own_alone(settings: Config) -> Config:
    """Settings of a tool: what reaches beyond its inputs, or says again what the call says, is refused."""
    if settings.random_state:
        raise ValueError("the seed of the call is the random_state; leave it out, and give the call a seed")
    if getattr(settings, "pretrained", None) is not None:
        raise ValueError(
            "a tool reads only its inputs, so pretrained cannot name a folder; give a trained model as the input "
            "'pretrained' where there is one, or use `nereus methods fit`"
        )
    return settings


def _fitting(name: str, card: Card) -> Tool:
    settings = config_class(card)
    taken: Any = Annotated[settings, AfterValidator(_own_alone)]
    params = create_model(
        f"{name.title().replace('_', '')}Params",
        __base__=Params,
        __doc__=f"Columns of the table, and the configuration of {card.title}.",
        **_columns(card, training=True),
        held_out=(
            float,
            Field(DEFAULT_HELD_OUT, ge=0, lt=0.9, description="Share of rows that judge; 0 judges nothing."),
        ),
        split=(str, Field("scaffold", pattern="^(scaffold|random|group)$", description="Who is held out.")),
        settings=(taken, Field(default_factory=settings, description="Configuration of the method.")),
    )

    def run(table: pd.DataFrame, params: Params, *, seed: int) -> Result:
        require_contents(card, table, roles(card, params), f"tool {name!r}")
        from nereus.tools.methods.fitting import fit

        return fit(card, table, params, seed)

    def start(
        table: pd.DataFrame, params: Params, *, pretrained: TrainedMethod | None = None, seed: int
    ) -> Result:
        require_contents(card, table, roles(card, params), f"tool {name!r}")
        from nereus.tools.methods.starting import fit_from

        return fit_from(pretrained, card, table, params, seed)

    starts = card.name in STARTING
    judged = Verb.PREDICT in card.verbs
    outputs = ("model:model", "table:history", "figure:learning_curve")
    return _tool(
        start if starts else run,
        name,
        params,
        f"Train {card.name} on a table ({card.task}), judged on held-out rows beside a baseline.",
        outputs + (("table:held_out", "table:held_out_targets", "figure:performance") if judged else ()),
        _described(card, name, _GIVEN + _STARTED if starts else _GIVEN, _FITTED),
        45.0,
        version="3",
    )


def _asking(name: str, card: Card, verb: Verb) -> Tool:
    params = create_model(
        f"{name.title().replace('_', '')}Params",
        __base__=Params,
        __doc__=f"Columns of the table that {card.title} is asked about.",
        **_columns(card, training=False),
        options=(dict[str, Any], Field(default_factory=dict, description="Options of the verb.")),
    )

    def run(model: TrainedMethod, table: pd.DataFrame, params: Params, *, seed: int) -> Result:
        require_contents(card, table, roles(card, params), f"tool {name!r}")
        return ask(card, verb, model, table, params, seed)

    given = "model : TrainedMethod\n    What `fit` gave.\ntable : DataFrame\n    One row an object."
    return _tool(
        run,
        name,
        params,
        f"{verb.value.capitalize()} with a trained {card.name} ({card.task}) for the rows of a table.",
        ("table:answers", *(("figure:molecules",) if makes_structures(card, verb) else ())),
        _described(card, name, given, _ANSWERED),
        5.0,
    )


_GIVEN = "table : DataFrame\n    One row an object; columns are named by role."
_STARTED = "\npretrained : TrainedMethod, optional\n    What training starts from, as `nereus methods show` says of the setting."
_FITTED = """Result
    Model ``model``; table ``history`` (``step, epoch`` and losses) with figure ``learning_curve``; where a target is predicted,
    table ``held_out`` (``row, observed, predicted, baseline``, of the first target) with figure ``performance`` (ROC or parity)
    and table ``held_out_targets`` (``target, n, baseline`` and metrics of every target). Values: ``n_trained_on,
    n_unreadable, epochs``, metrics as ``held_out_<metric>`` and ``baseline_<metric>``, ``baseline`` (what it is)."""
_ANSWERED = """Result
    Table ``answers`` (``row`` and the columns of the answer). Values: ``n_rows``, ``n_answers``. Of a method that makes molecules
    also figure ``molecules`` and value ``n_structures``."""


def _described(card: Card, name: str, inputs: str, returns: str) -> str:
    """A docstring with the sections that every tool's has."""
    return f"""{card.purpose}

Parameters
----------
{inputs}
params
    Columns by role, and options.
seed : int
    Seed of everything random.

Returns
-------
{returns}

Raises
------
InputError
    A column is missing, or no row can be read.

References
----------
{card.paper.title}. {card.paper.venue} {card.paper.year}, {card.paper.link}.

Examples
--------
>>> from nereus.tools import registry
>>> registry.get({name!r}).inputs[0].kind
{"'table'" if name.startswith("fit_") else "'model'"}
"""


def _tool(
    run: Any,
    name: str,
    params: type[Params],
    summary: str,
    outputs: tuple[str, ...],
    doc: str,
    seconds: float,
    version: str = "2",
) -> Tool:
    run.__doc__ = doc
    # The signature is what a tool's inputs are read from: its `params` is this method's own class.
    run.__annotations__ = {**run.__annotations__, "params": params}
    return tool(name, version=version, summary=summary[:130], outputs=outputs, seconds=seconds)(run)
