"""The URL of the message broker: Redis or Valkey, alone or behind Sentinel, or RabbitMQ.

No message repeats any part of a URL, because it may hold a password.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

BrokerKind = Literal["redis", "sentinel", "rabbitmq"]

KINDS: Final[dict[str, BrokerKind]] = {
    "redis": "redis",
    "rediss": "redis",
    "sentinel": "sentinel",
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
}
PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "amqp": 5672, "amqps": 5671}
BROKER_FORM: Final = (
    "write redis://host:6379/0, rediss://user:password@host:6379/0,"
    " sentinel://:password@host1:26379,host2:26379/0?master_name=NAME or amqp://user:password@host:5672/vhost"
)
SENTINEL_OPTIONS: Final = frozenset({"master_name", "sentinel_username", "sentinel_password"})


class Host(NamedTuple):
    """One server."""

    name: str
    port: int

    def __str__(self) -> str:
        """Return it as in a URL."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A URL in its parts.

    Attributes:
        text: The URL as it was written.
        login: User and password of the servers as in the URL, with the `@`; empty without one.
        hosts: The servers; Sentinel and RabbitMQ may have several.
        path: Number of the database, or name of the virtual host, as in the URL.
        options: What follows the question mark.
    """

    text: str = field(repr=False)
    kind: BrokerKind
    scheme: str
    login: str = field(repr=False)
    hosts: tuple[Host, ...]
    path: str
    options: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "BrokerUrl":
        """Parse a URL.

        Raises:
            ValueError: It does not name a broker; the message says which forms there are.
        """
        try:
            return cls._parse(url)
        except ValueError:
            raise ValueError(BROKER_FORM) from None

    @classmethod
    def _parse(cls, url: str) -> "BrokerUrl":
        parts = urlsplit(url)
        kind = KINDS.get(parts.scheme)
        login, at, hosts = parts.netloc.rpartition("@")
        if kind is None or not url.isprintable() or " " in url or parts.fragment:
            raise ValueError
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        broker = cls(
            text=url,
            kind=kind,
            scheme=parts.scheme,
            login=login + at,
            hosts=tuple(_parse_host(host, PORTS[parts.scheme]) for host in hosts.split(",")),
            path=parts.path.removeprefix("/"),
            options=options,
        )
        broker._check()
        return broker

    def _check(self) -> None:
        is_sentinel = self.kind == "sentinel"
        has_one_host = self.kind == "redis" or self.scheme == "amqps"
        if has_one_host and len(self.hosts) > 1:
            raise ValueError
        if is_sentinel and not (self.options.get("master_name") and self.options.keys() <= SENTINEL_OPTIONS):
            raise ValueError
        if self.kind == "rabbitmq" and self.options:
            raise ValueError
        if is_sentinel and self.path and not self.path.isdecimal():
            raise ValueError

    @property
    def product(self) -> str:
        """The name that operators read; Valkey speaks Redis's protocol."""
        return "RabbitMQ" if self.kind == "rabbitmq" else "Redis"

    @property
    def where(self) -> str:
        """The servers, without user and password."""
        hosts = ",".join(str(host) for host in self.hosts)
        return f"{hosts} (Sentinel, {self.options['master_name']})" if self.kind == "sentinel" else hosts

    @property
    def celery_url(self) -> str:
        """The URL in the form of kombu, which has one complete URL for each host."""
        if self.kind == "redis":
            return self.text
        path = self.path or ("0" if self.kind == "sentinel" else quote("/", safe=""))
        return ";".join(f"{self.scheme}://{self.login}{host}/{path}" for host in self.hosts)

    @property
    def username(self) -> str | None:
        """The decoded user; None without one."""
        return unquote(self.login.rstrip("@").partition(":")[0]) or None

    @property
    def password(self) -> str | None:
        """The decoded password; None without one."""
        return unquote(self.login.removesuffix("@").partition(":")[2]) or None

    @property
    def sentinel_login(self) -> dict[str, str]:
        """User and password of the Sentinels, which are apart from those of the servers."""
        names = {"username": "sentinel_username", "password": "sentinel_password"}
        return {name: self.options[option] for name, option in names.items() if option in self.options}


def _parse_host(text: str, default_port: int) -> Host:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError
    return Host(parts.hostname, parts.port or default_port)
