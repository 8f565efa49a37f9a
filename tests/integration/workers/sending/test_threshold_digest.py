"""The email about crossed thresholds: one for all crossings of a window, outside of quiet hours, and none twice."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from unittest.mock import Mock
from uuid import UUID

import pytest
from msgspec import structs

from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.ports import Language, OutboundMessage, Outcome, OutcomeUnknown, Rejected
from domain.values.identifiers import EmailAddress
from domain.values.limits.thresholds import parse_thresholds
from domain.values.timestamps import text_of
from projections.work_queue.impossible_times import bring_back_times
from projections.work_queue.threshold_digest import CROSSINGS_MAX, ThresholdDigestRow
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.channels.mail_message import message_bytes, render_parts
from workers.sending import threshold_digest
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.threshold_digest import ThresholdDigestSender

WINDOW, LEASE, SECOND = timedelta(minutes=15), timedelta(seconds=90), timedelta(seconds=1)
BUSY = Rejected(server="mx:25", reason="temporary", final=False)
DOUBT = OutcomeUnknown(server="mx:25", cause="connection_lost")


@dataclass
class DigestRig:
    """A ledger whose operators get the email; its time passes only as a test says."""

    bench: LedgerBench
    steps: DeliverySteps
    now: datetime = field(init=False)
    channel: FakeChannel = field(default_factory=FakeChannel)
    quiet_hours: str = ""
    language: Language = "en"

    def __post_init__(self) -> None:
        self.now = self.bench.storage.recorder.clock.now()
        self.campaign = self.bench.create_campaign(name="Autumn <1>", max_uses=9, notify_at=parse_thresholds("8 left"))
        self.sweep()

    def sweep(self, after: timedelta = timedelta(0)) -> int:
        """Let time pass and do what is due; how many emails the channel was asked to send so far."""
        self.now += after
        ThresholdDigestSender(
            ThresholdDigestRow(self.bench.storage, WINDOW, LEASE),
            replace(self.steps, now=lambda: self.now),
            self.channel,
            EmailAddress.parse("ops@example.com"),
            self.language,
            self.quiet_hours,
        ).run()
        return len(self.channel.sent)

    def cross(self, count: int = 1) -> list[UUID]:
        ids = []
        for number in range(count):
            code = self.bench.issue(notify_at=parse_thresholds("100%"))
            ids.append(done(self.bench.redeem(code, f"li{number}@example.com")).code.code_id)
        return ids

    def lines(self, number: int = -1) -> list[str]:
        return self.channel.sent[number].listed.splitlines()


@pytest.fixture
def rig(bench: LedgerBench, steps: DeliverySteps) -> DigestRig:
    return DigestRig(bench, steps)


def test_crossings_of_a_window_are_one_email(rig: DigestRig) -> None:
    """It names the threshold, when, and the page of the code or campaign; the next crossing begins a window."""
    (first,) = rig.cross()
    before = [rig.sweep(), rig.sweep(WINDOW - SECOND)]
    code = rig.bench.issue(campaign_id=rig.campaign)
    done(rig.bench.redeem(code, "wang@example.com"))
    after = [rig.sweep(SECOND), rig.sweep(WINDOW), rig.sweep(WINDOW)]
    listed = rig.lines()
    (third,) = rig.cross()
    later = [rig.sweep(), rig.sweep(WINDOW)]

    url = rig.steps.message_factory.public_url
    assert (before, after, later) == ([0, 0], [1, 1, 1], [1, 2])
    assert [line.partition(" ")[0] for line in listed] == ["100%", "8"]
    assert listed[0].endswith(f" UTC - {url}/support/codes/{first}")
    assert listed[1].endswith(f" UTC - Autumn <1> - {url}/admin/campaigns/{rig.campaign}")
    assert [line.rpartition("/")[2] for line in rig.lines()] == [str(third)]
    assert len({message.message_id for message in rig.channel.sent}) == 2


@pytest.mark.usual_world  # in the small one, an email has fewer crossings
def test_crossings_are_listed_by_group_and_an_end_once(rig: DigestRig) -> None:
    """Those without a group come first. Of the days before an end, the last one is listed, with the end."""
    ends_at = rig.now + timedelta(days=3)
    names = parse_thresholds("100%, 30 days, 7 days")
    campaign = rig.bench.create_campaign(name="Winter", group="team-b", max_uses=1, ends_at=ends_at, notify_at=names)
    for campaign_id, group in ((campaign, None), (None, "team-a"), (None, None)):
        code = rig.bench.issue(campaign_id=campaign_id, group=group, notify_at=parse_thresholds("100%"))
        done(rig.bench.redeem(code, "li@example.com"))
    rig.sweep()
    rig.sweep(WINDOW)

    starts = [line.partition(" - ")[0] for line in rig.lines()]
    assert starts == ["100%", "100%", "", "team-a:", "100%", "", "team-b:", f"7 days ({text_of(ends_at)})", "100%"]


def test_crossing_is_left_out_whose_end_was_moved(rig: DigestRig) -> None:
    """The email would name an end that is months ahead; without other crossings, there is none."""
    ends_at, names = rig.now + timedelta(days=3), parse_thresholds("7 days, 1 left")
    campaign = rig.bench.create_campaign(name="Winter", max_uses=2, ends_at=ends_at, notify_at=names)
    rig.bench.redeem(rig.bench.issue(campaign_id=campaign), "li@example.com")
    change = ChangeCampaignTerms(
        context=rig.bench.context("staff"), campaign_id=campaign, changes={"ends_at": ends_at + timedelta(days=90)}
    )
    rig.bench.storage.ledger.execute_one(change)
    rig.sweep()
    rig.sweep(WINDOW)
    listed = [line.partition(" - ")[0] for line in rig.lines()]
    other = rig.bench.create_campaign(name="Spring", max_uses=2, ends_at=ends_at, notify_at=parse_thresholds("7 days"))
    rig.bench.redeem(rig.bench.issue(campaign_id=other), "li@example.com")
    rig.bench.storage.ledger.execute_one(structs.replace(change, campaign_id=other))
    counts = [rig.sweep(), rig.sweep(WINDOW), rig.sweep(WINDOW)]

    assert listed == ["1 left"]
    assert counts == [1, 1, 1]


def test_email_follows_an_outage_of_days(rig: DigestRig) -> None:
    """A mail server that cannot be reached costs no crossing."""
    rig.channel = FakeChannel(*[replace(BUSY, about_connection=True)] * 3)
    rig.cross()
    rig.sweep()
    rig.sweep(WINDOW)
    for _ in range(3):
        rig.sweep(timedelta(days=1))

    assert len(rig.channel.sent) == 4
    assert rig.sweep(WINDOW) == 4


@pytest.mark.parametrize("language", ["en", "zh"])
def test_email_lists_the_crossings_in_text_and_html(rig: DigestRig, language: Language) -> None:
    """The name of a campaign is escaped, and why operators get it is said."""
    rig.language = language
    done(rig.bench.redeem(rig.bench.issue(campaign_id=rig.campaign), "wang@example.com"))
    rig.sweep()
    rig.sweep(WINDOW)

    (message,) = rig.channel.sent
    parts = render_parts(message)
    assert "Autumn <1>" in parts.text
    assert "Autumn &lt;1&gt;" in parts.html
    assert "LEDGER_THRESHOLD_MAIL_TO" in parts.text
    assert b"To: ops@example.com" in message_bytes(message, "ledger@example.com")


def test_quiet_hours_postpone_the_email_to_their_end(rig: DigestRig) -> None:
    """What is crossed until then is in it."""
    until = rig.now + timedelta(hours=2)
    rig.quiet_hours = f"{rig.now - timedelta(hours=1):%H:%M}-{until:%H:%M} UTC"
    rig.cross()
    quiet = [rig.sweep(), rig.sweep(WINDOW), rig.sweep(timedelta(hours=1))]
    rig.cross()
    with rig.bench.storage.datastore.get_connection() as conn:
        brought_back = bring_back_times(conn, rig.now)

    assert quiet == [0, 0, 0]
    assert brought_back == {}
    assert rig.sweep(timedelta(minutes=45)) == 1
    assert len(rig.lines()) == 2


def test_refused_email_is_repeated_with_what_was_crossed_since(rig: DigestRig) -> None:
    """A minute later; another email has another Message-ID."""
    rig.channel = FakeChannel(BUSY)
    rig.cross()
    rig.sweep()
    first = rig.sweep(WINDOW)
    rig.cross()
    sent = [rig.sweep(timedelta(seconds=59)), rig.sweep(SECOND), rig.sweep(WINDOW)]

    assert (first, sent) == (1, [1, 2, 2])
    assert [len(rig.lines(number)) for number in (0, 1)] == [1, 2]


def test_email_is_given_up_after_five_refusals(rig: DigestRig) -> None:
    """The next crossing begins another one."""
    rig.channel = FakeChannel(*[BUSY] * 5)
    rig.cross()
    rig.sweep()
    for _ in range(12):
        rig.sweep(WINDOW)
    (last,) = rig.cross()
    rig.sweep()

    assert rig.sweep(WINDOW) == 6
    assert [line.rpartition("/")[2] for line in rig.lines()] == [str(last)]


class DyingChannel(FakeChannel):
    """The worker ends while it sends."""

    def send(self, message: OutboundMessage) -> Outcome:
        super().send(message)
        raise RuntimeError("the worker ended")


def test_email_of_a_worker_that_ended_is_not_repeated(rig: DigestRig) -> None:
    """It may have been sent. What was crossed in the meantime is in the next one."""
    rig.channel = DyingChannel()
    rig.cross()
    rig.sweep()
    sent = [rig.sweep(WINDOW), rig.sweep(LEASE - SECOND)]
    (later,) = rig.cross()
    rig.channel = FakeChannel()
    sent += [rig.sweep(SECOND), rig.sweep(), rig.sweep(WINDOW), rig.sweep(WINDOW)]

    assert sent == [1, 1, 0, 0, 1, 1]
    assert [line.rpartition("/")[2] for line in rig.lines()] == [str(later)]


def test_bug_before_the_email_is_sent_loses_no_crossing(rig: DigestRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a worker that ended while it sent."""
    rig.cross()
    rig.sweep()
    with monkeypatch.context() as broken:
        broken.setattr(threshold_digest, "list_crossings", Mock(side_effect=KeyError))
        rig.sweep(WINDOW)
    assert rig.sweep(LEASE) == 1


def test_crossings_beyond_one_email_are_in_the_next(rig: DigestRig) -> None:
    """All in the order of the log, and each once."""
    ids = rig.cross(CROSSINGS_MAX + 1)
    rig.sweep()
    first = rig.sweep(WINDOW)
    rig.sweep()
    second = rig.sweep(WINDOW)

    assert (first, second) == (1, 2)
    listed = [line.rpartition("/")[2] for number in (0, 1) for line in rig.lines(number)]
    assert listed == [str(each) for each in ids]


def test_time_of_a_clock_that_was_ahead_is_brought_back(rig: DigestRig) -> None:
    """The email would wait for days."""
    rig.cross()
    rig.sweep()
    rig.bench.rows("UPDATE threshold_digest SET due_at = due_at + interval '30 days' RETURNING position")
    with rig.bench.storage.datastore.get_connection() as conn:
        brought_back = bring_back_times(conn, rig.now)

    assert brought_back == {"threshold_digest": 1}
    assert rig.sweep() == 1
