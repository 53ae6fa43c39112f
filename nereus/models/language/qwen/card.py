"""Qwen's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="qwen",
    title="Qwen: the decoder of the default family of chat models",
    paper=Paper(
        title="Qwen Technical Report",
        year=2023,
        venue="arXiv",
        link="arXiv:2309.16609",
        headline="perplexity 4.32 at 16,384 tokens with 7 billion weights trained at 2,048, by dynamic NTK, LogN and layered "
        "windows; 2,645 without",
    ),
    purpose="A small language model of texts of your own (protocols, notes, annotations): how likely texts are, what may follow, "
    "vectors. Chat models of the family are reached through `nereus.models.llm`, not here.",
    task="language model",
    verbs=(Verb.SCORE, Verb.GENERATE, Verb.EMBED),
    inputs=(Column(name="text", kind="text", about="one text a row"),),
    outputs=(
        Column(name="log_likelihood", kind="number", about="of the whole text, nats"),
        Column(name="bits_per_byte", kind="number", about="bits that a byte of the text takes"),
    ),
    components=(
        Component(
            name="decoder: rotary positions in float32, biases on Q, K and V only, RMSNorm before, SwiGLU of 8/3, untied",
            place="network.py",
            origin="paper",
        ),
        Component(
            name="shared keys and values (later models of the family)",
            place="network.py",
            origin="official code",
        ),
        Component(name="dynamic NTK-aware base", place="long_context.py", origin="inferred"),
        Component(name="LogN scaling of queries", place="long_context.py", origin="inferred"),
        Component(name="shorter windows in lower layers", place="long_context.py", origin="inferred"),
        Component(
            name="byte-level BPE, digits alone, no unknown token", place="tokenizer.py", origin="paper"
        ),
        Component(name="next token over windows", place="corpus.py", origin="paper"),
    ),
    licences=("GSM8K (MIT) and wikitext-2 (CC BY-SA), read by the benchmark, not shipped",),
    figures=(
        Figure(
            metric="tokens copied rightly from 64 back, in texts twice the trained length, dynamic NTK",
            value=0.96759,
            data="random sequences, once and once more",
            baseline="0.72 as trained; 1.00 within the trained length",
            result="qwen_copying.json:figures.mean.128.ntk.right",
        ),
        Figure(
            metric="share of the loss beyond the trained length that dynamic NTK and LogN win back, twice the length",
            value=0.62266,
            data="random sequences, once and once more; the worst of three seeds",
            baseline="0.62 at four times, 0.23 at eight times the length",
            result="qwen_copying.json:figures.least.128.recovered_logn",
        ),
    ),
    status=Status.PARTIAL,
    limits=(
        "No weights of the family are here: a model learned on a laptop writes words, not sense.",
        "On prose the gain of the three ways of reading long texts was not seen: after half a million tokens (one seed) "
        "a model loses nothing beyond its 128 tokens, so there was nothing to win back. Where the text must be copied from far "
        "back (three seeds) they win back most of the loss at twice and four times the trained length and a quarter at eight "
        "times; LogN adds five points of tokens copied rightly at four times, shorter windows in lower layers take some away.",
        "Supervised fine-tuning, reward model and PPO of the report are not part of it.",
        "Beyond the trained length the rotary base follows the number of tokens read so far, so that a long text at once and "
        "token by token differ a little where the base changes in between.",
    ),
)
