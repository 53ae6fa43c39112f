# ruff: noqa: E501, SIM905 - an attempt is one line of text, however long
"""Attempts to get out of the sandbox, or to take more than is allowed. Each sets `escaped` where it got what it wanted.

Each is written against canaries of the test (a file, sockets, a process, a variable of the environment), so that it does
no harm where nothing holds it: the tests run it there, too, to show that it would have worked.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereus.tools.code.inside.syscalls import NUMBERS
from nereus.tools.code.outcome import Stop

FILES, CALLS = Stop.FILES, Stop.CALLS
BOTH = frozenset({FILES, CALLS})


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes
    ----------
    by
        What may stop it; None among them: it runs to its end and finds nothing.
    control
        ``any``: works where nothing holds it. ``root``: only for root. A longer text: why it is not tried there.
    alone
        Needs a sandbox of its own: it ends its process, or breaks the channel.
    limits
        Limits under which it runs alone.
    below
        Whether it is also stopped where only limits hold (grade ``limited``).
    """

    name: str
    code: str
    by: frozenset[Stop | None]
    control: str = "any"
    alone: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    below: bool = False


ATTEMPTS: list[Attempt] = []


def add(name: str, code: str, *by: Stop | None, **options: Any) -> None:
    """Put an attempt on the list."""
    ATTEMPTS.append(Attempt(name, code.strip(), frozenset(by), **options))


