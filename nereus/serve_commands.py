"""`nereus serve`, `nereus worker` and `nereus token`: the server, what works for it, and who may come in."""

from __future__ import annotations

from typing import Annotated

import typer

from nereus.telling import told

token_app = typer.Typer(help="Access tokens of the server.", no_args_is_help=True)

DEFAULT_PORT = 8642


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = DEFAULT_PORT,
    workers: Annotated[
        int,
        typer.Option(
            min=0, max=64, help="Processes that work on runs; 0 where `nereus worker` runs elsewhere."
        ),
    ] = 1,
) -> None:
    """Serve the programmatic interface: data sets, runs, tools, methods."""
    with told("stopped"):
        from nereus.api.serving import serve as run
        from nereus.settings import load_settings

        typer.echo(
            f"http://{host}:{port}  (stop with Ctrl-C; runs that are worked on go on at the next start)"
        )
        run(load_settings(), host, port, workers)


def worker(
    slots: Annotated[int | None, typer.Option(min=1, help="Runs and tool calls side by side.")] = None,
) -> None:
    """Work on what the server was asked for, until interrupted."""
    with told("stopped"):
        from nereus.api.workers.worker import main
        from nereus.settings import load_settings

        main(load_settings(), slots)


@token_app.command("create")
def create(
    owner: Annotated[str, typer.Argument(help="Whose data sets and runs it opens.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; repeatable. Default: read and write.")
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[float | None, typer.Option(help="After how many days it ends; default never.")] = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    with told():
        from nereus.memory.tokens import Tokens
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        with open_workspace(load_settings()) as workspace:
            secret, token = Tokens(workspace.database).create(owner, scope or ("read", "write"), note, days)
        typer.echo(secret)
        typer.echo(f"{token.id} opens what is {owner}'s; it is shown this once", err=True)


@token_app.command("list")
def list_tokens() -> None:
    """List the tokens: whose, for what, used when."""
    with told():
        from nereus.memory.tokens import Tokens
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        with open_workspace(load_settings()) as workspace:
            tokens = Tokens(workspace.database).list()
        if not tokens:
            typer.echo("no token yet; make one with `nereus token create NAME`")
        for one in tokens:
            state = (
                f"revoked {one.revoked_at[:19]}"
                if one.revoked_at
                else f"used {(one.used_at or 'never')[:19]}"
            )
            typer.echo(f"{one.id}  {one.owner:16}  {','.join(sorted(one.scopes)):16}  {state}  {one.note}")


@token_app.command("revoke")
def revoke(token_id: Annotated[str, typer.Argument(help="Id, as `nereus token list` shows it.")]) -> None:
    """End a token at once."""
    with told():
        from nereus.memory.tokens import Tokens
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        with open_workspace(load_settings()) as workspace:
            Tokens(workspace.database).revoke(token_id)
        typer.echo(f"{token_id} opens nothing any more")
