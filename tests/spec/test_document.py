"""Forms of single fields that a type alone does not say."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from cachepilot.spec.scalars import Address, DialledName, Image, Instant


def accepts(kind: object, text: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "redis",
        "redis:8.0",
        "docker.io/library/redis:8",
        "host:5000/a_b/c-d:e",
        "r@sha256:" + "a" * 64,
    ],
)
def test_images_have_names(text):
    assert accepts(Image, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "a b",
        "https://host/redis",
        "u:p@host/redis",
        "a//b",
        "../x",
        "/x",
        "x" * 256,
        "a\n",
    ],
)
def test_what_is_no_image_is_refused(text):
    assert not accepts(Image, text)


@pytest.mark.parametrize(
    "text", ["a", "a.example", "*.a.example", "A-1.example", "::1", "192.0.2.1"]
)
def test_clients_dial_names_and_addresses(text):
    assert accepts(DialledName, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "-a",
        "a..b",
        "a.example\n",
        "192.0.2.300",
        "fe80::1%eth0",
        "*",
        "a_b",
        "x" * 64,
        "é",
    ],
)
def test_what_cannot_stand_in_a_certificate_is_refused(text):
    assert not accepts(DialledName, text)


def test_addresses_without_a_zone_are_addresses():
    assert accepts(Address, "fe80::1")
    assert not accepts(Address, "fe80::1%eth0")
    assert not accepts(Address, "localhost")
    assert not accepts(Address, "127.0.0.1/8")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2026-01-31T12:00:00Z", True),
        ("2026-01-31T12:00:00.5+01:00", True),
        ("2026-01-31T12:00:00", False),
        ("2026-01-31", False),
        ("now", False),
        ("", False),
    ],
)
def test_an_instant_needs_its_zone(text, is_one):
    assert accepts(Instant, text) is is_one
