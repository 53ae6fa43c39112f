"""Gates in the terminal: what is asked, the commands that answer it, and what was wrong with an answer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import yaml

from nereus.agents.planner.approval import RunWaits, checked_answer, drafted
from nereus.errors import InputError, NereusError
from nereus.memory.records import Workflow

_CONTRAST = re.compile(r"^(?P<factor>.+?)\s*:\s*(?P<a>.+?)\s+vs\s+(?P<b>.+?)$")
_HELP = {
    "objectives": """accept (or Enter)        go on with these
drop O3 O4               leave questions out
priority O3 0.9          0 to 1; higher comes first
covariates O3 age,sex    what is adjusted for; - for nothing
contrast O3 group: A vs B
add differential group: A vs B [adjust age,sex]
add association AGE      a question about a number in the sheet""",
    "workflow": """accept (or Enter)        run these steps
drop S3 S4               leave steps out
set S1 lfc_min=0.5       change a parameter
add after S1 TOOL input=run/prepared name=value   ('add first TOOL ...' puts it before all)""",
    "tool": """accept (or Enter)        run it
set name=value           change a parameter""",
    "report": "accept (or Enter)        write the report",
}
_ALWAYS = """edit                     write the answer as YAML in your editor
undo                     forget what was said so far
refuse                   leave it out
wait                     stop here; `nereus resume` asks again"""


class Prompter:
    """Asks on a terminal.

    Parameters
    ----------
    read
        Gives one line for a prompt.
    write
        Shows a text.
    pause
        Stops the live view meanwhile.
    editor
        Gives an edited text, or None where nothing was changed.
    """

    def __init__(
        self,
        read: Callable[[str], str],
        write: Callable[[str], None],
        pause: Callable[[], AbstractContextManager[Any]],
        editor: Callable[[str], str | None],
    ) -> None:
        self._read, self._write, self._pause, self._editor = read, write, pause, editor

    def __call__(self, request: Mapping[str, Any]) -> Any:
        """See `discover.Ask`."""
        gate = str(request.get("gate", "report"))
        answer: dict[str, Any] = {}
        with self._pause():
            self._write(shown(request))
            while True:
                line = self._read(f"{gate}> ").strip()
                try:
                    word = line.split()[0] if line else "accept"
                    if word in ("accept", "a", "y", "yes", "ok"):
                        return checked_answer(request, answer or True)
                    if word in ("refuse", "n", "no"):
                        return checked_answer(request, False)
                    if word == "wait":
                        raise RunWaits
                    if word == "undo":
                        answer = {}
                    elif word == "edit":
                        wanted = self._edited(answer)
                        checked_answer(request, wanted)
                        answer = wanted
                    elif word in ("help", "h", "?"):
                        self._write(f"{_HELP.get(gate, '')}\n{_ALWAYS}")
                        continue
                    else:
                        wanted = with_command(request, answer, line)
                        checked_answer(request, wanted)
                        answer = wanted
                    self._write(
                        yaml.safe_dump(answer, sort_keys=False).rstrip() if answer else "nothing is changed"
                    )
                except NereusError as error:
                    self._write(f"no: {error}\nwrite 'help' for the commands, 'undo' to begin again")

    def _edited(self, answer: dict[str, Any]) -> dict[str, Any]:
        text = self._editor(yaml.safe_dump(answer, sort_keys=False) if answer else "# drop: [O3]\n")
        if text is None:
            return answer
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(
                f"not readable as YAML: {error}", where="your answer", mend="edit again"
            ) from None
        if found is not None and not isinstance(found, dict):
            raise InputError("this is no mapping", where="your answer", mend="write lines such as drop: [O3]")
        return found or {}


def shown(request: Mapping[str, Any]) -> str:
    """What is asked, for a person to read."""
    gate = str(request.get("gate", "report"))
    lines = [f"--- approve: {gate} {request.get('id', '')} (help for the commands)"]
    if gate == "objectives":
        for one in sorted(request["objectives"], key=lambda item: -item["priority"]):
            adjusted = ", ".join((one.get("contrast") or {}).get("covariates") or one.get("covariates") or ())
            lines.append(f"{one['id']:>4}  {one['priority']:.2f}  {one['statement']}")
            if adjusted:
                lines.append(f"            adjusted for {adjusted}")
        lines += [
            f"      group {factor}: {', '.join(levels)}" for factor, levels in request["levels"].items()
        ]
    elif gate == "workflow":
        lines.append(f"for {request['objective']['id']}: {request['objective']['statement']}")
        workflow = Workflow.model_validate(request["workflow"])
        for step, draft in zip(workflow.steps, drafted(workflow.steps, workflow.id), strict=True):
            lines.append(f"{_short(step.id):>4}  {step.tool}: {step.purpose}")
            lines.append(f"        inputs {draft.inputs}  params {step.params}")
    elif gate == "tool":
        lines.append(f"{request['tool']}: {request['purpose']}")
        lines.append(f"params {request['params']}")
    else:
        lines.append(f"{request.get('hypotheses', 0):g} hypotheses were judged; write the report?")
    return "\n".join(lines)


def with_command(request: Mapping[str, Any], answer: Mapping[str, Any], line: str) -> dict[str, Any]:
    """The answer with one more command carried out.

    Raises
    ------
    InputError
        The command is not known at this gate or incomplete.
    """
    gate = str(request["gate"])
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    new = {name: value.copy() if hasattr(value, "copy") else value for name, value in answer.items()}
    if gate == "objectives" and word in ("priority", "covariates", "contrast") and " " in rest:
        identity, _, value = rest.partition(" ")
        edits = new.setdefault("edit", {})
        edits[identity] = {**edits.get(identity, {}), word: _objective_value(word, value.strip())}
        return new
    if gate == "objectives" and word == "add" and rest:
        new["add"] = [*new.get("add", []), _added_objective(rest)]
        return new
    if gate in ("objectives", "workflow") and word == "drop" and rest:
        named = [
            _step_id(request, one) if gate == "workflow" else one for one in rest.replace(",", " ").split()
        ]
        new["drop"] = [*new.get("drop", []), *named]
        return new
    if gate == "workflow" and word == "set" and " " in rest:
        step, _, assignments = rest.partition(" ")
        params = new.setdefault("params", {})
        identity = _step_id(request, step)
        params[identity] = {**params.get(identity, {}), **_assigned(assignments)}
        return new
    if gate == "workflow" and word == "add" and rest:
        new["add"] = [*new.get("add", []), _added_step(request, rest)]
        return new
    if gate == "tool" and word == "set" and rest:
        new["params"] = {**new.get("params", {}), **_assigned(rest)}
        return new
    raise InputError(f"{line!r} is no answer here", where=f"gate {gate!r}", mend="write 'help'")


def _objective_value(word: str, text: str) -> Any:
    if word == "priority":
        try:
            return float(text)
        except ValueError:
            raise InputError(f"{text!r} is no number", where="priority", mend="write 0 to 1") from None
    if word == "covariates":
        return [] if text == "-" else [one.strip() for one in text.split(",") if one.strip()]
    return _contrast(text)


def _contrast(text: str) -> dict[str, Any]:
    found = _CONTRAST.match(text)
    if found is None:
        raise InputError(
            f"{text!r} is no contrast", where="contrast", mend="write column: group A vs group B"
        )
    return {name: value.strip() for name, value in found.groupdict().items()}


def _added_objective(text: str) -> dict[str, Any]:
    kind, _, rest = text.partition(" ")
    about, _, adjusted = rest.partition(" adjust ")
    covariates = [one.strip() for one in adjusted.split(",") if one.strip()]
    if not about.strip():
        raise InputError("what is it about?", where="add", mend="write: add differential group: A vs B")
    found: dict[str, Any] = {"kind": kind, "covariates": covariates}
    if ":" in about:
        contrast = _contrast(about.strip())
        return found | {
            "statement": f"What differs between {contrast['a']} and {contrast['b']}?",
            "contrast": {**contrast, "covariates": covariates},
        }
    return found | {"statement": f"What follows {about.strip()}?", "variable": about.strip()}


def _added_step(request: Mapping[str, Any], text: str) -> dict[str, Any]:
    words = shlex.split(text)
    after = ""
    if words[0] == "first":
        words = words[1:]
    elif words[0] == "after" and len(words) > 1:
        after, words = _step_id(request, words[1]), words[2:]
    elif request["workflow"]["steps"]:
        after = str(request["workflow"]["steps"][-1]["id"])
    if not words:
        raise InputError("which tool?", where="add", mend="write: add after S1 TOOL input=run/prepared")
    inputs: dict[str, str] = {}
    params: dict[str, Any] = {}
    for name, value in _assigned(" ".join(shlex.quote(word) for word in words[1:])).items():
        referred = isinstance(value, str) and (
            value.startswith("run/") or re.match(r"^(#\d+|[OS][\w.]*)/\w+$", value)
        )
        if referred:
            owner, _, output = str(value).partition("/")
            inputs[name] = f"{_step_id(request, owner)}/{output}" if owner.startswith("S") else str(value)
        else:
            params[name] = value
    step = {"tool": words[0], "purpose": "asked for by a person", "inputs": inputs, "params": params}
    return {"after": after, "step": step}


def _assigned(text: str) -> dict[str, Any]:
    found = {}
    for word in shlex.split(text):
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise InputError(f"{word!r} is no assignment", where="set", mend="write name=value")
        found[name] = yaml.safe_load(value) if value else ""
    return found


def _short(step_id: str) -> str:
    return step_id.rpartition(".")[2]


def _step_id(request: Mapping[str, Any], short: str) -> str:
    return short if "." in short else f"{request['id']}.{short}"
