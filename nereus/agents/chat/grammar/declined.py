"""What cannot be answered from a run, recognised as such: an answer to another question would be worse than none."""

from __future__ import annotations

import re

from nereus.agents.chat.lookup import columns_named
from nereus.agents.chat.slots import entities_named
from nereus.agents.chat.vocabulary import Vocabulary

_ONLY_RECORDED = "I answer from what runs recorded, and know no"
_DECLINED: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"\b(?:in|from|by|according to) (?:the )?(?:literature|pubmed|papers?|publications?|uniprot|wikipedia)\b|"
            r"\b(?:pubmed|literature|papers? (?:about|on)|publications? (?:about|on)|been published|"
            r"is (?:it )?known (?:to|about|for))\b"
        ),
        f"{_ONLY_RECORDED} literature. I can say what a run found about it: `why is APOE up?`",
    ),
    (
        re.compile(
            r"\b(?:cures?|curing|prescrib\w+|diagnose (?:me|him|her|the patient|my \w+)|side effects?|"
            r"(?:what|which|any) drugs?\b.*\btarget\w*|"
            r"should (?:i|my \w+|the patient|he|she) (?:take|get|stop)|"
            r"(?:will|can|could|would|does|do) .{1,40} (?:treat|heal) (?:me|it|them|the disease|patients?|this|alzheimer\S*))\b"
        ),
        f"{_ONLY_RECORDED} answer about treatment or diagnosis: what runs find are associations in a data set.",
    ),
    (
        re.compile(r"\b(?:delete|erase|wipe|purge)\b(?!.*\b(?:note|memory)\b)"),
        "I remove no runs and no files. In a terminal `nereus runs prune` removes "
        "runs; over REST a run or upload can be deleted.",
    ),
    (
        re.compile(
            r"\b(?:kaplan|km (?:curve|plot)|survival (?:curve|plot)|umap|t-?sne|tsne|roc|auc curve|"
            r"network (?:plot|graph)|manhattan|venn|"
            r"upset|sankey|circos|dendrogram|forest plot|ma[ -]plot|qq[ -]plot|histograms?|pie chart|scatter ?plots?)\b"
        ),
        "In a conversation I draw one protein, a volcano plot, a PCA, a heat map and missing values. Other figures are drawn "
        "within a run, where the data allow them: its report shows them.",
    ),
    (
        re.compile(
            r"\b(?:patients?|people|subjects?|samples?|those|persons?|in|among|only)\b.*"
            r"\b(?:over|under|above|below|older than|younger than|at least|more than|less than)\s+\d"
        ),
        "I can restrict a test to one value of a column (`only in women`), not to a range of numbers. A sheet with a column "
        "of such groups makes it possible: start a run on it.",
    ),
    (
        re.compile(r"\b(?:undo|revert|roll ?back)\b"),
        "Nothing is changed in place: earlier runs and their evidence stay as they are. Say what is to be computed instead.",
    ),
    (
        re.compile(
            r"\b(?:weather|capital of|news today|stock price|joke|poem|recipe|world cup|what day is it|what time is it)\b"
        ),
        "That is nothing that I can look up. I answer about your data, runs and molecules: say `help` for examples.",
    ),
)
_CORRELATES = re.compile(r"\bcorrelat\w*|\bco-?express\w*|\bco-?var\w*|\bassociation between\b")
_SETTING = re.compile(
    r"\bset (?:the|my|a) (?:\w+ ){0,3}(?:to|at)\b|\b(?:change|lower|raise|increase|decrease) the (?:fdr|threshold|"
    r"cut-?off|level|alpha|significance)"
)


def declined(part: str, t: str, v: Vocabulary) -> str:
    """Why a question cannot be answered; empty where it may be."""
    for pattern, why in _DECLINED:
        if pattern.search(t):
            return why
    if _SETTING.search(t):
        return (
            "The error level is fixed before a run begins, so that nobody can choose it by its results. "
            "`top proteins` lists rows with their q; a run may be started anew with other settings."
        )
    effect = re.search(r"\b(?:effect|influence|impact|role) of (.{2,40}?) (?:on|for)\b", t)
    if effect and (columns := columns_named(effect[1], list(v.columns()))):
        column = columns[0].key
        if column not in v.compared():
            return (
                f"The effect of {column} is a question of its own: say `analyse it: what differs by {column}?`. "
                f"`adjust for {column}` says whether another difference is still there when it is accounted for."
            )
    if _CORRELATES.search(t):
        named = entities_named(part, v)
        if len(named) > 1:
            return (
                f"Whether {named[0]} and {named[1]} go together was tested by no run. I can say what was found about each: "
                f"`what about {named[0]}?`"
            )
        if named:
            return (
                f"A correlation with {named[0]} is a question of its own: say `analyse it: does {named[0]} follow COLUMN?`, "
                "or `adjust for COLUMN` where the column may explain a difference."
            )
    return ""
