# ruff: noqa: E501 - an attempt is one line of text, however long
"""Starting programs, and reaching other processes."""

from __future__ import annotations

import platform

from nereus.tools.code.outcome import Stop
from tests.tools.code.escapes.attempt import CALLS, FILES, add

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
