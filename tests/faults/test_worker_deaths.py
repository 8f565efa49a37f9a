"""A real worker killed at each point of sending, frozen, doubled, ended and outlasted by its messages."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.rigs.restartable_servers import restartable_valkey
from tests.faults.rigs.worker_rig import ATTEMPTS_MAX, WorkerRig, worker_rig
from tests.support.servers.databases import clone, database_of, drop
from tests.support.servers.mail_server import DelayedReply
from tests.support.waiting import WAIT_S_MAX
from workers.settings import WorkerSettings

pytestmark = pytest.mark.night(of="deaths")

CHILDREN = 2
TIME_LIMIT_S = 10.0
RETRY_S_MIN = 1.0
"""The sweep repeats a task no sooner."""
RESTARTS = 3


@pytest.fixture(scope="module")
def running(servers_folder: Path, postgres_url: str) -> Iterator[WorkerRig]:
    """One worker and two beats: no test here may notice the second."""
    name = f"crew_{uuid4().hex}"
    clone(postgres_url, name)
    with (
        restartable_valkey(servers_folder / "crew-broker") as broker,
        worker_rig(servers_folder / "crew", database_of(postgres_url, name), broker.url, beats=2) as started,
    ):
        yield started
    drop(postgres_url, name)


@pytest.fixture
def worker(running: WorkerRig) -> WorkerRig:
    running.mail.behave()
    for planted in running.planted.iterdir():
        planted.unlink()
    return running


def test_child_processes_of_a_start_are_forked_before_there_are_threads(running: WorkerRig) -> None:
    """A child would inherit the locks that they hold, and nothing that releases them."""
    notes = running.planted.parent / "threads_at_forks"
    running.wait(lambda: notes.exists() and len(notes.read_text().splitlines()) >= CHILDREN)

    assert notes.read_text().splitlines()[:CHILDREN] == ["1"] * CHILDREN


def child_and_whole(crash_point: str) -> pytest.MarkDecorator:
    """Once the process that sends dies, once the whole worker; the latter takes longer to come back."""
    whole = pytest.param(f"{crash_point}.parent", id="whole", marks=pytest.mark.night(of="deaths"))
    return pytest.mark.parametrize("who", [pytest.param(crash_point, id="child"), whole])


@child_and_whole("started")
def test_killed_before_the_claim(worker: WorkerRig, who: str) -> None:
    """The message comes back, or the sweep finds it: one attempt, one mail, one count."""
    (reservation_id,) = worker.reserve(1, who)
    worker.plant(who, 1)
    worker.publish([reservation_id])
    worker.wait_for("InviteSent", [reservation_id])

    assert worker.left(who) == 0
    assert worker.events(reservation_id) == {"UseReserved": 1, "InviteAttempted": 1, "InviteSent": 1}
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 1}


@child_and_whole("claimed")
def test_killed_under_the_lease_before_anything_was_sent(worker: WorkerRig, who: str) -> None:
    """It is unknown whether anything was sent: the lease ends as unknown, and the next attempt sends. One email."""
    (reservation_id,) = worker.reserve(1, who)
    worker.plant(who, 1)
    worker.publish([reservation_id])
    worker.wait_for_death(who)
    worker.end_leases()
    worker.wait_for("InviteSent", [reservation_id])

    assert worker.events(reservation_id) == {
        "UseReserved": 1,
        "InviteAttempted": 2,
        "InviteOutcomeUnknown": 1,
        "InviteSent": 1,
    }
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 1}


@child_and_whole("sent")
def test_killed_after_the_mail_server_accepted_the_message(worker: WorkerRig, who: str) -> None:
    """Unknown, and tried again with the same Message-ID; counted once, and no machine gave it back."""
    (reservation_id,) = worker.reserve(1, who)
    worker.plant(who, 1)
    worker.publish([reservation_id])
    worker.wait_for_death(who)
    worker.end_leases()
    worker.wait_for("InviteSent", [reservation_id])

    assert worker.events(reservation_id) == {
        "UseReserved": 1,
        "InviteAttempted": 2,
        "InviteOutcomeUnknown": 1,
        "InviteSent": 1,
    }
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 2}


@pytest.mark.night(of="deaths")
def test_message_that_kills_every_process_that_sends_it_is_parked(worker: WorkerRig) -> None:
    """After so many attempts it is a person's: it may have been sent each time, so no machine gives it back."""
    (reservation_id,) = worker.reserve(1, "poison")
    worker.plant("claimed", ATTEMPTS_MAX + 1)
    worker.publish([reservation_id])
    for _ in range(ATTEMPTS_MAX):
        worker.wait_for_death("claimed")
        worker.end_leases()
    worker.wait_for("CaseOpened", [reservation_id])
    restart_count = ATTEMPTS_MAX + 1 - worker.left("claimed")
    worker.plant("claimed", 0)
    (healthy,) = worker.reserve(1, "healthy")
    worker.publish([healthy])
    worker.wait_for("InviteSent", [healthy])

    events = worker.events(reservation_id)
    assert (events["InviteAttempted"], events["InviteOutcomeUnknown"], restart_count) == (ATTEMPTS_MAX,) * 3
    assert (events["UseRefunded"], events["CaseOpened"]) == (0, 1)
    assert worker.mails(reservation_id) == {}


