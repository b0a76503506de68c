"""The JSON Schema of what authors write, in the dialect that editors understand: draft-07.

pydantic speaks a newer one. In draft-07 whatever stands beside ``$ref`` is ignored, shared parts
live in ``definitions``, and tuples are no ``prefixItems``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from cachepilot.spec.document import SpecFields, TenantDocument
from cachepilot.spec.explain import model_at
from cachepilot.spec.resolve import DEFAULT_HZ
from cachepilot.spec.rules import Defaults

DIALECT = "http://json-schema.org/draft-07/schema#"
_FROM_SETTINGS = " The host's settings may say another default."


def tenant_schema() -> JsonSchemaValue:
    """Return the schema of a tenant's document, defaults of an unconfigured host included."""
    schema = draft07(TenantDocument, "CachePilot tenant")
    definitions = schema["definitions"]
    _add_defaults(definitions, SpecFields, Defaults())
    own = {
        ("SpecFields", "state"): "running",
        ("SpecFields", "paused"): False,
        ("EngineConfig", "hz"): DEFAULT_HZ,
    }
    for (model, key), value in own.items():
        definitions[model]["properties"][key]["default"] = value
    return schema


def draft07(model: type[BaseModel], title: str) -> JsonSchemaValue:
    """Return the schema of *model* in draft-07, named *title*."""
    generated = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    schema: JsonSchemaValue = _translate(generated)
    return {"$schema": DIALECT, "title": title, **schema}


class _Generator(GenerateJsonSchema):
    """Writes defaults as authors would, and lets every optional key be empty."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of one model."""
        found = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, field in model.model_fields.items():
            written = found.get("properties", {}).get(field.alias or name)
            if written is None or field.is_required():
                continue
            value = field.get_default(call_default_factory=True)
            written.pop("default", None)
            if value is not None and not isinstance(value, BaseModel):
                one = model.model_construct(**{name: value})
                written["default"] = one.model_dump(mode="json", include={name})[name]
            found["properties"][field.alias or name] = _or_nothing(written)
        return found


def _or_nothing(written: JsonSchemaValue) -> JsonSchemaValue:
    """Return *written* such that a key without a value is accepted, as the reader does."""
    if {"type": "null"} in written.get("anyOf", ()):
        return written
    about = {
        key: inner
        for key, inner in written.items()
        if key in {"description", "default"} or key.startswith("x-")
    }
    core = {key: written[key] for key in written if key not in about and key != "title"}
    kinds = core["anyOf"] if core.keys() == {"anyOf"} else [core]
    return {"anyOf": [*kinds, {"type": "null"}], **about}


def _translate(node: Any, *, is_properties: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return *node* of the newer dialect in the older one."""
    if isinstance(node, list):
        return [_translate(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if is_properties:
        return {key: _translate(inner) for key, inner in node.items()}
    found: dict[str, Any] = {}
    for key, inner in node.items():
        if key == "$ref":
            found[key] = inner.replace("#/$defs/", "#/definitions/")
        elif key == "$defs":
            found["definitions"] = _translate(inner, is_properties=True)
        elif key == "patternProperties":
            # The reader refuses other keys; the older word for that is a rule for names.
            ((pattern, value),) = inner.items()
            found["propertyNames"] = {"pattern": pattern}
            found["additionalProperties"] = _translate(value)
        elif key in {"default", "examples", "enum", "const"}:
            found[key] = inner
        elif key != "title":
            found[key] = _translate(inner, is_properties=key == "properties")
    return _merge_nothing(found)


def _merge_nothing(node: dict[str, Any]) -> dict[str, Any]:
    """Return *node* with "text, or nothing" said in one type; editors show that better."""
    kinds = node.get("anyOf", [])
    if len(kinds) != 2 or kinds[1] != {"type": "null"}:  # noqa: PLR2004 - something, or nothing
        return node
    core = kinds[0]
    if "type" not in core or core.keys() & {"const", "enum"}:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**rest, **core, "type": [core["type"], "null"]}


def _add_defaults(definitions: JsonSchemaValue, model: type[BaseModel], given: BaseModel) -> None:
    """Say in the schema of *model* what an unconfigured host *given* as defaults."""
    for name in type(given).model_fields:
        value, written = getattr(given, name), definitions[model.__name__]["properties"][name]
        if isinstance(value, BaseModel):
            below = model_at(model, name)
            if below and below is not type(value):
                _add_defaults(definitions, below, value)
            continue
        written["description"] += _FROM_SETTINGS
        if value is not None:
            written["default"] = given.model_dump(mode="json", include={name})[name]
