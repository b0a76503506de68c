"""What a client meets from outside, held against the fake and against real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachepilot.errors import StalledError
from cachepilot.plan.server_config import CERTIFICATE_FILES, wanted_directives
from cachepilot.plan.users import CUSTOMER
from cachepilot.spec.document import AccessMode, ClientCertificates


@pytest.fixture
def bench(hall):
    return hall[0]


@pytest.fixture
def image(hall):
    return hall[1]


@pytest.fixture
def made(bench, image):
    return bench.serve(image=image, access=AccessMode.DUAL_MODE, certified=True)


def probe(bench, made):
    return {endpoint.listener: endpoint for endpoint in bench.probe(made)}


def leaf(bench, made, revision=1):
    return bench.readers.certificates.leaf(made.name, revision)


def test_a_client_gets_in_at_both_ports_and_meets_the_leaf(bench, made):
    met = probe(bench, made)

    assert met.keys() == {"tls", "plain"}
    assert {endpoint.problem for endpoint in met.values()} == {""}
    assert met["tls"].fingerprint == leaf(bench, made).fingerprint
    assert met["plain"].fingerprint == ""
    assert met["tls"].port == made.reservation.tls_port
    assert met["plain"].port == made.reservation.plain_port


def test_every_published_address_is_dialled(bench, image):
    made = bench.serve(image=image, bind=("127.0.0.1", "127.0.0.2"))

    assert [(at.address, at.problem) for at in bench.probe(made)] == [
        ("127.0.0.1", ""),
        ("127.0.0.2", ""),
    ]


def test_a_new_leaf_is_met_once_the_server_was_told(bench, made):
    bench.certify(made.spec, revision=2)
    assert probe(bench, made)["tls"].fingerprint == leaf(bench, made, 1).fingerprint

    wanted = wanted_directives(made.spec, certificate=2, persistence=made.spec.persistence)
    bench.writers.server.set_directives(
        made.name,
        instance=1,
        directives=tuple((name, wanted[name]) for name in sorted(CERTIFICATE_FILES)),
    )

    assert probe(bench, made)["tls"].fingerprint == leaf(bench, made, 2).fingerprint
    assert leaf(bench, made, 1).fingerprint != leaf(bench, made, 2).fingerprint


def test_a_certificate_for_other_names_is_refused(bench, image):
    made = bench.serve(
        image=image,
        access=AccessMode.DUAL_MODE,
        certified=True,
        names=("cache.example.net",),
    )

    met = probe(bench, made)

    assert met["tls"].problem.startswith("its certificate is refused")
    assert met["tls"].fingerprint == ""
    assert met["tls"].refused == leaf(bench, made).fingerprint
    assert met["plain"].problem == ""


def test_a_certificate_of_another_authority_is_refused(bench, made):
    with bench.another_authority():
        met = probe(bench, made)

    assert met["tls"].problem.startswith("its certificate is refused")
    assert met["tls"].fingerprint == ""
    assert met["plain"].problem == ""
    assert probe(bench, made)["tls"].problem == ""


def test_a_password_that_the_server_does_not_take_is_a_closed_door(bench, made):
    bench.set_user(made, CUSTOMER, "on", ">somebody's", "~*", "+@all")

    met = probe(bench, made)

    assert all("WRONGPASS" in endpoint.problem for endpoint in met.values())
    assert met["tls"].fingerprint == leaf(bench, made).fingerprint


def test_a_customer_who_may_not_log_in_is_a_closed_door(bench, made):
    bench.set_user(made, CUSTOMER, "off", "~*", "+@all")

    assert all(endpoint.problem for endpoint in bench.probe(made))


def test_nothing_listens_where_the_server_is_dead(bench, made):
    bench.kill(made)

    assert all(endpoint.problem for endpoint in bench.probe(made))
    assert {endpoint.fingerprint for endpoint in bench.probe(made)} == {""}


def test_a_listener_that_was_closed_by_hand_is_a_closed_door(bench, made):
    bench.writers.server.set_directives(made.name, instance=1, directives=(("port", "0"),))

    met = probe(bench, made)

    assert met["plain"].problem
    assert met["tls"].problem == ""


def test_a_full_server_lets_nobody_in(bench, made):
    bench.ask(made)
    with bench.crowd(made):
        assert all(endpoint.problem for endpoint in bench.probe(made))


def test_a_leaf_that_was_never_made_cannot_be_served(bench, made):
    wanted = wanted_directives(made.spec, certificate=9, persistence=made.spec.persistence)
    files = tuple((name, wanted[name]) for name in sorted(CERTIFICATE_FILES))

    with pytest.raises(StalledError) as refusal:
        bench.writers.server.set_directives(made.name, instance=1, directives=files)

    assert refusal.value.reason == "DirectiveRefused"
    assert probe(bench, made)["tls"].fingerprint == leaf(bench, made).fingerprint


def test_nobody_gets_in_before_a_password_is_recorded(bench, made):
    published = made.workload.shape.published
    stranger = replace(made.spec, name=bench.new_name()).name

    found = bench.readers.endpoints.probe(stranger, published)

    assert all(endpoint.problem for endpoint in found)


def ask_for_certificates(bench, made, how):
    """Tell a server whom to let in from now on, with files that fit."""
    spec = replace(made.spec, client_certificates=how, clients=("app",))
    revision = bench.readers.memory.recall(made.name).certificate + 1
    bench.certify(spec, revision=revision)
    wanted = wanted_directives(spec, certificate=revision, persistence=spec.persistence)
    names = sorted({*CERTIFICATE_FILES, "tls-auth-clients"})
    bench.writers.server.set_directives(
        made.name, instance=1, directives=tuple((name, wanted[name]) for name in names)
    )


def test_the_probe_shows_a_certificate_where_the_server_asks_for_one(bench, made):
    for how in ("optional", "required", "off"):
        ask_for_certificates(bench, made, ClientCertificates(how))
        assert {at.problem for at in bench.probe(made)} == {""}, how


def test_a_server_that_trusts_other_clients_is_a_closed_door(bench, made):
    ask_for_certificates(bench, made, ClientCertificates.REQUIRED)
    bench.writers.certificates.create_client_authority(made.name, wish=None)
    spec = replace(made.spec, client_certificates=ClientCertificates.REQUIRED)
    bench.certify(spec, revision=bench.readers.memory.recall(made.name).certificate + 1)

    assert probe(bench, made)["tls"].problem
    assert probe(bench, made)["plain"].problem == ""
