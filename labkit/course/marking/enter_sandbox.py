"""Runs a program where it reaches no network, sees only some of the files and writes to none.

    python enter_sandbox.py '{"scratch": …, "hide": […], "memory": …, "isolate": true}' PROGRAM …

Started by file name and with the standard library alone, so that it costs nothing. Linux only
(namespaces, 5.12 or newer for a read-only view of all mounts): elsewhere, with ``isolate`` false,
only the limits are set. What is kept from the program:

- the network: a network namespace without any interface;
- other processes: a process namespace of its own; all of it ends when this process ends;
- writing: every mounted file system is read-only, ``scratch`` excepted;
- the folders in ``hide``: an empty file system covers them;
- the rights to undo any of this: no capabilities, and none to be gained.

What is not: reading other files that this user can read, using the processor, filling ``scratch``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = 0x20000, 0x8000000, 1 << 28, 1 << 29, 1 << 30
READ_ONLY, NO_SETUID, NO_DEVICES, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
DEATH_SIGNAL, DROP_CAPABILITY, NO_NEW_PRIVILEGES = 1, 24, 38
MOUNT_SETATTR, HERE, EVERYWHERE_BELOW = 442, -100, 0x8000
CAPABILITIES = 64
LARGEST_FILE, PROCESSES, SHARED_MEMORY = 256 << 20, 256, "64m"


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "users"))


def main(spec: dict, program: list[str]) -> None:
    """Set the limits, shut the doors and become the program."""
    os.unsetenv("JPY_PARENT_PID")  # a number from outside, which means nothing in here
    if spec["isolate"]:
        libc = ctypes.CDLL(None, use_errno=True)
        _checked(libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
        _enter_namespaces(libc)
        child = os.fork()  # the first process of the new namespace
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
        _checked(libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
        _close_files(libc, spec["scratch"], spec["hide"])
        for capability in range(CAPABILITIES):
            libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0)  # fails beyond the last one there is
        _checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    resource.setrlimit(resource.RLIMIT_DATA, (spec["memory"], spec["memory"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(program[0], program)


def _enter_namespaces(libc: ctypes.CDLL) -> None:
    user, group = os.getuid(), os.getgid()
    _checked(libc.unshare(NEW_USER | NEW_MOUNTS | NEW_NET | NEW_PIDS | NEW_IPC))
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1")):
        _write(f"/proc/self/{name}", line)
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _close_files(libc: ctypes.CDLL, scratch: str, hidden: list[str]) -> None:
    def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
        words = (source.encode(), target.encode(), kind.encode())
        _checked(libc.mount(*words, ctypes.c_ulong(flags), options.encode()), target)

    def set_attributes(path: str, flags: int, **attributes: int) -> None:
        what = _Attributes(**attributes)
        size = ctypes.c_size_t(ctypes.sizeof(what))
        call = libc.syscall(MOUNT_SETATTR, HERE, path.encode(), flags, ctypes.byref(what), size)
        _checked(call, path)

    mount("none", "/", "", RECURSIVE | PRIVATE)
    mount(scratch, scratch, "", BIND)
    set_attributes("/", EVERYWHERE_BELOW, set=READ_ONLY)
    set_attributes(scratch, 0, clear=READ_ONLY)
    for folder in hidden:
        mount("empty", folder, "tmpfs", READ_ONLY | NO_SETUID | NO_DEVICES, "size=4k,mode=0555")
    mount("shm", "/dev/shm", "tmpfs", NO_SETUID | NO_DEVICES, f"size={SHARED_MEMORY}")
    with contextlib.suppress(OSError):  # some containers refuse: processes' names stay visible
        mount("proc", "/proc", "proc", NO_SETUID | NO_DEVICES)
    os.chdir(os.path.join(scratch, "work"))


def _checked(result: int, what: str = "") -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _write(path: str, line: str) -> None:
    with open(path, "w") as file:
        file.write(line)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
