"""`nereus actions`: what was learned, how it fares, and whether it may be used."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.errors import InputError
from nereus.telling import told

if TYPE_CHECKING:
    from nereus.memory.actions import Actions, ActionTest, LearnedAction
    from nereus.memory.workspace import Workspace

actions_app = typer.Typer(help="Learned actions.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="ACTION", help="Name of the action.")]
Version = Annotated[int | None, typer.Option(help="Version; default the newest.", min=1)]
_TESTS = 8
_SEED = 90_000
_QUARANTINE = {
    "candidate": "candidate (quarantined: not validated)",
    "validated": "validated (quarantined: not approved)",
}


@actions_app.callback()
def actions() -> None:
    """Learned actions: Python functions that were validated by carrying them out, and are used once approved."""


@contextmanager
def _opened() -> Iterator[tuple[Actions, Workspace]]:
    from nereus.memory.actions import Actions
    from nereus.memory.workspace import open_workspace
    from nereus.settings import load_settings

    with told(), open_workspace(load_settings()) as workspace:
        yield Actions(workspace.database), workspace


@actions_app.command("list")
def list_actions(
    domain: Annotated[str | None, typer.Option(help="Only this domain, such as omics or gripper.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List actions: newest version, status, uses."""
    with _opened() as (kept, _):
        rows = [(one, kept.standing(one)) for one in kept.known(domain)]
        changed = kept.changed(domain)
        if as_json:
            typer.echo(
                json.dumps([_document(one) | {"standing": s.model_dump()} for one, s in rows], indent=2)
            )
            return
        if not rows and not changed:
            typer.echo("nothing is learned yet; `nereus actions learn` looks at ended runs")
        for one, standing in rows:
            uses = (
                f"{standing.successes} of {standing.uses} uses went well" if standing.uses else "not used yet"
            )
            shown = _QUARANTINE.get(one.status, one.status)
            typer.echo(f"{one.name}  v{one.version}  {one.domain}  {shown}  {uses}")
        for name, version in changed:
            typer.echo(f"{name}  v{version}  CHANGED since it was kept: never run; revoke it")


