"""A person is put on a list while their data is erased: the list is added, and no request fails."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.values.identifiers import EmailAddress
from projections.hand_outs.hand_out_lists import HandOutLists
from projections.privacy.opt_outs import OptOutRepository
from projections.read_models.support_queries import SupportReader
from tests.integration.conftest import app, settings
from tests.security.locks import wait_for_lock
from tests.support.clients.app_client import AppClient
from tests.support.waiting import WAIT_S_MAX

__all__ = ["app", "settings"]

PERSON = "xiao.hong@example.com"
Created = dict[str, Any]
Erase = Callable[[], None]


@pytest.fixture
def hand_out(app: AppClient) -> Created:
    """A hand-out, and the person, whom the ledger has by a reservation."""
    app.redeem(app.issue(), PERSON)
    headers = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Spring"}, headers=headers).json()["id"]
    body = {"campaign": campaign, "name": "Newsletter", "max_uses": 1}
    created: Created = app.client.post("/api/v1/hand-outs", json=body, headers=headers).json()
    return created


@pytest.fixture
def erase_once(app: AppClient) -> Iterator[Erase]:
    """Erases the person when it is called first, in a transaction of its own, as another process does it."""
    headers, threads, erased = app.key("admin"), ThreadPoolExecutor(1), list[int]()

    def erase() -> None:
        if not erased:
            body = {"email": PERSON, "reason": "asked by letter"}
            answer = threads.submit(app.client.post, "/api/v1/recipients/forget", json=body, headers=headers).result(
                WAIT_S_MAX
            )
            erased.append(answer.status_code)

    yield erase
    threads.shutdown()
    assert erased == [200]


def test_list_is_added_when_a_recipient_is_erased_between_its_lookup_and_its_row(
    app: AppClient, hand_out: Created, erase_once: Erase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person is on the list as a new person."""
    store = HandOutLists._store_recipients

    def store_slowly(*arguments: Any) -> Sequence[UUID]:
        ids = store(*arguments)
        erase_once()
        return ids

    monkeypatch.setattr(HandOutLists, "_store_recipients", store_slowly)
    path = f"/api/v1/hand-outs/recipients?hand_out={hand_out['id']}"
    body = {"recipients": [{"email": PERSON, "language": "en"}, {"email": "other@example.com", "language": "en"}]}

    answer = app.client.post(path, json=body, headers=app.key("admin"))

    assert (answer.status_code, app.count("hand_out_recipients")) == (200, 2), answer.text


def test_code_is_given_when_its_recipient_is_erased_between_their_lookup_and_their_row(
    app: AppClient, hand_out: Created, erase_once: Erase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for one code that exists."""
    body = {"count": 1, "max_uses": 1, "campaign": hand_out["campaign"]}
    [issued] = app.client.post("/api/v1/codes", json=body, headers=app.key("admin")).json()
    find = SupportReader.find_recipient

    def find_slowly(*arguments: Any) -> UUID | None:
        recipient_id = find(*arguments)
        erase_once()
        return recipient_id

    monkeypatch.setattr(SupportReader, "find_recipient", find_slowly)
    path, body = (
        f"/api/v1/hand-outs/{hand_out['id']}/codes",
        {"code": issued["code"], "email": PERSON, "language": "en"},
    )

    answer = app.client.post(path, json=body, headers=app.key("admin"))

    assert (answer.status_code, app.count("hand_out_recipients")) == (200, 1), answer.text


def test_opt_out_is_not_stored_when_the_person_is_erased_before_its_commit(
    app: AppClient, erase_once: Erase, hand_out: Created
) -> None:
    """The row of the person is being deleted while it is referred to."""
    assert hand_out
    recipient_id = SupportReader(app.services.storage).find_recipient(EmailAddress.parse(PERSON))
    assert recipient_id is not None
    with (
        psycopg.connect(app.services.settings.database_url.get_secret_value()) as conn,
        ThreadPoolExecutor(1) as threads,
    ):
        conn.execute("DELETE FROM recipients WHERE recipient_id = %s", (recipient_id,))
        opting_out = threads.submit(
            OptOutRepository(app.services.storage).insert, recipient_id, None, app.services.now()
        )
        wait_for_lock(app, opting_out)
        conn.commit()
        assert opting_out.result(WAIT_S_MAX) is False
    erase_once()
