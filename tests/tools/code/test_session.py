"""Sessions: what stays, what comes back, what is left behind when somebody is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError, ToolError
from nereus.tools import run_code
from nereus.tools.code.folders import Folder, remove_tree, sweep
from nereus.tools.code.inside import columns
from nereus.tools.code.layers import Grade, Layer, available
from nereus.tools.code.limits import Limits
from nereus.tools.code.outcome import Stop
from nereus.tools.code.processes import _marked, below
from nereus.tools.code.run_code import keyed
from nereus.tools.code.sandbox import Session, run_once


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(Limits(wall_s=60), least=Grade.LIMITED, home=tmp_path / "home") as found:
        yield found


def test_variables_stay_and_things_come_back(session: Session) -> None:
    table = pd.DataFrame(
        {"gene": ["A", None, "C"], "x": [1.5, np.nan, -0.1], "n": [1, 2, 3], "ok": [True, False, True]}
    )
    first = session.run(
        "t = given.assign(y=given.x * 2)\nfactor = 3\nword = 'ab'", tables={"given": table}, seed=1
    )
    assert first.ok, first.error
    pd.testing.assert_frame_equal(first.tables["t"], table.assign(y=table.x * 2), check_dtype=False)
    assert list(first.tables) == ["t"], "inputs do not come back"
    assert first.values == {"factor": 3, "word": "ab"}
    second = session.run("t['z'] = factor\nfactor + 1", echo=True)
    assert second.printed == "4\n"
    assert list(second.tables["t"].columns) == ["gene", "x", "n", "ok", "y", "z"]
    third = session.run(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 5], label='a')\nplt.title('T')", seed=1
    )
    assert third.ok, third.error
    assert third.figures["figure"].title == "T"
    assert third.figures["figure"].svg.lstrip().startswith(b"<?xml")
    assert third.figures["figure"].data.y.tolist() == [3.0, 5.0]
    broken = session.run("1 / 0")
    assert broken.error is not None
    assert broken.error.kind == "ZeroDivisionError"
    assert "inside" not in broken.error.traceback
    assert broken.stop is None
    assert session.run("factor", echo=True).printed == "3\n", "an error costs no variable"


def test_seeds(tmp_path: Path) -> None:
    code = "import random, numpy as np\nprint(random.random(), np.random.rand(), np.random.default_rng().random(), hash('a'))"
    one, two, other = (
        run_once(code, seed=seed, least=Grade.LIMITED, home=tmp_path).printed for seed in (1, 1, 2)
    )
    assert one == two != other


def test_a_session_goes_on_after_it_was_stopped(session: Session) -> None:
    session.run("x = 1")
    stopped = session.run("import time\ntime.sleep(60)", timeout=0.3)
    assert (stopped.stop, stopped.lost) == (Stop.WALL, True)
    assert not session.open
    again = session.run("x")
    assert again.error is not None
    assert again.error.kind == "NameError"


def test_functions_of_the_opener(tmp_path: Path) -> None:
    asked: list[object] = []

    def double(x: float) -> float:
        asked.append(x)
        return x * 2

    def fails() -> None:
        raise ToolError("no", mend="never")

    with Session(least=Grade.LIMITED, home=tmp_path, functions={"double": double, "fails": fails}) as session:
        found = session.run("y = call('double', x=4)\nprint(y)")
        assert (found.printed, asked) == ("8\n", [4])
        for code, said in (
            ("call('fails')", "no"),
            ("call('double', z=1)", "TypeError"),
            ("call('other')", "nothing is called"),
        ):
            error = session.run(code).error
            assert error is not None
            assert said in error.message
        assert session.run("call('double', x=object())").error is not None


def test_a_session_outlives_the_thread_that_opened_it(session: Session) -> None:
    opener = threading.Thread(target=lambda: session.run("x = 5"))
    opener.start()
    opener.join()
    time.sleep(0.2)
    assert session.run("x", echo=True).printed == "5\n"


def test_an_interrupt_leaves_nothing(session: Session, tmp_path: Path) -> None:
    # Python ignores interrupts where it was started in the background of a script.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    session.run("x = 1")
    token = session._token
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            session.run("import time\ntime.sleep(60)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not session.open
    assert _marked(token) == []
    assert os.listdir(tmp_path / "home") == []


KILLED = """
import sys
from pathlib import Path
from nereus.tools.code.sandbox import Session
session = Session(home=Path(sys.argv[1]), layer=sys.argv[2], least="limited")
session.run("open('f', 'w').write('x')")
print(session._token, flush=True)
session.run("import time\\ntime.sleep(120)")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a sandbox with its opener on Linux only")
@pytest.mark.parametrize("layer", [Layer.BUBBLEWRAP, Layer.NAMESPACES, Layer.LANDLOCK])
def test_when_we_are_killed_it_goes_too(layer: Layer, tmp_path: Path) -> None:
    if layer not in available():
        pytest.skip(f"{layer.value} does not work here")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), layer.value], stdout=subprocess.PIPE, text=True
    ) as opener:
        assert opener.stdout is not None
        token = opener.stdout.readline().strip()
        assert len(_marked(token)) >= 1
        opener.kill()
        opener.wait()
    end = time.monotonic() + 2
    while _marked(token) and time.monotonic() < end:
        time.sleep(0.02)
    assert _marked(token) == []
    assert len(os.listdir(tmp_path)) == 1
    with Folder.made(tmp_path):
        assert len(os.listdir(tmp_path)) == 1, "the next sandbox removes what was left"


