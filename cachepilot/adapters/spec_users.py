"""Finds a user in a tenant's document, where a list has no names but numbers."""

from __future__ import annotations

from cachepilot.adapters.spec_location import Located
from cachepilot.adapters.spec_refusals import NoSuchUserError
from cachepilot.spec.spelling import did_you_mean
from cachepilot.spec.tree import Path

DEFAULT_USER = "default"
_USERS: Path = ("spec", "auth", "users")


def place_of_user(located: Located, user: str) -> Path:
    """Return the path of the mapping in which the password of *user* is wished for.

    Raises:
        NoSuchUserError: The document lists no such user.
    """
    if user == DEFAULT_USER:
        return ("spec", "auth")
    listed = located.tree.find(_USERS) if located.tree else None
    names = [
        str(each.get("name")) if isinstance(each, dict) else ""
        for each in (listed if isinstance(listed, list) else ())
    ]
    if user in names:
        return (*_USERS, names.index(user))
    known = ", ".join(filter(None, names)) or "none"
    raise NoSuchUserError(
        f"there is no user {user} in the document of tenant {located.name}",
        hint=did_you_mean(user, names) or f"listed are: {known}",
    )
