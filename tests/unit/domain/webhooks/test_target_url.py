"""Where we may send to: whatever spelling an address comes in, what only we can reach is no target."""

from ipaddress import ip_address, ip_network

import pytest

from domain.webhooks.target_url import URL_LENGTH_MAX, Target, TargetError, inner, is_public, may_reach

OURS = (ip_network("10.7.0.0/16"), ip_network("fd00:7::/32"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.example.com", Target("https", "hooks.example.com", 443, "/")),
        ("https://Hooks.Example.com:8443/in?a=b&c=%20", Target("https", "hooks.example.com", 8443, "/in?a=b&c=%20")),
        ("HTTPS://hooks.example.com./x", Target("https", "hooks.example.com.", 443, "/x")),
        ("https://例子.测试/in", Target("https", "xn--fsqu00a.xn--0zwm56d", 443, "/in")),
        ("https://93.184.215.14/in", Target("https", "93.184.215.14", 443, "/in")),
        ("https://[2606:4700::1111]/in", Target("https", "2606:4700::1111", 443, "/in")),
    ],
)
def test_public_address_is_a_target(url: str, expected: Target) -> None:
    assert Target.parse(url) == expected


def test_target_is_described_by_host_and_port() -> None:
    assert Target.parse("https://hooks.example.com:8443/s3cret").authority == "hooks.example.com:8443"
    assert Target.parse("https://hooks.example.com:443/").authority == "hooks.example.com"
    assert Target.parse("https://[2606:4700::1111]/x").authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "scheme"),
        ("hooks.example.com/in", "scheme"),
        ("ftp://hooks.example.com", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("http://hooks.example.com", "scheme"),
        ("https://", "host"),
        ("https://:443/", "host"),
        ("https://-x.example/", "host"),
        ("https://a b.example/", "form"),
        ("https://hooks.example.com/a b", "form"),
        ("https://hooks.example.com/\r\nHost: x", "form"),
        ("https://hooks.exa\tmple.com/", "form"),
        ("https://hooks.example.com/#x", "form"),
        ("https://a.example\\@b.example/", "form"),
        ("https://hooks.example.com:0/", "form"),
        ("https://hooks.example.com:99999/", "form"),
        ("https://hooks.example.com:x/", "form"),
        ("https://[::1", "form"),
        ("https://hooks.example.com/" + "x" * 2000, "form"),
        ("https://user@hooks.example.com/", "login"),
        ("https://user:hush@hooks.example.com/", "login"),
        ("https://127.0.0.1/", "private"),
        ("https://169.254.169.254/latest/meta-data/", "private"),
        ("https://[::1]/", "private"),
        ("https://[::ffff:127.0.0.1]/", "private"),
        ("https://10.7.0.1/", "private"),
        ("https://localhost/", "private"),
        ("https://LocalHost.:8443/in", "private"),
        ("https://hooks.localhost/", "private"),
        ("https://intranet/", "private"),
        ("https://printer.local/", "private"),
        ("https://metadata.google.internal./", "private"),
        ("https://nas.home.arpa/", "private"),
        # An IPv4 address in one of its old spellings: the resolver would understand it.
        ("https://2130706433/", "host"),
        ("https://0x7f000001/", "host"),
        ("https://0x7f.1/", "host"),
        ("https://017700000001/", "host"),
        ("https://127.1/", "host"),
        ("https://127.0.0.0x1/", "host"),
        ("https://0177.0.0.1/", "host"),
        ("https://127.0.0.1./", "host"),
        ("https://①②⑦.0.0.1/", "host"),
        (f"https://{'ü' * 64}.example/", "host"),
    ],
)
def test_everything_else_is_refused_for_its_reason(url: str, fault: str) -> None:
    with pytest.raises(TargetError) as refused:
        Target.parse(url)

    assert (refused.value.fault, str(refused.value)) == (fault, fault)


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),  # noqa: S104 - nothing is bound to it
        *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.0.1"),
        *("168.63.129.16", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "100::1", "2001:db8::1"),
        *("3fff::1", "2001::1", "2001:10::1", "64:ff9b:1::1", "5f00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1"),
        "2001:0:7f00:1::1",
    ],
)
def test_target_outside_the_public_internet_is_refused(text: str) -> None:
    """Loopback, private, link-local, shared, multicast, reserved, metadata; and IPv6 that stands for such an IPv4."""
    assert not may_reach(ip_address(text), "https", ())


@pytest.mark.parametrize("text", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "2002:101:101::1"])
def test_public_addresses_are_reached_by_https_alone(text: str) -> None:
    """Invitations hold addresses of people: none goes over the internet in plain text."""
    assert may_reach(ip_address(text), "https", OURS)
    assert not may_reach(ip_address(text), "http", OURS)
    assert is_public(inner(ip_address(text)))


@pytest.mark.parametrize("text", ["10.7.1.1", "::ffff:10.7.1.1", "fd00:7::1"])
def test_allowed_network_is_reached_by_http_too(text: str) -> None:
    assert may_reach(ip_address(text), "http", OURS)
    assert may_reach(ip_address(text), "https", OURS)


def test_neighbor_of_an_allowed_network_is_not() -> None:
    assert not may_reach(ip_address("10.8.0.1"), "https", OURS)
    with pytest.raises(TargetError):
        Target.parse("http://10.8.0.1/", OURS)
    assert Target.parse("http://10.7.0.1/", OURS).port == 80


def test_private_name_is_a_target_if_an_allowed_network_may_have_it() -> None:
    """`localhost` is loopback and nothing else; other names are looked up before anything is sent."""
    loopback = (ip_network("127.0.0.0/8"),)

    assert Target.parse("http://localhost:8080/", loopback).host == "localhost"
    assert Target.parse("https://hooks.internal/", OURS).host == "hooks.internal"
    with pytest.raises(TargetError, match="private"):
        Target.parse("https://localhost/", OURS)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://ＢÜCHER.example", "xn--bcher-kva.example", 443, "/"),
        ("https://team.example:8443/a?b=c", "team.example", 8443, "/a?b=c"),
        ("https://team.example/a", "team.example", 443, "/a"),
        ("https://team.example/X", "team.example", 443, "/X"),
        ("https://[2606:4700::1111]:1/", "2606:4700::1111", 1, "/"),
    ],
)
def test_target_has_exactly_the_parts_of_its_url(url: str, host: str, port: int, path: str) -> None:
    """A name of other scripts is mapped and encoded; the query belongs to the path."""
    assert Target.parse(url) == Target("https", host, port, path)


def test_url_of_the_longest_length_is_a_target() -> None:
    base = "https://team.example/"
    longest = base + "a" * (URL_LENGTH_MAX - len(base))

    assert len(Target.parse(longest).path) == URL_LENGTH_MAX - len(base) + 1
    with pytest.raises(TargetError, match=r"."):
        Target.parse(longest + "a")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://team.example/", "team.example"),
        ("https://team.example:443/", "team.example"),
        ("https://team.example:80/", "team.example:80"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:8443/", "[2606:4700::1111]:8443"),
    ],
)
def test_authority_names_a_port_that_is_not_the_usual_one(url: str, authority: str) -> None:
    assert Target.parse(url).authority == authority
