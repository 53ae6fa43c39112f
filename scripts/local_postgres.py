"""A PostgreSQL server of one's own on this machine: for trying Nereus with one, for the tests and for benchmarks.

``python scripts/local_postgres.py serve FOLDER [--port 5433]`` makes a server in the folder (or starts the one that is
there), prints the settings that name it, and runs it until it is interrupted. It listens on the loopback address only
and trusts whoever is on this machine, so it is not for a machine that strangers use.

The programs come from the system (``apt-get install postgresql``, ``brew install postgresql@17``); nothing is
downloaded. A server refuses to be run by root: root's is run by the user ``postgres``, or ``nobody``.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = "nereus"
READY_S = 60.0
_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


class NoServerError(Exception):
    """No server can be run here; says why."""


def programs() -> Path:
    """Find the folder of ``initdb`` and ``postgres``, the newest version first."""
    found = [Path(one) for place in _PLACES for one in Path("/").glob(place.lstrip("/"))]
    found.sort(key=lambda folder: int((re.findall(r"\d+", str(folder)) or ["0"])[-1]), reverse=True)
    on_path = shutil.which("initdb")
    for folder in ([Path(on_path).resolve().parent] if on_path else []) + found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoServerError("no PostgreSQL programs are here: apt-get install postgresql")


def _as_user() -> dict[str, Any]:
    """Arguments of `subprocess` that leave root behind."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise NoServerError("PostgreSQL refuses to be run by root, and there is no user 'postgres' or 'nobody'")


def free_port() -> int:
    """Find a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, port: int, safe: bool = True) -> Iterator[str]:
    """Run the server in `folder`, made when it is new; gives the URL of its database.

    Parameters
    ----------
    folder
        Its own; below folders that everybody may enter, where root starts it.
    port
        On the loopback address.
    safe
        False leaves out the writing through to the disk, for tests: a crash of the machine may damage it.

    Raises
    ------
    NoServerError
        The programs are not here, or it does not start; says why.
    """
    binaries, other = programs(), _as_user()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if other:
        os.chown(folder, other["user"], other["group"])
    data = folder / "data"
    common: dict[str, Any] = {
        "cwd": folder,
        "env": {**os.environ, "HOME": str(folder), "LC_ALL": "C"},
        **other,
    }
    if not (data / "PG_VERSION").exists():
        _initialise(binaries, data, common)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(port)]
    if not safe:
        options += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    log = folder / "server.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *options], stdout=stream, stderr=stream, **common
        )
    try:
        url = f"postgresql://{NAME}@127.0.0.1:{port}/{NAME}"
        _wait(process, port, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # ends at once, in good order; SIGTERM would wait for clients
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _initialise(binaries: Path, data: Path, common: dict[str, Any]) -> None:
    command = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        NAME,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False, **common)
    if made.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise NoServerError(f"initdb failed: {(made.stderr or made.stdout).strip().splitlines()[-1]}")


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server answers, and make the database."""
    import psycopg

    ends = time.monotonic() + READY_S
    while True:
        try:
            with psycopg.connect(
                f"postgresql://{NAME}@127.0.0.1:{port}/postgres", autocommit=True
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,)).fetchone()
                if known is None:
                    # A collation as people have it: what depends on the order of bytes would show.
                    options = "TEMPLATE template0 ENCODING 'UTF8'"
                    if connection.info.server_version >= 150000:
                        options += " LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
                    connection.execute(f"CREATE DATABASE {NAME} {options}")
                return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > ends:
                told = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise NoServerError(
                    f"the server does not start: {error}; it said: {' / '.join(told)}"
                ) from error
            time.sleep(0.05)


@contextmanager
def temporary_server() -> Iterator[str]:
    """Run a server for tests and benchmarks; gives its URL, and leaves nothing behind."""
    with (
        tempfile.TemporaryDirectory(prefix="nereus-postgres-", ignore_cleanup_errors=True) as name,
        server(Path(name), free_port(), safe=False) as url,
    ):
        yield url


def main() -> None:
    """Run a server until it is interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=5433)
    arguments = parser.parse_args()
    try:
        with server(arguments.folder, arguments.port) as url:
            sys.stdout.write(f"export NEREUS_DATABASE_URL={url}\n# running; end it with Ctrl+C\n")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
            sys.stdout.write("# ended; what it holds stays in the folder\n")
    except NoServerError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
