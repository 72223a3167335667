"""Submissions that try to get out, to break the marking or to spoil the marks of others.

Each is marked in one run between two honest ones, and has to end in a mark or a reason; nothing it
tries reaches the outside; and the others' marks are right. What the sandbox promises is tried from
inside, by looking, connecting and writing. Plainer ones are in test_grading.py.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from labkit.course.marking import sandbox
from labkit.course.marking.sandbox import Cell, isolates
from little_course import LIMITS, NAME, WRONG, body, grade, hand_in, make_course, submission

pytestmark = pytest.mark.skipif(
    not isolates(), reason=f"no submission can be shut in here: {sandbox.doors.why_open()}"
)


class Outside:
    """What a submission must not reach: daemons of this user's, files, other courses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret.txt"
        self.secret.write_text("42")
        self.visits: list[str] = []
        # a path of a socket has at most 107 characters
        self.short = tempfile.TemporaryDirectory(prefix="lk-out", dir="/tmp")
        self.paths = {
            "stream": Path(self.short.name) / "daemon",
            "home": Path.home() / f".labkit-test-{os.getpid()}",
        }
        self._servers = [self._serve(socket.AF_UNIX, str(path)) for path in self.paths.values()]
        self.abstract = f"\\0labkit-test-{os.getpid()}"
        self._servers.append(self._serve(socket.AF_UNIX, self.abstract.replace("\\0", "\0")))
        self._servers.append(self._serve(socket.AF_INET, ("127.0.0.1", 0)))
        self.port = self._servers[-1].getsockname()[1]

    def _serve(self, family: int, address: object) -> socket.socket:
        server = socket.socket(family)
        server.bind(address)
        server.listen()

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                self.visits.append(str(address))
                client.close()

        threading.Thread(target=accept, daemon=True).start()
        return server

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for path in self.paths.values():
            path.unlink(missing_ok=True)
        self.short.cleanup()


def connects(family: str, address: str) -> str:
    return (
        f"import socket\ns = socket.socket(socket.{family})\ns.settimeout(1)\ns.connect({address})"
    )


def attempts(outside: Outside, root: Path) -> dict[str, str]:
    """Name → lines that raise an error unless they get out."""
    checkout = Path(sandbox.__file__).resolve().parents[4]
    package = checkout / "labkit" / "__init__.py"
    cache = sandbox.assets.cache_dir()
    host = os.getpid()
    unix = "AF_UNIX"
    return {
        "unix socket": connects(unix, repr(str(outside.paths["stream"]))),
        "unix socket at home": connects(unix, repr(str(outside.paths["home"]))),
        "abstract socket": connects(unix, f"'{outside.abstract}'"),
        "docker": connects(unix, "'/var/run/docker.sock'"),
        "system bus": connects(unix, "'/run/dbus/system_bus_socket'"),
        "log daemon": "import socket\n"
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect('/dev/log')",
        "socket found by looking": "import os, socket, stat\nfound = [os.path.join(f, n) "
        "for top in ('/tmp', '/run', '/var', '/home', '/root') for f, _, names in os.walk(top) "
        "for n in names]\nfound = [f for f in found if stat.S_ISSOCK(os.lstat(f).st_mode) "
        "and os.environ['HOME'].rsplit('/', 1)[0] not in f]\nassert found",
        "tcp": connects("AF_INET", f"('127.0.0.1', {outside.port})"),
        "tcp by name": f"import socket\nsocket.create_connection(('localhost', {outside.port}), 1)",
        "udp": "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.sendto(b'x', ('192.0.2.1', 53))",
        "ipv6": connects("AF_INET6", "('2001:db8::1', 80)"),
        "names": "import socket\nsocket.getaddrinfo('example.org', 80)",
        "raw socket": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "a file of the user": f"open({str(outside.secret)!r})",
        "masters of another course": f"open({str(root.parent / 'other' / 'notebooks' / NAME)!r}"
        " + '.ipynb')",
        "masters of the checkout": f"import os\nassert os.listdir({str(checkout / 'notebooks')!r})",
        "pages of the checkout": f"import os\nassert os.listdir({str(checkout / 'build')!r})",
        "tests of the checkout": f"import os\nassert os.listdir({str(checkout / 'tests')!r})",
        "other submissions": f"import os\nassert os.listdir({str(root / 'submissions')!r})",
        "gradebook": f"open({str(root / 'marks' / 'gradebook.db')!r})",
        "all masters there are": "import os\n"
        "found = [f for top in ('/root', '/home', '/tmp', '/work', '/builds', '/srv', '/opt')"
        " for f, _, names in os.walk(top) if any(n.endswith('.ipynb') for n in names)"
        " and 'site-packages' not in f]\nassert found",
        "home": "import os, pwd\nassert os.listdir(pwd.getpwuid(os.getuid()).pw_dir)",
        "users": "open('/etc/passwd')",
        "keys": "import glob\nassert glob.glob('/root/.ssh/*') + glob.glob('/home/*/.ssh/*')",
        "process by number": f"import os\nos.kill({host}, 0)",
        "process in proc": f"open('/proc/{host}/environ')",
        "root of the first process": "import os\nassert os.path.exists('/proc/1/root/etc/passwd')",
        "links to the outside": f"import os\nos.symlink({str(outside.secret)!r}, 'l')\nopen('l')",
        "hard link": f"import os\nos.link({str(package)!r}, 'own')\nopen('own', 'a').write('x')",
        "labkit overwritten": f"open({str(package)!r}, 'a')",
        "library overwritten": "import nbformat\nopen(nbformat.__file__, 'a')",
        "python overwritten": "import os, sys\nos.remove(sys.executable)",
        "model overwritten": f"open({str(cache / 'new')!r}, 'w')",
        "write everywhere": "import os\n"
        "places = ('/', '/usr', '/etc', '/tmp', '/dev', '/proc/sys')\n"
        "assert any(os.access(place, os.W_OK) for place in places)",
        "mount": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.mount(b'x', b'/usr', b'tmpfs', 0, b'') == 0",
        "unmount": "import ctypes\nassert ctypes.CDLL(None).umount2(b'/usr', 2) == 0",
        "change root": "import os\nos.chroot('.')",
        "device": "import os\nos.mknod('d', 0o60600, os.makedev(254, 0))\nopen('d', 'rb').read(1)",
        "kernel log": "open('/proc/kcore', 'rb').read(1)",
        "clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
        "name of the machine": "import socket\nsocket.sethostname('mine')\n"
        "raise OSError('of its own only')",
        "variables": "import os\nassert 'LABKIT_TEST_SECRET' in os.environ",
    }


