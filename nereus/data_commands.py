"""`nereus data`: list and fetch knowledge and data sets that do not ship with the package."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nereus.telling import told

data_app = typer.Typer(
    help="Knowledge and data sets that are fetched or given, not shipped.", no_args_is_help=True
)


@data_app.command("list")
def list_data(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can be fetched, with licence and size, and what is here already."""
    with told():
        from nereus.settings import load_settings
        from nereus.tools.knowledge.catalogue import ENTRIES
        from nereus.tools.knowledge.store import locate

        settings = load_settings()
        found = [(one, locate(one, home=settings.home, data=settings.data)) for one in ENTRIES]
        if as_json:
            rows = [{**vars(one), "state": at.state, "path": at.path and str(at.path)} for one, at in found]
            typer.echo(json.dumps(rows, indent=2))
            return
        for one, at in found:
            typer.echo(f"{one.name:<22} {at.state:<8} {one.size / 1e6:6.1f} MB  {one.use:<17} {one.about}")
            typer.echo(f"{'':<22} licence: {one.licence}")
            if at.state == "changed":
                typer.echo(f"{'':<22} {at.path} has another content and is not used")
        typer.echo(
            "\nlocal: in the folder of NEREUS_DATA; fetched: in the cache; absent: `nereus data fetch NAME`"
        )


@data_app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names from `nereus data list`.")],
) -> None:
    """Find files in NEREUS_DATA or download them, check their hashes, and print where they are."""
    with told():
        from nereus.settings import load_settings
        from nereus.tools.knowledge.catalogue import entry
        from nereus.tools.knowledge.store import fetch as get

        settings = load_settings()
        for wanted in [entry(name) for name in names]:
            place = get(wanted, home=settings.home, data=settings.data)
            typer.echo(f"{place.path}")
            typer.echo(f"{wanted.name} ({place.state}): {wanted.source}. Licence: {wanted.licence}", err=True)
