"""The command line. Commands parse, call the library and print; everything heavy is imported inside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nereus import __version__
from nereus.action_commands import actions_app
from nereus.chat_commands import chat
from nereus.data_commands import data_app
from nereus.errors import InputError
from nereus.graph_commands import graph
from nereus.judge_commands import judge, review_app
from nereus.llm_commands import llm_app
from nereus.mcp_commands import mcp
from nereus.memory_commands import memory_app
from nereus.method_commands import methods_app
from nereus.run_commands import runs_app
from nereus.sandbox_commands import sandbox_app
from nereus.serve_commands import serve, token_app, worker
from nereus.telling import told
from nereus.tool_commands import tools_app

if TYPE_CHECKING:
    from nereus.agents.planner.run import Run

app = typer.Typer(
    help="Nereus: from a raw proteomics table to ranked, traceable hypotheses. No key, no network.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(tools_app, name="tools")
app.add_typer(data_app, name="data")
app.add_typer(memory_app, name="memory")
app.add_typer(methods_app, name="methods")
app.add_typer(runs_app, name="runs")
app.add_typer(review_app, name="review")
app.add_typer(token_app, name="token")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(actions_app, name="actions")
app.add_typer(llm_app, name="llm")
app.command("chat")(chat)
app.command("judge")(judge)
app.command("graph")(graph)
app.command("serve")(serve)
app.command("worker")(worker)
app.command("mcp")(mcp)

Data = Annotated[
    Path,
    typer.Argument(
        help="Table of intensities: MaxQuant, DIA-NN, wide CSV/TSV/XLSX, h5ad (.gz too); or a folder of files of cells "
        "(FCS, CSV)."
    ),
]
Samples = Annotated[Path | None, typer.Option(help="Sample sheet: one row a sample.")]
Cohort = Annotated[Path | None, typer.Option(help="A second cohort, in which findings are tested again.")]
CohortSamples = Annotated[Path | None, typer.Option(help="Sample sheet of the cohort.")]
Layer = Annotated[
    list[str] | None, typer.Option(help="Another layer of the same samples, e.g. rna=counts.csv; repeatable.")
]
Freeze = Annotated[
    bool,
    typer.Option(
        "--freeze", help="Learn nothing from earlier runs: the same results whatever the database holds."
    ),
]


_GO_ON = "interrupted; `nereus resume --last` goes on from the last finished step"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"nereus {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Nereus: from a raw proteomics table to ranked, traceable hypotheses."""


