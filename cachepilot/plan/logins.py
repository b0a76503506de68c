"""Whose passwords a tenant has, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cachepilot.observe.memory import Memory, SeenCredential
from cachepilot.plan.users import CUSTOMER, OWN_USERS
from cachepilot.spec.tenant import TenantSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How the password of one user is chosen.

    Attributes:
        rotated_at: The newest wish for another one, as written.
        rotate_every: How old a generated one gets, or None.
    """

    user: str
    password_file: str | None = None
    rotated_at: str | None = None
    rotate_every: timedelta | None = None


def list_logins(spec: TenantSpec) -> tuple[Login, ...]:
    """Return everybody who logs in to the server of *spec*, the customer first."""
    customer = Login(
        user=CUSTOMER,
        password_file=spec.password_file,
        rotated_at=spec.rotated_at,
        rotate_every=spec.rotate_every,
    )
    ours = (Login(user=user) for user in OWN_USERS if user != CUSTOMER)
    theirs = (
        Login(
            user=user.name,
            password_file=user.password_file,
            rotated_at=user.rotated_at,
            rotate_every=user.rotate_every,
        )
        for user in spec.users
    )
    return (customer, *ours, *theirs)


def customer_logins(spec: TenantSpec) -> tuple[str, ...]:
    """Return whom the clients of a tenant log in as."""
    return (CUSTOMER, *(user.name for user in spec.users))


def documented_password(memory: Memory, user: str) -> SeenCredential | None:
    """Return the password to tell people of; of a user of the spec once a server has the user."""
    is_had = user in OWN_USERS or any(kept.user == user for kept in memory.rules)
    return memory.credential(user) if is_had else None


def list_password_files(spec: TenantSpec) -> tuple[tuple[str, str], ...]:
    """Return (user, path) of each password that its author chooses."""
    return tuple(
        (login.user, login.password_file) for login in list_logins(spec) if login.password_file
    )