def test_folders_that_are_in_use_are_kept(tmp_path: Path) -> None:
    with Folder.made(tmp_path):
        script = f"from pathlib import Path\nfrom nereus.tools.code.folders import sweep\nprint(sweep(Path({str(tmp_path)!r})))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "0\n"
    assert sweep(tmp_path) == 0


def test_hostile_trees_are_removed_and_links_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    top = tmp_path / "tree"
    top.mkdir()
    os.symlink(kept, top / "link")
    (top / "closed").mkdir()
    (top / "closed" / "inner").mkdir()
    (top / "closed").chmod(0)
    here = os.getcwd()
    os.chdir(top)
    try:
        for _ in range(300):
            os.mkdir("x" * 200)
            os.chdir("x" * 200)
    finally:
        os.chdir(here)
    remove_tree(top)
    assert not top.exists()
    assert (kept / "file").read_text() == "x"


@pytest.mark.parametrize(
    "table",
    [
        None,
        {"name": "t", "n_rows": -1, "columns": []},
        {"name": "t", "n_rows": 10**12, "columns": []},
        {"name": "t", "n_rows": 1, "columns": [{"name": "a", "kind": "<f8", "data": "AAAA"}]},
        {"name": "t", "n_rows": 1, "columns": [{"name": "a", "kind": "<f8", "data": "%%%"}]},
        {"name": "t", "n_rows": 1, "columns": [{"name": "a", "kind": "|O", "data": "gASV"}]},
        {"name": "t", "n_rows": 1, "columns": [{"name": "a", "kind": "|b1", "data": "Bw=="}]},
        {"name": "t", "n_rows": 2, "columns": [{"name": "a", "kind": "text", "data": ["x"]}]},
        {"name": "t", "n_rows": 1, "columns": [{"name": "a", "kind": "text", "data": [1]}]},
        {"name": "t", "n_rows": 0, "columns": [{"name": "a", "kind": "text", "data": []}] * 2},
    ],
)
def test_tables_that_are_none(table: object) -> None:
    with pytest.raises(ValueError, match=r"table|column"):
        columns.decoded(table)


def test_tables_come_through_exactly() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None, "ü\n"],
            "float": [np.pi, np.nan, np.inf],
            "small": np.array([1, 2, 3], np.int8),
            "when": pd.to_datetime(["2020-01-01", None, "2021-05-05"]),
            "kind": pd.Categorical(["u", "v", "u"]),
            "maybe": pd.array([1, None, 3], dtype="Int64"),
            "single": np.array([0.1, 0.2, 0.3], np.float32),
        }
    )
    name, back = columns.decoded(columns.encoded("t", frame))
    assert name == "t"
    assert back["float"].tolist()[0] == np.pi
    assert back["when"].equals(frame["when"].astype("datetime64[ns]"))
    assert back["kind"].tolist() == ["u", "v", "u"]
    assert back["text"].tolist() == ["a", None, "ü\n"]
    assert (back["small"].dtype, back["single"].dtype) == (np.int8, np.float32)
    assert np.isnan(back["maybe"][1])


def test_the_tool_says_what_went_wrong() -> None:
    with pytest.raises(ToolError, match="ZeroDivisionError") as failed:
        run_code({}, code="print('before')\n1 / 0")
    assert "before" in str(failed.value)
    with pytest.raises(ToolError, match="limit on wall time"):
        run_code({}, code="import time\ntime.sleep(60)", wall_s=0.3)
    with pytest.raises(ToolError, match="cannot be a variable"):
        run_code({"class": pd.DataFrame()}, code="1")
    with pytest.raises(ToolError, match="exit status 4"):
        run_code({}, code="import sys\nsys.exit(4)")


