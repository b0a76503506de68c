"""What we must remember of a server that takes the place of another, and of one that failed to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cachepilot.spec.document import AccessMode


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedDatabase:
    """How many keys one database of a server had.

    Attributes:
        expiring: How many of them expire.
        with_fields: How many have fields that expire, and go with the last of them.
    """

    number: int
    keys: int
    expiring: int = 0
    with_fields: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedKey:
    """One key of a sample.

    Attributes:
        key: Its name in Base64; names are whatever customers like.
        whole: Whether its content is part of the digest, and not only its type and length.
        digest: Fingerprint that is the same on every engine; empty where only the key counts.
        expires_at: Milliseconds since 1970, or -1.
    """

    database: int
    key: str
    whole: bool
    digest: str
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a server held while nobody could write to it.

    Attributes:
        until: When writes come back by themselves; a server that stopped later may hold more.
        evicts: Whether the server may throw keys away to make room.
    """

    until: datetime
    databases: tuple[NotedDatabase, ...]
    sample: tuple[NotedKey, ...]
    evicts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedImage:
    """What the program in an image said of itself.

    Attributes:
        image_id: Fingerprint of the image's content; a name may lead elsewhere tomorrow.
        engine: ``redis`` or ``valkey``; empty if it holds neither.
        version: As the program says it.
        problem: Why it cannot serve at all, or empty.
    """

    image_id: str
    engine: str
    version: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The part of a spec that only a restart changes, as the server before had it.

    Attributes:
        image_id: Which content the image's name stood for.
        memory: Bytes of the container, within which the data is known to fit.
        config: Directives that are read at a start only.
        boxed: Whether it shared the network of a sandbox; None where that was not remembered yet.
    """

    image: str
    image_id: str
    access: AccessMode
    bind: tuple[str, ...]
    tls_port: int | None
    plain_port: int | None
    memory: int
    config: tuple[tuple[str, str], ...] = ()
    boxed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One server taking the place of another; the record's instance says which is in charge.

    Attributes:
        cause: Why, for people.
        target: Fingerprint of what the spec wants that only a restart changes.
        wish: The ``restartedAt`` that is served by it, or None.
        former: Number of the instance that served before.
        instance: Number of the instance that is to serve.
        kept: What to go back to.
        begun: When it was begun.
        staged: Whether the folders of the new instance are ours to empty.
        note: What the server before held, if it could be asked.
        failure: Why there is no going on, as a reason and a message.
        failed_image: Content of the image that failed, or empty.
    """

    cause: str
    target: str
    wish: str | None
    former: int
    instance: int
    kept: Kept
    begun: datetime
    staged: bool = False
    note: Note | None = None
    failure: tuple[str, str] | None = None
    failed_image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A change that failed and is not tried again until it, or the image's content, differs.

    Attributes:
        target: As of :class:`Replacement`.
        image_id: Content of the image that failed, or empty.
        kept: What serves instead.
    """

    target: str
    image_id: str
    kept: Kept
    reason: str
    message: str
