"""What redis.conf says, and when a running server says something else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from cachepilot.observe.snapshot import Engine, SeenServer
from cachepilot.plan.shape import (
    CONFIG_FOLDER,
    PLAIN_PORT,
    RUN_FOLDER,
    TLS_FOLDER,
    TLS_PORT,
    engine_of,
)
from cachepilot.spec.document import (
    AccessMode,
    ClientCertificates,
    PersistenceMode,
)
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.upgrade import UpgradeStrategy

Directives = dict[str, str]

_EVERYWHERE, _INSIDE = "* -::*", "127.0.0.1"

_SAVE_POINTS = "3600 1 300 100 60 10000"
DATABASES = "16"
_BUFFERS = "client-output-buffer-limit"
_KEYSPACE_ALL = "g$lshzxetd"

# A build without the right allocator refuses to start when it finds these in its file, so they
# are only ever set on the running server, where a refusal is an answer and not an outage.
LIVE_ONLY = frozenset({"activedefrag"})

# What servers do where nobody says anything. Said all the same: otherwise a directive that was
# taken out of a document, or set by hand, would stay in force until the next restart.
_UNTOLD = {
    "active-expire-effort": "1",
    "activedefrag": "no",
    "appendfsync": "everysec",
    _BUFFERS: "normal 0 0 0 pubsub 33554432 8388608 60",
    "latency-monitor-threshold": "0",
    "lfu-decay-time": "1",
    "lfu-log-factor": "10",
    "maxclients": "10000",
    "maxmemory-samples": "5",
    "notify-keyspace-events": "",
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "stop-writes-on-bgsave-error": "yes",
    "tcp-keepalive": "300",
    "timeout": "0",
}
# A server with fewer replicas than this takes no write, of nobody. More than anybody could have
# is a fence around one that another server takes over from.
FENCE, MOST_REPLICAS = "min-replicas-to-write", "1000000000"
_LAZY = ("eviction", "expire", "server-del", "user-del", "user-flush")

AUTH_CLIENTS = {
    ClientCertificates.OFF: "no",
    ClientCertificates.OPTIONAL: "optional",
    ClientCertificates.REQUIRED: "yes",
}

# CONFIG SET refuses these; a difference can only be ended by a restart.
_RESTART_ONLY = frozenset(
    {"aclfile", "appenddirname", "databases", "dir", "unixsocket", "unixsocketperm"}
)


def wanted_directives(
    spec: TenantSpec, *, certificate: int, persistence: PersistenceMode
) -> Directives:
    """Return every directive that we answer for.

    Args:
        spec: What is wanted.
        certificate: Revision of the leaf to serve; unused without an encrypted port.
        persistence: The mode the data is really in, which lags behind the spec while a change
            of mode is under way: a server started in the wrong mode would load the wrong data.
    """
    found: Directives = {
        "port": str(PLAIN_PORT if spec.access.has_plain else 0),
        "tls-port": str(TLS_PORT if spec.access.has_tls else 0),
        # Of the container: whose address it is published on is Docker's affair.
        "bind": _EVERYWHERE,
        "unixsocket": f"{RUN_FOLDER}/redis.sock",
        "unixsocketperm": "700",
        "aclfile": f"{CONFIG_FOLDER}/users.acl",
        "dir": "/data",
        "dbfilename": "dump.rdb",
        "appenddirname": "appendonlydir",
        "maxmemory": str(spec.memory_max),
        "maxmemory-policy": spec.memory_policy,
        **with_mode(persistence),
        "databases": DATABASES,
        # A copy of the data is taken by replication; waiting for a second replica that never
        # comes would cost five seconds each time.
        "repl-diskless-sync-delay": "0",
        "acllog-max-len": "1024",
    }
    if spec.access.has_tls:
        folder = f"{TLS_FOLDER}/{certificate}"
        asks_clients = spec.client_certificates is not ClientCertificates.OFF
        found |= {
            "tls-cert-file": f"{folder}/cert.pem",
            "tls-key-file": f"{folder}/key.pem",
            "tls-ca-cert-file": f"{folder}/ca.pem",
            "tls-auth-clients": AUTH_CLIENTS[spec.client_certificates],
            # With which a server that takes over is a client of the one before.
            "tls-client-cert-file": f"{folder}/client.pem" if asks_clients else "",
            "tls-client-key-file": f"{folder}/client-key.pem" if asks_clients else "",
            "tls-protocols": "TLSv1.2 TLSv1.3",
        }
    if spec.in_sandbox:
        found[FENCE] = "0"
    lazy = "yes" if engine_of(spec.image) is Engine.VALKEY else "no"
    untold = _UNTOLD | {f"lazyfree-lazy-{what}": lazy for what in _LAZY}
    found = untold | found | dict(spec.config)
    limits = _buffer_classes(f"{untold[_BUFFERS]} {found[_BUFFERS]}")
    found[_BUFFERS] = " ".join(" ".join((kind, *limit)) for kind, limit in limits.items())
    return found


def with_mode(persistence: PersistenceMode) -> Directives:
    """Return the directives that make the mode."""
    return {
        "appendonly": "yes" if persistence is PersistenceMode.AOF else "no",
        "save": _SAVE_POINTS if persistence is PersistenceMode.RDB else "",
    }


def closed(directives: Directives) -> Directives:
    """Return *directives* of a server that listens as it will, but that no client can reach."""
    return directives | {"bind": _INSIDE}


def opening(directives: Directives) -> tuple[tuple[str, str], ...]:
    """Return what a closed server has to be told to let clients in."""
    return (("bind", directives["bind"]),)


def shut(directives: Directives) -> Directives:
    """Return the same configuration with no way in for clients, and without taking any write."""
    return directives | {"port": "0", "tls-port": "0", FENCE: MOST_REPLICAS}


def render(directives: Directives) -> str:
    """Return redis.conf; the same directives give the same bytes."""
    lines = [
        "# Written by cachepilotd from the tenant's file; changes made here are undone.",
        "daemonize no",
        'logfile ""',
    ]
    lines += [
        f"{name} {_quoted(value)}"
        for name, value in sorted(directives.items())
        if name not in LIVE_ONLY
    ]
    return "\n".join(lines) + "\n"


def fingerprint(text: str) -> str:
    """Return what :class:`SeenFiles.configuration` holds for a file with *text*."""
    return hashlib.sha256(text.encode()).hexdigest()


def differences(wanted: Directives, seen: SeenServer) -> tuple[tuple[str, str, str | None], ...]:
    """Return (directive, wanted, seen) wherever the running server means something else."""
    live = dict(seen.directives)
    return tuple(
        (name, value, live.get(name))
        for name, value in sorted(wanted.items())
        if not _same(name, value, live.get(name))
    )


def needs_restart(name: str) -> bool:
    """Return whether only a restart changes directive *name*."""
    return name in _RESTART_ONLY


def _quoted(value: str) -> str:
    return value if value and " " not in value and '"' not in value else f'"{value}"'


def _same(name: str, wanted: str, seen: str | None) -> bool:
    if seen is None:
        return False
    canonical = _CANONICAL.get(name)
    if name == _BUFFERS:
        found = _buffer_classes(seen)
        return all(found.get(kind) == limit for kind, limit in _buffer_classes(wanted).items())
    return canonical(wanted) == canonical(seen) if canonical else wanted == seen


def _event_classes(text: str) -> frozenset[str]:
    """Expand the shorthand A, which servers write back in its place and in their own order."""
    classes = frozenset(text.replace("A", _KEYSPACE_ALL))
    # Beside all the others, servers forget to mention new keys.
    return classes - {"n"} if classes.issuperset(_KEYSPACE_ALL) else classes


def _buffer_classes(text: str) -> dict[str, tuple[str, ...]]:
    """Split "normal 0 0 0 pubsub …" by class; servers always answer with all classes."""
    words = text.split()
    return {words[at]: tuple(words[at + 1 : at + 4]) for at in range(0, len(words) - 3, 4)}


_CANONICAL: dict[str, Callable[[str], object]] = {
    "notify-keyspace-events": _event_classes,
    "tls-protocols": lambda text: frozenset(text.split()),
    "unixsocketperm": lambda text: text.lstrip("0"),
}
# save "…" applies one line for each quoted list on every engine, so the text is passed as it is.


# One call may hold several directives, and some belong together: the files of a revision must
# match each other, and a server that is told one of them alone refuses.
CERTIFICATE_FILES = frozenset(
    {
        "tls-cert-file",
        "tls-key-file",
        "tls-ca-cert-file",
        "tls-client-cert-file",
        "tls-client-key-file",
    }
)


def managed_directives(spec: TenantSpec) -> tuple[str, ...]:
    """Return the names of all directives that we answer for, to be asked of a server.

    Those of an encrypted port, too, and of a server in a sandbox: a server may have what the spec
    takes away later.
    """
    most = replace(spec, access=AccessMode.DUAL_MODE, strategy=UpgradeStrategy.HANDOVER)
    return tuple(sorted(wanted_directives(most, certificate=0, persistence=spec.persistence)))
