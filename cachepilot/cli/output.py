"""Everything that verbs print: lines for people, and one shape of JSON or YAML for programs.

Names, messages and files come from anybody. A person gets each line with all that a terminal
would act on spelled out; a program gets exactly what was said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

# Spelled out because the model that owns it would bring pydantic into every listing.
API_VERSION = "cachepilot/v1"

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]|[A-Za-z_]")
# What JSON may hold as it is although a terminal acts on it, or YAML breaks a line there.
_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"})


def print_text(text: str = "", *, mark: str = "", err: bool = False, **style: Any) -> None:  # noqa: ANN401 - click's own keywords
    """Print one line for a person.

    Args:
        text: The line, whoever wrote it.
        mark: The part of it that is styled, at its first place; all of it if empty.
        err: Whether it is talk and no data.
        style: As for :func:`click.style`.
    """
    line = harmless(text)
    if any(style.values()):
        mark = mark or line
        line = line.replace(mark, click.style(mark, **style), 1)
    click.echo(line, err=err)


def harmless(text: str) -> str:
    """Return *text* on one line, everything spelled out that is not to be seen as it is."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def listing(items: Iterable[Mapping[str, Any]], **more: object) -> dict[str, Any]:
    """Return *items* as the list object that every ``-o json`` prints."""
    return {"apiVersion": API_VERSION, "kind": "List", **more, "items": list(items)}


def print_object(content: Mapping[str, Any], output: str) -> None:
    """Print *content* on stdout as ``json`` or ``yaml``."""
    click.echo(yaml_text(content) if output == "yaml" else json_text(content))


def print_line(content: Mapping[str, Any]) -> None:
    """Print *content* as one line of JSON, for streams."""
    click.echo(_json(content))


def json_text(content: Mapping[str, Any]) -> str:
    """Return *content* as JSON for people and programs."""
    return _json(content, indent=2)


def yaml_text(content: Mapping[str, Any]) -> str:
    """Return JSON-like *content* as block YAML; any YAML parser reads the same object back."""
    return "\n".join(_mapping(content))


def _mapping(content: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{_scalar(key)}:", *(f"  {line}" for line in _mapping(value))]
        elif isinstance(value, Sequence) and not isinstance(value, str) and value:
            lines += [f"{_scalar(key)}:", *_sequence(value)]
        else:
            lines.append(f"{_scalar(key)}: {_scalar(value)}")
    return lines


def _sequence(content: Sequence[Any]) -> list[str]:
    lines: list[str] = []
    for value in content:
        if isinstance(value, Mapping) and value:
            first, *rest = _mapping(value)
        elif isinstance(value, Sequence) and not isinstance(value, str) and value:
            first, *rest = _sequence(value)
        else:
            first, rest = _scalar(value), []
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    # A JSON scalar is a YAML scalar too, and so are [] and {}.
    return _json(value)


def _json(value: object, *, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # Only strings hold such letters, and there JSON and YAML know the same other spelling.
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
