import json
from ipaddress import ip_network

import orjson
import pytest

from api.schemas.ip_networks import NETWORKS_MAX, NetworkError, find_network, is_within, parse_network_list
from api.schemas.json_members import NAME_LENGTH_MAX, RepeatedMemberError, check_members


def test_networks_are_read_once_each_in_their_usual_form() -> None:
    text = "10.0.0.0/8, 2001:DB8::/48;203.0.113.7\n::ffff:10.1.0.0/112 10.0.0.0/8"

    assert parse_network_list(text) == ("10.0.0.0/8", "2001:db8::/48", "203.0.113.7/32", "10.1.0.0/16")
    assert parse_network_list(" ,; ") == ()


@pytest.mark.parametrize(
    ("text", "fault", "name"),
    [
        ("example.com", "network", "example.com"),
        ("10.0.0.0/33", "network", "10.0.0.0/33"),
        ("10.0.0.0/8/9", "network", "10.0.0.0/8/9"),
        ("/", "network", "/"),
        ("fe80::1%eth0", "network", "fe80::1%eth0"),
        ("fe80::1%0", "network", "fe80::1%0"),
        ("x" * 90, "network", "x" * 50),
        ("10.0.0.1/8", "network_host", "10.0.0.0/8"),
        ("2001:db8::1/48", "network_host", "2001:db8::/48"),
    ],
)
def test_text_that_is_no_network_is_named(text: str, fault: str, name: str) -> None:
    """An address with the length of a network could mean either, so the network is suggested."""
    with pytest.raises(NetworkError) as refused:
        parse_network_list(f"192.0.2.0/24 {text}")

    assert (refused.value.fault, refused.value.name) == (fault, name)


def test_networks_of_one_key_are_limited() -> None:
    """Each request with the key looks through them."""
    networks = [f"10.0.{number}.0/24" for number in range(NETWORKS_MAX + 1)]

    assert len(parse_network_list(" ".join(networks[:-1]))) == NETWORKS_MAX
    with pytest.raises(NetworkError, match=f"has more than {NETWORKS_MAX} networks"):
        parse_network_list(" ".join(networks))


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8::9", True),
        ("2001:db8::9%eth0", True),
        ("2001:db9::9", False),
        ("testclient", False),
        ("", False),
        (None, False),
    ],
)
def test_address_lies_within_its_networks(address: str | None, is_inside: bool) -> None:
    """A Unix socket has no address."""
    networks = [ip_network("203.0.113.0/24"), ip_network("2001:db8::/48")]

    assert is_within(address, networks) is is_inside


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("testclient", None),
        (None, None),
    ],
)
def test_recorded_network_names_no_single_machine(address: str | None, network: str | None) -> None:
    assert find_network(address) == network


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"email":"a","email":"b"}', "email"),
        ('{"email":"a","\\u0065mail":"a"}', "email"),
        ('{"a":1,"variables":{"b":1,"b":1}}', "b"),
        ('{"a":[{"b":{"c":1}},{"d":1,"d":2}]}', "d"),
        ('[{"a":1},{"a":2},{"":1,"":2}]', ""),
        ('{"a":":","b":1,"a":":"}', "a"),
        (json.dumps({"x" * 99: 1})[:-1] + ',"' + "x" * 99 + '":2}', "x" * NAME_LENGTH_MAX),
    ],
)
def test_repeated_member_is_named(text: str, name: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(RepeatedMemberError) as caught:
            check_members(form, orjson.loads(text))
        assert caught.value.name == name


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"b":{"a":1}}', '{"a":"b:c:d","A":1}', '[{"a":1},{"a":1}]', '{"a":' + "9" * 300 + ',"b":":"}', "7"],
)
def test_document_without_repeated_members_is_accepted(text: str) -> None:
    check_members(text, orjson.loads(text))


def test_document_that_is_nested_too_deeply_is_reported() -> None:
    """Python 3.12 and later read ten times as deep as earlier ones."""
    with pytest.raises(RecursionError):
        check_members('{"a":' * 100_000 + "1" + "}" * 100_000, None)
