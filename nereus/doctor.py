"""Is everything here that Nereus needs, and does it work? Each check says what to do when it does not.

The checks change nothing but to make the home folder and the database in it, as any first run does.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from nereus.errors import NereusError, SettingsError

if TYPE_CHECKING:
    from nereus.settings import Settings

OLDEST_PYTHON = (3, 11)
_REINDEX = "run `nereus memory reindex`"
_FREE_GIB = 2.0
_MODULE = {"scikit-learn": "sklearn"}
_SHOWN = (
    "numpy",
    "pandas",
    "scipy",
    "anndata",
    "scikit-learn",
    "statsmodels",
    "langgraph",
    "sqlalchemy",
    "chromadb",
)
_PROBE = """
import json
import torch
cuda = torch.cuda.is_available()
mps = getattr(torch.backends, "mps", None)
print(json.dumps({
    "version": torch.__version__,
    "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    "mps": bool(mps and mps.is_available()),
}))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    """What was found."""
    mend: str = ""
    """What to do; empty when all is well."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What was measured, by name: for a monitor that reads ``nereus doctor --json``."""


def checks(settings: Settings | None = None, reach: bool = False) -> list[Check]:
    """Look at everything, in the order in which it is shown.

    Parameters
    ----------
    settings
        What to look at; None reads the settings, and a mistake in them is one of the findings.
    reach
        Also ask the language model's endpoint whether it answers.
    """
    found = [check_python(), check_packages()]
    if settings is None:
        from nereus.settings import load_settings

        try:
            settings = load_settings()
        except SettingsError as error:
            return [*found, Check("settings", False, str(error).partition("\n")[0], error.mend or "")]
        found.append(Check("settings", True, "all settings are valid"))
    kept = settings
    parts: tuple[Callable[[], Check], ...] = (
        lambda: check_home(kept),
        lambda: check_database(kept),
        lambda: check_checkpoints(kept),
        lambda: check_vectors(kept),
        lambda: check_data(kept),
        lambda: check_llm(kept, reach),
        lambda: check_sandbox(kept),
        check_gpu,
    )
    return found + [part() for part in parts]


def check_python() -> Check:
    """Check the version of Python."""
    wanted = ".".join(map(str, OLDEST_PYTHON))
    ok = sys.version_info >= OLDEST_PYTHON
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    detail = f"{platform.python_version()} on {machine}"
    return Check("python", ok, detail, "" if ok else f"install Python {wanted} or newer")


def check_packages() -> Check:
    """Check that every required package is installed in a version that fits."""
    wrong = list(_unmet())
    shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN if find_spec(_MODULE.get(name, name)))
    detail = "; ".join(wrong) if wrong else f"nereus {_own_version()} with {shown}"
    return Check("packages", not wrong, detail, "pip install --upgrade nereus" if wrong else "")


def _own_version() -> str:
    from nereus import __version__

    return __version__


def _unmet() -> Iterator[str]:
    """Name the requirements that the installed packages do not meet."""
    from packaging.requirements import Requirement

    for line in _requirements():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is not installed"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement.name} is {found}, needed is {requirement.specifier}"


def _requirements() -> list[str]:
    try:
        return list(distribution("nereus").requires or [])
    except PackageNotFoundError:  # used from a checkout that was not installed
        project = Path(__file__).parent.parent / "pyproject.toml"
        if not project.is_file():
            return []
        return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])


def check_home(settings: Settings) -> Check:
    """Check that the folder of all state can be written and has room."""
    home = settings.home
    mend = "set NEREUS_HOME to a folder that you may write"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"nereus")
        free = shutil.disk_usage(home).free / 2**30
    except OSError as error:
        return Check("home", False, f"{home}: {error.strerror}", mend)
    ok = free >= _FREE_GIB
    detail = f"{home} ({free:.1f} GiB free)"
    return Check("home", ok, detail, "" if ok else f"free {_FREE_GIB:g} GiB, or {mend}")


def check_database(settings: Settings) -> Check:
    """Check that the run database opens, has this version's schema and is whole."""
    from nereus.memory.database import Database
    from nereus.memory.runs import RunRepository

    try:
        with closing(Database(settings.database_url)) as database:
            problems = database.problems()
            runs = len(RunRepository(database).list_runs())
            size = database.size()
            held = f"{database.shown_url}, schema {database.revision()}, {runs} runs{_mib(size)}"
    except NereusError as error:
        return Check("database", False, error.what, error.mend or "")
    if problems:
        mend = "copy the file, then start with a new one (NEREUS_DATABASE_URL); earlier reports stay whole"
        return Check("database", False, f"{held}: {'; '.join(problems[:3])}", mend)
    return Check("database", True, held)


def check_checkpoints(settings: Settings) -> Check:
    """Check that the checkpoints can be opened."""
    from nereus.memory.checkpoints import open_checkpoints, size
    from nereus.settings import mask_password

    try:
        with open_checkpoints(settings.checkpoint_url) as saver:
            next(iter(saver.list(None, limit=1)), None)
        held = size(settings.checkpoint_url)
    except NereusError as error:
        return Check("checkpoints", False, error.what, error.mend or "")
    return Check("checkpoints", True, f"{mask_password(settings.checkpoint_url)}{_mib(held)}")