def test_the_tool_keeps_the_full_output() -> None:
    found = run_code({}, code="for i in range(3000): print('line', i)")
    assert len(found.table("printed")) == 3000
    assert "are left out" in found.summary
    assert len(found.summary.encode()) <= 2048


def test_tables_get_a_key() -> None:
    assert list(keyed(pd.DataFrame({"a": ["x", "y"]})).columns) == ["a"]
    assert keyed(pd.DataFrame({"a": ["x", "x"]}))["row"].tolist() == ["1", "2"]
    assert list(keyed(pd.DataFrame({"row": [1.0]})).columns) == ["row_number", "row"]


def test_what_cannot_come_back_costs_nothing_else(session: Session) -> None:
    found = session.run(
        "import numpy as np, pandas as pd\n"
        "raw = pd.DataFrame(np.zeros((2_000_000, 6)))\n"
        "result = raw.sum()\n"
        "twice = pd.DataFrame([[1, 2]], columns=['a', 'a'])\n"
        "levels = pd.concat([twice.set_axis(['x', 'y'], axis=1)] * 2, keys=[1, 2])\n"
        "größe = 3\nhuge = 10 ** 5000\nhalf = pd.Series(['\\ud800'])\nplain = 1\nbig = 2 ** 70\n"
        "for i in range(250):\n    globals()[f'v{i}'] = i\n"
    )
    assert found.ok, (found.error, found.why)
    assert len(found.tables["result"]) == 6
    assert list(found.tables["twice"].columns) == ["a", "a_2"]
    assert list(found.tables["levels"].columns) == ["index", "index_2", "x", "y"]
    assert found.tables["half"].iloc[0, 0] == "\\ud800", "a text that can be written"
    assert (found.values["plain"], found.values["big"]) == (1, str(2**70))
    told = " ".join(found.left_out)
    for name in ("raw: 2000000 rows", "größe: only names", "huge: a number of", "there are more than 200"):
        assert name in told
    assert session.open


def test_the_tool_tells_what_is_left_out() -> None:
    found = run_code({}, code="größe = 1\nresult = 2")
    assert any("größe" in one for one in found.warnings)
    assert found.values["result"] == 2


def test_nothing_runs_between_two_pieces_of_code(session: Session) -> None:
    counting = "n = 0\ndef go():\n    global n\n    while True:\n        n += 1\n        time.sleep(0.01)\n"
    session.run("import threading, time\n" + counting + "threading.Thread(target=go, daemon=True).start()")
    before = session.run("n", echo=True)
    time.sleep(1)
    after = session.run("n", echo=True)
    assert int(after.printed) - int(before.printed) < 50, "a hundred steps would have been made"


def test_ordinary_work_of_an_analyst(session: Session) -> None:
    found = session.run(
        "import getpass, os, shutil, tempfile\nimport numpy as np, pandas as pd\nfrom scipy import stats\n"
        "from joblib import Parallel, delayed\n"
        "d = pd.DataFrame({'g': list('aabb'), 'x': [1., 2, 3, 5]})\n"
        "means = d.groupby('g').x.mean()\nslope = stats.linregress([1, 2, 3, 4], d.x).slope\n"
        "d.to_parquet('d.parquet'); d.to_csv('d.csv', index=False)\n"
        "shutil.copy('d.csv', 'e.csv'); shutil.copy2('d.csv', 'f.csv'); os.mkdir('in'); shutil.copytree('in', 'out')\n"
        "shutil.move('f.csv', 'out')\n"
        "same = bool(pd.read_parquet('d.parquet').equals(pd.read_csv('e.csv')))\n"
        "with tempfile.TemporaryDirectory() as t:\n    open(os.path.join(t, 'a'), 'w').close()\n"
        "total = sum(Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(4)))\nwho = getpass.getuser()\n",
        seed=1,
    )
    assert found.ok, (found.error, found.why)
    assert found.tables["means"].means.tolist() == [1.5, 4.0]
    assert (found.values["same"], found.values["total"], found.values["who"]) == (True, 6, "sandbox")
    assert found.errors == ""


def test_packages_that_a_user_installed_for_one_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "only_mine.py").write_text("x = 5\n")
    monkeypatch.syspath_prepend(str(packages))
    found = run_once("import only_mine\nprint(only_mine.x)", least=Grade.LIMITED, home=tmp_path / "home")
    assert (found.printed, found.error) == ("5\n", None)


