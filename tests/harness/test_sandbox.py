"""What a process inside the sandbox can and cannot do. Our own scripts only."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness import jail, sandbox
from harness.sandbox import Limits, Mount, Namespaces, SandboxRefusedError

LOOK = """
import ctypes, json, os, socket, sys
def tried(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    except MemoryError:
        return "MemoryError"
    return "done"
def status(name):
    return next(l.split()[1] for l in open("/proc/self/status") if l.startswith(name + ":"))
def grow():
    with open("big", "wb") as f:
        for _ in range(64):
            f.write(bytes(1 << 20))
home = sys.argv[1]
print(json.dumps({
    "environment": sorted(k for k in os.environ if k != "LC_CTYPE"),
    "uid": os.getuid(),
    "capabilities": int(status("CapEff"), 16),
    "no_new_privs": status("NoNewPrivs"),
    "seccomp": status("Seccomp"),
    "write_usr": tried(lambda: open("/usr/x", "w")),
    "write_root": tried(lambda: open("/x", "w")),
    "write_python": tried(lambda: open(os.path.join(sys.prefix, "x"), "w")),
    "write_here": tried(lambda: open("x", "w").close()),
    "write_tmp": tried(lambda: open("/tmp/x", "w").close()),
    "see_host_file": os.path.exists(home),
    "connect": tried(lambda: socket.create_connection(("192.0.2.1", 80), 3)),
    "vsock": tried(lambda: socket.socket(40, socket.SOCK_STREAM)),
    "mount": ctypes.CDLL(None).mount(b"x", b"/tmp", b"tmpfs", 0, None),
    "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
    "grow": tried(grow),
}))
"""


KINDS = {"bubblewrap": sandbox.Bubblewrap, "namespaces": sandbox.Namespaces}


@pytest.fixture(scope="module", params=sorted(KINDS))
def walls(request):
    if request.param == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    box = KINDS[request.param]()
    problem = sandbox._trial(box)
    if problem is not None:
        pytest.skip(f"this machine does not allow {request.param}: {problem}")
    return box


def run(box, code, *arguments, limits=None, seconds=60):
    box = box if limits is None else type(box)(limits)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        os.chmod(folder, 0o777)
        where = Path(folder)
        process = box.start(
            [sys.executable, "-c", code, *arguments],
            where,
            {"ONE": "1"},
            [Mount(where, writable=True)],
            output,
        )
        try:
            code = process.wait(seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
        output.seek(0)
        return code, output.read().decode()


@pytest.fixture(scope="module")
def view(walls):
    marker = Path(tempfile.mkdtemp())
    code, said = run(walls, LOOK, str(marker), limits=Limits(file_bytes=8 << 20))
    marker.rmdir()
    assert code == 0, said
    return json.loads(said.splitlines()[-1])


def test_nothing_of_our_environment_is_seen(view):
    assert view["environment"] == ["ONE"]


def test_there_are_no_privileges_and_none_to_gain(view):
    assert view["uid"] != 0
    assert view["capabilities"] == 0
    assert view["no_new_privs"] == "1"


def test_the_run_folder_and_a_private_tmp_are_all_that_can_be_written(view):
    assert view["write_here"] == view["write_tmp"] == "done"
    for place in ("write_usr", "write_root", "write_python"):
        assert view[place] in ("OSError", "PermissionError")
    assert view["see_host_file"] is False


def test_there_is_no_network(view):
    assert view["connect"] in ("OSError", "PermissionError", "TimeoutError")


@pytest.mark.skipif(jail.filter_program(os.uname().machine) is None, reason="no filter for this machine")
def test_exotic_sockets_are_filtered(view):
    assert view["seccomp"] == "2"
    assert view["vsock"] == "PermissionError"


FIND = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 5)
try:
    print([name for _, name in socket.if_nameindex()])
except OSError as error:
    print(type(error).__name__)
try:
    socket.create_connection(("192.0.2.1", 80), 3)
except OSError:
    print("alone")
"""


@pytest.mark.skipif(jail.filter_program(os.uname().machine) is None, reason="no filter for this machine")
@pytest.mark.parametrize(("ranks", "interfaces"), [(1, "PermissionError"), (2, "['lo']")])
def test_processes_find_one_another_over_the_loopback_and_nobody_else(walls, ranks, interfaces):
    code, said = run(type(walls)(ranks=ranks), FIND)
    assert (code, said.splitlines()) == (0, [interfaces, "alone"])


def test_nothing_can_be_mounted(view):
    assert view["mount"] == -1


def test_other_processes_are_not_seen(view):
    assert len(view["processes"]) <= 4
    assert max(view["processes"]) < 50


def test_files_cannot_grow_beyond_the_limit(view):
    assert view["grow"] == "OSError"


def test_memory_is_limited(walls):
    limits = Limits(address_bytes=1 << 30)
    _, said = run(walls, "try:\n    bytes(3 << 30)\nexcept MemoryError:\n    print('refused')", limits=limits)
    assert said.strip() == "refused"


def test_processor_time_is_limited(walls):
    code, _ = run(walls, "while True: pass", limits=Limits(cpu_seconds=1), seconds=100)
    assert code != 0


def test_killing_the_launcher_kills_what_it_started(walls):
    code, said = run(walls, "import os,time\nif os.fork() == 0: time.sleep(100)\nprint('out')")
    assert (code, said.strip()) == (0, "out")


def test_a_command_that_does_not_exist_is_reported(walls):
    with tempfile.TemporaryFile() as output:
        process = walls.start(["/no/such/program"], Path("/"), {}, [], output)
        assert process.wait(30) == 127


def test_without_walls_only_on_request(monkeypatch):
    monkeypatch.setattr(sandbox, "_best", lambda: "namespaces: unshare: Operation not permitted")
    with pytest.raises(SandboxRefusedError, match="--no-sandbox"):
        sandbox.choose()
    assert sandbox.choose(no_sandbox=True).name == "none"


def test_the_check_from_inside_finds_missing_walls():
    spec = {"read_only": [tempfile.gettempdir()]}
    found = jail.leaks(spec, filtered=True)
    assert f"{tempfile.gettempdir()} can be written" in found
    assert "system calls are not filtered" in found


def test_filters_are_whole_programs():
    for machine in ("x86_64", "aarch64"):
        program = jail.filter_program(machine)
        assert program is not None
        assert len(jail.filter_program(machine, interfaces=True)) == len(program) + 8
        assert len(program) % 8 == 0
        assert program[-8:] == bytes.fromhex("0600000000 00ff7f".replace(" ", ""))
    assert jail.filter_program("riscv128") is None


def test_bubblewrap_gets_every_mount(tmp_path):
    words = sandbox.Bubblewrap()._outer([Mount(tmp_path, writable=True), Mount(Path("/opt"))], ["jail"])
    at = words.index("--bind")
    assert words[at + 1 : at + 3] == [str(tmp_path)] * 2
    assert "--unshare-all" in words
    assert words[-2:] == ["--", "jail"]
    assert issubclass(sandbox.Bubblewrap, Namespaces)


def test_root_is_nobody_under_bubblewrap(monkeypatch, tmp_path):
    """Changing the user inside needs a mapping that a user namespace of root does not have."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = sandbox.Bubblewrap()._outer([Mount(tmp_path)], ["jail"])
    assert words[words.index("--uid") + 1] == words[words.index("--gid") + 1] == "65534"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--uid" not in sandbox.Bubblewrap()._outer([Mount(tmp_path)], ["jail"])


ORDINARY = """
import json, os, sys
from harness import sandbox
kind = {"bubblewrap": sandbox.Bubblewrap, "namespaces": sandbox.Namespaces}[sys.argv[1]]
print(json.dumps([os.getuid(), sandbox._trial(kind())]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="every test here already runs as an ordinary user")
def test_an_ordinary_user_has_the_same_walls(walls):
    root = Path(sandbox.__file__).resolve().parent.parent
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    if python is None:
        pytest.skip("no Python that other users can start")
    environment = {"PYTHONPATH": str(root), "PATH": os.environ["PATH"]}
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 60, "cwd": "/"}
    try:
        reads = subprocess.run([python, "-c", "import harness.sandbox"], user=1000, group=1000, **options)
        if reads.returncode:
            pytest.skip("other users cannot read this checkout")
        done = subprocess.run(
            [python, "-c", ORDINARY, walls.name], user=1000, group=1000, extra_groups=[], **options
        )
    except PermissionError as error:
        pytest.skip(f"this machine does not let us change the user: {error}")
    uid, problem = json.loads(done.stdout.splitlines()[-1])
    if problem is not None and "Operation not permitted" in problem:
        pytest.skip(f"ordinary users may make no namespaces here: {problem}")
    assert (uid, problem) == (1000, None)


AUDITOR = """
import os, sys, tempfile, time
from pathlib import Path
from harness import sandbox
from harness.sandbox import Mount
where = Path(sys.argv[1])
with tempfile.TemporaryFile() as output:
    box = sandbox.choose()
    beat = "import time\\nwhile True: open('beat', 'a').write('x'); time.sleep(0.05)"
    box.start([sys.executable, "-c", beat], where, {}, [Mount(where, writable=True)], output)
    time.sleep(60)
"""


def test_nothing_outlives_an_auditor_that_is_killed(walls):
    root = Path(sandbox.__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        beat = Path(folder, "beat")
        auditor = subprocess.Popen([sys.executable, "-c", AUDITOR, folder], cwd=root)
        try:
            _until(lambda: beat.exists() and beat.stat().st_size > 3)
        finally:
            auditor.kill()
            auditor.wait()
        time.sleep(0.5)
        size = beat.stat().st_size
        time.sleep(0.5)
        assert beat.stat().st_size == size


def _until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