@app.command()
def discover(
    data: Data,
    samples: Samples = None,
    cohort: Cohort = None,
    cohort_samples: CohortSamples = None,
    layer: Layer = None,
    question: Annotated[str | None, typer.Option(help="What you want to know, in your words.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="Who decides: rules (default), llm, or hybrid:<kind>=llm,...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; default nereus-<data name>.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    workers: Annotated[int | None, typer.Option(help="Objectives worked on side by side.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="A limit, e.g. steps=40 or wall_s=300; repeatable.")
    ] = None,
    load: Annotated[
        list[str] | None, typer.Option(help="Parameter of the reader, e.g. sheet=Sheet2; repeatable.")
    ] = None,
    approval: Annotated[
        str | None,
        typer.Option("--approve", "--approval", help="Ask before going on: never, costly or always."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Answer every question from a plan file; see `nereus plan`.")
    ] = None,
    freeze: Freeze = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with its default.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Turn a raw proteomics table into ranked and traceable hypotheses."""
    with told(_GO_ON):
        from nereus.agents.planner.discover import discover as start
        from nereus.terminal import live_view

        with live_view(quiet) as view:
            run = start(
                data,
                samples,
                cohort=cohort,
                cohort_samples=cohort_samples,
                layers=_assignments(layer, "--layer"),
                question=question,
                out=out,
                budget=budget,
                load=_assignments(load, "--load"),
                ask=_asks(plan, yes, view.pause, data),
                on_event=view.show,
                **_given(
                    policy=policy,
                    seed=seed,
                    workers=workers,
                    approval="always" if plan else approval,
                    freeze=freeze or None,
                ),
            )
        _tell_end(run)


@app.command()
def resume(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run; see `nereus runs`.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest run that can be resumed.")] = False,
    data: Annotated[Path | None, typer.Option(help="Check this data file against the run's.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Check this sample sheet against the run's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Must equal the run's.")] = None,
    policy: Annotated[str | None, typer.Option(help="Must equal the run's.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="Another limit on time, e.g. wall_s=3600; every other must equal the run's."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Objectives worked on side by side.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Answer every question from a plan file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with its default.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Go on with an interrupted run and finish the outputs in its folder."""
    with told(_GO_ON):
        if (run_id is None) != last:
            raise InputError("name one run", where="nereus resume", mend="give RUN or --last, not both")
        from nereus.agents.planner.discover import resume as go_on
        from nereus.terminal import live_view

        with live_view(quiet) as view:
            run = go_on(
                run_id,
                data=data,
                samples=samples,
                budget=budget,
                ask=_asks(plan, yes, view.pause),
                on_event=view.show,
                **_given(seed=seed, policy=policy, workers=workers, approval="always" if plan else None),
            )
        _tell_end(run)


@app.command()
def plan(
    data: Data,
    samples: Samples = None,
    cohort: Cohort = None,
    cohort_samples: CohortSamples = None,
    layer: Layer = None,
    plan_file: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("plan.yaml"),
    question: Annotated[str | None, typer.Option(help="What you want to know, in your words.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="Who decides: rules (default), llm or hybrid:...")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report of the run that waits.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="A limit, e.g. steps=40; repeatable.")] = None,
    load: Annotated[list[str] | None, typer.Option(help="Parameter of the reader; repeatable.")] = None,
    freeze: Freeze = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Read and prepare the data, write the questions and steps that would follow to a file, and wait."""
    with told(_GO_ON):
        from nereus.agents.planner.discover import discover as start
        from nereus.agents.planner.plan_file import PlanWriter, write_plan
        from nereus.terminal import live_view

        if plan_file.exists() and not force:
            raise InputError("the file exists", where=str(plan_file), mend="name another one, or add --force")
        writer = PlanWriter()
        with live_view(quiet) as view:
            run = start(
                data,
                samples,
                cohort=cohort,
                cohort_samples=cohort_samples,
                layers=_assignments(layer, "--layer"),
                question=question,
                out=out,
                budget=budget,
                load=_assignments(load, "--load"),
                ask=writer,
                on_event=view.show,
                **_given(policy=policy, seed=seed, approval="always", freeze=freeze or None),
            )
        if writer.plan is None:
            raise InputError("the run ended before anything was left to plan", where=f"run {run.id}")
        write_plan(writer.plan, plan_file, overwrite=True)
        for one in writer.plan.objectives:
            typer.echo(
                f"{one.id:>4}  {one.priority:.2f}  {one.statement} ({len(one.steps)} steps, ~{one.seconds:.0f} s)"
            )
        typer.echo(f"plan: {plan_file}; edit it, then `nereus resume {run.id} --plan {plan_file}`")


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a report.")],
) -> None:
    """Re-execute every step in a clean process and compare every value of the report."""
    with told(_GO_ON):
        from nereus.agents.reporter.verify import report_text
        from nereus.agents.reporter.verify import verify as check

        found = check(directory, progress=lambda text: typer.echo(text, err=True))
        typer.echo(report_text(found), nl=False)
        if not found.ok:
            raise typer.Exit(1)


@app.command()
def fork(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run; see `nereus runs`.")],
    at: Annotated[str, typer.Option(help="Objective before which the fork begins, e.g. O2.")],
    edit: Annotated[
        Path | None, typer.Option(help="YAML or JSON with drop, edit and add, as at the gate of objectives.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="An objective to leave out; repeatable.")] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", help="E.g. O2.covariates=age,sex or O3.priority=1; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; default the run's with -fork-O2 behind it.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Objectives worked on side by side.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with its default.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Go another way from an objective of a run on, as a new run; finished steps are not computed again."""
    with told(_GO_ON):
        from nereus.agents.planner.fork import fork as start
        from nereus.agents.planner.fork import read_edit
        from nereus.terminal import live_view

        changes = read_edit(edit, drop, _assignments(assign, "--set"))
        with live_view(quiet) as view:
            run = start(
                run_id,
                at,
                edit=changes,
                out=out,
                ask=_asks(None, yes, view.pause),
                on_event=view.show,
                **_given(workers=workers),
            )
        _tell_end(run)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="A run; see `nereus runs`.")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="Another run.")],
    out: Annotated[
        Path | None, typer.Option(help="Write all differences: FILE.html with the effects, or FILE.csv.")
    ] = None,
) -> None:
    """Say what differs between two runs: inputs, settings, questions, steps, claims and hypotheses."""
    with told(_GO_ON):
        from rich.console import Console

        from nereus.agents.reporter.comparison import comparison_text
        from nereus.agents.reporter.comparison.files import compare as compared
        from nereus.agents.reporter.comparison.files import write_comparison

        found = compared(first, second)
        Console().print(comparison_text(found))
        if out is not None:
            write_comparison(found, out)
            typer.echo(f"written: {out}")


@app.command()
def show(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run; default the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Replay the event stream.")] = False,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Who decided what, and where a model differs from the rules.")
    ] = False,
    differing: Annotated[
        bool, typer.Option("--differing", help="Only decisions that differ, or fell back to the rules.")
    ] = False,
) -> None:
    """Show a run: its plan, what it found, and where the report is."""
    with told(_GO_ON):
        from nereus.agents.planner.run import load_run
        from nereus.memory.workspace import open_workspace
        from nereus.settings import load_settings
        from nereus.terminal import event_line, run_tree

        run = load_run(run_id)
        if as_json:
            typer.echo(run.record.model_dump_json(indent=2))
        elif decisions or differing:
            from nereus.decision_view import decision_lines

            for line in decision_lines(run.record, differing=differing):
                typer.echo(line)
        elif events:
            with open_workspace(load_settings()) as workspace:
                for event in workspace.events.read(run.id):
                    typer.echo(event_line(event))
        else:
            from rich.console import Console

            Console().print(run_tree(run))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what works on this machine, and how to mend what does not."""
    with told(_GO_ON):
        from nereus.doctor import checks

        found = checks()
        if as_json:
            typer.echo(json.dumps([vars(check) for check in found], indent=2, default=str))
        else:
            for check in found:
                typer.echo(f"{'ok ' if check.ok else 'BAD'}  {check.name:<14} {check.detail}")
                if not check.ok and check.mend:
                    typer.echo(f"     mend: {check.mend}")
        if not all(check.ok for check in found):
            raise typer.Exit(1)


# ---------------------------------------------------------------------------------------------------------- helpers


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _assignments(items: list[str] | None, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items or []:
        name, sign, text = item.partition("=")
        if not sign or not name:
            raise InputError(f"{item!r} is no assignment", where=where, mend="write name=value")
        found[name] = text
    return found


def _asks(
    plan: Path | None, yes: bool, pause: Callable[[], Any], data: Path | None = None
) -> Callable[[Mapping[str, Any]], Any] | None:
    """Who answers: a plan file, the defaults, or a person at the terminal."""
    if plan is not None:
        from nereus.agents.planner.plan_file import PlanAnswers, check_plan_data, read_plan

        found = read_plan(plan)
        if data is not None:
            check_plan_data(found, data)
        return PlanAnswers(found)
    if yes or not sys.stdin.isatty():
        return None
    import click

    from nereus.approval_prompts import Prompter

    return Prompter(
        lambda prompt: str(typer.prompt(prompt, default="", show_default=False, prompt_suffix="")),
        typer.echo,
        pause,
        lambda text: click.edit(text, extension=".yaml"),
    )


def _tell_end(run: Run) -> None:
    from nereus.terminal import closing_lines

    for line in closing_lines(run):
        typer.echo(line)


if __name__ == "__main__":
    app()
