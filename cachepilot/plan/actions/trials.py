"""Actions that try rules of users before they get into a file."""

from __future__ import annotations

from dataclasses import dataclass

from cachepilot.plan.actions.base import AclUser, BaseAction


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedUser:
    """Rules on trial.

    Attributes:
        place: Field path in the spec; empty for rules that are to be replaced, and may be refused.
        rules: Fingerprint under which the verdict is remembered.
        line: The rules as the server is to be told them.
    """

    name: str
    place: str
    rules: str
    line: AclUser


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRules(BaseAction):
    """Give rules to a user that nobody can log in as, on the running server, and remember."""

    instance: int
    image: str
    image_id: str
    users: tuple[TriedUser, ...]

    def detail(self) -> str:
        return ", ".join(user.name for user in self.users)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRulesApart(BaseAction):
    """Try rules on a server of another image, without data or network, which is removed again."""

    image: str
    image_id: str
    uid: int
    users: tuple[TriedUser, ...]

    def detail(self) -> str:
        return f"{', '.join(user.name for user in self.users)} on {self.image}"


TrialAction = TryRules | TryRulesApart
