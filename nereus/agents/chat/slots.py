"""Slots of a question: what is named in it, whatever is asked."""

from __future__ import annotations

import re

from nereus.agents.chat.lookup import folded, words
from nereus.agents.chat.vocabulary import RUN, Vocabulary

_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fifteen": 15, "twenty": 20,
}  # fmt: skip
_UP = re.compile(
    r"\b(up|up-?regulated|higher|increas\w*|ris\w+|rose|raised|elevated|more abundant|goes? up|gained)\b"
)
_DOWN = re.compile(
    r"\b(down|down-?regulated|lower\w*|decreas\w*|falls?|fell|falling|reduced|less abundant|drops?)\b"
)
_EVIDENCE = re.compile(r"\b([EH]\d{1,6})\b")
_COUNT = re.compile(
    r"\b(\d{1,3}|[a-z]+)(?:\s+(?:best|top|most|strongest|biggest|largest|significant|main|first|regulated))*"
    r"\s+(?:proteins?|genes?|features?|hypothes[ei]s|findings?|claims?|results?|markers?)\b|"
    r"\b(?:top|best|first)\s+(\d{1,3}|[a-z]+)\b"
)
_SMILES = re.compile(r"^[A-Za-z0-9@+\-\[\]()=#$/\\%.:*]+$")
_ONLY_ATOMS = re.compile(r"^(?:Cl|Br|[BCNOPSFIcnops])+\d*$")
_TELLING = re.compile(r"[=#\[\]()]|[a-z]\d|\d[A-Za-z]")
_SAMPLE = re.compile(r"[A-Za-z][\w.-]*\d[\w.-]*|\d+[A-Za-z][\w.-]*")
_LONGEST_NAME, _MOST_DOUBTFUL = 80, 12
# Words of questions that are names of genes as well, or may be taken for one by a typo.
_COMMON = frozenset({
    "a", "about", "account", "accounting", "adjust", "adjusted", "adjusting", "after", "age", "ago", "all",
    "also", "an", "analyse", "analysis", "analyze", "and", "any", "are", "as", "ask", "at", "batch", "be",
    "because", "best", "between", "but", "by", "can", "cat", "change", "changed", "changes", "claim",
    "claims", "clean", "close", "come", "compare", "control", "could", "data", "dataset", "did", "differ",
    "do", "does", "done", "down", "draw", "due", "each", "effect", "end", "ever", "evidence", "explain",
    "fast", "figure", "file", "find", "finding", "findings", "first", "fit", "for", "found", "from", "gene",
    "genes", "get", "give", "go", "goes", "group", "groups", "had", "has", "have", "heatmap", "help",
    "here", "higher", "hold", "holds", "how", "i", "if", "impact", "in", "include", "into", "is", "it",
    "its", "just", "keep", "know", "last", "left", "less", "like", "list", "long", "look", "lower", "made",
    "main", "map", "max", "me", "mean", "means", "met", "mid", "min", "model", "more", "most", "much", "my",
    "name", "need", "new", "next", "no", "not", "now", "of", "off", "on", "one", "only", "open", "or",
    "other", "our", "out", "over", "pca", "per", "plan", "please", "plot", "previous", "protein",
    "proteins", "rate", "ratio", "redo", "report", "rest", "result", "results", "run", "runs", "same",
    "sample", "samples", "see", "set", "sex", "show", "significant", "site", "so", "some", "star", "start",
    "steps", "still", "stop", "such", "sum", "sure", "table", "take", "taking", "tell", "test", "than",
    "that", "the", "their", "them", "then", "there", "they", "this", "those", "time", "to", "top", "try",
    "two", "under", "up", "us", "use", "using", "value", "values", "volcano", "was", "way", "we", "well",
    "went", "were", "what", "when", "where", "which", "why", "will", "with", "without", "would", "you",
    "your", "happen", "happens", "happened", "exactly", "really", "actually", "seem", "seems", "anything",
    "something", "everything", "nothing",
})  # fmt: skip


def runs_named(text: str) -> list[str]:
    """Ids of runs, in order."""
    return list(dict.fromkeys(RUN.findall(text)))


def evidence_named(text: str) -> str:
    """Id of a piece of evidence or hypothesis; empty where none is named."""
    found = _EVIDENCE.search(text)
    return "" if found is None else found[1]


def direction_named(text: str) -> str:
    """``up`` or ``down``, where one of them is said."""
    lowered = text.lower()
    up, down = _UP.search(lowered), _DOWN.search(lowered)
    return "up" if up and not down else "down" if down and not up else ""


def count_named(text: str) -> int | None:
    """How many are asked for."""
    for found in _COUNT.finditer(text.lower()):
        word = found[1] or found[2]
        if word.isdigit():
            return int(word)
        if word in _NUMBERS:
            return _NUMBERS[word]
    return None


def smiles_named(text: str, loose: bool = False) -> str:
    """A structure; with `loose` also one of plain letters such as CCO, as where a molecule is asked about."""
    from nereus.agents.chat.actions.molecules import readable

    for raw in text.split():
        word = raw.strip("?!,;:\"'`").rstrip(".")
        if len(word) < 2 or len(word) > 600 or not _SMILES.match(word) or RUN.search(word):
            continue
        likely = bool(_TELLING.search(word)) and any(one in word for one in "CcNnOo")
        if (likely or (loose and _ONLY_ATOMS.match(word) and word.lower() not in _COMMON)) and readable(word):
            return word
    return ""


def entity_named(text: str, vocabulary: Vocabulary) -> str:
    """A gene or protein as it is written; empty where none seems to be named.

    What looks like a name (capitals or digits) is taken for one even where the run tested nothing of the kind, so that
    the answer can say so.
    """
    entities = vocabulary.known_entities
    candidates = [
        one
        for one in dict.fromkeys(words(RUN.sub(" ", text)))
        if not one.isdigit()
        and len(one) <= _LONGEST_NAME
        and (folded(one) not in _COMMON or _looks_named(one))
    ]
    for word in candidates:
        if entities.knows(word):
            return word
    doubtful = [one for one in candidates if _looks_named(one) or len(one) >= 5]
    for word in doubtful[:_MOST_DOUBTFUL]:
        if entities.find(word):
            return word
    for word in candidates:
        if _looks_named(word) and word not in (
            "PCA",
            "FDR",
            "LLM",
            "CSV",
            "SMILES",
            "OK",
            "AD",
            "MCI",
            "VSN",
        ):
            return word
    return ""


def _looks_named(word: str) -> bool:
    """Whether a word is written like the name of a gene."""
    capitals = sum(letter.isupper() for letter in word)
    return len(word) >= 2 and (
        (capitals >= 2 and len(word) <= 15)
        or (capitals >= 1 and any(one.isdigit() for one in word) and len(word) <= 15)
    )


def samples_named(text: str) -> list[str]:
    """Names of samples, in order."""
    return list(dict.fromkeys(_SAMPLE.findall(text)))
