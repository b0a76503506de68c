"""How a person names tenants: ``tenant acme``, ``tenants acme beta``, ``tenant/acme``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import current
from cachepilot.spec.spelling import did_you_mean

_Function = TypeVar("_Function", bound=Callable[..., Any])

NOUNS = ("tenant", "tenants")
CERTIFICATES = ("cert", "certs", "certificates")
# The same rule as the document's model, which would bring pydantic into every listing.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def tenant_names(words: Sequence[str], *, needs_noun: bool = False) -> tuple[str, ...]:
    """Return the names that *words* stand for, each once, in the order given.

    A first word that is the noun itself is dropped if names follow; ``tenant/NAME`` always works.

    Raises:
        CommandError: A word cannot be a tenant, or the noun is missing where it is needed.
    """
    rest = list(words)
    if rest and rest[0] in NOUNS and (needs_noun or len(rest) > 1):
        del rest[0]
    elif needs_noun and not all(_has_noun(word) for word in rest):
        raise _no_noun(rest[0])
    return tuple(dict.fromkeys(_name(word) for word in rest))


def listed_names(words: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Return whether certificates are to be listed, not tenants themselves; and of whom.

    Raises:
        CommandError: As :func:`tenant_names`.
    """
    if words and words[0] in CERTIFICATES:
        return True, tenant_names(words[1:])
    return False, tenant_names(words, needs_noun=True)


def one_tenant(words: Sequence[str]) -> str:
    """Return the one name that *words* stand for.

    Raises:
        CommandError: It is none or more than one.
    """
    names = tenant_names(words)
    if len(names) != 1 or (names[0] in NOUNS and len(words) == 1 and "/" not in words[0]):
        raise CommandError(
            "expected the name of one tenant", exit_code=Exit.USAGE, hint="such as tenant acme"
        )
    return names[0]


def no_such_tenant(name: str, known: Iterable[str]) -> CommandError:
    """Return the error for a tenant that is not there."""
    return CommandError(
        f'there is no tenant "{name}"',
        exit_code=Exit.NOT_FOUND,
        hint=did_you_mean(name, known) or "see `cachepilotctl get tenants`",
    )


def complete_names(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of published tenants; silently nothing where they cannot be read."""
    prefix, _, begun = incomplete.rpartition("/")
    prefix = f"{prefix}/" if prefix else ""
    try:
        names = PublishedStatus(current(context).paths).names()
    except StatusUnreadableError:
        return []
    return [prefix + name for name in names if name.startswith(begun)]


def complete_noun_and_names(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[str]:
    """Offer the noun first, then names."""
    given = context.params.get(param.name or "") or ()
    nouns = (*NOUNS, *CERTIFICATES[1:2]) if context.info_name == "get" else NOUNS
    if given and given[0] in nouns:
        return complete_names(context, param, incomplete)
    offered = [noun for noun in nouns if noun.startswith(incomplete)]
    return offered or complete_names(context, param, incomplete)


def names_argument(
    shown_as: str = "NAME...", *, required: bool = True, noun: bool = False
) -> Callable[[_Function], _Function]:
    """Declare the argument that takes names of tenants."""
    return click.argument(
        "words",
        nargs=-1,
        required=required,
        metavar=shown_as,
        shell_complete=complete_noun_and_names if noun else complete_names,
    )


def _has_noun(word: str) -> bool:
    noun, slash, _ = word.partition("/")
    return bool(slash) and noun in NOUNS


def _name(word: str) -> str:
    name = word.partition("/")[2] if _has_noun(word) else word
    if not NAME.fullmatch(name):
        raise CommandError(
            f'"{word}" cannot be the name of a tenant',
            exit_code=Exit.USAGE,
            hint="names have lower-case letters, digits and hyphens, at most 63",
        )
    return name


def _no_noun(word: str) -> CommandError:
    return CommandError(
        f'"{word}" is not a kind of thing',
        exit_code=Exit.USAGE,
        hint=did_you_mean(word, (*NOUNS, *CERTIFICATES)) or f"say tenant {word} or tenant/{word}",
    )
