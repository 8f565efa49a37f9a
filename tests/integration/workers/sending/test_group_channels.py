"""Invitations of a group with its own channel: posted, recorded as such, and delaying no other group."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook

from domain.commands.code.issue import IssueCode
from domain.ports import Channel, OutboundMessage
from domain.values.identifiers import generate_code
from tests.integration.workers.sending.delivery_rig import TOO_BIG, count_statuses, move_clock, send_notices
from tests.integration.workers.sending.test_invitations import CONCURRENCY, Post
from tests.support.channel_builders import LOOPBACK
from tests.support.delivery import deliver
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from tests.support.waiting import WAIT_S_MAX
from workers.channels.group_router import Cooldowns, GroupRoutingChannel
from workers.channels.registry import GroupChannels, channel_kinds
from workers.http_client.client import PinnedHttpClient
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.invitations import GROUP_SHARE, InvitationBatchSender

GROUP = "design"


class GroupRig:
    """A ledger whose group `design` has a system of its own."""

    def __init__(self, bench: LedgerBench, steps: DeliverySteps, system: WebhookReceiver) -> None:
        self.bench, self.steps, self.system = bench, steps, system
        settings = settings_for(bench.database_url).model_copy(
            update={"webhook_allow_private": "127.0.0.0/8", "webhook_timeout_s": 15.0}
        )
        self.own = GroupChannels.create(settings, bench.storage)
        settings_of_channel = {"url": system.url}
        self.channel_id, secret = self.own.repository.enable(
            GROUP, channel_kinds()["webhook"], settings_of_channel, (uuid4(), uuid4()), bench.context().now
        )
        assert secret is not None
        self.secret = secret
        self.post = Post()
        self.cooldowns = Cooldowns()

    def reserved(self, count: int, group: str | None = GROUP) -> list[UUID]:
        text, code_id, vault = generate_code(self.bench.random_source), uuid4(), self.bench.storage.vault
        code = vault.draft_code(text, code_id)
        context = self.bench.context("operator")
        self.bench.run(
            IssueCode(
                context=context,
                code_id=code_id,
                text=code,
                terms=make_terms(max_uses=None, group=group),
                bound=False,
            )
        )
        commands = [self.bench.reserve(text, f"p{number}@example.com") for number in range(count)]
        return [
            done(result).require_reservation().reservation_id for result in self.bench.storage.ledger.execute(commands)
        ]

    def work(self, ids: Sequence[UUID], slots: int = CONCURRENCY) -> None:
        def channel() -> Channel:
            return GroupRoutingChannel(self.post, self.own.for_group)

        with ThreadPoolExecutor(slots) as threads:
            InvitationBatchSender(
                self.steps, threads, slots, channel, plan=self.own.plan, cooldowns=self.cooldowns
            ).run(ids, "t1", lambda: False)

    def notices(self) -> list[tuple[str, bool | None]]:
        """Run until no notice is due; return what became of each, and whether it is due later, sorted."""
        channel = GroupRoutingChannel(self.post, self.own.for_group)
        while send_notices(self.bench, self.steps, channel, cooldowns=self.cooldowns):
            pass  # one run takes a bounded number
        return sorted(self.bench.rows("SELECT outcome, due_at > now() FROM outbox"), key=str)

    def read_notices(self) -> list[dict[str, Any]]:
        """The messages that the system got besides invitations, verified."""
        messages = [Webhook(self.secret).verify(one.body, one.headers) for one in self.system.received]
        return [one for one in messages if one["type"] != "invite.requested"]

    def channels(self) -> list[str]:
        rows = self.bench.rows(
            "SELECT DISTINCT event_fields(state)->>'channel' FROM ledger_events WHERE topic = 'InviteAttempted:1'"
        )
        return sorted(row[0] for row in rows)


@pytest.fixture
def system() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as server:
        yield server


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps, system: WebhookReceiver) -> GroupRig:
    return GroupRig(bench, steps, system)


def test_group_is_posted_to_and_all_else_is_mailed(house: GroupRig) -> None:
    posted, mailed = house.reserved(3), house.reserved(3, None) + house.reserved(1, "sales")

    house.work([*posted, *mailed])

    verified = [Webhook(house.secret).verify(one.body, one.headers) for one in house.system.received]
    assert {one["data"]["reservation_id"] for one in verified} == set(map(str, posted))
    assert sorted(house.post.sent_ids) == sorted(mailed)
    assert count_statuses(house.bench) == {"sent": 7}
    assert house.channels() == [house.post.name, "webhook"]


def test_full_team_waits_and_is_asked_again(house: GroupRig, monkeypatch: pytest.MonkeyPatch) -> None:
    house.system.then(ScriptedReply.says(200, status="later", retry_after_s=3600, reason="team_full"))
    (reservation_id,) = house.reserved(1)

    house.work([reservation_id])
    waiting = house.bench.reader.find_reservation(reservation_id)
    move_clock(house.bench, monkeypatch, timedelta(hours=1, minutes=1).total_seconds())
    house.work([reservation_id])

    assert waiting is not None
    assert (waiting.public_state, waiting.attempts) == ("waiting", 0)
    first, second = house.system.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert count_statuses(house.bench) == {"sent": 1}


def test_refused_address_refunds_the_use(house: GroupRig) -> None:
    house.system.then(ScriptedReply.says(422, status="refused", about="address", reason="no li.wei@example.com"))
    (reservation_id,) = house.reserved(1)
    house.work([reservation_id])

    reservation = house.bench.reader.find_reservation(reservation_id)
    assert reservation is not None
    assert (reservation.public_state, reservation.refund_cause) == ("refunded", "address_refused")


def test_unresponsive_system_delays_no_email_and_is_in_backoff(house: GroupRig) -> None:
    """One of four hands waits for it, the others continue; what it did not get is left to the sweep."""
    house.system.always = ScriptedReply(first=house.system.hang)
    house.own = replace(house.own, http=PinnedHttpClient(LOOPBACK, 2.0))
    posted, mailed = house.reserved(6), house.reserved(12, None)

    house.work([*posted, *mailed])

    assert len(house.system.received) == 1
    assert sorted(house.post.sent_ids) == sorted(mailed)
    house.work(posted)
    assert len(house.system.received) == 1
    due = house.bench.rows("SELECT count(*) FROM reservations WHERE status = 'live' AND attempts = 0")
    assert due == [(5,)]


def test_slow_system_gets_a_quarter_of_the_send_slots(house: GroupRig) -> None:
    """However many of its invitations come first: all others are sent in the meantime."""
    slots, at_once, most = 2 * GROUP_SHARE, 0, 0
    lock, all_others = threading.Lock(), threading.Event()

    def respond_last() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        assert all_others.wait(WAIT_S_MAX)
        with lock:
            at_once -= 1

    def count(_: OutboundMessage) -> None:
        if len(house.post.sent_ids) == len(mailed) - 1:
            all_others.set()

    house.system.always, house.post.look = ScriptedReply(first=respond_last), count
    posted, mailed = house.reserved(6), house.reserved(12, None)
    house.work([*posted, *mailed], slots)

    assert most == 2
    assert count_statuses(house.bench) == {"sent": 18}


def test_system_that_is_turned_off_gets_nothing_more(house: GroupRig) -> None:
    """Mail goes out instead, of what is due already too."""
    (reservation_id,) = house.reserved(1)
    house.own.repository.disable(GROUP, house.bench.context().now)

    house.work([reservation_id])
    assert house.post.sent_ids == [reservation_id]
    assert house.system.received == []


def test_target_that_is_no_longer_allowed_gets_nothing(house: GroupRig) -> None:
    """The address is looked at before every message, whatever was allowed when it was set."""
    strict = replace(
        house.own,
        http=GroupChannels.create(settings_for(house.bench.database_url), house.bench.storage).http,
    )
    house.own = strict
    (reservation_id,) = house.reserved(1)
    house.work([reservation_id])

    assert house.system.received == []
    events = house.bench.rows(
        "SELECT event_fields(state)::text FROM ledger_events ORDER BY notification_id DESC LIMIT 1"
    )
    assert '"target_refused"' in events[0][0]


def test_invitation_goes_only_by_the_channel_that_its_attempt_names(house: GroupRig) -> None:
    """The group got a system between claim and sending: the log says mail, so it is not asked before the next try."""
    (reservation_id,) = house.reserved(1)
    by_mail_alone = replace(house.steps, by_group={})

    word = deliver(by_mail_alone, reservation_id, GroupRoutingChannel(house.post, house.own.for_group), "t1")

    assert (word, house.system.received) == ("failed", [])
    assert house.channels() == [house.post.name]


def given_back(house: GroupRig, count: int, group: str | None = GROUP) -> list[UUID]:
    """Reservations that were refused permanently, so that their people are to be told."""
    items = house.reserved(count, group)
    for reservation_id in items:
        deliver(house.steps, reservation_id, FakeChannel(TOO_BIG), "t1")
    return items


def test_recipients_are_notified_by_the_groups_system_and_get_no_email(house: GroupRig) -> None:
    """What was refunded is posted once, with the words of a mail; a group without a system is written to."""
    (posted,), (mailed,) = given_back(house, 1), given_back(house, 1, "sales")

    first, second = house.notices(), house.notices()

    (message,) = house.read_notices()
    data = message["data"]
    assert first == second == [("sent", None), ("sent", None)]
    assert (message["type"], data["reservation_id"]) == ("invite.given_back", str(posted))
    assert (data["email"], data["group"], data["link"][-7:]) == ("p0@example.com", GROUP, "/invite")
    assert data["link"] in data["text"]
    assert data["subject"]
    assert house.post.sent_ids == [mailed]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (ScriptedReply(422), ("failed", None)),
        (ScriptedReply.says(200, status="refused"), ("failed", None)),
        (ScriptedReply(503, headers={"Retry-After": "10"}), ("deferred", True)),
        (ScriptedReply(404), ("failed", True)),
        (ScriptedReply(500), ("failed", True)),
    ],
    ids=["422", "refused", "503", "404", "500"],
)
def test_notice_that_its_system_does_not_take_is_no_mail_either(
    house: GroupRig, reply: ScriptedReply, expected: tuple[str, bool | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped where it says so; else the same is sent again, also after an unknown outcome: the id shows a repeat."""
    given_back(house, 1)
    house.system.then(reply)

    assert house.notices() == [expected]
    move_clock(house.bench, monkeypatch, 61)
    house.notices()

    first, *again = house.system.received
    assert [(one.headers["webhook-id"], one.body) for one in again] == (
        [(first.headers["webhook-id"], first.body)] if expected[1] else []
    )
    assert house.post.sent_ids == []


def test_notices_of_a_silent_system_hold_up_no_mail(house: GroupRig) -> None:
    """One waits for it; the others are deferred while it rests, and the next group's go out in the same round."""
    house.system.always = ScriptedReply(first=house.system.hang)
    house.own = replace(house.own, http=PinnedHttpClient(LOOPBACK, 1.0))
    given_back(house, 3)
    (mailed,) = given_back(house, 1, "sales")

    notices = house.notices()

    assert notices == [("failed", True), ("put_off", True), ("put_off", True), ("sent", None)]
    assert (len(house.system.received), house.post.sent_ids) == (1, [mailed])
