# ruff: noqa: E501 - an attempt is one line of text, however long
"""Taking more time, memory, disk, processes or output than is allowed."""

from __future__ import annotations

from nereus.tools.code.outcome import Stop
from tests.tools.code.escapes.attempt import add

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