# ------------------------------------------------------------------------------------------- reading files
add("open a file outside", "escaped = token in open(secret).read()", FILES)
add("os.open", "import os\nescaped = token in os.read(os.open(secret, 0), 99).decode()", FILES)
add("io.FileIO", "import io\nescaped = token in io.FileIO(secret).read().decode()", FILES)
add("pathlib", "import pathlib\nescaped = token in pathlib.Path(secret).read_text()", FILES)
add("linecache", "import linecache\nescaped = token in ''.join(linecache.getlines(secret))", None)
add("relative path", "import os\nescaped = token in open(os.path.relpath(secret)).read()", FILES, CALLS)
add(
    "symbolic link out",
    "import os\nos.symlink(secret, 'out1')\nescaped = token in open('out1').read()",
    FILES,
)
add(
    "link to a folder out",
    "import os\nos.symlink(outside, 'out2')\nescaped = bool(os.listdir('out2'))",
    FILES,
)
add("hard link in", "import os\nos.link(secret, 'hard')\nescaped = token in open('hard').read()", *BOTH)
add("/proc/self/root", "escaped = token in open('/proc/self/root' + secret).read()", FILES)
add("/proc/1/root", "escaped = token in open('/proc/1/root' + secret).read()", FILES, CALLS, control="root")
add(
    "/proc/self/cwd",
    "escaped = token in open('/proc/self/cwd/../../../../../../../../../..' + secret).read()",
    FILES,
)
add(
    "descriptor of the root",
    "import os\nd = os.open('/', os.O_RDONLY | os.O_DIRECTORY)\nescaped = token in os.read(os.open(secret[1:], 0, dir_fd=d), 99).decode()",
    FILES,
)
add("change folder", "import os\nos.chdir(outside)\nescaped = bool(os.listdir('.'))", FILES)
add("list a folder", "import os\nescaped = bool(os.listdir(outside))", FILES)
add("walk a folder", "import os\nescaped = any(files for _, _, files in os.walk(outside))", None)
add("glob", "import glob\nescaped = bool(glob.glob(outside + '/*'))", None)
add(
    "libc open",
    "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nfd = c.open(secret.encode(), 0)\nb = ctypes.create_string_buffer(99)\nc.read(fd, b, 99)\nescaped = token in b.value.decode()",
    None,
)
add(
    "openat2 by number",
    "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nhow = (ctypes.c_uint64 * 3)(0, 0, 0)\nfd = c.syscall(437, -100, secret.encode(), how, 24)\nescaped = fd >= 0",
    None,
)
add(
    "import from outside",
    "import sys\nsys.path.insert(0, outside)\nimport canary_module\nescaped = canary_module.token == token",
    None,
    FILES,
)
add(
    "sqlite on a file outside",
    "import sqlite3\nsqlite3.connect(outside + '/made.db').execute('create table t(a)')\nescaped = True",
    None,
)
add("passwords", "escaped = 'root' in open('/etc/shadow').read()", FILES, control="root")
add("home folder of the user", "import os\nescaped = len(os.listdir(home)) > 1", FILES)
add("memory of this machine", "open('/dev/mem', 'rb')\nescaped = True", FILES, control="root")
add("kernel log", "open('/dev/kmsg', 'rb')\nescaped = True", FILES, control="root")
add(
    "a disk",
    "import os\nescaped = any(n[:2] in ('sd', 'vd') for n in os.listdir('/dev'))",
    None,
    FILES,
    control="depends on the machine",
)
add(
    "descriptors left open",
    "import os\nescaped = False\nfor fd in range(3, 1024):\n    try:\n        escaped = escaped or token in os.pread(fd, 99, 0).decode('latin1')\n    except OSError:\n        pass",
    None,
)
# ------------------------------------------------------------------------------------------- changing files
add("write a new file", "open(outside + '/made', 'w').write('x')\nescaped = True", FILES, CALLS)
add("overwrite", "open(secret, 'r+').write('x')\nescaped = True", FILES)
add("append", "open(secret, 'a').write('x')\nescaped = True", FILES)
add("cut by name", "import os\nos.truncate(secret, 0)\nescaped = True", *BOTH)
add("remove", "import os\nos.unlink(secret)\nescaped = True", *BOTH)
add("move in", "import os\nos.rename(secret, 'mine')\nescaped = True", *BOTH)
add("move out", "import os\nopen('z', 'w').close()\nos.rename('z', outside + '/z')\nescaped = True", *BOTH)
add("make a folder", "import os\nos.mkdir(outside + '/folder')\nescaped = True", *BOTH)
add("make a link outside", "import os\nos.symlink('x', outside + '/link')\nescaped = True", *BOTH)
add("permissions", "import os\nos.chmod(secret, 0o666)\nescaped = True", *BOTH)
add("owner", "import os\nos.chown(secret, os.getuid(), -1)\nescaped = True", *BOTH)
add("times", "import os\nos.utime(secret, (1, 1))\nescaped = True", *BOTH)
add(
    "attributes",
    "import os\nos.setxattr(secret, 'user.x', b'x')\nescaped = True",
    *BOTH,
    control="depends on the file system",
)
add("named pipe", "import os\nos.mkfifo(outside + '/pipe')\nescaped = True", *BOTH)
add(
    "device in the work folder",
    "import os, stat\nos.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0))\nescaped = True",
    *BOTH,
    control="root",
)
add(
    "set-user-id in the work folder",
    "import os\nopen('s', 'w').close()\nos.chmod('s', 0o4755)\nescaped = True",
    *BOTH,
)
add("temporary files of the system", "open(shared + '/made', 'w').close()\nescaped = True", FILES)
add("shared memory", "open('/dev/shm/' + token, 'w').close()\nescaped = True", FILES)
add(
    "the interpreter's packages",
    "import os, sysconfig\nopen(os.path.join(sysconfig.get_path('purelib'), token + '.pth'), 'w').close()\nescaped = True",
    FILES,
    control="would write into this installation",
)
add("the interpreter's library", "import os\nopen(os.__file__, 'a').close()\nescaped = True", FILES)
add(
    "permissions of the library",
    "import os\nos.chmod(os.__file__, os.stat(os.__file__).st_mode)\nescaped = True",
    *BOTH,
)
# ---------------------------------------------------------------------------------------------- secrets
add("environment", "import os\nescaped = token in str(dict(os.environ))", None)
add(
    "getenv of libc",
    "import ctypes\nc = ctypes.CDLL(None)\nc.getenv.restype = ctypes.c_char_p\nescaped = token.encode() in (c.getenv(b'NEREUS_CANARY') or b'')",
    None,
)
add("own environment in /proc", "escaped = token in open('/proc/self/environ').read()", None, FILES)
add("environment of the opener", "escaped = token in open(f'/proc/{opener}/environ').read()", FILES, CALLS)
add(
    "environment of everybody",
    "import glob\nescaped = False\nfor f in glob.glob('/proc/[0-9]*/environ'):\n    try:\n        escaped = escaped or token in open(f).read()\n    except OSError:\n        pass",
    None,
)
add("command line of the opener", "escaped = bool(open(f'/proc/{opener}/cmdline').read())", FILES, CALLS)
add("open files of the opener", "import os\nescaped = bool(os.listdir(f'/proc/{opener}/fd'))", FILES, CALLS)
add("memory of the opener", "open(f'/proc/{opener}/mem', 'rb')\nescaped = True", FILES, CALLS, control="root")
add(
    "objects in memory",
    "import gc\nescaped = any(token in str(v) for o in gc.get_objects() if type(o) is dict for v in list(o.values()) if type(v) is str and v is not token and 'canary:' in v)",
    None,
    control="the opener keeps no such object where it runs by itself",
)
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
# ------------------------------------------------------------------------------------- processes and programs
MARK = "open(outside + '/ran', 'w').close()"
add(
    "subprocess",
    "import subprocess\nsubprocess.run(['/usr/bin/touch', outside + '/ran'], check=True)\nescaped = True",
    CALLS,
    below=True,
)
add("os.system", "import os\nescaped = os.system('touch ' + outside + '/ran') == 0", None, below=True)
add("os.popen", "import os\nescaped = os.popen('echo ' + token).read().strip() == token", CALLS, below=True)
add("fork", "import os\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nescaped = pid > 0", CALLS, below=True)
add(
    "fork bomb",
    "import os\nfor _ in range(bomb):\n    if os.fork() == 0:\n        os._exit(0)\nescaped = True",
    CALLS,
    below=True,
)
add(
    "posix_spawn", "import os\nescaped = os.posix_spawn('/usr/bin/true', ['true'], {}) > 0", CALLS, below=True
)
add(
    "multiprocessing",
    "import multiprocessing as m\np = m.get_context('fork').Process(target=print)\np.start()\np.join()\nescaped = True",
    CALLS,
    below=True,
)
add(
    "another program in its place",
    "import os\nos.execv('/usr/bin/touch', ['touch', outside + '/ran'])",
    CALLS,
    below=True,
)
add(
    "a program in memory",
    "import os\nfd = os.memfd_create('x')\nos.write(fd, open('/usr/bin/touch', 'rb').read())\nos.execv(f'/proc/self/fd/{fd}', ['touch', outside + '/ran'])",
    FILES,
    CALLS,
    below=True,
)
if platform.machine() == "x86_64":
    add(
        "clone by number",
        "import ctypes, os\nr = ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0)\nif r == 0:\n    os._exit(0)\nescaped = r > 0",
        None,
        below=True,
    )
    add(
        "calls of 32-bit programs",
        "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('53b867010000bb02000000b901000000ba00000000cd805bc3'))\n"
        "r = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()\nescaped = r >= 0",
        Stop.DIED,
        alone=True,
        control="depends on the kernel",
        below=True,
    )
    add(
        "calls of the x32 kind",
        "import ctypes\nescaped = ctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0) >= 0",
        None,
        control="depends on the kernel",
        below=True,
    )
