"""Short ways through the admin pages."""

import re
from html import unescape
from typing import Final
from uuid import UUID, uuid4

from projections.repositories.issue_batches import Batch, BatchRepository
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.waiting import wait_for

TERMS: Final = {"max_uses": "1", "bound": "yes"}


def ask_for(browser: StaffBrowser, nonce: str | None = None, **form: str) -> UUID:
    """Fill in the form that issues codes; the id of the batch."""
    usual = {**TERMS, "nonce": nonce or uuid4().hex, "new_group": form.get("group", "")}
    answer = browser.submit("/admin/batches", "/admin", **{**usual, **form})
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["location"].rpartition("/")[2])


def upload(browser: StaffBrowser, data: bytes, **form: str) -> UUID:
    answer = browser.post_file(
        "/admin/import", "codes.csv", data, {**TERMS, "nonce": uuid4().hex, "new_groups": "yes", **form}
    )
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["location"].rpartition("/")[2])


def ended(app: AppClient, batch_id: UUID) -> Batch:
    """Return the batch once no worker runs it any more."""
    batches = BatchRepository(app.services.storage)

    def find_ended() -> Batch | None:
        batch = batches.find(batch_id)
        return batch if batch is not None and batch.state != "working" else None

    batch = wait_for(find_ended)
    assert batch is not None
    return batch


def secret_of(page: str) -> str:
    """What a page shows once."""
    match = re.search(r'<output id="secret"[^>]*>([^<]+)</output>', page)
    assert match is not None
    return unescape(match[1])
