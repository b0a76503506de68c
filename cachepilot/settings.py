"""The daemon's settings file: the rules for all tenants, and how the daemon itself works.

Everything has a default, so that a host without the file works; an unknown key is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file
from cachepilot.adapters.yaml_reader import MAX_BYTES, read_documents
from cachepilot.errors import SettingsError
from cachepilot.plan.rollout import Policy
from cachepilot.spec.digest import canonical_json, fingerprint
from cachepilot.spec.directives import SpecModel
from cachepilot.spec.document import TenantDocument
from cachepilot.spec.doubtful_words import in_their_fields
from cachepilot.spec.parse import problems_of, validate
from cachepilot.spec.problem import Problem
from cachepilot.spec.quantities import Duration, duration_to_text
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.scalars import Address, Instant
from cachepilot.spec.schema import draft07
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.tree import Fault, Tree

SHARE_PATTERN = r"^(100|[1-9]?[0-9])%$"
_MOST = 100_000
SOCKET_PATTERN = r"^(unix://)?/.+$|^tcp://[^/]+:[0-9]+$"

_SILENT = TenantDocument.model_validate(
    {"apiVersion": "cachepilot/v1", "kind": "Tenant", "metadata": {"name": "tenant"}}
)


def _socket(text: str) -> str:
    if not re.fullmatch(SOCKET_PATTERN, text):
        raise PydanticCustomError(
            "socket", "expected the path of a socket, unix:///path or tcp://host:port"
        )
    return f"unix://{text}" if text.startswith("/") else text


def _between(least: timedelta, most: timedelta) -> Callable[[timedelta], timedelta]:
    def check(span: timedelta) -> timedelta:
        if least <= span <= most:
            return span
        raise PydanticCustomError(
            "duration_range",
            "expected {least} to {most}",
            {"least": duration_to_text(least), "most": duration_to_text(most)},
        )

    return check


_Wait = Annotated[Duration, AfterValidator(_between(timedelta(seconds=1), timedelta(hours=1)))]
_Resync = Annotated[Duration, AfterValidator(_between(timedelta(seconds=5), timedelta(days=1)))]
_Notice = Annotated[Duration, AfterValidator(_between(timedelta(), timedelta(days=3650)))]
_RotateBefore = Annotated[
    Duration, AfterValidator(_between(timedelta(days=1), timedelta(days=1825)))
]
_Socket = Annotated[
    str, AfterValidator(_socket), WithJsonSchema({"type": "string", "pattern": SOCKET_PATTERN})
]


class DockerSettings(SpecModel):
    """Which Docker Engine runs the tenants."""

    socket: _Socket = Field(
        "unix:///var/run/docker.sock",
        description="Path of the engine's socket, or unix:///path, or tcp://host:port.",
    )
    timeout: _Wait = Field(
        timedelta(seconds=60), description="How long one call to the engine may take."
    )


class DaemonSettings(SpecModel):
    """How the daemon works."""

    workers: int = Field(4, ge=1, le=64, description="Tenants that are visited at the same time.")
    resync: _Resync = Field(
        timedelta(minutes=10),
        description="How often everything is looked at again, even if nothing seems to have "
        "happened.",
    )
    debounceMilliseconds: int = Field(
        50,
        ge=1,
        le=10_000,
        description="How long the folder of tenants must be quiet before it is read.",
    )
    watchdog: _Wait = Field(
        timedelta(seconds=30),
        description="How long the daemon's loop may be silent before it counts as stuck.",
    )


class ListenSettings(SpecModel):
    """Where metrics and health are served."""

    address: Address = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9621, ge=0, le=65_535, description="Port to listen on; 0 is off.")


class AuthoritySettings(SpecModel):
    """How the root of this host is replaced; see docs/how-to/replace-the-root.md."""

    rotatedAt: Instant | None = Field(
        None, description="Each new value replaces the root once, in phases."
    )
    notice: _Notice = Field(
        timedelta(days=30),
        description="How long a new root stands in the bundle, and every server holds it, before "
        "it signs; hand the bundle to customers in that time.",
    )
    overlap: _Notice = Field(
        timedelta(days=30),
        description="How long the old root stays in the bundle after the last certificate was "
        "issued anew.",
    )
    rotateBefore: _RotateBefore = Field(
        timedelta(days=365), description="How long before its end a root is replaced by itself."
    )

    @model_validator(mode="after")
    def _in_time(self) -> AuthoritySettings:
        # A wish takes as long as its owner likes; a root that ends must be replaced before.
        if self.rotatedAt is None and self.rotateBefore <= self.notice + self.overlap:
            raise PydanticCustomError(
                "rotate_before", "`rotateBefore` must be more than `notice` and `overlap` together"
            )
        return self


def _share(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    if is_number or (isinstance(value, str) and re.fullmatch(SHARE_PATTERN, value)):
        return value
    raise PydanticCustomError("share", "expected a number such as 1, or a percentage such as 10%")


def _some(value: int | str) -> int | str:
    if value in (0, "0%"):
        raise PydanticCustomError("share", "expected at least 1, or nobody would ever go")
    return value


Share = Annotated[
    int | str,
    BeforeValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _MOST},
                {"type": "string", "pattern": SHARE_PATTERN},
            ],
            "examples": ["10%"],
        }
    ),
]


class RolloutSettings(SpecModel):
    """How new defaults that need a restart reach the tenants that leave the choice to them."""

    canary: Share = Field(
        1,
        description="How many take them first and alone: a number, or a percentage of all that "
        'serve. Whoever has the label `cachepilot/canary: "true"` comes first, then by name.',
    )
    maxUnavailable: Annotated[Share, AfterValidator(_some)] = Field(
        1,
        description="How many may take them at a time, as a number or a percentage; tenants that "
        "are out of service for any other reason count.",
    )
    pauseOnFailure: bool = Field(
        default=True, description="Whether the first failure halts it for everybody else."
    )
    settle: _Wait = Field(
        timedelta(seconds=30),
        description="How long a tenant must have been ready again before the next one goes.",
    )
    deadline: _Resync = Field(
        timedelta(minutes=10), description="How long a tenant may take to become ready again."
    )
    resumedAt: Instant | None = Field(
        None, description="Each new value lets a rollout go on that a failure has halted."
    )


# Sections and keys that a reload leaves as they are; the reference says so of each.
READ_AT_START = ("docker", "listen", "daemon.workers", "daemon.debounceMilliseconds")


class Settings(Rules):
    """Everything in cachepilot.yaml."""

    apiVersion: Literal["cachepilot/v1"] = Field(
        "cachepilot/v1", description="Version of this format."
    )
    kind: Literal["Settings"] = Field("Settings", description="Kind of document.")
    docker: DockerSettings = Field(
        default_factory=DockerSettings, description="The Docker Engine."
    )
    daemon: DaemonSettings = Field(default_factory=DaemonSettings, description="The daemon.")
    authority: AuthoritySettings = Field(
        default_factory=AuthoritySettings, description="The certificate authority."
    )
    listen: ListenSettings = Field(
        default_factory=ListenSettings, description="Metrics and health."
    )

    rollout: RolloutSettings = Field(
        default_factory=RolloutSettings,
        description="How new defaults that need a restart reach the tenants.",
    )

    def rollout_policy(self) -> Policy:
        """Return the part that taking turns needs."""
        said = self.rollout
        return Policy(
            canary=said.canary,
            max_unavailable=said.maxUnavailable,
            pause_on_failure=said.pauseOnFailure,
            settle=said.settle,
            deadline=said.deadline,
            resumed_at=said.resumedAt,
        )

    def rollout_target(self) -> str:
        """Return a fingerprint of the defaults that only a restart changes."""
        given = self.defaults
        databases = given.engine.config.databases
        parts = (given.engine.image, given.access.mode.value, *given.access.bind, str(databases))
        return fingerprint(" ".join(parts))

    def rules(self) -> Rules:
        """Return the part that deciding about tenants needs."""
        return Rules.model_construct(**{name: getattr(self, name) for name in Rules.model_fields})

    def differs_at_start(self, other: Settings) -> list[str]:
        """Return what differs from *other* and is read only at the start."""
        return [
            path for path in READ_AT_START if attrgetter(path)(self) != attrgetter(path)(other)
        ]

    @property
    def digest(self) -> str:
        """Fingerprint of all settings in force, defaults included."""
        return fingerprint(canonical_json(json.loads(self.model_dump_json())))


def load_settings(path: Path) -> Settings:
    """Return the settings in *path*; all defaults if there is no such file.

    Raises:
        SettingsError: They cannot be used; the text tells every problem on a line of its own.
    """
    found = check_settings(path)
    if isinstance(found, Settings):
        return found
    raise SettingsError("\n".join(str(problem) for problem in found))


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of the settings file, draft-07."""
    return draft07(Settings, "CachePilot settings")


