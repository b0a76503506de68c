"""From a tree to a valid document and its spec, or to everything that is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from pydantic import BaseModel, ValidationError

from cachepilot.spec.digest import canonical_json, fingerprint
from cachepilot.spec.document import API_VERSION, TenantDocument, TenantName
from cachepilot.spec.doubtful_words import in_their_fields
from cachepilot.spec.explain import explain, known_keys, model_at
from cachepilot.spec.problem import Problem
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.tree import Fault, Path, Tree, Value

_Model = TypeVar("_Model", bound=BaseModel)

# Stands in for what is required and missing, so that the rest can still be checked.
_STAND_IN: dict[str, Value] = {
    "apiVersion": API_VERSION,
    "kind": "Tenant",
    "metadata": {"name": "tenant"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A valid document.

    Attributes:
        spec: The same with every default filled in.
        json: The document as written, as canonical JSON.
        digest: Fingerprint of that text.
    """

    document: TenantDocument
    spec: TenantSpec
    json: str
    digest: str


def parse(tree: Tree, rules: Rules) -> Parsed | tuple[Problem, ...]:
    """Return what *tree* wishes, or all that is wrong with it, in the order of its lines."""
    faults = [*in_their_fields(tree.faults, TenantDocument)]
    document, refused = validate(tree, TenantDocument)
    faults += refused
    if document is None or faults:
        faults += _cross_field_faults(tree, faults, rules)
        return problems_of(tree, faults)
    spec = resolve(document, rules)
    if not isinstance(spec, TenantSpec):
        return problems_of(tree, spec)
    text = canonical_json(tree.value)
    return Parsed(document=document, spec=spec, json=text, digest=fingerprint(text))


def parse_json(text: str, rules: Rules, *, file: str) -> Parsed | tuple[Problem, ...]:
    """Return what *text*, a remembered :attr:`Parsed.json`, wishes under the *rules* of today."""
    try:
        value = json.loads(text)
    except ValueError:
        return (Problem(file=file, message="cannot read the remembered document as JSON"),)
    return parse(Tree(file=file, value=value), rules)


def validate(tree: Tree, model: type[_Model]) -> tuple[_Model | None, tuple[Fault, ...]]:
    """Return *tree* as an instance of *model*, or None and why not."""
    text = canonical_json(_without_nothing(tree.value, model))
    try:
        return model.model_validate_json(text, strict=True), ()
    except ValidationError as error:
        return None, explain(error, tree, model)


def find_name(tree: Tree) -> TenantName | None:
    """Return the name of a tenant's document that need not be valid otherwise, or None."""
    name = tree.find(("metadata", "name"))
    try:
        document = TenantDocument.model_validate({**_STAND_IN, "metadata": {"name": name}})
    except ValidationError:
        return None
    return TenantName(document.metadata.name)


def problems_of(tree: Tree, faults: list[Fault] | tuple[Fault, ...]) -> tuple[Problem, ...]:
    """Return *faults* with their places, each place told once, in the order of the lines."""
    found: dict[tuple[int, int, str, str], Problem] = {}
    seen: set[Path] = set()
    for fault in faults:
        # What is wrong with the writing comes first and makes further sentences noise.
        if fault.at is None and fault.path in seen:
            continue
        seen.add(fault.path)
        problem = tree.problem(fault)
        found.setdefault((problem.line, problem.column, problem.where, problem.message), problem)
    return tuple(found[key] for key in sorted(found))


def _cross_field_faults(tree: Tree, faults: list[Fault], rules: Rules) -> list[Fault]:
    """Return what is wrong between the fields that are right by themselves."""
    wrong = {fault.path for fault in faults}
    origin: dict[Path, Path] = {}
    sound = _without(tree.value, wrong, origin)
    if not isinstance(sound, dict):
        return []
    for key, stand_in in _STAND_IN.items():
        if not isinstance(sound.get(key), type(stand_in)):
            sound[key] = stand_in
    sound["metadata"] = {"name": "tenant", **cast("dict[str, Value]", sound["metadata"])}
    document, still_wrong = validate(Tree(file=tree.file, value=sound), TenantDocument)
    if document is None or still_wrong:
        return []
    spec = resolve(document, rules)
    found = () if isinstance(spec, TenantSpec) else spec
    found = tuple(replace(fault, path=origin.get(fault.path, fault.path)) for fault in found)
    return [fault for fault in found if not _touches(fault, wrong)]


def _touches(fault: Fault, wrong: set[Path]) -> bool:
    paths = (fault.path, *fault.involves)
    return any(
        path[: len(bad)] == bad or bad[: len(path)] == path for path in paths for bad in wrong
    )


def _without(value: Value, wrong: set[Path], origin: dict[Path, Path], at: Path = ()) -> Value:
    """Return *value* without all that is at *wrong* paths; *origin* tells where entries moved."""
    if isinstance(value, dict):
        return {
            key: _without(inner, wrong, origin, (*at, key))
            for key, inner in value.items()
            if (*at, key) not in wrong
        }
    if isinstance(value, list):
        kept = [index for index in range(len(value)) if (*at, index) not in wrong]
        origin.update({(*at, new): (*at, old) for new, old in enumerate(kept)})
        return [_without(value[index], wrong, origin, (*at, index)) for index in kept]
    return value


def _without_nothing(value: Value, model: type[BaseModel] | None) -> Value:
    """Return *value* without fields that hold nothing: ``spec:`` alone says as much as no spec."""
    if not isinstance(value, dict) or model is None:
        return value
    known = known_keys(model)
    return {
        key: _without_nothing(inner, model_at(model, key))
        for key, inner in value.items()
        if inner is not None or key not in known
    }
