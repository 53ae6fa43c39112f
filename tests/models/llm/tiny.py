"""A Qwen2 of a quarter million weights that has learned dialogues by heart: a real model for real servers, made in seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from nereus.models.llm import chatml

TOOL = {
    "type": "function",
    "function": {
        "name": "count_proteins",
        "description": "How many proteins were found.",
        "parameters": {
            "type": "object",
            "properties": {"tissue": {"type": "string"}},
            "required": ["tissue"],
        },
    },
}
QUESTION = "How many proteins are there in plasma?"
ANSWER = "There are 412 proteins in plasma."
BROKEN_QUESTION = "Please break the call."
BROKEN = '<tool_call>\n{"name": "count_proteins", "arguments": {"tissue": "plasma}\n</tool_call>'
CALL = AIMessage("", tool_calls=[{"name": "count_proteins", "args": {"tissue": "plasma"}, "id": "call_0"}])

_DONE = "trained"
"""A file that tells that the folder is whole."""

# The form of ChatML with tools, written for these tests; that our renderer gives the same is a test of its own.
TEMPLATE = """\
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}
{%- else %}{% set system = 'You are a helpful assistant.' %}{% set rest = messages %}{% endif %}
{{- '<|im_start|>system\\n' + system }}
{%- if tools %}{{- '\\n\\n' + tool_prompt_before }}
{%- for tool in tools %}{{- tool | tojson }}{% if not loop.last %}{{- '\\n' }}{% endif %}{% endfor %}
{{- tool_prompt_after }}{% endif %}
{{- '<|im_end|>\\n' }}
{%- for message in rest %}
{%- if message.role == 'tool' %}
{%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{%- if message.content or not loop.first %}{{- '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{%- if call.function.arguments is string %}{{- call.function.arguments }}
{%- else %}{{- call.function.arguments | tojson }}{% endif %}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""


def template() -> str:
    """The template with the words that `hermes.tool_prompt` puts around the tools."""
    from nereus.models.llm.hermes import tool_prompt

    before, _, after = tool_prompt([{"mark": 1}]).partition('{"mark": 1}')
    return TEMPLATE.replace("tool_prompt_before", repr(before)).replace("tool_prompt_after", repr(after))


def dialogues() -> list[tuple[list[BaseMessage], list[dict[str, Any]], str]]:
    """(messages before, tools, what the model says)."""
    asked = HumanMessage(QUESTION)
    given = ToolMessage("412", tool_call_id="call_0")
    call = '<tool_call>\n{"name": "count_proteins", "arguments": {"tissue": "plasma"}}\n</tool_call>'
    told = "Answer in one word."
    return [
        ([HumanMessage("Hello")], [], "Hello, what shall we look at?"),
        ([SystemMessage(told), HumanMessage("Hello")], [], "Hello, what shall we look at?"),
        ([HumanMessage("Hello")], [TOOL], "Hello, what shall we look at?"),
        ([asked], [TOOL], call),
        ([asked, CALL, given], [TOOL], ANSWER),
        ([HumanMessage(BROKEN_QUESTION)], [TOOL], BROKEN),
    ]


def shared(factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, trained by whichever process of the session comes first."""
    from filelock import FileLock

    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "tiny-qwen2"
    with FileLock(base / "tiny-qwen2.lock"):
        if not (folder / _DONE).exists():
            make(folder)
            (folder / _DONE).touch()
    return folder


def make(folder: Path, *, seed: int = 0, steps: int = 160) -> Path:
    """Train the model into a folder, about twenty seconds of one core."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        texts = [chatml.render(chatml.turns(before, tools)) + said for before, tools, said in dialogues()]
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        special = ["<|endoftext|>", chatml.START, chatml.END]
        trainer = trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(texts * 3, trainer)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=bpe, eos_token=chatml.END, pad_token="<|endoftext|>", model_max_length=32_768
        )
        tokenizer.chat_template = template()
        torch.manual_seed(seed)
        config = Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32_768, tie_word_embeddings=False,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )  # fmt: skip
        model = Qwen2ForCausalLM(config)
        rows = []
        for before, tools, said in dialogues():
            asked = tokenizer.encode(chatml.render(chatml.turns(before, tools)), add_special_tokens=False)
            answer = tokenizer.encode(said + chatml.END, add_special_tokens=False)
            rows.append((asked + answer, [-100] * len(asked) + answer))
        longest = max(len(one) for one, _ in rows)
        pad = tokenizer.pad_token_id
        inputs = torch.tensor([one + [pad] * (longest - len(one)) for one, _ in rows])
        labels = torch.tensor([one + [-100] * (longest - len(one)) for _, one in rows])
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one, _ in rows])
        optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
        loss = torch.tensor(1.0)
        for _ in range(3 * steps):
            loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            if loss.item() < 0.004:
                break
        assert loss.item() < 0.05, f"the dialogues were not learned: {loss.item()}"
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        torch.set_num_threads(threads)
    return folder