def check_vectors(settings: Settings) -> Check:
    """Check that the vector index can be used, and say who owns it."""
    from nereus.memory.database import Database
    from nereus.memory.runs import RunRepository
    from nereus.memory.vectors import VectorIndex

    place = settings.vector_url or str(settings.vector_path)
    try:
        with (
            closing(Database(settings.database_url)) as database,
            VectorIndex(RunRepository(database), settings.vector_path, settings.vector_url) as index,
        ):
            count, owner = index.count(), index.owner()
            if owner is not None:
                who = f"process {owner.pid} on {owner.host} since {owner.started}"
                told = f"{place}, owned by {who}; others search the database"
                return Check("vectors", True, told, figures={"texts": count})
            lag = sum(index.lag().values()) if count else 0
            figures = {"texts": count, "lag": lag}
            held = f"{count} texts remembered" if count else "nothing is remembered yet"
            held += f", {lag} not yet in the index" if lag else ""
            if index.notices:
                mend = "start the server, or unset NEREUS_VECTOR_URL" if settings.vector_url else _REINDEX
                return Check("vectors", False, f"{place}: {index.notices[0]}", mend, figures)
    except NereusError as error:
        return Check("vectors", False, f"{place}: {error.what}", error.mend or "")
    return Check("vectors", True, f"{place}, {held}", figures=figures)


def check_data(settings: Settings) -> Check:
    """Check the folder of public data sets, which only some tests and benchmarks need."""
    if settings.data is None:
        return Check("data", True, "NEREUS_DATA is not set: some tests and benchmarks are skipped")
    if not settings.data.is_dir():
        return Check(
            "data", False, f"{settings.data} is no folder", "set NEREUS_DATA to the folder, or unset it"
        )
    return Check("data", True, f"{settings.data} ({sum(1 for _ in settings.data.iterdir())} entries)")


def check_llm(settings: Settings, reach: bool = False) -> Check:
    """Check what the settings say about a language model; ask whether it answers only with `reach`."""
    if settings.llm_model is None:
        return Check("language model", True, "no: the embedded rules decide, nothing leaves this machine")
    where = settings.llm_base_url or "the provider's own address"
    used = "decides" if settings.asks_model else "is configured, but the embedded rules decide"
    detail = f"yes: {settings.llm_model} at {where} {used}"
    if find_spec("langchain_openai") is None:
        return Check(
            "language model", False, f"{detail}; its client is not installed", "pip install -e '.[llm]'"
        )
    if not reach or settings.llm_base_url is None:
        return Check("language model", True, detail)
    request = Request(settings.llm_base_url.rstrip("/") + "/models")
    if settings.llm_api_key is not None:
        request.add_header("Authorization", f"Bearer {settings.llm_api_key.get_secret_value()}")
    try:
        with urlopen(request, timeout=5) as reply:
            return Check("language model", True, f"{detail}; it answers ({reply.status})")
    except HTTPError as error:
        # Some servers do not list their models; only a refused key tells that it cannot be used.
        refused = error.code in (401, 403)
        mend = "set NEREUS_LLM_API_KEY" if refused else ""
        return Check(
            "language model", not refused, f"{detail}; it answers ({error.code} {error.reason})", mend
        )
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        mend = "start the server, or set NEREUS_LLM_BASE_URL"
        return Check("language model", False, f"{detail}; it does not answer: {reason}", mend)


def check_sandbox(settings: Settings) -> Check:
    """Check how strong the sandbox is in which code would run, by starting something in each of its layers."""
    from nereus.tools.code.layers import Grade, available, grade, probed

    wanted = Grade(settings.sandbox_grade)
    best = available()[0]
    found = grade(best)
    others = ", ".join(one.value for one in available()[1:]) or "nothing else"
    detail = f"{found.value}: {best.value} ({others} would do beside it); code needs {wanted.value} or better"
    figures = {"grade": found.rank, "wanted": wanted.rank}
    if found.rank >= wanted.rank:
        return Check("sandbox", True, detail, figures=figures)
    absent = "; ".join(f"{one.value}: {why}" for one, why in probed().items() if why)
    mend = "install bubblewrap (apt-get install bubblewrap); until then code is refused and all else works"
    return Check("sandbox", False, f"{detail}. {absent}", mend, figures)


def check_gpu() -> Check:
    """Check for a GPU. The base install needs none, so its absence is no fault; a broken torch is one.

    Torch is looked at in a process of its own: importing it here would take two seconds, and a torchvision
    that was built for another torch breaks every import after it.
    """
    if find_spec("torch") is None:
        return Check("gpu", True, "no: torch is not installed, and the main job does not need it")
    ok, told = _in_a_process(_PROBE)
    if not ok:
        return Check(
            "gpu", False, f"torch does not import: {told}", "install it again: pip install -e '.[models]'"
        )
    found = json.loads(told)
    device = ", ".join(found["gpus"]) or ("Apple GPU" if found["mps"] else "")
    detail = f"yes: {device}" if device else "no: models run on the processor"
    detail = f"{detail} (torch {found['version']})"
    if find_spec("torchvision") is not None:
        ok, told = _in_a_process("import torchvision; print('ok')")
        if not ok:
            return Check(
                "gpu",
                False,
                f"{detail}; torchvision does not fit this torch ({told}), which breaks transformers",
                "pip uninstall torchvision (Nereus does not use it), or install the one built for this torch",
            )
    return Check("gpu", True, detail)


def _in_a_process(code: str) -> tuple[bool, str]:
    """Run a few lines; (whether it ended well, last line of what it said)."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return False, "no answer in 120 s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1][:300] if lines else f"ended with code {done.returncode}"


def _mib(size: int | None) -> str:
    return "" if size is None else f", {size / 2**20:.1f} MiB"
