from __future__ import annotations

import redis.exceptions

from cachepilot.adapters.redis_management import _why


def test_a_refused_rule_is_told_without_the_hash_in_it():
    error = redis.exceptions.ResponseError(f"Error in ACL SETUSER modifier '#{'ab' * 32}': no")

    assert _why(error) == "Error in ACL SETUSER modifier '#…': no"
