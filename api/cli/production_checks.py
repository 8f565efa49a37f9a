"""Settings that a production start refuses: they would lose events, or let others decrypt the vault."""

from collections.abc import Mapping

from projections.config.database_password import read_password
from projections.config.settings import LedgerSettings
from projections.vault.key_ring import KeyRing

SECRET_LENGTH_MIN = 32
DISTINCT_MIN = 16
"""Distinct bytes of a random key. 32 random bytes have fewer once in 10^17 keys; a typed placeholder has few."""
PLACEHOLDERS = ("changeme", "change-me", "change_me", "password", "secret", "example", "default", "insecure", "test")
DEFAULT_PASSWORDS = frozenset({*PLACEHOLDERS, "postgres", "ledger", "admin", "root", "1234", "123456"})
MAKE_ONE = "generate one with `head -c 32 /dev/urandom | base64`"
OFF = frozenset({"", "0", "no", "n", "off", "false", "f"})


class UnsafeStartError(Exception):
    """A production start with these settings is refused. The message says what to change."""


def refuse_unsafe(settings: LedgerSettings, environment: Mapping[str, str]) -> None:
    """Refuse settings that must not be used in production.

    Raises:
        UnsafeStartError: A secret is a placeholder, or a switch is on that must be off.
    """
    for name in ("DEBUG", "LEDGER_DEBUG"):
        if environment.get(name, "").strip().lower() not in OFF:
            raise UnsafeStartError(f"{name} must not be set in production: unset it")
    if environment.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").strip().lower() not in OFF:
        raise UnsafeStartError(
            "POSTGRES_ENABLE_DB_FUNCTIONS must not be set, because readers of the log would miss events: unset it"
        )
    _check_secret_key(settings.secret_key.get_secret_value())
    rings = {
        "LEDGER_PEPPERS": KeyRing.parse(settings.peppers.get_secret_value()),
        "LEDGER_MASTER_KEYS": KeyRing.parse(settings.master_keys.get_secret_value()),
    }
    for name, ring in rings.items():
        for key_id, key in ring.keys.items():
            if len(set(key)) < DISTINCT_MIN:
                raise UnsafeStartError(f"key {key_id} of {name} is a placeholder, not a random key: {MAKE_ONE}")
    if set(rings["LEDGER_PEPPERS"].keys.values()) & set(rings["LEDGER_MASTER_KEYS"].keys.values()):
        raise UnsafeStartError(f"LEDGER_PEPPERS and LEDGER_MASTER_KEYS share a key: {MAKE_ONE} for each")
    urls = {"DATABASE_URL": settings.database_url.get_secret_value(), "LEDGER_OWNER_DATABASE_URL": settings.owner_url}
    for name, url in urls.items():
        if read_password(url).lower() in DEFAULT_PASSWORDS:
            raise UnsafeStartError(f"the password in {name} is a well-known default password: set another one")


def _check_secret_key(value: str) -> None:
    if len(value) < SECRET_LENGTH_MIN or len(set(value)) < DISTINCT_MIN:
        raise UnsafeStartError(
            f"LEDGER_SECRET_KEY is shorter than {SECRET_LENGTH_MIN} characters, or not random: {MAKE_ONE}"
        )
    if any(word in value.lower() for word in PLACEHOLDERS if len(word) > len("test")):
        raise UnsafeStartError(f"LEDGER_SECRET_KEY is a placeholder: {MAKE_ONE}")
