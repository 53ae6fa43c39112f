"""`nereus memory`: what later runs recall of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.errors import StoreError
from nereus.telling import told

if TYPE_CHECKING:
    from nereus.memory.priors import Priors

memory_app = typer.Typer(help="What later runs recall of earlier ones.", no_args_is_help=True)


@memory_app.command("reindex")
def reindex() -> None:
    """Make the vector index anew from the recorded runs: after damage, or when a new server is named."""
    with told():
        from nereus.memory.vectors import open_vectors
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        settings = load_settings()
        place = settings.vector_url or str(settings.vector_path)
        with open_workspace(settings) as workspace, open_vectors(settings, workspace.repository) as index:
            count = index.rebuild()
            lag = sum(index.lag().values())
            if index.notices or lag:
                raise StoreError(
                    f"the index lacks {lag} of its texts: {'; '.join(index.notices) or 'no reason was given'}",
                    where=place,
                    mend="`nereus doctor` says what is wrong with it; until then the database is searched",
                )
        typer.echo(f"{count} records of earlier runs are in the index {place}")


@memory_app.command("priors")
def priors(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="What this run knew when it began; default: what is known now."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what ended runs teach the next one: what questions gave, what is routine, how long steps take."""
    with told():
        from nereus.agents.planner.learning import learn
        from nereus.memory.priors import Priors, facts
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings

        settings = load_settings()
        with open_workspace(settings) as workspace:
            if run_id is not None:
                known = Priors.model_validate(workspace.repository.header(run_id).learned)
            else:
                known = learn(facts(workspace.database), "", settings.policies)
        if as_json:
            typer.echo(known.model_dump_json(indent=2))
            return
        for line in _lines(known):
            typer.echo(line)
        if settings.freeze and run_id is None:
            typer.echo("freeze is set: runs use none of this")


def _lines(known: Priors) -> Iterator[str]:
    """What was learned, for people."""
    from nereus.agents.planner.learning import Experience

    if not known.runs and not known.durations:
        yield "nothing was learned yet: no run has ended"
        return
    if not known.data_sets:
        yield "from fewer than three other data sets nothing is learned but how long steps take"
    else:
        yield (
            f"{known.runs} runs about {known.data_sets} data sets "
            "(every data set counts once; a run learns nothing from its own)"
        )
    for one in known.yields:
        yield (
            f"reward    {one.data_kind:<10} {one.question:<14} {one.reward:.2f} over {one.data_sets} data sets"
        )
    experience = Experience(known)
    for two in known.usual:
        word = (
            "routine" if experience.routine(two.data_kind, two.question, two.decision, two.tool) else "asked"
        )
        yield (
            f"{word:<9} {two.data_kind:<10} {two.question:<14} {two.decision:<12} {two.tool:<24} "
            f"as usual in {two.data_sets - two.exceptions} of {two.data_sets} data sets"
        )
    for three in known.triggers:
        planned = three.rule in experience.anticipated(three.data_kind, three.question)
        yield (
            f"{'planned' if planned else 'edited':<9} {three.data_kind:<10} {three.question:<14} {three.rule}: "
            f"in {three.fired} of {three.data_sets} data sets"
        )
    for four in known.durations:
        failed = f", {four.failed} failed" if four.failed else ""
        yield f"seconds   {four.tool:<24} {four.seconds:8.2f} (median of {four.calls} calls{failed})"