add(
    "walk to the os module",
    "c = [k for k in ().__class__.__base__.__subclasses__() if k.__name__ == '_wrap_close'][0]\nescaped = c.__init__.__globals__['system']('touch ' + outside + '/ran') == 0",
    None,
    below=True,
)
add(
    "pickle that runs a program",
    "import os, pickle\nclass P:\n    def __reduce__(self):\n        return os.system, ('touch ' + outside + '/ran',)\nescaped = pickle.loads(pickle.dumps(P())) == 0",
    None,
    below=True,
)
add(
    "builtins in disguise",
    "b = __builtins__\nf = (b if isinstance(b, dict) else vars(b))['__imp' + 'ort__']\nescaped = f('os').system('touch ' + outside + '/ran') == 0",
    None,
    below=True,
)
# --------------------------------------------------------------------------------------- other processes
add("kill a process", "import os\nos.kill(victim, 9)\nescaped = True", CALLS, below=True)
add("signal the opener", "import os\nos.kill(opener, 0)\nescaped = True", CALLS, below=True)
add("signal everybody", "import os\nos.kill(-1, 0)\nescaped = True", CALLS, below=True)
add("signal a group", "import os\nos.killpg(victim, 0)\nescaped = True", CALLS, below=True)
add(
    "pidfd",
    "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(victim), 0)\nescaped = True",
    CALLS,
    below=True,
)
add(
    "signal by the kernel",
    "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, victim)\nfcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'x')\nescaped = True",
    CALLS,
    below=True,
)
add(
    "limits of another",
    "import resource as r\nr.prlimit(victim, r.RLIMIT_CPU, (9, 9))\nescaped = True",
    CALLS,
    below=True,
)
add(
    "priority of another",
    "import os\nos.setpriority(os.PRIO_PROCESS, victim, 5)\nescaped = True",
    CALLS,
    below=True,
)
add("processor of another", "import os\nos.sched_setaffinity(victim, {0})\nescaped = True", CALLS, below=True)
add(
    "trace another",
    "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nc.ptrace.argtypes = [ctypes.c_long] * 4\nescaped = c.ptrace(0x4206, victim, 0, 0) == 0",
    None,
    control="root",
    below=True,
)
add(
    "memory that outlives",
    "import ctypes\nc = ctypes.CDLL(None)\ni = c.shmget(0, 4096, 0o1600)\nescaped = i >= 0\nc.shmctl(i, 0, None)",
    None,
    below=True,
)
add(
    "own limits",
    "import resource as r\nr.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))\nescaped = True",
    None,
    below=True,
)
add(
    "live on without the opener",
    "import ctypes\nescaped = ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
    None,
    below=True,
)
add("another user", "import os\nos.setuid(os.getuid())\nescaped = True", CALLS, below=True)
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
# ----------------------------------------------------------------------------------------------- resources
_BLOCK = "import os, time\nk = []\nb = b'x' * 2**20\n"
add(
    "files without a name",
    _BLOCK
    + "for i in range(40):\n    f = open('f', 'wb', 0)\n    os.unlink('f')\n    f.write(b)\n    k.append(f)\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    limits={"disk_mb": 5},
    control="would fill the disk",
    below=True,
)
add(
    "a file without a name in memory",
    _BLOCK
    + "import mmap\nwith open('f', 'w+b', 0) as f:\n    f.write(b * 40)\n    m = mmap.mmap(f.fileno(), 0)\nos.unlink('f')\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    limits={"disk_mb": 5},
    control="would fill the disk",
    below=True,
)
add(
    "files in a folder that is not to be listed",
    _BLOCK + "os.mkdir('d', 0o300)\nfor i in range(40):\n    open(f'd/{i}', 'wb').write(b)\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    limits={"disk_mb": 5},
    control="would fill the disk",
    below=True,
)
add(
    "processor time, its signal ignored",
    "import signal\nsignal.signal(24, signal.SIG_IGN)\nwhile True:\n    pass",
    Stop.CPU,
    alone=True,
    limits={"cpu_s": 0.2, "wall_s": 60},
    control="never ends",
    below=True,
)
add(
    "stop itself",
    "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    Stop.WALL,
    alone=True,
    limits={"wall_s": 0.5},
    control="never ends",
    below=True,
)
add(
    "10 GB of memory",
    "x = bytearray(10**10)\nescaped = True",
    Stop.MEMORY,
    control="would take it",
    below=True,
)
add(
    "10 GB mapped",
    "import mmap\nm = mmap.mmap(-1, 10**10)\nescaped = True",
    Stop.MEMORY,
    control="would take it",
    below=True,
)
add(
    "10 GB file",
    "f = open('big', 'wb')\nf.truncate(10**10)\nescaped = True",
    Stop.FILE_SIZE,
    control="would make it",
    below=True,
)
add(
    "every descriptor",
    "import os\nk = [os.dup(2) for _ in range(5000)]\nescaped = True",
    Stop.OPEN_FILES,
    alone=True,
    control="would take them",
    below=True,
)
add(
    "many large files",
    "import time\nfor i in range(200):\n    open(f'f{i}', 'wb').write(b'x' * 2**20)\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    limits={"disk_mb": 5},
    control="would fill the disk",
    below=True,
)
add(
    "very many files",
    "import time\nfor i in range(300):\n    open(f'f{i}', 'wb')\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    limits={"files": 100},
    control="would fill the disk",
    below=True,
)
add(
    "very deep folders",
    "import os, time\nfor i in range(60):\n    os.mkdir('d')\n    os.chdir('d')\ntime.sleep(9)",
    Stop.DISK,
    alone=True,
    control="is no escape by itself",
    below=True,
)
add(
    "flood of output",
    "while True:\n    print('x' * 10000)",
    Stop.OUTPUT,
    alone=True,
    limits={"output_kb": 200},
    control="never ends",
    below=True,
)
add(
    "flood of errors",
    "import os\nwhile True:\n    os.write(2, b'x' * 10000)",
    Stop.OUTPUT,
    alone=True,
    limits={"output_kb": 200},
    control="never ends",
    below=True,
)
add(
    "one line without an end",
    "import sys\nsys.stdout.write('x' * 50_000_000)",
    Stop.OUTPUT,
    alone=True,
    limits={"output_kb": 200},
    control="would print it",
    below=True,
)
add(
    "a session of its own, past the time",
    "import os, time\ntry:\n    os.setsid()\nexcept OSError:\n    os.setpgid(0, 0)\ntime.sleep(60)",
    Stop.WALL,
    None,
    alone=True,
    limits={"wall_s": 0.5},
    control="never ends",
    below=True,
)
add(
    "thread bomb",
    "import threading, time\nfor _ in range(400):\n    threading.Thread(target=time.sleep, args=(9,)).start()\ntime.sleep(9)",
    Stop.THREADS,
    alone=True,
    control="is no escape by itself",
    below=True,
)
add(
    "sleep past the time",
    "import signal, time\nfor s in (2, 15, 24):\n    signal.signal(s, signal.SIG_IGN)\ntime.sleep(60)",
    Stop.WALL,
    alone=True,
    limits={"wall_s": 0.5},
    control="never ends",
    below=True,
)
add(
    "exception handler that goes on",
    "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    Stop.WALL,
    alone=True,
    limits={"wall_s": 0.5},
    control="never ends",
    below=True,
)
add(
    "processor time",
    "while True:\n    pass",
    Stop.CPU,
    alone=True,
    limits={"cpu_s": 0.5, "wall_s": 60},
    control="never ends",
    below=True,
)
add(
    "stack of the C library",
    "import ctypes\nctypes.string_at(0)",
    Stop.DIED,
    alone=True,
    control="ends itself",
    below=True,
)
# ----------------------------------------------------------------------------------------------- the channel
_SEND = """
import json, os, struct, sys
def send(data):
    for fd in range(3, 1024):
        try:
            os.write(fd, data)
        except OSError:
            pass
def frame(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    send(struct.pack('>I', len(body)) + body)
request = sys._getframe(3).f_locals['request'] if 'request' in sys._getframe(3).f_locals else {}
f = sys._getframe()
while f is not None and 'request' not in f.f_locals:
    f = f.f_back
known = f.f_locals['request']['id'] if f is not None else ''
good = {'kind': 'result', 'id': known, 'error': None, 'exit': None, 'tables': [], 'values': {}, 'figures': [], 'left_out': []}
"""
_SEND = _SEND.replace(
    "request = sys._getframe(3).f_locals['request'] if 'request' in sys._getframe(3).f_locals else {}\n", ""
)
for _name, _code in {
    "garbage": "send(b'garbage, much of it' * 100)",
    "zeros without end": "while True:\n    send(b'\\0' * 4096)",
    "a length of 4 GB": "send(b'\\xff\\xff\\xff\\xff')",
    "no object": "frame([1, 2])",
    "no JSON": "frame(b'{\"kind\": NaN}')",
    "nested a million times": "frame(b'[' * 1000000)",
    "another kind": "frame({'kind': 'run', 'code': 'x'})",
    "a script in a drawing": "frame(good | {'figures': [{'svg': '<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>', 'title': '', 'points': {}}]})",
    "a drawing that calls home": "frame(good | {'figures': [{'svg': '<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"http://x/y\"/></svg>', 'title': '', 'points': {}}]})",
    "entities in a drawing": "frame(good | {'figures': [{'svg': '<!DOCTYPE s [<!ENTITY a \"b\">]><svg xmlns=\"http://www.w3.org/2000/svg\"/>', 'title': '', 'points': {}}]})",
    "calls without end": "while True:\n    frame({'kind': 'call', 'name': 'x', 'arguments': {}})",
    "a list of millions": "frame(b'{\"kind\": \"result\", \"x\": [' + b'[],' * 4000000 + b'[]]}')",
    "a text that never ends": "frame(b'[' * 250000 + b'\"' + b'\\\\\"' * 4000000)",
    "a style sheet from elsewhere": "frame(good | {'figures': [{'svg': '<?xml-stylesheet href=\"http://x/y.xsl\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>', 'title': '', 'points': {}}]})",
    "what is left out is no text": "frame(good | {'left_out': [[1]]})",
    "a table that claims more rows": "frame(good | {'tables': [{'name': 't', 'n_rows': 10**12, 'columns': [{'name': 'a', 'kind': '<f8', 'data': ''}]}]})",
    "a table of objects": "frame(good | {'tables': [{'name': 't', 'n_rows': 1, 'columns': [{'name': 'a', 'kind': '|O', 'data': 'gASV'}]}]})",
    "a name that is a path": "frame(good | {'values': {'../../x': 1}})",
    "a value that is no scalar": "frame(good | {'values': {'x': [1]}})",
}.items():
    add(
        f"channel: {_name}",
        _SEND + _code + "\nimport time\ntime.sleep(9)",
        Stop.CHANNEL,
        alone=True,
        control="there is no channel",
        below=True,
    )
add(
    "channel: close it",
    "import os, time\nos.closerange(3, 4096)\ntime.sleep(9)",
    Stop.CHANNEL,
    alone=True,
    control="there is no channel",
    below=True,
)
add(
    "channel: leave without a word",
    "import os\nos._exit(0)",
    Stop.DIED,
    alone=True,
    control="ends itself",
    below=True,
)
