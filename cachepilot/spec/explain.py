"""Translate a failed validation into faults that an author understands.

``str(ValidationError)`` is never used: it repeats the input, which may be huge or secret, and
speaks of Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cachepilot.spec.scalars import IMAGE_PATTERN, LABEL_KEY_PATTERN, NAME_PATTERN
from cachepilot.spec.spelling import did_you_mean, folded
from cachepilot.spec.tree import Fault, Path, Tree, Value, shorten
from cachepilot.spec.user_rules import COMMAND_PATTERN, USER_NAME_PATTERN

_SENSITIVE = re.compile(r"pass|secret|token|credential|private|auth", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/@\s]*@")
_MOST = 100

_PATTERNS = {
    IMAGE_PATTERN: "the name of an image such as redis:8.0",
    NAME_PATTERN: "lower-case letters, digits and hyphens, at most 63, "
    "with a letter or digit at both ends",
    LABEL_KEY_PATTERN: "letters, digits, dots, hyphens, underscores and slashes, "
    "with a letter or digit at both ends",
    USER_NAME_PATTERN: "letters, digits, dots, hyphens and underscores, at most 48, "
    "with a letter or digit first",
    COMMAND_PATTERN: "+ or - before a category or command such as +@read, -keys or "
    "+xinfo|stream; passwords and patterns have keys of their own",
}

_EXPECTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "model_type": lambda _: "a mapping",
    "dict_type": lambda _: "a mapping",
    "list_type": lambda _: "a list",
    "string_type": lambda _: "text",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "bool_type": lambda _: "true or false",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']}",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: f"at least {ctx['min_length']} characters",
    "too_long": lambda ctx: f"at most {ctx['max_length']} entries",
    "too_short": lambda ctx: f"at least {ctx['min_length']} entries",
    "string_pattern_mismatch": lambda ctx: _PATTERNS.get(
        ctx["pattern"], f"text that matches {ctx['pattern']}"
    ),
    "enum": lambda ctx: _one_of(_choices(ctx)),
    "literal_error": lambda ctx: _one_of(_choices(ctx)),
}


def explain(error: ValidationError, tree: Tree, model: type[BaseModel]) -> tuple[Fault, ...]:
    """Return one fault for each place of *tree* that *model* refused."""
    faults: dict[Path, Fault] = {}
    details = error.errors(include_url=False, include_input=False)
    for detail in details[:_MOST]:
        path, at_key = _locate(detail, tree)
        fault = _fault(detail, path, tree, model, at_key=at_key)
        earlier = faults.get(path)
        if earlier is None:
            faults[path] = fault
        elif detail["type"] == "literal_error" and "expected" in earlier.message:
            # A union refused twice: the second sentence only adds one more possibility.
            also = _one_of(_choices(detail.get("ctx", {})))
            message = earlier.message.replace("; got", f" or {also}; got", 1)
            faults[path] = Fault(path=path, message=message, hint=earlier.hint, at_key=at_key)
    return tuple(faults.values())


@cache
def known_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a mapping of *model* may have, as authors write them."""
    return tuple(_fields(model))


# Bounded, because authors choose the steps of a path.
@lru_cache(maxsize=4096)
def model_at(model: type[BaseModel], *path: str | int) -> type[BaseModel] | None:
    """Return the model of the mapping at *path* below *model*, or None where there is none."""
    found: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue  # an entry of a list, whose model was found with the list
        annotation = _fields(found).get(step) if found else None
        found = _model_of(annotation)
    return found


def annotation_at(model: type[BaseModel], *path: str | int) -> object:
    """Return what the field at *path* of *model* takes, or None without such a field."""
    steps = [step for step in path if isinstance(step, str)]
    mapping = model_at(model, *steps[:-1]) if steps else None
    return _fields(mapping).get(steps[-1]) if mapping else None


def is_sensitive(path: Path) -> bool:
    """Return whether a value at *path* may be a secret, so that no message may repeat it."""
    return any(_SENSITIVE.search(str(step)) for step in path)


