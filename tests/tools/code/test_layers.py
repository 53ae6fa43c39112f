"""Which layers work, how strong they are, and what is refused; the commands and profiles of those that are not here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nereus.doctor import check_sandbox
from nereus.errors import SettingsError
from nereus.sandbox_commands import sandbox_app
from nereus.settings import load_settings
from nereus.tools.code import layers, seatbelt
from nereus.tools.code.folders import Folder
from nereus.tools.code.inside import seccomp
from nereus.tools.code.inside.syscalls import NUMBERS
from nereus.tools.code.launch import command, environment
from nereus.tools.code.layers import Grade, Layer, available, chosen, grade, probed
from nereus.tools.code.limits import Limits
from nereus.tools.code.outcome import cut
from nereus.tools.code.view import View


def view(work: str = "/w") -> View:
    return View(("/usr", "/opt/py"), (("/lib", "usr/lib"),), work)


@pytest.fixture
def only_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {layer: "" if layer is Layer.RLIMITS else "switched off" for layer in Layer}
    monkeypatch.setattr(layers, "probed", lambda: found)


def test_the_strongest_that_works_is_taken() -> None:
    assert available()[-1] is Layer.RLIMITS
    assert chosen(Grade.LIMITED) is available()[0]
    ranks = [grade(one).rank for one in available()]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_on_linux_code_is_confined_without_any_package() -> None:
    if probed()[Layer.LANDLOCK]:
        pytest.skip(probed()[Layer.LANDLOCK])
    assert grade(Layer.LANDLOCK) is Grade.CONFINED
    assert chosen(Grade.CONFINED, Layer.LANDLOCK) is Layer.LANDLOCK


def test_a_weaker_sandbox_is_refused(only_limits: None) -> None:
    with pytest.raises(SettingsError, match=r"graded 'limited'.*'confined' is asked for") as refused:
        chosen()
    assert "bubblewrap" in str(refused.value)
    assert chosen(Grade.LIMITED) is Layer.RLIMITS
    with pytest.raises(SettingsError, match="landlock does not work here: switched off"):
        chosen(Grade.LIMITED, Layer.LANDLOCK)


def test_the_doctor_grades_and_mends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_sandbox(load_settings(home=tmp_path))
    assert found.figures["grade"] == grade(available()[0]).rank
    assert available()[0].value in found.detail
    only = {layer: "" if layer is Layer.RLIMITS else "switched off" for layer in Layer}
    monkeypatch.setattr(layers, "probed", lambda: only)
    weak = check_sandbox(load_settings(home=tmp_path))
    assert not weak.ok
    assert "landlock: switched off" in weak.detail
    assert "bubblewrap" in weak.mend
    assert check_sandbox(load_settings(home=tmp_path, sandbox_grade="limited")).ok


def test_bubblewrap_shows_nothing_but_the_view(tmp_path: Path) -> None:
    with Folder.made(tmp_path) as folder:
        made = command(Layer.BUBBLEWRAP, view(), ["python"], folder)
    assert made[:2] == ["bwrap", "--unshare-all"]
    for one in ("--die-with-parent", "--new-session", "--remount-ro"):
        assert one in made
    assert made[made.index("--cap-drop") + 1] == "ALL"
    assert [made[i + 1] for i, one in enumerate(made) if one == "--remount-ro"] == ["/proc", "/"]
    bound = [made[i + 1] for i, one in enumerate(made) if one.startswith(("--bind", "--ro-bind"))]
    assert bound == ["/usr", "/opt/py", "/w"]
    assert made[-2:] == ["--", "python"]


def test_the_profile_of_macos() -> None:
    text = seatbelt.profile(view('/w "x"\\'), "/opt/py/bin/python")
    lines = text.splitlines()
    assert lines[:4] == ["(version 1)", "(deny default)", "(deny network*)", "(deny process-fork)"]
    writing = [one for one in lines if "file-write*" in one]
    assert writing == ['(allow file-read* file-write* (subpath "/w \\"x\\"\\\\"))'], (
        "one folder, and its name ends nothing"
    )
    assert not any("network" in one for one in lines if one.startswith("(allow"))
    assert sum("process-exec" in one for one in lines) == 1
    assert text.count("(") - text.count(")") == 0


def test_the_environment_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEREUS_LLM_API_KEY", "sk-secret")
    with Folder.made(tmp_path) as folder:
        made = environment(folder)
    assert "sk-secret" not in str(made)
    assert not {"LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONSTARTUP", "PYTHONHOME"} & set(made)
    assert made["HOME"] == str(folder.work)
    assert not any(name.startswith("NEREUS") for name in made)


def test_a_view_that_would_show_the_home_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(Path.home()))
    with pytest.raises(SettingsError, match="holds your home folder"):
        View.around(tmp_path / "work", tmp_path / "inputs")


@pytest.mark.parametrize("column", [0, 1])
def test_the_filter_is_a_program_that_the_kernel_takes(column: int) -> None:
    code = seccomp.program(4321, column)
    assert len(code) < 4096
    assert code[-1] == (0x06, 0, 0, 0x7FFF0000)
    for i, (_, yes, no, _) in enumerate(code[:-1]):
        assert i + 1 + max(yes, no) < len(code), "no jump leaves the program"
    compared = [value for operation, _, _, value in code if operation == 0x15]
    for name in (
        "socket",
        "execve",
        "ptrace",
        "mount",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "userfaultfd",
        "kexec_load",
    ):
        assert NUMBERS[name][column] in compared, name


def _verdict(
    code: list[tuple[int, int, int, int]], number: int, *arguments: int, machine: int = 0xC000003E
) -> int:
    """What the filter says of a call, by carrying it out as the kernel does."""
    words = {0: number, 4: machine} | {16 + 8 * i: one & 0xFFFFFFFF for i, one in enumerate(arguments)}
    at = held = 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            held = words.get(value, 0)
        elif operation == 0x54:
            held &= value
        else:
            true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[operation]
            at += yes if true else no


@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("kill", (77, 9), True), ("kill", (78, 9), False), ("kill", (-1, 9), False), ("kill", (0, 9), False),
        ("tgkill", (77, 77, 6), True), ("tgkill", (1, 1, 6), False), ("clone", (0x003D0F00,), True),
        ("clone", (0x00010100,), False), ("close_range", (3, 9, 2), False), ("close_range", (3, 9, 4), True),
        ("clone", (17,), False), ("clone", (0x10000000 | 17,), False), ("fcntl", (3, 8, 1), False),
        ("fcntl", (3, 1, 1), True), ("ioctl", (0, 0x5412), False), ("ioctl", (0, 0x5401), True),
        ("prlimit64", (0,), True), ("prlimit64", (1,), False), ("prctl", (1,), False), ("prctl", (15,), True),
        ("prctl", (4, 0), False), ("prctl", (22, 2), False), ("seccomp", (1,), False), ("fcntl", (3, 1024, 1), False),
        ("socket", (2, 1), False), ("execve", (), False), ("clone3", (), False), ("personality", (0x40000,), False),
    ],
)  # fmt: skip
def test_the_filter_by_call(call: str, arguments: tuple[int, ...], allowed: bool) -> None:
    number = NUMBERS[call][0]
    assert number is not None
    verdict = _verdict(seccomp.program(77, 0), number, *arguments)
    assert (verdict == 0x7FFF0000) is allowed
    assert _verdict(seccomp.program(77, 0), number, *arguments, machine=0x40000003) == 0x80000000
    assert _verdict(seccomp.program(77, 0), 0x40000000 + number) == 0x00050026, "x32 calls do not exist"
    assert _verdict(seccomp.program(77, 0), 460) == 0x00050026, "nor do newer ones"


# Written by hand, and not read from the filter's own list: what is taken from that list is missed here.
REFUSED = """
socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
fork vfork execve execveat clone3 setns unshare mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount
fspick mount_setattr name_to_handle_at open_by_handle_at
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_open pidfd_getfd pidfd_send_signal tkill
rt_sigqueueinfo rt_tgsigqueueinfo setpriority ioprio_set sched_setscheduler sched_setparam sched_setattr sched_setaffinity
migrate_pages move_pages
bpf keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register perf_event_open kexec_load
kexec_file_load init_module finit_module delete_module reboot swapon swapoff sethostname setdomainname quotactl acct
settimeofday clock_settime adjtimex clock_adjtime syslog memfd_create memfd_secret io_setup fanotify_init fanotify_mark
inotify_init1 inotify_add_watch sync syncfs vmsplice seccomp openat2
setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset
fchmod fchmodat fchown fchownat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
getxattr lgetxattr listxattr llistxattr mknodat
shmget shmat shmctl semget semop semctl msgget msgsnd msgrcv mq_open mq_unlink
""".split()  # noqa: SIM905
NEEDED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "mmap": (9, 222), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "futex": (202, 98), "getdents64": (217, 61), "unlinkat": (263, 35),
    "renameat": (264, 38), "mkdirat": (258, 34), "getpid": (39, 172), "exit_group": (231, 94), "getrandom": (318, 278),
    "setrlimit": (160, 164), "flock": (73, 32),
}  # fmt: skip


@pytest.mark.parametrize("column", [0, 1])
def test_every_call_that_leads_out_is_refused_and_none_that_is_needed(column: int) -> None:
    machine = (0xC000003E, 0xC00000B7)[column]
    for truncate in (True, False):
        code = seccomp.program(77, column, truncate)
        for name in REFUSED:
            number = NUMBERS[name][column]
            if number is not None:
                assert _verdict(code, number, 99, 99, machine=machine) != 0x7FFF0000, name
        for name, numbers in NEEDED.items():
            assert _verdict(code, numbers[column], machine=machine) == 0x7FFF0000, name
        openat = NUMBERS["openat"][column]
        assert openat is not None
        for flags, mode, allowed in (
            (0o101, 0o644, True), (0o101, 0o4755, False), (0o101, 0o2755, False), (0o20200001, 0o4700, False),
            (0o1, 0o4755, True), (0, 0o7777, True),
        ):  # fmt: skip
            verdict = _verdict(code, openat, 0, 0, flags, mode, machine=machine)
            assert (verdict == 0x7FFF0000) is allowed, (flags, mode)


def test_no_limit_can_be_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    from nereus.tools.code.inside import confine

    asked: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: asked.__setitem__(kind, pair))
    limits = {"memory_mb": 1, "file_mb": 2, "open_files": 3, "session_cpu_s": 4, "tasks": 5}
    confine.set_limits(limits)
    assert all(soft == hard for soft, hard in asked.values())
    wanted = {
        "CORE": 0, "AS": 2**20, "FSIZE": 2**21, "NOFILE": 3, "CPU": 4, "NPROC": 5,
        "MEMLOCK": 0, "MSGQUEUE": 0, "NICE": 0, "RTPRIO": 0,
    }  # fmt: skip
    assert {name: asked[getattr(resource, f"RLIMIT_{name}")][1] for name in wanted} == wanted


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5, 6])
def test_landlock_is_asked_for_all_that_it_can_hold(
    level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.tools.code.inside import landlock

    rules: dict[str, int] = {}
    handled: list[tuple[int, int, int]] = []
    (tmp_path / "work").mkdir()

    def asked(number: int, *arguments: object) -> int:
        if number == 444:
            if arguments[0] is None:
                return level
            ruleset = arguments[0]._obj  # type: ignore[attr-defined]
            handled.append((ruleset.fs, ruleset.net, ruleset.scoped))
            return os.open(tmp_path, os.O_RDONLY)
        if number == 445:
            rule = arguments[2]._obj  # type: ignore[attr-defined]
            rules[os.path.basename(os.readlink(f"/proc/self/fd/{rule.parent}"))] = rule.allowed
        return 0

    monkeypatch.setattr(landlock, "syscall", asked)
    assert landlock.restrict([str(tmp_path)], [str(tmp_path / "work")], ["/dev/null"]) == level
    every = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16}[level]
    assert handled == [((1 << every) - 1, 3 if level >= 4 else 0, 3 if level >= 6 else 0)]
    execute, write, read, read_dir = 1, 2, 4, 8
    assert rules[tmp_path.name] == read | read_dir
    assert rules["null"] == read | write
    made = rules["work"]
    assert not made & (execute | 1 << 6 | 1 << 11 | 1 << 15), "no programs, no devices"
    assert made & (write | read | read_dir) == write | read | read_dir


@pytest.mark.parametrize("column", [0, 1])
def test_a_file_opened_to_read_is_not_cut_where_landlock_does_not_see_it(column: int) -> None:
    """Before its third version Landlock lets a file be cut by ``open(..., O_RDONLY | O_TRUNC)``."""
    machine = (0xC000003E, 0xC00000B7)[column]

    def verdict(name: str, *arguments: int, truncate: bool = False) -> int:
        number = NUMBERS[name][column]
        assert number is not None
        return _verdict(seccomp.program(77, column, truncate), number, *arguments, machine=machine)

    allow, refuse = 0x7FFF0000, 0x00050001
    assert verdict("openat", 0, 0, 0o1000) == refuse
    assert verdict("openat", 0, 0, 0o2001000) == refuse
    assert verdict("openat", 0, 0, 0o1000, truncate=True) == allow
    assert verdict("openat", 0, 0, 0o1101) == allow, "Landlock asks for the right to write"
    assert verdict("openat", 0, 0, 0) == allow
    assert verdict("openat2", 0, 0, 0) == 0x00050026
    assert verdict("truncate") == refuse
    if column == 0:
        assert verdict("open", 0, 0o1000) == refuse


def test_limits_that_are_no_limits() -> None:
    with pytest.raises(SettingsError, match="wall_s is 0"):
        Limits(wall_s=0)


def test_what_is_cut_says_so() -> None:
    text = "".join(map(str, range(20_000)))
    shown = cut(text, 1000)
    assert len(shown) < 1100
    assert f"{len(text) - 1000} of {len(text)} characters are left out" in shown
    assert shown.startswith("0123")
    assert shown.endswith("19999")
    assert cut("short", 1000) == "short"


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n")
    runner = CliRunner()
    found = runner.invoke(sandbox_app, ["run", str(tmp_path / "a.py")])
    assert (found.exit_code, found.stdout, found.stderr) == (3, "out\n", "err\n")
    slow = runner.invoke(sandbox_app, ["run", "-", "--timeout", "0.3"], input="import time\ntime.sleep(60)")
    assert slow.exit_code == 124
    assert "limit on wall time" in slow.stderr
    wrong = runner.invoke(sandbox_app, ["run", "-"], input="open('/etc/shadow')")
    assert wrong.exit_code == 1
    assert "boundary of files" in wrong.stderr
    assert runner.invoke(sandbox_app, ["run", str(tmp_path / "none.py")]).exit_code == 1


def test_the_command_as_a_process() -> None:
    code = "import numpy, pandas, scipy.stats, matplotlib.pyplot\nprint(numpy.arange(4).sum())"
    done = subprocess.run(
        [sys.executable, "-m", "nereus.cli", "sandbox", "run", "-"],
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
