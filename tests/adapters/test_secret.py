import copy
import pickle
import traceback

import pytest

from cachepilot.adapters.secret import Secret

CANARY = "canary-in-the-coal-mine"


def test_no_way_of_printing_shows_it():
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!s:>40}",
        "%s" % secret,  # noqa: UP031 - the old way must not print it either
        f"{[secret]}",
    ]

    assert not any(CANARY in text or secret.sha256() in text for text in shown)


def test_an_exception_that_carries_it_does_not_show_it():
    told = ValueError(Secret(CANARY))

    assert CANARY not in "".join(traceback.format_exception(told))


def test_it_cannot_be_pickled_but_copied():
    secret = Secret(CANARY)

    with pytest.raises(TypeError, match="cannot pickle a secret"):
        pickle.dumps(secret)
    assert copy.deepcopy(secret) == secret


def test_it_is_equal_to_the_same_text_only():
    assert Secret("ä" * 16) == Secret("ä" * 16)
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret(CANARY).reveal() == CANARY