def got(value: Value, path: Path) -> str:
    """Return *value* for a message: short, on one line, and never a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if is_sensitive(path):
        return "something else"
    if isinstance(value, str):
        return f'"{shorten(_USER_INFO.sub("//…@", value))}"'
    return shorten(str(value).lower())


def _locate(detail: ErrorDetails, tree: Tree) -> tuple[Path, bool]:
    """Return the path without pydantic's own steps, and whether the key itself is wrong."""
    path: Path = ()
    location = detail["loc"]
    if detail["type"] == "missing":
        return location, False
    for step in location:
        if not tree.has((*path, step)):
            break
        path = (*path, step)
    return path, "[key]" in location or detail["type"] == "extra_forbidden"


def _fault(
    detail: ErrorDetails, path: Path, tree: Tree, model: type[BaseModel], *, at_key: bool
) -> Fault:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return Fault(path=path, message=f'missing key "{path[-1]}"', hint=_example(path))
    if kind == "extra_forbidden":
        return _unknown_key(path, tree, model)
    value: Value = str(path[-1]) if at_key else tree.find(path)
    if kind not in _EXPECTED:
        # Our own validators say it themselves; one for a whole mapping speaks of its keys.
        whole = isinstance(value, dict)
        message = detail["msg"] if whole else f"{detail['msg']}; got {got(value, path)}"
        return Fault(path=path, message=message, at_key=at_key)
    return Fault(
        path=path,
        message=f"expected {_EXPECTED[kind](context)}; got {got(value, path)}",
        hint=_hint(kind, value, context),
        at_key=at_key,
    )


def _unknown_key(path: Path, tree: Tree, model: type[BaseModel]) -> Fault:
    word, parent = str(path[-1]), path[:-1]
    siblings = tree.find(parent)
    taken = set(siblings) if isinstance(siblings, dict) else set()
    mapping = model_at(model, *parent)
    known = known_keys(mapping) if mapping else ()
    free = [key for key in known if key not in taken]
    hint = did_you_mean(word, free) or did_you_mean(word, known)
    if not hint or folded(word) not in hint.replace("-", "").lower():
        elsewhere = _elsewhere(word, model)
        hint = f"{word} belongs below {elsewhere}" if elsewhere else hint
    if not hint and known:
        hint = f"known here: {', '.join(known)}"
    return Fault(path=path, message=f'unknown key "{shorten(word)}"', hint=hint, at_key=True)


def _elsewhere(word: str, model: type[BaseModel], at: str = "") -> str:
    """Return the field path of the mapping that has a key *word*, the shallowest first."""
    below: list[str] = []
    for key, annotation in _fields(model).items():
        inner = _model_of(annotation)
        path = f"{at}.{key}" if at else key
        if inner and word in _fields(inner):
            return path
        if inner:
            below.append(_elsewhere(word, inner, path))
    return next((path for path in below if path), "")


def _hint(kind: str, value: Value, context: Mapping[str, Any]) -> str:
    if kind in {"enum", "literal_error"} and isinstance(value, str):
        return did_you_mean(value, _choices(context))
    if kind in {"int_type", "float_type", "bool_type"} and isinstance(value, str):
        return "write it without quotes" if _would_resolve(kind, value) else ""
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    return ""


def _would_resolve(kind: str, text: str) -> bool:
    if kind == "bool_type":
        return text in {"true", "false"}
    pattern = r"-?[0-9]{1,18}" if kind == "int_type" else r"-?[0-9]{1,18}(\.[0-9]{1,18})?"
    return re.fullmatch(pattern, text) is not None


def _choices(context: Mapping[str, Any]) -> tuple[str, ...]:
    expected = str(context.get("expected", ""))
    return tuple(re.findall(r"'([^']*)'", expected)) or (expected,)


def _one_of(choices: tuple[str, ...]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def _example(path: Path) -> str:
    examples: dict[Path, str] = {
        ("apiVersion",): "apiVersion: cachepilot/v1",
        ("kind",): "kind: Tenant",
        ("metadata",): "metadata: {name: acme}",
        ("metadata", "name"): "name: acme",
    }
    example = examples.get(path)
    return f"such as {example}" if example else ""


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


@cache
def _model_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    found = (_model_of(part) for part in get_args(annotation))
    return next((model for model in found if model), None)