@pytest.mark.parametrize("layer", [Layer.BUBBLEWRAP, Layer.NAMESPACES, Layer.LANDLOCK])
def test_given_files_are_read_and_not_written(layer: Layer, tmp_path: Path) -> None:
    if layer not in available():
        pytest.skip(f"{layer.value} does not work here")
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "proteins.csv"
    file.write_text("gene,x\nA,1\n")
    (tmp_path / "data" / "other.csv").write_text("secret")
    with Session(layer=layer, home=tmp_path / "home", files={"p.csv": file}) as session:
        read = session.run("import pandas as pd\nresult = pd.read_csv('inputs/p.csv')")
        assert read.tables["result"].gene.tolist() == ["A"], read.error
        for code in (
            "open('inputs/p.csv', 'a').write('x')",
            "import os\nos.truncate('inputs/p.csv', 0)",
            "import os\nos.unlink(os.path.realpath('inputs/p.csv'))",
            "import os\nos.unlink('inputs/p.csv')",
            "import os\nos.rename('x', 'inputs/x')",
            "import os\nopen(os.path.join(os.path.dirname(os.path.realpath('inputs/p.csv')), 'other.csv')).read()",
        ):
            assert session.run(code).error is not None, code
    assert file.read_text() == "gene,x\nA,1\n"
    for name in ("../x", ".hidden", "a/b", ""):
        with pytest.raises(InputError, match="no plain name"):
            run_once("1", files={name: file}, least=Grade.LIMITED, home=tmp_path / "home")
    with pytest.raises(InputError, match="no such file"):
        run_once("1", files={"x": tmp_path / "none"}, least=Grade.LIMITED, home=tmp_path / "home")
    assert os.listdir(tmp_path / "home") == []


def test_eight_at_once(tmp_path: Path) -> None:
    def one(number: int) -> str:
        with Session(least=Grade.LIMITED, home=tmp_path) as mine:
            mine.run(f"x = {number}\nopen('f', 'w').write(str(x))")
            return mine.run("print(x, open('f').read())").printed

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(8))) == [f"{i} {i}\n" for i in range(8)]
    assert os.listdir(tmp_path) == []


