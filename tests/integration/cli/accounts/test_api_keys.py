"""`ledger key`: keys with an end and with networks, their use, and their replacement."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from projections.repositories.api_keys import ApiKeyRepository
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

ALLOWED = "203.0.113.0/24"


def create(terminal: Terminal, *options: str) -> Any:  # noqa: ANN401 - a JSON document
    return terminal.ledger("key", "create", "shop", "--role", "viewer", *options, "--json").json


def show(terminal: Terminal, key_id: str) -> Any:  # noqa: ANN401 - a JSON document
    return terminal.ledger("key", "show", key_id, "--json").json


def test_key_without_a_named_end_is_created_with_a_warning(terminal: Terminal) -> None:
    """Scripts that name none work as before."""
    usual = terminal.ledger("key", "create", "--role", "viewer")
    meant = terminal.ledger("key", "create", "--role", "viewer", "--no-end")
    both = terminal.ledger("key", "create", "--role", "viewer", "--no-end", "--days", "3")

    assert (usual.status, meant.status, both.status) == (0, 0, 2)
    assert usual.out.startswith("rl_")
    assert "the key does not expire" in usual.err
    assert meant.err == ""
    assert "give one of --days, --until and --no-end" in both.err


def test_key_ends_as_its_options_say(terminal: Terminal, bench: LedgerBench) -> None:
    in_days = create(terminal, "--days", "30")
    at_time = create(terminal, "--until", "2999-01-01T00:00:00Z")
    past = terminal.ledger("key", "create", "--role", "viewer", "--until", "2020-01-01")

    ends_in = datetime.fromisoformat(in_days["expires_at"]) - bench.storage.recorder.clock.now()
    assert abs(ends_in - timedelta(days=30)) < timedelta(minutes=1)
    assert datetime.fromisoformat(at_time["expires_at"]).year == 2999
    assert past.status == 2
    assert "is in the past" in past.err


def test_keys_are_shown_with_their_last_use_networks_and_scopes_in_words(
    terminal: Terminal, own_bench: LedgerBench
) -> None:
    options = ("--scope", "redeem", "--days", "5", "--network", ALLOWED, "--network", "2001:db8::/48")
    key_id = terminal.ledger("key", "create", "shop", *options, "--json").json["id"]
    unused, now = terminal.ledger("key", "show", key_id).out, own_bench.storage.recorder.clock.now()
    ApiKeyRepository(own_bench.storage).record_use(key_id, ALLOWED, now)
    used, (listed,) = show(terminal, key_id), terminal.ledger("key", "list", "--json").json
    text = terminal.ledger("key", "list").out

    assert "never" in unused
    assert "Redeem a code on behalf of a recipient." in unused
    assert "ends soon" in unused
    assert used == listed
    assert (listed["used_from"], listed["networks"]) == (ALLOWED, [ALLOWED, "2001:db8::/48"])
    assert datetime.fromisoformat(str(listed["used_at"])) == now
    assert (listed["is_valid"], listed["is_ending"], listed["is_unused"]) == (True, True, False)
    assert "shop" in text
    assert f"{now:%Y-%m-%d %H:%M}" in text


def test_key_is_replaced_once_with_an_overlap(terminal: Terminal, own_bench: LedgerBench) -> None:
    old = create(terminal, "--no-end", "--network", ALLOWED)
    unnamed = terminal.ledger("key", "replace", old["id"])
    new = terminal.ledger("key", "replace", old["id"], "--days", "90", "--overlap-hours", "2", "--json").json
    again = terminal.ledger("key", "replace", old["id"], "--days", "90")
    former, newer = show(terminal, old["id"]), show(terminal, new["id"])
    terminal.ledger("key", "revoke", old["id"])
    ended = terminal.ledger("key", "replace", old["id"], "--no-end")
    left = datetime.fromisoformat(str(former["expires_at"])) - own_bench.storage.recorder.clock.now()

    assert (unnamed.status, again.status, ended.status) == (2, 4, 4)
    assert "--days, --until or --no-end" in unnamed.err
    assert "was already replaced" in again.err
    assert "was revoked" in ended.err
    assert new["key"].startswith("rl_")
    assert abs(left - timedelta(hours=2)) < timedelta(minutes=1)
    assert (former["replaced_by"], newer["replaces_id"]) == (new["id"], old["id"])
    assert (newer["name"], newer["role"], newer["networks"]) == ("shop", "viewer", [ALLOWED])
    assert len(terminal.ledger("key", "list", "--json").json) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give either --network or --any-network"),
        (("--network", ALLOWED, "--any-network"), "give either --network or --any-network"),
        (("--network", "10.0.0.1/8"), "write 10.0.0.0/8"),
        (("--network", "shop"), "which is not a network such as"),
    ],
)
def test_malformed_networks_change_nothing(terminal: Terminal, options: tuple[str, ...], sentence: str) -> None:
    key_id = create(terminal, "--no-end", "--network", ALLOWED)["id"]
    refused = terminal.ledger("key", "change", key_id, *options)

    assert refused.status == 2
    assert sentence in " ".join(refused.err.replace("│", " ").split())
    assert show(terminal, key_id)["networks"] == [ALLOWED]


def test_networks_of_a_key_are_changed_and_lifted(terminal: Terminal) -> None:
    key_id = create(terminal, "--no-end")["id"]
    changed = terminal.ledger("key", "change", key_id, "--network", ALLOWED, "--json").json
    again = terminal.ledger("key", "change", key_id, "--network", ALLOWED, "--json").json
    lifted = terminal.ledger("key", "change", key_id, "--any-network", "--json").json
    terminal.ledger("key", "revoke", key_id)

    assert (changed["networks"], changed["changed"], again["changed"]) == ([ALLOWED], True, False)
    assert lifted["networks"] is None
    assert terminal.ledger("key", "change", key_id, "--any-network").status == 4
    assert terminal.ledger("key", "show", "00000000-0000-4000-8000-000000000000").status == 4
