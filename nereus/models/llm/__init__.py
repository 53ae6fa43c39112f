"""Chat models: any OpenAI-compatible endpoint, or a folder that runs in this process, behind one LangChain interface.

`chosen.chat_model` makes the one that the settings name. What agents need around it: `ceilings` (what may be spent), `window`
(what can be read in one go), `tokens` (how much a text is), `tool_loop` (call tools until there is an answer). The Qwen family's
forms: `chatml`, `hermes`, `react`. `serving` starts a server, `probe` looks what one can do. See ``docs/language_models.md``.
"""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use

if TYPE_CHECKING:
    from nereus.models.llm.ceilings import Ceilings, Meter, Prices
    from nereus.models.llm.chosen import chat_model, embeddings, metered_anew
    from nereus.models.llm.endpoint import EndpointChat
    from nereus.models.llm.local import LocalChat
    from nereus.models.llm.tool_loop import LoopTool, run_tool_loop

__all__ = [
    "Ceilings",
    "EndpointChat",
    "LocalChat",
    "LoopTool",
    "Meter",
    "Prices",
    "chat_model",
    "embeddings",
    "metered_anew",
    "run_tool_loop",
]
__getattr__ = on_first_use(
    __name__,
    Ceilings="ceilings",
    EndpointChat="endpoint",
    LocalChat="local",
    LoopTool="tool_loop",
    Meter="ceilings",
    Prices="ceilings",
    chat_model="chosen",
    embeddings="chosen",
    metered_anew="chosen",
    run_tool_loop="tool_loop",
)
