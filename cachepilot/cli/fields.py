"""Looks fields up in the schema: what they hold, what is said about them, what changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cachepilot.settings import Settings
from cachepilot.spec.schema import draft07, tenant_schema

Schema = Mapping[str, Any]


def schema_of(kind: str) -> Schema:
    """Return the schema of ``tenant`` or ``settings``."""
    return tenant_schema() if kind == "tenant" else draft07(Settings, "CachePilot settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a file format.

    Attributes:
        path: Dotted, beginning with the kind of document.
        content: Its schema, references followed.
        fields: The fields in it; a name that any key may have is ``<key>``.
        is_required: Whether a document must have it.
    """

    path: str
    content: Schema
    root: Schema
    is_required: bool = False

    @property
    def is_list(self) -> bool:
        """Whether the fields below are those of each entry of a list."""
        return "array" in self.content.get("type", ())

    @property
    def fields(self) -> dict[str, Field]:
        """The fields below this one, by key; of a list, those that each entry has."""
        if self.is_list:
            entry = _followed(self.content.get("items", {}), self.root)
            return replace(self, path=f"{self.path}[]", content=entry).fields
        required = self.content.get("required", ())
        found = {
            key: self._child(key, value, is_required=key in required)
            for key, value in self.content.get("properties", {}).items()
        }
        anything = self.content.get("additionalProperties")
        if isinstance(anything, dict):
            found["<key>"] = self._child("<key>", anything)
        return found

    @property
    def type(self) -> str:
        """What may stand there, in words."""
        return _type(self.content, self.root)

    @property
    def facts(self) -> Iterator[tuple[str, str]]:
        """What else is known: default, range, examples, disruption."""
        content = self.content
        if self.is_required:
            yield "Required", "yes"
        if "default" in content:
            yield "Default", _value(content["default"])
        least, most = content.get("minimum"), content.get("maximum")
        if least is not None or most is not None:
            low = "" if least is None else f"{least}"
            high = "" if most is None else f"{most}"
            yield "Range", f"{low} to {high}".strip()
        if "pattern" in content:
            yield "Pattern", str(content["pattern"])
        if content.get("examples"):
            yield "Example", ", ".join(map(_value, content["examples"]))
        if "x-disruption" in content and (self.is_list or not self.fields):
            yield "Disruption", str(content["x-disruption"])

    @property
    def description(self) -> str:
        """The sentence about it."""
        return str(self.content.get("description", ""))

    def _child(self, key: str, value: Schema, *, is_required: bool = False) -> Field:
        return Field(
            path=f"{self.path}.{key}",
            content=_followed(value, self.root),
            root=self.root,
            is_required=is_required,
        )


def root_field(kind: str) -> Field:
    """Return the whole document of a kind as a field."""
    schema = schema_of(kind)
    return Field(path=kind, content=schema, root=schema)


def _followed(content: Schema, root: Schema) -> dict[str, Any]:
    """Return *content* with references and alternatives to nothing folded in."""
    found = dict(content)
    parts = [*found.pop("allOf", ())]
    kinds = found.get("anyOf", ())
    real = [kind for kind in kinds if kind.get("type") != "null"]
    if len(real) == 1:
        del found["anyOf"]
        parts += real
    for part in parts:
        found = {**_followed(part, root), **found}
    if "$ref" in found:
        name = found.pop("$ref").rpartition("/")[2]
        found = {**_followed(root["definitions"][name], root), **found}
    return found


def _type(content: Schema, root: Schema) -> str:
    if "enum" in content:
        return "one of " + ", ".join(map(_value, content["enum"]))
    if "const" in content:
        return _value(content["const"])
    if "anyOf" in content and "type" not in content:
        kinds = [_type(_followed(kind, root), root) for kind in content["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "nothing"))
    kinds = content.get("type", "anything")
    names = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"]
    if names == ["array"]:
        return f"list of {_type(_followed(content.get('items', {}), root), root)}"
    words = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
        "object": "mapping",
        "null": "nothing",
    }
    return " or ".join(words.get(name, name) for name in names)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)
