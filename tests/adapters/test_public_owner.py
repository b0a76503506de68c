import grp

from cachepilot.adapters.public_owner import find_public_owner


def test_readers_are_a_group_where_it_exists():
    some = grp.getgrall()[-1]

    assert find_public_owner(owners=True, group=some.gr_name) == (0, some.gr_gid)
    assert find_public_owner(owners=True, group="no-such-group") == (0, 0)
    assert find_public_owner(owners=False, group=some.gr_name) is None
