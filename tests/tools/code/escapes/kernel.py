# ruff: noqa: SIM905 - an attempt is one line of text, however long
"""Networks, and interfaces of the kernel by number."""

from __future__ import annotations

import platform

from nereus.tools.code.inside.syscalls import NUMBERS
from tests.tools.code.escapes.attempt import BOTH, CALLS, FILES, add

# ---------------------------------------------------------------------------------------------- network
add("TCP", "import socket\nsocket.create_connection(('127.0.0.1', tcp), 2)\nescaped = True", CALLS)
add(
    "UDP",
    "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))\nescaped = True",
    CALLS,
)
add("unix socket", "import socket\nsocket.socket(socket.AF_UNIX).connect(unix)\nescaped = True", CALLS)
add(
    "abstract unix socket",
    "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + abstract)\nescaped = True",
    CALLS,
)
add(
    "urllib",
    "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{tcp}/', timeout=2)\nescaped = True",
    CALLS,
    None,
    control="the canary speaks no HTTP",
)
add(
    "listen",
    "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nescaped = True",
    CALLS,
)
add(
    "raw socket",
    "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\nescaped = True",
    CALLS,
    control="root",
)
add("netlink", "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\nescaped = True", CALLS)
add("libc socket", "import ctypes\nescaped = ctypes.CDLL(None).socket(2, 1, 0) >= 0", None)
add(
    "names of hosts",
    "import socket\nescaped = bool(socket.gethostbyname('localhost'))",
    CALLS,
    None,
    control="answers from a file",
)
add(
    "asyncio", "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', tcp))\nescaped = True", CALLS
)


# ----------------------------------------------------------------------------- interfaces of the kernel by number
_REACHED = """
import ctypes, errno
c = ctypes.CDLL(None, use_errno=True)
r = c.syscall({number}, 0, 0, 0, 0, 0, 0)
escaped = r >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)
"""
_COLUMN = 1 if platform.machine() in ("aarch64", "arm64") else 0
for _name in (
    "bpf keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter perf_event_open kexec_load init_module "
    "finit_module delete_module reboot swapon mount umount2 pivot_root chroot setns unshare open_by_handle_at fsopen "
    "open_tree move_mount process_vm_readv process_vm_writev pidfd_open pidfd_getfd fanotify_init acct settimeofday "
    "ptrace quotactl name_to_handle_at msgget semget mq_open io_setup"
).split():
    add(f"kernel: {_name}", _REACHED.format(number=NUMBERS[_name][_COLUMN]), None, control="root", below=True)
add(
    "settings of the kernel",
    "open('/proc/sys/kernel/core_pattern', 'r+').close()\nescaped = True",
    FILES,
    CALLS,
    control="root",
)
add("memory of the first process", "open('/proc/1/mem', 'r+b')\nescaped = True", *BOTH, control="root")
add(
    "hide from the opener",
    "import ctypes\nescaped = ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0",
    None,
    below=True,
)
add(
    "a filter of its own",
    "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nc.prctl(22, 2, 0, 0, 0)\nescaped = ctypes.get_errno() not in (1, 13)",
    None,
    below=True,
)
add(
    "open files of a thread's own",
    "import ctypes, os\nfd = os.dup(2)\nescaped = ctypes.CDLL(None).syscall(436, fd, fd, 2) == 0",
    None,
    control="depends on the kernel",
    below=True,
)
add(
    "a lease that stops others from writing",
    "import fcntl, os\nfcntl.fcntl(os.open(os.__file__, os.O_RDONLY), 1024, fcntl.F_RDLCK)\nescaped = True",
    CALLS,
    control="would stop who installs packages",
    below=True,
)
add(
    "socket of virtual machines",
    "import socket\nsocket.socket(40, 1, 0)\nescaped = True",
    CALLS,
    control="depends on the kernel",
)
add(
    "watch a folder outside",
    "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nfd = c.inotify_init1(0)\n"
    "escaped = c.inotify_add_watch(fd, outside.encode(), 0xFFF) >= 0",
    None,
)
add(
    "attributes of a file outside",
    "import os\nescaped = isinstance(os.listxattr(secret), list)",
    *BOTH,
    control="depends on the file system",
)
add(
    "write all disks of the machine",
    f"import ctypes\nescaped = ctypes.CDLL(None).syscall({NUMBERS['sync'][_COLUMN]}) == 0",
    None,
    control="would slow everybody down",
    below=True,
)
add(
    "set-user-id from its birth",
    "import os\nos.umask(0)\nos.close(os.open('born', os.O_CREAT | os.O_WRONLY, 0o4755))\n"
    "escaped = bool(os.stat('born').st_mode & 0o6000)",
    CALLS,
    below=True,
)
add("files in memory", "import os\nos.memfd_create('x')\nescaped = True", CALLS, below=True)