@pytest.mark.night(of="deaths")
def test_message_that_kills_its_process_harms_no_other_message(worker: WorkerRig) -> None:
    """Twenty in one message, one of them deadly: the others are sent, and only that one is parked."""
    reservation_ids = worker.reserve(20, "neighbor")
    deadly = f"claimed.{reservation_ids[7]}"
    worker.plant(deadly, ATTEMPTS_MAX)
    worker.publish(reservation_ids)
    worker.wait_for_death(deadly)
    worker.end_leases()
    others = [reservation_id for reservation_id in reservation_ids if reservation_id != reservation_ids[7]]
    worker.wait_for("InviteSent", others)
    worker.wait(lambda: worker.left(deadly) < ATTEMPTS_MAX - 1)
    worker.end_leases()
    worker.wait(lambda: worker.left(deadly) == 0)
    worker.end_leases()
    worker.wait_for("CaseOpened", [reservation_ids[7]])

    assert worker.events(reservation_ids[7])["InviteOutcomeUnknown"] == ATTEMPTS_MAX
    assert worker.events(*others)["UseRefunded"] == worker.events(*others)["CaseOpened"] == 0
    assert max(worker.events(reservation_id)["InviteAttempted"] for reservation_id in others) <= 2
    assert [reservation_id for reservation_id in others if len(worker.mails(reservation_id)) != 1] == []


@pytest.mark.night(of="deaths")
def test_task_that_kills_every_process_before_it_claims_does_not_stop_the_others(worker: WorkerRig) -> None:
    """Its message doesn't come back at full speed: it would take the whole worker down again and again."""
    (reservation_id,) = worker.reserve(1, "unlucky")
    worker.plant("started", 1000)
    worker.publish([reservation_id])
    worker.wait_for_death("started")
    began = time.monotonic()
    worker.wait_for_death("started", RESTARTS)
    took_s = time.monotonic() - began
    worker.plant("started", 0)
    worker.wait_for("InviteSent", [reservation_id])

    assert took_s > RESTARTS * RETRY_S_MIN
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 1}


