# ruff: noqa: E501 - an attempt is one line of text, however long
"""Reading and changing files outside, and looking for secrets."""

from __future__ import annotations

from tests.tools.code.escapes.attempt import BOTH, CALLS, FILES, add

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
