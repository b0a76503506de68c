"""Where documents come from that are given to a verb: files, folders, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file
from cachepilot.adapters.tenant_folder import is_tenant_file
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError

STDIN = "-"
# More than any file of tenants may have; the reader says what the limit is.
_MOST = 64 * 2**20

_Function = TypeVar("_Function", bound=Callable[..., Any])


def files_option(function: _Function) -> _Function:
    """Declare ``-f`` and ``-R``."""
    function = click.option(
        "-R", "--recursive", is_flag=True, help="Look into folders below a folder, too."
    )(function)
    return click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        required=True,
        type=click.Path(allow_dash=True),
        metavar="FILE|DIR|-",
        help="A file, a folder of *.yaml files, or - for standard input; may be repeated.",
    )(function)


def read_sources(files: Sequence[str], *, recursive: bool) -> list[tuple[str, bytes]]:
    """Return (name for messages, content) of everything that was named.

    Raises:
        CommandError: Something named is not there or cannot be read.
    """
    found: list[tuple[str, bytes]] = []
    for name in files:
        if name == STDIN:
            found.append(("<stdin>", sys.stdin.buffer.read(_MOST)))
        elif Path(name).is_dir():
            paths = list(_in_folder(Path(name), recursive=recursive))
            if not paths:
                hint = "" if recursive else "add -R to look into folders below it"
                raise CommandError(f"cannot use folder {name}: it holds no *.yaml file", hint=hint)
            found += [(str(path), _content(path)) for path in paths]
        else:
            found.append((name, _content(Path(name))))
    return found


def _in_folder(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if recursive and path.is_dir() and not path.is_symlink() and path.name[0] != ".":
            yield from _in_folder(path, recursive=True)
        elif is_tenant_file(path.name) and not path.is_dir():
            yield path


def _content(path: Path) -> bytes:
    try:
        if path.is_fifo():  # as in `-f <(generate)`; only in the folder itself is a pipe a trap
            with path.open("rb") as pipe:
                return pipe.read(_MOST)
        return read_regular_file(path, most=_MOST)[0]
    except FileNotFoundError as error:
        raise CommandError(
            f"cannot read {path}: there is no such file", exit_code=Exit.NOT_FOUND
        ) from error
    except UnusableFileError as error:
        raise CommandError(f"cannot use {path}", causes=[str(error)]) from error
