"""With `offline`, nothing leaves this machine, whoever asks: tried in processes of their own, which stay blocked for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRY = """
import json, os, socket, sys, asyncio, threading, urllib.request
from nereus.settings import load_settings
from nereus import offline

def tried(work):
    try:
        work()
    except offline.OfflineError as error:
        return "refused: " + error.what
    except BaseException as error:
        cause = error
        while cause is not None:
            if isinstance(cause, offline.OfflineError):
                return "refused: " + cause.what
            cause = getattr(cause, "reason", None) if isinstance(getattr(cause, "reason", None), BaseException) else (
                cause.__cause__ or cause.__context__)
        return f"went out: {type(error).__name__}: {error}"
    return "went out"

def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        one.connect(address)

def send(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", address)

def httpx_get():
    import httpx
    httpx.get("http://192.0.2.1/", timeout=2)

def openai_call():
    import openai
    openai.OpenAI(api_key="x", base_url="http://api.example.org/v1", max_retries=0, timeout=2).models.list()

def of_loop():
    async def go():
        await asyncio.wait_for(asyncio.open_connection("192.0.2.1", 80), 2)
    asyncio.run(go())

def in_thread():
    found = []
    one = threading.Thread(target=lambda: found.append(tried(lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))))
    one.start(); one.join()
    if not found[0].startswith("refused"):
        raise RuntimeError(found[0])
    raise offline.OfflineError(found[0])

WAYS = {
    "tcp": lambda: connect(socket.AF_INET, ("192.0.2.1", 80)),
    "tcp6": lambda: connect(socket.AF_INET6, ("2001:db8::1", 80)),
    "mapped": lambda: connect(socket.AF_INET6, ("::ffff:192.0.2.1", 80)),
    "udp": lambda: send(socket.AF_INET, ("192.0.2.1", 53)),
    "udp connected": lambda: connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM),
    "connect_ex": lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    "name": lambda: socket.getaddrinfo("example.org", 80),
    "name bytes": lambda: socket.getaddrinfo(b"example.org", 80),
    "gethostbyname": lambda: socket.gethostbyname("example.org"),
    "create_connection": lambda: socket.create_connection(("example.org", 80), 2),
    "urllib": lambda: urllib.request.urlopen("http://example.org/", timeout=2),
    "httpx": httpx_get,
    "openai": openai_call,
    "asyncio": of_loop,
    "thread": in_thread,
    "name of a number": lambda: socket.getnameinfo(("192.0.2.1", 80), 0),
}
"""


def run(code: str, tmp_path: Path, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", TRY + code],
        env={**os.environ, "NEREUS_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_leaves_this_machine_whoever_asks(tmp_path: Path) -> None:
    found = run(
        "offline.enforce(load_settings())\nprint(json.dumps({name: tried(work) for name, work in WAYS.items()}))",
        tmp_path,
        NEREUS_OFFLINE="true",
    )
    assert len(found) == 16
    assert not {name: said for name, said in found.items() if not said.startswith("refused")}


def test_without_the_setting_nothing_is_refused(tmp_path: Path) -> None:
    found = run(
        "offline.enforce(load_settings())\nprint(json.dumps([offline.blocked(), tried(WAYS['udp'])]))",
        tmp_path,
    )
    assert found[0] is False
    assert not found[1].startswith("refused")


UVLOOP = """
async def stream():
    await asyncio.wait_for(asyncio.open_connection("192.0.2.1", 80), 2)

async def name():
    await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("example.org", 80), 2)

async def datagrams():
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("192.0.2.1", 53))

async def plain_socket():
    with socket.socket() as one:
        one.setblocking(False)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(one, ("192.0.2.1", 80)), 2)

async def client():
    import httpx
    async with httpx.AsyncClient(timeout=2) as one:
        await one.get("http://192.0.2.1/")

async def here():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    await asyncio.open_connection(*server.sockets[0].getsockname())

found = {}
for work in (stream, name, datagrams, plain_socket, client, here):
    loop = uvloop.new_event_loop()
    found[work.__name__] = tried(lambda: loop.run_until_complete(work()))
"""


def test_a_loop_that_opens_its_sockets_unseen_asks_first(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    code = f"import uvloop\noffline.enforce(load_settings()){UVLOOP}\nprint(json.dumps(found))"
    found = run(code, tmp_path, NEREUS_OFFLINE="true")
    assert found.pop("here") == "went out"
    assert not {name: said for name, said in found.items() if not said.startswith("refused")}


def test_a_loop_that_is_not_loaded_yet_is_not_taken(tmp_path: Path) -> None:
    """As the server asks for its loop: uvicorn takes asyncio's own where uvloop cannot be had."""
    code = """
offline.enforce(load_settings())
import uvicorn
loop = uvicorn.Config(lambda *_: None).get_loop_factory()()
print(json.dumps(type(loop).__module__))
"""
    assert run(code, tmp_path, NEREUS_OFFLINE="true").startswith("asyncio")


