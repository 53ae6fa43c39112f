"""Texts as vectors without weights or network: hashed words and character n-grams.

Every word and every run of 3 to 5 characters inside a word (with its borders) is hashed to one of 512
dimensions with a sign, and the sum is scaled to length 1 (feature hashing, Weinberger et al. 2009). Cosine
similarity then measures shared words and parts of words. One text gives one vector on every machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 4  # a word has many character n-grams; counted this often, it still weighs against them


class Embedder(Protocol):
    """What turns texts into vectors. Vectors of two embedders are never compared."""

    id: str
    """Names the embedder and its version; kept with every collection."""
    dimensions: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: (n texts, dimensions), rows of length 1; a text without words gives a row of zeros."""


class HashedEmbedder:
    """Hashed words and character 3- to 5-grams, 512 dimensions, signed, of length 1.

    Examples
    --------
    >>> near, same, far = HashedEmbedder().embed(["liver proteins", "proteins of the liver", "batch 7"])
    >>> bool(near @ same > 0.5 > near @ far)
    True
    """

    id = "hashed-words-chars-512-v1"
    dimensions = 512

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder`."""
        import numpy as np

        return np.asarray(self._vectorizer.transform(list(texts)).toarray(), dtype=np.float32)

    @cached_property
    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(
            analyzer=features, n_features=self.dimensions, alternate_sign=True, norm="l2"
        )


def features(text: str) -> Iterator[str]:
    """List what is hashed: each word, and the character n-grams of each word."""
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        yield from [f"word {word}"] * _WORD_WEIGHT
        padded = f" {word} "
        for length in (3, 4, 5):
            for start in range(len(padded) - length + 1):
                yield padded[start : start + length]
