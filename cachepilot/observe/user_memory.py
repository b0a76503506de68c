"""What we must remember of the users that an author describes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRules:
    """The rules of one user that a server had last; what remains when others are refused."""

    user: str
    keys: tuple[str, ...]
    channels: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the server of an image said when rules were tried on it.

    Attributes:
        image_id: Content of the image; a name may lead elsewhere tomorrow.
        rules: Fingerprint of keys, channels and commands.
        refusal: The server's words, or empty if it takes them.
    """

    image_id: str
    rules: str
    refusal: str = ""
