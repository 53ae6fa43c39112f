"""A vector store of LangChain's in the run database: what is written by one process is found by all others of the home."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langgraph.store.base import GetOp, PutOp

from nereus.api.langchain.embeddings import NereusEmbeddings
from nereus.errors import InputError
from nereus.memory.database.engine import Database
from nereus.memory.database.models import LOCAL
from nereus.memory.langgraph.item_vectors import item_vectors, nearest_rows
from nereus.memory.langgraph.items import ItemStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPACE = "vectors"
_GIVEN = "given"
_PAGE = 1000


class StoredVectors(VectorStore):
    """Documents with their vectors, of one owner; a search compares the question with each of them (cosine).

    They are items of the store (`docs/server.md`), under the namespace ``vectors.<collection>``. The process keeps the
    vectors and reads the documents that it gives, so that the first search of a large collection takes longer.

    Parameters
    ----------
    database
        The open run database.
    collection
        A name: letters, digits, ``_`` and ``-``.
    embedding
        Turns texts into vectors; Nereus's own where none is given.
    owner
        Whose they are: no other's are seen.

    Raises
    ------
    InputError
        The collection has no such name.

    Examples
    --------
    >>> import tempfile
    >>> database = Database(f"sqlite:///{tempfile.mkdtemp()}/nereus.sqlite")
    >>> notes = StoredVectors(database, "notes")
    >>> _ = notes.add_texts(["APOE rises in plasma", "plates of batch 7 were frozen twice"])
    >>> notes.similarity_search("what of batch 7?", k=1)[0].page_content
    'plates of batch 7 were frozen twice'
    >>> database.close()
    """

    def __init__(
        self,
        database: Database,
        collection: str = "documents",
        embedding: Embeddings | None = None,
        owner: str = LOCAL,
    ) -> None:
        if (
            not collection
            or len(collection) > 100
            or not all(one.isalnum() or one in "_-" for one in collection)
        ):
            raise InputError(
                f"{collection!r} is no name of a collection", mend="use letters, digits, '_' and '-'"
            )
        self._items = ItemStore(database, owner)
        self._database = database
        self._owner = owner
        self._space = (_SPACE, collection)
        self._embedding = embedding or NereusEmbeddings()

    @property
    def embeddings(self) -> Embeddings:
        """What turns texts into vectors."""
        return self._embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Keep texts; one whose id is there already is replaced. Gives their ids."""
        del kwargs
        told = list(texts)
        about = metadatas or [{}] * len(told)
        names = [one or str(uuid.uuid4()) for one in ids or [""] * len(told)]
        if not len(told) == len(about) == len(names):
            raise InputError("there must be as many metadata and ids as texts")
        rows = self._embedding.embed_documents(told) if told else []
        vectors: NDArray[np.float32] = np.asarray(rows, dtype="<f4")
        self._items.batch(
            [
                PutOp(
                    self._space,
                    name,
                    {
                        "text": text,
                        "metadata": dict(metadata),
                        "vector": base64.b64encode(vector.tobytes()).decode(),
                    },
                )
                for name, text, metadata, vector in zip(names, told, about, vectors, strict=True)
            ]
        )
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Forget documents by their ids; all of the collection where none are given. Unknown ids are passed over."""
        del kwargs
        if ids is not None:
            self._items.batch([PutOp(self._space, name, None) for name in ids])
            return True
        while found := self._items.search(self._space, limit=_PAGE):
            self._items.batch([PutOp(self._space, one.key, None) for one in found])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by their ids, in their order; unknown ids are passed over."""
        found: list[Any] = self._items.batch([GetOp(self._space, one, False) for one in ids])
        return [_document(one.key, one.value) for one in found if one is not None]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Documents that are most like a question; with ``filter`` those whose metadata have these values."""
        return [one for one, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Documents with their likeness (cosine), the most alike first."""
        return self._nearest(self._embedding.embed_query(query), k, kwargs.get("filter"))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Documents that are most like a vector."""
        return [one for one, _ in self._nearest(embedding, k, kwargs.get("filter"))]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Documents that are like a question and unlike each other."""
        asked = np.asarray(self._embedding.embed_query(query), dtype=np.float32)
        near = self._nearest(list(asked), fetch_k, kwargs.get("filter"))
        items: list[Any] = self._items.batch([GetOp(self._space, str(one.id), False) for one, _ in near])
        vectors = [_vector(one.value).tolist() for one in items]
        chosen = maximal_marginal_relevance(asked, vectors, lambda_mult, k) if vectors else []
        return [near[place][0] for place in chosen]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> StoredVectors:
        """A collection with texts; takes ``database``, ``collection`` and ``owner`` as the class does."""
        made = cls(embedding=embedding, **kwargs)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda likeness: (likeness + 1) / 2

    def _nearest(
        self, asked: Sequence[float], k: int, wanted: Mapping[str, Any] | None
    ) -> list[tuple[Document, float]]:
        def fits(value: dict[str, Any]) -> bool:
            return all(value["metadata"].get(name) == told for name, told in (wanted or {}).items())

        kept = item_vectors(self._database, self._owner, self._space, _GIVEN, _vectors)
        question = np.asarray(asked, dtype=np.float32)
        try:
            with self._database.read() as connection:
                ordered = kept.nearest(connection, question)
                found = nearest_rows(connection, self._owner, ordered, k, fits)
        except ValueError as error:
            raise InputError(
                str(error),
                where=f"collection {self._space[1]!r}",
                mend="ask with the embedding that its documents were added with, or begin another collection",
            ) from error
        return [(_document(row.key, json.loads(row.value)), likeness) for row, likeness in found]


def _document(key: str, value: dict[str, Any]) -> Document:
    return Document(id=key, page_content=value["text"], metadata=dict(value["metadata"]))


def _vector(value: dict[str, Any]) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(value["vector"]), dtype="<f4")


def _vectors(rows: Sequence[Any]) -> NDArray[np.float32]:
    return np.stack([_vector(json.loads(row.value)) for row in rows])
