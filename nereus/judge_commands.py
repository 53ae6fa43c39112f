"""Commands that judge finished hypotheses: `nereus judge`, and the blinded review by people, `nereus review`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nereus.errors import InputError, StoreError
from nereus.telling import told

if TYPE_CHECKING:
    import pandas as pd

review_app = typer.Typer(help="Blinded review of hypotheses by people.", no_args_is_help=True)


def judge(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run; default the newest.")] = None,
    by: Annotated[
        str, typer.Option("--by", help="proxy (computed), llm (the model of the settings), or auto.")
    ] = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The table; default judge-RUN.csv.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Orders the metrics of the passes.")] = 0,
) -> None:
    """Score every hypothesis of a run from 1 to 5 on five metrics, with one cited reason each."""
    with told():
        from nereus.agents.judge.metrics import Metric
        from nereus.agents.judge.scoring import judge_run
        from nereus.agents.planner.run import load_run
        from nereus.settings import load_settings

        if by not in ("auto", "proxy", "llm"):
            raise InputError(f"{by!r} is no judge", where="--by", mend="write proxy, llm or auto")
        run = load_run(run_id)
        settings = load_settings()
        model = by == "llm" or (by == "auto" and settings.llm_model is not None)
        table, note = judge_run(run, settings, by_model=model, seed=seed)
        target = output or Path(f"judge-{run.id}.csv")
        _write(table, target)
        if len(table):
            for metric in Metric:
                levels = table[metric.value].dropna()
                shown = (
                    f"{levels.mean():.2f} (sd {levels.std(ddof=0):.2f})" if len(levels) else "nothing known"
                )
                typer.echo(f"{metric.value:<14} {shown}  n {len(levels)}")
        typer.echo(note)
        typer.echo(f"table: {target}")


@review_app.command("make")
def review_make(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="One or more runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that the reviewers get.")] = Path(
        "review"
    ),
    key: Annotated[
        Path | None, typer.Option(help="The key; default beside the folder. Reviewers must not see it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Shuffles the items.")] = 0,
) -> None:
    """Write a sheet of shuffled, unnamed hypotheses, and a key that is kept apart."""
    with told():
        from nereus.agents.judge.dossier import dossiers
        from nereus.agents.judge.review import draw_items, write_sheet
        from nereus.agents.planner.run import load_run

        found = [one for run in dict.fromkeys(runs) for one in dossiers(load_run(run))]
        if not found:
            raise InputError("these runs hold no hypothesis", where=", ".join(runs), mend="name other runs")
        place = key or output.with_name(f"{output.name}-key.json")
        drawn = draw_items(found, seed)
        sheet, page, place = write_sheet(drawn, output, place)
        again = sum(bool(item.again) for item, _ in drawn)
        typer.echo(f"{len(drawn)} items ({again} of them twice)")
        typer.echo(f"for reviewers: {sheet} or {page}\nkeep apart: {place}")


@review_app.command("read")
def review_read(
    sheets: Annotated[
        list[Path], typer.Argument(metavar="SHEET...", help="Filled sheets, named after reviewers.")
    ],
    key: Annotated[Path, typer.Option(help="The key that was written with the sheet.")],
    judged: Annotated[
        list[Path] | None,
        typer.Option("--judge", help="Table of `nereus judge` to compare with; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the scores by hypothesis.")
    ] = None,
) -> None:
    """Read filled sheets back: agreement between reviewers and with themselves, and what must be talked over."""
    with told():
        import pandas as pd

        from nereus.agents.judge.agreement import agreement_table, to_talk_over
        from nereus.agents.judge.review import METRICS, read_sheets

        reviews = read_sheets(sheets, key)
        tables = {}
        for path in judged or []:
            table = pd.read_csv(path)
            if not {"key", *METRICS} <= set(table.columns):
                raise InputError("this is no table of `nereus judge`", where=str(path), mend="write one anew")
            tables[path.stem] = table
        found = agreement_table(reviews, tables)
        typer.echo(found.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
        gaps = to_talk_over(reviews)
        if len(gaps):
            typer.echo(f"\nto be talked over ({len(gaps)}):\n{gaps.to_string(index=False)}")
        if output is not None:
            _write(reviews, output)
            typer.echo(f"scores: {output}")


def _write(table: pd.DataFrame, target: Path) -> None:
    from nereus.spreadsheets import harmless

    try:
        harmless(table).to_csv(target, index=False)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}", where=str(target), mend="name another place"
        ) from None
