"""Slots of a question: what is named in it, whatever is asked."""

from __future__ import annotations

import re

from nereus.agents.chat.lookup import folded, parts_of, words
from nereus.agents.chat.vocabulary import RUN, Vocabulary

NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fifteen": 15, "twenty": 20,
}  # fmt: skip
_UP = re.compile(
    r"\b(up|up-?regulated|higher|increas\w*|ris\w+|rose|raised|elevated|enriched|"
    r"overexpressed|more abundant|goes? up|went up|gained)\b"
)
_DOWN = re.compile(
    r"\b(down|down-?regulated|lower\w*|decreas\w*|falls?|fell|falling|reduced|depleted|"
    r"diminished|less abundant|goes? down|went down|drops?)\b"
)
_EVIDENCE = re.compile(r"\b([EH]\d{1,6})\b")
_COUNT = re.compile(
    r"\b(\d{1,3}|[a-z]+)(?:\s+(?:best|top|most|strongest|biggest|largest|significant|main|first|regulated))*"
    r"\s+(?:proteins?|genes?|features?|hypothes[ei]s|findings?|claims?|results?|markers?|hits?)\b|"
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


NO_GENES = frozenset(
    {
        "PCA",
        "FDR",
        "LLM",
        "CSV",
        "SMILES",
        "OK",
        "AD",
        "MCI",
        "VSN",
        "CSF",
        "CI",
        "ID",
        "MS",
        "UMAP",
        "DNA",
        "RNA",
        "PDF",
    }
)


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
        if word in NUMBERS:
            return NUMBERS[word]
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
        and (not is_english(one) or _asked_about(one, text))
    ]
    for word in candidates:
        if entities.knows(word):
            return word
    doubtful = [one for one in candidates if _looks_named(one) or len(one) >= 5]
    for word in doubtful[:_MOST_DOUBTFUL]:
        if entities.find(word):
            return word
    for word in candidates:
        if _looks_named(word) and word not in NO_GENES:
            return word
    return ""


def _asked_about(word: str, text: str) -> bool:
    """Whether a question is plainly about a gene that is written like a word: "why is app up?"."""
    return (
        bool(
            re.search(
                rf"\b(?:why is|about|why does|explain|plot|show me|gene|protein) {re.escape(word)}\b", text
            )
        )
        or text.strip(" ?.!") == word
    )


def entities_named(text: str, vocabulary: Vocabulary, most: int = 4) -> list[str]:
    """Genes or proteins that the run tested and a question names exactly, each row once, in order."""
    entities = vocabulary.known_entities
    found: dict[str, str] = {}
    for word in words(RUN.sub(" ", text)):
        if len(word) <= _LONGEST_NAME and not word.isdigit() and (_looks_named(word) or not is_english(word)):
            for hit in entities.find(word)[:1] if entities.knows(word) else ():
                found.setdefault(hit.key, word)
            if (
                found
                and not entities.knows(word)
                and _looks_named(word)
                and not _of_the_sheet(word, vocabulary)
            ):
                found.setdefault(word, word)  # so that the answer can say that it was not tested
    return list(found.values())[:most]


def _of_the_sheet(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a word that looks like a gene is one of the sample sheet, or of every analysis."""
    named = [*vocabulary.columns(), *(one for known in vocabulary.levels().values() for one in known)]
    return word in NO_GENES or any(folded(word) in parts_of(one) for one in named)


_GENES_TOO = frozenset({
    "app", "rest", "met", "kit", "max", "jun", "fos", "bad", "bid", "fat", "hip", "cap", "camp", "cast", "cope", "dad", "hand",
    "mask", "nova", "park", "pigs", "post", "prune", "ran", "ring", "salt", "sand", "self", "sharp", "ski", "spin", "task",
    "tank", "trap", "was", "wasp", "tub", "tube", "clock", "spring", "impact", "large", "ship", "gas", "arms", "mice", "copes",
    "ace", "ache", "aim", "apex", "arc", "bach", "bag", "bank", "bax", "car", "chip", "cop", "ear", "fig", "flap", "gap", "grasp",
    "gulp", "mar", "mars", "men", "mix", "nap", "pan", "pat", "peg", "pen", "plug", "pop", "rap", "ret", "rob", "sag", "sat",
    "sip", "slit", "snap", "sos", "stat", "tap", "tie", "tip", "toe", "vip", "wiz", "zap", "cells", "human", "normal",
})  # fmt: skip
"""Words of everyday that are names of genes as well: written small, they are words."""


def is_english(word: str) -> bool:
    """Whether a word that is written small is one of everyday, whatever gene is called so."""
    return word.islower() and (word in _COMMON or word in _GENES_TOO)


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
