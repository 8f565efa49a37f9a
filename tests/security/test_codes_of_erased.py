"""The code in the email of a hand-out, and what it redeems after its recipient was erased."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from api.schemas.parsing import parse_email
from api.settings import ApiSettings
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.privacy.erasure import PersonEraser
from tests.integration.conftest import app, settings
from tests.security.test_in_flight import PERSON, create_hand_out, forget
from tests.support.clients.app_client import AppClient
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import wait_for
from workers.runtime import Runtime
from workers.settings import WorkerSettings

__all__ = ["app", "settings"]

OTHER = "other@example.com"


@pytest.fixture
def worker(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    assert settings.smtp_url
    with MailServer() as server:
        monkeypatch.setenv("LEDGER_SMTP_URL", server.url)
        runtime = Runtime.build(WorkerSettings.from_environment())
        yield runtime
        runtime.close()


def codes_of(app: AppClient, worker: Runtime) -> dict[UUID, str]:
    with app.services.storage.datastore.get_connection() as conn:
        ids = [row["code_id"] for row in conn.execute("SELECT code_id FROM handed_out_codes").fetchall()]
    return worker.hand_out_sender.queue.find_codes(ids)


def test_code_in_the_link_does_not_redeem_after_its_recipient_was_erased(app: AppClient, worker: Runtime) -> None:
    """By the link or typed, for the same address or another one."""
    create_hand_out(app, PERSON)
    wait_for(worker.hand_out_sender.run)
    [code] = codes_of(app, worker).values()
    assert app.client.get(f"/invite?code={code}").status_code == 200

    assert forget(app).status_code == 200

    answers = [app.redeem(code, address) for address in (PERSON, OTHER)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "CODE_REVOKED")] * 2


def test_code_that_someone_else_has_redeemed_stays_valid(app: AppClient, worker: Runtime) -> None:
    """The recipient passed it on: it is theirs, too."""
    create_hand_out(app, PERSON)
    wait_for(worker.hand_out_sender.run)
    [(code_id, code)] = codes_of(app, worker).items()
    assert app.redeem(code, OTHER).status_code == 202

    assert forget(app).status_code == 200

    balance = app.services.reader.find_balance(code_id)
    assert balance is not None
    assert (balance["revoked_by"], balance["reserved"]) == (None, 1)


def test_codes_of_a_line_with_several_codes_stay_valid(app: AppClient, worker: Runtime) -> None:
    """A partner passes them on to customers: only the address of the partner is erased."""
    hand_out = create_hand_out(app, OTHER)
    path, headers = f"/api/v1/hand-outs/recipients?hand_out={hand_out}", app.key("admin")
    assert (
        app.client.post(path, json={"recipients": [{"email": PERSON, "count": 5}]}, headers=headers).json()["codes"]
        == 5
    )
    wait_for(worker.hand_out_sender.run)
    reader = HandOutReader(app.services.storage)
    line_id = reader.find_code_of_address(UUID(hand_out), parse_email(PERSON))
    assert line_id is not None
    codes = worker.hand_out_sender.queue.find_codes(reader.list_codes_of_line(line_id))
    redeemed, *others = codes.values()
    assert app.redeem(redeemed, "customer@example.com").status_code == 202

    assert forget(app).status_code == 200

    answers = [app.redeem(code, f"customer{nth}@example.com") for nth, code in enumerate(others)]
    assert [answer.status_code for answer in answers] == [202] * 4


def test_code_that_is_sent_after_the_others_were_revoked_is_revoked_too(
    app: AppClient, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker issues and sends it before the transaction of the erasure begins."""
    create_hand_out(app, PERSON)
    erase, calls = PersonEraser.erase, list[datetime]()

    def erase_late(*arguments: Any) -> bool:
        if not calls:
            wait_for(worker.hand_out_sender.run)
        calls.append(app.services.now())
        return erase(*arguments)

    monkeypatch.setattr(PersonEraser, "erase", erase_late)

    assert forget(app).status_code == 200

    [code] = codes_of(app, worker).values()
    assert len(calls) == 2
    assert app.redeem(code, OTHER).json()["code"] == "CODE_REVOKED"
