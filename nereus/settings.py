"""Every setting of Nereus, in one class.

A setting is looked for in this order, and the first place that names it wins:

1. arguments of `load_settings` (the options of the command line end here),
2. environment variables ``NEREUS_<NAME>``,
3. the file ``.env`` in the working directory, with the same names,
4. ``nereus.toml`` in the working directory, with lower-case names,
5. ``nereus.toml`` in the home folder (setting `home`),
6. the defaults below.

Settings that contradict each other are an error at once; none of them wins in silence. Secrets are never
printed.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import EnvSettingsSource

from nereus.errors import SettingsError

PREFIX = "NEREUS_"
CONFIG_FILE = "nereus.toml"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WEB = ("http", "https")
_POLICIES = ("rules", "llm")
_HYBRID = "hybrid:"
_SERVER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?")


def default_home() -> Path:
    """Tell where state is kept unless set otherwise: the platform's folder for data of a user's programs."""
    return Path(platformdirs.user_data_dir("nereus", appauthor=False))


def _in_home(name: str) -> Callable[[dict[str, Any]], Path]:
    return lambda values: values.get("home", default_home()) / name


def _sqlite_in_home(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda values: f"sqlite:///{values.get('home', default_home()) / name}"


def _beside_the_database(values: dict[str, Any]) -> str:
    """Checkpoints are in the run database's server, or in a file of their own."""
    url = str(values.get("database_url", ""))
    return url if _kind(url) == "postgresql" else _sqlite_in_home("checkpoints.sqlite")(values)


