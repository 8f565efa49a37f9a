"""The end of access over a real ledger: notices, what ends, and what the channel is asked for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from domain.commands.reservation.refund import RefundReservation
from domain.ports import Rejected, Removal, RemovalOutcome
from domain.values.identifiers import EmailAddress
from projections.monitoring.event_counters import update_counters
from projections.privacy.opt_outs import OptOutRepository
from projections.work_queue.due_access import DueAccessRows
from projections.work_queue.retention import prune
from tests.integration.workers.sending.access_rig import AccessRig
from tests.integration.workers.sending.test_address_mismatch import swap
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, correction, done
from tests.support.servers.databases import execute
from workers.channels.group_router import Cooldowns
from workers.channels.mail_message import render_parts
from workers.manual_reserve import reserve
from workers.sending.delivery_steps import DeliverySteps


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps) -> AccessRig:
    return AccessRig(bench, steps, FakeChannel(), bench.storage.recorder.clock.now())


def test_no_reminder_is_sent_after_an_opt_out(house: AccessRig) -> None:
    """Of that group to that person: others get theirs, and the farewell follows from what happened to the access."""
    stopped, other_group = house.grant_access(house.issue()), house.grant_access(house.issue(group="blue"))
    other_person = house.grant_access(house.issue(), "wang@example.com")
    start, opt_outs = house.now, OptOutRepository(house.bench.storage)
    recipient_id = house.bench.rows("SELECT recipient_id FROM reservations WHERE reservation_id = %s", stopped)[0][0]
    opt_outs.insert(recipient_id, "red", house.now)

    house.now = start + timedelta(days=23, seconds=1)
    house.clean_up()
    house.post()
    outcomes = dict(house.bench.rows("SELECT reservation_id, outcome FROM outbox"))
    opt_outs.delete(recipient_id, "red")
    house.now = start + timedelta(days=27, seconds=1)
    house.clean_up()
    house.post()

    assert outcomes == {stopped: "opted_out", other_group: "sent", other_person: "sent"}
    reminded = [(message.reservation_id, message.message_id.partition("-in-")[2][0]) for message in house.channel.sent]
    assert sorted(reminded) == sorted(
        [(other_group, "7"), (other_person, "7"), *((each, "3") for each in (stopped, other_group, other_person))]
    )
    assert all("/opt-out/" in message.opt_out_link for message in house.channel.sent)


def test_access_is_announced_ended_and_removed(house: AccessRig) -> None:
    reservation_id = house.grant_access(house.issue())
    start = house.now
    for days in (23, 23, 27, 29):
        house.now = start + timedelta(days=days, seconds=1)
        house.clean_up()
        house.post()
    house.now = start + timedelta(days=30, seconds=1)
    counts = house.clean_up()

    ids = [message.message_id.partition("@")[0] for message in house.channel.sent]
    assert ids == [f"<{reservation_id}.ends-in-{days}" for days in (7, 3, 1)]
    assert {message.template for message in house.channel.sent} == {"ends_soon"}
    (removal,) = house.channel.revoked
    assert (removal.cause, removal.recipient, removal.group) == (
        "expired",
        EmailAddress.parse("li.wei@example.com"),
        "red",
    )
    assert removal.farewell is not None
    assert removal.farewell.message_id == f"<{reservation_id}.ended@ledger.example>"
    assert counts == {"due": 1, "removed": 1}
    assert house.clean_up() == {}
    assert house.kinds()[-5:] == ["ExpiryAnnounced"] * 3 + ["AccessExpired", "AccessRemoved"]
    assert_no_drift(house.bench)


def test_notice_and_farewell_are_not_sent_to_an_altered_row(house: AccessRig) -> None:
    """The notice is dropped with the reason; the access that ended becomes a case instead of another person's loss."""
    house.grant_access(house.issue())
    house.grant_access(house.issue(), "mallory@example.com")
    swap(house.bench)
    house.now += timedelta(days=23, seconds=1)
    house.clean_up()
    house.post()
    house.now += timedelta(days=7)
    house.clean_up()

    assert (house.channel.sent, house.channel.revoked) == ([], [])
    assert {("address_mismatch",)} == set(house.bench.rows("SELECT outcome FROM outbox"))
    assert {"removal_failed"} == {cause for (cause,) in house.bench.rows("SELECT cause FROM cases")}


def test_failure_is_retried_and_counted_from_the_log(house: AccessRig) -> None:
    """By another round, not at once; what the channel said is in the vault, the numbers are the ledger's."""
    house.grant_access(house.issue())
    house.now += timedelta(days=30, seconds=1)
    busy = Rejected(server="team", reason="temporary", final=False, reply="the team is being moved")

    assert house.clean_up(FakeChannel(busy)) == {"due": 1, "removing": 1}
    assert house.clean_up() == {}
    house.now += timedelta(seconds=61)
    assert house.clean_up() == {"due": 1, "removed": 1}
    with house.bench.storage.datastore.get_connection() as conn:
        while update_counters(conn):
            pass  # one call counts a bounded number of events
    counted = house.bench.rows("SELECT label, count FROM tallies WHERE name = 'cleanup' ORDER BY label")
    assert counted == [("removed/expired", 1), ("removing/expired", 1)]
    assert house.bench.rows("SELECT count(*) FROM private_texts") == [(1,)]


