"""A vector store of LangChain's in the run database: what is written by one process is found by all others of the home."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langgraph.store.base import GetOp, PutOp, SearchOp

from nereus.api.langchain.embeddings import NereusEmbeddings
from nereus.errors import InputError
from nereus.memory.database.engine import Database
from nereus.memory.database.models import LOCAL
from nereus.memory.langgraph.items import ItemStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 50_000
"""Documents of a collection: each search compares all of them."""
_SPACE = "vectors"


class StoredVectors(VectorStore):
    """Documents with their vectors, of one owner; a search compares the question with each of them (cosine).

    They are items of the store (`docs/server.md`), under the namespace ``vectors.<collection>``.

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
        names = [one.key for one in self._all()] if ids is None else ids
        self._items.batch([PutOp(self._space, name, None) for name in names])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by their ids, in their order; unknown ids are passed over."""
        found: list[Any] = self._items.batch([GetOp(self._space, one, False) for one in ids])
        return [_document(one) for one in found if one is not None]

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
        vectors = [_vector(one).tolist() for one in items]
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

    def _all(self) -> list[Any]:
        found: list[Any] = self._items.batch([SearchOp(self._space, None, MOST, 0)])
        return list(found[0])

    def _nearest(
        self, asked: Sequence[float], k: int, wanted: Mapping[str, Any] | None
    ) -> list[tuple[Document, float]]:
        fitting = [
            one
            for one in self._all()
            if all(one.value["metadata"].get(name) == value for name, value in (wanted or {}).items())
        ]
        if not fitting or k <= 0:
            return []
        vectors = np.stack([_vector(one) for one in fitting])
        question = np.asarray(asked, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(question)
        likeness = vectors @ question / np.where(lengths > 0, lengths, 1)
        order = sorted(range(len(fitting)), key=lambda at: (-float(likeness[at]), fitting[at].key))[:k]
        return [(_document(fitting[at]), float(likeness[at])) for at in order]


def _document(item: Any) -> Document:
    return Document(id=item.key, page_content=item.value["text"], metadata=dict(item.value["metadata"]))


def _vector(item: Any) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(item.value["vector"]), dtype="<f4")
