"""Machine output: one shape for every verb, as JSON or as YAML of the same object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

# Spelled out because the model that owns it would bring pydantic into every listing.
API_VERSION = "cachepilot/v1"

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]|[A-Za-z_]")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"})


def listing(items: Iterable[Mapping[str, Any]], **more: object) -> dict[str, Any]:
    """Return *items* as the list object that every ``-o json`` prints."""
    return {"apiVersion": API_VERSION, "kind": "List", **more, "items": list(items)}


def print_object(content: Mapping[str, Any], output: str) -> None:
    """Print *content* on stdout as ``json`` or ``yaml``."""
    click.echo(yaml_text(content) if output == "yaml" else json_text(content))


def print_line(content: Mapping[str, Any]) -> None:
    """Print *content* as one line of JSON, for streams."""
    click.echo(json.dumps(content, ensure_ascii=False))


def json_text(content: Mapping[str, Any]) -> str:
    """Return *content* as JSON for people and programs."""
    return json.dumps(content, indent=2, ensure_ascii=False)


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
    return json.dumps(value, ensure_ascii=False)