DAMAGE = {
    "fills the disk": "block = b'x' * (64 << 20)\n"
    "for i in range(10**4):\n    open(f'{i}', 'wb').write(block)",
    "fills shared memory": "block = b'x' * (64 << 20)\n"
    "for i in range(10**4):\n    open(f'/dev/shm/{i}', 'wb').write(block)",
    "many files": "for i in range(10**7):\n    open(f'{i}', 'w').close()",
    "one huge file": "f = open('f', 'wb')\nwhile True:\n    f.write(b'x' * (1 << 20))",
    "folders nobody may enter": "import os\nos.makedirs('a/b')\nos.chmod('a', 0)",
    "folders too deep": "import os\nhere = os.getcwd()\n"
    "for _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\nos.chdir(here)",
    "its own folder gone": "import os, shutil\nshutil.rmtree(os.environ['HOME'] + '/..', True)",
    "ends its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "ends the first process": "import os, signal\nos.kill(1, signal.SIGKILL)",
    "stays behind": "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
    "    if os.fork() == 0:\n        time.sleep(3600)\n    os._exit(0)",
    "threads": "import threading, time\n"
    "for _ in range(10**4):\n"
    "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f():\n    f()\nf()",
    "closes everything": "import os\nos.closerange(0, 256)",
    "shuts the kernel down": "get_ipython().kernel.do_shutdown(False)",
    "restarts the kernel": "get_ipython().ask_exit()",
    "prints without end": "while True:\n    print('x' * 1000)",
    "floods the process": "import os\nos.system('head -c 300000000 /dev/zero')",
    "a display of its own": "from IPython.display import display\n"
    "class Odd:\n    def _repr_mimebundle_(self, **k):\n"
    "        return {'text/plain': 1, 'x': object()}\n"
    "display(Odd())",
    "forges messages": "kernel = get_ipython().kernel\n"
    "for kind in ('stream', 'display_data', 'status'):\n"
    "    kernel.session.send(kernel.iopub_socket, kind, {}, parent=kernel.get_parent())",
    "says it is idle": "kernel = get_ipython().kernel\nkernel.session.send(kernel.iopub_socket, "
    "'status', {'execution_state': 'idle'}, parent=kernel.get_parent())",
}
"""Name → lines that do harm, if they can."""


ALONE = ("unix socket", "abstract socket", "tcp", "masters of another course", "hard link")
"""Attempts that are also made by a submission each; all of them are made in one kernel."""


