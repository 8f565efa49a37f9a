"""Campaigns at the command line: the same terms, balances and refusals as by API."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done


def test_campaign_command_creates_limits_and_lists_as_the_api_does(own_bench: LedgerBench, terminal: Terminal) -> None:
    options = ("--group", "blue", "--starts-at", "2026-01-02T03:04:05Z", "--ends-at", "2099-01-01")
    limits = ("--max-uses", "2", "--max-per-person", "1", "--max-per-day", "2")
    domains = ("--allowed-domains", "example.com *.edu", "--denied-domains", "x.example.com")
    rule = ("--person-rule", "Mailbox", "--throwaway", "refuse")
    reminders = ("--remind-days", "5", "--quiet-hours", "22:00-08:00 Europe/Berlin", "--code-max-uses", "3")
    days = ("--code-validity-days", "30", "--notify-at", "10 left,80%")
    created = terminal.ledger(
        "campaign", "create", "Autumn", *options, *limits, *domains, *rule, *reminders, *days, "--json"
    ).json
    issued = terminal.ledger("issue", "--campaign", created["id"], "--json").json
    done(own_bench.redeem(issued[0]["code"].replace("-", ""), "li@example.com"))

    shown = terminal.ledger("campaign", "show", created["id"], "--json").json
    listed = terminal.ledger("campaign", "list", "--json").json
    changed = terminal.ledger(
        "campaign", "terms", created["id"], "--name", "Winter", "--max-uses", "unlimited", "--json"
    ).json
    group: Any = own_bench.rows("SELECT group_name FROM code_balances WHERE code_id = %s", issued[0]["id"])

    expected = {
        "state": "active",
        "name": "Autumn",
        "group": "blue",
        "starts_at": "2026-01-02T03:04:05+00:00",
        "ends_at": "2099-01-01T00:00:00+00:00",
        "max_uses": 2,
        "max_per_person": 1,
        "max_per_day": 2,
        "person_rule": "mailbox",
        "allowed_domains": ["*.edu", "example.com"],
        "denied_domains": ["x.example.com"],
        "throwaway": "refuse",
        "remind_days": 5,
        "quiet_hours": "22:00-08:00 Europe/Berlin",
        "code_max_uses": 3,
        "code_validity_days": 30,
        "notify_at": [80, "10 left"],
        "codes": 1,
        "used_count": 0,
        "reserved": 1,
        "available": 1,
        "available_today": 1,
    }
    assert {name: shown[name] for name in expected} == expected
    assert listed == [shown]
    assert changed == shown | {"name": "Winter", "max_uses": None, "available": None}
    assert group == [("blue",)]


def test_campaign_command_ends_with_the_exit_code_of_its_refusal(own_bench: LedgerBench, terminal: Terminal) -> None:
    """Refusals of a rule are 4, texts that cannot be read are 2; nothing is created or issued then."""
    campaign, unknown = str(own_bench.create_campaign(max_uses=2)), str(uuid4())
    wrong: list[tuple[tuple[str, ...], int, str]] = [
        (("campaign", "create", "li.wei@example.com"), 4, "name"),
        (("campaign", "create", "A", "--max-uses", "1", "--max-per-person", "2"), 4, "per person"),
        (("campaign", "create", "A", "--max-uses", "0"), 2, "'--max-uses'"),
        (("campaign", "create", "A", "--ends-at", "soon"), 2, "'--ends-at'"),
        (("campaign", "create", "A", "--ends-at", "2020-01-01"), 4, "in the past"),
        (("campaign", "terms", campaign, "--ends-at", "2020-01-01"), 4, "in the past"),
        (("hand-out", "create", campaign, "A", "--expires-at", "2020-01-01"), 4, "in the past"),
        (("campaign", "create", "A", "--remind-days", "31"), 2, "'--remind-days'"),
        (("campaign", "create", "A", "--notify-at", "80"), 2, "'--notify-at'"),
        (("campaign", "create", "A", "--quiet-hours", "22:00-08:00 Moon"), 4, "existing time zone"),
        (("campaign", "create", "A", "--person-rule", "inbox"), 2, "not one of the words exact, mailbox"),
        (("campaign", "show", unknown), 4, "campaign"),
        (("campaign", "pause", "Autumn"), 2, "`ledger campaign list` lists them"),
        (("issue", "--campaign", unknown), 4, "campaign"),
        (("issue", "--campaign", "Autumn"), 2, "'--campaign'"),
    ]

    for arguments, status, text in wrong:
        ended = terminal.ledger(*arguments)
        assert (ended.status, text in ended.err, ended.out) == (status, True, ""), (arguments, ended)
    for person in ("li", "wang"):
        own_bench.redeem(own_bench.issue(campaign_id=UUID(campaign)), f"{person}@example.com")
    terminal.ledger("campaign", "terms", campaign, "--max-per-day", "2")
    low = terminal.ledger("campaign", "terms", campaign, "--max-uses", "1", "--max-per-day", "1")

    assert (low.status, low.err.count("of at least 2.")) == (4, 2)
    assert len(terminal.ledger("campaign", "list", "--json").json) == 1
    assert own_bench.rows("SELECT count(*) FROM code_balances") == [(2,)]


def test_campaign_terms_preview_and_set_limits_of_a_campaign_without_any(
    own_bench: LedgerBench, terminal: Terminal
) -> None:
    campaign = str(own_bench.create_campaign())
    ids = [
        done(
            own_bench.redeem(own_bench.issue(campaign_id=UUID(campaign)), f"p{number}@example.com")
        ).require_reservation()
        for number in range(2)
    ]
    limits = ("campaign", "terms", campaign, "--max-uses", "1")

    shown = terminal.ledger(*limits, "--preview")
    document = terminal.ledger(*limits, "--preview", "--json").json
    wrong = terminal.ledger(*limits, "--counting", "some")
    unknown = terminal.ledger("campaign", "terms", str(uuid4()), "--preview")
    from_now = terminal.ledger(*limits, "--counting", "from_now", "--note", "Budget", "--json").json
    of_all = terminal.ledger("campaign", "terms", campaign, "--counting", "all", "--json").json

    first, over, last = shown.out.splitlines()
    assert first == "all: counted 2, available -1, over the limits 1"
    assert over.startswith(f"  over: reservation {ids[1].reservation_id} of 20")
    assert last == "from_now: counted 0, available 1, over the limits 0"
    assert [choice["over"] for choice in document["choices"]] == [1, 0]
    assert [wrong.status, unknown.status] == [2, 4]
    assert (from_now["counted"], from_now["available"], of_all["counted"], of_all["available"]) == (0, 1, 2, -1)
    assert own_bench.rows("SELECT count(*) FROM private_texts") == [(1,)]


def test_campaign_add_and_import_put_codes_into_a_campaign(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    campaign, other = str(bench.create_campaign(max_uses=2)), bench.create_campaign()
    codes = [bench.issue() for _ in range(2)]
    foreign = bench.issue(campaign_id=other)
    file = tmp_path / "codes.csv"
    file.write_text("code,max_uses,used\nOLD-1,5,2\n", "utf-8")

    first = terminal.ledger("campaign", "add", campaign, codes[0], "--json").json
    again = terminal.ledger("campaign", "add", campaign, *codes)
    refused = terminal.ledger("campaign", "add", campaign, foreign, codes[0])
    imported = terminal.ledger("import-codes", str(file), "--campaign", campaign)
    unknown = terminal.ledger("import-codes", str(file), "--campaign", str(uuid4()))
    ended = terminal.ledger("campaign", "end", campaign)
    late = terminal.ledger("import-codes", str(file), "--campaign", campaign)

    assert first == {"id": campaign, "added": 1, "already": 0}
    assert (again.status, again.out) == (0, "1 added, 1 already in the campaign\n")
    assert (refused.status, "code 1 of 2 was not added; 0 were added" in refused.err) == (4, True)
    assert [imported.status, unknown.status, ended.status, late.status] == [0, 4, 0, 4]
    assert terminal.ledger("campaign", "show", campaign, "--json").json["codes"] == 3


def test_campaign_history_and_explain_show_each_use(bench: LedgerBench, terminal: Terminal) -> None:
    campaign = bench.create_campaign(max_uses=2)
    code = bench.issue(campaign_id=campaign)
    reservation = done(bench.redeem(code, "li@example.com")).require_reservation()

    history = terminal.ledger("campaign", "history", str(campaign), "--json").json
    explained = terminal.ledger("campaign", "explain", str(campaign), "--json").json
    texts = [terminal.ledger("campaign", action, str(campaign)).out for action in ("history", "explain")]
    early = terminal.ledger("campaign", "explain", str(campaign), "--as-of", "2020-01-01")
    unknown = terminal.ledger("campaign", "history", str(uuid4()))

    assert [(event["type"], event["occupied"]) for event in history["events"]] == [
        ("CampaignCreated", 0),
        ("CampaignUseTaken", 1),
    ]
    assert [use["reservation_id"] for use in explained["uses"]] == [str(reservation.reservation_id)]
    assert "Available: 1. This is the limit of 2 over all codes, less 0 used and 1 reserved." in texts[1]
    assert "CampaignUseTaken" in texts[0]
    assert f"…{code[-4:]}" in texts[0]
    assert str(reservation.reservation_id) in "".join(texts[0].split())
    assert str(reservation.reservation_id) in texts[1].replace("\n", "")
    assert (early.status, "did not exist yet" in early.err, unknown.status) == (4, True, 4)


def test_campaign_command_shows_domains_of_other_scripts_as_they_are_typed_and_stored(terminal: Terminal) -> None:
    created = terminal.ledger("campaign", "create", "Autumn", "--allowed-domains", "Bücher.example *.公司").out.strip()

    shown = terminal.ledger("campaign", "show", created).out
    history = terminal.ledger("campaign", "history", created, "--json").json["events"][0]["sentence"]
    document = terminal.ledger("campaign", "show", created, "--json").json

    assert "allowed-domains: *.公司 (*.xn--55qx5d), bücher.example (xn--bcher-kva.example)\n" in shown
    assert "bücher.example (xn--bcher-kva.example)" in history
    assert document["allowed_domains"] == ["*.xn--55qx5d", "xn--bcher-kva.example"]


def test_campaign_summary_shows_the_uses_left_today(terminal: Terminal) -> None:
    """A campaign whose limit per day is reached is full although uses are left over all codes."""
    created = terminal.ledger("campaign", "create", "Autumn", "--max-uses", "5", "--max-per-day", "2").out.strip()
    limited = terminal.ledger("campaign", "pause", created).out
    changed = terminal.ledger("campaign", "terms", created, "--max-per-day", "unlimited").out

    assert limited == "paused; used 0, reserved 0, available 5, available today 2\n"
    assert changed == "paused; used 0, reserved 0, available 5\n"


def test_history_of_a_code_names_its_campaign_by_its_present_name(bench: LedgerBench, terminal: Terminal) -> None:
    campaign = str(terminal.ledger("campaign", "create", "Autumn", "--json").json["id"])
    issued = terminal.ledger("issue", "--campaign", campaign, "--json").json[0]["code"]
    joined, alone = bench.issue(), bench.issue()
    terminal.ledger("campaign", "add", campaign, joined)
    terminal.ledger("campaign", "terms", campaign, "--name", "Winter")

    def say_events(code: str) -> list[str]:
        return [event["sentence"] for event in terminal.ledger("history", code, "--json").json["events"]]

    assert say_events(issued)[0].endswith(", campaign Winter")
    assert say_events(joined)[1].startswith("code joined the campaign Winter: ")
    assert "campaign" not in say_events(alone)[0]


def test_days_of_a_code_and_of_a_campaign_are_durations(own_bench: LedgerBench, terminal: Terminal) -> None:
    campaign = terminal.ledger("campaign", "create", "Autumn", "--valid-for", "p2w").out.strip()
    shown = terminal.ledger("campaign", "show", campaign).out
    terminal.ledger("issue", "--campaign", campaign)
    terminal.ledger("issue", "--campaign", campaign, "--valid-for", "P3D")
    terminal.ledger("campaign", "terms", campaign, "--valid-for", "5")
    terminal.ledger("issue", "--campaign", campaign)
    refused = terminal.ledger("campaign", "terms", campaign, "--valid-for", "P1Y")
    days = own_bench.rows("SELECT extract(day FROM expires_at - issued_at)::int FROM code_balances ORDER BY issued_at")

    assert "valid-for: P14D" in shown
    assert days == [(14,), (3,), (5,)]
    assert (refused.status, "'--valid-for'" in refused.err) == (2, True)
