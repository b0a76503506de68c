"""A password that cannot be printed by accident."""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn, final

_SHOWN = "Secret(…)"


@final
class Secret:
    """Text that shows itself only when asked by name: never in repr, str, format or a pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; whoever calls this answers for where it goes."""
        return self._text

    def sha256(self) -> str:
        """Return the hexadecimal SHA-256 that an ACL file holds; a secret too."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, _spec: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment] # a set or dict of secrets has no use here

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a secret")