def test_child_that_continues_after_its_lease_changes_nothing(worker: WorkerRig) -> None:
    """Another one takes over; what the first one says when it wakes up changes nothing that must not change."""
    (reservation_id,) = worker.reserve(1, "frozen")
    worker.plant("sent.stopped", 1)
    worker.publish([reservation_id])
    (child,) = worker.wait(worker.stopped_processes)
    worker.end_leases()
    worker.wait_for("InviteOutcomeUnknown", [reservation_id])
    worker.wait_for("InviteSent", [reservation_id])
    child.resume()
    worker.wait(lambda: worker.events(reservation_id)["LateSuccessRecorded"])

    assert worker.events(reservation_id) == {
        "UseReserved": 1,
        "InviteAttempted": 2,
        "InviteOutcomeUnknown": 1,
        "InviteSent": 1,
        "LateSuccessRecorded": 1,
    }
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 2}
    assert worker.rows("SELECT status FROM reservations WHERE reservation_id = %s", reservation_id) == [("sent",)]


def test_child_that_stays_frozen_is_killed_and_replaced_after_the_time_limit(worker: WorkerRig) -> None:
    """Its parent does that; the lease ends as unknown, and the next attempt sends the same message."""
    (reservation_id,) = worker.reserve(1, "killed")
    worker.plant("sent.stopped", 1)
    worker.publish([reservation_id], time_limit_s=TIME_LIMIT_S)
    (child,) = worker.wait(worker.stopped_processes)
    worker.wait(lambda: not child.is_running())
    worker.wait(lambda: f"Hard time limit ({TIME_LIMIT_S}s) exceeded for process_invite_task" in worker.read_log())
    worker.wait(lambda: len(worker.processes()) == CHILDREN + 1)
    worker.end_leases()
    worker.wait_for("InviteSent", [reservation_id])

    events = worker.events(reservation_id)
    assert (events["InviteSent"], events["UseRefunded"]) == (1, 0)
    assert events["InviteAttempted"] == events["InviteOutcomeUnknown"] + 1 >= 2
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 2}


def test_task_that_outlasts_the_visibility_timeout(worker: WorkerRig) -> None:
    """The broker gives its message to a second process while the first one sends: it sees the lease; one mail."""
    released = threading.Event()
    worker.mail.at("dot", DelayedReply(until=released), times=1)
    (reservation_id,) = worker.reserve(1, "outlasting")
    worker.publish([reservation_id])
    worker.wait_for("InviteAttempted", [reservation_id])
    worker.wait(worker.give_held_messages_again)
    worker.wait(lambda: worker.queued() == 0)
    released.set()
    worker.wait_for("InviteSent", [reservation_id])
    worker.wait(lambda: worker.queued() == 0)

    assert worker.events(reservation_id) == {"UseReserved": 1, "InviteAttempted": 1, "InviteSent": 1}
    assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 1}


def test_same_message_ten_times_in_parallel(worker: WorkerRig) -> None:
    """One mail; nine find nothing to do, which is no error."""
    reservation_ids = worker.reserve(5, "double")
    worker.publish(reservation_ids, copies=10)
    worker.wait_for("InviteSent", reservation_ids)

    for reservation_id in reservation_ids:
        assert worker.events(reservation_id) == {"UseReserved": 1, "InviteAttempted": 1, "InviteSent": 1}
        assert worker.mails(reservation_id) == {f"<{reservation_id}.1@example.com>": 1}


def test_ended_in_the_middle_of_sending(worker: WorkerRig) -> None:
    """SIGTERM: sendings in progress end, the rest is left to the next worker; no outcome is unknown, none is lost."""
    released = threading.Event()
    worker.mail.at("dot", DelayedReply(until=released))
    slots = CHILDREN * WorkerSettings.model_fields["send_concurrency"].default
    reservation_ids = worker.reserve(2 * slots, "sigterm")
    worker.publish(reservation_ids)
    worker.wait(lambda: worker.events(*reservation_ids)["InviteAttempted"])
    parent = worker.end()
    released.set()
    parent.wait(WAIT_S_MAX)
    by_then = worker.events(*reservation_ids)
    worker.wait_for("InviteSent", reservation_ids)

    assert 0 < by_then["InviteSent"] == by_then["InviteAttempted"] <= slots
    assert worker.mails(*reservation_ids) == {f"<{each}.1@example.com>": 1 for each in reservation_ids}
