"""No message leaves for a person whose data was erased; a mail server holds its last reply in the meantime."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, cast
from uuid import UUID

import pytest

from api.settings import ApiSettings
from domain.ports import Rejected
from projections.privacy.erasure import ErasedIdsFile
from tests.integration.conftest import app
from tests.security.locks import wait_for_lock
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import settings_over
from tests.support.ledger.code_template import make_template
from tests.support.servers.mail_server import DelayedReply, MailServer
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.runtime import Runtime
from workers.settings import WorkerSettings

__all__ = ["app"]

PERSON = "xiao.hong@example.com"
Work = Callable[[], object]
"""Sends one message to the person."""


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def settings(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mail_server: MailServer
) -> ApiSettings:
    """Settings of API and worker, whose emails go to the mail server."""
    monkeypatch.setenv("LEDGER_SMTP_URL", mail_server.url)
    return settings_over(database_url, monkeypatch, tmp_path)


@pytest.fixture
def worker(settings: ApiSettings) -> Iterator[Runtime]:
    assert settings.smtp_url
    runtime = Runtime.build(WorkerSettings.from_environment())
    yield runtime
    runtime.close()


def forget(app: AppClient) -> AppResponse:
    body = {"email": PERSON, "reason": "asked by letter"}
    return cast("AppResponse", app.client.post("/api/v1/recipients/forget", json=body, headers=app.key("admin")))


def invitation(app: AppClient, worker: Runtime) -> Work:
    """A reservation's first invitation."""
    reservation_id = UUID(app.redeem(app.issue(), PERSON).json()["reservation_id"])
    return partial(worker.invitation_sender.run, [reservation_id], "t1", lambda: False)


def resent_invitation(app: AppClient, worker: Runtime) -> Work:
    """The second invitation of a reservation that counts already."""
    reservation_id = app.redeem(app.issue(), PERSON).json()["reservation_id"]
    app.attempt(reservation_id)
    path = f"/api/v1/reservations/{reservation_id}/resend"
    assert app.client.post(path, json={"note": "asked by phone"}, headers=app.key("support")).status_code == 200
    return partial(worker.invitation_sender.run, [UUID(reservation_id)], "t1", lambda: False)


def notice(app: AppClient, worker: Runtime) -> Work:
    """The notice that nothing was sent."""
    reservation_id = app.redeem(app.issue(), PERSON).json()["reservation_id"]
    app.attempt(reservation_id, Rejected(server="mx:25", reason="content_refused", final=True))
    return worker.create_notice_sender().run


def hand_out_email(app: AppClient, worker: Runtime) -> Work:
    """The email with a code, which is due by the worker's clock too: both are estimates of the database's."""
    create_hand_out(app, PERSON)
    created_at = app.services.now()
    wait_for(lambda: worker.storage.recorder.clock.now() >= created_at)
    return worker.hand_out_sender.run


def removal(app: AppClient, worker: Runtime) -> Work:
    """The end of an access, of which the person is notified."""
    expirer, _ = end_access(app, worker)
    return partial(expirer.work, lambda: False)


def removal_for_a_waiting_invitation(app: AppClient, worker: Runtime) -> Work:
    """The same, because an invitation waits for it."""
    expirer, reservation_id = end_access(app, worker)
    return partial(expirer.remove, [reservation_id], lambda: False)


def hand_out_test_email(app: AppClient, _: Runtime) -> Work:
    """An email that staff send to an address that they type."""
    app.redeem(app.issue(), PERSON)
    path = f"/api/v1/hand-outs/{create_hand_out(app, 'other@example.com')}/test"
    return partial(app.client.post, path, json={"email": PERSON, "language": "en"}, headers=app.key("admin"))


def create_hand_out(app: AppClient, *addresses: str) -> str:
    """Create a campaign with a hand-out to these addresses; the id of the hand-out."""
    headers = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Spring"}, headers=headers).json()["id"]
    body = {"campaign": campaign, "name": "Newsletter", "max_uses": 1}
    hand_out_id = str(app.client.post("/api/v1/hand-outs", json=body, headers=headers).json()["id"])
    recipients = {"recipients": [{"email": address, "language": "en"} for address in addresses]}
    path = f"/api/v1/hand-outs/recipients?hand_out={hand_out_id}"
    assert app.client.post(path, json=recipients, headers=headers).status_code == 200
    return hand_out_id


