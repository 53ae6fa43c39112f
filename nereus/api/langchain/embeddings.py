"""The embedder that recalls findings, as LangChain knows embedders: no weights, no network, the same on every machine."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from nereus.memory.embedding import Embedder, HashedEmbedder


class NereusEmbeddings(Embeddings):
    """Turns texts into vectors of length 1 by their words and parts of words (512 numbers).

    Parameters
    ----------
    embedder
        Another one of the same form.

    Examples
    --------
    >>> vectors = NereusEmbeddings().embed_documents(["liver proteins", "proteins of the liver"])
    >>> len(vectors), len(vectors[0])
    (2, 512)
    """

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder or HashedEmbedder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts."""
        return [[float(one) for one in row] for row in self._embedder.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self.embed_documents([text])[0]