def test_a_session_that_nobody_closed(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom nereus.tools.code.sandbox import Session\n"
        "a = Session(home=Path(sys.argv[1]), least='limited')\na.run('x = 1')\n"
        "Session(home=Path(sys.argv[1]), least='limited').run('x = 1')\n"
        "import os, gc\ngc.collect()\nassert len(os.listdir(sys.argv[1])) == 1\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert os.listdir(tmp_path) == []


def test_folders_half_removed_are_swept_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef" / "work").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    with Folder.made(tmp_path) as folder:
        assert sorted(os.listdir(tmp_path)) == sorted(["mine", folder.path.name])


def test_many_times_killed_at_any_instant(tmp_path: Path) -> None:
    """The opener or the sandbox itself is killed, twenty times: no process and no folder outlives the next start."""
    script = KILLED.replace("print(session._token, flush=True)", "")
    layers = [one for one in available() if one is not Layer.RLIMITS]
    openers = []
    for i in range(20):
        arguments = [sys.executable, "-c", script, str(tmp_path), layers[i % len(layers)].value]
        opener = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        openers.append((opener, time.monotonic() + 0.3 + 0.11 * (i % 10)))
        if len(openers) == 4:
            _kill_on_time(openers, inner=i % 8 == 3)
            openers = []
    end = time.monotonic() + 5
    while (left := _below_folder(tmp_path)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []
    with Folder.made(tmp_path):
        assert len(os.listdir(tmp_path)) == 1


def _kill_on_time(openers: list[tuple[subprocess.Popen[bytes], float]], inner: bool) -> None:
    for opener, when in openers:
        time.sleep(max(0.0, when - time.monotonic()))
        for pid in list(below(opener.pid)) if inner else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        opener.kill()
        opener.wait()


def _below_folder(home: Path) -> list[str]:
    """Processes that work in a folder."""
    found = []
    for pid in (one for one in os.listdir("/proc") if one.isdigit()):
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/cwd").startswith(f"{home}/"):
                found.append(pid)
    return found


def test_whatever_goes_wrong_in_a_function_is_told_to_the_code(tmp_path: Path) -> None:
    def upper(x: str) -> str:
        return x.upper()

    with Session(least=Grade.LIMITED, home=tmp_path, functions={"upper": upper}) as session:
        found = session.run("call('upper', x=3)")
        assert found.error is not None
        assert "AttributeError" in found.error.message
        together = (
            "from concurrent.futures import ThreadPoolExecutor as P\nwith P(8) as p:\n"
            "    print(list(p.map(lambda i: call('upper', x='a'), range(40))) == ['A'] * 40)"
        )
        assert session.run(together).printed == "True\n"


class_of_tricks = """
class Trick(Exception):
    def __str__(self):
        {body}
    errno = property(lambda self: 1 / 0)
raise Trick()
"""


@pytest.mark.parametrize("body", ["raise SystemExit(0)", "raise KeyboardInterrupt", "return 5", "1 / 0"])
def test_an_exception_that_cannot_be_told_costs_no_session(session: Session, body: str) -> None:
    session.run("kept = 1")
    found = session.run(class_of_tricks.format(body=body))
    assert found.error is not None
    assert found.error.kind == "Trick"
    assert not found.lost
    left = session.run("class T:\n    def __str__(self): raise ValueError\nimport sys\nsys.exit(T())")
    assert (left.exit, left.lost) == (1, False)
    assert session.run("kept", echo=True).printed == "1\n"


def test_what_no_database_keeps_is_shown_as_a_number(session: Session) -> None:
    found = session.run(
        "import pandas as pd\nprint('a\\0b')\nx = 'c\\0\\ud800'\nt = pd.DataFrame({'k\\0': ['d\\0']})\n"
    )
    assert found.ok, found.error
    assert found.printed == "a\\x00b\n"
    assert found.values["x"] == "c\\x00\\ud800"
    assert found.tables["t"].to_dict("list") == {"k\\x00": ["d\\x00"]}
    wrong = session.run("raise ValueError('e\\0')").error
    assert wrong is not None
    assert wrong.message == "e\\x00"


PLANTED = """
import os
for name in ("sitecustomize.py", "usercustomize.py", "colorsys.py", "json.py", "numpy.py", "planted.pth"):
    open(name, "w").write("import builtins; builtins.planted = True\\n")
os.makedirs(".local/lib/python3/site-packages", exist_ok=True)
open("matplotlibrc", "w").write("figure.dpi: 7\\n")
open(".matplotlib/matplotlibrc", "w").write("figure.dpi: 7\\n")
"""
LOOKED_FOR = """
import builtins, colorsys, json, numpy
import matplotlib
found = hasattr(builtins, "planted")
dpi = float(matplotlib.rcParams["figure.dpi"])
"""


def test_what_is_planted_in_the_work_folder_is_not_imported_and_goes_with_it(session: Session) -> None:
    assert session.run(PLANTED).ok
    here = session.run("import builtins, colorsys\nfound = hasattr(builtins, 'planted')")
    assert here.values["found"] is False, "not by the next piece of code"
    assert session.run("import os\nos._exit(0)").lost
    after = session.run(LOOKED_FOR)
    assert after.ok, after.error
    assert after.values["found"] is False, "nor by the process that comes after"
    assert after.values["dpi"] != 7.0


@pytest.mark.parametrize("layer", [one for one in available() if one is not Layer.RLIMITS])
def test_inputs_stay_what_they_are(layer: Layer, tmp_path: Path) -> None:
    given = tmp_path / "given.csv"
    given.write_text("a\n1\n")
    before = given.stat()
    ways = (
        "open('inputs/given.csv', 'w')",
        "open('inputs/given.csv', 'a')",
        "os.link('inputs/given.csv', 'mine')\nopen('mine', 'w').write('x')",
        "os.link(os.path.realpath('inputs/given.csv'), 'mine')\nopen('mine', 'w').write('x')",
        "os.rename(os.path.realpath('inputs/given.csv'), 'mine')",
        "os.truncate('inputs/given.csv', 0)",
        "os.unlink('inputs/given.csv')",
        "open(f\"/proc/self/fd/{os.open('inputs/given.csv', 0)}\", 'r+').write('x')",
    )
    with Session(layer=layer, home=tmp_path / "home", files={"given.csv": given}) as session:
        for way in ways:
            found = session.run(f"import os\n{way}")
            assert not found.ok, way
            assert given.read_text() == "a\n1\n", way
        swapped = session.run(
            "os.rename('inputs', 'old')\nos.mkdir('inputs')\nopen('inputs/given.csv', 'w').write('x')"
        )
        assert swapped.ok, "the link to them is the code's own"
    after = given.stat()
    assert given.read_text() == "a\n1\n"
    assert (after.st_mtime_ns, after.st_mode, after.st_nlink) == (before.st_mtime_ns, before.st_mode, 1)
