import pytest

from cachepilot.adapters.acl_file import mask_acl, render_acl
from cachepilot.plan.actions import AclUser
from cachepilot.plan.users import render_users

CUSTOMER = AclUser(
    name="default", passwords=(2, 3), keys="~*", channels="&*", commands=("+@all", "-@admin")
)
NOBODY = AclUser(name="twin", enabled=False, commands=("-@all",))
HASHES = {("default", 2): "2" * 64, ("default", 3): "3" * 64}


def hashes(user, revisions):
    return tuple(HASHES[user, revision] for revision in revisions)


def revision_of(user, sha256):
    found = [rev for (name, rev), text in HASHES.items() if (name, text) == (user, sha256)]
    return str(found[0]) if found else "unknown"


def test_the_file_has_one_line_a_user_with_hashes_only():
    assert render_acl((CUSTOMER, NOBODY), hashes) == (
        f"user default on #{'2' * 64} #{'3' * 64} ~* &* +@all -@admin\n"
        "user twin off resetkeys resetchannels -@all\n"
    )


def test_what_was_rendered_is_shown_exactly_as_the_plan_says_it():
    shown = mask_acl(render_acl((CUSTOMER, NOBODY), hashes), revision_of)

    assert shown == render_users((CUSTOMER, NOBODY))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"user default on #{'9' * 64} ~*", "user default on #unknown ~*"),
        (f"user other on #{'2' * 64} ~*", "user other on #unknown ~*"),
        ("user default on >canary ~*", "user default on unknown ~*"),
        (
            "user default on <canary !canary canary ~*",
            "user default on unknown unknown unknown ~*",
        ),
        ("user default on #canary", "user default on #unknown"),
        (f"user default on #{'A' * 64}", "user default on #unknown"),
        ("# canary", "unknown"),
        ("canary", "unknown"),
        ("", "unknown"),
        ("user", "unknown"),
        ("user default nopass", "user default nopass"),
    ],
)
def test_what_somebody_edited_is_shown_without_any_password(line, shown):
    assert mask_acl(line + "\n", revision_of) == shown + "\n"