def _kind(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


class McpServer(BaseModel):
    """An external MCP server: a command on this machine, or an address."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    command: tuple[str, ...] = ()
    """Program and arguments of a server on standard input and output."""
    environment: tuple[str, ...] = ()
    """Variables of our environment that the program may see, beside PATH, HOME and the like; none of ours else."""
    url: str | None = None
    """Address of a server over streamable HTTP."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers that are sent to the address: ``{"Authorization": "Bearer ..."}``."""
    tools: tuple[str, ...] = ("*",)
    """Which of its tools are offered, as patterns."""
    allow: tuple[str, ...] = ()
    """Tools that are called without asking, by exact name; all others ask before each call."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds that a call may take."""
    output_kb: int = Field(default=16, ge=1, le=1024)
    """Most of a result that is kept, in KiB; what was cut is said."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError("an MCP server has either a command or a url")
        if self.url is not None and (
            urlsplit(self.url).scheme not in _WEB or not urlsplit(self.url).hostname
        ):
            raise ValueError("the url of an MCP server is an address such as https://host/mcp")
        return self


class Settings(BaseSettings):
    """All settings; immutable. `load_settings` makes one, and explains what is wrong with a bad value."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_ignore_empty=True, use_attribute_docstrings=True
    )

    home: Path = Field(default_factory=default_home)
    """Folder of everything that Nereus keeps: database, checkpoints, artifacts, vector index."""
    data: Path | None = None
    """Folder of larger public data sets, which some tests and benchmarks read."""

    database_url: str = Field(default_factory=_sqlite_in_home("nereus.sqlite"))
    """SQLAlchemy URL of the run database: ``sqlite:///file`` or ``postgresql://...``."""
    checkpoint_url: str = Field(default_factory=_beside_the_database)
    """URL of the graph checkpoints: a SQLite file of its own, or PostgreSQL (by default that of `database_url`)."""
    vector_path: Path = Field(default_factory=_in_home("vectors"))
    """Folder of the embedded vector index."""
    vector_url: str | None = None
    """A Chroma server to use in place of the embedded index."""
    artifact_root: Path = Field(default_factory=_in_home("artifacts"))
    """Folder of the content-addressed artifacts."""
    embedder: Literal["hashed"] = "hashed"
    """What turns a text into a vector: ``hashed`` needs no weights and no network."""

    policy: str = "rules"
    """Who decides: ``rules``, ``llm``, or by kind of decision: ``hybrid:critique=llm``, a table in nereus.toml."""
    llm_base_url: str | None = None
    """OpenAI-compatible endpoint. Without one, `llm_api_key` is used at the provider's own address."""
    llm_model: str | None = None
    """Name of the chat model at the endpoint; or, without endpoint and key, a folder with a transformers model."""
    llm_embedding_model: str | None = None
    """Name of the embedding model at the endpoint."""
    llm_api_key: SecretStr | None = None
    """Key of the endpoint."""
    llm_form: Literal["auto", "tool", "text"] = "auto"
    """How an object is asked for: as the call of a tool, as JSON in text, or as the model offers it."""
    llm_context_tokens: int = Field(default=16_384, ge=4096)
    """What the model can read and write in one go; prompts are cut to it, and say what was cut."""
    llm_reply_tokens: int = Field(default=2048, ge=256)
    """Most tokens of one reply."""
    llm_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that one reply may take."""
    llm_retries: int = Field(default=2, ge=0, le=10)
    """How often a call is made again that failed for a passing reason, within `llm_timeout_s`."""
    llm_max_calls: int = Field(default=200, ge=1)
    """Calls of a run (a budget of llm_calls goes before it), or of one question in chat. The call that could pass a
    ceiling is not made."""
    llm_max_tokens: int = Field(default=300_000, ge=1)
    """Tokens of a run, prompts and replies (a budget of llm_tokens goes before it)."""
    llm_max_usd: float | None = Field(default=None, gt=0)
    """US dollars of a run (a budget of usd goes before it); needs the prices."""
    llm_max_s: float | None = Field(default=None, gt=0)
    """Seconds of a run that are spent on waiting for replies."""
    llm_price_prompt: float = Field(default=0.0, ge=0)
    """US dollars a million tokens of prompts."""
    llm_price_reply: float = Field(default=0.0, ge=0)
    """US dollars a million tokens of replies."""

    sandbox_grade: Literal["isolated", "confined", "limited"] = "confined"
    """The weakest sandbox that may run code; weaker ones refuse. See `nereus doctor` for what works here."""
    sandbox_wall_s: float = Field(default=60.0, gt=0)
    """Seconds that one piece of code may run."""
    sandbox_cpu_s: float = Field(default=60.0, gt=0)
    """Seconds of processor time for one piece of code."""
    sandbox_memory_mb: int = Field(default=4096, ge=256)
    """Memory of the code's process, in MiB of address space."""
    sandbox_disk_mb: int = Field(default=512, ge=1)
    """All files of the code's work folder, in MiB."""
    sandbox_output_kb: int = Field(default=8192, ge=1)
    """All that one piece of code may print, in KiB."""

    workers: int = Field(default=2, ge=1, le=256)
    """How many objectives are worked on side by side. Results do not depend on it."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of everything random in a run."""
    approval: Literal["never", "costly", "always"] = "never"
    """When a run asks before it goes on."""
    chat_approval: Literal["never", "costly", "always"] = "costly"
    """When chat asks before it acts: runs, training, and tools that take long or reach beyond their inputs are costly."""
    freeze: bool = False
    """Learn nothing from earlier runs and recall nothing of them: the same results whatever the database holds."""
    learn: bool = False
    """Learn actions after every finished run, in the background; they are used once `nereus actions approve` says so."""
    reason: bool = True
    """Let the reasoner look for a better design of workflows that are uncertain (no template, refused before) or failing."""
    offline: bool = False
    """Refuse every address outside this machine, beside those of `offline_hosts`."""
    offline_hosts: tuple[str, ...] = ()
    """Hosts that may be reached with `offline`, as the name or the address of a server in the house."""

    log_format: Literal["text", "json"] = "text"
    """How servers and workers write what they log: lines for people, or an object of JSON a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """From which weight on servers and workers log."""
    telemetry: str | None = None
    """Address of a collector of traces and metrics (OTLP over gRPC), as ``http://127.0.0.1:4317``; none are made without one."""

    serve_tokens: Literal["auto", "always"] = "auto"
    """Whether requests must show a token: ``auto`` asks for none where the server listens on loopback only."""
    serve_origins: tuple[str, ...] = ()
    """Origins of pages elsewhere that may call the server, as ``https://lab.example.org``."""
    serve_hosts: tuple[str, ...] = ()
    """Names under which the server is reached, beside the address it listens on; ``*`` for any (behind a proxy that checks)."""
    serve_upload_mb: int = Field(default=2048, ge=1)
    """Largest file that can be uploaded, in MiB."""
    serve_rate: str = "6000/minute"
    """Requests of one owner, as ``6000/minute``; beyond it the server answers 429. Not applied without tokens."""
    serve_slots: int = Field(default=2, ge=1, le=256)
    """Runs and tool calls that a worker works on side by side."""

    mcp_tools: tuple[str, ...] = ()
    """Tools that the MCP server offers, as patterns such as ``plot_*``; empty for all. Some clients take few."""
    mcp_servers: dict[str, McpServer] = {}
    """External MCP servers whose tools chat may ask for, by name (``docs/mcp.md``)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the layers of the module's docstring in place of pydantic-settings' own."""
        del env_settings, dotenv_settings, file_secret_settings
        return (init_settings, *(_Layer(settings_cls, values) for _, values in _layers(init_settings())))

    @field_validator("home", "data", "vector_path", "artifact_root", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path.expanduser()))

    @field_validator("database_url", "checkpoint_url", mode="after")
    @classmethod
    def _known_database(cls, url: str) -> str:
        kind = _kind(url)
        if kind not in ("sqlite", "postgresql"):
            raise ValueError("write sqlite:///path/to/file or postgresql://user:password@host/name")
        if kind == "sqlite" and sqlite_file(url) is None:
            raise ValueError("a SQLite database must be a file: write sqlite:///path/to/file")
        return url

    @field_validator("mcp_servers", mode="after")
    @classmethod
    def _short_names(cls, servers: dict[str, McpServer]) -> dict[str, McpServer]:
        wrong = [name for name in servers if not _SERVER_NAME.fullmatch(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name of an MCP server: write up to 20 of a-z, 0-9 and -")
        return servers

    @field_validator("policy", mode="before")
    @classmethod
    def _one_form(cls, policy: Any) -> str:
        return policy_name(policy)

    @field_validator("llm_base_url", "vector_url", mode="after")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in _WEB or not urlsplit(url).hostname):
            raise ValueError("write an address such as http://127.0.0.1:8000/v1")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.asks_model and not self.llm_model:
            raise ValueError(
                "policy 'llm' needs llm_model (and llm_base_url, or llm_api_key for the provider's address)"
            )
        own = Path(self.llm_model or "").expanduser().is_dir() and bool(self.llm_model)
        if self.asks_model and self.llm_base_url is None and self.llm_api_key is None and not own:
            raise ValueError(
                "policy 'llm' needs llm_base_url, or llm_api_key for the provider's own address, or a folder as llm_model"
            )
        if self.llm_reply_tokens > self.llm_context_tokens // 2:
            raise ValueError(
                "llm_reply_tokens is more than half of llm_context_tokens: no room for a question"
            )
        if self.llm_max_usd is not None and not (self.llm_price_prompt or self.llm_price_reply):
            raise ValueError(
                "llm_max_usd needs llm_price_prompt and llm_price_reply: money cannot be counted"
            )
        if self.vector_url is not None and "vector_path" in self.model_fields_set:
            raise ValueError(
                "vector_path and vector_url are both set: keep the folder or the server, not both"
            )
        if sqlite_file(self.database_url) and sqlite_file(self.database_url) == sqlite_file(
            self.checkpoint_url
        ):
            raise ValueError(
                "database_url and checkpoint_url are one SQLite file: give each a file of its own"
            )
        if sqlite_file(self.database_url) and not sqlite_file(self.checkpoint_url):
            # After a power cut the file may lack its end, which checkpoints in a server would take for done.
            raise ValueError(
                "checkpoint_url is PostgreSQL but database_url is a SQLite file: put both into PostgreSQL"
            )
        if self.offline:
            for name in ("llm_base_url", "vector_url", "database_url", "checkpoint_url", "telemetry"):
                host = urlsplit(getattr(self, name) or "").hostname
                if host is not None and host not in _LOOPBACK and host not in self.offline_hosts:
                    raise ValueError(
                        f"offline is set but {name} names the host {host!r}: unset one of the two"
                    )
            for name, server in self.mcp_servers.items():
                host = urlsplit(server.url or "").hostname
                if host is not None and host not in _LOOPBACK and host not in self.offline_hosts:
                    raise ValueError(
                        f"offline is set but mcp_servers names the host {host!r} for {name!r}: unset one of the two"
                    )
            if self.asks_model and self.llm_base_url is None and self.llm_api_key is not None:
                raise ValueError(
                    "offline is set but policy 'llm' without llm_base_url calls the provider: unset one"
                )
        return self

    @property
    def policies(self) -> dict[str, str]:
        """Kind of decision, or ``default``, to ``rules`` or ``llm``."""
        if not self.policy.startswith(_HYBRID):
            return {"default": self.policy}
        return dict(item.split("=") for item in self.policy.removeprefix(_HYBRID).split(","))

    @property
    def asks_model(self) -> bool:
        """Whether a language model decides anything."""
        return "llm" in self.policies.values()

    def public(self) -> dict[str, Any]:
        """All settings as JSON values, for records and reports: secrets and passwords in URLs are masked."""
        shown = self.model_dump(mode="json")
        for name in ("database_url", "checkpoint_url", "vector_url", "llm_base_url", "telemetry"):
            if shown[name] is not None:
                shown[name] = mask_password(shown[name])
        return shown

    def of_results(self) -> dict[str, Any]:
        """Select the settings that may change what a run finds: part of its fingerprint."""
        shown = self.public()
        # As it was before there were such settings.
        unset = (*(() if self.freeze else ("freeze",)), *(("reason",) if self.reason else ()))
        return {name: shown[name] for name in self.names_of_results() if name not in unset}

    def names_of_results(self) -> tuple[str, ...]:
        """Name the settings that `of_results` selects from."""
        model = ("llm_model", "llm_base_url") if self.asks_model else ()
        return ("seed", "policy", "embedder", "freeze", "reason", *model)


class _Layer(PydanticBaseSettingsSource):
    """One place that settings come from, already read."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = dict(values)

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """See `PydanticBaseSettingsSource`; `__call__` gives all at once."""
        del field
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._values)


def _layers(overrides: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name of the place, settings found there), strongest first; arguments themselves left out."""
    layers = [
        ("environment", EnvSettingsSource(Settings)()),
        (".env", _dotenv(Path(".env"))),
        (CONFIG_FILE, _toml(Path(CONFIG_FILE))),
    ]
    named = next(
        (values["home"] for values in (overrides, *(found for _, found in layers)) if values.get("home")),
        None,
    )
    home = default_home() if named is None else Path(str(named)).expanduser()
    file = home / CONFIG_FILE
    if file.absolute() != Path(CONFIG_FILE).absolute():
        layers.append((str(file), _toml(file)))
    return layers


def _dotenv(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = dotenv_values(file, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError("the file is not UTF-8", where=str(file), mend="save it as UTF-8") from error
    # Other programs keep their variables in the same file; of ours, an unknown one is refused like in nereus.toml.
    ours = {
        name.upper().removeprefix(PREFIX).lower(): value
        for name, value in found.items()
        if name.upper().startswith(PREFIX)
    }
    return {name: value for name, value in ours.items() if value}


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream:
            values = tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"not readable as TOML: {error}",
            where=str(file),
            mend='write lines such as seed = 1 or policy = "rules"',
        ) from error
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}", where=str(file), mend="make it readable or remove it"
        ) from error
    return values


