"""For programs that are made with LangChain: tools of a lab, vectors kept in the run database, and the embedder."""

from nereus.api.langchain.embeddings import NereusEmbeddings
from nereus.api.langchain.tools import lab_tools
from nereus.api.langchain.vectors import StoredVectors

__all__ = ["NereusEmbeddings", "StoredVectors", "lab_tools"]
