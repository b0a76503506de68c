"""Which users a server has, and when a running server has others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from cachepilot.observe.memory import DEFAULT_USER, Memory
from cachepilot.observe.snapshot import SeenServer, SeenUser
from cachepilot.plan.actions import AclUser
from cachepilot.plan.passwords import accepted_passwords
from cachepilot.plan.user_rules import DENIED, NO_SCRIPTS, as_acl_user
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.user_rules import EXTRAS

CUSTOMER = DEFAULT_USER
DAEMON = "cachepilot"
METRICS = "cachepilot-metrics"
BACKUP = "cachepilot-backup"
OWN_USERS = (CUSTOMER, DAEMON, METRICS, BACKUP)
MARKER = "cachepilot-revision"
_TWIN = "cachepilot-twin-"
# Whom nobody can log in as: it lives only while rules are tried.
PROBE = "cachepilot-probe"

# Only names that every supported engine knows: an unknown one keeps a server from starting.
# None of these has a key pattern, or a channel.
_COMMANDS = {
    # It configures and saves. It can neither have the data sent to it or elsewhere, as replicas
    # do, nor read along what customers do.
    DAEMON: (
        *("-@all", "+@admin", "+@connection", "+info", "+dbsize", "+memory"),
        *("+script|kill", "+function|kill"),
        *("-psync", "-sync", "-replicaof", "-slaveof", "-failover"),
        *("-monitor", "-debug", "-module"),
    ),
    # Figures only. The slow log itself and the list of clients would show what customers do, and
    # CONFIG GET would show passwords.
    METRICS: (
        *("-@all", "+ping", "+info", "+dbsize", "+lastsave", "+slowlog|len"),
        *("+latency|latest", "+latency|histogram", "+client|setname"),
    ),
    # What a replica says to be sent all data once; it can ask for nothing else.
    BACKUP: ("-@all", "+ping", "+psync", "+replconf"),
}


def wanted_users(spec: TenantSpec, memory: Memory, now: datetime) -> tuple[AclUser, ...]:
    """Return every user with the passwords that work as of *now*.

    Each user has a twin that nobody can log in as. Engines reword rules in their own ways, so
    the only reliable proof that nobody edited a user's commands is to compare it, on the same
    server, with a user that was given the very same rules.

    The last one is a marker that nobody can use, with a key pattern for each of the others that
    stands for its commands. It is set after them, so a server that has it was told all of these
    rules; whoever lacks a pattern is told again, because user and twin may still agree on what
    held before.
    """
    denied = DENIED if spec.scripting else (*DENIED, NO_SCRIPTS)
    users = (
        AclUser(
            name=CUSTOMER,
            passwords=accepted_passwords(spec, memory, CUSTOMER, now),
            # A user without a password must not exist open for a single moment.
            enabled=memory.credential(CUSTOMER) is not None,
            keys="~*",
            channels="&*",
            commands=("+@all", *denied, *(f"+{name}" for name in EXTRAS)),
        ),
        *(
            AclUser(
                name=name,
                passwords=accepted_passwords(spec, memory, name, now),
                enabled=memory.credential(name) is not None,
                commands=commands,
            )
            for name, commands in _COMMANDS.items()
        ),
        *(
            as_acl_user(
                user,
                passwords=accepted_passwords(spec, memory, user.name, now),
                scripting=spec.scripting,
            )
            for user in sorted(spec.users, key=lambda each: each.name)
        ),
    )
    twins = tuple(
        AclUser(name=twin_of(user.name), enabled=False, commands=user.commands) for user in users
    )
    return (*users, *twins, _marker(users))


def expected_users(spec: TenantSpec) -> tuple[str, ...]:
    """Return the names of everybody on a server that was told everything."""
    users = (*OWN_USERS, *(user.name for user in spec.users))
    return (*users, *map(twin_of, users), MARKER)


def twin_of(user: str) -> str:
    """Return the name of the disabled user that has the same commands as *user*."""
    return f"{_TWIN}{user}"


def render_users(users: tuple[AclUser, ...]) -> str:
    """Return users.acl as :class:`SeenFiles.users` shows it: revisions instead of hashes."""
    return "".join(
        user.line(tuple(f"#{revision}" for revision in user.passwords)) + "\n" for user in users
    )


def user_differences(
    wanted: tuple[AclUser, ...], seen: SeenServer
) -> Iterator[tuple[AclUser, str]]:
    """Yield each user that must be set again, with the reason."""
    live = {user.name: user for user in seen.users}
    told = live[MARKER].keys.split() if MARKER in live else []
    for user in wanted:
        # Which of the two was edited cannot be known, so both are set again.
        other = live.get(user.name.removeprefix(_TWIN) if _is_twin(user) else twin_of(user.name))
        is_told = user.name == MARKER or _mark(user) in told
        if why := _difference(user, live.get(user.name), other, is_told=is_told):
            yield user, why


def loses_channels(wanted: AclUser, seen: SeenServer) -> bool:
    """Return whether a user may subscribe to something now that *wanted* does not allow."""
    now = next((user.channels for user in seen.users if user.name == wanted.name), "")
    allowed = set(wanted.channels.split())
    return "&*" not in allowed and bool(set(now.split()) - allowed)


def strangers(wanted: tuple[AclUser, ...], seen: SeenServer) -> tuple[str, ...]:
    """Return the users on the server that nobody asked for."""
    return tuple(sorted({user.name for user in seen.users} - {user.name for user in wanted}))


def _marker(users: tuple[AclUser, ...]) -> AclUser:
    marks = " ".join(_mark(user) for user in users)
    return AclUser(name=MARKER, enabled=False, keys=marks, commands=("-@all",))


def _mark(user: AclUser) -> str:
    """Return the pattern that stands for the commands of a user, or of the one it is a twin of."""
    revision = hashlib.sha256(repr(user.commands).encode()).hexdigest()[:12]
    return f"~{user.name.removeprefix(_TWIN)}:{revision}"


def _is_twin(user: AclUser) -> bool:
    return user.name.startswith(_TWIN)


def _difference(
    wanted: AclUser, seen: SeenUser | None, other: SeenUser | None, *, is_told: bool
) -> str:
    """Return what is wrong with one user; *other* is its twin, or whose twin it is."""
    if seen is None:
        return "the server does not have it"
    commands = other is not None and other.commands != seen.commands
    checks = (
        ("password", sorted(str(each) for each in wanted.passwords) != list(seen.passwords)),
        ("flags", (("on",) if wanted.enabled else ("off",)) != seen.flags),
        ("keys", wanted.keys != seen.keys),
        ("channels", wanted.channels != seen.channels),
        ("commands", commands or not is_told),
    )
    changed = [what for what, differs in checks if differs]
    return f"{', '.join(changed)} changed" if changed else ""