def odd_files(folder: Path) -> None:
    """Submissions that are no ordinary files."""
    (folder / "directory" / f"{NAME}.ipynb").mkdir(parents=True)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / f"{NAME}.ipynb")
    (folder / "huge").mkdir()
    with (folder / "huge" / f"{NAME}.ipynb").open("wb") as file:
        file.truncate(60 << 20)
    many = {"cells": [{"cell_type": "code", "source": "1"}] * 2000}
    hand_in(folder / "many cells", json.dumps(many))
    hand_in(folder / "much text", json.dumps({"cells": [{"source": "x" * (2 << 20)}]}))
    hand_in(folder / "numbers", '{"cells": [{"source": NaN, "metadata": [Infinity]}, null, "x"]}')
    forged = nbformat.from_dict(json.loads(submission(WRONG)))
    forged.cells[3].metadata["nbgrader"] = dict(forged.cells[2].metadata["nbgrader"])
    forged.cells[3].source = "twice = lambda x: 2 * x"
    hand_in(folder / "a check of its own", json.dumps(forged))
    points = nbformat.from_dict(json.loads(submission(WRONG)))
    points.cells[2].metadata["nbgrader"]["points"] = 99
    points.cells[1].metadata["nbgrader"] = {"grade_id": "ex1-solution", "grade": True, "points": 99}
    hand_in(folder / "points of its own", json.dumps(points))


ODD = {"many cells", "much text", "huge"}


class Marked:
    def __init__(self, folder: Path) -> None:
        self.root = make_course(folder / "course")
        make_course(folder / "other")
        self.outside = Outside(folder)
        self.attempts = attempts(self.outside, self.root)
        submissions = self.root / "submissions"
        hand_in(submissions / "0 first", submission())
        hand_in(submissions / "zz last", submission())
        for name, lines in ({name: self.attempts[name] for name in ALONE} | DAMAGE).items():
            hand_in(submissions / name, submission(body(lines)))
        odd_files(submissions)
        cells = [Cell(i, lines, True) for i, lines in enumerate(self.attempts.values())]
        try:
            report = grade(submissions, self.root, self.root / "marks")
            tried = sandbox.run_cells(cells, LIMITS, [submissions, self.root / "marks"])
        finally:
            self.outside.close()
        self.errors = {name: tried[i].error for i, name in enumerate(self.attempts)}
        self.marks = {(mark.student, mark.exercise): mark for mark in report.marks}
        self.left = sorted(Path(tempfile.gettempdir()).iterdir())


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marked]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_TEST_SECRET", "1")
        with tempfile.TemporaryDirectory(prefix="lk-own") as temporary:  # a short path: sockets
            patch.setattr(tempfile, "tempdir", temporary)
            yield Marked(folder)


def test_honest_submissions_before_and_after_get_their_marks(marked: Marked) -> None:
    for who in ("0 first", "zz last"):
        assert [marked.marks[who, f"ex{i}"].points for i in (1, 2, 3)] == [1, 2, None]


def test_no_attempt_gets_out(marked: Marked) -> None:
    """A look, a connection or a change that worked would let the answer pass."""
    assert [name for name, error in marked.errors.items() if error is None] == []
    assert [name for name in ALONE if marked.marks[name, "ex1"].points != 0] == []
    assert all(marked.marks[name, "ex1"].note for name in ALONE)
    assert marked.outside.visits == []
    assert marked.outside.secret.read_text() == "42"


def test_an_attempt_costs_no_other_exercise(marked: Marked) -> None:
    lost = {name: marked.marks[name, "ex2"] for name in (*ALONE, *DAMAGE)}
    assert {name: mark.note for name, mark in lost.items() if mark.points != 2} == {}


def test_damage_ends_in_a_mark_or_a_reason(marked: Marked) -> None:
    for name in DAMAGE:
        mark = marked.marks[name, "ex1"]
        assert mark.points == 1 or mark.note, name


def test_odd_files_end_in_a_reason(marked: Marked) -> None:
    for who in ODD:
        assert marked.marks[who, "all"].state == "not marked", who
    for who in ("directory", "pipe"):
        assert marked.marks[who, "ex1"].note == "nothing was handed in", who
    for who in ("numbers", "a check of its own", "points of its own"):
        assert (marked.marks[who, "ex1"].points, marked.marks[who, "ex1"].of) == (0, 1), who
        assert marked.marks[who, "ex1"].note


def test_nothing_is_left_of_them(marked: Marked) -> None:
    assert marked.left == []
    assert (marked.root / "notebooks" / f"{NAME}.ipynb").is_file()


def test_there_are_enough_of_them(marked: Marked) -> None:
    assert len(marked.attempts) + len(DAMAGE) + len(ODD) >= 45
