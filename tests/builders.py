"""Valid things to test with; override the one that the test is about."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from cachepilot.spec.digest import canonical_json
from cachepilot.spec.document import TenantDocument
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def written(
    name: str = "acme", /, *, metadata: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a document as plain values: ``written("acme", memory={"max": "64MiB"})``."""
    return {
        "apiVersion": "cachepilot/v1",
        "kind": "Tenant",
        "metadata": {"name": name, **(metadata or {})},
        "spec": spec,
    }


def text(name: str = "acme", /, **spec: Any) -> str:
    """Return a document as a file holds it; JSON is YAML, one key a line keeps it readable."""
    return json.dumps(written(name, **spec), indent=2) + "\n"


def document(
    name: str = "acme", /, *, metadata: Mapping[str, Any] | None = None, **spec: Any
) -> TenantDocument:
    """Return a valid document: ``document("acme", memory={"max": "64MiB"})``."""
    values = written(name, metadata=metadata, **spec)
    return TenantDocument.model_validate_json(canonical_json(values))


def rules(**sections: Any) -> Rules:
    """Return the rules of a host: ``rules(limits={"memory": "1GiB"})``."""
    return Rules.model_validate_json(canonical_json(sections))


def tenant(name: str = "acme", /, *, under: Rules | None = None, **fields: Any) -> TenantSpec:
    """Return a tenant with every default, fields replaced: ``tenant("acme", cpus=0.5)``.

    Whether the fields fit together is not checked; go through :func:`document` for that.
    """
    spec = resolve(document(name), under or Rules())
    assert isinstance(spec, TenantSpec), spec
    return dataclasses.replace(spec, **fields)
