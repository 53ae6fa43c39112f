"""The code interpreter of a tool loop: code that a model writes runs in one sandbox session, and its result is told as text."""

from __future__ import annotations

from nereus.models.llm.tool_loop import LoopTool
from nereus.tools.code.outcome import Outcome
from nereus.tools.code.sandbox import Session

NAME = "code_interpreter"
FINISHED = "finished without output"
SECONDS = 30.0
"""Seconds that one piece of code may run, unless the session allows less."""
MOST_SHOWN = 6_000


def code_interpreter(session: Session, *, seconds: float = SECONDS, seed: int | None = None) -> LoopTool:
    """The tool ``code_interpreter(code)`` over a session: variables live from one call to the next.

    Parameters
    ----------
    session
        An open sandbox; its limits hold. After a stop by a limit the variables are gone, and the text says so.
    seconds
        Seconds that one piece of code may run.
    seed
        Seed of everything random.

    Examples
    --------
    >>> from nereus.tools.code.sandbox import Session
    >>> with Session() as session:
    ...     code_interpreter(session).run(code="6 * 7")
    '42'
    """

    def run(code: str) -> str:
        return told(session.run(code, echo=True, timeout=seconds, seed=seed))

    return LoopTool(
        NAME,
        "Runs Python in a sandbox without network. Variables stay. Gives what is printed and the value of the last expression.",
        {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
        run,
    )


def told(outcome: Outcome, most: int = MOST_SHOWN) -> str:
    """What became of a piece of code, as a model is told it."""
    parts = [outcome.shown(most).strip()]
    if outcome.error is not None:
        parts.append(
            f"{outcome.error.kind}: {outcome.error.message}\n{outcome.error.traceback[-2000:]}".strip()
        )
    if outcome.why:
        parts.append(outcome.why + ("; variables are lost" if outcome.lost else ""))
    if outcome.figures:
        parts.append(f"figures: {', '.join(outcome.figures)}")
    return "\n".join(part for part in parts if part) or FINISHED
