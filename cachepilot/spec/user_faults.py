"""What can be wrong with the users of a document beyond each single field."""

from __future__ import annotations

from collections.abc import Iterator

from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, UserSpec
from cachepilot.spec.tree import Fault, Path
from cachepilot.spec.user_rules import (
    EVERYTHING,
    as_a_whole,
    misplaced_everything,
    why_never_granted,
)

_USERS: Path = ("spec", "auth", "users")


def find_user_faults(spec: TenantSpec, rules: Rules) -> Iterator[Fault]:
    """Yield what is wrong with ``spec.auth.users``."""
    most, seen = rules.limits.users, set[str]()
    if len(spec.users) > most:
        yield Fault(
            path=_USERS,
            message=f"expected at most {most} users as this host's limits say; "
            f"got {len(spec.users)}",
        )
    for index, user in enumerate(spec.users):
        at = (*_USERS, index)
        if user.name in seen:
            yield Fault(path=(*at, "name"), message=f"the user {user.name} is listed twice")
        seen.add(user.name)
        yield from _pattern_faults(user.keys, (*at, "keys"))
        yield from _half_faults(user.keys, (*at, "keys"))
        yield from _pattern_faults(user.channels, (*at, "channels"))
        yield from _command_faults(user, (*at, "commands"))
        if user.password_file:
            yield from find_place_faults(user.password_file, (*at, "passwordFile"), rules)
        if user.password_file and user.rotated_at:
            yield Fault(
                path=(*at, "rotatedAt"),
                message="draws a new password, but passwordFile says which one it is",
                hint="remove it and change that file, or remove passwordFile",
                involves=((*at, "passwordFile"),),
            )


def find_place_faults(file: str, path: Path, rules: Rules) -> Iterator[Fault]:
    """Yield what is wrong with where a password file lies."""
    folders = rules.limits.passwordFiles
    if not any(_is_below(file, folder) for folder in folders):
        # What was written is not repeated: somebody may have put the password itself here.
        yield Fault(
            path=path,
            message="expected a file below a folder that limits.passwordFiles in the settings "
            f"names ({', '.join(folders) or 'none'})",
        )


def _pattern_faults(patterns: tuple[str, ...], at: Path) -> Iterator[Fault]:
    place = misplaced_everything(patterns)
    if place is not None:
        yield Fault(
            path=(*at, place),
            message=f'"{EVERYTHING}" stands for everything, so nothing may stand beside it',
            hint="remove it or the others",
        )
    for index, pattern in enumerate(patterns):
        if pattern in patterns[:index]:
            yield Fault(path=(*at, index), message="the same pattern is listed twice")


def _half_faults(keys: tuple[str, ...], at: Path) -> Iterator[Fault]:
    """Yield each key pattern that a server would join with one before it."""
    whole = [as_a_whole(key) for key in keys]
    for index, pattern in enumerate(whole):
        if pattern in whole[:index] and keys[index] not in keys[:index]:
            yield Fault(
                path=(*at, index),
                message=f'"{pattern}" is listed for reading and for writing',
                hint=f'write "{pattern}" alone, which stands for both',
            )


def _command_faults(user: UserSpec, at: Path) -> Iterator[Fault]:
    for index, rule in enumerate(user.commands):
        if told := why_never_granted(rule):
            why, hint = told
            yield Fault(
                path=(*at, index), message=f"{rule} would have no effect: {why}", hint=hint
            )


def _is_below(path: str, folder: str) -> bool:
    """Return whether *path* lies below *folder*, as far as their words tell."""
    steps, above = _steps(path), _steps(folder)
    return ".." not in steps and len(steps) > len(above) and steps[: len(above)] == above


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]
