"""``credentials``: how a tenant's clients log in; the one verb that shows a secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cachepilot.cli.columns import table
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.look import published_tenant
from cachepilot.cli.names import names_argument, one_tenant
from cachepilot.cli.options import output_option
from cachepilot.cli.output import print_object, print_text
from cachepilot.cli.verb import Verb

if TYPE_CHECKING:
    from cachepilot.adapters.published import PublishedTenant
    from cachepilot.adapters.secret import Secret


@click.command(cls=Verb)
@names_argument("NAME")
@click.option(
    "--user",
    metavar="USER",
    default="default",
    show_default=True,
    help="Whose password: a user of spec.auth.users, or cachepilot-metrics for an exporter.",
)
@click.option("--reveal", is_flag=True, help="Yes, show the password on this screen.")
@output_option("text", "json")
@pass_invocation
def credentials(
    invocation: Invocation, words: Sequence[str], *, user: str, reveal: bool, output: str
) -> None:
    """Show where and how a tenant's clients log in, password included.

    Where clients must show a certificate, it says so, and where their files are.

    Only root may read the password. Each time it is shown, an event says to whom.
    """
    from cachepilot.adapters.audit import person, record_deed

    name = one_tenant(words)
    if not reveal:
        raise CommandError(
            f"will not show the password of tenant {name} unasked",
            exit_code=Exit.USAGE,
            hint="add --reveal",
        )
    tenant = published_tenant(invocation, name)
    _refuse_keys_of_the_house(user)
    password = _password(invocation, name, user)
    who = person(os.environ)
    record_deed(
        invocation.paths.events,
        at=invocation.surroundings.now(),
        tenant_name=name,
        reason="CredentialsRevealed",
        message=f"the password of user {user} was shown to {who}",
        details={"user": user, "by": who},
    )
    shown = _content(tenant, user, password, ca_file=str(invocation.paths.public_ca))
    if output == "json":
        print_object(shown, "json")
    else:
        rows = [
            (f"{key}:", "-" if value is None else str(value))
            for key, value in shown.items()
            if key not in ("clientCertificates", "clients")
        ]
        for line in (*table(rows), *_demand(tenant, shown)):
            print_text(line)


def _refuse_keys_of_the_house(user: str) -> None:
    """Refuse to show whom only the daemon may log in as: everything can be had or changed."""
    from cachepilot.plan.users import BACKUP, DAEMON

    if user in (DAEMON, BACKUP):
        raise CommandError(
            f"will not show the password of user {user}: it is the daemon's own",
            exit_code=Exit.USAGE,
            hint="add the user you need to spec.auth.users",
        )


def _password(invocation: Invocation, name: str, user: str) -> Secret:
    from cachepilot.adapters.records import Records
    from cachepilot.errors import CachePilotError
    from cachepilot.spec.document import TenantName

    try:
        return Records(invocation.paths, owners=False).secret(TenantName(name), user)
    except CachePilotError as error:
        is_root = os.geteuid() == 0
        raise CommandError(
            f"cannot show the password of user {user} of tenant {name}",
            causes=[str(error)],
            hint="" if is_root else "only root may read it; try sudo",
        ) from error


def _content(
    tenant: PublishedTenant, user: str, password: Secret, *, ca_file: str
) -> dict[str, Any]:
    ports = {
        str(each.get("listener")): each.get("port")
        for each in reversed(tenant.endpoints)  # the first of several addresses counts
    }
    host = next((str(each.get("host")) for each in tenant.endpoints), None)
    tls, plain = ports.get("tls"), ports.get("plain")
    scheme, port = ("rediss", tls) if tls else ("redis", plain)
    at = f"[{host}]" if host and ":" in host else host
    # The alphabet of generated passwords needs no escaping, but one from a file may.
    url = (
        f"{scheme}://{_escaped(user)}:{_escaped(password.reveal())}@{at}:{port}/0"
        if port
        else None
    )
    return {
        "host": host,
        "tlsPort": tls,
        "plainPort": plain,
        "username": user,
        "password": password.reveal(),
        "caFile": ca_file if tls else None,
        "clientCertificates": _asked(tenant) if tls else None,
        "clients": {
            str(each["name"]): {"certFile": each["certFile"], "keyFile": each["keyFile"]}
            for each in _certificates(tenant)
            if not each["problem"]
        },
        "url": url,
    }


def _asked(tenant: PublishedTenant) -> str:
    access = tenant.spec.get("access")
    found = access.get("clientCertificates") if isinstance(access, dict) else None
    return str(found or "off")


def _certificates(tenant: PublishedTenant) -> Sequence[Mapping[str, Any]]:
    """Return the certificates of clients; an older daemon says nothing of them."""
    return tenant.status.get("clientCertificates") or ()


def _demand(tenant: PublishedTenant, shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield what else a client needs where the encrypted port demands a certificate."""
    if shown["clientCertificates"] != "required":
        return
    found = _certificates(tenant)
    if not found:
        yield "clients must show a certificate, too; name them in spec.tls.clients"
        return
    yield "clients must show a certificate, too; those of spec.tls.clients:"
    rows = [
        (str(each["name"]), str(each["problem"] or f"{each['certFile']}  {each['keyFile']}"))
        for each in found
    ]
    for line in table(rows):
        yield f"  {line}"


def _escaped(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