def test_a_proxy_on_this_machine_is_no_way_out(tmp_path: Path) -> None:
    code = """
listening = socket.create_server(("127.0.0.1", 0))
listening.settimeout(0.5)
proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ[name] = proxy
offline.enforce(load_settings())
said = [tried(WAYS[name]) for name in ("urllib", "httpx")]
try:
    listening.accept()
    asked = True
except TimeoutError:
    asked = False
print(json.dumps([asked, said, [one for one in os.environ if one.lower().endswith("_proxy")]]))
"""
    asked, said, left = run(code, tmp_path, NEREUS_OFFLINE="true", NO_PROXY="", no_proxy="")
    assert not asked
    assert all(one.startswith("refused") for one in said)
    assert [one for one in left if one.lower() != "no_proxy"] == []


def test_programs_of_ours_that_read_no_settings_block_themselves(tmp_path: Path) -> None:
    """The server that `nereus llm serve` starts, and whatever else takes the setting over from the environment."""
    child = (
        TRY
        + "\noffline.inherit()\nprint(json.dumps([offline.blocked(), tried(WAYS['tcp']), tried(WAYS['udp'])]))"
    )
    code = f"""
import subprocess
from nereus.models.llm.serving import plan
offline.enforce(load_settings())
child = subprocess.run([sys.executable, "-c", {child!r}], capture_output=True, text=True).stdout.splitlines()[-1]
os.makedirs("model", exist_ok=True)
open("model/config.json", "w").write("{{}}")
how = plan("model", engine="transformers", gpu=False)
print(json.dumps([json.loads(child), how.command[2], how.environment]))
"""
    (tmp_path / "nereus.toml").write_text('offline = true\noffline_hosts = ["192.0.2.9"]\n')
    (held, tcp, udp), start, environment = run(f"os.chdir({str(tmp_path)!r})\n{code}", tmp_path)
    assert held
    assert tcp.startswith("refused")
    assert udp.startswith("refused")
    assert "nereus.offline.inherit()" in start
    assert environment["HF_HUB_OFFLINE"] == environment["DO_NOT_TRACK"] == "1"


def test_this_machine_and_hosts_that_are_named_are_let_through(tmp_path: Path) -> None:
    code = """
offline.enforce(load_settings())
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
here = [tried(lambda: connect(socket.AF_INET, ("127.0.0.1", port))),
        tried(lambda: socket.create_connection(("localhost", port), 2)),
        tried(lambda: socket.socketpair())]
named = tried(lambda: send(socket.AF_INET, ("192.0.2.7", 9)))
print(json.dumps([here, named, tried(WAYS["tcp"])]))
"""
    here, named, other = run(code, tmp_path, NEREUS_OFFLINE="true", NEREUS_OFFLINE_HOSTS='["192.0.2.7"]')
    assert here == ["went out"] * 3
    assert not named.startswith("refused")
    assert other.startswith("refused")


@pytest.mark.parametrize(
    "enter",
    [
        "from nereus.memory.workspace import open_workspace\nwith open_workspace(load_settings()): pass",
        "from nereus.models.llm import chat_model\nchat_model(load_settings())",
        "from nereus.models.llm import embeddings\nembeddings(load_settings())",
    ],
    ids=["stores", "chat model", "embeddings"],
)
def test_every_way_in_blocks_and_programs_that_are_started_inherit_it(enter: str, tmp_path: Path) -> None:
    child = "import os; print(os.environ.get('NEREUS_OFFLINE'))"
    code = f"""
{enter}
import subprocess
child = subprocess.run([sys.executable, "-c", {child!r}], capture_output=True, text=True).stdout.strip()
print(json.dumps([offline.blocked(), tried(WAYS["tcp"]), child]))
"""
    (tmp_path / "nereus.toml").write_text("offline = true\n")
    held, said, child_said = run(code, tmp_path)
    assert held
    assert said.startswith("refused")
    assert child_said == "true"


def test_a_model_at_another_host_is_refused_by_the_settings(tmp_path: Path) -> None:
    from nereus.errors import SettingsError
    from nereus.settings import load_settings

    with pytest.raises(SettingsError, match="names the host"):
        load_settings(home=tmp_path, offline=True, llm_model="m", llm_base_url="http://models.example.org/v1")
    named = load_settings(
        home=tmp_path,
        offline=True,
        llm_model="m",
        llm_base_url="http://models.example.org/v1",
        offline_hosts=("models.example.org",),
    )
    assert named.offline_hosts == ("models.example.org",)
