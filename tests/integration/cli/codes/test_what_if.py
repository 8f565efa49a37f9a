"""`ledger what-if`: the same answer as the route's, as a document and as two lines."""

from uuid import uuid4

from domain.values.limits.thresholds import Thresholds
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench


def test_what_if_names_the_events_of_the_campaign_that_refused(bench: LedgerBench, terminal: Terminal) -> None:
    campaign_id = bench.create_campaign()
    terminal.ledger("campaign", "pause", str(campaign_id))
    code = str(bench.issue(campaign_id=campaign_id))

    shown = terminal.ledger("what-if", code, "--email", "li.wei@example.com")

    assert shown.out.startswith("CAMPAIGN_PAUSED: ")
    assert "because of #1, campaign Autumn #2" in shown.out


def test_what_if_answers_about_an_address_and_about_an_action(bench: LedgerBench, terminal: Terminal) -> None:
    code = str(bench.issue())

    answer = terminal.ledger("what-if", code, "--email", "li.wei@example.com", "--json").json
    early = terminal.ledger("what-if", code, "--email", "li.wei@example.com", "--as-of", "2020-01-01", "--json").json
    action = terminal.ledger("what-if", code, "--reservation", str(uuid4()), "--action", "refund", "--json").json
    shown = terminal.ledger("what-if", code, "--email", "li.wei@example.com")

    assert (answer["would"], answer["version"], answer["because"]) == ("accepted", 1, [1])
    assert (early["would"], early["version"], early["because"]) == ("CODE_INVALID", 0, [])
    assert (action["would"], action["because"]) == ("NOT_FOUND", [])
    assert shown.out.splitlines()[0].startswith("accepted: ")
    assert "because of #1" in shown.out
    for wrong in ((), ("--action", "refund"), ("--email", "x@example.com", "--reservation", str(uuid4()))):
        assert terminal.ledger("what-if", code, *wrong).status == 2, wrong


def test_what_if_and_the_preview_of_a_limit_name_thresholds(bench: LedgerBench, terminal: Terminal) -> None:
    """A request would use up the code; so would a limit that is set to the uses it has."""
    code = str(bench.issue(2, bound=False, notify_at=Thresholds("100%")))
    bench.redeem(code, "li.wei@example.com")

    asked = terminal.ledger("what-if", code, "--email", "mei@example.com")
    limit = terminal.ledger("terms", code, "--max-uses", "1", "--preview")

    assert "crosses 100% of the code" in asked.out.splitlines()
    assert limit.out.splitlines()[1:] == [
        "  crosses 100%",
        "from_now: limit 2, counted 1, available 1, over the limit 0",
    ]
