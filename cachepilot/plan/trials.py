"""Try the rules of users on the server of an image, before they get into a file or a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Role, Snapshot
from cachepilot.observe.user_memory import Verdict
from cachepilot.plan.actions import EnsureImage, TriedUser, TryRules, TryRulesApart
from cachepilot.plan.user_rules import (
    as_acl_user,
    kept_of,
    place_of,
    rules_of,
    rules_refused,
    verdict_on,
)
from cachepilot.plan.users import PROBE
from cachepilot.spec.tenant import TenantSpec, UserSpec


def plan_trials(spec: TenantSpec, seen: Snapshot) -> Iterator[TryRules | TryRulesApart]:
    """Yield the trial of rules that the image which matters has never been asked about.

    Where a server runs on it, that server is asked. Where another image is to take its place, the
    wanted one is asked apart, before anything stops. Where nothing runs, users come once it does.
    """
    container, held = seen.container(Role.SERVER), seen.memory.reservation
    if container is None or held is None:
        return
    changes = container.shape.image != spec.image
    if changes and seen.image_id:
        tried = _untried(spec, seen.image_id, seen.memory, kept=True)
        if tried:
            yield TryRulesApart(
                tenant_name=spec.name,
                cause="a server that does not know a rule would not start",
                image=spec.image,
                image_id=seen.image_id,
                uid=held.uid,
                users=tried,
            )
    # As long as the present image stays, whoever has other rules than those refused gets them.
    stays = not changes or rules_refused(spec, seen) is not None
    tried = _untried(spec, container.image_id, seen.memory, kept=False)
    if stays and seen.loaded_server and container.image_id and tried:
        yield TryRules(
            tenant_name=spec.name,
            cause="nobody knows yet whether it takes these rules",
            instance=seen.memory.instance,
            image=container.shape.image,
            image_id=container.image_id,
            users=tried,
        )


def plan_fetching(spec: TenantSpec, seen: Snapshot) -> Iterator[EnsureImage]:
    """Yield the fetching of an image on which rules have to be tried."""
    container = seen.container(Role.SERVER)
    changes = container is not None and container.shape.image != spec.image
    if spec.users and changes and seen.image_exists is False:
        cause = "the rules of users have to be tried on it"
        yield EnsureImage(tenant_name=spec.name, cause=cause, image=spec.image)


def assume_taken(seen: Snapshot, trials: tuple[TryRules | TryRulesApart, ...]) -> Snapshot:
    """Return *seen* as it will be after *trials*; a refusal ends the plan right there."""
    verdicts = tuple(
        Verdict(image_id=trial.image_id, rules=user.rules)
        for trial in trials
        for user in trial.users
        if user.place
    )
    if not verdicts:
        return seen
    memory = seen.memory
    return replace(seen, memory=replace(memory, verdicts=(*verdicts, *memory.verdicts)))


def _untried(
    spec: TenantSpec, image_id: str, memory: Memory, *, kept: bool
) -> tuple[TriedUser, ...]:
    """Return what an image has to be asked; *kept* adds the rules that users have now."""
    found: dict[str, TriedUser] = {}
    for index, user in enumerate(spec.users):
        before = kept_of(user, memory) if kept else None
        for candidate, place in ((user, place_of(index)), (before, "")):
            if candidate and not verdict_on(candidate, image_id, memory):
                found.setdefault(rules_of(candidate), _tried(candidate, place, spec))
    return tuple(found.values())


def _tried(user: UserSpec, place: str, spec: TenantSpec) -> TriedUser:
    line = as_acl_user(user, passwords=(), scripting=spec.scripting)
    return TriedUser(
        name=user.name, place=place, rules=rules_of(user), line=replace(line, name=PROBE)
    )
