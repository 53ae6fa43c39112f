"""Offline: no socket of this process goes anywhere but to this machine and to the hosts that the settings name.

The interpreter tells of every connection and every question for an address before it is made (PEP 578); what is not allowed is
refused there, whichever library asks. Proxies that the environment names are dropped: one on this machine would be a way out.
Programs of ours that we start carry the setting with them and block themselves. What the interpreter does not see are sockets
that compiled code opens by itself (of ours that is the database's driver, whose address the settings check), and programs of
others (vLLM, MCP servers), which only get the setting and what asks their libraries to stay offline.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nereus.errors import NereusError

if TYPE_CHECKING:
    from nereus.settings import Settings

_NAMES_OF_THIS_MACHINE = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})
_ASKED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_NAMED = "socket.getnameinfo"
_SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "ws_proxy", "wss_proxy", "all_proxy")
FOR_OTHERS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
"""What asks libraries of others to stay offline."""
_ARGUMENTS = {
    "create_connection": ("protocol_factory", "host", "port"),
    "getaddrinfo": ("host", "port"),
    "create_datagram_endpoint": ("protocol_factory", "local_addr", "remote_addr"),
    "sock_connect": ("sock", "address"),
    "sock_sendto": ("sock", "data", "address"),
    "getnameinfo": ("sockaddr", "flags"),
}
"""What an event loop is asked for a connection with, in order."""
_allowed: set[str] | None = None
_hooked = False


class OfflineError(NereusError, OSError):
    """A connection was refused because `offline` is set."""


def enforce(settings: Settings) -> None:
    """Block this process, if the settings say so: from now on and for good. Asked again, it adds the hosts of the settings."""
    if not settings.offline:
        return
    for name, value in FOR_OTHERS.items():
        os.environ.setdefault(name, value)
    os.environ["NEREUS_OFFLINE"] = "true"  # for what we start
    os.environ["NEREUS_OFFLINE_HOSTS"] = json.dumps(list(settings.offline_hosts))
    block(settings.offline_hosts)


def inherit() -> None:
    """Block this process if the one that started it was blocked: for programs of ours that read no settings."""
    if os.environ.get("NEREUS_OFFLINE", "").casefold() not in ("true", "1", "yes", "on", "t", "y"):
        return
    try:
        hosts = json.loads(os.environ.get("NEREUS_OFFLINE_HOSTS") or "[]")
    except ValueError:
        hosts = []
    block([str(one) for one in hosts] if isinstance(hosts, list) else [])


def block(hosts: Iterable[str] = ()) -> None:
    """Refuse every address but this machine's and those of `hosts`.

    Parameters
    ----------
    hosts
        Names or numbers of hosts that may be reached. Numbers of a name are those that it has now.
    """
    global _allowed, _hooked
    numbers: set[str] = set()
    for host in hosts:
        numbers.add(host.casefold())
        try:
            numbers |= {str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)}
        except OSError:  # it may get an address later: its name stays allowed
            continue
    for name in [one for one in os.environ if one.casefold() in _PROXIES]:
        del os.environ[name]
    _allowed = (_allowed or set()) | numbers
    if not _hooked:
        sys.addaudithook(_refuse)
        _watch_uvloop()
        _hooked = True


def _watch_uvloop() -> None:
    """The one event loop of ours that opens sockets in compiled code, unseen: it is loaded no more, or asks here first."""
    if "uvloop" not in sys.modules:
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # importing it fails, and asyncio's own loop is taken
        return
    loop: Any = sys.modules["uvloop"].Loop

    def asks(name: str, host_in: Callable[[dict[str, Any]], Any]) -> None:
        whole = getattr(loop, name)
        names = _ARGUMENTS[name]

        def asked(self: Any, *values: Any, **named: Any) -> Any:
            host = host_in(dict(zip(names, values, strict=False)) | named)
            if isinstance(host, bytes):
                host = host.decode("ascii", "replace")
            if isinstance(host, str) and not allowed(host):
                raise _error(host)
            return whole(self, *values, **named)

        setattr(loop, name, asked)

    def first_of(name: str) -> Callable[[dict[str, Any]], Any]:
        return lambda given: (given.get(name) or (None,))[0] if isinstance(given.get(name), tuple) else None

    for name in ("create_connection", "getaddrinfo"):
        asks(name, lambda given: given.get("host"))
    asks("create_datagram_endpoint", first_of("remote_addr"))
    for name in ("sock_connect", "sock_sendto"):
        asks(name, first_of("address"))
    asks("getnameinfo", first_of("sockaddr"))


def blocked() -> bool:
    """Whether this process is blocked."""
    return _allowed is not None


def allowed(host: str) -> bool:
    """Whether a host may be reached while blocked: this machine, or one that was named."""
    name = host.casefold().partition("%")[0].strip("[]").rstrip(".")
    if name in _NAMES_OF_THIS_MACHINE or (_allowed is not None and name in _allowed):
        return True
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(number, "ipv4_mapped", None) or number
    return mapped.is_loopback or mapped.is_unspecified


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _SENT:
        _check(arguments[0], arguments[1])
    elif event in _ASKED or event == _NAMED:
        host = arguments[0][0] if event == _NAMED else arguments[0]
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if text is not None and not allowed(str(text)):
            raise _error(str(text))


def _check(opened: Any, address: Any) -> None:
    """Refuse an address of the internet that is not allowed. Sockets of this machine's own kinds (files) are let through."""
    family = getattr(opened, "family", None)
    if family == getattr(socket, "AF_UNIX", object()) or address is None or isinstance(address, str | bytes):
        return
    if isinstance(address, tuple) and address and family in (socket.AF_INET, socket.AF_INET6):
        host = address[0].decode() if isinstance(address[0], bytes) else str(address[0])
        if not allowed(host):
            raise _error(host)
    elif family not in (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_NETLINK", None)):
        raise _error(repr(address))


def _error(host: str) -> OfflineError:
    return OfflineError(
        f"{host!r} is outside this machine",
        where="offline",
        mend="unset NEREUS_OFFLINE, or name the host in NEREUS_OFFLINE_HOSTS",
    )
