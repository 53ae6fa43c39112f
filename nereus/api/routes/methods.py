"""Trainable methods: their cards and settings. They are trained and asked through their tools (`/api/tools/fit_...`)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from nereus.api.access import Reader
from nereus.api.problems import Refused, documented
from nereus.errors import InputError
from nereus.models import registry
from nereus.models.card import Card
from nereus.tools.methods.catalogue import CATALOGUE
from nereus.tools.methods.made import config_class

router = APIRouter(prefix="/api/methods", tags=["methods"])


class MethodView(BaseModel):
    """A method's card, the tools that train and ask it, and the schema of its settings."""

    card: Card
    tools: list[str]
    settings: dict[str, Any]


@router.get("", responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))
def list_methods(caller: Reader) -> list[Card]:
    """Cards of all methods."""
    del caller
    return [registry.card(name) for name in registry.names()]


@router.get(
    "/{name}",
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
)
def get_method(name: str, caller: Reader) -> MethodView:
    """One method."""
    del caller
    try:
        card = registry.card(name)
    except InputError as error:
        raise Refused(HTTPStatus.NOT_FOUND, error.what, error.where, error.mend) from None
    return MethodView(
        card=card,
        tools=[tool for tool, (method, _) in CATALOGUE.items() if method == name],
        settings=config_class(card).model_json_schema(),
    )
