"""`nereus llm`: serve a language model here, and look what an endpoint can do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from nereus.errors import InputError
from nereus.telling import told

llm_app = typer.Typer(help="Language models: serve one, look what an endpoint can do.", no_args_is_help=True)


@llm_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Folder of a model; with vLLM also a name at the hub.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    engine: Annotated[str, typer.Option(help="auto, vllm or transformers.")] = "auto",
    vllm: Annotated[Path | None, typer.Option(help="The program vllm, where it is not found.")] = None,
    tool_parser: Annotated[
        str | None, typer.Option(help="vLLM's tool-call parser, in place of the one that the template tells.")
    ] = None,
    ready: Annotated[float, typer.Option(min=1, help="Seconds until it must answer.")] = 900.0,
) -> None:
    """Serve a model over the OpenAI protocol until interrupted: vLLM on a GPU, transformers elsewhere.

    What stands behind -- goes to the server as it is. A server that dies is started again, three times in ten minutes.
    """
    with told("stopped"):
        from nereus.models.llm.serving import Served, plan
        from nereus.offline import enforce
        from nereus.settings import load_settings

        if engine not in ("auto", "vllm", "transformers"):
            raise InputError(
                f"there is no engine {engine!r}", where="--engine", mend="auto, vllm or transformers"
            )
        settings = load_settings()
        enforce(settings)
        chosen: Any = engine
        how = plan(
            model,
            host=host,
            port=port,
            engine=chosen,
            vllm=vllm,
            home=settings.home,
            parser=tool_parser,
            further=context.args,
        )
        log = settings.home / "llm" / f"server-{how.port}.log"
        reads = f"; tool calls are read by {how.parser}" if how.parser else ""
        typer.echo(f"{how.engine}: {how.model}{reads}; log {log}")
        server = Served(how, log, ready_s=ready, tell=typer.echo)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            server.start()
            typer.echo(f"ready: NEREUS_LLM_BASE_URL={how.url} NEREUS_LLM_MODEL={how.model}")
            server.watch()
        finally:
            server.stop()


@llm_app.command()
def check(
    base_url: Annotated[str | None, typer.Option(help="Endpoint, in place of the settings'.")] = None,
    model: Annotated[str | None, typer.Option(help="Model, in place of the settings'.")] = None,
) -> None:
    """Ask the endpoint of the settings what it can do: window, streaming, tool calls, structured output."""
    with told():
        from nereus.models.llm.chosen import chat_model
        from nereus.models.llm.endpoint import EndpointChat
        from nereus.models.llm.probe import probe
        from nereus.settings import load_settings

        settings = load_settings(llm_base_url=base_url, llm_model=model)
        asked = chat_model(settings)
        if not isinstance(asked, EndpointChat):
            raise InputError(
                "no endpoint is set",
                where="settings",
                mend="set NEREUS_LLM_BASE_URL and NEREUS_LLM_MODEL, or start one: nereus llm serve FOLDER",
            )
        found = probe(
            asked,
            lambda one: typer.echo(
                f"{one.name:24} {one.state:8} {one.detail}" + (f"\n{'':34}{one.mend}" if one.mend else "")
            ),
        )
    raise typer.Exit(0 if found.usable else 1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
