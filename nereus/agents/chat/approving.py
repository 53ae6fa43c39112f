"""What must be approved before it is done, and what the answers mean.

Requests have the shape that agent-chat-ui knows, one for each call; answers come in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nereus.agents.chat.actions import ACTIONS
from nereus.agents.chat.actions.offered import action_of
from nereus.agents.chat.turn import Turn
from nereus.agents.external.definitions import is_external
from nereus.errors import InputError, NereusError

Request = dict[str, Any]
READING = frozenset(
    {"help", "list", "findings", "run_status", "plan", "report", "describe_tool", "recall", "read_more"}
)
"""Actions that only read what is recorded: asked about under no rule."""
_CONFIG = {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True}


def request_for(turn: Turn, name: str, args: Mapping[str, Any], rule: str) -> Request | None:
    """What a person is asked about a call; None where it needs no yes.

    What the call leaves to the conversation (the run, the data set, the protein) is written into the request: a yes is for
    what was shown, whatever is talked about, or has been added, when it comes.

    Raises
    ------
    InputError
        There is no such action, or its arguments are wrong.
    """
    action = action_of(turn, name)
    read = action.read(action.pinned(turn, action.read(args)))
    if rule == "never" and not is_external(name):
        return None
    cost = action.cost(turn, read)
    if rule == "never" and not cost.always:
        return None
    if not cost.ask and (rule != "always" or name in READING):
        return None
    return {
        "action_request": {"action": name, "args": read.model_dump(mode="json")},
        "config": dict(_CONFIG),
        "description": cost.why or action.about,
    }


def asked_again(requests: Sequence[Request], error: NereusError) -> list[Request]:
    """The same requests, with what was wrong with the answers before."""
    told = f" (The answer before could not be used: {error.what}." + (
        f" {error.mend}.)" if error.mend else ")"
    )
    return [{**one, "description": f"{one['description']}{told}"} for one in requests]


def decided(requests: Sequence[Request], answers: Any) -> list[dict[str, Any]]:
    """What each answer means: whether the call runs, with which arguments, or what was said instead.

    Raises
    ------
    InputError
        There is not one answer for each request, or one is of no known form.
    """
    given = checked_answers(requests, answers)
    return [_meaning(request, answer) for request, answer in zip(requests, given, strict=True)]


def checked_answers(requests: Sequence[Request], answers: Any) -> list[dict[str, Any]]:
    """Answers in the form in which the graph is resumed with them; edits are checked against the action.

    Raises
    ------
    InputError
        What is wrong with them.
    """
    if isinstance(answers, Mapping):
        answers = [answers]
    if not isinstance(answers, list | tuple) or len(answers) != len(requests):
        raise InputError(
            "there must be one answer for each request",
            where="approval",
            mend=f"answer {len(requests)} requests, in their order",
        )
    checked = []
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, bool):
            answer = {"type": "accept" if answer else "ignore"}
        if isinstance(answer, str):
            answer = {"type": answer}
        if not isinstance(answer, Mapping) or answer.get("type") not in (
            "accept",
            "edit",
            "ignore",
            "response",
        ):
            raise InputError(
                "an answer says accept, edit, ignore or response",
                where="approval",
                mend='write {"type": "accept"}, or {"type": "edit", "args": {"args": {...}}}',
            )
        if answer["type"] == "edit":
            asked = request["action_request"]
            edited = _edited(asked, answer.get("args"))
            if asked["action"] in ACTIONS:  # those of a stranger's server are checked before they are called
                ACTIONS[asked["action"]].read(edited)
            answer = {"type": "edit", "args": {"action": asked["action"], "args": edited}}
        checked.append(dict(answer))
    return checked


def _edited(asked: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The arguments after an edit: those that are named replace those that were asked about."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except json.JSONDecodeError:
            given = None
    if not isinstance(given, Mapping):
        raise InputError("an edit names arguments", where="approval", mend='write {"args": {"args": {...}}}')
    if isinstance(given.get("args"), Mapping) and set(given) <= {"action", "args"}:
        if given.get("action", asked["action"]) != asked["action"]:
            raise InputError(
                f"an edit cannot make another action of {asked['action']!r}",
                where="approval",
                mend="reject it, and ask for the other",
            )
        given = given["args"]
    return {**asked["args"], **given}


def _meaning(request: Request, answer: Mapping[str, Any]) -> dict[str, Any]:
    kind, given = answer["type"], answer.get("args")
    if kind == "accept":
        return {"run": True, "args": request["action_request"]["args"]}
    if kind == "edit":
        return {"run": True, "args": dict(given["args"]), "edited": True}  # type: ignore[index]
    if kind == "response":
        return {"run": False, "said": str(given or "")[:2000]}
    return {"run": False, "said": ""}