class OneGroupAway(FakeChannel):
    """The system of the group red cannot be reached. Removals come in the order of random ids."""

    def revoke(self, removal: Removal) -> RemovalOutcome:
        accepted = super().revoke(removal)
        if removal.group != "red":
            return accepted
        return Rejected(server="team", reason="unreachable", final=False, about_connection=True)


def test_system_in_backoff_is_not_asked_to_remove_access(house: AccessRig) -> None:
    """It got no connection: the removals of its group wait and spend no attempt; those of another group continue."""
    for email, group in (("li@example.com", "red"), ("wang@example.com", "red"), ("zhao@example.com", "blue")):
        house.grant_access(house.issue(group=group), email, "webhook")
    house.now += timedelta(days=30, seconds=1)
    channel, cooldowns = OneGroupAway(), Cooldowns(lambda: 0.0)

    counts = replace(house.keeper(channel), cooldowns=cooldowns).work(lambda: False)

    assert counts == {"due": 3, "removing": 2, "removed": 1}
    assert sorted(str(removal.group) for removal in channel.revoked) == ["blue", "red"]
    attempts = house.bench.rows(
        "SELECT event_fields(state) ->> 'attempt' FROM ledger_events WHERE topic = 'AccessRemovalFailed:1'"
    )
    assert attempts == [("0",), ("0",)]
    house.now += timedelta(seconds=60)
    assert house.clean_up() == {"due": 2, "removed": 2}


class DyingChannel(FakeChannel):
    """A channel during whose requests the worker ends."""

    def revoke(self, removal: Removal) -> RemovalOutcome:
        super().revoke(removal)
        raise SystemExit


def test_removal_that_a_worker_did_not_survive_has_spent_an_attempt(house: AccessRig) -> None:
    """The next one records it and waits; after the last attempt staff decide. No channel is asked without a bound."""
    house.grant_access(house.issue())
    house.now += timedelta(days=30, seconds=1)
    channel = DyingChannel()
    for _ in range(20):
        try:
            house.clean_up(channel)
        except SystemExit:
            prune(house.bench.storage, house.now + timedelta(minutes=15), 30)  # no worker for a while
        house.now += timedelta(hours=30)

    assert len(channel.revoked) == house.bench.storage.ledger.policy.removal_attempts_max
    failed = house.bench.rows(
        "SELECT event_fields(state) ->> 'reason', (event_fields(state) ->> 'attempt')::int FROM ledger_events"
        " WHERE topic = 'AccessRemovalFailed:1' ORDER BY originator_version"
    )
    assert failed == [("lease_expired", number + 1) for number in range(len(channel.revoked))]
    assert house.kinds()[-1] == "CaseOpened"
    assert house.bench.rows("SELECT count(*) FROM access_marks") == [(0,)]


def test_removal_of_a_lost_worker_is_recorded_after_another_had_no_time_for_it(house: AccessRig) -> None:
    """The one in between gives its lease back without a word to the channel; the log still gets the attempt."""
    house.grant_access(house.issue())
    house.now += timedelta(days=30, seconds=1)
    with pytest.raises(SystemExit):
        house.clean_up(DyingChannel())
    house.now += timedelta(seconds=121)

    idle = replace(house.keeper(), longest_send=timedelta(minutes=5))
    assert idle.work(lambda: False) == {"due": 1}
    assert house.clean_up() == {"due": 1, "removing": 1}

    assert house.channel.revoked == []
    assert house.kinds()[-1] == "AccessRemovalFailed"


def test_worker_that_lost_its_lease_asks_no_channel(house: AccessRig) -> None:
    """It stood still between its lease and the request, and another one has the access."""
    house.grant_access(house.issue())
    house.now += timedelta(days=30, seconds=1)

    class FrozenRows(DueAccessRows):
        def begin_removal(self, reservation_id: UUID, attempt: int, leased_at: datetime) -> bool:
            house.now += timedelta(seconds=121)
            assert self.take(house.now)
            return super().begin_removal(reservation_id, attempt, leased_at)

    assert replace(house.keeper(), rows=FrozenRows(house.bench.storage)).work(lambda: False) == {"due": 1}
    assert house.channel.revoked == []


