"""What an author's rules come to, and whether the server that matters takes them.

A rule that a server does not know keeps it from starting, and its file is read whenever it starts.
So rules are tried, on a server of the very image, before they get into a file; the verdict is
remembered. Until then, and if they are refused, a user keeps the rules it had.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Role, Snapshot
from cachepilot.observe.user_memory import KeptRules, Verdict
from cachepilot.plan.actions import AclUser, Blocked
from cachepilot.spec.tenant import TenantSpec, UserSpec
from cachepilot.spec.user_rules import EXTRAS, why_never_granted

DENIED = ("-@admin", "-@dangerous")
NO_SCRIPTS = "-@scripting"
_SCRIPTS = frozenset(
    {
        *("@scripting", "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"),
        *("function", "script"),
    }
)
_ALL = frozenset({"@all", "@dangerous"})


def as_acl_user(user: UserSpec, *, passwords: tuple[int, ...], scripting: bool) -> AclUser:
    """Return *user* as a line of users.acl: what its rules grant, less what nobody gets."""
    denied = DENIED if scripting else (*DENIED, NO_SCRIPTS)
    return AclUser(
        name=user.name,
        passwords=passwords,
        enabled=bool(passwords),
        keys=" ".join(key if key.startswith("%") else f"~{key}" for key in user.keys),
        channels=" ".join(f"&{channel}" for channel in user.channels),
        commands=("-@all", *user.commands, *denied, *_extras_of(user.commands)),
    )


def granted_rules(user: KeptRules, *, scripting: bool) -> str:
    """Return what a user with these rules may do, as servers write it; it begins with nothing."""
    named = (
        rule
        for rule in user.commands
        if why_never_granted(rule) is None
        and (scripting or rule[0] == "-" or rule[1:].partition("|")[0] not in _SCRIPTS)
    )
    spec = UserSpec(name=user.user, keys=user.keys, channels=user.channels, commands=tuple(named))
    line = as_acl_user(spec, passwords=(), scripting=scripting)
    return " ".join(filter(None, (line.keys, line.channels, *line.commands[1:])))


def rules_of(user: UserSpec | KeptRules) -> str:
    """Return the fingerprint of what the author says that *user* may do."""
    said = repr((user.keys, user.channels, user.commands))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def kept_rules(users: tuple[UserSpec, ...]) -> tuple[KeptRules, ...]:
    """Return what is to be remembered of *users* once a server has them."""
    return tuple(
        KeptRules(user=at.name, keys=at.keys, channels=at.channels, commands=at.commands)
        for at in sorted(users, key=lambda each: each.name)
    )


def images_of(spec: TenantSpec, seen: Snapshot) -> tuple[str, ...]:
    """Return the contents of all images whose server may read the users' file next.

    While one image takes the place of another, that is either of them. Empty stands for one that
    nobody knows.
    """
    container = seen.container(Role.SERVER)
    if container is None:
        return (seen.image_id,)
    if container.shape.image == spec.image:
        return (container.image_id,)
    return (container.image_id, seen.image_id)


def hold_image(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* with the image that is there, unless the wanted one takes all users' rules."""
    container = seen.container(Role.SERVER)
    if container is None or container.shape.image == spec.image:
        return spec
    if all(is_taken(user, seen.image_id, seen.memory) for user in spec.users):
        return spec
    return replace(spec, image=container.shape.image)


def as_tried(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* with the image, users and rules that are known to go together.

    Whose rules the wanted image refuses keeps those it has, on the image that is there.
    """
    held = hold_image(spec, seen)
    wanted, present = images_of(spec, seen), images_of(held, seen)
    found = (_usable(user, seen.memory, wanted=wanted, present=present) for user in spec.users)
    return replace(held, users=tuple(user for user in found if user))


def kept_of(user: UserSpec, memory: Memory) -> UserSpec | None:
    """Return *user* with the rules that it had last, or None if it never had any."""
    kept = next((each for each in memory.rules if each.user == user.name), None)
    if kept is None:
        return None
    return replace(user, keys=kept.keys, channels=kept.channels, commands=kept.commands)


def verdict_on(user: UserSpec, image_id: str, memory: Memory) -> Verdict | None:
    """Return how a trial of the user's rules on an image ended, or None."""
    rules = rules_of(user)
    return next(
        (each for each in memory.verdicts if (each.image_id, each.rules) == (image_id, rules)),
        None,
    )


def is_taken(user: UserSpec, image_id: str, memory: Memory) -> bool:
    """Return whether a server of an image is known to take the user's rules."""
    verdict = verdict_on(user, image_id, memory)
    return verdict is not None and not verdict.refusal


def rules_refused(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why a user cannot have its rules, in the server's words, if so."""
    image = images_of(spec, seen)[-1]
    for index, user in enumerate(spec.users):
        verdict = verdict_on(user, image, seen.memory)
        if verdict and verdict.refusal:
            return Blocked(
                reason="UserRulesRefused",
                message=tell_refusal(user.name, place_of(index), spec.image, verdict.refusal),
            )
    return None


def place_of(index: int) -> str:
    """Return the field path of a user in the document."""
    return f"spec.auth.users[{index}]"


def tell_refusal(user: str, place: str, image: str, words: str) -> str:
    """Return one sentence for whoever wrote the rules."""
    return (
        f"cannot give user {user} what {place} says: image {image} refuses it: {words}; correct "
        "it there; until then the user keeps what it had, and the server its image"
    )


def _usable(
    user: UserSpec, memory: Memory, *, wanted: tuple[str, ...], present: tuple[str, ...]
) -> UserSpec | None:
    """Return *user* with the newest of its rules that all images in question take, or None."""
    for candidate, images in ((user, wanted), (kept_of(user, memory), present)):
        if candidate and all(is_taken(candidate, image, memory) for image in images):
            return candidate
    return None


def _extras_of(commands: tuple[str, ...]) -> tuple[str, ...]:
    granted = dict.fromkeys(EXTRAS, False)
    for rule in commands:
        for name, categories in EXTRAS.items():
            if rule[1:] == name or rule[1:] in categories | _ALL:
                granted[name] = rule[0] == "+"
    return tuple(f"+{name}" for name, is_granted in granted.items() if is_granted)