def check_settings(path: Path) -> Settings | tuple[Problem, ...]:
    """Return the settings in *path*, or everything that is wrong with them."""
    file = str(path)
    try:
        data, _ = read_regular_file(path, most=MAX_BYTES)
    except FileNotFoundError:
        return Settings()
    except UnusableFileError as error:
        return (Problem(file=file, message=str(error)),)
    documents = read_documents(data, file)
    if documents.problems:
        return documents.problems
    if len(documents.trees) > 1:
        place = documents.trees[1].start
        message = "expected one document; a second one begins here"
        return (Problem(file=file, line=place.line, column=place.column, message=message),)
    return _check(documents.trees[0]) if documents.trees else Settings()


def _check(tree: Tree) -> Settings | tuple[Problem, ...]:
    if tree.value is None and not tree.faults:
        return Settings()
    settings, refused = validate(tree, Settings)
    faults = (*in_their_fields(tree.faults, Settings), *refused)
    if settings is None or faults:
        return problems_of(tree, faults)
    return problems_of(tree, _default_faults(settings)) or settings


def _default_faults(settings: Settings) -> tuple[Fault, ...]:
    """Return why a tenant that says nothing could not exist: its defaults break the limits."""
    spec = resolve(_SILENT, settings.rules())
    if isinstance(spec, TenantSpec):
        return ()
    # Whether a name for certificates is missing is up to each tenant.
    faults = (fault for fault in spec if fault.path[-1] != "extraNames")
    return tuple(
        replace(fault, path=("defaults", *fault.path[1:]), hint="set it to what the limits allow")
        for fault in faults
    )