@actions_app.command("show")
def show(
    name: Name, version: Version = None, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Show an action: words, source, hash, notes, tests, where it was learned, how it fared."""
    with _opened() as (kept, _):
        from nereus.memory.action_records import seen

        one = kept.get(name, version)
        standing = kept.standing(one)
        if as_json:
            typer.echo(json.dumps(_document(one) | {"standing": standing.model_dump()}, indent=2))
            return
        lines = [
            f"{one.signature}",
            f"version {one.version} of {len(kept.versions(name))}, {one.status}, {one.domain}",
        ]
        lines += (
            [f"decided by {one.decided_by}" + (f": {one.reason}" if one.reason else "")]
            if one.decided_by
            else []
        )
        lines += [f"sha256 {one.sha256}", "", one.description.strip(), "", one.source.rstrip()]
        lines += ["", "example:", one.usage.strip()] if one.usage else []
        lines += ["", *(f"note: {note}" for note in one.notes)] if one.notes else []
        lines += ["", f"learned from {json.dumps(one.provenance, sort_keys=True)}"]
        lines += [f"test {'ok    ' if test.ok else 'FAILED'} {test.task}: {test.call}" for test in one.tests]
        shown = f"lower bound of the last {standing.recent}: {standing.lower:.2f}"
        lines.append(f"{standing.successes} of {standing.uses} uses went well; {shown}")
        typer.echo(seen("\n".join(lines)))


@actions_app.command("learn")
def learn(
    held_out: Annotated[
        int, typer.Option(help="Newest runs to validate on, and not to learn from.", min=1)
    ] = 1,
    activate: Annotated[
        bool, typer.Option("--activate", help="Make what was validated active at once.")
    ] = False,
) -> None:
    """Learn pipelines from the ended runs of this home."""
    with _opened() as (kept, workspace):
        from nereus.agents.learner.pipeline_learning import learn_pipelines

        library = learn_pipelines(workspace, held_out=held_out, approval="never" if activate else "always")
        for notice in library.notices:
            typer.echo(notice, err=True)
        for name in library.state.get("accepted", []):
            one = kept.get(name)
            typer.echo(f"{one.name}  v{one.version}  {one.status}")
        if not library.state.get("accepted"):
            typer.echo("nothing was accepted")
        elif not activate:
            typer.echo("`nereus actions approve ACTION` lets runs use one")


@actions_app.command("test")
def carry_out(name: Name, version: Version = None) -> None:
    """Carry an action out again on tasks that it was not learned from; one that fails is no longer used."""
    with _opened() as (kept, workspace):
        one = kept.get(name, version)
        tests, fault = _validated(one, workspace)
        again = kept.validated(one, tests, not fault)
        for each in tests:
            typer.echo(
                f"{'ok    ' if each.ok else 'FAILED'} {each.task}: {each.call} -> {each.expected[:12]}"
            )
        typer.echo(f"{again.name} v{again.version} is {again.status}")
        if fault:
            raise InputError(
                f"validation failed: {fault}", where=f"action {name!r}", mend="revoke it, or learn it again"
            )


def _validated(one: LearnedAction, workspace: Workspace) -> tuple[tuple[ActionTest, ...], str]:
    from nereus.agents.learner.environments.planning import DOMAINS

    if one.plan:
        from nereus.agents.learner.pipeline_learning import PipelineAgent, task_of

        learned_from = set(one.provenance.get("data", ()))
        runs = [
            header
            for header in workspace.repository.list_runs()
            if header.status in ("finished", "stopped")
            and "data" in header.inputs
            and header.inputs["data"].id not in learned_from
        ]
        tasks = [task_of(workspace.repository.load(header.id), workspace) for header in runs[:_TESTS]]
        found = PipelineAgent().validate(tasks, [one])
    elif one.domain in DOMAINS:
        from nereus.agents.learner.environments.generators import HELD_OUT_SIZES, instance
        from nereus.agents.learner.search_agent import SearchAgent

        sizes = HELD_OUT_SIZES[one.domain]
        problems = [instance(one.domain, sizes[i % len(sizes)], _SEED + i) for i in range(_TESTS)]
        agent = SearchAgent(problems[0].domain)
        try:
            found = agent.validate(problems, [one])
        finally:
            agent.close()
    else:
        raise InputError(
            f"there are no tasks of {one.domain!r}", where=f"action {one.name!r}", mend="learn it again"
        )
    return found.tests.get(one.name, ()), found.faults.get(one.name, "")


@actions_app.command("approve")
def approve(
    name: Name,
    version: Version = None,
    sha256: Annotated[
        str,
        typer.Option(help="How the hash of the source that was looked at begins: another is not approved."),
    ] = "",
) -> None:
    """Let runs, chat and agents use a validated version."""
    with _opened() as (kept, _):
        one = kept.get(name, version)
        if not one.sha256.startswith(sha256.lower()):
            raise InputError(
                f"version {one.version} has the hash {one.sha256[:16]}...",
                where=f"action {name!r}",
                mend=f"look at it again: `nereus actions show {name}`",
            )
        one = kept.approve(name, getpass.getuser(), one.version)
        typer.echo(f"{one.name} v{one.version} is {one.status}")


@actions_app.command("revoke")
def revoke(name: Name, reason: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """Let no version be used again."""
    with _opened() as (kept, _):
        kept.revoke(name, getpass.getuser(), reason)
        typer.echo(f"{name} is revoked")


@actions_app.command("export")
def export(
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="Where to; default ACTION.py or ACTION.json.")] = None,
    version: Version = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole document in place of the source.")
    ] = False,
) -> None:
    """Write an action's source, with what is known of it as comments."""
    with _opened() as (kept, _):
        one = kept.get(name, version)
        place = file or Path(f"{name}.{'json' if as_json else 'py'}")
        if place.exists():
            raise InputError("the file exists", where=str(place), mend="name another one")
        if as_json:
            place.write_text(json.dumps(_document(one), indent=2) + "\n", encoding="utf-8")
        else:
            head = [
                f"{one.name}, version {one.version}, {one.status}",
                f"learned in {one.domain}; sha256 {one.sha256}",
                *(line for note in one.notes for line in note.splitlines()),
            ]
            place.write_text("".join(f"# {line}\n" for line in head) + "\n" + one.source, encoding="utf-8")
        typer.echo(str(place))


@actions_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="What `nereus actions export --json` wrote.", exists=True)],
) -> None:
    """Keep an action of another home as a candidate: what it passed there counts for nothing here."""
    with _opened() as (kept, _):
        one = kept.add(_imported(file))
        typer.echo(f"{one.name} v{one.version} is {one.status}")
        if one.status == "candidate":
            typer.echo(f"`nereus actions test {one.name}` carries it out on tasks of this home")


def _imported(file: Path) -> LearnedAction:
    """The action of a file; `InputError` for what is none, was changed, or holds what no action may."""
    from pydantic import ValidationError

    from nereus.agents.learner.static_check import refuse
    from nereus.memory.actions import LearnedAction

    mend = "write one with `nereus actions export ACTION --json`"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        told = {name: document.pop(name, "") for name in ("sha256", "signature")}
        one = LearnedAction.model_validate(document)
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError) as error:
        raise InputError(
            f"this is no exported action ({type(error).__name__})", where=str(file), mend=mend
        ) from None
    if one.sha256 != told["sha256"]:
        raise InputError("its source is not the one that was exported", where=str(file), mend=mend)
    refuse(one.source, _primitives(one), where=f"action {one.name!r}")
    came = {"imported_from": file.name, "sha256": one.sha256}
    return one.model_copy(update={"provenance": {**one.provenance, "import": came}})


def _primitives(one: LearnedAction) -> list[str]:
    """What it may call: the steps of the tool catalogue, or the primitives of a planning domain."""
    from nereus.agents.learner.environments.planning import DOMAINS

    if one.domain not in DOMAINS:
        return []
    from nereus.agents.learner.environments.generators import reader

    return list(reader(one.domain).domain.operators)


def _document(one: LearnedAction) -> dict[str, object]:
    return one.model_dump(mode="json") | {"sha256": one.sha256, "signature": one.signature}