def test_corrected_access_is_removed_and_the_invitation_that_waited_is_woken(house: AccessRig) -> None:
    """The channel is asked with the cause; the worker for the right address is woken, or the sweep comes."""
    code = house.issue()
    wrong = house.grant_access(code, channel="webhook")
    right = done(house.bench.run(correction(house.bench, wrong, "li@example.com"))).require_reservation().reservation_id

    def broken(_: Sequence[UUID]) -> None:
        raise OSError("the broker is away")

    house.channel = FakeChannel(Rejected(server="team", reason="temporary", final=False))
    assert house.keeper().remove([wrong], lambda: False) == {"removing": 1}
    assert house.keeper().remove([wrong], lambda: False) == {}
    house.now += timedelta(seconds=61)
    assert replace(house.keeper(), publish=broken).remove([wrong], lambda: False) == {"removed": 1}

    assert [(each.reservation_id, each.cause) for each in house.channel.revoked] == [(wrong, "corrected")] * 2
    assert house.kinds()[-2:] == ["AccessRemoved", "InviteReleased"]
    assert house.keeper().remove([wrong], lambda: False) == {}
    reservation = house.bench.reader.find_reservation(right)
    assert reservation is not None
    assert reservation.next_attempt_at == house.now
    with house.bench.storage.datastore.get_connection() as conn:
        while update_counters(conn):
            pass  # one call counts a bounded number of events
    tallies = dict(house.bench.rows("SELECT label, count FROM tallies WHERE name = 'cleanup'"))
    assert tallies == {"removing/corrected": 1, "removed/corrected": 1}
    assert_no_drift(house.bench)


def test_rebind_moves_the_access_and_no_use(house: AccessRig) -> None:
    """The former one is removed by its own channel after the new invitation was sent; rows are the log's."""
    code = house.issue()
    former = house.grant_access(code)
    rebind = house.rebind(code)
    assert house.rebind(code) == rebind
    assert house.clean_up() == {}
    house.send(rebind)
    house.clean_up()

    assert [(each.reservation_id, each.cause, each.farewell) for each in house.channel.revoked] == [
        (former, "moved", None)
    ]
    assert house.bench.rows("SELECT used, reserved FROM code_balances") == [(1, 0)]
    moved = house.bench.reader.find_reservation(rebind)
    assert moved is not None
    assert moved.access_ends_at == house.now + timedelta(days=30)
    house.now += timedelta(days=30, seconds=1)
    house.clean_up()
    channels = house.bench.rows(
        "SELECT event_fields(state) ->> 'channel' FROM ledger_events"
        " WHERE topic = 'AccessRemoved:1' ORDER BY notification_id"
    )
    assert channels == [("fake",), ("webhook",)]
    assert_no_drift(house.bench)


def test_rebind_that_fails_notifies_its_recipient_that_nothing_changed(house: AccessRig) -> None:
    """A notice of its own, which leads back to the access."""
    code = house.issue()
    former = house.grant_access(code)
    rebind = house.rebind(code)
    house.now += timedelta(seconds=1801)
    house.rebind(code)
    house.post()

    (message,) = house.channel.sent
    assert (message.template, message.reservation_id) == ("rebind_notice", rebind)
    assert message.link.endswith(f"/r/{former}")
    assert house.bench.rows("SELECT used, reserved FROM code_balances") == [(1, 0)]


def test_person_whose_access_was_moved_at_their_request_gets_one_notice(house: AccessRig) -> None:
    """Only once it has moved; a move by staff sends none, since they talk to the person."""
    code = house.issue()
    former = house.grant_access(code)
    rebind = house.rebind(code)
    house.post()
    assert house.channel.sent == []
    house.send(rebind)
    house.post()
    house.post()

    (message,) = house.channel.sent
    assert (message.template, message.reservation_id, message.group) == ("move_notice", former, "red")
    assert "已换到另一个群组" in render_parts(message).subject


def test_call_of_the_incident_moves_too(house: AccessRig) -> None:
    code = house.issue()
    house.grant_access(code)
    settings = SimpleNamespace(default_language="zh")
    runtime = cast(
        "Any",
        SimpleNamespace(storage=house.bench.storage, settings=settings, execute=house.bench.storage.ledger.execute),
    )
    about: dict[str, Any] = {"email": "li.wei@example.com", "redeem_code": code, "is_rebind": True}

    rebind = reserve(runtime, **about, group_id="blue")
    with pytest.raises(ValueError, match="needs group_id"):
        reserve(runtime, **about)
    with pytest.raises(ValueError, match="REBIND_NOT_POSSIBLE"):
        reserve(runtime, **{**about, "email": "nobody@example.com"}, group_id="blue")

    assert house.bench.rows("SELECT reservation_id FROM reservations WHERE kind = 'rebind'") == [(rebind,)]


def test_removal_ordered_before_the_upgrade_is_carried_out(house: AccessRig) -> None:
    """The migration makes due what a fold of the log says is due."""
    reservation_id = house.grant_access(house.issue(None))
    refund = RefundReservation(
        context=house.context("staff"), reservation_id=reservation_id, cause="staff", revoke_access=True
    )
    done(house.bench.run(refund))
    before = house.bench.rows("SELECT access_due_at FROM reservations")
    text = (files("projections.sql.migrations") / "0015_grants.sql").read_text("utf-8")
    (update,) = [part for part in text.split(";") if "UPDATE reservations" in part]
    execute(house.bench.database_url, "UPDATE reservations SET access_due_at = NULL")
    execute(house.bench.database_url, update.replace("convert_from(e.state, 'UTF8')::jsonb", "event_fields(e.state)"))

    assert house.bench.rows("SELECT access_due_at FROM reservations") == before != [(None,)]
    assert house.clean_up() == {"due": 1, "removed": 1}
    assert_no_drift(house.bench)
