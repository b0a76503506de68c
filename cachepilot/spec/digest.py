"""Fingerprints of documents: equal exactly when two documents say the same."""

from __future__ import annotations

import hashlib
import json

from cachepilot.spec.tree import Value

_LENGTH = 32


def canonical_json(value: Value) -> str:
    """Return *value* as the one JSON text that all documents saying the same share."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )


def fingerprint(text: str) -> str:
    """Return the first 128 bits of the SHA-256 of *text*, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
