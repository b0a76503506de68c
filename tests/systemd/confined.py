"""Runs a command under the restrictions of a unit file, without systemd being in charge.

``python confined.py UNIT ROOT COMMAND…`` must run as root. Applied are: the capability bounding
set, no new privileges, a file system that is read-only but for the unit's own folders below ROOT,
the filter of system calls, the families of sockets, and no memory that is writable and executable.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WRITABLE = {
    "RuntimeDirectory": "run",
    "StateDirectory": "var/lib",
    "LogsDirectory": "var/log",
}
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_GREATER, _MASKED = 6, 7
_PROT_WRITE, _PROT_EXEC = 2, 4
_NEWNS, _PRIVATE_ALL, _BIND, _REMOUNT, _READ_ONLY = 0x20000, 0x44000, 0x1000, 0x20, 1
_SET_NO_NEW_PRIVS, _CAPBSET_DROP, _LAST_CAPABILITY = 38, 24, 63
_CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3}

_libc = ctypes.CDLL(None, use_errno=True)


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the values of each directive in [Service], in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def allowed_calls(filters: list[str]) -> set[str]:
    """Return the system calls that SystemCallFilter= leaves, with those systemd always adds."""
    calls = set(_expand("@default"))
    for text in filters:
        names = {name for word in text.lstrip("~").split() for name in _expand(word)}
        calls = calls - names if text.startswith("~") else calls | names
    return calls | {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn"}


def _expand(word: str) -> Iterator[str]:
    if not word.startswith("@"):
        yield word
        return
    listing = subprocess.check_output(["systemd-analyze", "syscall-filter", word], text=True)
    for line in listing.splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            yield from _expand(name)


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Filter:
    """One seccomp filter; the strictest of all that are loaded counts."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, call: str, *comparisons: _Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (_Comparison * len(comparisons))(*comparisons)
        _check(
            -self._library.seccomp_rule_add_array(
                self._context, ctypes.c_uint32(action), number, len(comparisons), array
            ),
            call,
        )

    def load(self) -> None:
        _check(-self._library.seccomp_load(self._context), "seccomp_load")


def _check(number: int, what: str) -> None:
    if number:
        raise OSError(number, os.strerror(number), what)


def confine_files(unit: dict[str, list[str]], root: Path) -> None:
    """Make everything read-only but the unit's own folders below *root*."""
    _mounted(_libc.unshare(_NEWNS), "unshare")
    _mounted(_libc.mount(None, b"/", None, _PRIVATE_ALL, None), "/")
    own = [root / below / unit[key][0] for key, below in WRITABLE.items()]
    for folder in own:
        name = bytes(folder)
        _mounted(_libc.mount(name, name, None, _BIND, None), str(folder))
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if Path(point) in own or re.match(r"/(proc|sys|dev)(/|$)", point):
            continue
        _libc.mount(None, point.encode(), None, _REMOUNT | _BIND | _READ_ONLY, None)


def _mounted(result: int, what: str) -> None:
    _check(ctypes.get_errno() if result else 0, what)


def confine_privileges(unit: dict[str, list[str]]) -> None:
    """Drop what is not in the bounding set, for good; it counts from the next program on."""
    keep = {_CAPABILITIES[name] for name in unit["CapabilityBoundingSet"][0].split()}
    for number in range(_LAST_CAPABILITY):
        if number not in keep:
            _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    _mounted(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def confine_calls(unit: dict[str, list[str]]) -> None:
    """Refuse what the unit's filters refuse."""
    calls = _Filter(_ERRNO | errno.EPERM)
    for name in sorted(allowed_calls(unit["SystemCallFilter"])):
        calls.add(_ALLOW, name)
    memory = _Filter(_ALLOW)
    both = _PROT_WRITE | _PROT_EXEC
    memory.add(_ERRNO | errno.EPERM, "mmap", _Comparison(2, _MASKED, both, both))
    for name in ("mprotect", "pkey_mprotect"):
        memory.add(_ERRNO | errno.EPERM, name, _Comparison(2, _MASKED, _PROT_EXEC, _PROT_EXEC))
    # AF_INET6 is the highest of the families that the unit names.
    memory.add(_ERRNO | errno.EAFNOSUPPORT, "socket", _Comparison(0, _GREATER, 10, 0))
    memory.load()
    calls.load()


def main() -> None:
    unit, root = read_unit(Path(sys.argv[1])), Path(sys.argv[2])
    confine_files(unit, root)
    confine_privileges(unit)
    os.umask(int(unit["UMask"][0], 8))
    confine_calls(unit)
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
