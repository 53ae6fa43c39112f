"""Offline: no socket of this process goes anywhere but to this machine and to the hosts that the settings name.

The interpreter tells of every connection and every question for an address before it is made (PEP 578); what is not allowed is
refused there, whichever library asks. Programs that we start carry the setting with them. What the interpreter does not see are
sockets that compiled code opens by itself: of ours that is the database's driver, whose address the settings check.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nereus.errors import NereusError

if TYPE_CHECKING:
    from nereus.settings import Settings

_NAMES_OF_THIS_MACHINE = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})
_ASKED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")
_allowed: set[str] | None = None
_hooked = False


class OfflineError(NereusError, OSError):
    """A connection was refused because `offline` is set."""


def enforce(settings: Settings) -> None:
    """Block this process, if the settings say so: from now on and for good. Asked again, it adds the hosts of the settings."""
    if not settings.offline:
        return
    os.environ["NEREUS_OFFLINE"] = "true"  # for what we start
    block(settings.offline_hosts)


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
    _allowed = (_allowed or set()) | numbers
    if not _hooked:
        sys.addaudithook(_refuse)
        _hooked = True


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
    elif event in _ASKED:
        host = arguments[0]
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