def end_access(app: AppClient, worker: Runtime) -> tuple[Any, UUID]:
    """An access that has expired by the clock of worker and API; what ends it, and the id of its reservation."""
    reservation_id = app.redeem(app.issue(make_template(max_uses=1, validity_days=1)), PERSON).json()["reservation_id"]
    app.attempt(reservation_id)
    context, clock = worker.context("cleanup", None), app.services.storage.recorder.clock
    later = type(context)(now=context.now + timedelta(days=2), actor="sweep", actor_id="cleanup")
    vars(clock)["now"] = lambda: later.now  # it is later for the API too, or the lease would be that of a clock ahead
    return replace(worker.create_access_expirer(lambda _: None), context=lambda: later), UUID(reservation_id)


@pytest.mark.parametrize(
    "prepare",
    [
        invitation,
        resent_invitation,
        notice,
        hand_out_email,
        removal,
        removal_for_a_waiting_invitation,
        hand_out_test_email,
    ],
)
def test_erasure_waits_for_a_message_in_flight(
    app: AppClient, worker: Runtime, mail_server: MailServer, prepare: Callable[[AppClient, Runtime], Work]
) -> None:
    """409 while the mail server has the email and has not replied; 200 afterwards, and no email follows."""
    is_over = Event()
    mail_server.at("dot", DelayedReply(until=is_over), recipient=PERSON)
    work = prepare(app, worker)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(work)
        wait_for(lambda: "DATA" in mail_server.commands)
        early = forget(app)
        received = len(mail_server.received)
        is_over.set()
        sending.result(WAIT_S_MAX)

    assert (early.status_code, received) == (409, 0), early.text
    assert forget(app).status_code == 200
    assert [message.recipient for message in mail_server.received] == [PERSON]


@pytest.mark.parametrize("prepare", [invitation, resent_invitation, notice, hand_out_email, removal])
def test_message_that_is_leased_during_an_erasure_is_not_sent(
    app: AppClient,
    worker: Runtime,
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[AppClient, Runtime], Work],
) -> None:
    """The erasure has found nothing in flight and has not committed yet; a worker leases the message."""
    work, checked, leased = prepare(app, worker), Event(), Event()
    append = ErasedIdsFile.append

    def append_slowly(*arguments: Any) -> None:
        append(*arguments)
        checked.set()
        leased.wait(WAIT_S_MAX)

    monkeypatch.setattr(ErasedIdsFile, "append", append_slowly)
    with ThreadPoolExecutor(2) as threads:
        erasing = threads.submit(forget, app)
        assert checked.wait(WAIT_S_MAX)
        sending = threads.submit(work)
        wait_for_lock(app, sending)
        leased.set()
        assert erasing.result(WAIT_S_MAX).status_code == 200
        sending.result(WAIT_S_MAX)

    assert mail_server.received == []


@pytest.mark.parametrize("prepare", [invitation, notice, hand_out_email])
def test_message_that_could_outlast_its_lease_is_not_begun(
    app: AppClient, worker: Runtime, mail_server: MailServer, prepare: Callable[[AppClient, Runtime], Work]
) -> None:
    """An erasure takes a message whose lease has ended for ended; it is due again."""
    worker.steps = replace(worker.steps, longest_send=timedelta(minutes=3))
    prepare(app, worker)()

    assert mail_server.received == []


def test_worker_that_lost_the_lease_of_a_notice_does_not_end_that_of_the_next(app: AppClient, worker: Runtime) -> None:
    """The person's message is in flight until the second worker has ended it."""
    notice(app, worker)
    outbox, now = worker.create_notice_sender().outbox, app.services.now()
    first = outbox.take(now)
    second = outbox.take(now + timedelta(seconds=91))
    assert first is not None
    assert second is not None

    outbox.close(first, None, "sent")
    early = forget(app).status_code
    outbox.close(second, None, "sent")

    assert (early, forget(app).status_code) == (409, 200)
