"""``get certs``: the roots, and each tenant's certificates with where their files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cachepilot.adapters.published import (
    PublishedHost,
    PublishedStatus,
    PublishedTenant,
    StatusUnreadableError,
    instant,
)
from cachepilot.cli.columns import table
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.output import listing, print_object, print_text

_HEADERS = ("TENANT", "KIND", "NAME", "ENDS", "RENEWED", "STATE")
_WIDE_HEADERS = (*_HEADERS, "FINGERPRINT", "FILES", "MESSAGE")
_SHORT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One certificate as it is shown.

    Attributes:
        tenant: Whose it is; empty for a root.
        kind: ``root``, ``server`` or ``client``.
        name: Of a client; the beginning of the fingerprint of anything else.
        state: One or a few words.
        message: A sentence where there is more to say.
        more: What machine output says besides.
    """

    tenant: str = ""
    kind: str
    name: str
    state: str
    message: str = ""
    content: Mapping[str, Any]
    more: Mapping[str, Any]

    def row(self, *, wide: bool) -> tuple[str, ...]:
        """Return the cells of a line."""
        row = (
            self.tenant or "-",
            self.kind,
            self.name,
            _day(self.content.get("notAfter")),
            _day(self.content.get("renewAt")),
            self.state,
        )
        if not wide:
            return row
        return (
            *row,
            str(self.content.get("fingerprint") or "-"),
            str(self.content.get("certFile") or "-").replace("/cert.pem", "/{cert,key}.pem"),
            self.message,
        )

    def item(self) -> dict[str, object]:
        """Return machine output."""
        metadata = {"name": self.full_name} | ({"tenant": self.tenant} if self.tenant else {})
        told = {"state": self.state, "message": self.message}
        return {
            "apiVersion": "cachepilot/v1",
            "kind": "Certificate",
            "metadata": metadata,
            "spec": {"usage": self.kind},
            "status": {**self.content, **told, **self.more},
        }

    @property
    def full_name(self) -> str:
        """What tells it from all others."""
        return "/".join(filter(None, (self.tenant, self.kind, self.name)))


def print_certs(
    invocation: Invocation, tenants: Sequence[PublishedTenant], output: str, *, headers: bool
) -> None:
    """Print the roots and the certificates of *tenants*."""
    now = invocation.surroundings.now()
    found = (each for one in tenants for each in _of_tenant(one))
    shown = [*_roots(_host(invocation)), *(_as_of(each, now) for each in found)]
    if output in {"json", "yaml"}:
        print_object(listing(each.item() for each in shown), output)
    elif output == "name":
        for each in shown:
            print_text(f"certificate/{each.full_name}")
    else:
        wide = output == "wide"
        titles = _WIDE_HEADERS if wide else _HEADERS
        lines = table([each.row(wide=wide) for each in shown], headers=titles)
        if headers and shown:
            print_text(lines[0], bold=True)
        for line in lines[1:]:
            print_text(line)
    if not shown:
        invocation.say("no certificates yet")


def _host(invocation: Invocation) -> PublishedHost | None:
    try:
        return PublishedStatus(invocation.paths).host()
    except StatusUnreadableError:
        return None  # the tenants' own certificates are told all the same


def _roots(host: PublishedHost | None) -> Iterator[Shown]:
    authority = _object(host.content.get("authority")) if host else {}
    rotation = _object(authority.get("rotation"))
    for root in map(_object, authority.get("roots") or ()):
        fingerprint = str(root.get("fingerprint") or "")
        signs = fingerprint == authority.get("fingerprint")
        yield Shown(
            kind="root",
            name=fingerprint[:_SHORT],
            state="signs" if signs else str(rotation.get("phase") or "trusted"),
            message=str(rotation.get("message") or "") if not signs else "",
            content=root,
            more={} if signs else {"rotation": rotation},
        )
    if problem := authority.get("problem"):
        yield Shown(
            kind="root", name="-", state="Broken", message=str(problem), content={}, more={}
        )


def _of_tenant(tenant: PublishedTenant) -> Iterator[Shown]:
    leaf = _object(tenant.status.get("certificate"))
    if leaf:
        served = tenant.condition("CertificateServed")
        yield Shown(
            tenant=tenant.name,
            kind="server",
            name=str(leaf.get("fingerprint") or "")[:_SHORT],
            state=str(served.get("reason") or "-"),
            message=str(served.get("message") or ""),
            content=leaf,
            more={"served": served.get("status") == "True"},
        )
    found = {
        str(each.get("name")): each
        for each in map(_object, tenant.status.get("clientCertificates") or ())
    }
    tls = _object(tenant.spec.get("tls"))
    for name in sorted({*found, *map(str, tls.get("clients") or ())}):
        content = found.get(name, {})
        problem = str(content.get("problem") or "") if content else "no certificate yet"
        fault = "Unusable" if content else "NotIssued"
        yield Shown(
            tenant=tenant.name,
            kind="client",
            name=name,
            state=fault if problem else "Issued",
            message=problem,
            content={key: value for key, value in content.items() if key != "name"},
            more={},
        )


def _as_of(shown: Shown, now: datetime) -> Shown:
    """Return *shown* as it is now; it may have ended since the daemon looked, or because of it."""
    end = instant(shown.content.get("notAfter"))
    if end is None or end > now:
        return shown
    ended = f"it ended on {_day(shown.content.get('notAfter'))}"
    problem = str(shown.content.get("problem") or "")
    message = ended if problem in ("", ended) else f"{problem}; {ended}"
    return replace(shown, state="Expired", message=message)


def _day(moment: object) -> str:
    return str(moment)[:10] if moment else "-"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