def load_settings(**overrides: Any) -> Settings:
    """Read and check all settings.

    Parameters
    ----------
    **overrides
        Settings by name, which win over every other place. None means "not given".

    Raises
    ------
    SettingsError
        A value is invalid, a name is unknown or two settings contradict each other; says where it was set.

    Examples
    --------
    >>> load_settings(home="/tmp/nereus-example", seed=3).seed
    3
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    layers: list[tuple[str, dict[str, Any]]] = [("argument", given), *_layers(given)]
    _refuse_near_misses()
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise _explained(name, first["msg"].removeprefix("Value error, "), first["input"], layers) from None


def _explained(
    name: str, problem: str, value: Any, layers: list[tuple[str, dict[str, Any]]]
) -> SettingsError:
    if not name:
        return SettingsError(problem, where=_places(problem, layers), mend="change one of the settings named")
    place = next((place for place, values in layers if name in values), "default")
    where = (
        f"{PREFIX}{name.upper()} in the environment"
        if place == "environment"
        else f"setting {name!r} ({place})"
    )
    if name not in Settings.model_fields:
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return SettingsError(
            f"there is no setting {name!r}",
            where=place,
            mend=f"did you mean {near[0]!r}?"
            if near
            else f"settings are {', '.join(sorted(Settings.model_fields))}",
        )
    shown = "" if "key" in name else f" (got {mask_password(value) if isinstance(value, str) else value!r})"
    return SettingsError(
        f"{problem}{shown}", where=where, mend=f"{name}: {Settings.model_fields[name].description}"
    )


def _places(problem: str, layers: list[tuple[str, dict[str, Any]]]) -> str:
    """Where each setting that the message names was set."""
    found: list[str] = []
    for name in Settings.model_fields:
        if name in problem.replace("'", " ").split() or f"{name}:" in problem.split():
            found.append(f"{name} ({next((place for place, values in layers if name in values), 'default')})")
    return ", ".join(found) or "settings"


def _refuse_near_misses() -> None:
    """Refuse an environment variable that is nearly a setting: misspelt, it would be ignored in silence."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.88)
            if near:
                raise SettingsError(
                    f"{variable} is no setting", where="environment", mend=f"did you mean {near[0]}?"
                )


