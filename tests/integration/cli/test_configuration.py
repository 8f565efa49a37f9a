"""`ledger apply` and `ledger export config`: a ledger as a file says, its effect shown first."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from domain.commands.campaign.waiting_list import JoinWaitingList
from projections.repositories.webhook_endpoints import WebhookEndpointRepository
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.images import make_png
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = pytest.mark.usefixtures("database_url")

WHOLE = """
[[groups]]
name = "VIP"
accept_target = "https://shop.example.com/thanks"
accepts_rebinds = true
accent = "#1F5FBF"
[groups.texts.en]
subject = "Welcome to {group}"
text = "First line\\nsecond line"
[groups.channel]
settings = { url = "https://crm.example.com/invites" }

[[webhooks]]
url = "https://shop.example.com/hook"
event_types = ["InviteSent"]
concurrency = 2
format = "cloudevents"

[[campaigns]]
name = "Autumn"
max_uses = 500
max_per_person = 1
ends_at = 2099-12-31T23:00:00Z
person_rule = "mailbox"
denied_domains = ["mailinator.com"]
notify_at = ["80%", "10 left"]

[[keys]]
name = "web shop"
scopes = ["codes:issue", "redeem"]
networks = ["203.0.113.0/24"]
expires_at = 2099-01-01T00:00:00+01:00
"""
Apply = Callable[..., CommandResult]


@pytest.fixture
def apply(terminal: Terminal, tmp_path: Path) -> Apply:
    def run(text: str, *options: str) -> CommandResult:
        (path := tmp_path / "ledger.toml").write_text(text, "utf-8")
        return terminal.ledger("apply", "--file", str(path), *options)

    return run


def test_plan_changes_nothing(apply: Apply, terminal: Terminal) -> None:
    planned = apply(WHOLE)

    assert planned.status == 0
    assert "create campaign Autumn" in planned.out
    assert "  max_uses: 500\n" in planned.out
    assert planned.err == "4 changes; nothing was changed: add --yes to make them\n"
    assert terminal.ledger("campaign", "list", "--json").json == []
    assert terminal.ledger("key", "list", "--json").json == []


def test_file_is_applied_once_and_exported_as_it_was(apply: Apply, terminal: Terminal, tmp_path: Path) -> None:
    done_once = apply(WHOLE, "--yes", "--json").json
    again = apply(WHOLE, "--yes")
    assert terminal.ledger("export", "config", "--output", str(tmp_path / "exported.toml")).status == 0
    exported = (tmp_path / "exported.toml").read_text("utf-8")
    from_export = apply(exported, "--yes", "--prune")
    document = tomllib.loads(exported)

    assert done_once["applied"] == [
        "group VIP",
        "webhook https://shop.example.com/hook",
        "campaign Autumn",
        "key web shop",
    ]
    assert sorted(done_once["secrets"]) == ["group VIP", "key web shop", "webhook https://shop.example.com/hook"]
    assert again.err == from_export.err == "nothing to change: the ledger is as the file says\n"
    assert not any(secret in exported for secret in done_once["secrets"].values())
    assert document["groups"][0]["texts"] == {
        "en": {"subject": "Welcome to {group}", "text": "First line\nsecond line"}
    }
    assert document["campaigns"][0]["notify_at"] == [80, "10 left"]
    assert document["keys"][0]["networks"] == ["203.0.113.0/24"]


def test_export_without_ids_creates_the_same_in_another_ledger(apply: Apply, terminal: Terminal) -> None:
    """With ids, the file is about the objects of the ledger that it comes from, and refused where they are missing."""
    apply(WHOLE, "--yes")
    with_ids, without = (terminal.ledger("export", "config", *options).out for options in ((), ("--without-ids",)))
    apply("webhooks = []", "--prune", "--yes")
    refused, created = apply(with_ids), apply(without)

    assert sum("id" in entry for entries in tomllib.loads(with_ids).values() for entry in entries) == 3
    assert not any("id" in entry for entries in tomllib.loads(without).values() for entry in entries)
    assert (refused.status, created.status) == (4, 0)
    assert "create webhook https://shop.example.com/hook" in created.out


def test_export_without_ids_is_refused_if_names_are_not_unique(
    apply: Apply, terminal: Terminal, bench: LedgerBench, tmp_path: Path
) -> None:
    """Such a file would be refused by `apply`: two keys while one replaces the other, or two endpoints of one URL."""
    apply(WHOLE, "--yes")
    terminal.ledger("key", "create", "web shop", "--scope", "redeem")
    endpoint = (uuid4(), "https://shop.example.com/hook", (), 1, uuid4(), bench.context().now)
    WebhookEndpointRepository(bench.storage).insert(*endpoint)
    file = tmp_path / "ledger.toml"
    file.unlink()

    refused = terminal.ledger("export", "config", "--without-ids", "--output", str(file))
    with_ids = terminal.ledger("export", "config").out

    assert (refused.status, file.exists()) == (4, False)
    assert "webhooks https://shop.example.com/hook, keys web shop;" in refused.err
    assert apply(with_ids).err.startswith("nothing to change")


def test_people_who_wait_are_an_effect(apply: Apply, bench: LedgerBench) -> None:
    """The plan says that closing the list sends them away, before anybody loses a place."""
    campaign = bench.create_campaign(name="Autumn", max_uses=1, waiting_hours=24)
    code = bench.issue(None, bound=False, campaign_id=campaign)
    bench.redeem(code, "first@example.com")
    bench.storage.ledger.execute_one(JoinWaitingList(redeem=bench.reserve(code, "second@example.com")))
    planned = apply('[[campaigns]]\nname = "Autumn"\nmax_uses = 1')

    assert "change campaign Autumn (now: codes 1, used 0, reserved 1, available 0, waiting 1)" in planned.out
    assert "  then: available 0, counted 1, waiting 0\n" in planned.out


def test_reserved_uses_of_a_group_are_shown(apply: Apply, bench: LedgerBench) -> None:
    """Their invitations are not sent yet, and will have the new texts; those of other groups do not count."""
    for group in ("VIP", "VIP", "other"):
        bench.redeem(bench.issue(group=group), "li.wei@example.com")

    assert "change group VIP (now: reserved 2)\n" in apply('[[groups]]\nname = "VIP"\naccent = "#1f5fbf"').out


def test_logo_is_a_field_as_any_other(apply: Apply, terminal: Terminal, tmp_path: Path) -> None:
    (logo := tmp_path / "logo.png").write_bytes(make_png(240, 64))
    terminal.ledger("group", "branding", "VIP", "--logo", str(logo))
    exported = terminal.ledger("export", "config").out
    again = apply(exported)
    removed = apply('[[groups]]\nname = "VIP"', "--yes")

    assert again.err.startswith("nothing to change")
    assert "  logo: " in removed.out
    assert terminal.ledger("group", "show", "VIP").out == "logo: none\ncolor: none\n"


def test_limit_below_live_uses_is_shown_and_needs_a_choice(apply: Apply, bench: LedgerBench) -> None:
    campaign_id = bench.create_campaign(name="Autumn", max_uses=10)
    code = bench.issue(9, bound=False, campaign_id=campaign_id)
    for number in range(3):
        done(bench.redeem(code, f"p{number}@example.com"))
    text = '[[groups]]\nname = "VIP"\naccent = "#1f5fbf"\n[[campaigns]]\nname = "Autumn"\nmax_uses = 2'
    refused = apply(text, "--yes")
    chosen = apply(text, "--yes", "--counting", "all", "--json").json
    again = apply(text, "--yes", "--counting", "all")

    assert refused.status == 4
    assert "change campaign Autumn (now: codes 1, used 0, reserved 3, available 7)" in refused.out
    assert "  then: " not in refused.out
    assert "  if limits count all: counted 3, available -1, over the limits 1" in refused.out
    assert "  not possible: " in refused.out
    assert refused.err == "1 of 2 changes are not possible; nothing was changed\n"
    assert chosen["applied"] == ["group VIP", "campaign Autumn"]
    assert [each["over"] for each in chosen["changes"][1]["limits"]] == [1, 0]
    assert again.err == "nothing to change: the ledger is as the file says\n"


def test_choice_of_uses_is_only_for_limits_that_change(apply: Apply, bench: LedgerBench) -> None:
    """Another campaign of the file keeps what it counts, also if it has no limit."""
    ids = [bench.create_campaign(name=name, max_uses=limit) for name, limit in (("A", 1), ("B", 1), ("C", None))]
    for number, campaign_id in enumerate(ids):
        done(bench.redeem(bench.issue(campaign_id=campaign_id), f"c{number}@example.com"))
    text = """
        campaigns = [
            { name = "A", max_uses = 5 },
            { name = "B", max_uses = 1, ends_at = 2099-01-01T00:00:00Z },
            { name = "C", remind_days = 2 },
        ]
    """
    planned = apply(text, "--counting", "from_now")
    assert apply(text, "--yes", "--counting", "from_now").status == 0
    counted = "SELECT name, counts_from IS NOT NULL FROM campaigns ORDER BY name"

    assert "  then: available 5, counted 0" in planned.out
    assert bench.rows(counted) == [("A", True), ("B", False), ("C", False)]


def test_only_pruning_removes_and_only_kinds_of_the_file(apply: Apply, terminal: Terminal) -> None:
    """A file without keys revokes none; an empty list of them revokes all."""
    apply(WHOLE, "--yes")
    untouched = apply("campaigns = []", "--yes")
    pruned = apply("campaigns = []\nwebhooks = []\ngroups = []", "--prune", "--yes", "--json").json
    keys = apply("keys = []", "--prune", "--yes", "--note", "rotated")

    assert untouched.err.startswith("nothing to change")
    assert [(each["kind"], each["action"]) for each in pruned["changes"]] == [
        ("group", "change"),
        ("webhook", "remove"),
        ("campaign", "remove"),
    ]
    assert terminal.ledger("campaign", "list", "--json").json[0]["state"] == "ended"
    assert "remove key web shop (now: last used never)" in keys.out
    assert terminal.ledger("export", "config").out.strip() == "groups = []\nwebhooks = []\ncampaigns = []\nkeys = []"


def test_names_that_several_have_need_an_id(apply: Apply, bench: LedgerBench) -> None:
    first, _ = bench.create_campaign(name="Autumn"), bench.create_campaign(name="Autumn")
    unclear = apply('[[campaigns]]\nname = "Autumn"', "--yes")
    renamed = apply(f'[[campaigns]]\nid = "{first}"\nname = "Autumn 2"', "--yes")
    missing = apply(f'[[campaigns]]\nid = "{"0" * 32}"\nname = "Autumn 2"', "--yes")

    assert unclear.status == missing.status == 4
    assert "not possible: 2 have this name: write the id of the one that is meant" in unclear.out
    assert "  name: Autumn -> Autumn 2" in renamed.out
    assert "leave the id out to create it" in missing.out


def test_renamed_campaign_is_not_the_new_one_of_its_former_name(apply: Apply, terminal: Terminal) -> None:
    """The second run changes nothing, whichever entry comes first."""
    apply('[[campaigns]]\nname = "Autumn"', "--yes")
    (first,) = terminal.ledger("campaign", "list", "--json").json
    text = f'campaigns = [{{ name = "Autumn", max_uses = 7 }}, {{ name = "Winter", id = "{first["id"]}" }}]'
    both = apply(text, "--yes")
    again = apply(text)

    assert "create campaign Autumn" in both.out
    assert again.err.startswith("nothing to change")
    assert [(each["name"], each["max_uses"]) for each in terminal.ledger("campaign", "list", "--json").json] == [
        ("Winter", None),
        ("Autumn", 7),
    ]


def test_ended_campaign_stays_as_it_is(apply: Apply) -> None:
    """Its entry may stay in the file; with other terms it needs another name."""
    apply('[[campaigns]]\nname = "Autumn"', "--yes")
    apply("campaigns = []", "--prune", "--yes")
    same = apply('[[campaigns]]\nname = "Autumn"')
    other = apply('[[campaigns]]\nname = "Autumn"\nmax_uses = 2')

    assert same.err.startswith("nothing to change")
    assert "not possible: the campaign with this name has ended permanently" in other.out


def test_key_that_ended_is_neither_exported_nor_missed(apply: Apply, terminal: Terminal, bench: LedgerBench) -> None:
    """A revoked one is made again, because the file says that there is one."""
    text = '[[keys]]\nname = "reports"\nrole = "viewer"\nexpires_at = 2099-01-01T00:00:00Z'
    apply(text, "--yes")
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE api_keys SET expires_at = '2001-01-01Z'")
    expired = apply(text.replace("2099", "2001"))
    exported = terminal.ledger("export", "config").out
    renewed = apply(text)

    assert expired.err.startswith("nothing to change")
    assert "keys = []" in exported
    assert "create key reports" in renewed.out


def test_rights_of_a_key_never_change(apply: Apply) -> None:
    """Its networks do; another right is a new key, and says so."""
    apply(WHOLE, "--yes")
    networks = apply(WHOLE.replace("203.0.113.0/24", "198.51.100.0/24"), "--yes")
    rights = apply(WHOLE.replace('"codes:issue", "redeem"', '"redeem"'), "--yes")

    assert apply(WHOLE.replace('"codes:issue", "redeem"', '"redeem", "codes:issue", "redeem"')).status == 0
    assert networks.err == "1 of 1 changes were made\n"
    assert "give the new key another name" in rights.out
    assert rights.status == 4


def test_secrets_go_to_a_file_of_their_own(apply: Apply, tmp_path: Path) -> None:
    """It is new and for its owner alone; an existing one is refused before anything is changed."""
    (existing := tmp_path / "existing").touch()
    refused = apply(WHOLE, "--yes", "--secrets", str(existing))
    applied = apply(WHOLE, "--yes", "--secrets", str(tmp_path / "secrets"))
    lines = (tmp_path / "secrets").read_text("utf-8").splitlines()

    assert refused.status == 2
    assert applied.err == "4 of 4 changes were made\n"
    assert [line.rpartition(": ")[0] for line in lines] == [
        "group VIP",
        "webhook https://shop.example.com/hook",
        "key web shop",
    ]
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600
    assert not any(line.rpartition(": ")[2] in applied.out for line in lines)


def test_no_file_for_secrets_is_made_if_nothing_changes(apply: Apply, tmp_path: Path) -> None:
    """So a pipeline names the same one in each run."""
    assert apply("groups = []", "--yes", "--secrets", str(tmp_path / "secrets")).status == 0
    assert not (tmp_path / "secrets").exists()


def test_spaces_and_line_ends_are_stored_as_pages_store_them(apply: Apply) -> None:
    """So the second run changes nothing."""
    text = """
        webhooks = [{ url = " https://shop.example.com/hook " }]
        groups = [{ name = "VIP", texts.en.text = "a\\r\\nb" }]
        keys = [{ name = " web shop ", role = "viewer" }]
    """

    assert apply(text, "--yes").err == "3 of 3 changes were made\n"
    assert apply(text).err.startswith("nothing to change")


def test_long_values_are_shown_from_where_they_differ(apply: Apply) -> None:
    """Otherwise both would look the same."""
    text = '[[groups]]\nname = "VIP"\ntexts.en.text = "{}"'
    apply(text.format("a" * 300 + "b"), "--yes")
    planned = apply(text.format("a" * 300 + "c"))

    assert f"  texts.en.text: ...{'a' * 20}b -> ...{'a' * 20}c\n" in planned.out
