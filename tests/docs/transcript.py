"""Runs the console blocks of a page and compares what is printed with what the page shows.

In a block a line ``$ …`` is a command, ``> …`` continues it, ``[exit N]`` is the status it ends
with, and ``…`` stands for lines left out. Shown lines must be printed in this order; more may be
printed between them.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARK = "--- 8< ---"
_EXIT = re.compile(r"^\[exit (\d+)\]$")
# What differs from run to run: times, ports, ids and sizes of columns.
_VOLATILE = (
    (re.compile(r"\d+"), "0"),
    (re.compile(r"\b0[smhd]\b"), "0s"),
    (re.compile(r"\s+"), " "),
)


@dataclass(slots=True)
class Command:
    """One command with what the page shows of it."""

    text: str
    shown: list[str] = field(default_factory=list)
    status: int = 0


def commands_of(page: Path) -> list[Command]:
    """Return all commands of the console blocks of *page*, in order."""
    found: list[Command] = []
    for block in _BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:]))
            elif line == ">" or line.startswith("> "):
                found[-1].text += "\n" + line[2:]
            elif status := _EXIT.match(line):
                found[-1].status = int(status[1])
            else:
                found[-1].shown.append(line)
    return found


def run(commands: list[Command], *, folder: Path, env: dict[str, str]) -> list[tuple[int, str]]:
    """Run *commands* in one shell; return status and output of each."""
    script = "".join(f'{each.text}\necho "{_MARK}$?"\n' for each in commands)
    ran = subprocess.run(
        ["bash"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=os.environ | env,
        timeout=240,
        check=False,
    )
    parts = re.split(rf"{_MARK}(\d+)\n", ran.stdout)
    return [(int(status), text) for text, status in zip(parts[::2], parts[1::2], strict=False)]


def missing_lines(shown: list[str], printed: str, *, replacing: dict[str, str]) -> list[str]:
    """Return the shown lines that were not printed, in this order."""
    rest = iter([_steady(line, replacing) for line in printed.splitlines()])
    wanted = [line for line in shown if line.strip() not in ("", "…")]
    return [line for line in wanted if _steady(line, replacing) not in rest]


def _steady(line: str, replacing: dict[str, str]) -> str:
    for old, new in replacing.items():
        line = line.replace(old, new)
    for pattern, new in _VOLATILE:
        line = pattern.sub(new, line)
    return line.strip()