def policy_name(policy: Any) -> str:
    """The canonical name of a policy: ``rules``, ``llm``, or ``hybrid:default=rules,<kind>=llm,...`` in order.

    Parameters
    ----------
    policy
        A name, a mapping of kinds of decision to names, or such a mapping as JSON.

    Raises
    ------
    ValueError
        There is no such policy.
    """
    if isinstance(policy, str) and policy.lstrip().startswith("{"):
        try:
            policy = json.loads(policy)
        except json.JSONDecodeError as error:
            raise ValueError(f"not readable as JSON: {error}") from None
    if isinstance(policy, str):
        if policy in _POLICIES:
            return policy
        if not policy.startswith(_HYBRID):
            raise ValueError("write rules, llm, or hybrid:<kind of decision>=llm,...")
        items = [item.partition("=") for item in policy.removeprefix(_HYBRID).split(",")]
        policy = {kind.strip(): name.strip() for kind, _, name in items}
    if not isinstance(policy, Mapping):
        raise ValueError("write rules, llm, or a mapping of kinds of decision")
    mapping = {"default": "rules", **{str(kind): str(name) for kind, name in policy.items()}}
    wrong = {kind: name for kind, name in mapping.items() if name not in _POLICIES or not kind.isidentifier()}
    if wrong:
        raise ValueError(f"{wrong} maps to no policy; write <kind of decision>=rules or =llm")
    if len(set(mapping.values())) == 1:
        return mapping["default"]
    rest = [f"{kind}={name}" for kind, name in sorted(mapping.items()) if kind != "default"]
    return _HYBRID + ",".join([f"default={mapping['default']}", *rest])


def sqlite_file(url: str) -> Path | None:
    """Find the file of a SQLite URL; None for any other URL and for a database in memory."""
    scheme, separator, path = url.partition("///")
    if not separator or scheme.partition("+")[0].partition(":")[0] != "sqlite" or path in ("", ":memory:"):
        return None
    return Path(path.partition("?")[0]).expanduser().absolute()


def mask_password(url: str) -> str:
    """Put ``***`` in place of the password in a URL."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    account, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account.partition(':')[0]}:***@{host}"))
