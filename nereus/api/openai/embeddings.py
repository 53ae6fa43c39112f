"""Embeddings: the embedder that recalls findings, as lists of numbers or as base64 of 32-bit floats."""

from __future__ import annotations

import base64
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import Reader
from nereus.api.openai.faults import OpenAIRoute, Wrong, documented
from nereus.api.openai.models import EMBEDDER, known
from nereus.api.openai.usage import tokens_of
from nereus.memory.embedding import HashedEmbedder

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=OpenAIRoute)

MOST_TEXTS = 2048
MOST_CHARACTERS = 100_000


class EmbeddingRequest(BaseModel):
    """What is to be embedded."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]
    """A text, or up to 2048."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Only the embedder's own number can be had."""


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """How much was read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


@cache
def _embedder() -> HashedEmbedder:
    return HashedEmbedder()


@router.post("/embeddings", responses=documented())
async def create_embedding(asked: EmbeddingRequest, caller: Reader) -> EmbeddingList:
    """Vectors of texts: 512 numbers each, of length 1, the same on every machine."""
    del caller
    known(asked.model, (EMBEDDER,))
    texts = _texts(asked.input)
    size = _embedder().dimensions
    if asked.dimensions is not None and asked.dimensions != size:
        raise Wrong(
            f"vectors have {size} dimensions and cannot be made shorter", "dimensions", "unsupported_value"
        )
    vectors = await run_in_threadpool(_embedder().embed, texts)
    data = [
        Embedding(
            index=index,
            embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode()
            if asked.encoding_format == "base64"
            else [float(one) for one in vector],
        )
        for index, vector in enumerate(vectors)
    ]
    used = sum(tokens_of(text) for text in texts)
    return EmbeddingList(
        data=data, model=EMBEDDER, usage=EmbeddingUsage(prompt_tokens=used, total_tokens=used)
    )


def _texts(given: str | list[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not texts or len(texts) > MOST_TEXTS:
        raise Wrong(f"give 1 to {MOST_TEXTS} texts", "input")
    if not all(isinstance(one, str) for one in texts):
        raise Wrong(
            "input must be texts, not tokens: with LangChain, OpenAIEmbeddings(check_embedding_ctx_length=False)",
            "input",
            "unsupported_value",
        )
    if any(not one or len(one) > MOST_CHARACTERS for one in texts):
        raise Wrong(f"each text has 1 to {MOST_CHARACTERS} characters", "input")
    return texts
