"""Builds the walls of the sandbox and starts a command inside them. Standard library only.

Run as ``python -I -S jail.py SPEC`` (JSON) by ``harness.sandbox``. Two stages: ``walls`` makes the
namespaces and the read-only file system (left out when bubblewrap has already done it), ``bounds``
sets limits, gives up privileges, filters system calls and checks from inside that all of it holds.
Exit codes: 125 the walls cannot be built here, 126 a check from inside failed, else the command's.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

CANNOT, LEAKS = 125, 126
NOBODY = 65534
_LIBC = ctypes.CDLL(None, use_errno=True)

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_SPACES = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PDEATHSIG, _NO_NEW_PRIVS, _SECCOMP, _BOUNDING_DROP, _AMBIENT = 1, 38, 22, 24, 47
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def _call(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    arguments = [x.encode() if x is not None else None for x in (source, target, kind)]
    text = data.encode() if data is not None else None
    _call(_LIBC.mount(*arguments, ctypes.c_ulong(flags), text), f"mount {target}")


# ---- walls --------------------------------------------------------------------------------------


def _enter_namespaces() -> bool:
    """Leave the host's namespaces; True when a user namespace had to be made for it."""
    if os.geteuid() == 0 and _LIBC.unshare(_SPACES) == 0:
        return False
    uid, gid = os.geteuid(), os.getegid()
    _call(_LIBC.unshare(_SPACES | _NEWUSER), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _bind(source: str, target: str, writable: bool, *, device: bool = False) -> None:
    """Show a host path inside. Flags the host has set are kept: a user namespace may not drop them."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, None, _BIND | (0 if device else _REC))
    had = os.statvfs(source).f_flag & (_RDONLY | _NODEV | _NOEXEC)
    flags = had | _NOSUID | (0 if device else _NODEV) | (0 if writable or device else _RDONLY)
    _mount(source, target, None, _BIND | _REMOUNT | flags)


def _populate(root: str, spec: dict[str, Any]) -> None:
    for path in (
        "/usr",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/alternatives",
        "/etc/localtime",
        "/sys/devices/system/cpu",
    ):
        if os.path.exists(path):
            _bind(path, root + path, writable=False)
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            _bind(f"/{name}", f"{root}/{name}", writable=False)
    for device in ("null", "zero", "full", "random", "urandom"):
        _bind(f"/dev/{device}", f"{root}/dev/{device}", writable=True, device=True)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for path, size in (("/tmp", spec["tmp_bytes"]), ("/dev/shm", spec["shm_bytes"])):
        os.makedirs(root + path, exist_ok=True)
        _mount("tmpfs", root + path, "tmpfs", _NOSUID | _NODEV, f"size={size},mode=1777")
    _write(f"{root}/etc/passwd", f"root:x:0:0::/:/bin/sh\nrunner:x:{spec['uid']}:{spec['uid']}::/:/bin/sh\n")
    for source, inside, writable in spec["mounts"]:
        _bind(source, root + inside, writable)


def _change_root(root: str) -> None:
    """Make ``root`` the only file system there is."""
    old = f"{root}/.old"
    os.mkdir(old)
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(38, f"pivot_root on {platform.machine()}")
    _call(_LIBC.syscall(number, root.encode(), old.encode()), "pivot_root")
    os.chdir("/")
    _call(_LIBC.umount2(b"/.old", _DETACH), "umount")
    os.rmdir("/.old")
    _mount("tmpfs", "/", None, _REMOUNT | _RDONLY | _NOSUID | _NODEV)


def _die_with(parent: int) -> None:
    """Be killed when ``parent`` dies, also when it died before we could ask for that."""
    _call(_LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(CANNOT)


def walls(spec: dict[str, Any]) -> None:
    """Namespaces and file system; on return the caller is process 1 of a world of its own."""
    _die_with(spec["parent"])
    _enter_namespaces()
    _die_with(spec["parent"])  # a new user namespace makes the kernel forget the first request
    child = os.fork()
    if child:
        _leave_as(child)
    _call(_LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    _mount("none", "/", None, _REC | _PRIVATE)
    root = spec["mountpoint"]
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=16m,mode=755")
    _populate(root, spec)
    os.mkdir(f"{root}/proc")
    _mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _change_root(root)
    socket.sethostname("sandbox")
    _loopback()


def _loopback() -> None:
    """Bring up the loopback of the empty network namespace, over which ranks find one another."""
    request = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control.fileno(), 0x8914, request)  # SIOCSIFFLAGS


def _leave_as(child: int) -> NoReturn:
    """Wait for a process and leave the way it left."""
    while True:
        try:
            pid, status = os.waitpid(child, 0)
        except ChildProcessError:
            os._exit(1)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


# ---- bounds -------------------------------------------------------------------------------------

_LIMITS = {
    "address_bytes": resource.RLIMIT_AS,
    "file_bytes": resource.RLIMIT_FSIZE,
    "processes": resource.RLIMIT_NPROC,
    "cpu_seconds": resource.RLIMIT_CPU,
    "open_files": resource.RLIMIT_NOFILE,
    "core_bytes": resource.RLIMIT_CORE,
}

# Numbers on x86_64 and aarch64 of calls no training script needs.
_DENIED = {
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "userfaultfd": (323, 282),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "acct": (163, 89),
    "quotactl": (179, 60),
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 0, 41, 56, 435), "aarch64": (0xC00000B7, 1, 198, 220, 435)}
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_NEW_SPACES = 0x7E020000  # every CLONE_NEW* flag
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06


def filter_program(machine: str, interfaces: bool = False) -> bytes | None:
    """The seccomp program: refuse what is listed, new namespaces and exotic sockets. None: unknown machine.

    ``interfaces`` lets a process list its network interfaces (of which there is the loopback alone).
    Every block ends in a return or falls through to the next, so that no jump is long.
    """
    known = _ARCHITECTURES.get(machine)
    if known is None:
        return None
    architecture, column, socket_call, clone, clone3 = known
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for numbers in _DENIED.values():
        code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    code += [(_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _ENOSYS)]  # its flags lie in memory: libc falls back
    code += [(_EQUAL, 0, 4, clone), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW_SPACES), (_RETURN, 0, 0, _EPERM)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    families = (*_FAMILIES, socket.AF_NETLINK) if interfaces else _FAMILIES
    count = len(families)
    code += [(_EQUAL, 0, count + 3, socket_call), (_LOAD, 0, 0, 16)]
    code += [(_EQUAL, count - i, 0, int(family)) for i, family in enumerate(families)]
    code += [(_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _install_filter(interfaces: bool) -> bool:
    program = filter_program(platform.machine(), interfaces)
    if program is None:
        return False
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    block = ctypes.create_string_buffer(header)
    return bool(_LIBC.prctl(_SECCOMP, 2, ctypes.c_ulong(ctypes.addressof(block)), 0, 0) == 0)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = _LIMITS[name]
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _give_up_privileges(uid: int) -> None:
    for capability in range(64):
        _LIBC.prctl(_BOUNDING_DROP, capability, 0, 0, 0)
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _LIBC.prctl(_AMBIENT, 4, 0, 0, 0)
    header = struct.pack("<Ii", 0x20080522, 0)
    _call(_LIBC.capset(header, bytes(24)), "capset")
    _call(_LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _call(_LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def bounds(spec: dict[str, Any]) -> list[str]:
    """Limits, privileges and the filter; returns what does not hold as it should."""
    _limit(spec["limits"])
    _give_up_privileges(spec["uid"])
    filtered = _install_filter(spec["interfaces"])
    return leaks(spec, filtered)


def leaks(spec: dict[str, Any], filtered: bool) -> list[str]:
    """Look from inside for what should be impossible."""
    found = []
    status = _status()
    if int(status.get("CapEff", "1"), 16) or int(status.get("CapPrm", "1"), 16):
        found.append("capabilities are left")
    if status.get("NoNewPrivs") != "1":
        found.append("privileges can be gained")
    if filtered and status.get("Seccomp") != "2":
        found.append("system calls are not filtered")
    if not filtered and platform.machine() in _ARCHITECTURES:
        found.append("the system call filter was refused")
    if _can_connect():
        found.append("there is a network")
    writable = [p for p in ("/", "/usr", "/etc", *spec["read_only"]) if os.path.isdir(p) and _can_write(p)]
    return found + [f"{p} can be written" for p in writable]


def _status() -> dict[str, str]:
    with open("/proc/self/status", encoding="utf-8") as file:
        return {k: v.strip() for k, _, v in (line.partition(":") for line in file)}


def _can_connect() -> bool:
    """Whether any interface but the loopback has come along."""
    with open("/proc/net/dev", encoding="utf-8") as file:
        names = [line.partition(":")[0].strip() for line in file if ":" in line]
    tunnels = {
        "lo",
        "sit0",
        "tunl0",
        "ip6tnl0",
        "gre0",
        "gretap0",
        "erspan0",
        "ip_vti0",
        "ip6_vti0",
        "ip6gre0",
    }
    return bool(set(names) - tunnels)


def _can_write(folder: str) -> bool:
    path = os.path.join(folder, ".golf-audit-probe")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(path)
    except OSError:
        return False
    return True


# ---- start --------------------------------------------------------------------------------------


def _fail(code: int, message: str) -> NoReturn:
    os.write(2, f"sandbox: {message}\n".encode())
    os._exit(code)


def main() -> NoReturn:
    """Build everything, then become the keeper of the command."""
    spec = json.loads(sys.argv[1])
    if spec["walls"]:
        try:
            walls(spec)
        except OSError as error:
            _fail(CANNOT, str(error))
    try:
        found = bounds(spec)
    except OSError as error:
        _fail(CANNOT, str(error))
    if found:
        _fail(LEAKS, "; ".join(found))
    os.chdir(spec["cwd"])
    child = os.fork()
    if child:
        _leave_as(child)
    try:
        os.execvpe(spec["command"][0], spec["command"], spec["env"])
    except OSError as error:
        _fail(127, str(error))


if __name__ == "__main__":
    main()
