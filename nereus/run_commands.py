"""`nereus runs`: list what is recorded, and remove what is no longer wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.telling import told

if TYPE_CHECKING:
    from nereus.memory.records import RunHeader

runs_app = typer.Typer(help="The recorded runs.", no_args_is_help=False)


@runs_app.callback(invoke_without_command=True)
def runs(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the recorded runs, newest first."""
    if context.invoked_subcommand is not None:
        return
    with told():
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        with open_workspace(load_settings()) as workspace:
            headers = workspace.repository.list_runs()
        if as_json:
            typer.echo(json.dumps([header.model_dump(mode="json") for header in headers], indent=2))
            return
        if not headers:
            typer.echo("no run yet; start one with `nereus discover DATA`")
        for header in headers:
            typer.echo(_line(header))


@runs_app.command("prune")
def prune(
    keep: Annotated[int | None, typer.Option(min=0, help="How many of the newest runs stay.")] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Only runs that ended longer ago go.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also runs that were interrupted or wait for an answer.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, tell what would be.")] = False,
) -> None:
    """Remove old runs with their checkpoints, and every artifact that no kept run needs; reports stay.

    With both limits, runs beyond both go. With none, no run goes: only what no run needs.
    """
    with told():
        from nereus.memory.retention import prune as remove
        from nereus.settings import load_settings

        done = remove(load_settings(), keep, older_than, unfinished, dry_run)
        for header in done.runs:
            typer.echo(f"{'would go' if dry_run else 'removed'}  {_line(header)}")
        for header, reason in done.kept:
            typer.echo(f"stays     {_line(header)}: {reason}")
        for notice in done.notices:
            typer.echo(f"note: {notice}")
        freed = f"{_mib(done.object_bytes)} of artifacts"
        if done.database_bytes is not None:
            freed += f", {_mib(done.database_bytes)} of rows and checkpoints"
        typer.echo(
            f"{'would remove' if dry_run else 'removed'} {len(done.runs)} runs, {done.calls} tool calls and "
            f"{done.objects} files of artifacts; {'would free' if dry_run else 'freed'} {freed}"
        )


def _line(header: RunHeader) -> str:
    name = header.inputs["data"].name if "data" in header.inputs else "?"
    left = f"  (forked from {header.forked_from} at {header.forked_at})" if header.forked_from else ""
    return f"{header.id}  {header.status:9}  {header.started[:19]}  {name}  {header.out_dir}{left}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
