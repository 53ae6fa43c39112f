"""The models that clients can name: the agent, the agent without a language model, and the embedder."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from nereus.api.access import Reader, State
from nereus.api.openai.faults import OpenAIRoute, Wrong, documented
from nereus.settings import Settings

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=OpenAIRoute)

AGENT = "nereus"
"""The chat agent, with the language model of the settings where there is one."""
RULES = "nereus-rules"
"""The chat agent without a language model: a grammar decides."""
EMBEDDER = "nereus-embedding"
"""The embedder of the settings."""
CHAT = (AGENT, RULES)
_SINCE = 1_767_225_600


class ModelEntry(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int = _SINCE
    owned_by: str = "nereus"


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


def known(name: str, among: tuple[str, ...]) -> str:
    """The model of a name.

    Raises
    ------
    Wrong
        There is none, or it cannot do what is asked.
    """
    if name in among:
        return name
    raise Wrong(
        f"the model {name!r} does not exist here; there are {', '.join(among)}",
        "model",
        "model_not_found",
        HTTPStatus.NOT_FOUND,
    )


def asks_model(settings: Settings) -> bool:
    """Whether the agent has a language model."""
    return bool(settings.llm_model)


@router.get("/models", responses=documented())
def list_models(caller: Reader, state: State) -> ModelList:
    """The models: ``nereus`` is the agent, ``nereus-rules`` the agent without a language model."""
    del caller, state
    return ModelList(data=[ModelEntry(id=name) for name in (*CHAT, EMBEDDER)])


@router.get("/models/{model}", responses=documented(HTTPStatus.NOT_FOUND))
def get_model(model: str, caller: Reader) -> ModelEntry:
    """One model."""
    del caller
    return ModelEntry(id=known(model, (*CHAT, EMBEDDER)))
